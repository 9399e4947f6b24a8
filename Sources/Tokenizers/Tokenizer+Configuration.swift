// What a tokenizer_config.json says again about a tokenizer.json: libraries make the tokenizer from either of them.
// Not a reader of that file: it is told what the tokenizer does, and compares. Surprise: the class that BERT's files name
// throws tokenizer.json's steps away and takes its own, with these settings.

extension Tokenizer {
  /// The settings of BERT's texts, as what the steps do together.
  package var textSettings: [(key: String, value: Bool)] {
    func any(_ holds: (TextNormalizer) -> Bool) -> Bool { normalizers.contains(where: holds) }
    return [
      ("do_lower_case", any(\.lowercases)),
      (
        "strip_accents",
        any { step in
          switch step {
          case .bert(let normalizer): normalizer.stripsAccents
          case .withoutMarks: true
          default: false
          }
        }
      ),
      (
        "tokenize_chinese_chars",
        any { if case .bert(let normalizer) = $0 { normalizer.spacesIdeographs } else { false } }
      ),
    ]
  }

  /// Whether the steps are those of the class BertTokenizer and no others.
  package var isBert: Bool {
    guard case .wordPieces(let encoder) = model, encoder.continuation == Array("##".utf8), encoder.longestWord == 100,
      normalizers.count == 1, case .bert(let normalizer)? = normalizers.first, normalizer.cleansText,
      cutter.steps.count == 1, case .cut(.bertWords)? = cutter.steps.first
    else { return false }
    return true
  }

  /// The texts of the tokens that tokenizer_config.json names: around a text, and what stands for unknown words.
  package var markerTexts: [(key: String, value: String?)] {
    func text(_ ids: [Int32]) -> String? { ids.count == 1 ? self.text(of: ids[0]) : nil }
    var unknown: String?
    if case .wordPieces(let encoder) = model { unknown = self.text(of: encoder.unknown) }
    return [("cls_token", text(prefix)), ("sep_token", text(suffix)), ("unk_token", unknown)]
  }

  /// Whether `text` is a token that is found in texts as it is written.
  package func isAdded(_ text: String) -> Bool { id(of: text).map(verbatim.contains) ?? false }
}
