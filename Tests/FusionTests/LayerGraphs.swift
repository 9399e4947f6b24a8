// Layers of language models as graphs, as capture gives them: weights and caches are parameters, one graph for all layers.
// Not the models of LanguageModels: sizes are free, so that tests run small ones and count large ones.
import Basics
import GraphIR
import Scalars
import TensorTypes

struct LayerSizes {
  var layers: Int
  var width: Int
  var heads: Int
  var keyHeads: Int
  var headWidth: Int
  var hidden: Int
  var capacity: Int
  static let small = LayerSizes(
    layers: 2, width: 32, heads: 4, keyHeads: 2, headWidth: 8, hidden: 64, capacity: 6)
  static let smol = LayerSizes(
    layers: 4, width: 576, heads: 9, keyHeads: 3, headWidth: 64, hidden: 1536, capacity: 2048)
}

/// One token through the layers of a Llama with packed weights of four bits in blocks of 32 and a donated cache.
struct LlamaDecode {
  var builder = GraphBuilder(name: "decode")
  let sizes: LayerSizes

  static func graph(_ sizes: LayerSizes) throws -> Graph {
    var maker = LlamaDecode(sizes: sizes)
    let position = maker.builder.extent("position")
    var cache = maker.builder.parameter(
      "cache", TensorType(.f32, [Dim(sizes.layers), 2, Dim(sizes.capacity), Dim(sizes.keyHeads), Dim(sizes.headWidth)]))
    let half = Dim(sizes.headWidth / 2)
    let cosine = maker.builder.parameter("cosine", TensorType(.f32, [Dim(sizes.capacity), half]))
    let sine = maker.builder.parameter("sine", TensorType(.f32, [Dim(sizes.capacity), half]))
    var x = maker.builder.parameter("x", TensorType(.f32, [1, Dim(sizes.width)]))
    for layer in 0..<sizes.layers {
      try maker.append(layer, &x, &cache, position, cosine, sine)
    }
    return maker.builder.finish([x, cache])
  }

  private mutating func norm(_ x: Value, _ name: String) throws -> Value {
    let shape = builder.shape(x)
    let weight = builder.parameter(name, TensorType(.f32, [shape[1]]))
    let squares = try builder.append(.reduce(.sum, axes: [1]), builder.append(.multiply, x, x))
    let count = try builder.filled(ScalarConstant(.f32, Double(sizes.width)), [1])
    let epsilon = try builder.filled(ScalarConstant(.f32, 1e-5), [1])
    let mean = try builder.append(.add, builder.append(.divide, squares, count), epsilon)
    let scale = try builder.restoring(builder.append(.reciprocalSquareRoot, mean), [1], shape)
    return try builder.append(.multiply, builder.append(.multiply, x, scale), builder.broadcast(weight, shape))
  }

  /// x [1, columns] times a packed weight [rows, columns]: [1, rows].
  private mutating func linear(_ x: Value, _ name: String, _ rows: Int) throws -> Value {
    guard let columns = builder.shape(x)[1].knownValue else { throw Diagnostic(.shape, "unknown columns") }
    let blocks = columns / 32
    let bytes = builder.parameter("\(name)_bytes", TensorType(.u8, [Dim(rows), Dim(blocks), 20]))
    let scale = builder.parameter(
      "\(name)_scale", TensorType(.f16, [Dim(rows), Dim(blocks)]), strides: [Dim(blocks * 10), 10])
    let shape: Shape = [Dim(rows), Dim(blocks), 16]
    let split = try builder.append(.reshape([Dim(blocks), 2, 16]), x)
    let packed = try builder.append(
      .slice(starts: [0, 0, 4], counts: [Dim(rows), Dim(blocks), 16], steps: [1, 1, 1]), bytes)
    var sum: Value?
    for run in 0..<2 {
      let piece = try builder.append(
        .slice(starts: [0, Dim(run), 0], counts: [Dim(blocks), 1, 16], steps: [1, 1, 1]), split)
      let flat = try builder.broadcast(builder.append(.reshape([Dim(blocks), 16]), piece), shape)
      let four = try builder.filled(ScalarConstant(.u8, integer: run == 0 ? 15 : 4), shape)
      let bits = try builder.append(run == 0 ? .and : .shiftRight, packed, four)
      let quant = try builder.convert(bits, to: .f32)
      sum =
        try sum.map { before in try builder.append(.multiplyAdd, quant, flat, before) }
        ?? builder.append(.multiply, quant, flat)
    }
    let wide = try builder.convert(builder.restoring(scale, [2], shape), to: .f32)
    guard let sum else { throw Diagnostic(.shape, "no runs") }
    let whole = try builder.append(.reduce(.sum, axes: [1, 2]), builder.append(.multiply, wide, sum))
    return try builder.append(.reshape([1, Dim(rows)]), whole)
  }

