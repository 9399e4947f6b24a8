// An extent: a number, or a symbolic integer while a program is captured or a kernel is made for all sizes.
// Not an Int: comparing symbolic Dims inside `compile` is a question whose answer is a guard.
// Surprise: a Dim is two words; only symbolic ones have a node on the heap.

import Basics

/// A symbolic integer, folded and ordered on construction so that equal expressions are structurally equal.
public struct Dim: Sendable {
  /// The value when `node` is nil.
  @usableFromInline let constant: Int
  @usableFromInline let node: DimNode?

  @inlinable public init(_ value: Int) {
    constant = value
    node = nil
  }

  init(node: DimNode) {
    constant = 0
    self.node = node
  }

  /// A Dim that carries a mistake to where its value is used.
  public static func failed(_ diagnostic: Diagnostic) -> Dim { Dim(node: DimNode(.failed(diagnostic))) }

  /// The symbol `s<id>`: in a kernel, the launch argument with that number.
  public static func symbol(_ id: Int) -> Dim { Dim(node: DimNode(.symbol(id))) }

  /// The number, or nil for a symbolic Dim. What a guard of the capture that runs has made a number is one.
  @inlinable public var knownValue: Int? { node == nil ? constant : namedValue }
  @inlinable public func isKnown(_ value: Int) -> Bool { knownValue == value }

  /// A Dim at hand keeps the name that it was made with, while its symbol may have become a number since.
  @usableFromInline var namedValue: Int? { DimObservation.observer?.named(self) }

  /// The number. Inside `compile` this is a guard; a failed Dim throws what made it fail.
  public var value: Int {
    get throws(Diagnostic) {
      switch node?.expression {
      case nil: return constant
      case .failed(let diagnostic)?: throw diagnostic
      case .symbol?, .binary?:
        guard let observer = DimObservation.observer, let value = observer.hint(of: self),
          observer.holds(.equal, self, Dim(value)) != nil
        else {
          throw Diagnostic(
            .shape, "the extent \(self) is symbolic and has no value here",
            remedy: "ask for values inside the compiled function, where they become guards")
        }
        return value
      }
    }
  }

  /// How a symbolic Dim is made; nil for a number.
  public var expression: DimExpression? { node?.expression }

  /// The value under `symbols[id]`; nil for overflow, division by zero or an unbound symbol.
  public func evaluated(_ symbols: some RandomAccessCollection<Int>) -> Int? {
    guard let node else { return constant }
    switch node.expression {
    case .failed: return nil
    case .symbol(let id):
      guard id >= 0, id < symbols.count else { return nil }
      return symbols[symbols.index(symbols.startIndex, offsetBy: id)]
    case .binary(let operation, let a, let b):
      guard let x = a.evaluated(symbols), let y = b.evaluated(symbols) else { return nil }
      return operation.apply(x, y)
    }
  }

  /// Symbols that occur, each once, ascending.
  public var symbols: [Int] {
    var found: Set<Int> = []
    forEachSymbol { found.insert($0) }
    return found.sorted()
  }

  /// Symbols that occur, as often as they do.
  package func forEachSymbol(_ body: (Int) -> Void) {
    switch expression {
    case nil, .failed?: return
    case .symbol(let id)?: body(id)
    case .binary(_, let a, let b)?:
      a.forEachSymbol(body)
      b.forEachSymbol(body)
    }
  }

  /// Every symbol replaced by `replacement(id)`.
  public func substituting(_ replacement: (Int) -> Dim) -> Dim {
    switch expression {
    case nil, .failed?: self
    case .symbol(let id)?: replacement(id)
    case .binary(let operation, let a, let b)?:
      Dim.combined(operation, a.substituting(replacement), b.substituting(replacement))
    }
  }

