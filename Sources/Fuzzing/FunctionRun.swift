// Runs a program eagerly and compiled, call after call, and compares results and state.
// Not against the reference interpreter: eager operations are that here, and graph cases hold them against it.
// Surprise: what rounding decides is not compared: every value knows whether it is whole, rounded or anything.
import Basics
import Capture
import TensorTypes
import Tensors

struct FunctionRun {
  let program: FunctionCase

  /// How much is known of a value.
  private enum Knowledge: Int, Comparable {
    case exact, rounded, anything
    static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
  }

  private struct Expected {
    /// nil: the call is an error.
    var results: [Tensor]?
    var mistake: Diagnostic?
    /// The mistake is in a step that nothing needs, which a plan may leave out; or in elements that maybe no result needs.
    var mayPass = false
    var knowledge: [Knowledge] = []
    var state = FunctionState(members: [])
    var stateKnowledge: [Knowledge] = []
  }

  func outcome(_ ways: [Way]) -> Outcome {
    var function = FunctionBody(program)
    function.skipped = skippedSteps(function)
    if function.skipped.count == program.steps.count { return .skipped("the first call takes no step") }
    let expected = expectations(function)
    if expected.allSatisfy({ $0.results == nil }) { return .skipped(expected[0].mistake?.message ?? "no calls") }
    for way in ways {
      switch way {
      case .captured: if let found = finding(way, function, expected, isReversed: false) { return .finding(found) }
      case .separate, .symbolic:
        if let found = finding(way, function, expected, isReversed: way == .symbolic) { return .finding(found) }
      case .compiled, .eager, .passes, .reference: continue
      }
    }
    return .agrees
  }

  // MARK: Eager

  /// Operations that the first call takes.
  var operationsTaken: Set<String> {
    let skipped = skippedSteps(FunctionBody(program))
    return Set(program.steps.indices.filter { !skipped.contains($0) }.map { program.steps[$0].operation })
  }

  private func skippedSteps(_ function: FunctionBody) -> Set<Int> {
    var skipped: Set<Int> = []
    var state = program.firstState
    var values = function.begin(program.input(0), state)
    for (i, step) in program.steps.enumerated() {
      var result: Tensor?
      do throws(Diagnostic) {
        let made = try values.result(of: step)
        // What grows without bounds is no use.
        if made.failure == nil, try made.view.elementCount <= 4096 { result = made }
      } catch {}
      if result == nil { skipped.insert(i) }
      values.put(result ?? values.stand(for: step), step, &state, isSkipped: result == nil)
    }
    return skipped
  }

  private func expectations(_ function: FunctionBody) -> [Expected] {
    var state = program.firstState
    var stateKnowledge = state.members.map { knowledge($0, .exact) }
    let live = program.liveSteps(skipping: function.skipped)
    var made: [Expected] = []
    for number in program.calls.indices {
      var expected = Expected()
      var after = state
      var known: [String: Knowledge] = [:]
      var reached = -1
      for (i, level) in stateKnowledge.enumerated() { known["s\(i)"] = level }
      let input = program.input(number)
      let beginning = function.begin(input, state)
      for (name, tensor) in beginning.tensors where known[name] == nil { known[name] = knowledge(tensor, .exact) }
      do {
        expected.results = try function(input, &after) { i, tensor in
          reached = i
          let step = program.steps[i]
          var level = step.arguments.compactMap { known[$0] }.max() ?? .exact
          if function.skipped.contains(i) { level = step.arguments.lazy.compactMap { known[$0] }.first ?? .exact }
          if !function.skipped.contains(i) { level = behind(FunctionRule.exactness(step.operation), level) }
          known[step.name] = knowledge(tensor, level)
          if step.operation.hasPrefix("put"), let target = step.arguments.first, target.hasPrefix("s"),
            !function.skipped.contains(i)
          {
            known[target] = known[step.name]
          }
        }
        expected.knowledge = program.results.filter { known[$0] != nil }.map { known[$0] ?? .anything }
        state = after
        stateKnowledge = state.members.indices.map { known["s\($0)"] ?? .anything }
      } catch {
        expected.mistake = error as? Diagnostic
        let isInElements = expected.mistake.map { $0.kind == .index || $0.kind == .numerics } ?? false
        expected.mayPass =
          !live.contains(reached + 1) || isInElements && mayTakePart(of: reached + 1, function, input, state)
      }
      (expected.state, expected.stateKnowledge) = (state, stateKnowledge)
      made.append(expected)
    }
    return made
  }

