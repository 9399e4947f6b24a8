// The way of a text from the caller to the model's words: normalized, cut, marked with SentencePiece's signs for spaces.
// Not the model. Surprise: byte-level models skip all of it that changes the text, so their way copies nothing.

/// The steps before a model, as the file lists them.
struct TextCutter: Sendable {
  enum Step: Sendable {
    case cut(SplitRule)
    /// A space is put before a piece that does not begin with one.
    case spaceBefore
    /// Spaces become U+2581, which is put before a piece, and words begin with it.
    case spaceSigns(Before, cuts: Bool)
    /// Each byte becomes its scalar of the byte alphabet.
    case byteAlphabet
  }
  /// Whether the sign is put before a piece.
  enum Before: Sendable {
    case never
    /// Only at the beginning of the whole text.
    case first
    /// Unless the piece begins with one.
    case missing
    case always
  }

  static let spaceSign: UInt32 = 0x2581

  var steps: [Step]

  /// Whether no step changes the text.
  private var onlyCuts: Bool {
    steps.allSatisfy { if case .cut = $0 { true } else { false } }
  }

  /// Whether it matters where the text begins.
  var asksForStart: Bool {
    steps.contains { if case .spaceSigns(.first, _) = $0 { true } else { false } }
  }

  private var rules: [SplitRule] {
    steps.compactMap { if case .cut(let rule) = $0 { rule } else { nil } }
  }

  /// Calls `body` with each word of a piece; `start`: how many of its scalars are what the text's first one has become.
  func forEachWord(
    of utf8: UnsafeBufferPointer<UInt8>, start: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) {
    guard !onlyCuts else {
      let text = ScalarText(utf8: utf8)
      for word in Pretokenizer(rules: rules).words(in: text) {
        body(UnsafeBufferPointer(rebasing: utf8[text.offsets[word.lowerBound]..<text.offsets[word.upperBound]]))
      }
      return
    }
    let text = String(decoding: utf8, as: UTF8.self)
    var pieces: [Piece] = [Piece(scalars: text.unicodeScalars.map(\.value), start: start)]
    for step in steps { pieces = pieces.flatMap { Self.pieces(of: $0, step) } }
    for piece in pieces {
      var word = String(piece.scalars)
      word.withUTF8(body)
    }
  }

  private struct Piece {
    var scalars: [UInt32]
    /// How many of them, at the beginning, are what the whole text's first one has become.
    var start: Int
  }

  private static func pieces(of piece: Piece, _ step: Step) -> [Piece] {
    let (scalars, start) = (piece.scalars, piece.start)
    func whole(_ scalars: [UInt32], start: Int) -> [Piece] { [Piece(scalars: scalars, start: start)] }
    switch step {
    case .cut(let rule):
      var text = String(scalars)
      return text.withUTF8 { utf8 in
        Pretokenizer(rules: [rule]).words(in: ScalarText(utf8: utf8)).map {
          Piece(scalars: Array(scalars[$0]), start: min($0.count, max(0, start - $0.lowerBound)))
        }
      }
    case .byteAlphabet:
      // A scalar for each byte.
      let bytes = String(scalars.prefix(start)).utf8.count
      return whole(ByteAlphabet.text(String(scalars).utf8).unicodeScalars.map(\.value), start: bytes)
    case .spaceBefore:
      if scalars.first == 0x20 { return [piece] }
      return whole([0x20] + scalars, start: start > 0 ? start + 1 : 0)
    case .spaceSigns(let before, let cuts):
      var marked = scalars.map { $0 == 0x20 ? spaceSign : $0 }
      let isWanted =
        switch before {
        case .never: false
        case .first: start > 0 && marked.first != spaceSign
        case .missing: marked.first != spaceSign
        case .always: true
        }
      if isWanted { marked.insert(spaceSign, at: 0) }
      var start = isWanted && start > 0 ? start + 1 : start
      guard cuts else { return whole(marked, start: start) }
      var words: [[UInt32]] = []
      for scalar in marked {
        if scalar == spaceSign || words.isEmpty { words.append([]) }
        words[words.count - 1].append(scalar)
      }
      return words.map { word in
        defer { start = max(0, start - word.count) }
        return Piece(scalars: word, start: min(start, word.count))
      }
    }
  }
}
