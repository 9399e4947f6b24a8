import Basics
import Testing

@Suite struct JSONTests {
  @Test func members_keep_file_order_and_lookup_finds_them() throws {
    let value = try JSON(parsing: #"{"b": [1, -2.5e1, true, null], "a": {"x": "y"}}"#)
    #expect(value.members?.map(\.key) == ["b", "a"])
    #expect(value["b"]?[0]?.int == 1)
    #expect(value["b"]?[1]?.double == -25)
    #expect(value["b"]?[3]?.isNull == true)
    #expect(value["a"]?["x"]?.string == "y")
    #expect(value["c"] == nil && value["b"]?[4] == nil)
  }

  @Test func escapes_and_surrogate_pairs_become_scalars_and_lone_halves_the_replacement_character() throws {
    let text = #"["a\n\"\\\/\u00e9", "\ud83d\ude00", "\ud83dx", "\u0000"]"#
    #expect(try JSON(parsing: text) == ["a\n\"\\/é", "😀", "\u{FFFD}x", "\0"])
  }

  @Test func written_text_reads_back_as_the_same_value() throws {
    let value: JSON = ["a": [1, 2.5, true, "line\n\u{1}\"\\ é"], "b": [:], "c": []]
    #expect(try JSON(parsing: value.description) == value)
    #expect(!value.description.contains("\n"))
  }

  @Test func integers_beyond_64_bits_become_doubles() throws {
    #expect(try JSON(parsing: "18446744073709551616") == .number(18_446_744_073_709_551_616))
    #expect(try JSON(parsing: "-9223372036854775808") == .integer(.min))
  }

  @Test(arguments: [
    "", "{", "[1,]", "{\"a\" 1}", "{\"a\":1", "01", "-", "1.", "1e", "tru", "\"abc", "\"\\x\"", "\"\\u12g4\"", "[1] 2",
    "\"a\u{1}\"", "nul", "{a: 1}",
  ])
  func malformed_text_is_a_format_error(text: String) {
    let error = #expect(throws: Diagnostic.self) { try JSON(parsing: text) }
    #expect(error?.kind == .format)
  }

  @Test func bytes_that_are_not_utf8_are_a_format_error() {
    #expect(throws: Diagnostic.self) { try JSON(parsing: [0x22, 0xFF, 0x22]) }
  }

  @Test func nesting_deeper_than_the_limit_is_refused_not_a_stack_overflow() {
    #expect(throws: Diagnostic.self) { try JSON(parsing: String(repeating: "[", count: 1_000_000)) }
  }
}
