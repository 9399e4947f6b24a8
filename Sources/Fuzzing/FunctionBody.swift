// What a program's steps do: the library's operations by name, parts by sizes, writes, and arguments in every wrapping.
// Not a second implementation: operations are those that recorded cases run through. Surprise: a failed step ends the run,
// as a call of a compiled function does, unless the first run finds out which steps to leave out.
import Basics
import Capture
import Conformance
import TensorTypes
import Tensors

/// An argument: what the function does with it depends on the case, on a number that no visit shows, and on a key.
enum WrappedTensor: Tree {
  case plain(Tensor), negated(Tensor), doubled(Tensor)
  case scaled(Tensor, by: Float)
  case keyed([String: Tensor])
  case missing

  mutating func visit(_ v: inout Visitor) {
    switch self {
    case .plain(var t):
      v("tensor", &t)
      self = .plain(t)
    case .negated(var t):
      v("tensor", &t)
      self = .negated(t)
    case .doubled(var t):
      v("tensor", &t)
      self = .doubled(t)
    case .scaled(var t, let by):
      v("tensor", &t)
      self = .scaled(t, by: by)
    case .keyed(var table):
      v("table", &table)
      self = .keyed(table)
    case .missing: break
    }
  }

  init(_ tensor: Tensor, _ wrapping: FunctionCase.Wrapping, call: Int) {
    switch wrapping {
    case .plain: self = .plain(tensor)
    case .negated: self = .negated(tensor)
    case .doubled: self = .doubled(tensor)
    case .scaled: self = .scaled(tensor, by: Float(2 + call % 2))
    case .keyed: self = .keyed([call % 2 == 0 ? "a" : "longer": tensor])
    case .missing: self = .missing
    }
  }

  var value: Tensor {
    switch self {
    case .plain(let t): t
    case .negated(let t): t.dtype == .bool ? t.logicalNot() : -t
    case .doubled(let t): t + t
    case .scaled(let t, let by): t * by
    case .keyed(let table): table.reduce(Tensor(Float(0))) { $1.value + Double($1.key.count) + $0 }
    case .missing: Tensor(Float(1))
    }
  }
}

struct FunctionInput: Tree {
  var arguments: [WrappedTensor]
  var sizes: [Dim]
  mutating func visit(_ v: inout Visitor) {
    v("arguments", &arguments)
    v("sizes", &sizes)
  }
}

struct FunctionState: Tree {
  var members: [Tensor]
  mutating func visit(_ v: inout Visitor) { v("members", &members) }
}

extension FunctionCase {
  /// A tensor with the elements of `name`.
  func tensor(_ name: String, _ form: TensorForm) -> Tensor {
    Tensor(elements(name, form), shape: form.extents).converted(to: form.dtype)
  }

  func constant(_ constant: Constant) -> Tensor {
    let whole = tensor(constant.name, constant.type)
    switch constant.view {
    case .whole: return whole
    case .transposed: return whole.rank > 1 ? whole.transposed() : whole
    case .strided: return whole.rank > 0 ? whole[indices: [.ellipsis, .slice(nil, nil, by: 2)]] : whole
    case .expanded: return whole.expanded([2] + whole.shape.dims)
    case .sliced: return whole.rank > 0 ? whole[indices: [.slice(1, nil)]] : whole
    case .flattened: return whole.rank > 1 ? whole.transposed().flattened() : whole
    }
  }

  func input(_ number: Int) -> FunctionInput {
    let call = calls[number]
    return FunctionInput(
      arguments: call.arguments.enumerated().map { i, argument in
        WrappedTensor(tensor("a\(i) \(argument.type)", argument.type), argument.wrapping, call: number)
      }, sizes: call.sizes.map { Dim($0) })
  }

  var firstState: FunctionState {
    FunctionState(members: state.enumerated().map { tensor("s\($0)", $1).contiguous() })
  }