  private mutating func rotated(
    _ x: Value, _ heads: Int, _ cosine: Value, _ sine: Value, _ position: Dim
  ) throws -> Value {
    let half = sizes.headWidth / 2
    let split = try builder.append(.reshape([1, Dim(heads), Dim(half), 2]), x)
    let shape: Shape = [1, Dim(heads), Dim(half)]
    func pair(_ i: Int, _ builder: inout GraphBuilder) throws -> Value {
      let part = try builder.append(
        .slice(starts: [0, 0, 0, Dim(i)], counts: shape.dims + [1], steps: [1, 1, 1, 1]), split)
      return try builder.append(.reshape(shape), part)
    }
    func table(_ value: Value, _ builder: inout GraphBuilder) throws -> Value {
      let row = try builder.append(.slice(starts: [position, 0], counts: [1, Dim(half)], steps: [1, 1]), value)
      return try builder.broadcast(builder.append(.reshape([1, 1, Dim(half)]), row), shape)
    }
    let (a, b) = (try pair(0, &builder), try pair(1, &builder))
    let (c, s) = (try table(cosine, &builder), try table(sine, &builder))
    let first = try builder.append(.subtract, builder.append(.multiply, a, c), builder.append(.multiply, b, s))
    let second = try builder.append(.add, builder.append(.multiply, a, s), builder.append(.multiply, b, c))
    let joined = try builder.append(
      .concatenate(axis: 3), builder.append(.reshape(Shape(shape.dims + [1])), first),
      builder.append(.reshape(Shape(shape.dims + [1])), second))
    return try builder.append(.reshape([1, Dim(heads), Dim(sizes.headWidth)]), joined)
  }

  private mutating func append(
    _ layer: Int, _ x: inout Value, _ cache: inout Value, _ position: Dim, _ cosine: Value, _ sine: Value
  ) throws {
    let (keyHeads, width) = (Dim(sizes.keyHeads), Dim(sizes.headWidth))
    let h = try norm(x, "norm\(layer)")
    let q = try rotated(linear(h, "q\(layer)", sizes.heads * sizes.headWidth), sizes.heads, cosine, sine, position)
    let k = try rotated(
      linear(h, "k\(layer)", sizes.keyHeads * sizes.headWidth), sizes.keyHeads, cosine, sine, position)
    let v = try linear(h, "v\(layer)", sizes.keyHeads * sizes.headWidth)
    var parts: [Value] = []
    for (part, update) in [k, v].enumerated() {
      let row = try builder.append(.reshape([1, 1, 1, keyHeads, width]), update)
      cache = try builder.append(
        .assign(starts: [Dim(layer), Dim(part), position, 0, 0], steps: [1, 1, 1, 1, 1]), cache, row)
    }
    for part in 0..<2 {
      let rows = try builder.append(
        .slice(
          starts: [Dim(layer), Dim(part), 0, 0, 0], counts: [1, 1, position + 1, keyHeads, width],
          steps: [1, 1, 1, 1, 1]), cache)
      parts.append(try builder.append(.reshape([position + 1, keyHeads, width]), rows))
    }
    // [key heads, group, width] . [keys, key heads, width] -> [key heads, group, keys]
    let group = sizes.heads / sizes.keyHeads
    let queries = try builder.append(.reshape([keyHeads, Dim(group), width]), q)
    let scores = try builder.append(
      .contraction(ContractionAxes(batch: [.init(0, 1)], contracted: [.init(2, 2)])), queries, parts[0])
    let shape = builder.shape(scores)
    let scaled = try builder.append(.multiply, scores, builder.filled(ScalarConstant(.f32, 0.125), shape))
    let top = try builder.restoring(builder.append(.reduce(.maximum, axes: [2]), scaled), [2], shape)
    let e = try builder.append(.exp, builder.append(.subtract, scaled, top))
    let sum = try builder.restoring(builder.append(.reduce(.sum, axes: [2]), e), [2], shape)
    let weights = try builder.append(.divide, e, sum)
    let mixed = try builder.append(
      .contraction(ContractionAxes(batch: [.init(0, 1)], contracted: [.init(2, 0)])), weights, parts[1])
    let flat = try builder.append(.reshape([1, Dim(sizes.heads * sizes.headWidth)]), mixed)
    x = try builder.append(.add, x, linear(flat, "o\(layer)", sizes.width))
    let f = try norm(x, "ffn\(layer)")
    let gate = try linear(f, "gate\(layer)", sizes.hidden)
    let up = try linear(f, "up\(layer)", sizes.hidden)
    let gated = try builder.append(
      .multiply, builder.append(.multiply, gate, builder.append(.sigmoid, gate)), up)
    x = try builder.append(.add, x, linear(gated, "down\(layer)", sizes.width))
  }
}

/// Layers of GPT-2 over a whole text.
struct GPT2Prefill {
  var builder = GraphBuilder(name: "prefill")
  let layers: Int
  let heads: Int
  let headWidth: Int
  let tokens: Dim

