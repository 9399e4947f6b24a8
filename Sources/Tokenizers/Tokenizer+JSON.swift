// A tokenizer from a tokenizer.json file: byte pairs, unigram pieces and WordPiece, each part of the file understood or
// refused. The steps around the model are in `TokenizerSteps`.
// Surprise: nothing is skipped silently. A step that is not known here would change ids, so it is an error that names it.

import Basics

extension Tokenizer {
  /// A tokenizer from the bytes of a tokenizer.json.
  /// - Parameters:
  ///   - json: the file, or the value parsed from it.
  ///   - beginning: the text of the token that begins a text, which only tokenizer_config.json tells.
  ///   - end: the text of the token that ends a text, likewise.
  /// - Throws: ``Diagnostic`` of kind `format` for malformed files and for steps that are not supported.
  package init(json: JSON, beginning: String? = nil, end: String? = nil) throws(Diagnostic) {
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
    let steps = TokenizerSteps(json)
    let model = try file.model(tokens: tokens, isByteLevel: steps.isByteLevel)
    let endsInBytes = if case .bytePairs = model { true } else { false }
    let decoder = try steps.decoder()
    self.init(
      model: model, normalizers: try steps.normalizers(),
      cutter: TextCutter(steps: try steps.cutting(endsInBytes: endsInBytes)), tokens: tokens, addedTokens: added,
      prefix: frame.prefix,
      suffix: frame.suffix, beginning: try marker(beginning), end: try marker(end),
      maximumLength: json["truncation"]?["max_length"]?.int.flatMap { $0 > 0 ? $0 : nil },
      dropsFirstSpace: decoder.steps.contains(.strip(0x20, start: 1, stop: 0)), decoder: decoder,
      marksKinds: file.marksKinds)
  }
}

/// The parts of a tokenizer.json, read one by one.
struct TokenizerFile {
  let json: JSON

  init(_ json: JSON) { self.json = json }

  static func mistake(_ what: String) -> Diagnostic {
    Diagnostic(
      .format, "tokenizer.json: \(what)",
      remedy: "supported are BPE, Unigram and WordPiece tokenizers; check that the file belongs to such a model")
  }

  /// Ids may leave holes, but one far beyond the number of tokens is a lie that costs memory.
  private var highestID: Int {
    let vocabulary = json["model"]?["vocab"]
    let count =
      (vocabulary?.members?.count ?? vocabulary?.array?.count ?? 0) + (json["added_tokens"]?.array?.count ?? 0)
    return 2 * count + 1024
  }

  // MARK: Vocabulary

  private var modelType: String {
    // Older files say nothing: each model has a member that only it has.
    json["model"]?["type"]?.string
      ?? (json["model"]?["merges"] != nil ? "BPE" : json["model"]?["vocab"]?.array != nil ? "Unigram" : "WordPiece")
  }

  private static let models = ["BPE", "Unigram", "WordPiece"]

  private func checked(_ id: Int?, _ text: String) throws(Diagnostic) -> Int {
    guard let id, id >= 0, id <= highestID else { throw Self.mistake("token '\(text)' has no sensible id") }
    return id
  }