  public static func combined(_ operation: DimOperation, _ a: Dim, _ b: Dim) -> Dim {
    if let x = a.knownValue, let y = b.knownValue {
      if let z = operation.apply(x, y) { return Dim(z) }
      let why = y == 0 ? "has no value" : "is more than an extent can be"
      return .failed(
        Diagnostic(.shape, "\(x) \(operation.rawValue) \(y) \(why)", remedy: "check what the extent is computed from"))
    }
    // A mistake goes through all arithmetic, to where the value is used.
    if case .failed? = a.expression { return a }
    if case .failed? = b.expression { return b }
    switch operation {
    case .add, .subtract:
      if var sum = DimSum(a), sum.add(b, times: operation == .add ? 1 : -1) { return sum.dim }
    case .multiply:
      if let product = product(a, b) { return product }
    case .floorDivide, .ceilDivide:
      if b.isKnown(1) { return a }
      if a.isIdentical(to: b) { return 1 }
      if b.knownValue == nil, let quotient = quotient(a, b) { return quotient }
      if let divisor = b.knownValue, let quotient = DimSum(a)?.divided(by: divisor) { return quotient.dim }
    case .modulo:
      if b.isKnown(1) || a.isIdentical(to: b) { return 0 }
      if let divisor = b.knownValue, DimSum(a)?.divided(by: divisor) != nil { return 0 }
    case .minimum, .maximum:
      if a.isIdentical(to: b) { return a }
    }
    // Commutative operations are ordered, the constant last, so that `s1 * s0` and `s0 * s1` are one expression.
    let swaps = operation.isCommutative && b.knownValue == nil && (a.knownValue != nil || b.precedes(a))
    return swaps ? written(operation, b, a) : written(operation, a, b)
  }

  /// As ``combined(_:_:_:)``, and inside `compile` what has no value at the sizes at hand is a mistake, as it is with
  /// numbers. That a divisor is not 0 becomes a guard: the normal form of `n / n` does not divide any more.
  private static func counted(_ operation: DimOperation, _ a: Dim, _ b: Dim) -> Dim {
    let made = combined(operation, a, b)
    if a.node == nil, b.node == nil { return made }
    guard let observer = DimObservation.observer, let x = observer.hint(of: a), let y = observer.hint(of: b) else {
      return made
    }
    if operation.divides, b.node != nil { _ = asks(.equal, b, 0) }
    if operation.apply(x, y) != nil { return made }
    // Too large for an Int: nobody knows from which sizes on.
    if !operation.divides || y != 0 { for dim in [a, b] where dim.node != nil { _ = observer.reads(dim) } }
    return combined(operation, Dim(x), Dim(y))
  }

  public static func + (a: Dim, b: Dim) -> Dim { counted(.add, a, b) }
  public static func - (a: Dim, b: Dim) -> Dim { counted(.subtract, a, b) }
  public static func * (a: Dim, b: Dim) -> Dim { counted(.multiply, a, b) }
  /// Rounds toward minus infinity.
  public static func / (a: Dim, b: Dim) -> Dim { counted(.floorDivide, a, b) }
  public static func % (a: Dim, b: Dim) -> Dim { counted(.modulo, a, b) }
  public static func + (a: Dim, b: Int) -> Dim { a + Dim(b) }
  public static func + (a: Int, b: Dim) -> Dim { Dim(a) + b }
  public static func - (a: Dim, b: Int) -> Dim { a - Dim(b) }
  public static func - (a: Int, b: Dim) -> Dim { Dim(a) - b }
  public static func * (a: Dim, b: Int) -> Dim { a * Dim(b) }
  public static func * (a: Int, b: Dim) -> Dim { Dim(a) * b }
  public static func / (a: Dim, b: Int) -> Dim { a / Dim(b) }
  public static func % (a: Dim, b: Int) -> Dim { a % Dim(b) }
  public static func += (a: inout Dim, b: Dim) { a = a + b }
  public static func -= (a: inout Dim, b: Dim) { a = a - b }
  public static func *= (a: inout Dim, b: Dim) { a = a * b }
  public func ceilDivided(by other: Dim) -> Dim { Dim.counted(.ceilDivide, self, other) }
  public func minimum(_ other: Dim) -> Dim { Dim.counted(.minimum, self, other) }
  public func maximum(_ other: Dim) -> Dim { Dim.counted(.maximum, self, other) }
}

extension Dim: Hashable {
  /// Whether both have one value. Inside `compile` the answer is a guard. Where nobody captures, as in the IRs, symbols
  /// have no values, and expressions are equal if they are the same.
  public static func == (a: Dim, b: Dim) -> Bool { asks(.equal, a, b) }

  /// The same number, or the same expression in normal form. Never a guard.
  package func isIdentical(to other: Dim) -> Bool {
    switch (node, other.node) {
    case (nil, nil): constant == other.constant
    case (let x?, let y?): x === y || (x.hash == y.hash && x.expression.isIdentical(to: y.expression))
    default: false
    }
  }

  /// Equal values have equal hashes: inside `compile` a guard on the value.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(node.map { DimObservation.observer?.reads(self) ?? $0.hash } ?? constant)
  }
}

