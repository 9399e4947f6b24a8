// A tokenizer from a tokenizer.json file: byte-level byte pairs and WordPiece, each step of the file understood or refused.
// Surprise: nothing is skipped silently. A step that is not known here would change ids, so it is an error that names it.

import Basics

extension Tokenizer {
  /// A tokenizer from the bytes of a tokenizer.json.
  /// - Parameters:
  ///   - json: the file, or the value parsed from it.
  ///   - beginning: the text of the token that begins a text, which only tokenizer_config.json tells.
  ///   - end: the text of the token that ends a text, likewise.
  /// - Throws: ``Diagnostic`` of kind `format` for malformed files and for steps that are not supported.
  public init(json: JSON, beginning: String? = nil, end: String? = nil) throws(Diagnostic) {
    let file = TokenizerFile(json)
    let texts = try file.texts()
    let tokens = TokenTable(texts)
    let added = try file.addedTokens()
    let frame = try file.frame(tokens: tokens)
    func marker(_ text: String?) throws(Diagnostic) -> Int32? {
      guard let text else { return nil }
      guard let id = tokens.id(of: text) else { throw TokenizerFile.mistake("the vocabulary has no token '\(text)'") }
      return id
    }
    self.init(
      model: try file.model(tokens: tokens), tokens: tokens, addedTokens: added, prefix: frame.prefix,
      suffix: frame.suffix, beginning: try marker(beginning), end: try marker(end),
      maximumLength: json["truncation"]?["max_length"]?.int.flatMap { $0 > 0 ? $0 : nil })
  }
}

/// The parts of a tokenizer.json, read one by one.
private struct TokenizerFile {
  let json: JSON

  init(_ json: JSON) { self.json = json }

  static func mistake(_ what: String) -> Diagnostic {
    Diagnostic(
      .format, "tokenizer.json: \(what)",
      remedy: "supported are byte-level BPE and WordPiece tokenizers; check that the file belongs to such a model")
  }

  /// Ids may leave holes, but one far beyond the number of tokens is a lie that costs memory.
  private var highestID: Int {
    2 * ((json["model"]?["vocab"]?.members?.count ?? 0) + (json["added_tokens"]?.array?.count ?? 0)) + 1024
  }

  // MARK: Vocabulary

  private var modelType: String {
    json["model"]?["type"]?.string ?? (json["model"]?["merges"] == nil ? "WordPiece" : "BPE")
  }

  private func checked(_ id: Int?, _ text: String) throws(Diagnostic) -> Int {
    guard let id, id >= 0, id <= highestID else { throw Self.mistake("token '\(text)' has no sensible id") }
    return id
  }

  /// Token texts by id; holes are empty.
  func texts() throws(Diagnostic) -> [String] {
    guard let vocabulary = json["model"]?["vocab"]?.members, !vocabulary.isEmpty else {
      throw Self.mistake("model.vocab is missing or is not an object")
    }
    var texts = [String](repeating: "", count: vocabulary.count)
    func put(_ text: String, at id: Int) {
      if id >= texts.count { texts.append(contentsOf: repeatElement("", count: id + 1 - texts.count)) }
      texts[id] = text
    }
    for member in vocabulary { put(member.key, at: try checked(member.value.int, member.key)) }
    for token in json["added_tokens"]?.array ?? [] {
      guard let text = token["content"]?.string else { throw Self.mistake("an added token has no content") }
      put(text, at: try checked(token["id"]?.int, text))
    }
    return texts
  }

  func addedTokens() throws(Diagnostic) -> [AddedTokens.Token] {
    var tokens: [AddedTokens.Token] = []
    for token in json["added_tokens"]?.array ?? [] {
      guard let text = token["content"]?.string else { throw Self.mistake("an added token has no content") }
      tokens.append(
        .init(
          id: Int32(try checked(token["id"]?.int, text)), text: Array(text.utf8),
          isControl: token["special"]?.bool ?? false, stripsLeft: token["lstrip"]?.bool ?? false,
          stripsRight: token["rstrip"]?.bool ?? false, isWholeWord: token["single_word"]?.bool ?? false))
    }
    return tokens
  }

  // MARK: Model

  func model(tokens: TokenTable) throws(Diagnostic) -> Tokenizer.Model {
    switch modelType {
    case "BPE": return try bytePairs(tokens: tokens)
    case "WordPiece": return try wordPieces(tokens: tokens)
    case let other: throw Self.mistake("model.type '\(other)' is not supported")
    }
  }

