// PyTorch's operator names and how each is said with our tensors. Not a list of what exists: rooms add their own.
// Surprise: a name with a variant ("norm.inf") falls back to the operator's own entry ("norm").
import Basics
import Tensors

struct ConformanceOperation: Sendable {
  let tolerance: ConformanceTolerance
  let run: @Sendable (ConformanceArguments) throws(Diagnostic) -> ConformanceValue
}

package struct ConformanceTable: Sendable {
  private var operations: [String: ConformanceOperation] = [:]
  private var exclusions: [String: @Sendable (ConformanceArguments) throws(Diagnostic) -> Bool] = [:]
  /// Of the entries that follow.
  var tolerance = ConformanceTolerance.elements

  package static let shared: ConformanceTable = {
    var table = ConformanceTable()
    table.addPointwise()
    table.addReductions()
    table.addCreation()
    table.addShapes()
    table.addIndexing()
    table.addStatistics()
    table.addProducts()
    table.addActivations()
    table.addNorms()
    table.addLosses()
    table.addConvolutions()
    table.addPooling()
    table.addResampling()
    return table
  }()

  /// The operations whose result's elements each come from the operands' elements at their place.
  package static let pointwise: ConformanceTable = {
    var table = ConformanceTable()
    table.addPointwise()
    return table
  }()

  /// Every name that has an entry, in alphabetical order.
  package var names: [String] { operations.keys.sorted() }

  /// The tensors that `name` gives, for who has arguments of its own.
  package func tensors(_ name: String, _ arguments: ConformanceArguments) throws(Diagnostic) -> [Tensor] {
    guard let operation = operation(name) else { throw Diagnostic(.argument, "there is no operation \(name)") }
    let tensors = try operation.run(arguments).tensors
    if tensors.isEmpty { throw Diagnostic(.argument, "\(name) gives no tensor") }
    return tensors
  }

  func operation(_ name: String) -> ConformanceOperation? {
    if let exact = operations[name] { return exact }
    guard let dot = name.lastIndex(of: ".") else { return nil }
    return operations[String(name[..<dot])]
  }

  /// Whether a call of `name` with these arguments is one that we do not have.
  func excludes(_ name: String, _ arguments: ConformanceArguments) throws(Diagnostic) -> Bool {
    guard let test = exclusions[name] else { return false }
    return try test(arguments)
  }

  /// Calls of `name` that count as unsupported.
  mutating func exclude(
    _ name: String, where test: @escaping @Sendable (ConformanceArguments) throws(Diagnostic) -> Bool
  ) { exclusions[name] = test }

  mutating func add(
    _ names: String..., run: @escaping @Sendable (ConformanceArguments) throws(Diagnostic) -> ConformanceValue
  ) {
    for name in names { operations[name] = ConformanceOperation(tolerance: tolerance, run: run) }
  }

  mutating func tensor(
    _ names: String..., run: @escaping @Sendable (ConformanceArguments) throws(Diagnostic) -> Tensor
  ) {
    for name in names { add(name) { a throws(Diagnostic) in .tensor(try run(a)) } }
  }

  mutating func tensors(
    _ names: String..., run: @escaping @Sendable (ConformanceArguments) throws(Diagnostic) -> [Tensor]
  ) {
    for name in names { add(name) { a throws(Diagnostic) in .list(try run(a).map { .tensor($0) }) } }
  }

  mutating func unary(_ names: String..., run: @escaping @Sendable (Tensor) -> Tensor) {
    for name in names { tensor(name) { a throws(Diagnostic) in run(try a.tensor(0)) } }
  }

  /// Where the second operand may be a number: one stays what it is, no 0-d tensor of its own dtype.
  mutating func either(_ names: String..., run: @escaping @Sendable (Tensor, any TensorOrScalar) -> Tensor) {
    for name in names {
      tensor(name) { a throws(Diagnostic) in
        guard let second = a.tensorOrNumber(1, "other") else { return run(try a.tensor(0), try a.tensor(1, "other")) }
        return run(try a.tensor(0), second)
      }
    }
  }

  /// `number`: where the second operand is a number, which is no 0-d tensor.
  mutating func binary(
    _ names: String..., number: (@Sendable (Tensor, Number) -> Tensor)? = nil,
    run: @escaping @Sendable (Tensor, Tensor) -> Tensor
  ) {
    for name in names {
      tensor(name) { a throws(Diagnostic) in
        if let number, let second = a.number(1, "other") { return number(try a.tensor(0), second) }
        return run(try a.tensor(0), try a.tensor(1, "other"))
      }
    }
  }
}
