// Smaller programs: each function here makes one change that may keep a failure. Not a search: `Reducer` decides.
// Surprise: a step that is taken away leaves its first operand in its place, so that later steps still have theirs.
import TensorTypes

extension FunctionCase {
  /// All programs that are one step smaller, the largest steps first.
  var smaller: [FunctionCase] {
    var made: [FunctionCase] = []
    func add(_ change: (inout FunctionCase) -> Void) {
      var copy = self
      change(&copy)
      made.append(copy.cleaned())
    }
    for i in calls.indices where calls.count > 1 { add { $0.calls.remove(at: i) } }
    for i in results.indices where results.count > 1 { add { $0.results.remove(at: i) } }
    for i in steps.indices.reversed() {
      for operand in steps[i].arguments where isValue(operand) { add { $0.replace(i, by: operand) } }
    }
    for result in results.indices {
      for step in steps where step.name == results[result] {
        for operand in step.arguments where isValue(operand) { add { $0.results[result] = operand } }
      }
    }
    for i in constants.indices {
      if constants[i].view != .whole { add { $0.constants[i].view = .whole } }
      for form in shorter(constants[i].type) { add { $0.constants[i].type = form } }
    }
    for i in state.indices { for form in shorter(state[i]) { add { $0.state[i] = form } } }
    for c in calls.indices {
      for a in calls[c].arguments.indices {
        let argument = calls[c].arguments[a]
        if argument.wrapping != .plain { add { $0.calls[c].arguments[a].wrapping = .plain } }
        for form in shorter(argument.type) { add { $0.calls[c].arguments[a].type = form } }
      }
      for s in calls[c].sizes.indices {
        for size in [0, 1, calls[c].sizes[s] / 2] { add { $0.calls[c].sizes[s] = size } }
      }
    }
    // One extent everywhere, where single changes do not fit.
    for extent in Set(calls.flatMap { $0.arguments.flatMap(\.type.extents) }).sorted(by: >) where extent > 1 {
      for less in [1, 2, extent / 2, extent - 1] where less > 0 && less < extent {
        add { copy in copy.mapForms { form in form.extents.map { $0 == extent ? less : $0 } } }
      }
    }
    if calls.contains(where: { $0.arguments.contains { $0.type.dtype != .f32 } }) {
      add { copy in
        for c in copy.calls.indices {
          for a in copy.calls[c].arguments.indices { copy.calls[c].arguments[a].type.dtype = .f32 }
        }
      }
    }
    return made.filter { $0.weight < weight }
  }

  private func isValue(_ name: String) -> Bool {
    guard let first = name.first, "avcs".contains(first) else { return false }
    return name.dropFirst().allSatisfy(\.isNumber) && name.count > 1
  }

  private mutating func replace(_ i: Int, by operand: String) {
    let name = steps[i].name
    steps.remove(at: i)
    func moved(_ word: String) -> String {
      if word == name { return operand }
      return word.hasPrefix(name + ".") ? operand + word.dropFirst(name.count) : word
    }
    for s in steps.indices { steps[s].arguments = steps[s].arguments.map(moved) }
    results = results.map(moved)
  }

  private mutating func mapForms(_ extents: (TensorForm) -> [Int]) {
    for i in constants.indices { constants[i].type.extents = extents(constants[i].type) }
    for i in state.indices { state[i].extents = extents(state[i]) }
    for c in calls.indices {
      for a in calls[c].arguments.indices {
        calls[c].arguments[a].type.extents = extents(calls[c].arguments[a].type)
      }
    }
  }

  private func shorter(_ form: TensorForm) -> [TensorForm] {
    var made: [TensorForm] = []
    func with(_ change: (inout TensorForm) -> Void) {
      var copy = form
      change(&copy)
      made.append(copy)
    }
    for axis in form.extents.indices {
      with { $0.extents.remove(at: axis) }
      for less in [1, 2, form.extents[axis] / 2, form.extents[axis] - 1] where less >= 0 && less < form.extents[axis] {
        with { $0.extents[axis] = less }
      }
    }
    if form.dtype != .f32 { with { $0.dtype = .f32 } }
    return made
  }

  /// Without what nothing reads.
  func cleaned() -> FunctionCase {
    var made = self
    let live = liveSteps()
    made.steps = steps.indices.filter { live.contains($0) }.map { steps[$0] }
    let words = Set(made.steps.flatMap(\.arguments) + results)
    func isRead(_ name: String) -> Bool { words.contains { $0 == name || $0.hasPrefix(name + ".") } }
    made.constants = constants.filter { isRead($0.name) }
    // Only from the end: names are places.
    while !made.state.isEmpty, !isRead("s\(made.state.count - 1)") { made.state.removeLast() }
    while let first = made.calls.first, first.arguments.count > 1, !isRead("a\(first.arguments.count - 1)") {
      for c in made.calls.indices { made.calls[c].arguments.removeLast() }
    }
    while let first = made.calls.first, !first.sizes.isEmpty,
      !words.contains(where: { $0.hasPrefix("n\(first.sizes.count - 1)") })
    {
      for c in made.calls.indices { made.calls[c].sizes.removeLast() }
    }
    return made
  }

  private var weight: Int {
    func size(_ form: TensorForm) -> Int {
      form.extents.reduce(form.extents.count * 10) { $0 + min($1, 99) } + (form.dtype == .f32 ? 0 : 5)
    }
    var total = steps.count * 10_000 + calls.count * 5_000 + results.count * 4_000 + constants.count * 3_000
    total += state.count * 3_000 + constants.reduce(0) { $0 + size($1.type) + ($1.view == .whole ? 0 : 20) }
    total += state.reduce(0) { $0 + size($1) }
    for call in calls {
      total += call.sizes.reduce(call.sizes.count * 500) { $0 + min(abs($1), 99) }
      for argument in call.arguments {
        total += 500 + size(argument.type) + (argument.wrapping == .plain ? 0 : 100)
      }
    }
    return total
  }
}
