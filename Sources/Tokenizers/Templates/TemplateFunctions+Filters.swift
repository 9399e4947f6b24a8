// The filters (`value | name(...)`) and methods (`value.name(...)`) that chat templates use.

import Basics

extension TemplateFunctions {
  static func filter(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, _ run: inout TemplateEvaluator
  ) throws(Diagnostic) -> TemplateValue {
    let refusal = run.mistake("the filter '\(name)' of \(value.kind)")
    func elements() throws(Diagnostic) -> [TemplateValue] {
      guard let elements = value.elements else { throw refusal }
      return elements
    }
    switch name {
    case "default", "d":
      let isReplaced = value.isUndefined || arguments.value(1, "boolean")?.truth ?? false && !value.truth
      return isReplaced ? arguments.value(0, "default_value") ?? .string("") : value
    case "length", "count": return .integer(try elements().count)
    case "list": return .list(try elements())
    case "first": return try elements().first ?? .undefined("first")
    case "last": return try elements().last ?? .undefined("last")
    case "reverse":
      let reversed = Array(try elements().reversed())
      if case .string = value { return .string(reversed.map(\.text).joined()) }
      return .list(reversed)
    case "unique":
      var kept: [TemplateValue] = []
      for element in try elements() where !kept.contains(where: { $0.isEqual(to: element) }) { kept.append(element) }
      return .list(kept)
    case "join":
      let attribute = arguments.value(1, "attribute")?.text
      let parts = try elements().map { element in attribute.flatMap { element.member($0) } ?? element }
      return .string(try joined(parts.map(\.text), by: arguments.value(0, "d")?.text ?? "", run))
    case "items", "dictsort":
      guard case .dictionary(let members) = value else { throw refusal }
      let sorted = name == "items" ? members : members.sorted { $0.key.lowercased() < $1.key.lowercased() }
      return .list(sorted.map { .list([.string($0.key), $0.value]) })
    case "map":
      if let attribute = arguments.named["attribute"]?.text {
        return .list(try elements().map { $0.member(attribute) ?? arguments.named["default"] ?? .undefined(attribute) })
      }
      guard let inner = arguments.value(0)?.text else { throw refusal }
      var rest = arguments
      rest.positional.removeFirst()
      var mapped: [TemplateValue] = []
      for element in try elements() { mapped.append(try filter(inner, element, rest, &run)) }
      return .list(mapped)
    case "select", "reject", "selectattr", "rejectattr": return try selected(name, try elements(), arguments, run)
    case "tojson":
      guard let json = value.json else { throw refusal }
      if let indent = arguments.value(0, "indent")?.integer, indent >= 0 {
        return .string(indented(json, by: min(indent, 16), level: 0))
      }
      return .string(json.description)
    case "int", "float": return number(name, value, arguments)
    case "abs":
      guard let number = value.double else { throw refusal }
      return value.integer.map { .integer(Int(clamping: $0.magnitude)) } ?? .number(number.magnitude)
    case "string", "safe", "escape", "e":
      // Escaping is off in chat templates.
      return .string(value.text)
    case "indent":
      let width = arguments.value(0, "width")?.integer ?? 4
      let margin = String(repeating: " ", count: max(0, min(width, 100)))
      let lines = split(value.text, at: "\n", most: .max)
      let indented = lines.enumerated().map { index, line in
        (index == 0 ? !(arguments.value(1, "first")?.truth ?? false) : line.isEmpty) ? line : margin + line
      }
      return .string(try joined(indented, by: "\n", run))
    case "trim", "upper", "lower", "capitalize", "title", "replace":
      return try method(name == "trim" ? "strip" : name, .string(value.text), arguments, run)
    default: throw run.mistake("the filter '\(name)' is not supported")
    }
  }

  private static func number(_ name: String, _ value: TemplateValue, _ arguments: TemplateArguments) -> TemplateValue {
    let parsed: Double?
    if case .string(let text) = value { parsed = Double(stripped(text, of: nil)) } else { parsed = value.double }
    if name == "float" { return .number(parsed ?? arguments.value(0, "default")?.double ?? 0) }
    if let integer = value.integer { return .integer(integer) }
    guard let parsed, let integer = Int(exactly: parsed.rounded(.towardZero)) else {
      return arguments.value(0, "default") ?? .integer(0)
    }
    return .integer(integer)
  }

