// The methods of a chat template's values (`value.name(...)`): which Python has, and which of them are here.
// Those of texts: TemplateMethods+Texts. Surprise: what changes a list or dictionary does not exist, as in Jinja's sandbox.

import Basics

/// A method of values whose kind is known: the receiver comes first.
typealias TemplateMethodBody =
  @Sendable (TemplateValue, TemplateArguments, TemplateEvaluator) throws(Diagnostic) -> TemplateValue

enum TemplateMethods {
  enum Standing { case supported, unsupported, hidden, unknown }

  /// What Python's attribute `name` is for `value`.
  static func standing(of name: String, for value: TemplateValue) -> Standing {
    if body(name, value) != nil { return .supported }
    let (unsupported, hidden) = others(value)
    return hidden.contains(name) ? .hidden : unsupported.contains(name) ? .unsupported : .unknown
  }

  static func call(_ method: TemplateMethod, _ arguments: TemplateArguments, _ run: TemplateEvaluator)
    throws(Diagnostic) -> TemplateValue
  {
    guard let body = body(method.name, method.receiver) else {
      throw run.mistake("\(method.receiver.kind) has no method '\(method.name)'")
    }
    return try body(method.receiver, arguments, run)
  }

  private static func body(_ name: String, _ value: TemplateValue) -> TemplateMethodBody? {
    switch value {
    case .string, .markup: texts[name]
    case .list, .tuple: name == "copy" ? (value.isList ? lists[name] : nil) : lists[name]
    case .range: name == "copy" ? nil : lists[name]
    case .dictionary: dictionaries[name]
    case .cycler: cyclers[name]
    case .loop: loops[name]
    case .number: floats[name]
    case .undefined, .none, .bool, .integer, .view, .iterator, .namespace, .macro, .joiner, .function, .method: nil
    }
  }

  /// Python's other attributes: those that are not supported here, and those that the sandbox hides.
  private static func others(_ value: TemplateValue) -> (unsupported: Set<String>, hidden: Set<String>) {
    switch value {
    case .string: (["encode", "format_map", "maketrans", "translate"], [])
    case .markup: (["encode", "format_map", "maketrans", "translate", "escape", "striptags", "unescape"], [])
    case .list: ([], ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"])
    case .dictionary: (["fromkeys"], ["clear", "pop", "popitem", "setdefault", "update"])
    case .integer, .bool:
      (["as_integer_ratio", "bit_count", "bit_length", "conjugate", "from_bytes", "to_bytes", "is_integer"], [])
    case .number: (["as_integer_ratio", "conjugate", "fromhex", "hex"], [])
    case .view: (["isdisjoint", "mapping"], [])
    case .iterator:
      (["close", "gi_running", "gi_suspended", "gi_yieldfrom", "send", "throw"], ["gi_frame", "gi_code"])
    case .macro: (["catch_kwargs", "catch_varargs", "caller", "explicit_caller"], [])
    case .cycler: (["items", "pos"], [])
    case .joiner: (["sep", "used"], [])
    case .function(let name): (name == "dict" ? ["fromkeys"] : [], [])
    case .undefined, .none, .tuple, .range, .namespace, .loop, .method: ([], [])
    }
  }

  // MARK: - Lists

  private static let lists: [String: TemplateMethodBody] = [
    "count": { (value, arguments, run) throws(Diagnostic) in
      let wanted = try arguments.places(1...1)[0]
      var count = 0
      for element in try run.elements(of: value) where try run.isEqual(element, wanted) { count += 1 }
      return .integer(count)
    },
    "index": { (value, arguments, run) throws(Diagnostic) in
      let given = try arguments.places(1...3)
      let elements = try run.elements(of: value)
      func bound(_ index: Int, _ missing: Int) throws(Diagnostic) -> Int {
        guard given.count > index else { return missing }
        guard let bound = given[index].integer else { throw run.mistake("'index' from \(given[index].kind)") }
        return bound < 0 ? max(0, bound + elements.count) : min(bound, elements.count)
      }
      let (start, end) = (try bound(1, 0), try bound(2, elements.count))
      for index in start..<max(start, end) where try run.isEqual(elements[index], given[0]) { return .integer(index) }
      throw run.mistake("'index': \(given[0].kind) is not in \(value.kind)")
    },
    "copy": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.places(0...0)
      return try run.list(try run.elements(of: value))
    },
  ]

