// The Llama family: grouped queries, rotary positions, RMSNorm, SwiGLU, tied or own output embedding, biases where the
// file has them. Not a loader of chats or text: ids in, logits out. Surprise: the cache is the caller's value, so one
// model serves any number of conversations.
import Basics
import Engine
import Formats
import Tensors
import TensorTypes

/// A language model of the Llama family.
public struct Llama: Sendable {
  /// A product and, where the model has one, the bias after it.
  struct Projection: Sendable {
    var weight: LinearWeight
    var bias: Tensor?

    func callAsFunction(_ x: Tensor) throws(Diagnostic) -> Tensor {
      let product = try weight(x)
      return try bias.map { bias throws(Diagnostic) in try ModelOperations.sum(product, bias) } ?? product
    }
  }
  struct Layer: Sendable {
    var attentionNorm: Tensor
    var query: Projection
    var key: Projection
    var value: Projection
    var output: Projection
    var feedForwardNorm: Tensor
    var gate: Projection
    var up: Projection
    var down: Projection
  }

  public let configuration: LlamaConfiguration
  /// Rows of the embedding: ids are below it.
  public let vocabulary: Int
  let rotary: RotaryFrequencies
  private let embedding: LinearWeight
  private let layers: [Layer]
  private let norm: Tensor
  private let output: LinearWeight

  /// The model in a GGUF file; weights stay in the mapped file.
  ///
  /// - Throws: a Diagnostic for a missing tensor or one of another shape, an unknown architecture or encoding, and for
  ///   whatever the file holds that this model would ignore.
  public init(_ file: GGUFFile) throws(Diagnostic) {
    let c = try LlamaConfiguration(file)
    configuration = c
    let tensors = ModelTensors(.gguf(file))
    let table = try tensors.stored("token_embd.weight", [c.vocabulary, c.width])
    embedding = try LinearWeight(table)
    vocabulary = table.shape[0]
    output =
      tensors.contains("output.weight") ? try tensors.matrix("output.weight", table.shape[0], c.width) : embedding
    norm = try tensors.vector("output_norm.weight", c.width)
    rotary = try Self.rotary(c, tensors)
    var layers: [Layer] = []
    for i in 0..<c.layers { layers.append(try Self.layer(i, c, tensors)) }
    self.layers = layers
    try tensors.refuseUnread("a model of the Llama family") { _ in false }
  }

  private static func rotary(
    _ c: LlamaConfiguration, _ tensors: ModelTensors
  ) throws(Diagnostic) -> RotaryFrequencies {
    var rotary = RotaryFrequencies(base: c.rotaryBase, width: c.rotaryWidth)
    let name = "rope_freqs.weight"
    if tensors.contains(name) {
      let stored = try tensors.stored(name, [c.rotaryWidth / 2])
      let factors = try stored.floats()
      guard factors.allSatisfy({ $0 > 0 && $0.isFinite }) else {
        throw tensors.mistake(stored, "factors of rotary frequencies are positive and finite")
      }
      rotary.divide(by: factors)
    }
    rotary.stretch(c.scaling, base: c.rotaryBase, width: c.rotaryWidth)
    return rotary
  }

  private static func layer(
    _ number: Int, _ c: LlamaConfiguration, _ tensors: ModelTensors
  ) throws(Diagnostic) -> Layer {
    let name = "blk.\(number)"
    func projection(_ part: String, _ rows: Int?, _ columns: Int) throws(Diagnostic) -> Projection {
      let stored = try tensors.stored("\(name).\(part).weight", [rows, columns])
      return Projection(
        weight: try LinearWeight(stored), bias: try tensors.vectorIfPresent("\(name).\(part).bias", stored.shape[0]))
    }
    let (queryWidth, keyWidth) = (c.heads * c.headWidth, c.keyHeads * c.headWidth)
    let gate = try projection("ffn_gate", c.inner?[number], c.width)
    let inner = gate.weight.rows
    return Layer(
      attentionNorm: try tensors.vector("\(name).attn_norm.weight", c.width),
      query: try projection("attn_q", queryWidth, c.width), key: try projection("attn_k", keyWidth, c.width),
      value: try projection("attn_v", keyWidth, c.width), output: try projection("attn_output", c.width, queryWidth),
      feedForwardNorm: try tensors.vector("\(name).ffn_norm.weight", c.width), gate: gate,
      up: try projection("ffn_up", inner, c.width), down: try projection("ffn_down", c.width, inner))
  }