  private static func selected(
    _ name: String, _ elements: [TemplateValue], _ arguments: TemplateArguments, _ run: TemplateEvaluator
  ) throws(Diagnostic) -> TemplateValue {
    var rest = arguments
    var attribute: String?
    if name.hasSuffix("attr") {
      guard !rest.positional.isEmpty else { throw run.mistake("the filter '\(name)' needs an attribute") }
      attribute = rest.positional.removeFirst().text
    }
    let test = rest.positional.isEmpty ? nil : rest.positional.removeFirst().text
    var kept: [TemplateValue] = []
    for element in elements {
      let subject = attribute.map { element.member($0) ?? .undefined($0) } ?? element
      let holds = try test.map { test throws(Diagnostic) in try self.test(test, subject, rest, run) } ?? subject.truth
      if holds == name.hasPrefix("select") { kept.append(element) }
    }
    return .list(kept)
  }

  /// As Python's json.dumps(indent:) writes it.
  private static func indented(_ json: JSON, by width: Int, level: Int) -> String {
    let inner = "\n" + String(repeating: " ", count: width * (level + 1))
    let outer = "\n" + String(repeating: " ", count: width * level)
    switch json {
    case .array(let elements) where !elements.isEmpty:
      return "[" + inner + elements.map { indented($0, by: width, level: level + 1) }.joined(separator: "," + inner)
        + outer + "]"
    case .object(let members) where !members.isEmpty:
      let parts = members.map {
        JSON.string($0.key).description + ": " + indented($0.value, by: width, level: level + 1)
      }
      return "{" + inner + parts.joined(separator: "," + inner) + outer + "}"
    case .null, .bool, .integer, .number, .string, .array, .object: return json.description
    }
  }

  // MARK: - Methods

  static func method(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, _ run: TemplateEvaluator
  ) throws(Diagnostic) -> TemplateValue {
    switch value {
    case .string(let text): return try method(name, text, arguments, run)
    case .dictionary(let members):
      switch name {
      case "get": return value.member(arguments.value(0)?.text ?? "") ?? arguments.value(1) ?? .none
      case "items": return .list(members.map { .list([.string($0.key), $0.value]) })
      case "keys": return .list(members.map { .string($0.key) })
      case "values": return .list(members.map(\.value))
      case "cycle":
        // Only the loop's own dictionary has an index0.
        guard let index = value.member("index0")?.integer, !arguments.positional.isEmpty else { break }
        return arguments.positional[index % arguments.positional.count]
      default: break
      }
    case .undefined(let missing): throw run.mistake("'\(missing)' is undefined, so it has no '\(name)'")
    case .none, .bool, .integer, .number, .list, .namespace, .macro, .function: break
    }
    throw run.mistake("\(value.kind) has no method '\(name)'")
  }

  private static func method(
    _ name: String, _ text: String, _ arguments: TemplateArguments, _ run: TemplateEvaluator
  ) throws(Diagnostic) -> TemplateValue {
    func argument(_ index: Int) throws(Diagnostic) -> String {
      guard case .string(let argument) = arguments.value(index) else {
        throw run.mistake("'\(name)' needs a string as argument \(index + 1)")
      }
      return argument
    }
    func beginnings() throws(Diagnostic) -> [String] {
      if case .list(let choices) = arguments.value(0) { return choices.map(\.text) }
      return [try argument(0)]
    }
    let set = arguments.value(0).flatMap { $0.isNone ? nil : $0.text }
    switch name {
    case "strip": return .string(stripped(text, of: set))
    case "lstrip": return .string(stripped(text, of: set, right: false))
    case "rstrip": return .string(stripped(text, of: set, left: false))
    case "upper": return .string(text.uppercased())
    case "lower": return .string(text.lowercased())
    case "capitalize": return .string(capitalized(text))
    case "title": return .string(titled(text))
    case "startswith": return .bool(try beginnings().contains { text.utf8.starts(with: $0.utf8) })
    case "endswith": return .bool(try beginnings().contains { text.utf8.reversed().starts(with: $0.utf8.reversed()) })
    case "find":
      return .integer(find(Array(try argument(0).unicodeScalars), in: Array(text.unicodeScalars), from: 0) ?? -1)
    case "replace":
      let (old, new) = (try argument(0), try argument(1))
      guard !old.isEmpty else { throw run.mistake("'replace' of an empty string") }
      let most = arguments.value(2, "count")?.integer ?? -1
      return .string(try joined(split(text, at: old, most: most < 0 ? .max : most), by: new, run))
    case "split":
      guard let separator = set else {
        return .list(text.split { $0.isWhitespace }.map { .string(String($0)) })
      }
      guard !separator.isEmpty else { throw run.mistake("'split' at an empty string") }
      let most = arguments.value(1, "maxsplit")?.integer ?? -1
      return .list(split(text, at: separator, most: most < 0 ? .max : most).map { .string($0) })
    default: throw run.mistake("a string has no method '\(name)' here")
    }
  }
}
