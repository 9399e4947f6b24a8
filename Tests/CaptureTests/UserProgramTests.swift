// Programs as users write them, through the public API: training by hand, caches, breaks, trees, tasks.
// Not single features: those are in CompileTests. Surprise: each is compared with itself run eagerly, bit for bit unless it
// adds up, which a plan may do in another order.
import Basics
import Capture
import Synchronization
import TensorTypes
import Tensors
import TestSupport
import Testing

private func numbers(_ shape: [Int], seed: Int = 1, scale: Float = 0.05) -> Tensor {
  let count = shape.reduce(1, *)
  return Tensor((0..<count).map { Float(($0 * 37 + seed * 11) % 41 - 20) * scale }, shape: shape)
}

private func floats(_ tensor: Tensor) throws -> [Float] { try tensor.array(as: Float.self) }

private final class Counter: Sendable {
  private let count = Atomic<Int>(0)
  func increment() { count.add(1, ordering: .relaxed) }
  var value: Int { count.load(ordering: .relaxed) }
}

/// Bit for bit, or within a few roundings of sums in another order.
private func expectEqual(_ a: Tensor, _ b: Tensor, within tolerance: Double = 0, _ note: String = "") throws {
  #expect(a.dtype == b.dtype && a.shape == b.shape, "\(a.dtype)\(a.shape) \(b.dtype)\(b.shape) \(note)")
  let (x, y) = (try a.converted(to: .f64).array(as: Double.self), try b.converted(to: .f64).array(as: Double.self))
  let isSame = zip(x, y).allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) || abs($0 - $1) <= tolerance * (1 + abs($1)) }
  #expect(isSame, "\(note): \(x.prefix(6)) \(y.prefix(6))")
}

// MARK: Training

private struct Linear: Module {
  var weight: Tensor, bias: Tensor
  mutating func visit(_ v: inout Visitor) {
    v("weight", &weight)
    v("bias", &bias)
  }
  func callAsFunction(_ x: Tensor) -> Tensor { x.matmul(weight.transposed()) + bias }
}

private struct MLP: Module {
  var up: Linear, down: Linear
  mutating func visit(_ v: inout Visitor) {
    v("up", &up)
    v("down", &down)
  }
  init() {
    up = Linear(weight: numbers([16, 4]), bias: numbers([16], seed: 2))
    down = Linear(weight: numbers([3, 16], seed: 3), bias: numbers([3], seed: 4))
  }
  func callAsFunction(_ x: Tensor) -> Tensor { down(up(x).relu()) }
}

private struct Adam: Tree {
  var first: [Tensor], second: [Tensor]
  var step: Tensor = Tensor(Float(0))
  mutating func visit(_ v: inout Visitor) {
    v("first", &first)
    v("second", &second)
    v("step", &step)
  }
}

private struct Training: Tree {
  var model = MLP()
  var optimizer = Adam(
    first: [Tensor.zeros(16, 4), Tensor.zeros(16), Tensor.zeros(3, 16), Tensor.zeros(3)],
    second: [Tensor.zeros(16, 4), Tensor.zeros(16), Tensor.zeros(3, 16), Tensor.zeros(3)])
  mutating func visit(_ v: inout Visitor) {
    v("model", &model)
    v("optimizer", &optimizer)
  }

  mutating func learn(_ x: Tensor, _ y: Tensor, _ rate: Tensor) -> Tensor {
    let hidden = model.up(x)
    let active = hidden.relu()
    let error = model.down(active) - y
    let loss = (error * error).mean()
    let dOut = error * (2.0 / 3.0) / Tensor(Float(1))
    let dActive = dOut.matmul(model.down.weight)
    let dHidden = dActive * (hidden > 0).converted(to: .f32)
    let gradients = [
      dHidden.transposed().matmul(x), dHidden.sum(0), dOut.transposed().matmul(active), dOut.sum(0),
    ]
    optimizer.step += 1
    func update(_ p: inout Tensor, _ i: Int) {
      let g = gradients[i]
      optimizer.first[i] = optimizer.first[i] * 0.9 + g * 0.1
      optimizer.second[i] = optimizer.second[i] * 0.999 + g * g * 0.001
      let m = optimizer.first[i] / (1 - Tensor(Float(0.9)).power(optimizer.step))
      let v = optimizer.second[i] / (1 - Tensor(Float(0.999)).power(optimizer.step))
      p -= rate * m / (v.sqrt() + 1e-8)
    }
    update(&model.up.weight, 0)
    update(&model.up.bias, 1)
    update(&model.down.weight, 2)
    update(&model.down.bias, 3)
    return loss
  }
}

