// Prints the numbers this project promises, each beside its ceiling of the same run.
// Not a test and not a comparison with others (Benchmarks/peers). Surprise: eager goals are sums over the kernels that
// eager really launches, not the minimum a compiled program would move.
import Azulejo
import Capture
import Foundation
import Insight
import Targets
import TensorTypes
import Tensors

@main struct AzulejoBench {
  static func main() throws {
    let names = Set(CommandLine.arguments.dropFirst())
    func wanted(_ name: String) -> Bool { names.isEmpty || names.contains(name) }
    let ceiling = try Ceilings()
    print("threads \(ceiling.threads); medians; each candidate interleaved with its ceiling\n")
    if wanted("tiny_add") { try tinyAdd() }
    if wanted("guards") { try guards() }
    if wanted("replay") { try replay() }
    if wanted("pw_gelu") { try pointwiseGelu(ceiling) }
    if wanted("nr_softmax") { try softmax(ceiling) }
    if wanted("nr_layernorm") { try layerNorm(ceiling) }
    for size in [1024, 2048] where wanted("mm_\(size)_f32") { try product(size, ceiling) }
    if wanted("mv_8192") { try vectorProduct(ceiling) }
    if wanted("few_rows") { for rows in [1, 4, 16, 32, 64, 128, 512] { try fewRows(rows, ceiling) } }
  }

  static func random(_ extents: [Int]) -> Tensor {
    var state: UInt64 = 88172645463325252
    let values = (0..<extents.reduce(1, *)).map { _ -> Float in
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return Float(Int64(bitPattern: state) >> 40) / Float(1 << 23)
    }
    return Tensor(values, shape: extents)
  }

  /// A result is used, so that its failure shows.
  static func check(_ tensor: Tensor) throws { if let failure = tensor.failure { throw failure } }

  static func tinyAdd() throws {
    let (a, b) = (random([8]), random([8]))
    let rounds = 20_000
    let spread = try interleaved(budget: 1, [{ for _ in 0..<rounds { try check(a + b) } }])[0]
    let nanoseconds = spread.median / Double(rounds) * 1e9
    let value = "\(number(nanoseconds, 0)) ns for 8 floats, allocation included"
    show(Row(name: "tiny_add", value: value, goal: "under 500 ns", reached: nanoseconds < 500))
  }

  private static func nanoseconds(_ rounds: Int, _ body: @escaping () throws -> Void) throws -> Double {
    let spread = try interleaved(budget: 1, [{ for _ in 0..<rounds { try body() } }])[0]
    return spread.median / Double(rounds) * 1e9
  }

  /// Calls that run no kernel: arguments taken apart, guards, the result put together.
  static func guards() throws {
    let ten = (0..<10).map { _ in random([4, 4]) }
    let f = compile { (a: [Tensor]) in a[0] }
    let small = try nanoseconds(20_000) { try check(f(ten)) }
    show(
      Row(
        name: "guards_10", value: "\(number(small, 0)) ns for a call with 10 tensors and no kernel",
        goal: "under 2 us", reached: small < 2000))
    show(checks("check_10", f.explain(), goal: 2000))
    let model = (0..<270).map { _ in random([4, 4]) }
    let large = try nanoseconds(2000) { try check(f(model)) }
    show(
      Row(
        name: "guards_270", value: "\(number(large, 0)) ns for a call with 270 tensors and no kernel",
        goal: "under 10 us", reached: large < 10_000))
    show(checks("check_270", f.explain(), goal: 10_000))
    let layers = Layers(all: (0..<27).map { _ in Layer(members: (0..<10).map { _ in random([4, 4]) }) })
    let plain = compile { (m: Layers) in m.all[0].members[0] }
    let argument = try nanoseconds(2000) { try check(plain(layers)) }
    let updating = compile(updating: Layers.self) { (m: inout Layers) in m.all[0].members[0] }
    var state = layers
    let inout270 = try nanoseconds(2000) { try check(updating(&state)) }
    let sum = compile { (m: [Tensor]) in m.dropFirst().reduce(m[0]) { $0 + $1 } }
    let whole = try nanoseconds(500) { try check(sum(model)) }
    for (name, what, time) in [
      ("module_270", "a module of 27 structs as an argument, no kernel", argument),
      ("state_270", "the same as state", inout270), ("call_270", "270 tensors that kernels read", whole),
    ] {
      let value = "\(number(time, 0)) ns for a call with \(what)"
      show(Row(name: name, value: value, goal: "under 10 us", reached: time < 10_000))
    }
  }

  private struct Layer: Module {
    var members: [Tensor]
    mutating func visit(_ v: inout Visitor) { v("members", &members) }
  }

  private struct Layers: Module {
    var all: [Layer]
    mutating func visit(_ v: inout Visitor) { v("all", &all) }
  }

  /// The guards alone, as the explanation measures them.
  private static func checks(_ name: String, _ explanation: Explanation, goal: Double) -> Row {
    let time = explanation.guards.reduce(0) { $0 + $1.seconds } * 1e9
    return Row(
      name: name, value: "\(number(time, 0)) ns for the guards alone", goal: "under \(number(goal / 1000, 0)) us",
      reached: time < goal)
  }

  /// The cost of one more kernel: a call of 40 against a call of 4, each a reduction and its repetition.
  static func replay() throws {
    @Sendable func chain(_ x: Tensor, _ links: Int) -> Tensor {
      var x = x
      // A sum over rows, then over columns: no two of them share a kernel.
      for _ in 0..<links { x = (x.sum(0, keepDims: true) + x.sum(1, keepDims: true)) * 0.1 }
      return x
    }
    let (few, many) = (
      compile(fuses: false) { (x: Tensor) in chain(x, 1) }, compile(fuses: false) { (x: Tensor) in chain(x, 10) }
    )
    let x = random([4, 4])
    let short = try nanoseconds(5000) { try check(few(x)) }
    let long = try nanoseconds(1000) { try check(many(x)) }
    let kernels = many.explain().kernelCount - few.explain().kernelCount
    let each = (long - short) / Double(kernels)
    show(
      Row(
        name: "replay", value: "\(number(each, 0)) ns for one more kernel of 16 floats, its work included",
        goal: "under 1 us", reached: each < 1000))
  }

