// The normal form of symbolic integers: sums and products are flattened, like terms are merged, the rest is ordered, so
// that `(s0 + s1) - s0` is `s1` and `s1 * s0` is `s0 * s1`. Not a prover: a product of sums is not multiplied out.
// Surprise: like any algebra on integers it may give a value where the expression as written overflows or divides by 0.

/// A sum of terms: each a coefficient times a symbolic Dim that is no sum and has no constant factor; plus a constant.
struct DimSum {
  private(set) var terms: [(factor: Dim, coefficient: Int)] = []
  private(set) var constant = 0

  /// nil where a coefficient overflows.
  init?(_ dim: Dim) {
    guard add(dim, times: 1) else { return nil }
  }

  /// False for an overflow.
  mutating func add(_ dim: Dim, times coefficient: Int) -> Bool {
    if let value = dim.knownValue {
      let (product, wraps) = value.multipliedReportingOverflow(by: coefficient)
      let (sum, overflows) = constant.addingReportingOverflow(product)
      constant = sum
      return !wraps && !overflows
    }
    switch dim.expression {
    case .binary(.add, let a, let b)?: return add(a, times: coefficient) && add(b, times: coefficient)
    case .binary(.subtract, let a, let b)?:
      guard coefficient != .min else { return false }
      return add(a, times: coefficient) && add(b, times: -coefficient)
    case .binary(.multiply, let a, let b)?:
      guard let value = b.knownValue else { return merge(dim, coefficient) }
      let (product, overflow) = value.multipliedReportingOverflow(by: coefficient)
      return !overflow && add(a, times: product)
    case nil, .symbol?, .failed?, .binary?: return merge(dim, coefficient)
    }
  }

  private mutating func merge(_ factor: Dim, _ coefficient: Int) -> Bool {
    guard let place = terms.firstIndex(where: { $0.factor.isIdentical(to: factor) }) else {
      terms.append((factor, coefficient))
      return true
    }
    let (sum, overflow) = terms[place].coefficient.addingReportingOverflow(coefficient)
    terms[place].coefficient = sum
    return !overflow
  }

  /// Terms with a positive coefficient first, then those to subtract, the constant last.
  var dim: Dim {
    let ordered = terms.filter { $0.coefficient != 0 }.sorted { $0.factor.precedes($1.factor) }
    var sum: Dim?
    for term in ordered where term.coefficient > 0 {
      let scaled = Dim.scaled(term.factor, term.coefficient)
      sum = sum.map { Dim.written(.add, $0, scaled) } ?? scaled
    }
    for term in ordered where term.coefficient < 0 {
      // A coefficient of Int.min has no negative: such a term keeps its sign.
      sum =
        term.coefficient == .min
        ? sum.map { Dim.written(.add, $0, Dim.scaled(term.factor, .min)) } ?? Dim.scaled(term.factor, .min)
        : Dim.written(.subtract, sum ?? Dim(0), Dim.scaled(term.factor, -term.coefficient))
    }
    guard let sum else { return Dim(constant) }
    if constant == 0 { return sum }
    return constant > 0 || constant == .min
      ? Dim.written(.add, sum, Dim(constant)) : Dim.written(.subtract, sum, Dim(-constant))
  }

  /// The quotient, where all terms and the constant are multiples of `divisor`.
  func divided(by divisor: Int) -> DimSum? {
    guard divisor > 1, constant % divisor == 0, terms.allSatisfy({ $0.coefficient % divisor == 0 }) else { return nil }
    var quotient = self
    quotient.constant /= divisor
    for i in terms.indices { quotient.terms[i].coefficient /= divisor }
    return quotient
  }
}

extension Dim {
  /// `a == b` solved for the symbol with the highest number that can be solved for.
  package static func solved(_ a: Dim, equals b: Dim) -> (symbol: Int, value: Dim)? {
    guard let difference = DimSum(a - b) else { return nil }
    let candidates = difference.terms.compactMap { term -> (symbol: Int, value: Dim)? in
      guard abs(term.coefficient) == 1, case .symbol(let id)? = term.factor.expression else { return nil }
      var rest = difference
      guard rest.add(term.factor, times: -term.coefficient), !rest.dim.symbols.contains(id) else { return nil }
      return (id, term.coefficient == 1 ? Dim(0) - rest.dim : rest.dim)
    }
    return candidates.max { $0.symbol < $1.symbol }
  }

  /// The expression as written, without a look at its meaning.
  static func written(_ operation: DimOperation, _ a: Dim, _ b: Dim) -> Dim {
    Dim(node: DimNode(.binary(operation, a, b)))
  }

  fileprivate static func scaled(_ factor: Dim, _ coefficient: Int) -> Dim {
    coefficient == 1 ? factor : written(.multiply, factor, Dim(coefficient))
  }

  /// a / b where every factor of b is one of a's; nil: they are not, or a number overflows.
  static func quotient(_ a: Dim, _ b: Dim) -> Dim? {
    func factors(_ dim: Dim) -> [Dim] {
      if case .binary(.multiply, let x, let y)? = dim.expression { return factors(x) + factors(y) }
      return [dim]
    }
    var rest = factors(a)
    for factor in factors(b) {
      if let place = rest.firstIndex(where: { $0.isIdentical(to: factor) }) {
        rest.remove(at: place)
      } else if let divisor = factor.knownValue, divisor != 0,
        let place = rest.firstIndex(where: { ($0.knownValue ?? 1) % divisor == 0 && $0.knownValue != nil })
      {
        rest[place] = Dim((rest[place].knownValue ?? 0) / divisor)
      } else {
        return nil
      }
    }
    return rest.reduce(Dim(1)) { combined(.multiply, $0, $1) }
  }

  /// The product with its symbolic factors in order and one number last; nil where the number overflows.
  static func product(_ a: Dim, _ b: Dim) -> Dim? {
    var number = 1
    var factors: [Dim] = []
    func collect(_ dim: Dim) -> Bool {
      if let value = dim.knownValue {
        let (product, overflow) = number.multipliedReportingOverflow(by: value)
        number = product
        return !overflow
      }
      if case .binary(.multiply, let x, let y)? = dim.expression { return collect(x) && collect(y) }
      factors.append(dim)
      return true
    }
    guard collect(a), collect(b) else { return nil }
    if number == 0 { return 0 }
    factors.sort { $0.precedes($1) }
    guard let first = factors.first else { return Dim(number) }
    let symbolic = factors.dropFirst().reduce(first) { written(.multiply, $0, $1) }
    return scaled(symbolic, number)
  }

  /// An order of expressions that is the same in every process: symbols by number, then the rest by its text.
  func precedes(_ other: Dim) -> Bool {
    switch (expression, other.expression) {
    case (.symbol(let a)?, .symbol(let b)?): a < b
    case (.symbol?, _): true
    case (_, .symbol?): false
    default: text < other.text
    }
  }
}
