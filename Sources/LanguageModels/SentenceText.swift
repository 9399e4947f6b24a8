// What a Sentence Transformers directory asks of texts before they are tokens: prompts, lower case, a longest text.
// Not the tokenizer. Surprise: without modules.json, Sentence Transformers looks at none of its files; so that is an error
// where they ask for something.
import Basics
import Tokenizers

struct SentenceText: Sendable {
  var prompts: [String: String] = [:]
  var standardPrompt: String?
  var lowercases = false
  /// Tokens, special ones included.
  var longest: Int?
  /// `longest` is what sentence_bert_config.json says.
  private var isShortened = false

  /// - Parameters:
  ///   - directory: where the encoder's files are.
  ///   - root: the whole model's directory.
  init(_ directory: ModelDirectory, _ root: ModelDirectory, _ tokenizer: Tokenizer) throws(Diagnostic) {
    try readEncoder(directory.optionalSettings("sentence_bert_config.json"))
    let configuration = try directory.optionalSettings("tokenizer_config.json")
    readLength(configuration)
    let names = TokenizerConfiguration(tokenizer)
    try names.check(configuration)
    try names.checkTokens(directory.optionalSettings("special_tokens_map.json"))
    try names.checkAdded(directory.optionalSettings("added_tokens.json"))
    let settings = try root.optionalSettings("config_sentence_transformers.json")
    try readPrompts(settings)
    // Texts are strangers' and read as plain text; a special token in a prompt would be too.
    for (name, text) in prompts.sorted(by: { $0.key < $1.key })
    where tokenizer.encode(text) != tokenizer.encode(text, parsingSpecialTokens: true) {
      throw settings.mistake(
        "the prompt \(Setting.quoted(name)) is \(Setting.quoted(text)): special tokens in prompts are not supported",
        remedy: "use a model without them, or take the prompt out of the file if it is not needed")
    }
    if try root.optionalJSON("modules.json") == nil { try refuseWithoutModules(root) }
  }

  /// Sentence Transformers looks at these files only where modules.json tells it what the model consists of.
  private func refuseWithoutModules(_ root: ModelDirectory) throws(Diagnostic) {
    func refuse(_ name: String, _ what: String) throws(Diagnostic) {
      throw Diagnostic(
        .format, "\(root.file(name)): asks for \(what), but there is no modules.json, without which it has no meaning",
        remedy: "fetch modules.json and the folders it names too, or remove the file")
    }
    if lowercases { try refuse("sentence_bert_config.json", "lower case") }
    if isShortened { try refuse("sentence_bert_config.json", "texts of at most \(longest ?? 0) tokens") }
    if !prompts.isEmpty { try refuse("config_sentence_transformers.json", "prompts") }
  }

  private mutating func readEncoder(_ settings: ModelSettings) throws(Diagnostic) {
    lowercases = try settings.flag("do_lower_case", standard: false)
    if settings.has("max_seq_length") {
      longest = try settings.integer("max_seq_length", in: 3...Int(Int32.max))
      isShortened = true
    }
    try settings.refuse("transformer_task", "other tasks than 'feature-extraction' are") {
      $0.asText == "feature-extraction"
    }
    try settings.refuse("module_output_name", "other outputs than 'token_embeddings' are") {
      $0.asText == "token_embeddings"
    }
    try settings.refuse("modality_config", "other inputs than text, or outputs than the last layer's states, are") {
      guard let members = ($0 as? JSON)?.members, members.map(\.key) == ["text"] else { return false }
      return members[0].value["method"]?.string == "forward"
        && members[0].value["method_output_name"]?.string == "last_hidden_state"
    }
    for key in ["model_args", "tokenizer_args", "config_args", "processing_kwargs", "processor_kwargs"] {
      try settings.refuse(key, "arguments are") { ($0 as? JSON)?.members?.isEmpty ?? false }
    }
    // Whether a batch is padded changes no value here.
    try settings.refuseUnread("a sentence encoder") { $0 == "unpad_inputs" }
  }

  private mutating func readLength(_ settings: ModelSettings) {
    if longest == nil, let most = settings.value("model_max_length")?.asNumber {
      // Models without a limit say 1e30.
      if most < Double(Int32.max) { longest = max(3, Int(most)) }
    }
  }

  private mutating func readPrompts(_ settings: ModelSettings) throws(Diagnostic) {
    if let value = settings.value("prompts") {
      guard let members = (value as? JSON)?.members else {
        throw settings.mistake("the setting 'prompts' is \(value.shown), an object of texts was expected")
      }
      for member in members {
        guard let text = member.value.string else {
          throw settings.mistake("the prompt \(Setting.quoted(member.key)) is \(member.value.shown), no text")
        }
        prompts[member.key] = text
      }
    }
    if settings.has("default_prompt_name") {
      let name = try settings.text("default_prompt_name")
      guard prompts[name] != nil else {
        throw settings.mistake(
          "the setting 'default_prompt_name' is \(Setting.quoted(name)), which is none of the prompts")
      }
      standardPrompt = name
    }
    try settings.refuse("model_type", "other models than 'SentenceTransformer' are") {
      $0.asText == "SentenceTransformer"
    }
    try settings.refuse("truncate_dim", "shortened embeddings are") { _ in false }
    // Versions, and how embeddings are meant to be compared, change none.
    try settings.refuseUnread("a sentence encoder") { $0 == "__version__" || $0 == "similarity_fn_name" }
  }
}
