// A language model that speaks: a GGUF file with its tokenizer and chat template, prompts in, text out piece by piece.
// Not a server and not a conversation: each call has a cache of its own. Surprise: long prompts go through the model in
// parts, so that no tensor grows with the prompt but the cache.
import Basics
import Capture
import Engine
import Formats
import Tensors
import Tokenizers

/// A language model with its tokenizer.
///
///     let generator = try TextGenerator(path: "model.gguf")
///     let prompt = try generator.tokens(for: "What is the capital of France?")
///     let answer = try generator.generate(prompt, maxTokens: 64) { piece in
///       print(piece, terminator: "")
///       return true
///     }
public struct TextGenerator: Sendable {
  /// Seconds that the parts of loading took.
  public struct LoadTimes: Sendable, Hashable {
    /// Mapping the file, reading its header, making the model's tensors.
    public var reading: Double
    /// Building the tokenizer.
    public var vocabulary: Double
  }

  /// The model's path as it was given.
  public let path: String
  public let model: Llama
  public let tokenizer: Tokenizer
  public let loadTimes: LoadTimes
  /// One step of the model, captured: weights are its constants.
  public let step: Compiled<KVCache, Tensor, Tensor>
  private let templateSource: String?

  /// Loads the GGUF model at `path`.
  ///
  /// - Throws: a Diagnostic if the file is missing, damaged, no GGUF file, or of an unsupported family.
  /// - Parameter fuses: false runs every operation of the compiled model by itself, to see what fusion is worth.
  public init(path: String, fuses: Bool = true) throws(Diagnostic) {
    var watch = Stopwatch()
    let file: GGUFFile
    switch try WeightFile.open(path) {
    case .gguf(let opened): file = opened
    case .safetensors:
      throw Diagnostic(
        .format, "\(path): is a safetensors file, which has no tokenizer and no configuration in it",
        remedy: "give a .gguf file; a directory with a BERT encoder is for `embed`")
    }
    file.file.prefetch(0..<file.file.count)
    let model = try Llama(file)
    self.model = model
    // Lengths are symbols from the first call: one plan for single tokens, one for parts of prompts.
    let lengths: DynamicShapes = .axes(["0": [0], "memory": [2], "cosine": [0], "sine": [0]])
    let captured = compile(updating: KVCache.self, mode: .whole, dynamic: lengths, fuses: fuses) {
      (cache: inout KVCache, tokens: Tensor) in try model(tokens, &cache)
    }
    step = captured
    let reading = watch.lap()
    tokenizer = try Tokenizer(file)
    self.path = path
    templateSource = file.metadata["tokenizer.chat_template"]?.string
    loadTimes = LoadTimes(reading: reading, vocabulary: watch.lap())
    guard tokenizer.count <= model.vocabulary else {
      throw Diagnostic(
        .format, "\(path): \(tokenizer.count) tokens in the vocabulary, \(model.vocabulary) rows in the embedding",
        remedy: "the model was converted wrongly: fetch it again")
    }
  }

  // MARK: Prompts

  /// The ids of a question in the model's chat template.
  ///
  /// - Parameters:
  ///   - prompt: the user's text; what looks like a special token in it is recognised, as the template's are.
  ///   - system: replaces the template's own system text.
  /// - Throws: a Diagnostic if the model has no template, or one that is not understood.
  public func tokens(for prompt: String, system: String? = nil) throws(Diagnostic) -> [Int32] {
    guard let templateSource else { throw ChatTemplate.absent }
    let messages = (system.map { [ChatMessage.system($0)] } ?? []) + [.user(prompt)]
    return try tokenizer.encode(messages, template: ChatTemplate(templateSource))
  }

  /// The ids of a text as it is, special tokens in it recognised.
  public func tokens(raw text: String) -> [Int32] { tokenizer.encode(text, parsingSpecialTokens: true) }

  // MARK: Generating

  /// What came of a prompt.
  public struct Generation: Sendable {
    /// Why it ended.
    public enum Ending: String, Sendable, Hashable {
      /// The model said so.
      case finished
      /// `maxTokens` were made.
      case tokenLimit
      /// The model's context is full.
      case context
      /// `onPiece` answered false.
      case cancelled
    }
    public var prompt: [Int32]
    /// The ids made, with the one that ended the text.
    public var tokens: [Int32] = []
    /// Their text, special tokens left out.
    public var text = ""
    public var ending = Ending.tokenLimit
    /// Until the logits of the first token were there, preparation left out.
    public var prefillSeconds = 0.0
    /// For all tokens after the first, preparation left out.
    public var decodeSeconds = 0.0
    /// For making kernels, or finding them on disk: once per process.
    public var preparationSeconds = 0.0

