// Text to token ids and back: the one public door of this layer.
// Not a model, and it reads no files: GGUF values or the bytes of a tokenizer.json are handed in.
// Surprise: special tokens written inside a text are plain text unless the caller asks for them.

import Basics

/// A vocabulary with its rules: cuts text into token ids and puts ids together again.
///
/// Two families exist: byte-level byte pairs (GPT-2, Llama 3, Qwen 2, SmolLM) and WordPiece (BERT).
/// Ids equal those of the libraries the models were trained with.
public struct Tokenizer: Sendable {
  enum Model: Sendable {
    case bytePairs(BytePairEncoder, Pretokenizer, BytePairOptions)
    case wordPieces(WordPieceEncoder, BertNormalizer)
  }

  /// What tokenizer.json can ask of byte pairs beside their pattern.
  struct BytePairOptions: Sendable {
    /// A word that is a token as a whole is taken as it is, whatever the merges would make of it.
    var takesWholeWords = false
    /// A space is put before a text that does not begin with one.
    var addsPrefixSpace = false
    /// Texts are composed (NFC) first.
    var composes = false
  }

  private(set) var model: Model
  let tokens: TokenTable
  let added: AddedTokens
  /// Ids whose text is written as it is, not in the byte alphabet, and which `decode` may skip.
  let verbatim: Set<Int32>
  let control: Set<Int32>

  /// Ids put before and after a text when `addingSpecialTokens` is on.
  public let prefix: [Int32]
  public let suffix: [Int32]
  /// The token that begins a text, where the vocabulary names one.
  public let beginning: Int32?
  /// The token that ends a text, where the vocabulary names one.
  public let end: Int32?
  /// Every id after which a chat model has nothing more to say: `end` and its well-known relatives.
  public let endOfGeneration: Set<Int32>
  /// The longest encoding the model was made for, markers included, where the file says so.
  public let maximumLength: Int?

  init(
    model: Model, tokens: TokenTable, addedTokens: [AddedTokens.Token], prefix: [Int32] = [], suffix: [Int32] = [],
    beginning: Int32? = nil, end: Int32? = nil, maximumLength: Int? = nil
  ) {
    self.model = model
    self.tokens = tokens
    added = AddedTokens(addedTokens)
    verbatim = Set(addedTokens.map(\.id))
    control = Set(addedTokens.lazy.filter(\.isControl).map(\.id))
    self.prefix = prefix
    self.suffix = suffix
    self.beginning = beginning
    self.end = end
    self.maximumLength = maximumLength
    let enders = addedTokens.lazy.filter { Self.endsGeneration.contains(String(decoding: $0.text, as: UTF8.self)) }
    endOfGeneration = Set(enders.map(\.id)).union(end.map { [$0] } ?? [])
  }

  private static let endsGeneration: Set<String> = [
    "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>", "<end_of_turn>", "</s>",
    "<|return|>", "<|END_OF_TURN_TOKEN|>",
  ]

  /// The tokenizer with texts put in lower case first; itself where that is done already.
  ///
  /// - Throws: a Diagnostic for families that have no such step.
  public func lowercasing() throws(Diagnostic) -> Tokenizer {
    switch model {
    case .wordPieces(let encoder, var normalizer):
      normalizer.lowercases = true
      var result = self
      result.model = .wordPieces(encoder, normalizer)
      return result
    case .bytePairs:
      throw Diagnostic(
        .format, "byte pairs in lower case ('do_lower_case') are not supported", remedy: "use a WordPiece model")
    }
  }

  /// The settings that tokenizer_config.json repeats, under its names.
  public var settingsOfConfiguration: [(key: String, value: Bool)] {
    guard case .wordPieces(_, let normalizer) = model else { return [] }
    return [
      ("do_lower_case", normalizer.lowercases), ("strip_accents", normalizer.stripsAccents),
      ("tokenize_chinese_chars", normalizer.spacesIdeographs),
    ]
  }

  /// How many ids there are.
  public var count: Int { tokens.count }

  /// The id of a token given by its text as the vocabulary writes it, such as "<|im_end|>".
  public func id(of text: String) -> Int32? { tokens.id(of: text) }

  /// Whether `id` is a control token such as "<|im_start|>" or "[CLS]".
  public func isControl(_ id: Int32) -> Bool { control.contains(id) }

  // MARK: - Encoding

  /// Cuts a text into token ids.
  /// - Parameters:
  ///   - text: any text; the empty one gives no ids beside the special ones.
  ///   - addingSpecialTokens: put the model's own tokens around it, as its file asks: a beginning, `[CLS]`, `[SEP]`.
  ///   - parsingSpecialTokens: recognise control tokens written in the text. Off for text of strangers,
  ///     on for a rendered chat prompt.
  ///   - maximumLength: cut the result to this many ids, special ones included; nil keeps all.
  public func encode(
    _ text: String, addingSpecialTokens: Bool = true, parsingSpecialTokens: Bool = false, maximumLength: Int? = nil
  ) -> [Int32] {
    var ids = addingSpecialTokens ? prefix : []
    var text = text
    text.withUTF8 { utf8 in
      for piece in added.pieces(of: utf8, includingControl: parsingSpecialTokens) {
        switch piece {
        case .token(let id): ids.append(id)
        case .text(let range): encodePlain(UnsafeBufferPointer(rebasing: utf8[range]), into: &ids)
        }
      }
    }
    let tail = addingSpecialTokens ? suffix : []
    if let maximumLength { ids.removeLast(max(0, min(ids.count, ids.count + tail.count - max(0, maximumLength)))) }
    return ids + tail
  }

