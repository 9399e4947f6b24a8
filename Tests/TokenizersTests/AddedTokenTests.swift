// Where the tokens of a file are found in a text: as a search place by place finds them.
import Testing

@testable import Tokenizers

@Suite struct AddedTokenTests {
  private func spans(_ text: String, _ added: AddedTokens, includingControl: Bool = true) -> [String] {
    var text = text
    return text.withUTF8 { utf8 in
      added.pieces(of: utf8, includingControl: includingControl).map { piece in
        switch piece {
        case .text(let range): String(decoding: UnsafeBufferPointer(rebasing: utf8[range]), as: UTF8.self)
        case .token(let id): "#\(id)"
        }
      }
    }
  }

  /// At each place the longest token, then on behind it.
  private func expected(_ text: String, _ tokens: [AddedTokens.Token], includingControl: Bool) -> [String] {
    var (rest, plain, result) = (Array(text.utf8)[...], "", [String]())
    while let byte = rest.first {
      let here = tokens.filter { (includingControl || !$0.isControl) && rest.starts(with: $0.text) }
      guard let longest = here.max(by: { $0.text.count < $1.text.count }) else {
        plain.unicodeScalars.append(Unicode.Scalar(byte))
        rest.removeFirst()
        continue
      }
      if !plain.isEmpty { result.append(plain) }
      plain = ""
      result.append("#\(longest.id)")
      rest.removeFirst(longest.text.count)
    }
    return plain.isEmpty ? result : result + [plain]
  }

  @Test func the_longest_at_every_place_is_found() {
    func word(_ most: Int) -> String {
      String((0..<Int.random(in: 1...most)).map { _ in "aab<".randomElement() ?? "a" })
    }
    for _ in 0..<300 {
      let names = Set((0..<Int.random(in: 1...6)).map { _ in word(5) }).sorted()
      let tokens = names.enumerated().map {
        AddedTokens.Token(id: Int32($0), text: Array($1.utf8), isControl: Bool.random())
      }
      let added = AddedTokens(tokens)
      for _ in 0..<10 {
        let text = word(24)
        for control in [true, false] {
          #expect(
            spans(text, added, includingControl: control) == expected(text, tokens, includingControl: control),
            "\(names) in \(text)")
        }
      }
    }
  }

  /// Swallowed white space is gone through once: else this would not end.
  @Test func white_space_is_swallowed_once() {
    let many = 100_000
    let spaces = AddedTokens([.init(id: 1, text: [0x20], isControl: false, stripsLeft: true, stripsRight: true)])
    #expect(spans(String(repeating: " ", count: many) + "x", spaces).count == many + 1)
    #expect(spans(" x ", spaces) == ["#1", "x", "#1"])
  }
}
