// tokenizer_config.json, special_tokens_map.json and added_tokens.json against the tokenizer of tokenizer.json, which they
// repeat. Not a tokenizer. Surprise: where the files differ, libraries do different things (transformers makes BERT's
// tokenizer from tokenizer_config.json and the vocabulary alone, with defaults of its own), so that is an error.
import Basics
import Tokenizers

struct TokenizerConfiguration {
  private let tokenizer: Tokenizer

  init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

  private static let remedy = "make both files say the same; which one counts depends on the library"

  /// Classes that take tokenizer.json as it is.
  private static let general: Set<String> = ["PreTrainedTokenizerFast", "TokenizersBackend"]
  /// Classes that have BERT's steps, whatever tokenizer.json says; the usual one where none is named.
  private static let ofBert: Set<String> = [
    "BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "DistilBertTokenizerFast", "ElectraTokenizer",
    "ElectraTokenizerFast", "MobileBertTokenizer", "MobileBertTokenizerFast",
  ]

  /// Checks tokenizer_config.json; an empty one has the defaults of BERT's class.
  func check(_ settings: ModelSettings) throws(Diagnostic) {
    let name = try settings.text("tokenizer_class", standard: "BertTokenizer")
    guard Self.general.contains(name) || Self.ofBert.contains(name) else {
      throw settings.mistake(
        "the setting 'tokenizer_class' is \(Setting.quoted(name)), which is not supported",
        remedy: "supported are \((Self.general.union(Self.ofBert)).sorted().joined(separator: ", "))")
    }
    let isOfBert = Self.ofBert.contains(name)
    let lowercases = settings.value("do_lower_case")?.asFlag ?? true
    let standards = ["do_lower_case": true, "strip_accents": lowercases, "tokenize_chinese_chars": true]
    for (key, actual) in tokenizer.textSettings {
      let given = settings.value(key)?.asFlag
      guard let value = given ?? (isOfBert ? standards[key] : nil), value != actual else { continue }
      throw settings.mistake(
        "the setting '\(key)' is \(value)\(given == nil ? " where nothing is said" : ""), tokenizer.json has \(actual)",
        remedy: Self.remedy)
    }
    guard !isOfBert || tokenizer.isBert else {
      throw settings.mistake(
        "the setting 'tokenizer_class' is \(Setting.quoted(name)), tokenizer.json has other steps than that",
        remedy: Self.remedy)
    }
    guard !tokenizer.marksKinds else {
      throw settings.mistake(
        "the template of a single text in tokenizer.json gives tokens another type_id than 0, which is not supported")
    }
    try settings.refuse("truncation_side", "texts cut at their beginning are") { $0.asText == "right" }
    try checkTokens(
      settings, standards: isOfBert ? ["cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"] : [:])
  }

  /// Checks the tokens that a file names; `standards` are the names of those that it leaves out.
  func checkTokens(_ settings: ModelSettings, standards: [String: String] = [:]) throws(Diagnostic) {
    for (key, actual) in tokenizer.markerTexts {
      guard let value = Self.text(settings.value(key)) ?? standards[key], value != actual else { continue }
      throw settings.mistake(
        "the setting '\(key)' is \(Setting.quoted(value)), tokenizer.json has "
          + (actual.map { Setting.quoted($0) } ?? "none in its place"), remedy: Self.remedy)
    }
    for key in ["cls_token", "sep_token", "pad_token", "mask_token"] {
      if let text = Self.text(settings.value(key)) { try checkIsAdded(text, key, settings) }
    }
    for key in ["additional_special_tokens", "extra_special_tokens"] {
      guard let value = settings.value(key) as? JSON else { continue }
      for item in value.array ?? value.members?.map(\.value) ?? [] {
        guard let text = Self.text(item) else { continue }
        try checkIsAdded(text, key, settings)
      }
    }
    for member in (settings.value("added_tokens_decoder") as? JSON)?.members ?? [] {
      guard let text = Self.text(member.value) else { continue }
      try checkIsAdded(text, "added_tokens_decoder", settings)
    }
  }

  /// Checks added_tokens.json: ids by text.
  func checkAdded(_ settings: ModelSettings) throws(Diagnostic) {
    for key in settings.names {
      try checkIsAdded(key, key, settings)
      guard let id = settings.value(key)?.asInteger, id != tokenizer.id(of: key).map(Int.init) else { continue }
      throw settings.mistake("the token \(Setting.quoted(key)) has another id in tokenizer.json", remedy: Self.remedy)
    }
  }

  private func checkIsAdded(_ text: String, _ key: String, _ settings: ModelSettings) throws(Diagnostic) {
    guard !tokenizer.isAdded(text) else { return }
    throw settings.mistake(
      "the token \(Setting.quoted(text)) of '\(key)' is none of the added tokens in tokenizer.json", remedy: Self.remedy
    )
  }

  /// A token is written as a text, or as an object with its content.
  private static func text(_ value: (any SettingValue)?) -> String? {
    value?.asText ?? (value as? JSON)?["content"]?.string
  }
}