  private func bytePairs(tokens: TokenTable) throws(Diagnostic) -> Tokenizer.Model {
    guard let model = json["model"], let list = model["merges"]?.array else {
      throw Self.mistake("model.merges is missing")
    }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] where !(model[key]?.string ?? "").isEmpty {
      throw Self.mistake("model.\(key) '\(model[key]?.string ?? "")' is not supported")
    }
    var merges: [String] = []
    merges.reserveCapacity(list.count)
    for entry in list {
      if let text = entry.string {
        merges.append(text)
      } else if let left = entry[0]?.string, let right = entry[1]?.string {
        // In the byte alphabet neither part holds a space.
        merges.append("\(left) \(right)")
      } else {
        throw Self.mistake("merge \(merges.count) is neither a text nor a pair")
      }
    }
    var options = Tokenizer.BytePairOptions(takesWholeWords: model["ignore_merges"]?.bool ?? false)
    for step in steps(of: json["normalizer"], "normalizers") {
      switch step["type"]?.string {
      case "NFC": options.composes = true
      case let other: throw Self.mistake("normalizer '\(other ?? "?")' is not supported for BPE")
      }
    }
    var rules: [SplitRule] = []
    var isByteLevel = false
    for step in steps(of: json["pre_tokenizer"], "pretokenizers") {
      switch step["type"]?.string {
      case "Split": rules.append(try splitRule(step))
      case "Digits": rules.append(step["individual_digits"]?.bool ?? false ? .eachNumber : .numberRuns)
      case "ByteLevel":
        isByteLevel = true
        options.addsPrefixSpace = step["add_prefix_space"]?.bool ?? false
        if options.addsPrefixSpace, !rules.isEmpty {
          throw Self.mistake("ByteLevel with add_prefix_space after another pre-tokenizer is not supported")
        }
        if step["use_regex"]?.bool ?? true { rules.append(.gpt2) }
      case let other: throw Self.mistake("pre-tokenizer '\(other ?? "?")' is not supported for BPE")
      }
    }
    guard isByteLevel else { throw Self.mistake("BPE without a ByteLevel pre-tokenizer is not supported") }
    let unknown = try model["unk_token"]?.string.map { text throws(Diagnostic) in try id(text, in: tokens) }
    let encoder = try BytePairEncoder(tokens: tokens, merges: merges, unknown: unknown)
    return .bytePairs(encoder, Pretokenizer(rules: rules), options)
  }

  private func splitRule(_ step: JSON) throws(Diagnostic) -> SplitRule {
    guard let pattern = step["pattern"]?["Regex"]?.string else {
      throw Self.mistake("a Split pre-tokenizer without a regular expression is not supported")
    }
    guard let rule = SplitRule(pattern: pattern) else {
      throw Self.mistake("the Split pattern '\(pattern)' is not one of the known ones")
    }
    let isInverted = step["invert"]?.bool ?? false
    switch (step["behavior"]?.string, isInverted) {
    case ("Isolated", false): return rule
    case ("Removed", true) where rule.coversEverything, ("Isolated", true) where rule.coversEverything: return rule
    case (let behavior, _):
      throw Self.mistake("Split behaviour '\(behavior ?? "?")' (invert: \(isInverted)) is not supported")
    }
  }

  private func wordPieces(tokens: TokenTable) throws(Diagnostic) -> Tokenizer.Model {
    guard let model = json["model"] else { throw Self.mistake("model is missing") }
    var encoder = WordPieceEncoder(tokens: tokens, unknown: try id(model["unk_token"]?.string ?? "[UNK]", in: tokens))
    encoder.continuation = Array((model["continuing_subword_prefix"]?.string ?? "##").utf8)
    encoder.longestWord = model["max_input_chars_per_word"]?.int ?? 100
    encoder.cleansUp = json["decoder"]?["cleanup"]?.bool ?? true
    guard let rules = json["normalizer"], rules["type"]?.string == "BertNormalizer" else {
      throw Self.mistake(
        "WordPiece needs normalizer BertNormalizer, found '\(json["normalizer"]?["type"]?.string ?? "none")'")
    }
    guard json["pre_tokenizer"]?["type"]?.string == "BertPreTokenizer" else {
      throw Self.mistake(
        "WordPiece needs pre_tokenizer BertPreTokenizer, found '\(json["pre_tokenizer"]?["type"]?.string ?? "none")'")
    }
    let lowercases = rules["lowercase"]?.bool ?? true
    let normalizer = BertNormalizer(
      cleansText: rules["clean_text"]?.bool ?? true, spacesIdeographs: rules["handle_chinese_chars"]?.bool ?? true,
      stripsAccents: rules["strip_accents"]?.bool ?? lowercases, lowercases: lowercases)
    return .wordPieces(encoder, normalizer)
  }

  // MARK: Steps and frame

  /// A step, the steps of a Sequence, or none for null.
  private func steps(of value: JSON?, _ key: String) -> [JSON] {
    guard let value, !value.isNull else { return [] }
    guard value["type"]?.string == "Sequence" else { return [value] }
    return (value[key]?.array ?? []).flatMap { steps(of: $0, key) }
  }

  private func id(_ text: String, in tokens: TokenTable) throws(Diagnostic) -> Int32 {
    guard let id = tokens.id(of: text) else { throw Self.mistake("the vocabulary has no token '\(text)'") }
    return id
  }

  /// The special tokens around a single text.
  func frame(tokens: TokenTable) throws(Diagnostic) -> (prefix: [Int32], suffix: [Int32]) {
    var (prefix, suffix): ([Int32], [Int32]) = ([], [])
    for step in steps(of: json["post_processor"], "processors") {
      switch step["type"]?.string {
      case "ByteLevel": break
      case "BertProcessing", "RobertaProcessing":
        guard let first = step["cls"]?[0]?.string, let last = step["sep"]?[0]?.string else {
          throw Self.mistake("the post-processor has no cls and sep tokens")
        }
        (prefix, suffix) = ([try id(first, in: tokens)], [try id(last, in: tokens)])
      case "TemplateProcessing":
        var hasText = false
        for item in step["single"]?.array ?? [] {
          if item["Sequence"] != nil {
            hasText = true
          } else if let name = item["SpecialToken"]?["id"]?.string {
            let ids = step["special_tokens"]?[name]?["ids"]?.array?.compactMap(\.int) ?? []
            guard !ids.isEmpty, ids.allSatisfy({ $0 >= 0 && $0 < tokens.count }) else {
              throw Self.mistake("the template's special token '\(name)' has no ids in the vocabulary")
            }
            if hasText { suffix += ids.map(Int32.init) } else { prefix += ids.map(Int32.init) }
          } else {
            throw Self.mistake("a template item is neither a Sequence nor a SpecialToken")
          }
        }
      case let other: throw Self.mistake("post-processor '\(other ?? "?")' is not supported")
      }
    }
    return (prefix, suffix)
  }
}
