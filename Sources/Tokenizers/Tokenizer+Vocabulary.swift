// Tokenizers from the values of a GGUF file: byte pairs ("gpt2"), SentencePiece's BPE ("llama"), its unigram model ("t5").
// Not a reader of files: values are handed in. Surprise: what a file leaves out has another default in each family.

import Basics

extension Tokenizer {
  /// What the metadata of a GGUF file says beside the tokens themselves; nil where it says nothing.
  public struct VocabularySettings: Sendable {
    /// `tokenizer.ggml.bos_token_id`: begins a text.
    public var beginning: Int32?
    /// `tokenizer.ggml.eos_token_id`: ends a text.
    public var end: Int32?
    /// `tokenizer.ggml.eot_token_id`, `eom_token_id` and other tokens that end a generation too.
    public var otherEnds: [Int32] = []
    /// `tokenizer.ggml.unknown_token_id`.
    public var unknown: Int32?
    /// `tokenizer.ggml.add_bos_token`.
    public var addsBeginning: Bool?
    /// `tokenizer.ggml.add_eos_token`.
    public var addsEnd: Bool?
    /// `tokenizer.ggml.add_space_prefix`.
    public var addsSpace: Bool?
    /// `tokenizer.ggml.remove_extra_whitespaces`.
    public var removesSpaces: Bool?
    /// `tokenizer.ggml.precompiled_charsmap`.
    public var characterMap: [UInt8]?

    public init() {}
  }

  static let remedy = "the model file is damaged or was converted wrongly: fetch it again"

  /// The tokens' kinds in `tokenizer.ggml.token_type`.
  private enum Kind {
    static let undefined = Int32(0)
    static let (plain, unknown, control, user, unused, byte) = (
      Int32(1), Int32(2), Int32(3), Int32(4), Int32(5), Int32(6)
    )
  }

  private static func check(
    _ tokens: [String], _ kinds: [Int32], _ scores: [Float]?, _ settings: VocabularySettings
  ) throws(Diagnostic) {
    guard !tokens.isEmpty, tokens.count < Int(Int32.max) else {
      throw Diagnostic(.format, "the vocabulary has \(tokens.count) tokens", remedy: remedy)
    }
    guard kinds.isEmpty || kinds.count == tokens.count else {
      throw Diagnostic(.format, "\(tokens.count) tokens, but \(kinds.count) token types", remedy: remedy)
    }
    if let id = kinds.firstIndex(where: { !(Kind.undefined...Kind.byte).contains($0) }) {
      throw Diagnostic(.format, "token \(id) is of the unknown type \(kinds[id])", remedy: remedy)
    }
    if let scores {
      guard scores.count == tokens.count else {
        throw Diagnostic(.format, "\(tokens.count) tokens, but \(scores.count) scores of them", remedy: remedy)
      }
      if let id = scores.firstIndex(where: \.isNaN) {
        throw Diagnostic(.format, "the score of token \(id) is no number", remedy: remedy)
      }
    }
    for (name, isWanted, id) in [
      ("bos", settings.addsBeginning, settings.beginning), ("eos", settings.addsEnd, settings.end),
    ] where isWanted == true && id == nil {
      throw Diagnostic(
        .format, "add_\(name)_token asks for a token that the file does not name (\(name)_token_id)", remedy: remedy)
    }
    let ids = [("bos", settings.beginning), ("eos", settings.end), ("unknown", settings.unknown)]
    for (name, id) in ids + settings.otherEnds.map({ ("end", $0) }) {
      guard let id, id < 0 || Int(id) >= tokens.count else { continue }
      throw Diagnostic(.format, "the \(name) token \(id) is outside the \(tokens.count) tokens", remedy: remedy)
    }
  }

  /// The kinds of all tokens. What is known to end a generation is a control token, whatever a converter called it: it is
  /// recognised in a prompt, and never in a stranger's text.
  private static func kinds(_ given: [Int32], _ tokens: TokenTable) -> [Int32] {
    var kinds = given.isEmpty ? [Int32](repeating: Kind.plain, count: tokens.count) : given
    for text in endsGeneration { if let id = tokens.id(of: text) { kinds[Int(id)] = Kind.control } }
    return kinds
  }