extension DimExpression {
  fileprivate func isIdentical(to other: DimExpression) -> Bool {
    switch (self, other) {
    case (.symbol(let a), .symbol(let b)): a == b
    case (.failed(let a), .failed(let b)): a == b
    case (.binary(let f, let a, let b), .binary(let g, let c, let d)):
      f == g && a.isIdentical(to: c) && b.isIdentical(to: d)
    case (.symbol, _), (.failed, _), (.binary, _): false
    }
  }
}

extension Dim: ExpressibleByIntegerLiteral {
  @inlinable public init(integerLiteral value: Int) { self.init(value) }
}

extension Dim: CustomStringConvertible {
  /// "12". Inside `compile` the number at hand, and a guard on it: a text can be compared too. Where nobody captures, as in
  /// the IRs, symbols have no values: "s0", "(s0 * 4)".
  public var description: String {
    node == nil ? "\(constant)" : DimObservation.observer?.reads(self).map { "\($0)" } ?? text
  }

  /// The expression. Never a guard.
  package var text: String {
    switch expression {
    case nil: "\(constant)"
    case .failed?: "failed"
    case .symbol(let id)?: "s\(id)"
    case .binary(let operation, let a, let b)?:
      switch operation {
      case .minimum, .maximum, .ceilDivide: "\(operation.rawValue)(\(a.text), \(b.text))"
      case .add, .subtract, .multiply, .floorDivide, .modulo: "(\(a.text) \(operation.rawValue) \(b.text))"
      }
    }
  }
}

public enum DimOperation: String, Sendable, Hashable, CaseIterable {
  case add = "+"
  case subtract = "-"
  case multiply = "*"
  case floorDivide = "/"
  case modulo = "%"
  case minimum = "min"
  case maximum = "max"
  case ceilDivide = "ceildiv"

  var isCommutative: Bool {
    switch self {
    case .add, .multiply, .minimum, .maximum: true
    case .subtract, .floorDivide, .modulo, .ceilDivide: false
    }
  }

  var divides: Bool {
    switch self {
    case .floorDivide, .modulo, .ceilDivide: true
    case .add, .subtract, .multiply, .minimum, .maximum: false
    }
  }

  /// nil for overflow and for a divisor of zero.
  public func apply(_ a: Int, _ b: Int) -> Int? {
    func checked(_ result: (partialValue: Int, overflow: Bool)) -> Int? { result.overflow ? nil : result.partialValue }
    switch self {
    case .add: return checked(a.addingReportingOverflow(b))
    case .subtract: return checked(a.subtractingReportingOverflow(b))
    case .multiply: return checked(a.multipliedReportingOverflow(by: b))
    case .minimum: return Swift.min(a, b)
    case .maximum: return Swift.max(a, b)
    case .floorDivide, .modulo, .ceilDivide:
      guard b != 0, !(a == .min && b == -1) else { return nil }
      let quotient = a / b
      let remainder = a % b
      let isOff = remainder != 0 && (remainder < 0) != (b < 0)
      switch self {
      case .floorDivide: return isOff ? quotient - 1 : quotient
      case .modulo: return isOff ? remainder + b : remainder
      case .add, .subtract, .multiply, .minimum, .maximum, .ceilDivide:
        return remainder != 0 && (remainder < 0) == (b < 0) ? quotient + 1 : quotient
      }
    }
  }
}

public enum DimExpression: Sendable, Hashable {
  case symbol(Int)
  /// Asked for where there is none (an axis outside the rank); throws when its value is used.
  case failed(Diagnostic)
  case binary(DimOperation, Dim, Dim)
}

@usableFromInline final class DimNode: Sendable {
  let expression: DimExpression
  @usableFromInline let hash: Int
  init(_ expression: DimExpression) {
    self.expression = expression
    // Not `Hasher`: its seed differs per process, and dumps must not.
    switch expression {
    case .failed(let diagnostic): hash = diagnostic.message.utf8.reduce(11) { $0 &* 31 &+ Int($1) }
    case .symbol(let id): hash = id &* 0x9e37_79b9 ^ 0x5bd1_e995
    case .binary(let operation, let a, let b):
      let x = a.node?.hash ?? a.constant &* 31
      let y = b.node?.hash ?? b.constant &* 31
      hash = (x &* 0x0100_0193 ^ y) &* 0x85eb_ca6b &+ operation.rawValue.utf8.reduce(7) { $0 &* 31 &+ Int($1) }
    }
  }
}
