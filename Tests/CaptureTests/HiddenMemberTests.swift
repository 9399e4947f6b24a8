// Stored members that no visit shows, wherever a tree goes: arguments, states, results, loops and choices. Not members that
// are compared (TypeShapeTests). Surprise: a tensor may be shown by one member and hidden in another in the same call.
import Basics
import Capture
import TensorTypes
import Tensors
import Testing

private let x = Tensor([1, 2, 3] as [Float])
private let y = Tensor([4, 5, 6] as [Float])
private final class Box: Sendable {
  let w: Tensor
  init(_ w: Tensor) { self.w = w }
}
private struct InObject: Tree {
  var t: Tensor
  var box: Box
  mutating func visit(_ v: inout Visitor) { v("t", &t) }
}
private struct Beside: Tree {
  var t: Tensor
  var h: Tensor
  var k = 0
  mutating func visit(_ v: inout Visitor) { v("t", &t) }
}
private struct InOptional: Tree {
  var t: Tensor
  var h: [Tensor?]
  mutating func visit(_ v: inout Visitor) { v("t", &t) }
}
/// Shows what it computes of its stored tensor.
private struct Scaled: Tree {
  private var stored: Tensor
  var value: Tensor {
    get { stored * 2 }
    set { stored = newValue / 2 }
  }
  init(_ value: Tensor) { stored = value / 2 }
  mutating func visit(_ v: inout Visitor) { v("value", &value) }
}

