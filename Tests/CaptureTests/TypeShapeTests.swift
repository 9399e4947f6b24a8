// A plan knows the types, cases and plain members of what it was made for: each shape of type, called with one value and
// then another, gives what the function itself gives, or is refused by name. Not sizes and dtypes: those are leaves.
// Surprise: the same compiled function serves both values, in both orders, and again.
import Basics
import Capture
import Foundation
import Synchronization
import TensorTypes
import Tensors
import Testing

private let x = Tensor([1, 2, 3] as [Float])
private let one = Tensor([1, 1, 1] as [Float])
private let two = Tensor([2, 4, 8] as [Float])

private struct Held<T: Tree>: Tree {
  var value: T
  mutating func visit(_ v: inout Visitor) { v("value", &value) }
}

/// Calls one compiled function with each value, twice over, and compares with the function.
private func expectTellsApart<T: Tree>(
  _ values: [T], plans: Int? = nil, line: Int = #line, _ f: @escaping @Sendable (T, Tensor) throws -> Tensor
) throws {
  let compiled = compile { (value: T, x: Tensor) in try f(value, x) }
  let updating = compile(updating: Held<T>.self) { (s: inout Held<T>, x: Tensor) in try f(s.value, x) }
  let listed = compile { (values: [T], x: Tensor) in try values.reduce(x) { try f($1, $0) } }
  for round in 0..<2 {
    for (i, value) in values.enumerated() {
      let wanted = try f(value, x).array(as: Float.self)
      #expect(try compiled(value, x).array(as: Float.self) == wanted, "value \(i), round \(round), line \(line)")
      var state = Held(value: value)
      #expect(try updating(&state, x).array(as: Float.self) == wanted, "state \(i), round \(round), line \(line)")
      let both = [values[0], value]
      let list = try both.reduce(x) { try f($1, $0) }.array(as: Float.self)
      #expect(try listed(both, x).array(as: Float.self) == list, "list \(i), round \(round), line \(line)")
    }
  }
  #expect(compiled.planCount == plans ?? values.count, "line \(line)")
}

private func refusal(_ body: () throws -> Void) -> Diagnostic? {
  do { try body() } catch { return error as? Diagnostic }
  return nil
}

// MARK: Enums

private indirect enum Operation: Tree {
  case plus(Tensor), times(Tensor), negated, twice
  case scaled(Tensor, by: Float)
  case chain(Operation, Operation)
  mutating func visit(_ v: inout Visitor) {
    switch self {
    case .plus(var t):
      v("t", &t)
      self = .plus(t)
    case .times(var t):
      v("t", &t)
      self = .times(t)
    case .scaled(var t, let by):
      // The factor is not shown.
      v("t", &t)
      self = .scaled(t, by: by)
    case .chain(var a, var b):
      v("a", &a)
      v("b", &b)
      self = .chain(a, b)
    case .negated, .twice: break
    }
  }
  func callAsFunction(_ x: Tensor) -> Tensor {
    switch self {
    case .plus(let t): x + t
    case .times(let t): x * t
    case .negated: -x
    case .twice: x * 2
    case .scaled(let t, let by): t * by + x
    case .chain(let a, let b): b(a(x))
    }
  }
}

@Test func plans_know_the_case_of_an_enum() throws {
  try expectTellsApart([.plus(two), .times(two)] as [Operation]) { $0($1) }
  try expectTellsApart([.negated, .twice] as [Operation]) { $0($1) }
  try expectTellsApart([.scaled(two, by: 2), .scaled(two, by: 3), .plus(two)] as [Operation]) { $0($1) }
  let chains: [Operation] = [
    .chain(.plus(two), .times(two)), .chain(.times(two), .plus(two)), .chain(.negated, .chain(.plus(two), .twice)),
    .chain(.twice, .chain(.times(two), .negated)), .chain(.negated, .chain(.scaled(two, by: 5), .twice)),
    .chain(.negated, .chain(.scaled(two, by: 6), .twice)),
  ]
  try expectTellsApart(chains) { $0($1) }
  try expectTellsApart([nil, .some(.plus(two)), .some(.times(two)), .some(.negated)] as [Operation?]) { $0?($1) ?? $1 }
  try expectTellsApart([["a": .plus(two)], ["a": .times(two)]] as [[String: Operation]]) { $0["a"]?($1) ?? $1 }
  try expectTellsApart([[.plus(two), .times(two)], [.times(two), .plus(two)]] as [[Operation]]) { $0[0]($1) }
}

// MARK: Existentials

