// Compiled loops against eager ones: states of all kinds, aliases, views, and random programs of loops. Not speed.
import Basics
import Capture
import TensorTypes
import Tensors
import Testing

/// Arrays, optionals and dictionaries of tensors as a state.
private struct Bundle: Tree {
  var list: [Tensor]
  var named: [String: Tensor] = [:]
  var maybe: Tensor?
  var position: Dim = 0
  mutating func visit(_ v: inout Visitor) {
    v("list", &list)
    v("named", &named)
    v("maybe", &maybe)
    v("position", &position)
  }
}

private func floats(_ shape: [Int], seed: Int = 0) -> Tensor {
  let count = shape.reduce(1, *)
  return Tensor((0..<count).map { Float((($0 + seed) * 37) % 23) * 0.1 - 1 }, shape: shape)
}

private func agree(
  _ what: String, _ arguments: [Tensor], _ body: @escaping @Sendable ([Tensor]) throws -> [Tensor]
) throws {
  let f = compile(mode: .whole) { (xs: [Tensor]) in try body(xs) }
  let eager = try body(arguments)
  for call in 1...2 {
    let compiled = try f(arguments)
    #expect(compiled.count == eager.count)
    for (i, (a, b)) in zip(compiled, eager).enumerated() {
      #expect(a.dtype == b.dtype && a.shape == b.shape, "\(what), result \(i), call \(call)")
      let (x, y) = (try a.array(as: Double.self), try b.array(as: Double.self))
      // Products and sums in another order.
      let isClose = zip(x, y).allSatisfy { abs($0 - $1) <= 1e-4 * max(1, abs($1)) || ($0.isNaN && $1.isNaN) }
      #expect(isClose, "\(what), result \(i), call \(call): \(x) and \(y)")
    }
  }
  #expect(f.planCount == 1)
}

@Test func states_of_all_kinds_agree() throws {
  let x = floats([2, 3])
  try agree("swapped and shared", [x]) { xs in
    let made = try whileLoop(Bundle(list: [xs[0], xs[0], xs[0] + 1]), while: { $0.list[2].sum() < 40 }) {
      Bundle(list: [$0.list[1], $0.list[0], $0.list[2] + $0.list[1].abs() + 1])
    }
    return made.list + [xs[0]]
  }
  try agree("a dictionary, an optional, a count", [x]) { xs in
    let first = Bundle(list: [], named: ["b": xs[0], "a": xs[0].sum()], maybe: Tensor(true), position: 1)
    let made = try whileLoop(first, while: { $0.maybe ?? Tensor(false) }) { state in
      var next = state
      next.named["a"] = state.named["b"].map { ($0 * Tensor(state.position)).sum() }
      next.maybe = Tensor(state.position) < 9
      next.position += 2
      return next
    }
    return [made.named["a"] ?? xs[0], made.named["b"] ?? xs[0], made.maybe ?? xs[0]]
  }
  try agree("what is outside, and constants", [x]) { xs in
    let outside = xs[0] * 2
    let made = try scan([xs[0], xs[0]], over: Tensor([Float(1), 2, 3])) { state, k in
      ([outside, Tensor([[Float(1), 2, 3], [4, 5, 6]])], state[0] * k + state[1])
    }
    return made.state + [made.results, outside]
  }
  try agree("dtypes", [Tensor([1, 2, 3]), Tensor([true, false])]) { xs in
    try whileLoop([xs[0], xs[1]], while: { $0[0].sum() < 100 }) { [$0[0] * 2, $0[1].logicalNot()] }
  }
}

@Test func views_and_old_values_agree() throws {
  let x = floats([4, 3])
  try agree("over a transposed, a cut and a repeated tensor", [x.transposed(), x]) { xs in
    let a = try map(over: xs[0]) { $0.cumulativeSum(0) }
    let b = try map(over: xs[1][1..<3]) { $0 * 2 }
    let c = try scan(xs[1][0], over: xs[1][0..<1].expanded([5, 3])) { ($0 + $1, $1.sum()) }
    let d = try map(over: xs[1].transposed()) { $0.max() }
    return [a, b, c.state, c.results, d]
  }
  try agree("rows written, and the old rows read beside and behind", [x]) { xs in
    let made = try whileLoop(Bundle(list: [xs[0]]), while: { $0.list[0].sum() < 30 }) { state in
      var rows = state.list[0]
      rows[state.position] = rows[1] + xs[0][0] + 2
      return Bundle(list: [rows], position: (state.position + 1) % 4)
    }
    return [made.list[0], xs[0], made.list[0] - xs[0]]
  }
  try agree("what a loop starts from is used behind it", [x]) { xs in
    let first = (xs[0] * 2).abs()
    let sums = try whileLoop(first, while: { $0.sum() < 500 }) { $0 * 2 }
    let written = try whileLoop(Bundle(list: [first]), while: { $0.list[0].sum() < 90 }) { state in
      var rows = state.list[0]
      rows[state.position % 4] = rows[state.position % 4] + 7
      return Bundle(list: [rows], position: state.position + 1)
    }
    return [sums, first, written.list[0], first - sums]
  }
  try agree("one length", [floats([1, 3])]) { xs in [try map(over: xs[0]) { $0 + 1 }] }
  try agree("nothing in the elements", [Tensor.zeros([3, 0])]) { xs in [try map(over: xs[0]) { $0 + 1 }] }
  try agree("loops in steps", [x]) { xs in
    let made = try scan(xs[0][0], over: xs[0]) { state, row in
      let inner = try scan(state, over: row) { ($0 * 0.5 + $1, $0.sum() + $1) }
      return (inner.state, inner.results + row)
    }
    return [made.state, made.results]
  }
}

