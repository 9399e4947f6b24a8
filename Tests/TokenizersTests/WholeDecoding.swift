@testable import Tokenizers

/// Each step of a decoder as it is defined: from the list of all texts to another.
enum WholeDecoding {
  static func text(_ tokens: [String], _ decoder: TokenDecoder) -> String {
    decoder.steps.reduce(tokens) { applied($1, to: $0) }.joined(separator: decoder.separator)
  }

  private static func applied(_ step: TokenDecoder.Step, to texts: [String]) -> [String] {
    switch step {
    case .byteAlphabet:
      let bytes = texts.flatMap { ByteAlphabet.decoded(Array($0.utf8)) ?? Array($0.utf8) }
      return [String(decoding: bytes, as: UTF8.self)]
    case .wordPieces(let prefix, let cleansUp):
      return texts.enumerated().map {
        TokenDecoder.wordPiece($0.element, isFirst: $0.offset == 0, prefix: prefix, cleansUp: cleansUp)
      }
    case .spaceSigns(let dropsFirst):
      return texts.enumerated().map { index, text in
        PythonText.replaced(text, "\u{2581}", by: index == 0 && dropsFirst ? "" : " ", most: .max)
      }
    case .replace(let pattern, let new):
      let step = TextNormalizer.replace(pattern, new)
      return texts.map { String(step.applied(to: $0.unicodeScalars.map(\.value))) }
    case .bytesByName: return byNames(texts)
    case .joined: return [texts.joined()]
    case .strip(let scalar, let start, let stop):
      return texts.map { text in
        var kept = text.unicodeScalars.map(\.value)[...]
        for _ in 0..<start where kept.first == scalar { kept.removeFirst() }
        for _ in 0..<stop where kept.last == scalar { kept.removeLast() }
        return String(kept)
      }
    case .wordEnds(let suffix):
      return texts.enumerated().map { index, text in
        suffix.isEmpty ? text : PythonText.replaced(text, suffix, by: index == texts.count - 1 ? "" : " ", most: .max)
      }
    }
  }

  private static func byNames(_ texts: [String]) -> [String] {
    var (result, bytes): ([String], [UInt8]) = ([], [])
    func flush() {
      guard !bytes.isEmpty else { return }
      result += String(validating: bytes, as: UTF8.self).map { [$0] } ?? bytes.map { _ in "\u{FFFD}" }
      bytes = []
    }
    for text in texts {
      if let byte = PieceEncoder.byte(named: Array(text.utf8)[...]) {
        bytes.append(byte)
      } else {
        flush()
        result.append(text)
      }
    }
    flush()
    return result
  }
}
