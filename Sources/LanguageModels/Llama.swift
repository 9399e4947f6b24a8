// The Llama family: grouped queries, rotary positions, RMSNorm, SwiGLU, tied or own output embedding, biases where the
// file has them. Not a loader of chats or text: ids in, logits out. Surprise: the cache is the caller's value, so one
// model serves any number of conversations.
import Basics
import Formats
import Tensors
import TensorTypes

/// A language model of the Llama family.
public struct Llama: Sendable {
  public let configuration: LlamaConfiguration
  /// Rows of the embedding: ids are below it.
  public let vocabulary: Int
  let rotary: RotaryFrequencies
  private let embedding: LinearWeight
  private let layers: [Layer]
  private let norm: Norm
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
    norm = Norm(weight: try tensors.vector("output_norm.weight", c.width), epsilon: c.epsilon)
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
    func norm(_ part: String) throws(Diagnostic) -> Norm {
      Norm(weight: try tensors.vector("\(name).\(part).weight", c.width), epsilon: c.epsilon)
    }
    let (queryWidth, keyWidth) = (c.heads * c.headWidth, c.keyHeads * c.headWidth)
    let gate = try projection("ffn_gate", c.inner?[number], c.width)
    let inner = gate.weight.rows
    return Layer(
      attentionNorm: try norm("attn_norm"),
      attention: Attention(
        query: try projection("attn_q", queryWidth, c.width), key: try projection("attn_k", keyWidth, c.width),
        value: try projection("attn_v", keyWidth, c.width), output: try projection("attn_output", c.width, queryWidth),
        headWidth: c.headWidth, layout: c.rotaryLayout),
      feedForwardNorm: try norm("ffn_norm"),
      feedForward: FeedForward(
        gate: gate, up: try projection("ffn_up", inner, c.width), down: try projection("ffn_down", c.width, inner)))
  }

  /// Elements of all weight matrices that a step multiplies by.
  package var weightCount: Int { matrices.reduce(0) { $0 + $1.elementCount } }
  /// Bytes of them, as they are stored.
  package var weightBytes: Int { matrices.reduce(0) { $0 + $1.byteCount } }

  private var matrices: [LinearWeight] {
    layers.flatMap { layer in
      let (attention, feedForward) = (layer.attention, layer.feedForward)
      return [attention.query, attention.key, attention.value, attention.output].map(\.weight)
        + [feedForward.gate, feedForward.up, feedForward.down].map(\.weight)
    } + [output]
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
    let count = try room(for: tokens, in: cache)
    let positions = cache.positions(count)
    var x = embedding[tokens]
    for (number, layer) in layers.enumerated() {
      x = try x + layer.attention(layer.attentionNorm(x), positions, &cache, layer: number)
      x = x + layer.feedForward(layer.feedForwardNorm(x))
    }
    cache.length += count
    return try output(norm(x[(count - 1)..<count])).reshaped(dims: [Dim(vocabulary)])
  }

  /// How many tokens there are; a mistake if they are none, or more than the cache has room for.
  private func room(for tokens: Tensor, in cache: KVCache) throws(Diagnostic) -> Dim {
    let ids = try tokens.view
    guard ids.rank == 1, ids.dtype == .i64, ids.dim(0) > 0 else {
      throw Diagnostic(.argument, "tokens \(ids.dtype)\(ids.hints)", remedy: "give at least one id as i64 of rank 1")
    }
    let count = tokens.shape[0]
    guard cache.length + count <= cache.room else {
      throw Diagnostic(
        .argument, "\(ids.hints[0]) tokens after \(try cache.length.sizeHint) do not fit a cache of \(cache.capacity)",
        remedy: "make the cache larger, at most the model's context of \(configuration.context)")
    }
    return count
  }
}
