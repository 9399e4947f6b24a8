// The values a chat template computes with, and what Python does with them: truth, equality, text.
// Surprise: a missing name is a value too. It prints nothing and counts as false; computing with it is an error.

import Basics

enum TemplateValue {
  case undefined(String)
  case none
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case list([TemplateValue])
  /// Members in their order.
  case dictionary([(key: String, value: TemplateValue)])
  case namespace(TemplateNamespace)
  case macro(TemplateMacro)
  /// A function that every template finds, by its name.
  case function(String)

  /// The only thing that a template can change: `{% set ns.x = 1 %}`.
  final class TemplateNamespace {
    var members: [String: TemplateValue]
    init(_ members: [String: TemplateValue]) { self.members = members }
  }

  var isUndefined: Bool { if case .undefined = self { true } else { false } }

  var isNone: Bool { if case .none = self { true } else { false } }

  var truth: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .integer(let value): value != 0
    case .number(let value): value != 0
    case .string(let value): !value.isEmpty
    case .list(let elements): !elements.isEmpty
    case .dictionary(let members): !members.isEmpty
    case .namespace, .macro, .function: true
    }
  }

  /// What the value is called in messages.
  var kind: String {
    switch self {
    case .undefined(let name): "the undefined '\(name)'"
    case .none: "none"
    case .bool: "a truth value"
    case .integer, .number: "a number"
    case .string: "a string"
    case .list: "a list"
    case .dictionary: "a dictionary"
    case .namespace: "a namespace"
    case .macro, .function: "a function"
    }
  }

  var double: Double? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .integer(let value): Double(value)
    case .number(let value): value
    case .undefined, .none, .string, .list, .dictionary, .namespace, .macro, .function: nil
    }
  }

  /// Truth values are integers, as in Python.
  var integer: Int? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .integer(let value): value
    case .undefined, .none, .number, .string, .list, .dictionary, .namespace, .macro, .function: nil
    }
  }

  /// As printed by `{{ }}`.
  var text: String {
    switch self {
    case .undefined: ""
    case .string(let value): value
    case .none, .bool, .integer, .number, .list, .dictionary, .namespace, .macro, .function: representation
    }
  }

  /// As Python's repr writes it.
  var representation: String {
    var text = ""
    represent(in: &text)
    return text
  }

  /// Stops at some length: a list of lists of lists can be small in memory and endless in print.
  private func represent(in text: inout String) {
    guard text.utf8.count <= TemplateFunctions.longestText else { return }
    switch self {
    case .undefined: text += "Undefined"
    case .none: text += "None"
    case .bool(let value): text += value ? "True" : "False"
    case .integer(let value): text += String(value)
    case .number(let value):
      text += value.isFinite ? value.description : value.isNaN ? "nan" : value < 0 ? "-inf" : "inf"
    case .string(let value):
      let quote = value.contains("'") && !value.contains("\"") ? "\"" : "'"
      text += quote
      for scalar in value.unicodeScalars {
        switch scalar {
        case "\\": text += "\\\\"
        case "\n": text += "\\n"
        case "\r": text += "\\r"
        case "\t": text += "\\t"
        case _ where String(scalar) == quote: text += "\\" + quote
        default: text.unicodeScalars.append(scalar)
        }
      }
      text += quote
    case .list(let elements):
      text += "["
      for (index, element) in elements.enumerated() {
        if index > 0 { text += ", " }
        element.represent(in: &text)
      }
      text += "]"
    case .dictionary(let members):
      text += "{"
      for (index, member) in members.enumerated() {
        if index > 0 { text += ", " }
        TemplateValue.string(member.key).represent(in: &text)
        text += ": "
        member.value.represent(in: &text)
      }
      text += "}"
    case .namespace: text += "<namespace>"
    case .macro(let macro): text += "<macro \(macro.name)>"
    case .function(let name): text += "<function \(name)>"
    }
  }

  /// Python's `==`.
  func isEqual(to other: TemplateValue) -> Bool {
    switch (self, other) {
    case (.undefined, .undefined), (.none, .none): return true
    // Bytes, not canonical equivalence.
    case (.string(let a), .string(let b)): return a.utf8.elementsEqual(b.utf8)
    case (.list(let a), .list(let b)): return a.count == b.count && zip(a, b).allSatisfy { $0.isEqual(to: $1) }
    case (.dictionary(let a), .dictionary(let b)):
      return a.count == b.count
        && a.allSatisfy { member in b.contains { $0.key == member.key && $0.value.isEqual(to: member.value) } }
    case (.namespace(let a), .namespace(let b)): return a === b
    default:
      guard let a = double, let b = other.double else { return false }
      return a == b
    }
  }

  /// A member of a dictionary or namespace.
  func member(_ name: String) -> TemplateValue? {
    switch self {
    case .dictionary(let members): return members.first { $0.key == name }?.value
    case .namespace(let namespace): return namespace.members[name]
    case .undefined, .none, .bool, .integer, .number, .string, .list, .macro, .function: return nil
    }
  }

  /// What a loop runs over; nil for values without elements.
  var elements: [TemplateValue]? {
    switch self {
    case .undefined: return []
    case .list(let elements): return elements
    case .string(let text): return text.unicodeScalars.map { .string(String($0)) }
    case .dictionary(let members): return members.map { .string($0.key) }
    case .none, .bool, .integer, .number, .namespace, .macro, .function: return nil
    }
  }

  init(_ json: JSON) {
    switch json {
    case .null: self = .none
    case .bool(let value): self = .bool(value)
    case .integer(let value): self = .integer(value)
    case .number(let value): self = .number(value)
    case .string(let value): self = .string(value)
    case .array(let elements): self = .list(elements.map { TemplateValue($0) })
    case .object(let members): self = .dictionary(members.map { ($0.key, TemplateValue($0.value)) })
    }
  }

  /// For `tojson`; nil for what JSON cannot hold.
  var json: JSON? {
    switch self {
    case .none: return .null
    case .bool(let value): return .bool(value)
    case .integer(let value): return .integer(value)
    case .number(let value): return .number(value)
    case .string(let value): return .string(value)
    case .list(let elements):
      let parts = elements.compactMap(\.json)
      return parts.count == elements.count ? .array(parts) : nil
    case .dictionary(let members):
      let parts = members.compactMap { member in member.value.json.map { JSON.Member(member.key, $0) } }
      return parts.count == members.count ? .object(parts) : nil
    case .undefined, .namespace, .macro, .function: return nil
    }
  }
}
