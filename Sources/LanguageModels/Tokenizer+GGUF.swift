// The tokenizer that a GGUF file carries in its metadata. Not a reader of tokenizer.json.
// Surprise: as of a model's settings, every key has been read in the end, or the file is refused by the key's name.
import Basics
import Formats
import Tokenizers

extension Tokenizer {
  /// The tokenizer in a GGUF file's metadata.
  ///
  /// - Throws: a Diagnostic if the file has none, one of a family that is not supported, or settings that would be ignored.
  public init(_ file: GGUFFile) throws(Diagnostic) {
    let keys = ModelSettings(file, prefix: "tokenizer.ggml.")
    func key(_ suffix: String) -> String { "tokenizer.ggml.\(suffix)" }
    let family = try keys.text(key("model"))
    guard ["gpt2", "llama", "t5"].contains(family) else {
      throw keys.mistake(
        "the tokenizer family \(Setting.quoted(family)) is not supported",
        remedy: "supported are gpt2 (byte pairs), llama (SentencePiece's BPE) and t5 (its unigram model)")
    }
    var settings = try keys.vocabulary
    var kinds: [Int32] = []
    if keys.value(key("token_type")) != nil {
      kinds = try file.array(key("token_type")).integers().map { Int32(truncatingIfNeeded: $0) }
    }
    _ = keys.value(key("tokens"))
    let tokens = try file.array(key("tokens")).strings()
    if family == "gpt2" {
      for name in ["add_space_prefix", "remove_extra_whitespaces"] {
        try keys.refuse(key(name), "byte pairs with it are") { $0.asFlag == false }
      }
      for name in ["merges", "scores"] { _ = keys.value(key(name)) }
      let name = try keys.text(key("pre"), standard: "default")
      try keys.refuseUnread("a tokenizer of the family 'gpt2'", except: Self.isInformation)
      try self.init(
        tokens: tokens, merges: file.array(key("merges")).strings(), kinds: kinds, pretokenizer: name,
        beginning: settings.beginning, end: settings.end, addsBeginning: settings.addsBeginning,
        addsEnd: settings.addsEnd, otherEnds: settings.otherEnds)
      return
    }
    if keys.value(key("precompiled_charsmap")) != nil {
      let map = try file.array(key("precompiled_charsmap")).integers()
      settings.characterMap = map.map { UInt8(truncatingIfNeeded: $0) }
    }
    // These have merges of their own making: a list of them follows from the scores.
    for name in ["scores", "merges"] { _ = keys.value(key(name)) }
    try keys.refuse(key("pre"), "other ways to cut a text than 'default' are") { $0.asText == "default" }
    try keys.refuseUnread("a tokenizer of the family '\(family)'", except: Self.isInformation)
    let scores = try file.array(key("scores")).floats()
    if family == "llama" {
      try self.init(scoredPieces: tokens, scores: scores, kinds: kinds, settings)
    } else {
      try self.init(weighedPieces: tokens, scores: scores, kinds: kinds, settings)
    }
  }

  /// Tokens that a caller may put into a text, and what concerns pairs of texts: no single text's ids depend on them.
  private static func isInformation(_ key: String) -> Bool {
    let names = [
      "padding_token_id", "seperator_token_id", "separator_token_id", "mask_token_id", "cls_token_id", "sep_token_id",
      "prefix_token_id", "suffix_token_id", "middle_token_id", "fim_pre_token_id", "fim_suf_token_id",
      "fim_mid_token_id", "token_type_count", "add_sep_token",
    ]
    return names.contains(String(key.dropFirst("tokenizer.ggml.".count)))
  }
}

extension ModelSettings {
  /// What the metadata say beside the tokens, all but the map of characters.
  fileprivate var vocabulary: Tokenizer.VocabularySettings {
    get throws(Diagnostic) {
      func flag(_ suffix: String) throws(Diagnostic) -> Bool? {
        let name = "tokenizer.ggml.\(suffix)"
        return has(name) ? try self.flag(name) : nil
      }
      func id(_ suffix: String) throws(Diagnostic) -> Int32? {
        let name = "tokenizer.ggml.\(suffix)_token_id"
        return has(name) ? Int32(try integer(name, in: 0...Int(Int32.max))) : nil
      }
      var settings = Tokenizer.VocabularySettings()
      settings.beginning = try id("bos")
      settings.end = try id("eos")
      settings.unknown = try id("unknown")
      for name in ["eot", "eom", "fim_pad", "fim_rep", "fim_sep"] {
        if let end = try id(name) { settings.otherEnds.append(end) }
      }
      settings.addsBeginning = try flag("add_bos_token")
      settings.addsEnd = try flag("add_eos_token")
      settings.addsSpace = try flag("add_space_prefix")
      settings.removesSpaces = try flag("remove_extra_whitespaces")
      return settings
    }
  }
}