    public var prefillTokensPerSecond: Double { prefillSeconds > 0 ? Double(prompt.count) / prefillSeconds : 0 }
    /// 0 if there is only one token: that one came with the prompt's logits.
    public var decodeTokensPerSecond: Double {
      decodeSeconds > 0 && tokens.count > 1 ? Double(tokens.count - 1) / decodeSeconds : 0
    }
  }

  /// How the model's operations run.
  public enum ExecutionMode: String, Sendable, Hashable, CaseIterable {
    /// Captured once, then replayed as fused kernels.
    case compiled
    /// One by one.
    case eager
  }

  /// The logits [vocabulary] of the token after `tokens`, which are appended to the cache.
  public func logits(
    _ tokens: [Int32], _ cache: inout KVCache, mode: ExecutionMode = .compiled
  ) throws(Diagnostic) -> Tensor {
    switch mode {
    case .eager: return try model(tokens, &cache)
    case .compiled:
      try model.check(tokens)
      do { return try step(&cache, Tensor(tokens.map { Int64($0) })) } catch let error as Diagnostic {
        throw error
      } catch {
        throw Diagnostic(.compiler, "\(error)")
      }
    }
  }

  /// Continues `prompt`.
  ///
  /// - Parameters:
  ///   - prompt: ids of ``tokens(for:system:)`` or ``tokens(raw:)``.
  ///   - maxTokens: at most this many new tokens, fewer if the context ends.
  ///   - onPiece: gets the text as it comes, whole characters only; answers whether to go on.
  /// - Throws: a Diagnostic for an empty prompt, one longer than the context, an id outside the vocabulary, or `maxTokens`
  ///   below 1.
  public func generate(
    _ prompt: [Int32], maxTokens: Int, sampling: Sampler.Options = Sampler.Options(),
    mode: ExecutionMode = .compiled, onPiece: (String) -> Bool = { _ in true }
  ) throws(Diagnostic) -> Generation {
    var sampler = try Sampler(sampling)
    let context = model.configuration.context
    guard maxTokens >= 1 else {
      throw Diagnostic(.argument, "max-tokens \(maxTokens) is out of range", remedy: "ask for at least 1 token")
    }
    guard !prompt.isEmpty else {
      throw Diagnostic(.argument, "the prompt is empty", remedy: "give at least one token")
    }
    try model.check(prompt)
    guard prompt.count < context else {
      throw Diagnostic(
        .argument, "the prompt has \(prompt.count) tokens, the model's context has \(context)",
        remedy: "shorten the prompt to at most \(context - 1) tokens")
    }
    let room = min(maxTokens, context - prompt.count)
    var result = Generation(prompt: prompt)
    result.ending = room < maxTokens ? .context : .tokenLimit
    let prepared = Engine.preparationSeconds
    var watch = Stopwatch()
    var cache = try KVCache(model, capacity: prompt.count + room)
    var logits = try prefill(prompt, &cache, mode)
    let preparedByPrefill = Engine.preparationSeconds
    result.prefillSeconds = watch.lap() - (preparedByPrefill - prepared)
    var decoder = StreamingDecoder(tokenizer)
    func say(_ piece: String) -> Bool {
      result.text += piece
      return piece.isEmpty || onPiece(piece)
    }
    while true {
      let token = try sampler.next(logits, after: prompt + result.tokens)
      result.tokens.append(token)
      if tokenizer.endOfGeneration.contains(token) {
        result.ending = .finished
        break
      }
      guard say(decoder.append(token)) else {
        result.ending = .cancelled
        break
      }
      if result.tokens.count == room { break }
      logits = try self.logits([token], &cache, mode: mode).array(as: Float.self)
    }
    result.preparationSeconds = Engine.preparationSeconds - prepared
    result.decodeSeconds = watch.lap() - (Engine.preparationSeconds - preparedByPrefill)
    if result.ending != .cancelled { _ = say(decoder.finish()) }
    return result
  }

  /// The logits after `prompt`.
  ///
  /// - Throws: a Diagnostic for an empty prompt, one longer than the context, or an id outside the vocabulary.
  public func logits(after prompt: [Int32], mode: ExecutionMode = .compiled) throws(Diagnostic) -> [Float] {
    try model.check(prompt)
    var cache = try KVCache(model, capacity: prompt.count)
    return try prefill(prompt, &cache, mode)
  }

  /// Tokens of a prompt that go through the model at once: enough to make decoding the weights cheap.
  private static let partLength = 256

  private func prefill(
    _ prompt: [Int32], _ cache: inout KVCache, _ mode: ExecutionMode
  ) throws(Diagnostic) -> [Float] {
    let parts = (prompt.count + Self.partLength - 1) / Self.partLength
    var logits = Tensor([Float]())
    for part in 0..<parts {
      // Parts of one length, so that none is left with a single token.
      let range = prompt.count * part / parts..<prompt.count * (part + 1) / parts
      logits = try self.logits(Array(prompt[range]), &cache, mode: mode)
    }
    return try logits.array(as: Float.self)
  }
}