@Test(.needs(.speedOrTime)) func a_training_step_with_adam_follows_the_eager_one() throws {
  let step = compile(updating: Training.self) { (s: inout Training, x: Tensor, y: Tensor, rate: Tensor) in
    s.learn(x, y, rate)
  }
  var (compiled, eager) = (Training(), Training())
  let rate = Tensor(Float(0.01))
  var losses: [Float] = []
  for i in 0..<20 {
    let x = numbers([i % 3 == 0 ? 8 : 6, 4], seed: i)
    let y = numbers([i % 3 == 0 ? 8 : 6, 3], seed: i + 7)
    let (a, b) = (try step(&compiled, x, y, rate), eager.learn(x, y, rate))
    losses.append(try a.item())
    #expect(abs(try a.item(as: Float.self) - b.item(as: Float.self)) < 1e-4)
  }
  for (a, b) in zip(try floats(compiled.model.up.weight), try floats(eager.model.up.weight)) {
    #expect(abs(a - b) < 1e-3)
  }
  #expect(step.planCount <= 3, "\(step.explain())")
  #expect(!step.explain().notes.contains { $0.contains("copied") }, "\(step.explain())")
}

// MARK: Caches

private struct Cache: Tree {
  var keys = Tensor.zeros(320, 4), values = Tensor.zeros(320, 4)
  var length: Dim = 0
  mutating func visit(_ v: inout Visitor) {
    v("keys", &keys)
    v("values", &values)
    v("length", &length)
  }
  mutating func attend(_ x: Tensor) -> Tensor {
    let end = length + x.shape[0]
    keys[length..<end] = x * 0.5
    values[length..<end] = x + 1
    let scores = x.matmul(keys[0..<end].transposed()) * 0.5
    let out = scores.softmax().matmul(values[0..<end])
    length += x.shape[0]
    return out
  }
}

@Test func a_cache_grows_for_300_steps_in_one_plan() throws {
  let next = compile(updating: Cache.self, mode: .whole) { (c: inout Cache, x: Tensor) in c.attend(x) }
  var (compiled, eager) = (Cache(), Cache())
  for i in 0..<300 {
    let x = numbers([1, 4], seed: i)
    let (a, b) = (try floats(next(&compiled, x)), try floats(eager.attend(x)))
    #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-5 }, "step \(i)")
  }
  #expect(try compiled.length.value == 300)
  #expect(next.planCount == 1, "\(next.explain())")
}

// MARK: Breaks

@Test func early_exits_are_closed_breaks() throws {
  let runs = Counter()
  let f = compile { (x: Tensor) -> Tensor in
    runs.increment()
    var x = x
    for _ in 0..<4 {
      x = x * 2
      if try (x.max() > 8).item(as: Bool.self) { return x }
    }
    return x - 1
  }
  @Sendable func eager(_ x: Tensor) throws -> Tensor {
    var x = x
    for _ in 0..<4 {
      x = x * 2
      if try (x.max() > 8).item(as: Bool.self) { return x }
    }
    return x - 1
  }
  for round in 0..<3 {
    for value in [0.1, 1, 2, 3, 5, 0.3] as [Float] {
      let x = Tensor([value, -value])
      try expectEqual(try f(x), try eager(x), "\(round) \(value)")
    }
  }
  #expect(f.planCount == 1)
  #expect(runs.value <= 6, "\(runs.value)")
}

@Test func twelve_values_open_a_break() throws {
  let f = compile { (x: Tensor) -> Tensor in
    let k = try x.sum().item(as: Int.self)
    return x.converted(to: .f32) * Double(k)
  }
  for round in 0..<2 {
    for k in 0..<12 {
      let x = Tensor([k, 1])
      try expectEqual(try f(x), x.converted(to: .f32) * Double(k + 1), "\(round) \(k)")
    }
  }
  #expect(f.explain().breaks.contains { $0.isOpen }, "\(f.explain())")
}

