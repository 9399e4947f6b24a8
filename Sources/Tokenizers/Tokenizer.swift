// Text to token ids and back: the one public door of this layer.
// Not a model, and it reads no files: GGUF values or the bytes of a tokenizer.json are handed in.
// Surprise: special tokens written inside a text are plain text unless the caller asks for them.

/// A vocabulary with its rules: cuts text into token ids and puts ids together again.
///
/// The families are byte-level byte pairs (GPT-2, Llama 3, Qwen 2, SmolLM, DeepSeek, Falcon), SentencePiece's two models
/// (Llama 2, Gemma, T5, XLM-R) with or without bytes for what they do not know, and WordPiece (BERT).
/// Ids equal those of the libraries the models were trained with.
public struct Tokenizer: Sendable {
  enum Model: Sendable {
    case bytePairs(BytePairEncoder)
    case wordPieces(WordPieceEncoder)
    case pieces(PieceEncoder)
  }

  private(set) var normalizers: [TextNormalizer]
  let cutter: TextCutter
  let model: Model
  let tokens: TokenTable
  let added: AddedTokens
  /// Those that are found in the normalized text.
  private var normalizedAdded: AddedTokens
  private let addedTokens: [AddedTokens.Token]
  /// Ids whose text is written as it is, not in the byte alphabet, and which `decode` may skip.
  let verbatim: Set<Int32>
  let control: Set<Int32>
  /// The space that encoding put before a text is taken away again.
  let dropsFirstSpace: Bool
  /// How ids become a text where that is not the model's own way; nil: it is.
  let decoder: TokenDecoder?
  /// Tokens of a single text are of another kind (`type_id`) than the first: what ids do not say.
  package let marksKinds: Bool

  /// Ids put before and after a text when `addingSpecialTokens` is on.
  public let prefix: [Int32]
  public let suffix: [Int32]
  /// The token that begins a text, where the vocabulary names one.
  public let beginning: Int32?
  /// The token that ends a text, where the vocabulary names one.
  public let end: Int32?
  /// Every id after which a chat model has nothing more to say: `end`, the other ends the file names, and their
  /// well-known relatives.
  public let endOfGeneration: Set<Int32>
  /// The longest encoding the model was made for, markers included, where the file says so.
  public let maximumLength: Int?

  init(
    model: Model, normalizers: [TextNormalizer] = [], cutter: TextCutter, tokens: TokenTable,
    addedTokens: [AddedTokens.Token], prefix: [Int32] = [], suffix: [Int32] = [], beginning: Int32? = nil,
    end: Int32? = nil, otherEnds: [Int32] = [], maximumLength: Int? = nil, dropsFirstSpace: Bool = false,
    decoder: TokenDecoder? = nil, marksKinds: Bool = false
  ) {
    self.model = model
    self.normalizers = normalizers
    self.cutter = cutter
    self.tokens = tokens
    self.addedTokens = addedTokens
    added = AddedTokens(addedTokens.filter { !$0.isNormalized })
    normalizedAdded = Self.normalized(addedTokens, normalizers)
    verbatim = Set(addedTokens.map(\.id))
    control = Set(addedTokens.lazy.filter(\.isControl).map(\.id))
    self.dropsFirstSpace = dropsFirstSpace
    self.marksKinds = marksKinds
    self.decoder = decoder.flatMap { $0.followsModel(model) ? nil : $0 }
    self.prefix = prefix
    self.suffix = suffix
    self.beginning = beginning
    self.end = end
    self.maximumLength = maximumLength
    endOfGeneration = Self.ends(tokens, named: (end.map { [$0] } ?? []) + otherEnds)
  }

  private static func normalized(_ tokens: [AddedTokens.Token], _ normalizers: [TextNormalizer]) -> AddedTokens {
    AddedTokens(
      tokens.filter(\.isNormalized).map { token in
        var token = token
        token.text = Array(normalizers.applied(to: String(decoding: token.text, as: UTF8.self)).utf8)
        return token
      })
  }

  /// What ends a generation: the tokens that a file names, and those that families of models end their turns with.
  private static func ends(_ tokens: TokenTable, named: [Int32]) -> Set<Int32> {
    var ends = Set(named)
    for text in endsGeneration { if let id = tokens.id(of: text) { ends.insert(id) } }
    // Where turns end in other tokens, this one ends a part of a turn only.
    let endsTurns = ["<|return|>", "<|call|>", "<|calls|>", "<|flush|>"]
    if let part = tokens.id(of: "<|end|>"), !named.contains(part),
      endsTurns.contains(where: { tokens.id(of: $0) != nil })
    {
      ends.remove(part)
    }
    return ends
  }

