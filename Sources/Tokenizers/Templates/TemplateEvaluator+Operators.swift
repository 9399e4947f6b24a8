// Operators of a chat template as Python has them: arithmetic, comparison, membership, and order.
// Surprise: integers beyond 64 bits are errors, not large numbers; and 2^53 + 1 is larger than the float 2^53.

import Basics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension TemplateEvaluator {
  func binary(_ sign: TemplateOperator, _ left: TemplateValue, _ right: TemplateValue) throws(Diagnostic)
    -> TemplateValue
  {
    if sign == .remainder, let format = left.string {
      guard !left.isMarkup else { throw mistake("'%' of escaped text is not supported") }
      return try text(try PythonFormat.percent(format, right, self))
    }
    if let joined = try joined(sign, left, right) { return joined }
    if sign == .multiply {
      if let repeated = try repeated(left, right) { return repeated }
      if let repeated = try repeated(right, left) { return repeated }
    }
    if let a = left.integer, let b = right.integer, let result = try integers(sign, a, b) { return .integer(result) }
    guard let x = left.double, let y = right.double else {
      throw mistake("'\(sign.rawValue)' between \(left.kind) and \(right.kind)")
    }
    if sign == .divide, let a = left.integer, let b = right.integer { try checkQuotient(a, b) }
    return .number(try numbers(sign, x, y))
  }

  private func joined(_ sign: TemplateOperator, _ left: TemplateValue, _ right: TemplateValue) throws(Diagnostic)
    -> TemplateValue?
  {
    guard sign == .add else { return nil }
    switch (left, right) {
    case (.list(let a), .list(let b)): return try list(a.elements + b.elements)
    case (.tuple(let a), .tuple(let b)): return try tuple(a.elements + b.elements)
    default:
      guard let a = left.string, let b = right.string else { return nil }
      try make(a.utf8.count + b.utf8.count)
      guard left.isMarkup || right.isMarkup else { return .string(a + b) }
      return .markup((left.isMarkup ? a : PythonFormat.escaped(a)) + (right.isMarkup ? b : PythonFormat.escaped(b)))
    }
  }

  private func repeated(_ value: TemplateValue, _ times: TemplateValue) throws(Diagnostic) -> TemplateValue? {
    guard let times = times.integer else { return nil }
    let count = max(times, 0)
    func size(_ one: Int) -> Int { one.multipliedReportingOverflow(by: count).overflow ? .max : one * count }
    switch value {
    case .string(let text), .markup(let text):
      try make(size(text.utf8.count))
      return value.with(text.isEmpty ? "" : String(repeating: text, count: count))
    case .list(let list), .tuple(let list):
      try make(size(TemplateBudget.element * list.elements.count))
      let elements = list.elements.isEmpty ? [] : (0..<count).flatMap { _ in list.elements }
      if case .list = value { return try self.list(elements) }
      return try tuple(elements)
    default: return nil
    }
  }

  /// Nil for divisions and powers that leave the integers.
  private func integers(_ sign: TemplateOperator, _ a: Int, _ b: Int) throws(Diagnostic) -> Int? {
    let (value, overflow): (Int, Bool)
    switch sign {
    case .add: (value, overflow) = a.addingReportingOverflow(b)
    case .subtract: (value, overflow) = a.subtractingReportingOverflow(b)
    case .multiply: (value, overflow) = a.multipliedReportingOverflow(by: b)
    case .divide: return nil
    case .floorDivide, .remainder:
      guard b != 0 else { throw mistake("division by zero") }
      let (quotient, tooLarge) = a.dividedReportingOverflow(by: b)
      let rest = tooLarge ? 0 : a % b
      // Python rounds down and gives the rest the divisor's sign.
      let isOff = rest != 0 && (rest < 0) != (b < 0)
      value = sign == .floorDivide ? (isOff ? quotient - 1 : quotient) : (isOff ? rest + b : rest)
      overflow = tooLarge && sign == .floorDivide
    case .power:
      guard b >= 0 else { return nil }
      (value, overflow) = Self.power(a, b)
    }
    guard !overflow else { throw mistake("a number beyond 64 bits") }
    return value
  }

  private static func power(_ base: Int, _ exponent: Int) -> (Int, Bool) {
    if base == 0 || base == 1 || base == -1 {
      return (exponent == 0 ? 1 : base == -1 && exponent.isMultiple(of: 2) ? 1 : base, false)
    }
    guard exponent < 64 else { return (0, true) }
    var result = 1
    for _ in 0..<exponent {
      let (product, overflow) = result.multipliedReportingOverflow(by: base)
      if overflow { return (0, true) }
      result = product
    }
    return (result, false)
  }

  /// The quotient of large integers is not that of their nearest floats.
  private func checkQuotient(_ a: Int, _ b: Int) throws(Diagnostic) {
    guard max(a.magnitude, b.magnitude) <= 1 << 53 else { throw mistake("a division of numbers beyond 53 bits") }
  }

  private func numbers(_ sign: TemplateOperator, _ x: Double, _ y: Double) throws(Diagnostic) -> Double {
    switch sign {
    case .add: return x + y
    case .subtract: return x - y
    case .multiply: return x * y
    case .power:
      guard !(x == 0 && y < 0) else { throw mistake("0 to a negative power") }
      let value = pow(x, y)
      // Python makes complex numbers of roots of negative ones, and refuses what overflows.
      guard !(x < 0 && y.isFinite && y != y.rounded()), !(value.isInfinite && x.isFinite && y.isFinite) else {
        throw mistake("a power that is no number")
      }
      return value
    case .divide, .floorDivide, .remainder:
      guard y != 0 else { throw mistake("division by zero") }
      if sign == .divide { return x / y }
      var rest = fmod(x, y)
      var quotient = (x - rest) / y
      if rest != 0 {
        if (y < 0) != (rest < 0) {
          rest += y
          quotient -= 1
        }
      } else {
        rest = copysign(0, y)
      }
      if sign == .remainder { return rest }
      guard quotient != 0 else { return copysign(0, x / y) }
      let whole = quotient.rounded(.down)
      return quotient - whole > 0.5 ? whole + 1 : whole
    }
  }

  func negated(_ value: TemplateValue) throws(Diagnostic) -> TemplateValue {
    if let integer = value.integer {
      guard integer != .min else { throw mistake("a number beyond 64 bits") }
      return .integer(-integer)
    }
    guard case .number(let number) = value else { throw mistake("'-' of \(value.kind)") }
    return .number(-number)
  }

  // MARK: - Comparison

  func compare(_ sign: TemplateComparison, _ left: TemplateValue, _ right: TemplateValue) throws(Diagnostic) -> Bool {
    switch sign {
    case .equal: return try isEqual(left, right)
    case .unequal: return !(try isEqual(left, right))
    case .contained: return try contains(right, left)
    case .notContained: return !(try contains(right, left))
    case .less: return try isLess(left, right, sign)
    case .greater: return try isLess(right, left, sign)
    case .lessOrEqual: return try isLess(left, right, sign, orEqual: true)
    case .greaterOrEqual: return try isLess(right, left, sign, orEqual: true)
    }
  }

  /// Python's `==`.
  func isEqual(_ left: TemplateValue, _ right: TemplateValue) throws(Diagnostic) -> Bool {
    try step()
    switch (left, right) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)): return try areEqual(a.elements, b.elements)
    case (.dictionary(let a), .dictionary(let b)): return try areEqual(a, b)
    case (.range(let a), .range(let b)):
      return a.count == b.count
        && (a.count == 0 || a.start == b.start && (a.count == 1 || a.step == b.step))
    case (.namespace(let a), .namespace(let b)): return a === b
    case (.macro(let a), .macro(let b)): return a === b
    case (.iterator(let a), .iterator(let b)): return a === b
    case (.loop(let a), .loop(let b)): return a === b
    case (.cycler(let a), .cycler(let b)): return a === b
    case (.joiner(let a), .joiner(let b)): return a === b
    case (.function(let a), .function(let b)): return a == b
    case (.view, .view), (.method, .method): throw mistake("'==' between \(left.kind) and \(right.kind)")
    default: break
    }
    if let a = left.string, let b = right.string {
      guard a.utf8.count == b.utf8.count else { return false }
      // A step of a view of bytes takes several nanoseconds.
      try spend(8 * a.utf8.count)
      // Bytes, not canonical equivalence.
      return a.utf8.elementsEqual(b.utf8)
    }
    return Self.order(left, right) == .equal
  }

  private func areEqual(_ a: [TemplateValue], _ b: [TemplateValue]) throws(Diagnostic) -> Bool {
    guard a.count == b.count else { return false }
    try enter()
    defer { leave() }
    for (x, y) in zip(a, b) where !(try isSame(x, y)) { return false }
    return true
  }

  private func areEqual(_ a: TemplateDictionary, _ b: TemplateDictionary) throws(Diagnostic) -> Bool {
    guard a.count == b.count else { return false }
    try enter()
    defer { leave() }
    for (key, value) in zip(a.keys, a.values) {
      guard let other = b[try self.key(key)], try isSame(value, other) else { return false }
    }
    return true
  }

  /// As elements are compared: one object equals itself, whatever it is.
  private func isSame(_ left: TemplateValue, _ right: TemplateValue) throws(Diagnostic) -> Bool {
    switch (left, right) {
    case (.list(let a), .list(let b)) where a === b, (.tuple(let a), .tuple(let b)) where a === b: return true
    case (.dictionary(let a), .dictionary(let b)) where a === b: return true
    default: return try isEqual(left, right)
    }
  }

  private enum Order { case less, equal, greater, none }

  /// Of two numbers, exactly; `none` if one is no number, or not one at all.
  private static func order(_ left: TemplateValue, _ right: TemplateValue) -> Order {
    func order<T: Comparable>(_ a: T, _ b: T) -> Order { a < b ? .less : a > b ? .greater : a == b ? .equal : .none }
    func mixed(_ a: Int, _ b: Double) -> Order {
      // As a Double, a large integer would equal its neighbours.
      if let exact = Int(exactly: b) { return order(a, exact) }
      guard let whole = Int(exactly: b.rounded(.down)) else { return b.isNaN ? .none : b > 0 ? .less : .greater }
      return a <= whole ? .less : .greater
    }
    if let a = left.integer, let b = right.integer { return order(a, b) }
    switch (left, right) {
    case (.number(let a), .number(let b)): return order(a, b)
    case (.number(let a), _):
      guard let b = right.integer else { return .none }
      switch mixed(b, a) {
      case .less: return .greater
      case .greater: return .less
      case .equal: return .equal
      case .none: return .none
      }
    case (_, .number(let b)): return left.integer.map { mixed($0, b) } ?? .none
    default: return .none
    }
  }

  func isLess(
    _ left: TemplateValue, _ right: TemplateValue, _ sign: TemplateComparison = .less, orEqual: Bool = false
  ) throws(Diagnostic) -> Bool {
    try step()
    if let a = left.string, let b = right.string {
      try spend(8 * min(a.utf8.count, b.utf8.count))
      // UTF-8 is in the order of the scalars.
      return orEqual ? !b.utf8.lexicographicallyPrecedes(a.utf8) : a.utf8.lexicographicallyPrecedes(b.utf8)
    }
    if left.double != nil, right.double != nil {
      let order = Self.order(left, right)
      return order == .less || orEqual && order == .equal
    }
    switch (left, right) {
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
      try enter()
      defer { leave() }
      for (x, y) in zip(a.elements, b.elements) where !(try isSame(x, y)) {
        return try isLess(x, y, sign, orEqual: orEqual)
      }
      return orEqual ? a.elements.count <= b.elements.count : a.elements.count < b.elements.count
    default: throw mistake("'\(sign.rawValue)' between \(left.kind) and \(right.kind)")
    }
  }

  /// `part in whole`
  func contains(_ whole: TemplateValue, _ part: TemplateValue) throws(Diagnostic) -> Bool {
    switch whole {
    case .string(let text), .markup(let text):
      guard let piece = part.string else { throw mistake("'in' looks for \(part.kind) in a string") }
      try spend(8 * text.utf8.count)
      return PythonText.find(Array(piece.utf8), in: Array(text.utf8), from: 0) != nil
    case .dictionary(let dictionary): return dictionary[try key(part)] != nil
    case .view(let view) where view.kind == .keys: return view.dictionary[try key(part)] != nil
    case .list, .tuple, .view, .iterator, .undefined, .range:
      let iterator = try iterator(over: whole)
      while let element = try iterator.next(self) { if try isSame(element, part) { return true } }
      return false
    case .none, .bool, .integer, .number, .namespace, .macro, .loop, .cycler, .joiner, .function, .method:
      throw mistake("'in' looks into \(whole.kind)")
    }
  }

  // MARK: - Order

  /// Sorted as Python sorts: equal ones keep their order, also where the rest is reversed.
  func sorted(_ values: [TemplateValue], by keys: [TemplateValue], reversed: Bool) throws(Diagnostic)
    -> [TemplateValue]
  {
    var order = Array(values.indices)
    var width = 1
    func goesBefore(_ a: Int, _ b: Int) throws(Diagnostic) -> Bool {
      reversed ? try isLess(keys[b], keys[a]) : try isLess(keys[a], keys[b])
    }
    while width < order.count {
      var merged: [Int] = []
      for start in stride(from: 0, to: order.count, by: 2 * width) {
        var (left, right) = (start, min(start + width, order.count))
        let (middle, end) = (right, min(start + 2 * width, order.count))
        while left < middle || right < end {
          var takesRight = left == middle
          if !takesRight, right < end { takesRight = try goesBefore(order[right], order[left]) }
          merged.append(order[takesRight ? right : left])
          if takesRight { right += 1 } else { left += 1 }
        }
      }
      order = merged
      width *= 2
    }
    return order.map { values[$0] }
  }
}