  /// Whether something behind `step` may be made of only some of its elements, of none, or has none at all: a plan computes
  /// those that results need. The steps behind are taken with something else in its place; where they cannot be, nobody knows.
  private func mayTakePart(
    of step: Int, _ function: FunctionBody, _ input: FunctionInput, _ state: FunctionState
  ) -> Bool {
    func count(_ tensor: Tensor?) -> Int { tensor.flatMap { try? $0.view.elementCount } ?? 1 }
    let beginning = function.begin(input, state).tensors
    var (after, known, mayBePart) = (state, beginning, false)
    // The most elements that broadcasting can give.
    var most = 0
    var without = function
    without.skipped.insert(step)
    let results = try? without(input, &after) { i, tensor in
      if i == step { most = program.steps[i].arguments.reduce(1) { $0 * count(known[$1]) } }
      if i > step, count(tensor) < most { mayBePart = true }
      known[program.steps[i].name] = tensor
    }
    if mayBePart || beginning.values.contains(where: { count($0) == 0 }) { return true }
    guard let results else { return true }
    // Other elements give the same: the order of one element is no question of what it is.
    var (altered, afterOther) = (without, state)
    altered.altered.insert(step)
    guard let others = try? altered(input, &afterOther) else { return true }
    return zip(results + after.members, others + afterOther.members).allSatisfy { areEqual($0, $1) }
  }

  private func areEqual(_ a: Tensor, _ b: Tensor) -> Bool {
    guard a.shape == b.shape, let x = try? numbers(a), let y = try? numbers(b) else { return false }
    return zip(x, y).allSatisfy { $0 == $1 || $0.isNaN && $1.isNaN }
  }

  private func behind(_ exactness: FunctionRule.Exactness, _ level: Knowledge) -> Knowledge {
    switch exactness {
    case .exact: level
    case .rounded: max(level, .rounded)
    case .choice: level == .exact ? .exact : .anything
    }
  }

  /// Half floats round early, large numbers somewhere.
  private func knowledge(_ tensor: Tensor, _ level: Knowledge) -> Knowledge {
    switch tensor.dtype {
    case .f16, .bf16, .f8e4m3fn, .f8e5m2: return max(level, .rounded)
    case .f32, .f64:
      guard level == .exact, let values = try? tensor.converted(to: .f64).array(as: Double.self) else { return level }
      return values.contains { abs($0) > 1e5 || $0 != $0.rounded() && !$0.isNaN } ? .rounded : level
    case .bool, .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64: return level
    }
  }

  // MARK: Compiled

  private func finding(_ way: Way, _ function: FunctionBody, _ expected: [Expected], isReversed: Bool) -> Finding? {
    let dynamic: DynamicShapes = way == .symbolic ? .all : .automatic
    let compiled = compile(
      updating: FunctionState.self, dynamic: dynamic, maxRecompiles: 64, fuses: way != .separate
    ) { (state: inout FunctionState, input: FunctionInput) in try function(input, &state) }
    // Calls without a state depend on nothing before them.
    let isFree = program.state.isEmpty
    let order = isReversed && isFree ? Array(program.calls.indices.reversed()) : Array(program.calls.indices)
    var state = program.firstState
    for number in order {
      let wanted = expected[number]
      do {
        let results = try compiled(&state, program.input(number))
        guard let all = wanted.results else {
          if wanted.mayPass { return nil }
          return Finding(
            .differs, way, "call \(number) gives a value, eagerly it is an error: \(wanted.mistake?.message ?? "")")
        }
        for (i, result) in results.enumerated() {
          if let text = difference(result, all[i], wanted.knowledge[i], number, i, function) {
            return Finding(.differs, way, "call \(number), result \(program.results[i]): \(text)")
          }
        }
      } catch {
        let mistake = error as? Diagnostic
        if wanted.results != nil { return Finding(.throwing, way, "call \(number): \(error)") }
        if mistake?.kind == .compiler, wanted.mistake?.kind != .compiler {
          return Finding(
            .throwing, way, "call \(number): \(error), and eagerly: \(wanted.mistake.map { "\($0)" } ?? "no error")")
        }
      }
      for (i, member) in state.members.enumerated() {
        if let text = difference(member, wanted.state.members[i], wanted.stateKnowledge[i], number, nil, function) {
          return Finding(.differs, way, "call \(number), state s\(i): \(text)")
        }
      }
    }
    return nil
  }