@Test func a_break_between_symbolic_extents_serves_all_sizes() throws {
  let f = compile(dynamic: .all) { (x: Tensor) -> Tensor in
    let n = x.flipped([0])
    let y = x * 2 + n
    if try (y.sum() > 0).item(as: Bool.self) { return y.flipped([0]) + n.mean() }
    return y
  }
  for n in [4, 7, 3, 33, 2] {
    let x = numbers([n, 2], seed: 3) + 1
    let y = x * 2 + x.flipped([0])
    try expectEqual(try f(x), y.flipped([0]) + x.flipped([0]).mean(), within: 1e-6, "\(n) rows")
  }
}

// MARK: Plans and models

@Test func one_plan_serves_an_ensemble() throws {
  let f = compile { (m: MLP, x: Tensor) in m(x) }
  var other = MLP()
  other.up.bias = other.up.bias + 1
  let x = numbers([5, 4])
  try expectEqual(try f(MLP(), x), MLP()(x))
  try expectEqual(try f(other, x), other(x))
  #expect(f.planCount == 1)
}

private enum Activation: String, Tree { case relu, tanh }
private struct Settings: Tree {
  var activation = Activation.relu
  var scale = 2.0
  var mask: Tensor?
  var named: [String: [Tensor]] = [:]
  mutating func visit(_ v: inout Visitor) {
    v("activation", &activation)
    v("scale", &scale)
    v("mask", &mask)
    v("named", &named)
  }
}