  /// Steps that results or the state need. A skipped step hands on its first tensor.
  func liveSteps(skipping skipped: Set<Int> = []) -> Set<Int> {
    var needed = Set(results)
    var live: Set<Int> = []
    for (i, step) in steps.enumerated().reversed() {
      let isSkipped = skipped.contains(i)
      let writes = !isSkipped && step.operation.hasPrefix("put") && step.arguments.first?.hasPrefix("s") == true
      guard writes || needed.contains(step.name) else { continue }
      live.insert(i)
      let read =
        isSkipped
        ? step.arguments.filter { $0.first.map { "acsv".contains($0) } ?? false }.prefix(1) : step.arguments[...]
      for argument in read { needed.insert(String(argument.prefix { $0.isLetter || $0.isNumber })) }
    }
    return live
  }
}

/// A program as a function to be compiled.
struct FunctionBody: Sendable {
  let program: FunctionCase
  private let captured: [String: Tensor]
  /// Steps that the first call cannot take.
  var skipped: Set<Int> = []
  /// Skipped steps that hand on other elements than their first tensor's.
  var altered: Set<Int> = []

  init(_ program: FunctionCase) {
    self.program = program
    var captured: [String: Tensor] = [:]
    for constant in program.constants where constant.origin == .captured {
      captured[constant.name] = program.constant(constant)
    }
    self.captured = captured
  }

  /// Values by name, while the function runs.
  struct Values {
    var tensors: [String: Tensor] = [:]
    var sizes: [Dim] = []
  }

  func begin(_ input: FunctionInput, _ state: FunctionState) -> Values {
    var values = Values(sizes: input.sizes)
    for (i, argument) in input.arguments.enumerated() { values.tensors["a\(i)"] = argument.value }
    for (i, member) in state.members.enumerated() { values.tensors["s\(i)"] = member }
    for constant in program.constants {
      values.tensors[constant.name] = captured[constant.name] ?? program.constant(constant)
    }
    return values
  }

  /// - Parameter observe: hears of every step's result.
  func callAsFunction(
    _ input: FunctionInput, _ state: inout FunctionState, observe: (Int, Tensor) -> Void = { _, _ in }
  ) throws -> [Tensor] {
    var values = begin(input, state)
    // What a wrapping refuses fails a capture, whoever needs it.
    for i in input.arguments.indices { if let failure = values.tensors["a\(i)"]?.failure { throw failure } }
    for (i, step) in program.steps.enumerated() {
      var result = skipped.contains(i) ? values.stand(for: step) : try values.result(of: step)
      if altered.contains(i) { result = result.equal(to: 0).converted(to: result.dtype) }
      if let failure = result.failure { throw failure }
      observe(i, result)
      values.put(result, step, &state, isSkipped: skipped.contains(i))
    }
    var results: [Tensor] = []
    for name in program.results {
      guard let tensor = values.tensors[name] else { continue }
      if let failure = tensor.failure { throw failure }
      results.append(tensor)
    }
    return results
  }
}

extension FunctionBody.Values {
  /// In place of a step that is left out: its first operand.
  func stand(for step: FunctionCase.Step) -> Tensor {
    step.arguments.lazy.compactMap { tensors[$0] }.first ?? Tensor(Float(0))
  }

  mutating func put(_ result: Tensor, _ step: FunctionCase.Step, _ state: inout FunctionState, isSkipped: Bool) {
    tensors[step.name] = result
    guard step.operation.hasPrefix("put"), !isSkipped, let target = step.arguments.first, target.hasPrefix("s"),
      let member = Int(target.dropFirst()), state.members.indices.contains(member)
    else { return }
    state.members[member] = result
    tensors[target] = result
  }

  fileprivate func tensor(_ name: String) throws(Diagnostic) -> Tensor {
    guard let tensor = tensors[name] else { throw Diagnostic(.argument, "there is no value \(name)") }
    return tensor
  }

  fileprivate func number(_ text: String) throws(Diagnostic) -> Int {
    guard let number = Int(text) else { throw Diagnostic(.argument, "\(text) is no number") }
    return number
  }