  private static func added(_ tokens: TokenTable, _ kinds: [Int32]) throws(Diagnostic) -> [AddedTokens.Token] {
    var added: [AddedTokens.Token] = []
    for (id, kind) in kinds.enumerated() where (Kind.unknown...Kind.user).contains(kind) {
      added.append(.init(id: Int32(id), text: Array(tokens.text(Int32(id))), isControl: kind != Kind.user))
    }
    try AddedTokens.check(added)
    return added
  }

  /// Whether words may be covered with a token: SentencePiece's reserved ones are none of its pieces.
  private static func arePieces(_ kinds: [Int32]) -> [Bool] {
    kinds.map { $0 != Kind.unknown && $0 != Kind.control && $0 != Kind.byte }
  }

  private static func normalizers(_ settings: VocabularySettings) throws(Diagnostic) -> [TextNormalizer] {
    var normalizers: [TextNormalizer] = []
    if let map = settings.characterMap { normalizers.append(.mapped(try CharacterMap(map), byCharacter: false)) }
    if settings.removesSpaces ?? false { normalizers.append(.collapsedSpaces) }
    return normalizers
  }

  private static func list(_ id: Int32?, if isWanted: Bool) -> [Int32] { isWanted ? id.map { [$0] } ?? [] : [] }

  /// A byte-level byte-pair tokenizer (`tokenizer.ggml.model` = "gpt2").
  /// - Parameters:
  ///   - tokens: `tokenizer.ggml.tokens`, in the byte alphabet.
  ///   - merges: `tokenizer.ggml.merges`: "left right", in order of rank.
  ///   - kinds: `tokenizer.ggml.token_type`: 3 control, 4 user-defined, others plain. Empty: all plain.
  ///   - pretokenizer: `tokenizer.ggml.pre`; empty means GPT-2's.
  ///   - beginning: `tokenizer.ggml.bos_token_id`.
  ///   - end: `tokenizer.ggml.eos_token_id`.
  ///   - addsBeginning: `tokenizer.ggml.add_bos_token`; nil where the file does not say.
  ///   - addsEnd: `tokenizer.ggml.add_eos_token`.
  ///   - otherEnds: other tokens that end a generation.
  /// - Throws: ``Diagnostic`` for an unknown pre-tokenizer, merges of unknown tokens, ids outside the vocabulary.
  public init(
    tokens: [String], merges: [String], kinds: [Int32] = [], pretokenizer: String = "", beginning: Int32? = nil,
    end: Int32? = nil, addsBeginning: Bool? = nil, addsEnd: Bool? = nil, otherEnds: [Int32] = []
  ) throws(Diagnostic) {
    var settings = VocabularySettings()
    (settings.beginning, settings.end, settings.otherEnds) = (beginning, end, otherEnds)
    (settings.addsBeginning, settings.addsEnd) = (addsBeginning, addsEnd)
    try Self.check(tokens, kinds, nil, settings)
    let family = try PretokenizerFamily.named(pretokenizer)
    let table = TokenTable(tokens)
    let kinds = Self.kinds(kinds, table)
    let reserved = kinds.enumerated().filter { $0.element == Kind.unknown || $0.element == Kind.control }
    let encoder = try BytePairEncoder(
      tokens: table, merges: merges, unknown: nil, takesWholeWords: family.takesWholeWords,
      outside: Set(reserved.map { Int32($0.offset) }))
    let rules = try family.rules()
    self.init(
      model: .bytePairs(encoder), cutter: TextCutter(steps: rules.map { .cut($0) }), tokens: table,
      addedTokens: try Self.added(table, kinds),
      prefix: Self.list(beginning, if: addsBeginning ?? family.addsBeginning),
      suffix: Self.list(end, if: addsEnd ?? false), beginning: beginning, end: end, otherEnds: otherEnds)
  }

