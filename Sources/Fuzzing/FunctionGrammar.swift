// How calls of the library's operations are drawn: which arguments each takes. What an operation does is in the table that
// recorded cases run through; here is only how to write a call. Surprise: arguments need not fit: a call that the operation
// refuses is left out, and one that only later calls refuse must be refused by a plan as well.
import Conformance
import GraphIR
import RandomGraphs
import TensorTypes

/// A way to call one operation.
struct FunctionRule {
  /// How exact the results of correct machines are.
  enum Exactness {
    /// Whole numbers stay whole.
    case exact
    /// Rounded: machines differ in the last places.
    case rounded
    /// A choice: rounded operands may give anything.
    case choice
  }
  var operation: String
  /// x: a value, b: a mask, i: an axis, n: a small number, k: 0...3, f: a float, t: true or false, s: a size.
  var arguments: String
  var exactness: Exactness

  static let all: [FunctionRule] =
    rules(.exact, "xx", "add sub mul maximum minimum rsub")
    + rules(.exact, "x", "neg abs square relu t mT ravel clone atleast_2d sum prod amax amin T fliplr")
    + rules(
      .exact, "xi", "sum amax amin cumsum unsqueeze unsqueeze_copy squeeze flip prod diff select_first cummax_values")
    + rules(.exact, "xit", "sum amax amin")
    + rules(.exact, "xx", "matmul outer kron expand_as dot mm mv inner")
    + rules(.exact, "xn", "add mul sub clamp_min clamp_max tril triu diagonal")
    + rules(.exact, "xii", "transpose swapaxes flatten movedim diagonal_axes")
    + rules(.exact, "xik", "narrow_to select index_one unflatten_")
    + rules(.exact, "xki", "roll repeat_interleave")
    + rules(.exact, "xikk", "narrow slice_step unfold")
    + rules(.exact, "xk", "repeat tile reshape_front reshape_back expand_front pad_last pad_first")
    + rules(.exact, "xxi", "cat stack")
    + rules(.exact, "bxx", "where")
    + rules(.exact, "xbn", "masked_fill")
    + rules(.exact, "xs", "part rest at windows_of expanded_to reshaped_to")
    + rules(.exact, "xss", "between")
    + rules(.exact, "xx", "matched put add_at")
    + rules(.exact, "xxs", "put_range")
    + rules(.rounded, "x", "gelu silu mean var std sqrt rsqrt softplus logsumexp " + functions)
    + rules(.rounded, "xi", "softmax log_softmax mean logsumexp var std logcumsumexp softmin")
    + rules(.rounded, "xit", "mean logsumexp")
    + rules(.rounded, "xx", "div hypot logaddexp pow norm_like")
    + rules(.rounded, "xf", "div mul add pow leaky_relu")
    + rules(.rounded, "x", "layer_norm_last norm")
    + rules(.choice, "x", "floor ceil round trunc sign argmax isnan logical_not median argsort sort_values any all")
    + rules(.choice, "xi", "argmax argmin argsort sort_values median_values any all")
    + rules(.choice, "xx", "eq lt ge floor_divide remainder fmod ne logical_and gather_wrapped")
    + rules(.choice, "xn", "eq gt floor_divide remainder")
    + rules(.choice, "xxi", "index_wrapped take_along_wrapped")
    + rules(.choice, "x", "to_int to_half to_double to_bool")

  /// The records of one operand that machines round differently, where PyTorch has the name too.
  private static let functions = RandomGraph.pointwise.filter { primitive in
    guard (try? primitive.resultType([TensorType(.f32, [])])) != nil else { return false }
    return primitive.scalarProgram(operandDTypes: [.f32])?.isExactEverywhere == false
  }.map(\.name).filter(Set(ConformanceTable.shared.names).contains).joined(separator: " ")

  private static func rules(_ exactness: Exactness, _ arguments: String, _ names: String) -> [FunctionRule] {
    names.split(separator: " ").map { FunctionRule(operation: String($0), arguments: arguments, exactness: exactness) }
  }

  static func exactness(_ operation: String) -> Exactness {
    let all = all.filter { $0.operation == operation }.map(\.exactness)
    return all.contains(.choice) ? .choice : all.contains(.rounded) ? .rounded : .exact
  }
}

extension FunctionCase {
  /// Case `number` of `seed`.
  package static func random(seed: Int, number: Int) -> FunctionCase {
    var random = SeededGenerator(seed: seed, name: "program \(number)")
    var made = FunctionCase(seed: Int(truncatingIfNeeded: random.next() >> 33))
    let arguments = 1 + random.below(3)
    let sizes = random.once(in: 2) ? 1 + random.below(2) : 0
    for i in 0..<random.below(4) {
      made.constants.append(
        Constant(
          name: "c\(i)", origin: random.pick(Origin.allCases), type: form(&random, made.extents(&random)),
          view: random.pick(View.allCases)))
    }
    for _ in 0..<(random.once(in: 3) ? 1 + random.below(2) : 0) {
      made.state.append(form(&random, made.extents(&random)))
    }
    made.calls = drawCalls(arguments, sizes, &random)
    made.addSteps(arguments, sizes, &random)
    return made
  }