  /// Elements of all weight matrices that a step multiplies by.
  package var weightCount: Int { matrices.reduce(0) { $0 + $1.elementCount } }
  /// Bytes of them, as they are stored.
  package var weightBytes: Int { matrices.reduce(0) { $0 + $1.byteCount } }

  private var matrices: [LinearWeight] {
    layers.flatMap { [$0.query, $0.key, $0.value, $0.output, $0.gate, $0.up, $0.down].map(\.weight) } + [output]
  }

  /// Logits [vocabulary] of the token after `tokens`, which are appended to the cache.
  ///
  /// - Parameters:
  ///   - tokens: at least one id; the cache must have room for them.
  ///   - cache: what the model remembers so far; grows by the tokens.
  /// - Throws: a Diagnostic if the cache is full or an id is outside the vocabulary.
  public func callAsFunction(_ tokens: [Int32], _ cache: inout KVCache) throws(Diagnostic) -> Tensor {
    try check(tokens)
    return try self(Tensor(tokens.map { Int64($0) }), &cache)
  }

  /// Ids are told of before anything computes with them.
  func check(_ tokens: [Int32]) throws(Diagnostic) {
    guard !tokens.isEmpty else {
      throw Diagnostic(.argument, "there are no tokens", remedy: "give at least one token")
    }
    for (place, id) in tokens.enumerated() where id < 0 || Int(id) >= vocabulary {
      throw Diagnostic(
        .index, "token \(place) is \(id), the model's vocabulary has \(vocabulary) tokens",
        remedy: "use the ids of the model's own tokenizer")
    }
  }

  /// As ``callAsFunction(_:_:)-([Int32],_)`` for ids in a tensor (i64, rank 1): what `compile` captures, for all positions
  /// and lengths at once.
  public func callAsFunction(_ tokens: Tensor, _ cache: inout KVCache) throws(Diagnostic) -> Tensor {
    let c = configuration
    let ids = try tokens.view
    guard ids.rank == 1, ids.dtype == .i64, ids.dim(0) > 0 else {
      throw Diagnostic(.argument, "tokens \(ids.dtype)\(ids.hints)", remedy: "give at least one id as i64 of rank 1")
    }
    let (count, size, start) = (tokens.shape[0], ids.hints[0], cache.length)
    guard start + count <= cache.room else {
      throw Diagnostic(
        .argument, "\(size) tokens after \(try start.sizeHint) do not fit a cache of \(cache.capacity)",
        remedy: "make the cache larger, at most the model's context of \(c.context)")
    }
    let (cosine, sine) = try cache.rotary(start, count)
    var x = try embedding.gathering(tokens)
    for (i, layer) in layers.enumerated() {
      let h = try ModelOperations.rmsNorm(x, weight: layer.attentionNorm, epsilon: c.epsilon)
      let parts = [try layer.query(h), try layer.key(h), try layer.value(h)]
      func heads(_ x: Tensor, _ parts: Int) throws(Diagnostic) -> Tensor {
        try x.reshaped(dims: [count, Dim(parts), Dim(c.headWidth)])
      }
      let q = try ModelOperations.rotated(
        heads(parts[0], c.heads), cosine: cosine, sine: sine, layout: c.rotaryLayout)
      let k = try ModelOperations.rotated(
        heads(parts[1], c.keyHeads), cosine: cosine, sine: sine, layout: c.rotaryLayout)
      let (keys, values) = try cache.append(k, heads(parts[2], c.keyHeads), layer: i)
      let mixed =
        try Trace.current == nil
        ? ModelOperations.attention(q, keys, values, start: start.value)
        : ModelOperations.capturedAttention(q, keys, values, start: start)
      x = try ModelOperations.sum(x, layer.output(mixed))
      let f = try ModelOperations.rmsNorm(x, weight: layer.feedForwardNorm, epsilon: c.epsilon)
      x = try ModelOperations.sum(x, layer.down(ModelOperations.gated(layer.gate(f), layer.up(f))))
    }
    cache.length += count
    let last = Tensor(try x.view.sliced(0, start: size - 1, count: 1, dims: (count - 1, 1)))
    return try output(ModelOperations.rmsNorm(last, weight: norm, epsilon: c.epsilon)).reshaped(to: [-1])
  }
}
