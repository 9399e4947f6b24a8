// The Llama family: grouped queries, rotary positions, RMSNorm, SwiGLU, tied or own output embedding.
// Not a loader of chats or text: ids in, logits out. Surprise: the cache is the caller's value, so one model serves
// any number of conversations.
import Basics
import Engine
import Formats
import Tensors
import TensorTypes

/// What a Llama file says about itself.
public struct LlamaConfiguration: Sendable {
  /// Number of layers.
  public var layers: Int
  /// Elements of a token's embedding.
  public var width: Int
  public var heads: Int
  /// Heads of keys and values; query heads share them evenly.
  public var keyHeads: Int
  public var headWidth: Int
  /// Longest text, in tokens.
  public var context: Int
  public var epsilon: Double
  public var rotaryBase: Double
  var rotaryLayout: RotaryLayout

  static let architectures: [String: RotaryLayout] = ["llama": .interleaved, "qwen2": .halves]

  init(_ file: GGUFFile) throws(Diagnostic) {
    let name = try file.string("general.architecture")
    guard let layout = Self.architectures[name] else {
      throw Diagnostic(
        .format, "\(file.file.path): the architecture '\(name)' is not supported",
        remedy: "supported are \(Self.architectures.keys.sorted().joined(separator: ", "))")
    }
    if let experts = file.metadata["\(name).expert_count"]?.integer, experts > 0 {
      throw Diagnostic(
        .format, "\(file.file.path): is a mixture of \(experts) experts (\(name).expert_count), which is not supported",
        remedy: "use a model without experts")
    }
    layers = try file.integer("\(name).block_count")
    width = try file.integer("\(name).embedding_length")
    heads = try file.integer("\(name).attention.head_count")
    keyHeads = file.metadata["\(name).attention.head_count_kv"]?.integer ?? heads
    context = try file.integer("\(name).context_length")
    epsilon = try file.number("\(name).attention.layer_norm_rms_epsilon")
    rotaryBase = file.metadata["\(name).rope.freq_base"]?.number ?? 10000
    rotaryLayout = layout
    guard layers > 0, heads > 0, keyHeads > 0, heads % keyHeads == 0, width > 0, context > 0 else {
      throw Diagnostic(
        .format,
        "\(file.file.path): \(layers) layers, \(heads) heads, \(keyHeads) key heads, width \(width) fit no model")
    }
    headWidth = file.metadata["\(name).attention.key_length"]?.integer ?? width / heads
    guard headWidth > 0, headWidth % 2 == 0 else {
      throw Diagnostic(.format, "\(file.file.path): heads of width \(headWidth) cannot be rotated in pairs")
    }
    // Everything the model computes from these numbers: a layer's matrices, and a cache of the whole context.
    guard CheckedSize.bytes([heads, headWidth, width], .f32) != nil,
      CheckedSize.bytes([layers, 2, context, keyHeads, headWidth], .f32) != nil
    else {
      throw Diagnostic(
        .format,
        "\(file.file.path): \(layers) layers of \(heads) heads of width \(headWidth), "
          + "width \(width) and context \(context) have more bytes than a machine can address")
    }
  }
}

/// A language model of the Llama family.
public struct Llama: Sendable {
  struct Layer: Sendable {
    var attentionNorm: Tensor
    var query: LinearWeight
    var key: LinearWeight
    var value: LinearWeight
    var biases: [Tensor]?
    var output: LinearWeight
    var feedForwardNorm: Tensor
    var gate: LinearWeight
    var up: LinearWeight
    var down: LinearWeight
  }

  public let configuration: LlamaConfiguration
  /// Rows of the embedding: ids are below it.
  public let vocabulary: Int
  private let embedding: LinearWeight
  private let layers: [Layer]
  private let norm: Tensor
  private let output: LinearWeight

  /// The model in a GGUF file; weights stay in the mapped file.
  ///
  /// - Throws: a Diagnostic for a missing tensor, an unknown architecture or encoding.
  public init(_ file: GGUFFile) throws(Diagnostic) {
    configuration = try LlamaConfiguration(file)
    func linear(_ name: String, _ rows: Int?, _ columns: Int?) throws(Diagnostic) -> LinearWeight {
      let stored = try file.tensor(name)
      guard stored.shape.count == 2, rows == nil || stored.shape[0] == rows,
        columns == nil || stored.shape[1] == columns
      else {
        let wanted = [rows, columns].map { $0.map(String.init) ?? "?" }
        throw Diagnostic(.format, "\(stored): the shape [\(wanted.joined(separator: ", "))] was expected")
      }
      return try LinearWeight(stored)
    }
    func vector(_ name: String) throws(Diagnostic) -> Tensor { try file.tensor(name).tensor() }
    let c = configuration
    let (queryWidth, keyWidth) = (c.heads * c.headWidth, c.keyHeads * c.headWidth)
    embedding = try linear("token_embd.weight", nil, c.width)
    vocabulary = try file.tensor("token_embd.weight").shape[0]
    output = file.contains("output.weight") ? try linear("output.weight", nil, c.width) : embedding
    norm = try vector("output_norm.weight")
    var layers: [Layer] = []
    for i in 0..<c.layers {
      let name = "blk.\(i)"
      var biases: [Tensor]?
      if file.contains("\(name).attn_q.bias") {
        biases = [
          try vector("\(name).attn_q.bias"), try vector("\(name).attn_k.bias"), try vector("\(name).attn_v.bias"),
        ]
      }
      layers.append(
        Layer(
          attentionNorm: try vector("\(name).attn_norm.weight"),
          query: try linear("\(name).attn_q.weight", queryWidth, c.width),
          key: try linear("\(name).attn_k.weight", keyWidth, c.width),
          value: try linear("\(name).attn_v.weight", keyWidth, c.width), biases: biases,
          output: try linear("\(name).attn_output.weight", c.width, queryWidth),
          feedForwardNorm: try vector("\(name).ffn_norm.weight"),
          gate: try linear("\(name).ffn_gate.weight", nil, c.width),
          up: try linear("\(name).ffn_up.weight", nil, c.width),
          down: try linear("\(name).ffn_down.weight", c.width, nil)))
    }
    self.layers = layers
  }

  /// Elements of all weight matrices that a step multiplies by.
  package var weightCount: Int { matrices.reduce(0) { $0 + $1.elementCount } }
  /// Bytes of them, as they are stored.
  package var weightBytes: Int { matrices.reduce(0) { $0 + $1.byteCount } }

  private var matrices: [LinearWeight] {
    layers.flatMap { [$0.query, $0.key, $0.value, $0.output, $0.gate, $0.up, $0.down] } + [output]
  }

  /// Logits [vocabulary] of the token after `tokens`, which are appended to the cache.
  ///
  /// - Parameters:
  ///   - tokens: at least one id; the cache must have room for them.
  ///   - cache: what the model remembers so far; grows by the tokens.
  /// - Throws: a Diagnostic if the cache is full or an id is outside the vocabulary.
  public func callAsFunction(_ tokens: [Int32], _ cache: inout KVCache) throws(Diagnostic) -> Tensor {
    try self(Tensor(tokens.map { Int64($0) }), &cache)
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
      var parts = [try layer.query(h), try layer.key(h), try layer.value(h)]
      if let biases = layer.biases {
        for p in parts.indices { parts[p] = try ModelOperations.sum(parts[p], biases[p]) }
      }
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
