import Basics
import Testing

@testable import Tokenizers

/// Tokenizers of strangers with long texts: each is refused when it is read, or its texts cost what their length does.
@Suite struct HostileTokenizerTests {
  private static func text(_ part: String, _ count: Int) -> String { String(repeating: part, count: count) }

  private static func file(_ model: JSON, _ parts: [(String, JSON)] = []) -> JSON {
    .object([.init("model", model)] + parts.map { .init($0.0, $0.1) })
  }

  private static func bytePairs(_ parts: [(String, JSON)]) -> JSON {
    let vocabulary = (33...126).map { JSON.Member(String(UnicodeScalar(UInt8($0))), .integer($0 - 33)) }
    return file(["type": "BPE", "vocab": .object(vocabulary), "merges": []], parts)
  }

  private static func split(_ pattern: String) -> JSON {
    bytePairs([("pre_tokenizer", ["type": "Split", "pattern": ["Regex": .string(pattern)], "behavior": "Isolated"])])
  }

  private static func sequence(_ key: String, _ list: String, _ step: JSON, _ count: Int) -> JSON {
    bytePairs([(key, .object([.init("type", "Sequence"), .init(list, .array(Array(repeating: step, count: count)))]))])
  }

  private static func unigram(_ pieces: [String]) -> JSON {
    let vocabulary = (["<unk>"] + pieces).map { JSON.array([.string($0), -1]) }
    return file(["type": "Unigram", "unk_id": 0, "vocab": .array(vocabulary)])
  }

  private static func wordPieces(_ pieces: [String], longestWord: Int) -> JSON {
    let vocabulary = (["[UNK]"] + pieces).enumerated().map { JSON.Member($0.element, .integer($0.offset)) }
    return file(
      ["type": "WordPiece", "vocab": .object(vocabulary), "max_input_chars_per_word": .integer(longestWord)])
  }

  /// A map of SentencePiece that makes `length` bytes of an "a"; `isCircle`: its array leads from "a" back to the start.
  static func map(_ length: Int, isCircle: Bool = false) -> [UInt8] {
    var units = [UInt32](repeating: 0, count: 512)
    units[97] = 97 | 1 << 8 | (isCircle ? 97 : 97 ^ 300) << 10
    var bytes: [UInt8] = []
    for word in [UInt32(units.count * 4)] + units { withUnsafeBytes(of: word.littleEndian) { bytes += $0 } }
    return bytes + [UInt8](repeating: 98, count: length) + [0]
  }

  private static func added(_ text: String, _ flag: String = "") -> JSON {
    var token: [JSON.Member] = [.init("id", 94), .init("content", .string(text)), .init("special", false)]
    if !flag.isEmpty { token.append(.init(flag, true)) }
    return bytePairs([("added_tokens", [.object(token)])])
  }