  static func graph(layers: Int, heads: Int, headWidth: Int, tokens: Int?) throws -> Graph {
    var builder = GraphBuilder(name: "prefill")
    let extent = tokens.map { Dim($0) } ?? builder.extent("tokens")
    var maker = GPT2Prefill(builder: builder, layers: layers, heads: heads, headWidth: headWidth, tokens: extent)
    var x = maker.builder.parameter("x", TensorType(.f32, [extent, Dim(heads * headWidth)]))
    for layer in 0..<layers { try maker.append(layer, &x) }
    return maker.builder.finish([x])
  }

  private mutating func vector(_ name: String, _ count: Dim, _ shape: Shape) throws -> Value {
    let made = builder.parameter(name, TensorType(.f32, [count]))
    return try builder.broadcast(made, shape)
  }

  private mutating func norm(_ x: Value, _ name: String) throws -> Value {
    let shape = builder.shape(x)
    let row: Shape = [shape[0]]
    let count = try builder.filled(ScalarConstant(.f32, Double(heads * headWidth)), row)
    let mean = try builder.append(.divide, builder.append(.reduce(.sum, axes: [1]), x), count)
    let centred = try builder.append(.subtract, x, builder.restoring(mean, [1], shape))
    let squares = try builder.append(.reduce(.sum, axes: [1]), builder.append(.multiply, centred, centred))
    let epsilon = try builder.filled(ScalarConstant(.f32, 1e-5), row)
    let variance = try builder.append(.add, builder.append(.divide, squares, count), epsilon)
    let scale = try builder.restoring(builder.append(.reciprocalSquareRoot, variance), [1], shape)
    let normal = try builder.append(.multiply, centred, scale)
    let weighted = try builder.append(.multiply, normal, vector("\(name)_w", shape[1], shape))
    return try builder.append(.add, weighted, vector("\(name)_b", shape[1], shape))
  }

  private mutating func linear(_ x: Value, _ name: String, _ columns: Dim) throws -> Value {
    let weight = builder.parameter("\(name)_w", TensorType(.f32, [builder.shape(x)[1], columns]))
    let product = try builder.append(.contraction(ContractionAxes(contracted: [.init(1, 0)])), x, weight)
    return try builder.append(.add, product, vector("\(name)_b", columns, builder.shape(product)))
  }

  private mutating func append(_ layer: Int, _ x: inout Value) throws {
    let (h, d) = (Dim(heads), Dim(headWidth))
    let all = try linear(norm(x, "ln1_\(layer)"), "qkv\(layer)", 3 * h * d)
    var parts: [Value] = []
    for part in 0..<3 {
      let slice = try builder.append(
        .slice(starts: [0, Dim(part) * h * d], counts: [tokens, h * d], steps: [1, 1]), all)
      let split = try builder.append(.reshape([tokens, h, d]), slice)
      parts.append(try builder.append(.permute([1, 0, 2]), split))
    }
    let scores = try builder.append(
      .contraction(ContractionAxes(batch: [.init(0, 0)], contracted: [.init(2, 2)])), parts[0], parts[1])
    let shape = builder.shape(scores)
    let scaled = try builder.append(.multiply, scores, builder.filled(ScalarConstant(.f32, 0.125), shape))
    let row = try builder.append(.iota(axis: 1, shape))
    let column = try builder.append(.iota(axis: 2, shape))
    let hidden = try builder.append(.less, row, column)
    let masked = try builder.append(.select, hidden, builder.filled(ScalarConstant(.f32, -.infinity), shape), scaled)
    let top = try builder.restoring(builder.append(.reduce(.maximum, axes: [2]), masked), [2], shape)
    let e = try builder.append(.exp, builder.append(.subtract, masked, top))
    let sum = try builder.restoring(builder.append(.reduce(.sum, axes: [2]), e), [2], shape)
    let weights = try builder.append(.divide, e, sum)
    let mixed = try builder.append(
      .contraction(ContractionAxes(batch: [.init(0, 0)], contracted: [.init(2, 1)])), weights, parts[2])
    let joined = try builder.append(.reshape([tokens, h * d]), builder.append(.permute([1, 0, 2]), mixed))
    x = try builder.append(.add, x, linear(joined, "proj\(layer)", h * d))
    let wide = try linear(norm(x, "ln2_\(layer)"), "fc\(layer)", 4 * h * d)
    let half = try builder.filled(ScalarConstant(.f32, 0.5), builder.shape(wide))
    let root = try builder.filled(ScalarConstant(.f32, 0.70710678), builder.shape(wide))
    let erf = try builder.append(.erf, builder.append(.multiply, wide, root))
    let gelu = try builder.append(
      .multiplyAdd, builder.append(.multiply, wide, half), erf, builder.append(.multiply, wide, half))
    x = try builder.append(.add, x, linear(gelu, "out\(layer)", h * d))
  }
}