  // MARK: - Dictionaries

  private static let dictionaries: [String: TemplateMethodBody] = [
    "get": { (value, arguments, run) throws(Diagnostic) in
      let given = try arguments.places(1...2)
      guard case .dictionary(let dictionary) = value else { return .none }
      return dictionary[try run.key(given[0])] ?? (given.count > 1 ? given[1] : TemplateValue.none)
    },
    "items": view(.items), "keys": view(.keys), "values": view(.values),
    "copy": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.places(0...0)
      return value
    },
  ]

  private static func view(_ kind: TemplateView.Kind) -> TemplateMethodBody {
    { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.places(0...0)
      guard case .dictionary(let dictionary) = value else { return .none }
      return .view(TemplateView(kind: kind, dictionary: dictionary))
    }
  }

  // MARK: - Loops and cyclers

  /// The facts of a loop; nil for what it does not have.
  static func attribute(of loop: TemplateLoop, _ name: String, _ run: TemplateEvaluator) throws(Diagnostic)
    -> TemplateValue?
  {
    switch name {
    case "index": return .integer(loop.index0 + 1)
    case "index0": return .integer(loop.index0)
    case "revindex": return .integer(try loop.length(run) - loop.index0)
    case "revindex0": return .integer(try loop.length(run) - loop.index0 - 1)
    case "first": return .bool(loop.index0 == 0)
    case "last": return .bool(try loop.peek(run) == nil)
    case "length": return .integer(try loop.length(run))
    case "depth": return .integer(loop.depth0 + 1)
    case "depth0": return .integer(loop.depth0)
    case "previtem": return loop.index0 == 0 ? .undefined("the item before the first") : loop.previous
    case "nextitem": return try loop.peek(run) ?? .undefined("the item after the last")
    case "cycle", "changed": return .method(TemplateMethod(.loop(loop), name))
    default: return nil
    }
  }

  private static let loops: [String: TemplateMethodBody] = [
    "cycle": { (value, arguments, run) throws(Diagnostic) in
      guard case .loop(let loop) = value, arguments.named.isEmpty, !arguments.positional.isEmpty else {
        throw run.mistake("'cycle' needs values")
      }
      let count = arguments.positional.count
      // Before the first round the index is -1, and a remainder is not negative.
      return arguments.positional[((loop.index0 % count) + count) % count]
    },
    "changed": { (value, arguments, run) throws(Diagnostic) in
      guard case .loop(let loop) = value, arguments.named.isEmpty else { throw run.mistake("'changed' needs values") }
      let given = try run.tuple(arguments.positional)
      if let last = loop.lastChanged, try run.isEqual(try run.tuple(last), given) { return .bool(false) }
      loop.lastChanged = arguments.positional
      return .bool(true)
    },
  ]

  private static let cyclers: [String: TemplateMethodBody] = [
    "next": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.places(0...0)
      guard case .cycler(let cycler) = value else { return .none }
      defer { cycler.position = (cycler.position + 1) % cycler.items.count }
      return cycler.items[cycler.position]
    },
    "reset": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.places(0...0)
      if case .cycler(let cycler) = value { cycler.position = 0 }
      return .none
    },
  ]

  private static let floats: [String: TemplateMethodBody] = [
    "is_integer": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.places(0...0)
      guard let number = value.double else { return .none }
      return .bool(number.isFinite && number == number.rounded())
    }
  ]
}

extension TemplateValue {
  fileprivate var isList: Bool { if case .list = self { true } else { false } }
}
