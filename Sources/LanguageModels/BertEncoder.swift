// BERT as a sentence encoder: a directory as Sentence Transformers writes it in, an embedding per text out.
// Not a masked language model: heads are ignored. Surprise: one text at a time, so nothing is ever padded and no
// attention mask exists.
import Basics
import Engine
import Formats
import Tensors
import TensorTypes
import Tokenizers

/// What `config.json` of a BERT model says.
public struct BertConfiguration: Sendable {
  public var layers: Int
  /// Elements of a token's embedding.
  public var width: Int
  public var heads: Int
  /// Longest text, in tokens, special ones included.
  public var context: Int
  public var epsilon: Double

  init(_ directory: ModelDirectory) throws(Diagnostic) {
    let json = try directory.json("config.json")
    func integer(_ key: String) throws(Diagnostic) -> Int {
      guard let value = json[key]?.int, value > 0 else {
        throw directory.mistake("config.json", "'\(key)' is missing or no positive integer")
      }
      return value
    }
    func require(_ key: String, _ supported: String) throws(Diagnostic) {
      guard let value = json[key]?.string, value != supported else { return }
      throw directory.mistake("config.json", "'\(key)' is '\(value)', only '\(supported)' is supported")
    }
    try require("model_type", "bert")
    try require("hidden_act", "gelu")
    try require("position_embedding_type", "absolute")
    layers = try integer("num_hidden_layers")
    width = try integer("hidden_size")
    heads = try integer("num_attention_heads")
    context = try integer("max_position_embeddings")
    epsilon = json["layer_norm_eps"]?.double ?? 1e-12
    guard width % heads == 0 else {
      throw directory.mistake("config.json", "a width of \(width) does not divide into \(heads) heads")
    }
    if let limit = try directory.optionalJSON("sentence_bert_config.json")?["max_seq_length"]?.int, limit > 2 {
      context = min(context, limit)
    }
  }
}

/// A BERT encoder with its tokenizer and pooling.
///
///     let encoder = try BertEncoder(directory: "all-MiniLM-L6-v2")
///     let embedding = try encoder("That is a happy person").array(as: Float.self)
public struct BertEncoder: Sendable {
  /// How the tokens' states become one embedding.
  enum Pooling: Sendable {
    case mean
    case firstToken
  }
  struct Affine: Sendable {
    var weight: LinearWeight
    var bias: Tensor
  }
  struct Norm: Sendable {
    var weight: Tensor
    var bias: Tensor
  }
  struct Layer: Sendable {
    var query: Affine
    var key: Affine
    var value: Affine
    var output: Affine
    var attentionNorm: Norm
    var up: Affine
    var down: Affine
    var norm: Norm
  }

  public let configuration: BertConfiguration
  public let tokenizer: Tokenizer
  private let words: LinearWeight
  private let positions: Tensor
  private let type: Tensor
  private let norm: Norm
  private let layers: [Layer]
  private let pooling: Pooling
  private let normalizes: Bool