  /// SentencePiece's BPE (`tokenizer.ggml.model` = "llama"): the piece with the best score is joined first.
  /// - Parameters:
  ///   - tokens: `tokenizer.ggml.tokens`, with U+2581 for spaces.
  ///   - scores: `tokenizer.ggml.scores`.
  ///   - kinds: `tokenizer.ggml.token_type`: 2 unknown, 3 control, 4 user-defined, 6 bytes. Empty: all plain.
  /// - Throws: ``Diagnostic`` for lists of different lengths, ids outside the vocabulary.
  public init(
    scoredPieces tokens: [String], scores: [Float], kinds: [Int32] = [], _ settings: VocabularySettings
  ) throws(Diagnostic) {
    var settings = settings
    // As SentencePiece numbers them where a file does not say.
    func id(_ given: Int32?, _ standard: Int32) -> Int32? { given ?? (Int(standard) < tokens.count ? standard : nil) }
    (settings.beginning, settings.end) = (id(settings.beginning, 1), id(settings.end, 2))
    let (beginning, end) = (settings.beginning, settings.end)
    try Self.check(tokens, kinds, scores, settings)
    let table = TokenTable(tokens)
    try table.checkPieces()
    let kinds = Self.kinds(kinds, table)
    let encoder = PieceEncoder(
      .scored(scores), tokens: table, unknown: id(settings.unknown, 0), joinsUnknown: true, fallsBack: true,
      isPiece: Self.arePieces(kinds))
    let addsSpace = settings.addsSpace ?? true
    self.init(
      model: .pieces(encoder), normalizers: try Self.normalizers(settings),
      cutter: TextCutter(steps: [.spaceSigns(addsSpace ? .always : .never, cuts: false)]), tokens: table,
      addedTokens: try Self.added(table, kinds), prefix: Self.list(beginning, if: settings.addsBeginning ?? true),
      suffix: Self.list(end, if: settings.addsEnd ?? false), beginning: beginning, end: end,
      otherEnds: settings.otherEnds, dropsFirstSpace: addsSpace)
  }

  /// SentencePiece's unigram model (`tokenizer.ggml.model` = "t5"): the pieces with the best sum of scores.
  /// - Parameters:
  ///   - tokens: `tokenizer.ggml.tokens`, with U+2581 for spaces.
  ///   - scores: `tokenizer.ggml.scores`.
  ///   - kinds: `tokenizer.ggml.token_type`: 2 unknown, 3 control, 4 user-defined, 6 bytes. Empty: all plain.
  /// - Throws: ``Diagnostic`` for lists of different lengths, ids outside the vocabulary, a damaged map of characters.
  public init(
    weighedPieces tokens: [String], scores: [Float], kinds: [Int32] = [], _ settings: VocabularySettings
  ) throws(Diagnostic) {
    try Self.check(tokens, kinds, scores, settings)
    let table = TokenTable(tokens)
    try table.checkPieces()
    let kinds = Self.kinds(kinds, table)
    var lowest = Float.infinity
    for (id, score) in scores.enumerated() where kinds[id] == Kind.plain { lowest = min(lowest, score) }
    let sums = scores.enumerated().map { kinds[$0.offset] != Kind.user ? Double($0.element) : 0 }
    let unknown = settings.unknown ?? kinds.firstIndex(of: Kind.unknown).map { Int32($0) }
    let encoder = PieceEncoder(
      .best(sums, unknownScore: Double(lowest.isFinite ? lowest : 0) - 10), tokens: table, unknown: unknown,
      joinsUnknown: true, fallsBack: kinds.contains(Kind.byte),
      isPiece: Self.arePieces(kinds))
    let addsSpace = settings.addsSpace ?? false
    self.init(
      model: .pieces(encoder), normalizers: try Self.normalizers(settings),
      cutter: TextCutter(steps: [.spaceSigns(addsSpace ? .always : .never, cuts: false)]), tokens: table,
      addedTokens: try Self.added(table, kinds),
      prefix: Self.list(settings.beginning, if: settings.addsBeginning ?? false),
      suffix: Self.list(settings.end, if: settings.addsEnd ?? true), beginning: settings.beginning, end: settings.end,
      otherEnds: settings.otherEnds, dropsFirstSpace: addsSpace)
  }
}
