// The steps of a decoder over tokens that come one by one: what each has given stands, and it keeps no more of the past
// than what a later token can still change. So n tokens cost what their text does, whole or piece by piece.
// Surprise: between two steps a text may come in parts, for one step that joins all makes a text that ends with the last
// token; and a step that looks at a whole text gives nothing of it before.

/// A text, or a part of one, on its way from one step to the next.
private struct Part {
  var text: String
  /// Whether the text ends here.
  var isLast = true
}

/// A decoder in the middle of its work.
struct DecoderStream: Sendable {
  private var stages: [Stage]
  private let separator: String
  private var (isInText, hasBegun) = (false, false)

  init(_ decoder: TokenDecoder) {
    stages = decoder.steps.map(Stage.init)
    separator = decoder.separator
  }

  /// What the next token makes of the text, as far as no later one can change it.
  mutating func append(_ token: String) -> String {
    joined(through(stages.indices, [Part(text: token)]))
  }

  /// What has waited for a later token, where none comes.
  mutating func finish() -> String {
    var text = ""
    for index in stages.indices {
      let parts = stages[index].finish()
      text += joined(through(index + 1..<stages.count, parts))
    }
    (isInText, hasBegun) = (false, false)
    return text
  }

  private mutating func through(_ indices: Range<Int>, _ parts: [Part]) -> [Part] {
    var parts = parts
    for index in indices {
      var next: [Part] = []
      for part in parts { stages[index].take(part, into: &next) }
      parts = next
    }
    return parts
  }

  private mutating func joined(_ parts: [Part]) -> String {
    var text = ""
    for part in parts {
      if !isInText, hasBegun { text += separator }
      (isInText, hasBegun) = (!part.isLast, true)
      text += part.text
    }
    return text
  }
}

/// A step and what it knows of the texts so far.
private struct Stage: Sendable {
  let step: TokenDecoder.Step
  /// How many texts have come to their end.
  private var count = 0
  /// What has come of a text that is looked at as a whole.
  private var held = ""
  /// Bytes that are no characters yet.
  private var bytes: [UInt8] = []
  /// Whether the beginning of the present text has been passed on, so that its rest goes the same way.
  private var isPassing = false
  /// How many scalars `strip` has taken from the beginning of the present text, and how many it may take from its end.
  private var (taken, waiting) = (0, 0)
  /// The last text from its first end of a word on.
  private var openEnd: String?

  init(_ step: TokenDecoder.Step) { self.step = step }

  mutating func take(_ part: Part, into parts: inout [Part]) {
    switch step {
    case .byteAlphabet:
      guard let text = whole(part) else { return }
      bytes += ByteAlphabet.decoded(text.utf8) ?? Array(text.utf8)
      let complete = bytes.count - StreamingDecoder.incompleteTail(of: bytes)
      parts.append(Part(text: String(decoding: bytes[..<complete], as: UTF8.self), isLast: false))
      bytes.removeFirst(complete)
    case .wordPieces(let prefix, let cleansUp):
      guard let text = whole(part) else { return }
      let isFirst = count == 1
      parts.append(Part(text: TokenDecoder.wordPiece(text, isFirst: isFirst, prefix: prefix, cleansUp: cleansUp)))
    case .spaceSigns(let dropsFirst):
      let isDropped = count == 0 && dropsFirst
      let scalars = part.text.unicodeScalars.lazy.map(\.value)
      let text = String(scalars.compactMap { $0 == TextCutter.spaceSign ? isDropped ? nil : 0x20 : $0 })
      parts.append(Part(text: text, isLast: part.isLast))
      if part.isLast { count += 1 }
    case .replace(let pattern, let new):
      guard let text = whole(part) else { return }
      let scalars = TextNormalizer.replace(pattern, new).applied(to: text.unicodeScalars.map(\.value))
      parts.append(Part(text: String(scalars)))
    case .bytesByName: takeByte(part, into: &parts)
    case .joined: parts.append(Part(text: part.text, isLast: false))
    case .strip(let scalar, let start, let stop): strip(part, scalar, start: start, stop: stop, into: &parts)
    case .wordEnds(let suffix): endWord(part, suffix, into: &parts)
    }
  }

  mutating func finish() -> [Part] {
    defer { self = Stage(step) }
    switch step {
    case .byteAlphabet: return [Part(text: String(decoding: bytes, as: UTF8.self))]
    case .bytesByName: return run()
    case .joined: return [Part(text: "")]
    case .wordEnds(let suffix):
      return openEnd.map { [Part(text: PythonText.replaced($0, suffix, by: "", most: .max))] } ?? []
    case .wordPieces, .spaceSigns, .replace, .strip: return []
    }
  }

  /// A text that has come to its end.
  private mutating func whole(_ part: Part) -> String? {
    held += part.text
    guard part.isLast else { return nil }
    count += 1
    defer { held = "" }
    return held
  }

  /// A run of bytes: one text of its characters or, where it is no UTF-8, a text of U+FFFD for each.
  private mutating func run() -> [Part] {
    guard !bytes.isEmpty else { return [] }
    defer { bytes = [] }
    guard let text = String(validating: bytes, as: UTF8.self) else { return bytes.map { _ in Part(text: "\u{FFFD}") } }
    return [Part(text: text)]
  }

  private mutating func takeByte(_ part: Part, into parts: inout [Part]) {
    if !isPassing {
      held += part.text
      let isByteOrUnknown = held.utf8.count <= PieceEncoder.byteNameLength
      if part.isLast, isByteOrUnknown, let byte = PieceEncoder.byte(named: Array(held.utf8)[...]) {
        bytes.append(byte)
        held = ""
        return
      }
      guard part.isLast || !isByteOrUnknown else { return }
      parts += run()
      parts.append(Part(text: held, isLast: part.isLast))
      held = ""
    } else {
      parts.append(part)
    }
    isPassing = !part.isLast
  }

  private mutating func strip(_ part: Part, _ scalar: UInt32, start: Int, stop: Int, into parts: inout [Part]) {
    var kept = part.text.unicodeScalars.map(\.value)[...]
    if !isPassing {
      while taken < start, kept.first == scalar {
        kept.removeFirst()
        taken += 1
      }
      isPassing = taken == start || !kept.isEmpty
    }
    // Those that waited are given as soon as too many follow them, or anything else.
    var text: [UInt32] = []
    let ending = kept.count - (kept.lastIndex { $0 != scalar }.map { $0 + 1 - kept.startIndex } ?? 0)
    if ending == kept.count {
      let given = max(0, waiting + ending - stop)
      text = Array(repeating: scalar, count: given)
      waiting += ending - given
    } else {
      let waits = min(ending, stop)
      text = Array(repeating: scalar, count: waiting) + kept.dropLast(waits)
      waiting = waits
    }
    parts.append(Part(text: String(text), isLast: part.isLast))
    if part.isLast { (isPassing, taken, waiting) = (false, 0, 0) }
  }

  /// The end of a word is a space where another text follows.
  private mutating func endWord(_ part: Part, _ suffix: String, into parts: inout [Part]) {
    guard !suffix.isEmpty else { return parts.append(part) }
    if let end = openEnd {
      parts.append(Part(text: PythonText.replaced(end, suffix, by: " ", most: .max)))
      openEnd = nil
    }
    guard let text = whole(part) else { return }
    let before = PythonText.split(text, at: suffix, most: 1)[0]
    guard before.utf8.count < text.utf8.count else { return parts.append(Part(text: text)) }
    parts.append(Part(text: before, isLast: false))
    openEnd = PythonText.text(text.utf8.dropFirst(before.utf8.count))
  }
}