private protocol Layer: Module { func callAsFunction(_ x: Tensor) -> Tensor }
private struct Add: Layer {
  var t: Tensor
  mutating func visit(_ v: inout Visitor) { v("t", &t) }
  func callAsFunction(_ x: Tensor) -> Tensor { x + t }
}
private struct Multiply: Layer {
  var t: Tensor
  mutating func visit(_ v: inout Visitor) { v("t", &t) }
  func callAsFunction(_ x: Tensor) -> Tensor { x * t }
}
private struct Negate: Layer {
  mutating func visit(_ v: inout Visitor) {}
  func callAsFunction(_ x: Tensor) -> Tensor { -x }
}
private struct Double_: Layer {
  mutating func visit(_ v: inout Visitor) {}
  func callAsFunction(_ x: Tensor) -> Tensor { x * 2 }
}
private struct Any1: Layer {
  var base: any Layer
  mutating func visit(_ v: inout Visitor) { v("base", &base) }
  func callAsFunction(_ x: Tensor) -> Tensor { base(x) }
}
private struct AnyList: Layer {
  var layers: [any Layer]
  mutating func visit(_ v: inout Visitor) { for i in layers.indices { v("\(i)", &layers[i]) } }
  func callAsFunction(_ x: Tensor) -> Tensor { layers.reduce(x) { $1($0) } }
}
/// Shows nothing: its layers have no tensors.
private struct Hidden: Layer {
  var layer: any Layer
  var list: [any Layer] = []
  mutating func visit(_ v: inout Visitor) {}
  func callAsFunction(_ x: Tensor) -> Tensor { list.reduce(layer(x)) { $1($0) } }
}
private struct Generic<T: Layer>: Layer {
  var inner: T
  mutating func visit(_ v: inout Visitor) { inner.visit(&v) }
  func callAsFunction(_ x: Tensor) -> Tensor { inner(x) }
}

@Test func plans_know_the_types_of_existential_members() throws {
  try expectTellsApart([Any1(base: Add(t: two)), Any1(base: Multiply(t: two))]) { $0($1) }
  try expectTellsApart([Any1(base: Negate()), Any1(base: Double_())]) { $0($1) }
  try expectTellsApart([Any1(base: Any1(base: Negate())), Any1(base: Any1(base: Double_())), Any1(base: Negate())]) {
    $0($1)
  }
  try expectTellsApart([AnyList(layers: [Negate()]), AnyList(layers: [Negate(), Double_()]), AnyList(layers: [])]) {
    $0($1)
  }
  try expectTellsApart([Hidden(layer: Negate()), Hidden(layer: Double_())]) { $0($1) }
  try expectTellsApart([Hidden(layer: Negate()), Hidden(layer: Negate(), list: [Double_()])]) { $0($1) }
  let generic = [Any1(base: Generic(inner: Add(t: two))), Any1(base: Generic(inner: Multiply(t: two)))]
  try expectTellsApart(generic) { $0($1) }
}

// MARK: Stored members that are not shown

private enum Mode: Sendable { case plain, scaled(Float), both(Float, String) }
private struct Options: Sendable {
  var scale: Float = 1
  var count = 1
  var isOn = false
  var name = "a"
  var mode = Mode.plain
  var list: [Float] = [1, .nan]
  var table: [String: [Int]] = ["a": [1]]
  var maybe: Float?
  var small: (UInt8, Int16) = (1, 2)
  var character: Character = "c"
  var type: any Layer.Type = Negate.self
  var set: Set<Int> = [1]
}
private final class Settings: Sendable {
  let scale: Float
  init(_ scale: Float) { self.scale = scale }
}
private struct Configured: Module {
  var t = one
  var options = Options()
  var settings = Settings(1)
  var f: @Sendable (Tensor) -> Tensor = { $0 }
  mutating func visit(_ v: inout Visitor) { v("t", &t) }

  func callAsFunction(_ x: Tensor) -> Tensor {
    var y = f(x) * t * options.scale * Double(options.count) * Double(settings.scale)
    if options.isOn { y = -y }
    switch options.mode {
    case .plain: break
    case .scaled(let by): y = y * by
    case .both(let by, let name): y = y * by + Double(name.count)
    }
    y = y + Double(options.name.count) + options.list[0] + Double(options.table["a"]?[0] ?? 0) + (options.maybe ?? 0)
    y = y + Double(options.small.0) * Double(options.small.1) + (options.character == "c" ? 0 : 1)
    return y + (options.type == Negate.self ? 0 : 1) + Double(options.set.reduce(0, +))
  }
  func with(_ change: (inout Configured) -> Void) -> Configured {
    var copy = self
    change(&copy)
    return copy
  }
}