  /// What reading takes a moment for, and why it says no.
  private static let refused: [(name: String, file: @Sendable () -> JSON, reason: String)] = [
    ("empty parts repeated", { split("(?:(?:(?:(?:){1000}){1000}){1000}){1000}") }, "too long"),
    ("looks repeated", { split("(?=(?=(?=(?=a){100}){100}){100}){100}") }, "too long"),
    ("suffixes", { split("a" + text("??", 10_000)) }, "nest too deeply"),
    ("possessive suffixes", { split("a" + text("*+", 10_000)) }, "nest too deeply"),
    ("counted suffixes", { split("a" + text("{1}", 10_000)) }, "nest too deeply"),
    ("megabytes", { split(text("a|", 1 << 20)) }, "bytes"),
    ("choices", { split(text("(?:a?){900}", 4)) }, "choices"),
    ("inner choices", { split("(?=(?:a?){900})a") }, "choices"),
    ("a set", { split("[" + text(#"\p{L}"#, 2000) + "]") }, "parts"),
    ("sets met", { split("[" + text(#"\p{L}&&"#, 2000) + "a]") }, "sets meet"),
    ("doubling", { sequence("normalizer", "normalizers", replace("a", "aa"), 40) }, "times as long"),
    ("doubling back", { sequence("decoder", "decoders", replace("a", "aa"), 40) }, "times as long"),
    ("alphabets", { sequence("pre_tokenizer", "pretokenizers", ["type": "ByteLevel"], 10) }, "times as long"),
    ("a book for a letter", { bytePairs([("normalizer", replace("a", text("b", 1 << 20)))]) }, "times as long"),
    ("steps", { sequence("normalizer", "normalizers", ["type": "Lowercase"], 1000) }, "too many"),
    ("a long piece", { unigram(["a", text("z", 100_000)]) }, "100000 bytes"),
    ("a long word piece", { wordPieces(["a", "##a", text("z", 5000)], longestWord: .max) }, "5000 bytes"),
    ("a long added token", { added(text("a", 1 << 20)) }, "bytes"),
  ]

  private static func replace(_ old: String, _ new: String) -> JSON {
    ["type": "Replace", "pattern": ["String": .string(old)], "content": .string(new)]
  }

  @Test(.timeLimit(.minutes(1)), arguments: refused.map(\.name))
  func what_no_text_can_be_given_is_refused(name: String) throws {
    let wanted = try #require(Self.refused.first { $0.name == name })
    let error = #expect(throws: Diagnostic.self) { try Tokenizer(json: wanted.file()) }
    #expect(error?.kind == .format && error?.message.contains(wanted.reason) == true, "\(error as Any)")
  }

  @Test func maps_of_characters_are_held_to_their_size() throws {
    #expect(throws: Diagnostic.self) { try CharacterMap(Self.map(1000)) }
    #expect(try CharacterMap(Self.map(3)).mapped([97, 98]) == [98, 98, 98, 98])
  }

  /// Seconds for a text of `count` parts.
  private func seconds(_ tokenizer: Tokenizer, _ part: String, _ count: Int) -> Double {
    let text = Self.text(part, count)
    let start = ContinuousClock.now
    _ = tokenizer.encode(text)
    return (ContinuousClock.now - start) / .seconds(1)
  }

  /// Texts of these parts must cost what their length does.
  private static let costly: [(name: String, file: @Sendable () -> JSON, part: String)] = [
    ("a+b|a", { split("a+b|a") }, "a"), ("look", { split("(?=a*)a") }, "a"), ("atomic", { split("(?>a*)b|a") }, "a"),
    ("possessive", { split("a++b|a") }, "a"), ("lazy", { split("a*?b|a") }, "a"),
    ("look in a look", { split("(?!(?=a*)b)a") }, "a"), ("circles", { split("(?:(?:a*)*)*b|a") }, "a"),
    ("added, white space to its right", { added(" ", "rstrip") }, " "),
    ("added, white space to its left", { added(" ", "lstrip") }, " "),
    ("added, lines", { added("\n", "rstrip") }, "\n "), ("added, almost", { added(text("a", 200) + "b") }, "a"),
    ("long pieces", { unigram(["a", text("z", 200)]) }, "a"),
    ("long word pieces", { wordPieces(["a", "##a", text("z", 200)], longestWord: .max) }, "a"),
    ("a circle in a map", { bytePairs([("normalizer", precompiled(map(3, isCircle: true)))]) }, "a"),
  ]

  private static func precompiled(_ map: [UInt8]) -> JSON {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    for start in stride(from: 0, to: map.count, by: 3) {
      let word = (0..<3).reduce(UInt32(0)) { $0 << 8 | (start + $1 < map.count ? UInt32(map[start + $1]) : 0) }
      for digit in 0..<4 {
        text.append(start + digit > map.count ? UInt8(ascii: "=") : digits[Int(word >> UInt32(18 - 6 * digit) & 63)])
      }
    }
    return ["type": "Precompiled", "precompiled_charsmap": .string(String(decoding: text, as: UTF8.self))]
  }

  // A text ten times as long may take ten times as long; a square would take a hundred times. The machine may be busy, so
  // the short one counts at its slowest and the long one at its fastest.
  @Test(.timeLimit(.minutes(2)), arguments: costly.map(\.name))
  func long_texts_cost_what_their_length_does(name: String) throws {
    let costly = try #require(Self.costly.first { $0.name == name })
    let tokenizer = try Tokenizer(json: costly.file())
    let short = (0..<3).map { _ in seconds(tokenizer, costly.part, 2000) }.max() ?? 0
    var long = Double.infinity
    for _ in 0..<12 where long > 40 * short { long = min(long, seconds(tokenizer, costly.part, 20_000)) }
    #expect(long <= 40 * short, "\(long) s after \(short) s")
  }

  /// The first match as the pattern's definition has it: every way is tried, nothing is remembered. Nil where a loop comes
  /// round without a step, which ends the way, as in the matcher.
  private func firstMatch(_ pattern: SplitPattern, _ scalars: [UInt32], from start: Int) -> Int? {
    var onWay: Set<[Int]> = []
    func run(_ program: Int, _ place: Int, _ position: Int) -> Int? {
      let key = [program, place, position]
      guard onWay.insert(key).inserted else { return nil }
      defer { onWay.remove(key) }
      switch pattern.programs[program][place] {
      case .accept: return position
      case .one(let set):
        guard position < scalars.count, set.contains(scalars[position]) else { return nil }
        return run(program, place + 1, position + 1)
      case .fork(let first, let second): return run(program, first, position) ?? run(program, second, position)
      case .jump(let target): return run(program, target, position)
      case .look(let inner, let isNegative):
        return (run(inner, 0, position) != nil) != isNegative ? run(program, place + 1, position) : nil
      case .atomic(let inner): return run(inner, 0, position).flatMap { run(program, place + 1, $0) }
      case .atStart: return position == 0 ? run(program, place + 1, position) : nil
      case .atEnd: return position == scalars.count ? run(program, place + 1, position) : nil
      case .atBoundary: return nil
      }
    }
    return run(0, 0, start)
  }

  private func pattern(_ depth: Int, _ random: inout SystemRandomNumberGenerator) -> String {
    if depth == 0 { return ["a", "b", "[ab]", "c", "[^a]", "."].randomElement(using: &random) ?? "a" }
    func inner(_ random: inout SystemRandomNumberGenerator) -> String { pattern(depth - 1, &random) }
    switch Int.random(in: 0..<9, using: &random) {
    case 0, 1: return inner(&random) + inner(&random)
    case 2: return "(?:\(inner(&random))|\(inner(&random)))"
    case 3, 4: return "(?:\(inner(&random)))" + (["*", "+", "?", "*?", "+?", "{2}", "{1,3}"].randomElement() ?? "*")
    case 5: return "(?=\(inner(&random)))"
    case 6: return "(?!\(inner(&random)))"
    case 7: return "(?>\(inner(&random)))"
    default: return "(?:\(inner(&random)))" + (["++", "*+", "?+"].randomElement(using: &random) ?? "*+")
    }
  }

  @Test func what_is_remembered_changes_no_match() throws {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<1500 {
      let source = pattern(.random(in: 1...4, using: &random), &random)
      guard let pattern = try? SplitPattern(source) else { continue }
      let scalars = (0..<Int.random(in: 0...9)).map { _ in UInt32(97 + .random(in: 0...2, using: &random)) }
      var matcher = SplitMatcher(pattern, scalars[...])
      // In the order of a text, and again: what the matches before left must not matter.
      for start in Array(0...scalars.count) + Array(0...scalars.count) {
        #expect(matcher.match(at: start) == firstMatch(pattern, scalars, from: start), "\(source) \(scalars) \(start)")
      }
    }
  }
}
