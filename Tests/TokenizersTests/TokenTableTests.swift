// The vocabulary's hash table: what it finds does not depend on its seed, and nobody can fill one place of it.

import Testing

@testable import Tokenizers

@Suite struct TokenTableTests {
  @Test func words_chosen_to_collide_in_one_table_do_not_collide_in_another() {
    // As many as fill a sixty-fourth of the places twenty times over.
    let known = TokenTable((0..<300).map { "\($0)" }, seed: 7)
    var words: [String] = []
    var number = 0
    while words.count < 300 {
      if known.place(of: "w\(number)") < 16 { words.append("w\(number)") }
      number += 1
    }
    #expect(TokenTable(words, seed: 7).longestSearch >= 300)
    for _ in 0..<5 { #expect(TokenTable(words).longestSearch < 100) }
  }

  @Test func tables_of_any_seed_find_the_same_ids() {
    var words = (0..<500).map { String($0 * 7919, radix: 36) } + ["", "é", "e\u{301}", "twice", "twice"]
    words += (0..<50).map { String(repeating: "a", count: $0) }
    let tables = [0, 1, .max, 0x1bf2_9ce4_8422_2325].map { TokenTable(words, seed: $0) }
    for word in words {
      let first = words.firstIndex { $0.utf8.elementsEqual(word.utf8) }.map { Int32($0) }
      for table in tables { #expect(table.id(of: word) == first, "\(word)") }
    }
    for table in tables {
      #expect(table.id(of: "nowhere") == nil)
      var (left, right) = ("tw", "ice")
      let joined = left.withUTF8 { left in right.withUTF8 { table.id(ofJoined: left, $0) } }
      #expect(joined == table.id(of: "twice"))
    }
  }

  @Test func similar_words_spread_over_the_table() {
    for width in [1, 4, 9] {
      let words = (0..<20_000).map {
        String(repeating: "x", count: width) + "\($0)" + String(repeating: "y", count: width)
      }
      #expect(TokenTable(words, seed: 3).longestSearch < 100)
    }
  }
}