@Test func trees_of_everything_go_in_and_out() throws {
  @Sendable func body(_ s: Settings, _ x: Tensor) -> Settings {
    var s = s
    let y = s.activation == .relu ? x.relu() : x.tanh()
    s.mask = s.mask.map { $0 * y } ?? y
    for key in s.named.keys { s.named[key] = s.named[key]?.map { $0 + y * s.scale } }
    return s
  }
  let f = compile { (s: Settings, x: Tensor) in body(s, x) }
  let x = numbers([3])
  for activation in [Activation.relu, .tanh] {
    for mask in [nil, numbers([3], seed: 5)] {
      let s = Settings(activation: activation, mask: mask, named: ["b": [x, x * 3], "a": []])
      let (a, b) = (try f(s, x), body(s, x))
      try expectEqual(try #require(a.mask), try #require(b.mask))
      #expect(a.named.keys.sorted() == ["a", "b"] && a.activation == activation)
      for (u, v) in zip(a.named["b"] ?? [], b.named["b"] ?? []) { try expectEqual(u, v) }
    }
  }
  #expect(f.planCount == 4)
}

@Test func eight_tasks_share_one_compiled_function() async throws {
  let step = compile(updating: Training.self) { (s: inout Training, x: Tensor, y: Tensor, rate: Tensor) in
    s.learn(x, y, rate)
  }
  let results = try await withThrowingTaskGroup(of: [Float].self) { group in
    for task in 0..<8 {
      group.addTask {
        var training = Training()
        for i in 0..<5 {
          let n = 4 + (i + task) % 3
          _ = try step(&training, numbers([n, 4], seed: i), numbers([n, 3], seed: i + 7), Tensor(Float(0.01)))
        }
        return try floats(training.model.up.weight)
      }
    }
    var all: [[Float]] = []
    for try await result in group { all.append(result) }
    return all
  }
  #expect(results.count == 8 && results.allSatisfy { $0.allSatisfy(\.isFinite) })
}

@Test func a_compiled_function_inside_another_is_part_of_its_graph() throws {
  let inner = compile { (x: Tensor) in x.softmax() * 2 }
  let f = compile { (x: Tensor) in try inner(x) + 1 }
  let x = numbers([3, 4])
  try expectEqual(try f(x), x.softmax() * 2 + 1)
  try expectEqual(try f(x), x.softmax() * 2 + 1)
  try expectEqual(try inner(x), x.softmax() * 2)
}

@Test func compile_works_inside_a_task() async throws {
  let result = try await Task {
    let f = compile { (x: Tensor) in x * 2 }
    return try floats(f(numbers([4])))
  }.value
  #expect(result == (try floats(numbers([4]) * 2)))
}

private struct Running: Tree {
  var mean = Tensor.zeros(4), variance = Tensor.ones(4)
  mutating func visit(_ v: inout Visitor) {
    v("mean", &mean, .state)
    v("variance", &variance, .state)
  }
  mutating func normalize(_ x: Tensor) -> Tensor {
    let (m, v) = (x.mean(0), x.variance(0, correction: 0))
    mean = mean * 0.9 + m * 0.1
    variance = variance * 0.9 + v * 0.1
    return (x - m) / (v + 1e-5).sqrt()
  }
  mutating func batchNormalize(_ x: Tensor) -> Tensor {
    let made = x.batchNorm(runningMean: mean, runningVariance: variance, training: true)
    (mean, variance) = (made.runningMean ?? mean, made.runningVariance ?? variance)
    return made.output
  }
}

@Test func running_statistics_follow_batches_of_any_size() throws {
  let f = compile(updating: Running.self) { (s: inout Running, x: Tensor) in s.normalize(x) }
  var (a, b) = (Running(), Running())
  for n in [8, 5, 3, 9, 2, 33] {
    let x = numbers([n, 4], seed: n)
    let (u, v) = (try floats(f(&a, x)), try floats(b.normalize(x)))
    #expect(zip(u, v).allSatisfy { abs($0 - $1) < 1e-4 }, "\(n)")
    #expect(zip(try floats(a.mean), try floats(b.mean)).allSatisfy { abs($0 - $1) < 1e-5 })
  }
  #expect(f.planCount <= 2)
}

private struct Pair: Tree {
  var a = numbers([4]), b = numbers([4], seed: 2)
  mutating func visit(_ v: inout Visitor) {
    v("a", &a)
    v("b", &b)
  }
}

@Test func results_may_be_arguments_views_and_the_same_twice() throws {
  let f = compile { (x: Tensor) in (x, x, x[1..<3], x.transposed(), x.sum()) }
  let x = numbers([4, 4])
  for _ in 0..<2 {
    let (a, b, c, d, e) = try f(x)
    try expectEqual(a, x)
    try expectEqual(b, x)
    try expectEqual(c, x[1..<3])
    try expectEqual(d, x.transposed())
    try expectEqual(e, x.sum())
  }
  let twice = compile { (x: Tensor) -> (Tensor, Tensor) in
    let y = x * 2
    return (y, y)
  }
  var (u, v) = try twice(x)
  u[0] = Tensor.zeros(4)
  try expectEqual(v, x * 2)
  v[1] = Tensor.zeros(4)
  try expectEqual(try twice(x).0, x * 2)
  let swapped = compile(updating: Pair.self) { (s: inout Pair) -> Tensor in
    swap(&s.a, &s.b)
    return s.a[1..<3]
  }
  var s = Pair()
  let kept = try swapped(&s)
  try expectEqual(s.a, numbers([4], seed: 2))
  try expectEqual(s.b, numbers([4]))
  s.a[0..<4] = Tensor.zeros(4)
  try expectEqual(kept, numbers([4], seed: 2)[1..<3])
  let same = compile(updating: Pair.self) { (s: inout Pair) in
    s.a = s.a + 1
    s.b = s.a
  }
  var t = Pair()
  for k in 1...3 {
    try same(&t)
    try expectEqual(t.a, t.b, "\(k)")
    #expect(abs(try floats(t.a)[0] - floats(numbers([4]))[0] - Float(k)) < 1e-4)
  }
}

// MARK: Dtypes and sizes

@Test func every_size_and_dtype_agrees_with_eager() throws {
  @Sendable func body(_ x: Tensor, _ y: Tensor) -> [Tensor] {
    [x + y, x * 2, x.sum(0), x.max(-1, keepDims: true), (x > y).converted(to: .i32).sum(), x.transposed().contiguous()]
  }
  let f = compile(maxRecompiles: 100) { (x: Tensor, y: Tensor) in body(x, y) }
  for dtype in [DType.f32, .f16, .i32, .u8] {
    for n in [1, 2, 33] {
      for m in [1, n] {
        let x = (numbers([n, 3], seed: n, scale: 1)).converted(to: dtype)
        let y = (numbers([m, 3], seed: m + 1, scale: 1)).converted(to: dtype)
        let (a, b) = (try f(x, y), body(x, y))
        for i in a.indices { try expectEqual(a[i], b[i], "\(dtype) \(n) \(m) result \(i)") }
      }
    }
  }
}

@Test func empty_tensors_and_scalars_go_through_plans() throws {
  @Sendable func body(_ x: Tensor) -> [Tensor] { [x * 2, x.sum(), x.sum(0), x.reshaped(-1), x.softmax()] }
  let f = compile { (x: Tensor) in body(x) }
  for shape in [[0, 3], [3, 0], [2, 3], [0, 0], [4, 3], [0, 5]] {
    let x = numbers(shape)
    let (a, b) = (try? f(x), body(x))
    if let failure = b.lazy.compactMap(\.failure).first {
      #expect(a == nil, "\(shape): \(failure)")
      continue
    }
    for i in b.indices { try expectEqual(try #require(a)[i], b[i], within: 1e-6, "\(shape) result \(i)") }
  }
  // Made empty and never written.
  let none = compile { (x: Tensor) in x.padded([-1, -1], mode: .replicate) }
  try expectEqual(try none(numbers([3, 2])), numbers([3, 0]))
  let g = compile { (x: Tensor) in x.exp() + x }
  try expectEqual(try g(Tensor(Float(0.5))), Tensor(Float(0.5)).exp() + Tensor(Float(0.5)))
}

@Test func one_and_many_broadcast_in_plans_of_their_own() throws {
  let f = compile(dynamic: .all) { (x: Tensor, y: Tensor) in (x + y, (x * y).sum()) }
  for (n, m) in [(3, 3), (1, 4), (4, 1), (5, 5), (1, 1), (1, 7), (2, 2)] {
    let (x, y) = (numbers([n, 2]), numbers([m, 2], seed: 4))
    let (a, b) = try f(x, y)
    try expectEqual(a, x + y, "\(n) \(m)")
    try expectEqual(b, (x * y).sum(), within: 1e-6, "\(n) \(m)")
  }
  let error = #expect(throws: Diagnostic.self) { try f(numbers([3, 2]), numbers([5, 2])) }
  #expect(
    error?.message.contains("[3, 2]") == true && error?.message.contains("[5, 2]") == true,
    "\(String(describing: error))")
}

@Test func steps_and_nan_agree() throws {
  let f = compile(dynamic: .all) { (x: Tensor) in
    [x.flipped([0]), x[.slice(0, nil, by: 2)], x.max(0), x.softmax(0), x.cumulativeSum(0), x.sorted(0).values]
  }
  for n in [5, 8, 3] {
    var x = numbers([n, 3])
    x[1, 1] = Tensor(Float.nan)
    let want = [
      x.flipped([0]), x[.slice(0, nil, by: 2)], x.max(0), x.softmax(0), x.cumulativeSum(0), x.sorted(0).values,
    ]
    for (i, (a, b)) in zip(try f(x), want).enumerated() { try expectEqual(a, b, "\(n) result \(i)") }
  }
}

/// Statistics of nothing change nothing, and one value has no variance.
@Test func batches_of_nothing_and_of_one_leave_running_statistics_good() throws {
  let f = compile(updating: Running.self) { (s: inout Running, x: Tensor) in s.batchNormalize(x) }
  var (a, b) = (Running(), Running())
  for n in [8, 5, 0, 3, 0, 2, 33] {
    let x = numbers([n, 4], seed: n)
    let (u, v) = (try floats(f(&a, x)), try floats(b.batchNormalize(x)))
    #expect(u.count == v.count && zip(u, v).allSatisfy { abs($0 - $1) < 1e-4 }, "\(n)")
    for (s, t) in [(a.mean, b.mean), (a.variance, b.variance)] {
      let (s, t) = (try floats(s), try floats(t))
      #expect(zip(s, t).allSatisfy { abs($0 - $1) < 1e-5 }, "\(n): \(s) \(t)")
    }
  }
  #expect(throws: Diagnostic.self) { try f(&a, numbers([1, 4])) }
  #expect(b.batchNormalize(numbers([1, 4])).failure?.message.contains("one value per channel") == true)
}