  /// How `actual` differs from `wanted`; nil: not more than machines may.
  private func difference(
    _ actual: Tensor, _ wanted: Tensor, _ knowledge: Knowledge, _ call: Int, _ result: Int?, _ function: FunctionBody
  ) -> String? {
    if let failure = actual.failure { return "it is a failed tensor: \(failure.message)" }
    if actual.dtype != wanted.dtype { return "it is \(actual.dtype), eagerly \(wanted.dtype)" }
    if actual.shape != wanted.shape { return "its shape is \(actual.shape), eagerly \(wanted.shape)" }
    if knowledge == .anything { return nil }
    guard let (a, b) = try? (numbers(actual), numbers(wanted)) else { return "its elements cannot be read" }
    let scale = b.reduce(1) { $1.isFinite ? max($0, abs($1)) : $0 }
    var wide: [Double]??
    for (place, (x, y)) in zip(a, b).enumerated() {
      if x == y || x.isNaN && y.isNaN { continue }
      if knowledge == .rounded {
        guard x.isFinite, y.isFinite else { continue }
        let tolerance = Self.tolerance(actual.dtype)
        if abs(x - y) <= tolerance * (1 + abs(y)) + tolerance * scale * 0.1 { continue }
        // How far rounding reaches in this program tells the same program in f64.
        if wide == nil { wide = .some(widened(call, result, function)) }
        if case .some(.some(let wide)) = wide, wide.count == b.count {
          if !wide[place].isFinite || abs(x - y) <= 64 * abs(wide[place] - y) { continue }
        }
      }
      return "element \(place) of \(b.count) is \(x), eagerly \(y)"
    }
    return nil
  }

  private static func tolerance(_ dtype: DType) -> Double {
    switch dtype {
    case .f8e5m2: 0.5
    case .f8e4m3fn: 0.3
    case .bf16: 0.15
    case .f16: 0.03
    case .f32, .f64, .bool, .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64: 2e-3
    }
  }

  private func numbers(_ tensor: Tensor) throws -> [Double] {
    if tensor.dtype == .i64 { return try tensor.array(as: Int.self).map { Double($0) } }
    return try tensor.converted(to: .f64).array(as: Double.self)
  }

  /// The elements of a result with every float of the call in f64.
  private func widened(_ call: Int, _ result: Int?, _ function: FunctionBody) -> [Double]? {
    guard let result, program.state.isEmpty else { return nil }
    func wide(_ form: FunctionCase.TensorForm) -> FunctionCase.TensorForm {
      form.dtype.category == .floating ? .init(dtype: .f64, extents: form.extents) : form
    }
    var program = program
    for i in program.constants.indices { program.constants[i].type = wide(program.constants[i].type) }
    var input = program.input(call)
    input.arguments = program.calls[call].arguments.enumerated().map { i, argument in
      let tensor = program.tensor("a\(i) \(argument.type)", argument.type)
      let isFloating = argument.type.dtype.category == .floating
      return WrappedTensor(isFloating ? tensor.converted(to: .f64) : tensor, argument.wrapping, call: call)
    }
    var wider = FunctionBody(program)
    wider.skipped = function.skipped
    var state = program.firstState
    guard let results = try? wider(input, &state), results.indices.contains(result) else { return nil }
    return try? numbers(results[result])
  }
}