  /// `share` of the ceiling's time for the same bytes must be at most 1.3.
  static func bandwidth(
    _ name: String, bytes: Int, _ candidate: @escaping () throws -> Void, against ceiling: @escaping () throws -> Void
  ) throws {
    let spreads = try interleaved(budget: 4, [candidate, ceiling])
    let (time, best) = (spreads[0].median, spreads[1].median)
    let (reached, possible) = (Double(bytes) / time * 1e-9, Double(bytes) / best * 1e-9)
    let ratio = number(time / best, 2)
    let value = "\(number(time * 1e3, 2)) ms, \(number(reached)) GB/s of \(number(possible)), ratio \(ratio)"
    show(Row(name: name, value: value, goal: "ratio at most 1.30", reached: time / best <= 1.3))
  }

  static func pointwiseGelu(_ ceiling: Ceilings) throws {
    let n = 4096
    let (x, w, b) = (random([n, n]), random([n]), random([n]))
    // Three launches: each reads one matrix and writes one.
    let bytes = 3 * 2 * n * n * 4
    let copy = try ceiling.memory(.init(read: 1, written: 1), bytes: 2 * n * n * 4)
    try bandwidth("pw_gelu", bytes: bytes) {
      try check((x * w + b).gelu(approximate: .tanh))
    } against: {
      for _ in 0..<3 { try copy.run() }
    }
  }

  static func softmax(_ ceiling: Ceilings) throws {
    let x = random([8192, 2048])
    let bytes = 2 * 8192 * 2048 * 4
    let copy = try ceiling.memory(.init(read: 1, written: 1), bytes: bytes)
    try bandwidth("nr_softmax", bytes: bytes) {
      try check(x.softmax(-1))
    } against: {
      try copy.run()
    }
  }

  static func layerNorm(_ ceiling: Ceilings) throws {
    let (x, w, b) = (random([8192, 1024]), random([1024]), random([1024]))
    let bytes = 2 * 8192 * 1024 * 4
    let copy = try ceiling.memory(.init(read: 1, written: 1), bytes: bytes)
    try bandwidth("nr_layernorm", bytes: bytes) {
      try check(x.layerNorm([1024], weight: w, bias: b))
    } against: {
      try copy.run()
    }
  }

  static func product(_ size: Int, _ ceiling: Ceilings) throws {
    let (a, b) = (random([size, size]), random([size, size]))
    guard let products = try ceiling.products(.f32) else { return }
    let flops = 2 * Double(size) * Double(size) * Double(size)
    let spreads = try interleaved(budget: 4, [{ try check(a.matmul(b)) }, products.run])
    let reached = flops / spreads[0].median
    let peak = products.amount / spreads[1].median
    let share = reached / peak * 100
    let milliseconds = number(spreads[0].median * 1e3, 2)
    let value =
      "\(milliseconds) ms, \(number(reached * 1e-9, 0)) of \(number(peak * 1e-9, 0)) GFLOP/s, \(number(share)) %"
    show(Row(name: "mm_\(size)_f32", value: value, goal: "at least 80 % of FMA peak", reached: share >= 80))
  }

  static func vectorProduct(_ ceiling: Ceilings) throws {
    let n = 8192
    let (w, x) = (random([n, n]), random([n]))
    let bytes = n * n * 4
    let reading = try ceiling.memory(.init(read: 1, written: 0), bytes: bytes)
    let spreads = try interleaved(budget: 4, [{ try check(w.matmul(x)) }, reading.run])
    // The ceiling's streams may hold fewer bytes than the matrix.
    let needed = spreads[1].median * Double(bytes) / reading.amount
    let share = needed / spreads[0].median * 100
    let time = spreads[0].median
    let value = "\(number(time * 1e3, 2)) ms, \(number(Double(bytes) / time * 1e-9)) GB/s, \(number(share)) %"
    show(Row(name: "mv_8192", value: value, goal: "at least 80 % of read bandwidth", reached: share >= 80))
  }

  /// A few rows by constant weights that no cache holds: between reading the weights once and arithmetic.
  static func fewRows(_ rows: Int, _ ceiling: Ceilings) throws {
    let (inner, columns) = (1024, 4096)
    let weights = (0..<4).map { _ in random([inner, columns]) }
    let f = compile { (x: Tensor) in weights.map { x.matmul($0) } }
    let x = random([rows, inner])
    guard let products = try ceiling.products(.f32) else { return }
    let bytes = weights.count * inner * columns * 4
    let reading = try ceiling.memory(.init(read: 1, written: 0), bytes: bytes)
    let body = { for y in try f(x) { try check(y) } }
    let spreads = try interleaved(budget: 2, [body, products.run, reading.run])
    let arithmetic = spreads[1].median * 2 * Double(rows * bytes / 4) / products.amount
    let memory = spreads[2].median * Double(bytes) / reading.amount
    let share = max(arithmetic, memory) / spreads[0].median * 100
    let value =
      "\(number(spreads[0].median * 1e3, 2)) ms; arithmetic \(number(arithmetic * 1e3, 2)), weights \(number(memory * 1e3, 2))"
    show(
      Row(
        name: "rows_\(rows)", value: value + ", \(number(share)) % of the larger", goal: "at least 60 %",
        reached: share >= 60))
  }
}