  /// "n0", "v3.-1" (an extent), "4", each with "+1", "-1" or "*2" behind.
  fileprivate func size(_ text: String) throws(Diagnostic) -> Dim {
    for (suffix, change) in [("+1", { $0 + 1 }), ("-1", { $0 - 1 }), ("*2", { $0 * 2 })] as [(String, (Dim) -> Dim)]
    where text.hasSuffix(suffix) && !text.dropLast(2).isEmpty && text.dropLast(2).last != "." {
      return change(try size(String(text.dropLast(2))))
    }
    if text.hasPrefix("n"), let i = Int(text.dropFirst()), sizes.indices.contains(i) { return sizes[i] }
    if let dot = text.firstIndex(of: "."), let axis = Int(text[text.index(after: dot)...]) {
      return try tensor(String(text[..<dot])).shape[axis]
    }
    return Dim(try number(text))
  }

  /// What a step gives; a failed tensor or an error where it does not fit.
  func result(of step: FunctionCase.Step) throws(Diagnostic) -> Tensor {
    guard step.arguments.count >= 1 else { throw Diagnostic(.argument, "\(step.operation) has no operand") }
    let operands = StepOperands(values: self, text: step.arguments)
    if let part = try operands.part(step.operation) { return part }
    if let written = try operands.written(step.operation) { return written }
    if let moved = try operands.atPositions(step.operation) { return moved }
    if let converted = try operands.converted(step.operation) { return converted }
    return try operands.recorded(step.operation)
  }

  fileprivate func arguments(_ text: [String]) throws(Diagnostic) -> [ConformanceValue] {
    var values: [ConformanceValue] = []
    for word in text {
      if let tensor = tensors[word] {
        values.append(.tensor(tensor))
      } else if let number = Int(word) {
        values.append(.integer(number))
      } else if let number = Double(word) {
        values.append(.number(number))
      } else if word == "true" || word == "false" {
        values.append(.bool(word == "true"))
      } else {
        throw Diagnostic(.argument, "there is no value \(word)")
      }
    }
    return values
  }
}

/// The operands of a step as operations take them: tensors, plain numbers, sizes. An operation that is not among those of
/// a function is nil.
private struct StepOperands {
  let values: FunctionBody.Values
  let text: [String]

  func x(_ i: Int) throws(Diagnostic) -> Tensor { try values.tensor(text[i]) }
  func n(_ i: Int) throws(Diagnostic) -> Int { try values.number(text[i]) }
  func d(_ i: Int) throws(Diagnostic) -> Dim { try values.size(text[i]) }
  /// Whole numbers as positions that most axes have.
  func wrapped(_ i: Int) throws(Diagnostic) -> Tensor { try x(i).converted(to: .i64) % 2 }

  /// As recorded cases call it.
  func named(_ name: String, _ arguments: [ConformanceValue], _ names: [String: ConformanceValue] = [:])
    throws(Diagnostic) -> Tensor
  {
    try ConformanceTable.shared.tensors(name, ConformanceArguments(places: arguments, names: names))[0]
  }

  /// Parts and shapes by sizes of the function, and by numbers.
  func part(_ operation: String) throws(Diagnostic) -> Tensor? {
    switch operation {
    case "part": try x(0)[0..<d(1)]
    case "rest": try x(0)[d(1)..<x(0).shape[0]]
    case "at": try x(0)[d(1)]
    case "between": try x(0)[d(1)..<d(2)]
    case "windows_of": try x(0).windows(0, size: 2, step: 1)[0..<d(1)]
    case "expanded_to": try x(0).expanded([d(1)] + x(0).shape.dims)
    case "reshaped_to": try x(0).reshaped([d(1), -1])
    case "matched": try x(0).shape == x(1).shape ? x(0) + x(1) : x(0) * 100
    case "narrow_to": try x(0).narrowed(n(1), start: 0, count: n(2))
    case "slice_step": try x(0)[indices: [.slice(n(2), nil, by: n(3) + 1)]]
    case "unflatten_": try x(0).reshaped([Dim(n(2)), -1])
    case "reshape_front": try x(0).reshaped([Dim(n(1)), -1])
    case "reshape_back": try x(0).reshaped([-1, Dim(n(1))])
    case "expand_front": try x(0).expanded([Dim(n(1))] + x(0).shape.dims)
    default: nil
    }
  }