private func expectRefused(_ member: String, _ body: () throws -> Void, line: Int = #line) {
  let place = SourceLocation(fileID: #fileID, filePath: #filePath, line: line, column: 1)
  let thrown = #expect(throws: Diagnostic.self, sourceLocation: place) { try body() }
  #expect(thrown?.message.contains("does not show the tensor '\(member)'") == true, sourceLocation: place)
  #expect(thrown?.location?.file.contains("HiddenMemberTests") == true, sourceLocation: place)
}

@Test func a_hidden_tensor_is_refused_also_where_another_member_shows_it() throws {
  let object = compile { (m: InObject) in m.t * m.box.w }
  let beside = compile { (m: Beside) in m.t * m.h }
  let nested = compile { (m: [InOptional]) in m[0].t * (m[0].h[0] ?? m[0].t) }
  let state = compile(updating: Beside.self) { (s: inout Beside) in s.t * s.h }
  for shared in [true, false] {
    expectRefused("box.w") { _ = try object(InObject(t: x, box: Box(shared ? x : y))) }
    expectRefused("h") { _ = try beside(Beside(t: x, h: shared ? x : y)) }
    expectRefused("h.0") { _ = try nested([InOptional(t: x, h: [shared ? x : y])]) }
    var s = Beside(t: x, h: shared ? x : y)
    expectRefused("h") { _ = try state(&s) }
  }
}

@Test func what_a_visit_shows_by_computing_it_is_not_hidden() throws {
  let f = compile { (m: Scaled) in m.value + 1 }
  let g = compile(updating: Scaled.self) { (s: inout Scaled, x: Tensor) in s.value = s.value + x }
  let h = compile { (x: Tensor) in try whileLoop(Scaled(x), while: { $0.value.sum() < 50 }, { Scaled($0.value * 2) }) }
  for value in [x, y, x] {
    #expect(try f(Scaled(value)).array(as: Float.self) == (value + 1).array())
    var s = Scaled(value)
    try g(&s, y)
    #expect(try s.value.array(as: Float.self) == (value + y).array())
    var right = value
    while try right.sum().item(as: Float.self) < 50 { right = right * 2 }
    #expect(try h(value).value.array(as: Float.self) == right.array())
  }
}

@Test func a_loop_does_not_lose_what_its_state_hides() throws {
  let loops: [@Sendable (Tensor) throws -> Tensor] = [
    { x in
      try whileLoop(Beside(t: x, h: x), while: { $0.t.sum() < 100 }, { Beside(t: $0.t * 2, h: $0.h + $0.t) }).h
    },
    { x in try scan(Beside(t: x, h: x), over: x, { (Beside(t: $0.t * 2, h: $0.h + $1), $1) }).state.h },
  ]
  for loop in loops {
    expectRefused("h") { _ = try loop(x) }
    expectRefused("h") { _ = try compile(loop)(x) }
  }
  // What stays as it was is no loss.
  let keeps: @Sendable (Tensor) throws -> Tensor = { x in
    let end = try whileLoop(
      Beside(t: x, h: x), while: { $0.t.sum() < 100 },
      {
        var next = $0
        next.t = next.t + next.h
        return next
      })
    return end.t + end.h
  }
  for value in [x, y] { #expect(try compile(keeps)(value).array(as: Float.self) == keeps(value).array()) }
}

@Test func results_and_choices_do_not_hide_tensors() throws {
  expectRefused("h") { _ = try compile { (x: Tensor) in Beside(t: x * 2, h: x * 3) }(x) }
  expectRefused("h") { _ = try compile { (x: Tensor) in (x, Beside(t: x * 2, h: y)) }(x) }
  expectRefused("h.0") { _ = try compile { (x: Tensor) in [InOptional(t: x, h: [x * 2])] }(x) }
  let made = compile { (x: Tensor) in
    try cond(x.sum() > 0, { Beside(t: x, h: x * 2) }, else: { Beside(t: x, h: x * 3) }).h
  }
  let captured = compile { (x: Tensor) in try cond(x.sum() > 0, { Beside(t: x, h: x) }, else: { Beside(t: x, h: y) }).h
  }
  expectRefused("h") { _ = try made(x) }
  expectRefused("h") { _ = try captured(x) }
}

// MARK: What a size decides of a result

private indirect enum Net: Tree {
  case leaf(Tensor)
  case scaled(Net, Int)
  mutating func visit(_ v: inout Visitor) {
    switch self {
    case .leaf(var t):
      v("t", &t)
      self = .leaf(t)
    case .scaled(var net, let by):
      v("net", &net)
      self = .scaled(net, by)
    }
  }
  var text: String {
    switch self {
    case .leaf: "leaf"
    case .scaled(let net, let by): "\(by) \(net.text)"
    }
  }
}
private struct Noted: Tree {
  var t: Tensor
  var note: String
  mutating func visit(_ v: inout Visitor) { v("t", &t) }
}

/// A plan serves more sizes when their captures are the same; operations that read sizes make such plans.
@Test(arguments: [DynamicShapes.automatic, .all]) func what_no_leaf_of_a_result_tells_follows_the_size(
  dynamic: DynamicShapes
) throws {
  let readers: [@Sendable (Tensor) -> Tensor] = [
    { $0.median() }, { $0.unsqueezed(0).trace() }, { $0.quantile(0.5) }, { $0.rolled([1], axes: [0]).sum() },
    { $0.sum() },
  ]
  for read in readers {
    let payload = compile(dynamic: dynamic, maxRecompiles: 50) { (x: Tensor) in
      Net.scaled(.leaf(read(x)), x.shape[0] == 3 ? 10 : 20)
    }
    let choice = compile(dynamic: dynamic, maxRecompiles: 50) { (x: Tensor) in
      x.shape[0] == 3 ? Net.leaf(read(x)) : .scaled(.leaf(read(x)), 20)
    }
    let inner = compile(dynamic: dynamic, maxRecompiles: 50) { (x: Tensor) in
      (Net.scaled(x.shape[0] == 3 ? .leaf(read(x)) : .scaled(.leaf(read(x)), 1), 2), x)
    }
    let member = compile(dynamic: dynamic, maxRecompiles: 50) { (x: Tensor) in
      Noted(t: read(x), note: x.shape[0] == 3 ? "three" : "other")
    }
    for count in [4, 3, 5, 3, 6, 2, 9, 3] {
      let x = Tensor((0..<count).map { Float($0) })
      let isThree = count == 3
      #expect(try payload(x).text == (isThree ? "10 leaf" : "20 leaf"), "\(count)")
      #expect(try choice(x).text == (isThree ? "leaf" : "20 leaf"), "\(count)")
      #expect(try inner(x).0.text == (isThree ? "2 leaf" : "2 1 leaf"), "\(count)")
      #expect(try member(x).note == (isThree ? "three" : "other"), "\(count)")
    }
  }
}

@Test func a_state_that_changes_its_keys_is_told_so() throws {
  let f = compile(updating: [String: Tensor].self) { (s: inout [String: Tensor], x: Tensor) in s["new"] = x }
  let g = compile(updating: [String: Tensor].self) { (s: inout [String: Tensor]) in s["b"] = s.removeValue(forKey: "a")
  }
  var s = ["a": x]
  let grown = #expect(throws: Diagnostic.self) { try f(&s, x) }
  #expect(grown?.message.contains("had 1 member(s), now it has 2") == true)
  let renamed = #expect(throws: Diagnostic.self) { try g(&s) }
  #expect(renamed?.message.contains("has the key b") == true)
  #expect(s.keys.sorted() == ["a"])
}

// A class can be given as a Tree though none can be one. Unchecked since only that allows `visit` to change a member.
private final class Shared: Module, @unchecked Sendable {
  var w: Tensor
  init(_ w: Tensor) { self.w = w }
  func visit(_ v: inout Visitor) { v("w", &w) }
}
private struct Around: Tree {
  var layer: Shared
  mutating func visit(_ v: inout Visitor) { v("layer", &layer) }
}

@Test func an_object_is_no_tree_and_keeps_its_tensors() throws {
  let (object, around) = (Shared(x), Around(layer: Shared(y)))
  func expectRefused(_ what: String, _ body: () throws -> Void) {
    let thrown = #expect(throws: Diagnostic.self, "\(what)") { try body() }
    #expect(thrown?.message.contains("Shared is a class, and a Tree must be a value") == true, "\(what)")
    #expect(thrown?.location?.file.contains("HiddenMemberTests") == true, "\(what)")
  }
  var (s, t) = (object, around)
  expectRefused("argument") { _ = try compile { (m: Shared) in m.w * 2 }(object) }
  expectRefused("member") { _ = try compile { (m: Around, k: Tensor) in m.layer.w * k }(around, x) }
  expectRefused("element") { _ = try compile { (m: [Shared?]) in (m[0]?.w ?? x) * 2 }([object]) }
  expectRefused("state") { _ = try compile(updating: Shared.self) { (m: inout Shared) in m.w += 1 }(&s) }
  expectRefused("state's member") { _ = try compile(updating: Around.self) { (m: inout Around) in m.layer.w += 1 }(&t) }
  expectRefused("result") { _ = try compile { (k: Tensor) in Shared(k * 2) }(x) }
  expectRefused("loop") {
    _ = try compile { (k: Tensor) in
      try whileLoop(Shared(k), while: { $0.w.sum() < 20 }) { Shared($0.w + 1) }.w
    }(x)
  }
  expectRefused("branch") {
    _ = try compile { (k: Tensor) in try cond(k.sum() > 1, { Shared(k) }, else: { Shared(k + 1) }).w }(x)
  }
  // Nothing was put in place of what they hold.
  #expect(try object.w.isEqual(to: x) && around.layer.w.isEqual(to: y))
}

private struct Named: Tree {
  var t: Tensor
  var name: String
  var part: Substring
  var sign: Character
  var all: [String]
  mutating func visit(_ v: inout Visitor) { v("t", &t) }
  var bytes: Int {
    name.utf8.count + 10 * part.utf8.count + 100 * sign.utf8.count + 1000 * all.reduce(0) { $0 + $1.utf8.count }
  }
}

/// Swift's texts are equal where they look alike.
@Test func texts_that_look_alike_have_plans_of_their_own() throws {
  let (short, long) = ("\u{e9}", "e\u{301}")
  #expect(short == long)
  let argument = compile { (k: Tensor, text: String) in k * text.utf8.count }
  let key = compile { (k: [String: Tensor]) in k.keys.reduce(x) { $0 * $1.utf8.count } }
  let hidden = compile { (m: Named) in m.t + m.bytes }
  for text in [short, long, short] {
    #expect(try argument(x, text).isEqual(to: x * text.utf8.count))
    #expect(try key([text: y]).isEqual(to: x * text.utf8.count))
    for i in 0..<4 {
      let m = Named(
        t: x, name: i == 0 ? text : short, part: (i == 1 ? text : short)[...],
        sign: Character(i == 2 ? text : short), all: [i == 3 ? text : short])
      #expect(try hidden(m).isEqual(to: x + m.bytes), "\(i)")
    }
  }
}

/// Shows what it computes of two stored tensors, at sizes that it looks up, in a list.
private struct Folded: Tree {
  private var rows: Tensor
  private var weights: Tensor
  init(_ x: Tensor, _ weights: Tensor) { (rows, self.weights) = (x.reshaped([1, -1]), weights) }
  var product: Tensor { rows[0] * weights }
  mutating func visit(_ v: inout Visitor) {
    var all = rows.rank == 2 ? [rows[0] + weights, rows[0] - weights] : [rows]
    v("all", &all)
    rows = ((all[0] + all[1]) / 2).reshaped([1, -1])
    weights = (all[0] - all[1]) / 2
  }
}

/// By each kind of closure: on what capture a visit computes is the question.
@Test func what_closures_give_may_be_computed_by_visits() throws {
  typealias Body = @Sendable (Tensor) throws -> Tensor
  let bodies: [(String, Body)] = [
    ("a branch", { x in try cond(x.sum() > 4, { Scaled(x) }, else: { Scaled(x * 3) }).value }),
    (
      "its choice used twice",
      { x in
        let made = try cond(x.sum() > 4, { Scaled(x + 1) }, else: { Scaled(x) })
        return made.value * made.value + x
      }
    ),
    ("a real branch", { x in try cond(x.sum() > 4, { Scaled(x.sorted().values) }, else: { Scaled(x * 3) }).value }),
    ("folded", { x in try cond(x.sum() > 4, { Folded(x, x + 2) }, else: { Folded(x * 3, x) }).product }),
    (
      "really folded",
      { x in
        try cond(x.sum() > 4, { Folded(x.sorted().values, x + 2) }, else: { Folded(x * 3, x) }).product
      }
    ),
    (
      "from outside",
      { x in
        let (a, b) = (Folded(x, x + 2), Folded(x * 3, x))
        return try cond(x.sum() > 4, { a }, else: { b }).product
      }
    ),
    (
      "in lists and optionals",
      { x in
        let made = try cond(
          x.sum() > 4, { [Optional(Folded(x, x + 2)), nil] }, else: { [Optional(Folded(x * 3, x)), nil] })
        return try #require(made[0]).product
      }
    ),
    (
      "in a branch",
      { x in
        try cond(
          x.sum() > 4, { try cond(x.sum() > 5, { Folded(x, x + 2) }, else: { Folded(x, x) }) },
          else: { Folded(x * 3, x) }
        ).product
      }
    ),
    (
      "in a loop",
      { x in
        try whileLoop(Folded(x, x + 1), while: { $0.product.abs().sum() < 500 }) { state in
          try cond(
            state.product.sum() > 40, { Folded(state.product, x + 2) }, else: { Folded(x * 3, state.product + 1) })
        }.product
      }
    ),
    (
      "in a scan",
      { x in
        let made = try scan(Folded(x, x + 1), over: x) { state, e in
          (try cond(e > 1, { Folded(state.product, x + e) }, else: { state }), state.product.sum() + e)
        }
        return made.state.product + made.results
      }
    ),
  ]
  for (name, body) in bodies {
    let f = compile(body)
    for x in [Tensor([1, 2, 3] as [Float]), Tensor([0.25, 0.5, 1] as [Float]), Tensor([1, 1, 0.5, 2] as [Float])] {
      let (a, b) = (try body(x).array(as: Float.self), try f(x).array(as: Float.self))
      #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 1e-4 * abs($0) } && a.count == b.count, "\(name): \(a), \(b)")
    }
  }
}
