// Values as text: as `{{ }}` prints them, as Python's repr writes them, and as `tojson` does.
// Surprise: what Python prints with an address in memory (a generator, a bound method) is an error here.

import Basics

extension TemplateEvaluator {
  /// `str(value)`
  func text(of value: TemplateValue) throws(Diagnostic) -> String {
    switch value {
    case .undefined: return ""
    case .string(let text), .markup(let text): return text
    default:
      var text = ""
      try represent(value, in: &text)
      return text
    }
  }

  /// `repr(value)`
  func representation(of value: TemplateValue) throws(Diagnostic) -> String {
    var text = ""
    try represent(value, in: &text)
    return text
  }

  private func represent(_ value: TemplateValue, in text: inout String) throws(Diagnostic) {
    try enter()
    defer { leave() }
    try step()
    let before = text.utf8.count
    switch value {
    case .undefined: text += "Undefined"
    case .none: text += "None"
    case .bool(let value): text += value ? "True" : "False"
    case .integer(let value): text += String(value)
    case .number(let value): text += PythonFormat.representation(of: value)
    case .string(let value):
      try read(value.utf8.count)
      text += PythonText.quoted(value)
    case .markup(let value):
      try read(value.utf8.count)
      text += "Markup(\(PythonText.quoted(value)))"
    case .list(let list): try represent(list.elements, "[", "]", in: &text)
    case .tuple(let list): try represent(list.elements, "(", list.elements.count == 1 ? ",)" : ")", in: &text)
    case .dictionary(let dictionary): try represent(dictionary, in: &text)
    case .range(let range):
      text += "range(\(range.start), \(range.stop)\(range.step == 1 ? "" : ", \(range.step)"))"
    case .view(let view):
      text += "dict_\(view.kind.rawValue)("
      try represent(try elements(of: value), "[", "]", in: &text)
      text += ")"
    case .macro(let closure): text += "<Macro \(closure.macro.name.map { "'\($0)'" } ?? "anonymous")>"
    case .loop(let loop): text += "<LoopContext \(loop.index0 + 1)/\(try loop.length(self))>"
    case .function(let name): throw mistake("the function '\(name)' has no text")
    case .iterator, .namespace, .cycler, .joiner, .method: throw mistake("\(value.kind) has no text")
    }
    try make(max(1, min(text.utf8.count - before, value.nesting > 0 ? 16 : .max)))
  }

  private func represent(_ elements: [TemplateValue], _ begin: String, _ end: String, in text: inout String)
    throws(Diagnostic)
  {
    text += begin
    for (index, element) in elements.enumerated() {
      if index > 0 { text += ", " }
      try represent(element, in: &text)
    }
    text += end
  }

  private func represent(_ dictionary: TemplateDictionary, in text: inout String) throws(Diagnostic) {
    text += "{"
    for (index, (key, value)) in zip(dictionary.keys, dictionary.values).enumerated() {
      if index > 0 { text += ", " }
      try represent(key, in: &text)
      text += ": "
      try represent(value, in: &text)
    }
    text += "}"
  }
}

/// `tojson`: Python's `json.dumps`, with the arguments that Hugging Face gives the filter.
struct TemplateJSON {
  /// What a level is indented by; nil writes one line.
  let indent: String?
  let isASCII: Bool
  let itemSeparator: String
  let keySeparator: String
  let sortsKeys: Bool
  private(set) var text = ""

  init(indent: String?, isASCII: Bool, separators: (item: String, key: String)?, sortsKeys: Bool) {
    self.indent = indent
    self.isASCII = isASCII
    itemSeparator = separators?.item ?? (indent == nil ? ", " : ",")
    keySeparator = separators?.key ?? ": "
    self.sortsKeys = sortsKeys
  }

  mutating func write(_ value: TemplateValue, level: Int = 0, _ run: TemplateEvaluator) throws(Diagnostic) {
    try run.enter()
    defer { run.leave() }
    try run.step()
    let before = text.utf8.count
    switch value {
    case .none: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .integer(let value): text += String(value)
    case .number(let value): text += Self.number(value)
    case .string(let value), .markup(let value):
      try run.read(value.utf8.count)
      quote(value)
    case .list(let list), .tuple(let list):
      try write(list.elements.count, "[", "]", level, run) { (json, index) throws(Diagnostic) in
        try json.write(list.elements[index], level: level + 1, run)
      }
    case .dictionary(let dictionary): try write(dictionary, level, run)
    default: throw run.mistake("\(value.kind) cannot be written as JSON")
    }
    try run.make(max(1, min(text.utf8.count - before, value.nesting > 0 ? 16 : .max)))
  }

  private mutating func write(_ dictionary: TemplateDictionary, _ level: Int, _ run: TemplateEvaluator)
    throws(Diagnostic)
  {
    var order = dictionary.keys.map { $0 }
    if sortsKeys { order = try run.sorted(order, by: order, reversed: false) }
    try write(order.count, "{", "}", level, run) { (json, index) throws(Diagnostic) in
      let key = order[index]
      switch key {
      case .string(let name), .markup(let name):
        try run.read(name.utf8.count)
        json.quote(name)
      case .integer(let value): json.quote(String(value))
      case .number(let value): json.quote(Self.number(value))
      case .bool(let value): json.quote(value ? "true" : "false")
      case .none: json.quote("null")
      default: throw run.mistake("\(key.kind) cannot be a key in JSON")
      }
      json.text += json.keySeparator
      guard let value = dictionary[try run.key(key)] else { return }
      try json.write(value, level: level + 1, run)
    }
  }

  private mutating func write(
    _ count: Int, _ begin: String, _ end: String, _ level: Int, _ run: TemplateEvaluator,
    _ element: (inout TemplateJSON, Int) throws(Diagnostic) -> Void
  ) throws(Diagnostic) {
    text += begin
    guard count > 0 else {
      text += end
      return
    }
    func lineBreak(_ level: Int) throws(Diagnostic) -> String {
      guard let indent else { return "" }
      try run.make(indent.utf8.count * level)
      return "\n" + String(repeating: indent, count: level)
    }
    for index in 0..<count {
      if index > 0 { text += itemSeparator }
      text += try lineBreak(level + 1)
      try element(&self, index)
    }
    text += try lineBreak(level)
    text += end
  }

  private static func number(_ value: Double) -> String {
    value.isFinite
      ? PythonFormat.representation(of: value) : value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity"
  }

  private mutating func quote(_ string: String) {
    var quoted = String.UnicodeScalarView()
    func escape(_ unit: UInt16) {
      let digits = String(unit, radix: 16)
      quoted.append(contentsOf: "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".unicodeScalars)
    }
    quoted.append("\"")
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"", "\\": quoted.append(contentsOf: ["\\", scalar])
      case "\n": quoted.append(contentsOf: ["\\", "n"])
      case "\r": quoted.append(contentsOf: ["\\", "r"])
      case "\t": quoted.append(contentsOf: ["\\", "t"])
      case "\u{8}": quoted.append(contentsOf: ["\\", "b"])
      case "\u{C}": quoted.append(contentsOf: ["\\", "f"])
      case "\0"..<" ": escape(UInt16(scalar.value))
      case _ where isASCII && scalar.value >= 0x7F: for unit in UTF16.encode(scalar) ?? .init() { escape(unit) }
      default: quoted.append(scalar)
      }
    }
    quoted.append("\"")
    text += String(quoted)
  }
}