  private func encodePlain(_ utf8: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
    switch model {
    case .wordPieces(let encoder, let normalizer):
      normalizer.forEachWord(of: utf8) { encoder.encode($0, tokens: tokens, into: &ids) }
    case .bytePairs(let encoder, let pretokenizer, let options):
      if options.composes || options.addsPrefixSpace {
        var text = String(decoding: utf8, as: UTF8.self)
        if options.composes { text = CanonicalForm.composed(text) }
        if options.addsPrefixSpace, !text.hasPrefix(" ") { text = " " + text }
        text.withUTF8 { cut($0, encoder, pretokenizer, options, into: &ids) }
      } else {
        cut(utf8, encoder, pretokenizer, options, into: &ids)
      }
    }
  }

  private func cut(
    _ utf8: UnsafeBufferPointer<UInt8>, _ encoder: BytePairEncoder, _ pretokenizer: Pretokenizer,
    _ options: BytePairOptions, into ids: inout [Int32]
  ) {
    let text = ScalarText(utf8: utf8)
    var start = 0
    for end in pretokenizer.wordEnds(in: text) {
      let word = UnsafeBufferPointer(rebasing: utf8[text.offsets[start]..<text.offsets[end]])
      start = end
      if options.takesWholeWords, let id = tokens.id(of: ByteAlphabet.text(word)) {
        ids.append(id)
      } else {
        encoder.encode(word, into: &ids)
      }
    }
  }

  // MARK: - Decoding

  /// The bytes a token stands for; not always whole characters. Unknown ids stand for none.
  public func bytes(of id: Int32) -> [UInt8] {
    guard isKnown(id) else { return [] }
    let text = tokens.text(id)
    switch model {
    case .bytePairs: return verbatim.contains(id) ? Array(text) : ByteAlphabet.decoded(text) ?? Array(text)
    case .wordPieces(let encoder, _): return encoder.bytes(of: text)
    }
  }

  /// Puts ids together to text. Bytes that are no UTF-8 become U+FFFD, one for each maximal part.
  /// - Parameter skippingSpecialTokens: leave control tokens out.
  public func decode(_ ids: some Sequence<Int32>, skippingSpecialTokens: Bool = true) -> String {
    let kept = ids.lazy.filter { !skippingSpecialTokens || !control.contains($0) }
    switch model {
    case .bytePairs: return String(decoding: kept.flatMap { bytes(of: $0) }, as: UTF8.self)
    case .wordPieces(let encoder, _): return encoder.decode(kept.filter(isKnown).map(tokens.text))
    }
  }

  private func isKnown(_ id: Int32) -> Bool { id >= 0 && Int(id) < tokens.count }
}

// MARK: - From GGUF

extension Tokenizer {
  /// A byte-level byte-pair tokenizer from the metadata of a GGUF file (`tokenizer.ggml.model` = "gpt2").
  /// - Parameters:
  ///   - tokens: `tokenizer.ggml.tokens`, in the byte alphabet.
  ///   - merges: `tokenizer.ggml.merges`: "left right", in order of rank.
  ///   - kinds: `tokenizer.ggml.token_type`: 3 control, 4 user-defined, others plain. Empty: all plain.
  ///   - pretokenizer: `tokenizer.ggml.pre`; empty means GPT-2's.
  ///   - beginning: `tokenizer.ggml.bos_token_id`.
  ///   - end: `tokenizer.ggml.eos_token_id`.
  ///   - addsBeginning: `tokenizer.ggml.add_bos_token`; nil where the file does not say.
  ///   - addsEnd: `tokenizer.ggml.add_eos_token`.
  /// - Throws: ``Diagnostic`` for an unknown pre-tokenizer, merges of unknown tokens, ids outside the vocabulary.
  public init(
    tokens: [String], merges: [String], kinds: [Int32] = [], pretokenizer: String = "", beginning: Int32? = nil,
    end: Int32? = nil, addsBeginning: Bool? = nil, addsEnd: Bool? = nil
  ) throws(Diagnostic) {
    let remedy = "the model file is damaged or was converted wrongly: fetch it again"
    guard !tokens.isEmpty, tokens.count < Int(Int32.max) else {
      throw Diagnostic(.format, "the vocabulary has \(tokens.count) tokens", remedy: remedy)
    }
    guard kinds.isEmpty || kinds.count == tokens.count else {
      throw Diagnostic(.format, "\(tokens.count) tokens, but \(kinds.count) token types", remedy: remedy)
    }
    for (name, id) in [("bos", beginning), ("eos", end)] {
      guard let id, id < 0 || Int(id) >= tokens.count else { continue }
      throw Diagnostic(.format, "the \(name) token \(id) is outside the \(tokens.count) tokens", remedy: remedy)
    }
    let rules = try Pretokenizer(named: pretokenizer)
    let table = TokenTable(tokens)
    let encoder = try BytePairEncoder(tokens: table, merges: merges, unknown: nil)
    var added: [AddedTokens.Token] = []
    for (id, kind) in kinds.enumerated() where (2...4).contains(kind) {
      added.append(.init(id: Int32(id), text: Array(tokens[id].utf8), isControl: kind != 4))
    }
    // Files of the Llama 3 family want a beginning and take whole words even where they do not say so.
    let isLlama3 = rules.rules == [.words(digits: 3)]
    self.init(
      model: .bytePairs(encoder, rules, BytePairOptions(takesWholeWords: isLlama3)), tokens: table, addedTokens: added,
      prefix: addsBeginning ?? isLlama3 ? beginning.map { [$0] } ?? [] : [],
      suffix: addsEnd ?? false ? end.map { [$0] } ?? [] : [], beginning: beginning, end: end)
  }
}
