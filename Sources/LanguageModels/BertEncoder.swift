// BERT as a sentence encoder: a directory as Sentence Transformers writes it in, an embedding per text out.
// Not a masked language model: heads are left alone. Surprise: one text at a time, so nothing is ever padded and no
// attention mask exists.
import Basics
import Formats
import Tensors
import TensorTypes
import Tokenizers

/// A BERT encoder with its tokenizer and pooling.
///
///     let encoder = try BertEncoder(directory: "all-MiniLM-L6-v2")
///     let embedding = try encoder("That is a happy person").array(as: Float.self)
public struct BertEncoder: Sendable {
  struct Affine: Sendable {
    var weight: Tensor
    var bias: Tensor

    func callAsFunction(_ x: Tensor) -> Tensor { x.linear(weight: weight, bias: bias) }
  }
  struct Norm: Sendable {
    var weight: Tensor
    var bias: Tensor
    var epsilon: Double

    func callAsFunction(_ x: Tensor) -> Tensor {
      x.layerNorm(weight.shape.dims, weight: weight, bias: bias, eps: epsilon)
    }
  }
  /// Each token's state mixed with those of all others (Vaswani 2017).
  struct Attention: Sendable {
    var query: Affine
    var key: Affine
    var value: Affine
    var output: Affine
    var heads: Int

    func callAsFunction(_ x: Tensor) -> Tensor {
      let (tokens, width) = (x.shape[0], x.shape[1])
      func split(_ part: Affine) -> Tensor { part(x).reshaped(tokens, heads, width / Dim(heads)).transposed(0, 1) }
      let mixed = Tensor.scaledDotProductAttention(split(query), split(key), split(value))
      return output(mixed.transposed(0, 1).reshaped(tokens, width))
    }
  }
  struct Layer: Sendable {
    var attention: Attention
    var attentionNorm: Norm
    var up: Affine
    var activation: BertConfiguration.Activation
    var down: Affine
    var norm: Norm

    func callAsFunction(_ x: Tensor) -> Tensor {
      let y = attentionNorm(attention(x) + x)
      return norm(down(activation(up(y))) + y)
    }
  }

  public let configuration: BertConfiguration
  public let tokenizer: Tokenizer
  private let words: Tensor
  private let positions: Tensor
  private let type: Tensor
  private let norm: Norm
  private let layers: [Layer]
  private let modules: SentenceModules
  /// Elements of an embedding: the encoder's width, unless modules after it change it.
  public var embeddingWidth: Int { modules.width }
  /// What models put before texts of a kind ("query", "document"), by the kind's name.
  public let prompts: [String: String]
  /// The kind of prompt that texts get where none is asked for.
  public let standardPrompt: String?

  /// Loads the model in `directory`: config.json, model.safetensors, tokenizer.json, and where they exist
  /// modules.json with the modules' folders, sentence_bert_config.json, config_sentence_transformers.json and
  /// tokenizer_config.json.
  ///
  /// - Throws: a Diagnostic if a file is missing or damaged, or asks for what is not supported.
  public init(directory path: String) throws(Diagnostic) {
    let root = try ModelDirectory(path)
    let encoderPath = try SentenceModules.encoderPath(root)
    let directory = encoderPath.isEmpty ? root : try ModelDirectory(root.file(encoderPath))
    var c = try BertConfiguration(directory)
    var tokenizer = try directory.tokenizer()
    let text = try SentenceText(directory, root, tokenizer)
    if let longest = text.longest { c.context = min(c.context, longest) }
    if text.lowercases { tokenizer = tokenizer.lowercasing() }
    configuration = c
    self.tokenizer = tokenizer
    prompts = text.prompts
    standardPrompt = text.standardPrompt
    modules = try SentenceModules(root, encoderWidth: c.width)
    let isWrapped = try directory.tensors().contains("bert.embeddings.word_embeddings.weight")
    let tensors = try directory.tensors(named: isWrapped ? "bert." : "")
    func affine(_ name: String, _ rows: Int, _ columns: Int) throws(Diagnostic) -> Affine {
      Affine(
        weight: try tensors.stored("\(name).weight", [rows, columns]).tensor(),
        bias: try tensors.vector("\(name).bias", rows))
    }
    func norm(_ name: String) throws(Diagnostic) -> Norm {
      // As the checkpoints of TensorFlow call them, which bert-base still does.
      let isOld = tensors.contains("\(name).gamma")
      return Norm(
        weight: try tensors.vector("\(name).\(isOld ? "gamma" : "weight")", c.width),
        bias: try tensors.vector("\(name).\(isOld ? "beta" : "bias")", c.width), epsilon: c.epsilon)
    }
    guard c.vocabulary >= tokenizer.count else {
      throw Diagnostic(
        .format, "\(path): \(tokenizer.count) tokens in tokenizer.json, \(c.vocabulary) rows in the embedding",
        remedy: "check that the files belong to one model")
    }
    words = try tensors.stored("embeddings.word_embeddings.weight", [c.vocabulary, c.width]).tensor()
    positions = try tensors.dense("embeddings.position_embeddings.weight", [c.positions, c.width])
    type = try tensors.dense("embeddings.token_type_embeddings.weight", [c.types, c.width])
    self.norm = try norm("embeddings.LayerNorm")
    var layers: [Layer] = []
    for i in 0..<c.layers {
      let name = "encoder.layer.\(i)"
      layers.append(
        Layer(
          attention: Attention(
            query: try affine("\(name).attention.self.query", c.width, c.width),
            key: try affine("\(name).attention.self.key", c.width, c.width),
            value: try affine("\(name).attention.self.value", c.width, c.width),
            output: try affine("\(name).attention.output.dense", c.width, c.width), heads: c.heads),
          attentionNorm: try norm("\(name).attention.output.LayerNorm"),
          up: try affine("\(name).intermediate.dense", c.inner, c.width), activation: c.activation,
          down: try affine("\(name).output.dense", c.width, c.inner), norm: try norm("\(name).output.LayerNorm")))
    }
    self.layers = layers
    try tensors.refuseUnread("a BERT encoder", except: Self.isUnneeded)
  }