  /// Token texts by id; holes are empty.
  func texts() throws(Diagnostic) -> [String] {
    guard let model = json["model"], model.members != nil else { throw Self.mistake("it has no model") }
    guard Self.models.contains(modelType) else {
      throw Self.mistake("model.type '\(modelType)' is not supported")
    }
    let isList = modelType == "Unigram"
    var vocabulary = isList ? [] : model["vocab"]?.members ?? []
    for (id, entry) in (isList ? model["vocab"]?.array ?? [] : []).enumerated() {
      guard let text = entry[0]?.string else { throw Self.mistake("entry \(id) of model.vocab has no text") }
      vocabulary.append(.init(text, .integer(id)))
    }
    guard !vocabulary.isEmpty else {
      throw Self.mistake(
        "model.vocab is missing or is not \(isList ? "a list" : "an object"), as \(modelType) needs it")
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

  /// The added tokens that the model's own vocabulary lacks.
  private func outside(_ tokens: TokenTable) -> Set<Int32> {
    let known = Set((json["model"]?["vocab"]?.members ?? []).map(\.key))
    let added = (json["added_tokens"]?.array ?? []).compactMap { $0["content"]?.string }
    return Set(added.filter { !known.contains($0) }.compactMap(tokens.id(of:)))
  }

  func addedTokens() throws(Diagnostic) -> [AddedTokens.Token] {
    var tokens: [AddedTokens.Token] = []
    for token in json["added_tokens"]?.array ?? [] {
      guard let text = token["content"]?.string else { throw Self.mistake("an added token has no content") }
      tokens.append(
        .init(
          id: Int32(try checked(token["id"]?.int, text)), text: Array(text.utf8),
          isControl: token["special"]?.bool ?? false, stripsLeft: token["lstrip"]?.bool ?? false,
          stripsRight: token["rstrip"]?.bool ?? false, isWholeWord: token["single_word"]?.bool ?? false,
          isNormalized: token["normalized"]?.bool ?? !(token["special"]?.bool ?? false)))
    }
    try AddedTokens.check(tokens)
    return tokens
  }

  // MARK: Model

  func model(tokens: TokenTable, isByteLevel: Bool) throws(Diagnostic) -> Tokenizer.Model {
    switch modelType {
    case "BPE": return try bytePairs(tokens: tokens, isByteLevel: isByteLevel)
    case "Unigram": return try unigrams(tokens: tokens)
    case "WordPiece": return try wordPieces(tokens: tokens)
    case let other: throw Self.mistake("model.type '\(other)' is not supported")
    }
  }

  private func merges(_ list: [JSON]) throws(Diagnostic) -> [String] {
    var merges: [String] = []
    merges.reserveCapacity(list.count)
    for entry in list {
      if let text = entry.string {
        merges.append(text)
      } else if let left = entry[0]?.string, let right = entry[1]?.string {
        guard !left.dropFirst().contains(" ") else {
          throw Self.mistake("merge \(merges.count) has a space inside its left part, which is not supported")
        }
        merges.append("\(left) \(right)")
      } else {
        throw Self.mistake("merge \(merges.count) is neither a text nor a pair")
      }
    }
    return merges
  }

  private func bytePairs(tokens: TokenTable, isByteLevel: Bool) throws(Diagnostic) -> Tokenizer.Model {
    guard let model = json["model"], let list = model["merges"]?.array else {
      throw Self.mistake("model.merges is missing")
    }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] where !(model[key]?.string ?? "").isEmpty {
      throw Self.mistake("model.\(key) '\(model[key]?.string ?? "")' is not supported")
    }
    if let dropout = model["dropout"]?.double, dropout > 0 { throw Self.mistake("model.dropout is not supported") }
    let merges = try merges(list)
    let takesWholeWords = model["ignore_merges"]?.bool ?? false
    let unknown = try model["unk_token"]?.string.map { text throws(Diagnostic) in try id(text, in: tokens) }
    let fallsBack = model["byte_fallback"]?.bool ?? false
    guard !isByteLevel || !fallsBack else {
      throw Self.mistake("ByteLevel together with model.byte_fallback is not supported")
    }
    if isByteLevel {
      return .bytePairs(
        try BytePairEncoder(
          tokens: tokens, merges: merges, unknown: unknown, takesWholeWords: takesWholeWords, outside: outside(tokens)))
    }
    try tokens.checkPieces()
    let outside = outside(tokens)
    return .pieces(
      PieceEncoder(
        .ranked(try PairRanks(tokens: tokens, merges: merges), takesWholeWords: takesWholeWords), tokens: tokens,
        unknown: unknown, joinsUnknown: model["fuse_unk"]?.bool ?? false, fallsBack: fallsBack,
        isPiece: (0..<tokens.count).map { !outside.contains(Int32($0)) }))
  }

  private func unigrams(tokens: TokenTable) throws(Diagnostic) -> Tokenizer.Model {
    guard let model = json["model"], let list = model["vocab"]?.array else {
      throw Self.mistake("model.vocab is missing")
    }
    try tokens.checkPieces()
    var scores: [Double] = []
    for (id, entry) in list.enumerated() {
      guard let score = entry[1]?.double, !score.isNaN else {
        throw Self.mistake("entry \(id) of model.vocab has no score")
      }
      scores.append(score)
    }
    let unknown = model["unk_id"]?.int
    guard unknown.map(list.indices.contains) ?? true else {
      throw Self.mistake("model.unk_id \(unknown ?? 0) is outside the \(list.count) entries")
    }
    let unknownScore = (scores.min() ?? 0) - 10
    // Added tokens have no score and are found before the model looks.
    let isPiece = (0..<tokens.count).map { $0 < list.count }
    scores += [Double](repeating: -.infinity, count: max(0, tokens.count - scores.count))
    return .pieces(
      PieceEncoder(
        .best(scores, unknownScore: unknownScore), tokens: tokens, unknown: unknown.map { Int32($0) },
        joinsUnknown: true, fallsBack: model["byte_fallback"]?.bool ?? false, isPiece: isPiece))
  }

  private func wordPieces(tokens: TokenTable) throws(Diagnostic) -> Tokenizer.Model {
    guard let model = json["model"] else { throw Self.mistake("model is missing") }
    try tokens.checkPieces()
    var encoder = WordPieceEncoder(
      tokens: tokens, unknown: try id(model["unk_token"]?.string ?? "[UNK]", in: tokens), outside: outside(tokens))
    encoder.continuation = Array((model["continuing_subword_prefix"]?.string ?? "##").utf8)
    encoder.longestWord = model["max_input_chars_per_word"]?.int ?? 100
    return .wordPieces(encoder)
  }

  // MARK: Frame

  private func id(_ text: String, in tokens: TokenTable) throws(Diagnostic) -> Int32 {
    guard let id = tokens.id(of: text) else { throw Self.mistake("the vocabulary has no token '\(text)'") }
    return id
  }

  /// Whether tokens of a single text are of another kind than the first.
  var marksKinds: Bool {
    TokenizerSteps.steps(of: json["post_processor"], "processors").contains { step in
      (step["single"]?.array ?? []).contains { (($0["Sequence"] ?? $0["SpecialToken"])?["type_id"]?.int ?? 0) != 0 }
    }
  }

  /// The special tokens around a single text.
  func frame(tokens: TokenTable) throws(Diagnostic) -> (prefix: [Int32], suffix: [Int32]) {
    var (prefix, suffix): ([Int32], [Int32]) = ([], [])
    var isFramed = false
    for step in TokenizerSteps.steps(of: json["post_processor"], "processors") {
      if step["type"]?.string != "ByteLevel" {
        // The library hands the second one what the first made as if it were a pair of texts.
        guard !isFramed else { throw Self.mistake("more than one post-processor that adds tokens is not supported") }
        isFramed = true
      }
      switch step["type"]?.string {
      case "ByteLevel": break
      case "BertProcessing", "RobertaProcessing":
        guard let first = step["cls"]?[0]?.string, let last = step["sep"]?[0]?.string else {
          throw Self.mistake("the post-processor has no cls and sep tokens")
        }
        (prefix, suffix) = ([try id(first, in: tokens)], [try id(last, in: tokens)])
      case "TemplateProcessing":
        var hasText = false
        let special = Dictionary((step["special_tokens"]?.members ?? []).map { ($0.key, $0.value) }) { $1 }
        for item in step["single"]?.array ?? [] {
          if item["Sequence"] != nil {
            hasText = true
          } else if let name = item["SpecialToken"]?["id"]?.string {
            let ids = special[name]?["ids"]?.array?.compactMap(\.int) ?? []
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