@Test func no_elements_are_the_same_error() throws {
  let f = compile(mode: .whole) { (x: Tensor) in try map(over: x) { $0 + 1 } }
  for run in [{ try map(over: Tensor.zeros([0, 2])) { $0 + 1 } }, { try f(Tensor.zeros([0, 2])) }] {
    let error = #expect(throws: Diagnostic.self) { try run() }
    #expect(error?.message.contains("no elements") == true)
  }
  let scalar = #expect(throws: Diagnostic.self) { try f(Tensor(1.0)) }
  #expect(scalar?.message.contains("no first axis") == true && scalar?.place != nil)
}

@Test func a_wrong_operation_in_a_body_names_its_line() throws {
  let f = compile(mode: .whole) { (x: Tensor) in
    try whileLoop(x, while: { $0.sum() < 9 }) {
      $0.matmul(Tensor.zeros([7, 7]))
    }
  }
  let line = #line - 3
  let error = #expect(throws: Diagnostic.self) { try f(floats([2, 3])) }
  #expect(error?.place?.line == UInt(line) && error?.message.contains("[7, 7]") == true)
  let number = compile(mode: .whole) { (x: Tensor) in
    try whileLoop(Numbered(x: x, trip: 0), while: { $0.x.sum() < 9 }) { Numbered(x: $0.x + 1, trip: $0.trip + 1) }.x
  }
  let refused = #expect(throws: Diagnostic.self) { try number(floats([2, 3])) }
  #expect(refused?.message.contains("'trip'") == true && refused?.remedy?.contains("a tensor or a Dim") == true)
}

private struct Numbered: Tree {
  var x: Tensor
  var trip: Int
  mutating func visit(_ v: inout Visitor) {
    v("x", &x)
    v("trip", &trip)
  }
}

// MARK: Random programs

/// A small generator of choices, equal in every process.
private struct Choices {
  var state: UInt64
  mutating func next(_ count: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int((state >> 33) % UInt64(count))
  }
}

/// Program number `seed` on three tensors [3, 4]: steps that combine, move, write rows of, loop over and choose between them.
@Sendable private func randomProgram(_ seed: Int, _ given: [Tensor]) throws -> [Tensor] {
  func mixed(_ choices: inout Choices, _ xs: [Tensor], _ position: Dim, _ depth: Int) throws -> [Tensor] {
    var xs = xs
    for _ in 0..<1 + choices.next(3) {
      let (i, j) = (choices.next(3), choices.next(3))
      switch choices.next(depth > 0 ? 9 : 6) {
      case 0: xs[i] = xs[i] * 0.5 + xs[j]
      case 1: xs[i] = (xs[j].sum(1, keepDims: true) * 0.25 + given[i]).tanh()
      case 2: xs.swapAt(i, j)
      case 3: xs[i][position % 3] = xs[j][1] - given[i][0]
      case 4: xs[i] = xs[j].matmul(given[i].transposed()).matmul(given[j]) * 0.1
      case 5: xs[i] = xs[j].softmax()
      case 6:
        let inner = choices
        let limit = Double(2 + choices.next(4))
        let first = Bundle(list: xs + [Tensor(0)], position: position)
        xs = Array(
          try whileLoop(first, while: { $0.list[3] < limit }) { state in
            var again = inner
            let next = try mixed(&again, Array(state.list.prefix(3)), state.position, depth - 1)
            return Bundle(list: next + [state.list[3] + 1], position: state.position + 1)
          }.list.prefix(3))
      case 7:
        let inner = choices
        let made = try scan(xs, over: xs[j]) { state, row in
          var again = inner
          var next = try mixed(&again, state, 1, depth - 1)
          next[i] = next[i] + row
          return (next, next[j].sum(0) + row)
        }
        xs = made.state
        xs[i] = xs[i] + made.results * 0.1
      default:
        let (a, b, before) = (choices, choices.next(2), xs)
        xs = try cond(
          before[i].sum() > before[j].sum(),
          {
            var again = a
            return try mixed(&again, before, position, depth - 1)
          }, else: { b == 0 ? before : before.map { $0 - 1 } })
      }
    }
    return xs
  }
  var choices = Choices(state: UInt64(seed) &* 977 &+ 5)
  _ = choices.next(2)
  return try mixed(&choices, given, 1, 2) + given
}

@Test(arguments: 0..<40) func random_programs_of_loops_agree(_ seed: Int) throws {
  try agree("program \(seed)", [0, 5, 9].map { floats([3, 4], seed: $0 + seed) }) { try randomProgram(seed, $0) }
}