  static let endsGeneration = [
    "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>", "<end_of_turn>", "</s>",
    "<|return|>", "<|call|>", "<|calls|>", "<|flush|>", "<|END_OF_TURN_TOKEN|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
    "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", "<｜end▁of▁sentence｜>", "[e~[", "<|fim_pad|>",
    "<|repo_name|>", "<|file_sep|>",
  ]

  /// The tokenizer with texts put in lower case first; itself where that is done already.
  public func lowercasing() -> Tokenizer {
    if normalizers.contains(where: \.lowercases) { return self }
    var result = self
    result.normalizers.insert(.lowercase, at: 0)
    result.normalizedAdded = Self.normalized(addedTokens, result.normalizers)
    return result
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
        case .text(let range):
          encodeNormalized(
            UnsafeBufferPointer(rebasing: utf8[range]), isFirst: range.lowerBound == 0,
            includingControl: parsingSpecialTokens, into: &ids)
        }
      }
    }
    let tail = addingSpecialTokens ? suffix : []
    if let maximumLength { ids.removeLast(max(0, min(ids.count, ids.count + tail.count - max(0, maximumLength)))) }
    return ids + tail
  }

  private func encodeNormalized(
    _ utf8: UnsafeBufferPointer<UInt8>, isFirst: Bool, includingControl: Bool, into ids: inout [Int32]
  ) {
    let first = isFirst && cutter.asksForStart ? 1 : 0
    if normalizers.isEmpty, normalizedAdded.isEmpty { return encodePlain(utf8, start: first, into: &ids) }
    let original = String(decoding: utf8, as: UTF8.self)
    var (text, start) = normalizers.applied(to: original, following: first)
    text.withUTF8 { utf8 in
      for piece in normalizedAdded.pieces(of: utf8, includingControl: includingControl) {
        switch piece {
        case .token(let id): ids.append(id)
        case .text(let range):
          let before = start > 0 ? PythonText.scalarCount(utf8[..<range.lowerBound]) : 0
          encodePlain(UnsafeBufferPointer(rebasing: utf8[range]), start: max(0, start - before), into: &ids)
        }
      }
    }
  }

  private func encodePlain(_ utf8: UnsafeBufferPointer<UInt8>, start: Int, into ids: inout [Int32]) {
    cutter.forEachWord(of: utf8, start: start) { word in
      switch model {
      case .wordPieces(let encoder): encoder.encode(word, tokens: tokens, into: &ids)
      case .bytePairs(let encoder): encoder.encode(word, tokens: tokens, into: &ids)
      case .pieces(let encoder): encoder.encode(word, tokens: tokens, into: &ids)
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
    case .wordPieces(let encoder): return encoder.bytes(of: text)
    case .pieces(let encoder):
      if encoder.fallsBack, let byte = PieceEncoder.byte(named: text) { return [byte] }
      return verbatim.contains(id) ? Array(text) : Self.spaced(text)
    }
  }

  /// Puts ids together to text. Bytes that are no UTF-8 become U+FFFD, one for each maximal part.
  /// - Parameter skippingSpecialTokens: leave control tokens out.
  public func decode(_ ids: some Sequence<Int32>, skippingSpecialTokens: Bool = true) -> String {
    let kept = ids.lazy.filter { !skippingSpecialTokens || !control.contains($0) }
    if let decoder { return decoder.decoded(kept.filter(isKnown).map(text(of:))) }
    switch model {
    case .bytePairs, .wordPieces: return String(decoding: kept.flatMap { bytes(of: $0) }, as: UTF8.self)
    case .pieces:
      var bytes: [UInt8] = []
      for (index, id) in kept.enumerated() {
        let piece = self.bytes(of: id)
        bytes += index == 0 && dropsFirstSpace && piece.first == 0x20 ? piece.dropFirst() : piece[...]
      }
      return String(decoding: bytes, as: UTF8.self)
    }
  }

  /// A piece with spaces for their signs.
  private static func spaced(_ text: ArraySlice<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    var index = text.startIndex
    while index < text.endIndex {
      if text[index...].starts(with: [0xE2, 0x96, 0x81]) {
        result.append(0x20)
        index += 3
      } else {
        result.append(text[index])
        index += 1
      }
    }
    return result
  }

  func isKnown(_ id: Int32) -> Bool { id >= 0 && Int(id) < tokens.count }
}
