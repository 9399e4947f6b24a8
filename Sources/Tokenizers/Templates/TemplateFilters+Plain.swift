// Filters of chat templates that turn a value into plain text: without tags, and as Python's `pprint` writes it.
// Surprise: neither is whole. Entities beyond those of escaped texts need HTML's table of 2,231 names, and values that
// need more than a line would be broken: both are errors, never another text.

import Basics

extension TemplateFilters {
  static let plain: [String: TemplateFilter] = ["striptags": striptags, "pprint": pprint]

  /// `Markup.striptags`: tags and comments go up to the first without an end, then all white space but one space between
  /// words.
  private static let striptags: TemplateFilter = { (value, arguments, run) throws(Diagnostic) in
    _ = try arguments.bound(to: [])
    let bytes = Array(try run.text(of: value).utf8)
    try run.make(8 * bytes.count)
    try run.read(2 * bytes.count)
    let (opening, closing) = (Array("<!--".utf8), Array("-->".utf8))
    var (kept, position): ([UInt8], Int) = ([], 0)
    while let start = bytes[position...].firstIndex(of: UInt8(ascii: "<")) {
      let isComment = bytes[start...].starts(with: opening)
      let end =
        isComment
        ? PythonText.find(closing, in: bytes, from: min(bytes.count, start + 4)).map { $0 + closing.count }
        : bytes[start...].firstIndex(of: UInt8(ascii: ">")).map { $0 + 1 }
      guard let end else { break }
      kept += bytes[position..<start]
      position = end
    }
    let words = PythonText.words(PythonText.text(kept + bytes[position...]), most: .max)
    return .string(try unescaped(words.joined(separator: " "), run))
  }

  /// `html.unescape` of the signs that escaping makes.
  private static func unescaped(_ text: String, _ run: TemplateEvaluator) throws(Diagnostic) -> String {
    var result = text
    for (name, character) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'")] {
      result = PythonText.replaced(result, name, by: character, most: .max)
    }
    let rest = Array(PythonText.replaced(result, "&amp;", by: "", most: .max).utf8)
    for (index, byte) in rest.enumerated() where byte == UInt8(ascii: "&") && index + 1 < rest.count {
      guard Array(" \t\n\u{C}<&;".utf8).contains(rest[index + 1]) else {
        throw run.mistake("the filter 'striptags' of a text with other entities than those of escaped texts")
      }
    }
    return PythonText.replaced(result, "&amp;", by: "&", most: .max)
  }

  /// Python's `pprint` of what fits a line of 80; it sorts dictionaries, and breaks what is longer.
  private static let pprint: TemplateFilter = { (value, arguments, run) throws(Diagnostic) in
    _ = try arguments.bound(to: [])
    func isPlain(_ value: TemplateValue) -> Bool {
      switch value {
      case .none, .bool, .integer, .number: true
      case .string: !value.isMarkup
      default: false
      }
    }
    let fits: Bool
    switch value {
    case .list(let list), .tuple(let list): fits = list.elements.allSatisfy(isPlain)
    default: fits = isPlain(value)
    }
    let line = try run.representation(of: value)
    guard fits, line.unicodeScalars.count <= 80 else {
      throw run.mistake("the filter 'pprint' of \(value.kind) that may need more than a line")
    }
    return try run.text(line)
  }
}