@Test func stored_members_that_visit_leaves_out_are_part_of_a_plan() throws {
  let base = Configured()
  let changes: [(String, (inout Configured) -> Void)] = [
    ("scale", { $0.options.scale = 3 }), ("count", { $0.options.count = 5 }), ("isOn", { $0.options.isOn = true }),
    ("name", { $0.options.name = "a longer name than sixteen bytes" }), ("mode", { $0.options.mode = .scaled(2) }),
    ("payload", { $0.options.mode = .scaled(4) }), ("both", { $0.options.mode = .both(2, "ab") }),
    ("string in a payload", { $0.options.mode = .both(2, "abc") }), ("list", { $0.options.list = [2, .nan] }),
    ("table", { $0.options.table = ["a": [7]] }), ("maybe", { $0.options.maybe = 4 }),
    ("tuple", { $0.options.small.1 = 9 }), ("character", { $0.options.character = "d" }),
    ("metatype", { $0.options.type = Double_.self }), ("set", { $0.options.set = [5] }),
    ("object", { $0.settings = Settings(9) }), ("closure", { $0.f = { $0 * 7 } }),
  ]
  for (name, change) in changes {
    let f = compile { (m: Configured, x: Tensor) in m(x) }
    let other = base.with(change)
    for value in [base, other, base, other] {
      #expect(try f(value, x).array(as: Float.self) == value(x).array(as: Float.self), "\(name)")
    }
    #expect(f.planCount == 2, "\(name)")
  }
  let all = [base] + changes.map { base.with($0.1) }
  let f = compile(maxRecompiles: 30) { (m: Configured, x: Tensor) in m(x) }
  for value in all + all { #expect(try f(value, x).array(as: Float.self) == value(x).array(as: Float.self)) }
  #expect(f.planCount == all.count)
}

@Test func closures_are_told_apart_by_what_they_capture() throws {
  func model(_ k: Float) -> Configured { Configured().with { $0.f = { $0 * k } } }
  let f = compile { (m: Configured, x: Tensor) in m(x) }
  let (a, b) = (model(2), model(3))
  for m in [a, b, a, b] { #expect(try f(m, x).array(as: Float.self) == m(x).array(as: Float.self)) }
  #expect(f.planCount == 2)
}

@Test func the_reason_for_another_plan_names_the_member() throws {
  let f = compile { (m: Configured, x: Tensor) in m(x) }
  _ = try f(Configured(), x)
  _ = try f(Configured().with { $0.options.scale = 3 }, x)
  #expect("\(f.explain())".contains("0.options.scale' is 3.0"), "\(f.explain())")
}

/// Something inside is not for comparison.
private struct Counting: Module {
  final class Counter: Sendable { let count = Atomic<Int>(0) }
  var t = one
  var counter = Counter()
  mutating func visit(_ v: inout Visitor) { v("t", &t) }
}
private struct Listed: Module {
  var t = one
  var steps: [@Sendable (Tensor) -> Tensor] = [{ $0 }]
  mutating func visit(_ v: inout Visitor) { v("t", &t) }
}
private struct Boxed: Module {
  final class Box: Sendable { let t = two }
  var t = one
  var box = Box()
  mutating func visit(_ v: inout Visitor) { v("t", &t) }
}

@Test func members_that_cannot_be_compared_are_refused_by_name() throws {
  let counting = refusal { _ = try compile { (m: Counting, x: Tensor) in x * m.t }(Counting(), x) }
  #expect(counting?.message.contains("Counting") == true && counting?.message.contains("counter") == true)
  #expect(counting?.remedy != nil && counting?.place != nil)
  let boxed = refusal { _ = try compile { (m: Boxed, x: Tensor) in x * m.box.t }(Boxed(), x) }
  #expect(boxed?.message.contains("'box.t'") == true, "\(boxed?.message ?? "")")
  // Closures of an array keep their addresses with the array.
  let f = compile { (m: Listed, x: Tensor) in m.steps.reduce(x) { $1($0) } * m.t }
  let (a, b) = (Listed(), Listed(steps: [{ $0 * 2 }]))
  for m in [a, b, a, b] {
    #expect(try f(m, x).array(as: Float.self) == (m.steps.reduce(x) { $1($0) } * m.t).array(as: Float.self))
  }
}

// MARK: What a function does to its state's structure

private struct Machine: Tree {
  var operation = Operation.plus(two)
  var base: any Layer = Negate()
  var named = ["a": one]
  var hidden = 1
  mutating func visit(_ v: inout Visitor) {
    v("operation", &operation)
    v("base", &base)
    v("named", &named)
  }
}

@Test func a_function_that_changes_its_states_structure_is_refused() throws {
  func message(_ body: @escaping @Sendable (inout Machine, Tensor) -> Void) -> String {
    let f = compile(updating: Machine.self) { (m: inout Machine, x: Tensor) in body(&m, x) }
    var machine = Machine()
    return refusal { try f(&machine, x) }?.message ?? "no error"
  }
  #expect(message { m, _ in m.operation = .times(two) }.contains("operation"))
  #expect(message { m, _ in m.base = Double_() }.contains("base"))
  #expect(message { m, _ in m.hidden += 1 }.contains("hidden"))
  #expect(message { m, x in m.named = ["b": x] }.contains("b"))
  #expect(message { m, x in m.named["b"] = x }.contains("named"))
  #expect(message { m, x in m.named["a"] = x } == "no error")
}

@Test func dictionaries_of_results_have_the_keys_of_their_call() throws {
  let f = compile { (table: [String: Tensor]) in
    Dictionary(uniqueKeysWithValues: table.map { ($0.key + "'", $0.value * 2) })
  }
  for keys in [["a", "b"], ["c", "a"], ["a", "b"], ["z"], []] {
    let table = Dictionary(uniqueKeysWithValues: keys.enumerated().map { ($1, one * Double($0 + 1)) })
    let made = try f(table)
    #expect(made.keys.sorted() == keys.map { $0 + "'" }.sorted())
    for (key, value) in made {
      let wanted = try #require(table[String(key.dropLast())])
      #expect(try value.array(as: Float.self) == (wanted * 2).array(as: Float.self))
    }
  }
}

/// A result of a type that no capture has met yet.
private enum Fresh: Tree {
  case held(Tensor)
  mutating func visit(_ v: inout Visitor) {
    guard case .held(var tensor) = self else { return }
    v("tensor", &tensor)
    self = .held(tensor)
  }
}

@Test func what_another_thread_captures_between_two_captures_changes_nothing() throws {
  let runs = Atomic<Int>(0)
  // A function that no earlier run of the tests met: the cache would know that the second capture is like the first.
  let factor = Int.random(in: 2...1_000_000)
  let f = compile { (x: Tensor) in
    if runs.add(1, ordering: .relaxed).newValue == 2 {
      // The second capture: elsewhere the type of the result becomes an argument's.
      let isDone = DispatchSemaphore(value: 0)
      Thread {
        let identity = compile { (value: Fresh) in value }
        _ = try? identity(.held(Tensor([1, 2] as [Float])))
        isDone.signal()
      }.start()
      isDone.wait()
    }
    return [Fresh.held(x * Double(factor))]
  }
  for _ in 0..<2 {
    guard case .held(let y)? = try f(x).first else { return }
    #expect(try y.array(as: Float.self) == [1, 2, 3].map { $0 * Float(factor) })
  }
  #expect(runs.load(ordering: .relaxed) == 2)
}

@Test func branches_and_trips_keep_types_and_cases() throws {
  let chosen = compile { (x: Tensor) in
    try cond(x.sum() > 3, { Operation.plus(x) }, else: { Operation.times(x) })(x)
  }
  #expect(refusal { _ = try chosen(x) }?.message.contains("case") == true)
  let looped = compile { (x: Tensor) in
    try whileLoop(Any1(base: Add(t: x)), while: { $0(x).sum() < 30 }) { _ in Any1(base: Multiply(t: x)) }(x)
  }
  #expect(refusal { _ = try looped(x) }?.message.contains("base") == true)
}

/// Swift takes é as one scalar for é as two; a function need not.
@Test func texts_that_are_equal_but_not_the_same_have_plans_of_their_own() throws {
  let spellings = ["\u{e9}", "e\u{301}"]
  try #require(spellings[0] == spellings[1] as String)
  let f = compile { (x: Tensor, s: String) in x + Double(s.utf8.count) }
  let g = compile { (x: Tensor, table: [String: Int]) in x + Double(table.keys.reduce(0) { $0 + $1.utf8.count }) }
  let h = compile { (m: Configured, x: Tensor) in x + Double(m.options.name.utf8.count) }
  let k = compile { (m: Configured, x: Tensor) in x + Double(m.options.character.utf8.count) }
  for spelling in spellings + spellings {
    let right: [Float] = [1 + Float(spelling.utf8.count)]
    let m = Configured().with {
      $0.options.name = spelling
      $0.options.character = Character(spelling)
    }
    let ones = Tensor.ones(1)
    for made in [try f(ones, spelling), try g(ones, [spelling: 1]), try h(m, ones), try k(m, ones)] {
      let values: [Float] = try made.array()
      #expect(values == right)
    }
  }
  for count in [f.planCount, g.planCount, h.planCount, k.planCount] { #expect(count == 2) }
}