  /// Heads, which no state depends on, and the numbers of positions where they are the usual ones.
  private static func isUnneeded(_ tensor: StoredTensor) throws(Diagnostic) -> Bool {
    let name = tensor.name.hasPrefix("bert.") ? String(tensor.name.dropFirst(5)) : tensor.name
    if name == "embeddings.position_ids" {
      return try tensor.floats().enumerated().allSatisfy { Float($0.offset) == $0.element }
    }
    return ["pooler.dense.", "cls.predictions.", "cls.seq_relationship.", "classifier."].contains { name.hasPrefix($0) }
  }

  /// The embedding of `text`; what is beyond the model's longest text is cut off.
  ///
  /// - Parameter prompt: a kind of text in ``prompts``; nil takes ``standardPrompt``.
  /// - Throws: a Diagnostic for an unknown kind.
  public func callAsFunction(_ text: String, prompt: String? = nil) throws(Diagnostic) -> Tensor {
    var start = ""
    if let name = prompt ?? standardPrompt {
      guard let known = prompts[name] else {
        let names = prompts.keys.sorted().joined(separator: ", ")
        throw Diagnostic(
          .argument, "the model has no prompt \(Setting.quoted(name))",
          remedy: prompts.isEmpty ? "leave it out: this model has none" : "its prompts are: \(names)")
      }
      start = known
    }
    let ids = tokenizer.encode(start + text, maximumLength: configuration.context)
    var skipped = 0
    if !start.isEmpty, !modules.poolsPrompt {
      // As Sentence Transformers counts: the prompt by itself, without a special token at its end.
      let alone = tokenizer.encode(start, maximumLength: configuration.context)
      skipped = alone.count - (alone.last.map(tokenizer.isControl) ?? false ? 1 : 0)
      guard skipped < ids.count else {
        throw Diagnostic(
          .argument, "the prompt leaves no room for a text in \(configuration.context) tokens",
          remedy: "use a shorter prompt")
      }
    }
    return try modules(states(Tensor(ids.map { Int64($0) })), prompt: skipped)
  }

  /// The embedding of token ids (i64, rank 1), special ones included: what `compile` captures. Prompts are the caller's.
  public func callAsFunction(_ ids: Tensor) throws(Diagnostic) -> Tensor { try modules(states(ids), prompt: 0) }

  /// The last layer's states [tokens, width].
  func states(_ ids: Tensor) throws(Diagnostic) -> Tensor {
    let c = configuration
    let (size, count) = (try ids.view.hints.first ?? 0, ids.shape[0])
    guard size > 0, count > 0 else { throw Diagnostic(.argument, "a text without tokens has no embedding") }
    guard count <= c.context else {
      throw Diagnostic(
        .argument, "\(size) tokens are more than the model's context of \(c.context)", remedy: "cut the text")
    }
    let embedded = words.embedding(ids, dtype: .f32) + positions[0..<count] + type[0]
    return layers.reduce(norm(embedded)) { x, layer in layer(x) }
  }
}