  /// Loads the model in `directory`: config.json, model.safetensors, tokenizer.json, and where they exist
  /// modules.json, 1_Pooling/config.json, sentence_bert_config.json.
  ///
  /// - Throws: a Diagnostic if a file is missing or damaged, or asks for what is not supported.
  public init(directory path: String) throws(Diagnostic) {
    let directory = try ModelDirectory(path)
    let c = try BertConfiguration(directory)
    configuration = c
    tokenizer = try directory.tokenizer()
    (pooling, normalizes) = try directory.pooling()
    let file = try SafetensorsFile(path: directory.file("model.safetensors"))
    let prefix = file.contains("bert.embeddings.word_embeddings.weight") ? "bert." : ""
    func stored(_ name: String, _ shape: [Int?]) throws(Diagnostic) -> StoredTensor {
      let tensor = try file.tensor(prefix + name)
      guard tensor.shape.count == shape.count, zip(tensor.shape, shape).allSatisfy({ $1 == nil || $0 == $1 }) else {
        let wanted = shape.map { $0.map(String.init) ?? "?" }.joined(separator: ", ")
        throw Diagnostic(.format, "\(path): \(tensor): the shape [\(wanted)] was expected")
      }
      return tensor
    }
    func affine(_ name: String, _ rows: Int?, _ columns: Int?) throws(Diagnostic) -> Affine {
      let weight = try stored("\(name).weight", [rows, columns])
      return Affine(
        weight: try LinearWeight(weight), bias: try stored("\(name).bias", [weight.shape[0]]).tensor())
    }
    func norm(_ name: String) throws(Diagnostic) -> Norm {
      Norm(
        weight: try stored("\(name).weight", [c.width]).tensor(), bias: try stored("\(name).bias", [c.width]).tensor())
    }
    let table = try stored("embeddings.word_embeddings.weight", [nil, c.width])
    guard table.shape[0] >= tokenizer.count else {
      throw Diagnostic(
        .format, "\(path): \(tokenizer.count) tokens in tokenizer.json, \(table.shape[0]) rows in the embedding",
        remedy: "check that the files belong to one model")
    }
    words = try LinearWeight(table)
    let places = try stored("embeddings.position_embeddings.weight", [nil, c.width])
    guard places.shape[0] >= c.context else {
      throw Diagnostic(.format, "\(path): \(places): \(c.context) positions were expected")
    }
    positions = try places.tensor()
    type = try stored("embeddings.token_type_embeddings.weight", [nil, c.width]).tensor()
    self.norm = try norm("embeddings.LayerNorm")
    var layers: [Layer] = []
    for i in 0..<c.layers {
      let name = "encoder.layer.\(i)"
      layers.append(
        Layer(
          query: try affine("\(name).attention.self.query", c.width, c.width),
          key: try affine("\(name).attention.self.key", c.width, c.width),
          value: try affine("\(name).attention.self.value", c.width, c.width),
          output: try affine("\(name).attention.output.dense", c.width, c.width),
          attentionNorm: try norm("\(name).attention.output.LayerNorm"),
          up: try affine("\(name).intermediate.dense", nil, c.width),
          down: try affine("\(name).output.dense", c.width, nil), norm: try norm("\(name).output.LayerNorm")))
    }
    self.layers = layers
  }

  /// The embedding [width] of `text`; what is beyond the model's longest text is cut off.
  public func callAsFunction(_ text: String) throws(Diagnostic) -> Tensor {
    let ids = tokenizer.encode(text, maximumLength: configuration.context)
    return try self(Tensor(ids.map { Int64($0) }))
  }

  /// The embedding [width] of token ids (i64, rank 1), special ones included: what `compile` captures.
  public func callAsFunction(_ ids: Tensor) throws(Diagnostic) -> Tensor {
    let states = try states(ids)
    let pooled =
      switch pooling {
      case .mean: try ModelOperations.meanOfRows(states)
      case .firstToken: try Tensor(states.view.sliced(0, start: 0, count: 1)).reshaped(to: [-1])
      }
    return normalizes ? try ModelOperations.unitLength(pooled) : pooled
  }

  /// The last layer's states [tokens, width].
  func states(_ ids: Tensor) throws(Diagnostic) -> Tensor {
    let c = configuration
    let (size, count) = (try ids.view.hints.first ?? 0, ids.shape[0])
    guard size > 0, count > 0 else { throw Diagnostic(.argument, "a text without tokens has no embedding") }
    guard count <= c.context else {
      throw Diagnostic(
        .argument, "\(size) tokens are more than the model's context of \(c.context)", remedy: "cut the text")
    }
    func normalized(_ terms: [Tensor], _ norm: Norm) throws(Diagnostic) -> Tensor {
      try ModelOperations.layerNorm(sumOf: terms, weight: norm.weight, bias: norm.bias, epsilon: c.epsilon)
    }
    func heads(_ part: Affine, _ x: Tensor) throws(Diagnostic) -> Tensor {
      try ModelOperations.sum(part.weight(x), part.bias).reshaped(dims: [count, Dim(c.heads), Dim(c.width / c.heads)])
    }
    let places = Tensor(try positions.view.sliced(0, start: 0, count: size, dims: (0, count)))
    let firstType = Tensor(try type.view.sliced(0, start: 0, count: 1))
    var x = try normalized([words.gathering(ids), places, firstType], norm)
    for layer in layers {
      let (q, k, v) = (try heads(layer.query, x), try heads(layer.key, x), try heads(layer.value, x))
      let mixed =
        try Trace.current == nil
        ? ModelOperations.attention(q, k, v, start: nil) : ModelOperations.capturedAttention(q, k, v, start: nil)
      x = try normalized([layer.output.weight(mixed), layer.output.bias, x], layer.attentionNorm)
      let wide = try ModelOperations.gelu(layer.up.weight(x), bias: layer.up.bias)
      x = try normalized([layer.down.weight(wide), layer.down.bias, x], layer.norm)
    }
    return x
  }
}