  private static let usual = [1, 2, 2, 3, 3, 3, 4, 5, 7, 8, 9]

  private func extents(_ random: inout SeededGenerator) -> [Int] {
    let rank = random.pick([0, 1, 1, 2, 2, 2, 3, 4])
    return (0..<rank).map { _ in random.once(in: 20) ? 0 : random.pick(rank > 2 ? [1, 2, 2, 3] : Self.usual) }
  }

  private static func form(_ random: inout SeededGenerator, _ extents: [Int]) -> TensorForm {
    TensorForm(dtype: random.once(in: 3) ? random.pick(DType.allCases) : .f32, extents: extents)
  }

  /// The first call, others with other sizes, dtypes or ranks, and the first once more.
  private static func drawCalls(_ arguments: Int, _ sizes: Int, _ random: inout SeededGenerator) -> [Call] {
    let blank = FunctionCase(seed: 0)
    // Arguments often share extents, so that they meet.
    let shared = blank.extents(&random)
    let first = Call(
      arguments: (0..<arguments).map { _ in
        Argument(
          type: form(&random, random.once(in: 3) ? blank.extents(&random) : shared),
          wrapping: random.once(in: 3) ? random.pick(Wrapping.allCases) : .plain)
      }, sizes: (0..<sizes).map { _ in random.pick([0, 1, 1, 2, 3, 4, 5, 8]) })
    var calls = [first]
    for _ in 0..<(1 + random.below(3)) {
      var call = random.pick(calls)
      call.sizes = call.sizes.map { random.once(in: 3) ? $0 : random.pick([0, 1, 2, 3, 5, 7, 12, -1]) }
      // The same extent everywhere becomes the same other one.
      let old = random.pick(call.arguments.flatMap(\.type.extents) + [3])
      let new = random.pick([0, 1, 2, 3, 5, 6, 8, 12, 33])
      for i in call.arguments.indices {
        switch random.below(8) {
        case 0: call.arguments[i].type.dtype = random.pick(DType.allCases)
        case 1: call.arguments[i].type.extents = blank.extents(&random)
        case 2: call.arguments[i].wrapping = random.pick(Wrapping.allCases)
        case _: call.arguments[i].type.extents = call.arguments[i].type.extents.map { $0 == old ? new : $0 }
        }
      }
      // Products of what is larger would take all time and memory there is.
      if call.arguments.allSatisfy({ $0.type.extents.reduce(1, *) <= 4096 }) { calls.append(call) }
    }
    return calls + [first]
  }

  private mutating func addSteps(_ arguments: Int, _ sizes: Int, _ random: inout SeededGenerator) {
    let given = (0..<arguments).map { "a\($0)" }
    let members = state.indices.map { "s\($0)" }
    var values = given + given + members + constants.map(\.name)
    let rules = FunctionRule.all
    for number in 0..<(1 + random.below(12)) {
      let rule = random.pick(rules)
      if rule.arguments.contains("s"), sizes == 0, random.below(4) != 0 { continue }
      func value() -> String { random.once(in: 2) ? random.pick(values) : random.pick(Array(values.suffix(3))) }
      var drawn: [String] = []
      for kind in rule.arguments {
        switch kind {
        case "x", "b": drawn.append(value())
        case "i": drawn.append("\(random.pick([-1, -1, -2, 0, 0, 1]))")
        case "n": drawn.append("\(random.below(5) - 2)")
        case "k": drawn.append("\(random.below(4))")
        case "f": drawn.append(random.pick(["0.5", "2.0", "-1.5", "3.0"]))
        case "t": drawn.append(random.pick(["true", "false"]))
        case _: drawn.append(size(sizes, values, &random))
        }
      }
      // The target of a write is a member of the state, if there is one.
      if rule.operation.hasPrefix("put") || rule.operation == "add_at",
        let member = members.randomElement(using: &random)
      {
        drawn[0] = member
      }
      steps.append(Step(name: "v\(number)", operation: rule.operation, arguments: drawn))
      values.append("v\(number)")
    }
    results = Array(Set((0..<(1 + random.below(3))).map { _ in random.pick(Array(values.suffix(4))) })).sorted()
  }

  /// A size argument, an extent of a value, either of them a little larger, or a number.
  private func size(_ sizes: Int, _ values: [String], _ random: inout SeededGenerator) -> String {
    let base: String
    switch random.below(4) {
    case 0, 1: base = sizes > 0 ? "n\(random.below(sizes))" : "\(random.pick(values)).0"
    case 2: base = "\(random.pick(values)).\(random.pick([0, 0, -1]))"
    case _: base = "\(random.below(4))"
    }
    return base + random.pick(["", "", "", "+1", "-1", "*2"])
  }
}