  func written(_ operation: String) throws(Diagnostic) -> Tensor? {
    switch operation {
    case "put":
      var written = try x(0)
      written[0] = try x(1)
      return written
    case "put_range":
      var written = try x(0)
      written[0..<(try d(2))] = try x(1)
      return written
    case "add_at": return try x(0).adding(x(1), at: [.tensor(Tensor([0, 0]))])
    default: return nil
    }
  }

  func atPositions(_ operation: String) throws(Diagnostic) -> Tensor? {
    switch operation {
    case "index_one": try named("index_select", [.tensor(x(0)), .integer(n(1)), .tensor(Tensor([n(2)]))])
    case "index_wrapped":
      try named("index_select", [.tensor(x(0)), .integer(n(2)), .tensor(wrapped(1).flattened())])
    case "gather_wrapped": try x(0)[wrapped(1).flattened()]
    case "take_along_wrapped": try named("take_along_dim", [.tensor(x(0)), .tensor(wrapped(1)), .integer(n(2))])
    case "select_first": try named("select", [.tensor(x(0)), .integer(n(1)), .integer(0)])
    case "diagonal_axes": try named("diagonal", [.tensor(x(0)), .integer(0), .integer(n(1)), .integer(n(2))])
    default: nil
    }
  }

  func converted(_ operation: String) throws(Diagnostic) -> Tensor? {
    switch operation {
    case "to_int": try x(0).converted(to: .i32)
    case "to_half": try x(0).converted(to: .f16)
    case "to_double": try x(0).converted(to: .f64)
    case "to_bool": try x(0).converted(to: .bool)
    default: nil
    }
  }

  /// Operations of recorded cases, by their names or by names that say more.
  func recorded(_ operation: String) throws(Diagnostic) -> Tensor {
    switch operation {
    case "pad_last": return try named("constant_pad_nd", [.tensor(x(0)), .list([.integer(n(1)), .integer(1)])])
    case "pad_first":
      return try named(
        "constant_pad_nd", [.tensor(x(0)), .list([.integer(0), .integer(0), .integer(n(1)), .integer(0)])])
    case "layer_norm_last": return try x(0).layerNorm([x(0).shape[-1]])
    case "norm_like": return try x(0).distance(to: x(1))
    case "sort_values": return try named("sort", [.tensor(x(0))] + (text.count > 1 ? [.integer(n(1))] : []))
    case "median_values": return try named("median", [.tensor(x(0)), .integer(n(1))])
    case "cummax_values": return try named("cummax", [.tensor(x(0)), .integer(n(1))])
    case "softmax", "log_softmax", "softmin":
      return try named("nn.functional." + operation, [.tensor(x(0)), .integer(n(1))])
    case "relu", "gelu", "silu", "softplus", "leaky_relu":
      return try named("nn.functional." + operation, values.arguments(text))
    case "where": return try named("where", [.tensor(x(0).converted(to: .bool)), .tensor(x(1)), .tensor(x(2))])
    case "masked_fill":
      return try named("masked_fill", [.tensor(x(0)), .tensor(x(1).converted(to: .bool)), .integer(n(2))])
    case "sum", "amax", "amin", "mean", "logsumexp", "var", "std":
      var names: [String: ConformanceValue] = [:]
      if text.count > 1 { names["dim"] = .integer(try n(1)) }
      if text.count > 2 { names["keepdim"] = .bool(text[2] == "true") }
      return try named(operation, [.tensor(x(0))], names)
    case "cat", "stack": return try named(operation, [.list([.tensor(x(0)), .tensor(x(1))]), .integer(n(2))])
    case let name: return try named(name, values.arguments(text))
    }
  }
}
