// What chat templates call: operators, filters, tests, functions and methods, as Python and Jinja define them.
// Surprise: an unknown name is an error that names it; guessing would put a wrong prompt before the model.

import Basics

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

enum TemplateFunctions {
  /// The functions that exist without being defined by the template.
  static let names: Set<String> = ["raise_exception", "namespace", "range", "dict", "strftime_now"]

  private static let longestRange = 10_000
  static let longestText = 1 << 24

  // MARK: - Operators

  static func binary(
    _ sign: TemplateOperator, _ left: TemplateValue, _ right: TemplateValue, _ run: TemplateEvaluator
  ) throws(Diagnostic) -> TemplateValue {
    func refuse() -> Diagnostic { run.mistake("'\(sign.rawValue)' between \(left.kind) and \(right.kind)") }
    switch sign {
    case .equal: return .bool(left.isEqual(to: right))
    case .unequal: return .bool(!left.isEqual(to: right))
    case .concatenate: return .string(try joined([left.text, right.text], by: "", run))
    case .contained: return .bool(try contains(right, left, run))
    case .notContained: return .bool(!(try contains(right, left, run)))
    case .less, .lessOrEqual, .greater, .greaterOrEqual:
      return .bool(try compare(sign, left, right, refuse))
    case .add:
      switch (left, right) {
      case (.string(let a), .string(let b)): return .string(try joined([a, b], by: "", run))
      case (.list(let a), .list(let b)):
        guard a.count + b.count <= longestRange else { throw run.mistake("a list too long") }
        return .list(a + b)
      default: return try arithmetic(sign, left, right, run, refuse)
      }
    case .multiply:
      if case .string(let text) = left, let count = right.integer {
        guard count <= longestText else { throw run.mistake("a text too long") }
        return .string(try joined(Array(repeating: text, count: max(0, count)), by: "", run))
      }
      return try arithmetic(sign, left, right, run, refuse)
    case .subtract, .divide, .floorDivide, .remainder, .power: return try arithmetic(sign, left, right, run, refuse)
    }
  }

  private static func contains(
    _ whole: TemplateValue, _ part: TemplateValue, _ run: TemplateEvaluator
  ) throws(Diagnostic) -> Bool {
    switch whole {
    case .string(let text):
      guard case .string(let piece) = part else { throw run.mistake("'in' looks for \(part.kind) in a string") }
      return find(Array(piece.unicodeScalars), in: Array(text.unicodeScalars), from: 0) != nil
    case .list(let elements): return elements.contains { $0.isEqual(to: part) }
    case .dictionary, .namespace: return whole.member(part.text) != nil
    case .undefined: return false
    case .none, .bool, .integer, .number, .macro, .function: throw run.mistake("'in' looks into \(whole.kind)")
    }
  }

  private static func compare(
    _ sign: TemplateOperator, _ left: TemplateValue, _ right: TemplateValue, _ refuse: () -> Diagnostic
  ) throws(Diagnostic) -> Bool {
    func decide<T: Comparable>(_ a: T, _ b: T) -> Bool {
      switch sign {
      case .less: a < b
      case .lessOrEqual: a <= b
      case .greater: a > b
      default: a >= b
      }
    }
    if case .string(let a) = left, case .string(let b) = right { return decide(a, b) }
    guard let a = left.double, let b = right.double else { throw refuse() }
    return decide(a, b)
  }

  private static func arithmetic(
    _ sign: TemplateOperator, _ left: TemplateValue, _ right: TemplateValue, _ run: TemplateEvaluator,
    _ refuse: () -> Diagnostic
  ) throws(Diagnostic) -> TemplateValue {
    guard let x = left.double, let y = right.double else { throw refuse() }
    if let a = left.integer, let b = right.integer, sign != .divide, sign != .power {
      let (value, overflow): (Int, Bool)
      switch sign {
      case .add: (value, overflow) = a.addingReportingOverflow(b)
      case .subtract: (value, overflow) = a.subtractingReportingOverflow(b)
      case .multiply: (value, overflow) = a.multipliedReportingOverflow(by: b)
      default:
        guard b != 0 else { throw run.mistake("division by zero") }
        let (quotient, tooLarge) = a.dividedReportingOverflow(by: b)
        let rest = tooLarge ? 0 : a % b
        // Python rounds down and gives the rest the divisor's sign.
        let isOff = rest != 0 && (rest < 0) != (b < 0)
        value = sign == .floorDivide ? (isOff ? quotient - 1 : quotient) : (isOff ? rest + b : rest)
        overflow = tooLarge
      }
      guard !overflow else { throw run.mistake("a number beyond 64 bits") }
      return .integer(value)
    }
    switch sign {
    case .add: return .number(x + y)
    case .subtract: return .number(x - y)
    case .multiply: return .number(x * y)
    case .power:
      let value = pow(x, y)
      let isWhole = left.integer != nil && (right.integer ?? -1) >= 0 && value.magnitude < 9e15
      return isWhole ? .integer(Int(value)) : .number(value)
    default:
      guard y != 0 else { throw run.mistake("division by zero") }
      if sign == .divide { return .number(x / y) }
      return .number(sign == .floorDivide ? (x / y).rounded(.down) : x - y * (x / y).rounded(.down))
    }
  }

  // MARK: - Functions

  static func call(
    _ name: String, _ arguments: TemplateArguments, _ run: TemplateEvaluator
  ) throws(Diagnostic) -> TemplateValue {
    switch name {
    case "raise_exception":
      throw Diagnostic(
        .argument, "the model's chat template refuses these messages: \(arguments.value(0, "message")?.text ?? "")",
        remedy: "change the messages, or send the prompt as it is with --raw")
    case "namespace":
      var members = arguments.named
      for case .dictionary(let list) in arguments.positional {
        for member in list { members[member.key] = member.value }
      }
      return .namespace(.init(members))
    case "dict": return .dictionary(arguments.named.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    case "range":
      let bounds = arguments.positional.compactMap(\.integer)
      guard bounds.count == arguments.positional.count, (1...3).contains(bounds.count) else {
        throw run.mistake("range takes one to three integers")
      }
      let (start, end) = bounds.count == 1 ? (0, bounds[0]) : (bounds[0], bounds[1])
      let step = bounds.count == 3 ? bounds[2] : 1
      guard step != 0 else { throw run.mistake("range with step 0") }
      var values: [TemplateValue] = []
      for value in stride(from: start, to: end, by: step) {
        guard values.count < longestRange else { throw run.mistake("range of more than \(longestRange) numbers") }
        values.append(.integer(value))
      }
      return .list(values)
    case "strftime_now": return .string(date(arguments.value(0)?.text ?? ""))
    default: throw run.mistake("the function '\(name)' is not supported")
    }
  }

  private static func date(_ format: String) -> String {
    var now = time(nil)
    var parts = tm()
    localtime_r(&now, &parts)
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = buffer.withUnsafeMutableBytes { bytes in
      strftime(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, format, &parts)
    }
    return String(decoding: buffer[..<count], as: UTF8.self)
  }

  // MARK: - Tests

  static func test(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, _ run: TemplateEvaluator
  ) throws(Diagnostic) -> Bool {
    func compared(_ sign: TemplateOperator) throws(Diagnostic) -> Bool {
      guard let other = arguments.value(0) else { throw run.mistake("the test '\(name)' needs a value") }
      return try binary(sign, value, other, run).truth
    }
    switch (name, value) {
    case ("defined", _): return !value.isUndefined
    case ("undefined", _): return value.isUndefined
    case ("none", _): return value.isNone
    case ("string", .string), ("boolean", .bool), ("integer", .integer), ("float", .number): return true
    case ("string", _), ("boolean", _), ("integer", _), ("float", _): return false
    case ("number", _): return value.double != nil
    case ("true", .bool(let flag)): return flag
    case ("false", .bool(let flag)): return !flag
    case ("true", _), ("false", _): return false
    case ("mapping", .dictionary): return true
    case ("mapping", _): return false
    case ("iterable", _): return value.elements != nil
    case ("sequence", _): return value.elements != nil
    case ("callable", .macro), ("callable", .function): return true
    case ("callable", _): return false
    case ("eq", _), ("equalto", _), ("sameas", _): return try compared(.equal)
    case ("ne", _): return try compared(.unequal)
    case ("lt", _), ("lessthan", _): return try compared(.less)
    case ("le", _): return try compared(.lessOrEqual)
    case ("gt", _), ("greaterthan", _): return try compared(.greater)
    case ("ge", _): return try compared(.greaterOrEqual)
    case ("in", _): return try compared(.contained)
    case ("odd", _), ("even", _):
      guard let number = value.integer else { throw run.mistake("the test '\(name)' of \(value.kind)") }
      return number.isMultiple(of: 2) == (name == "even")
    case ("divisibleby", _):
      guard let number = value.integer, let divisor = arguments.value(0)?.integer, divisor != 0 else {
        throw run.mistake("the test 'divisibleby' needs integers")
      }
      return number.isMultiple(of: divisor)
    default: throw run.mistake("the test '\(name)' is not supported")
    }
  }

  // MARK: - Texts

  /// Where `piece` begins in `text`; scalars, because grapheme clusters would hide matches.
  static func find(_ piece: [Unicode.Scalar], in text: [Unicode.Scalar], from start: Int) -> Int? {
    guard piece.count <= text.count - start else { return nil }
    return (start...(text.count - piece.count)).first { at in
      text[at..<(at + piece.count)].elementsEqual(piece)
    }
  }

  static func split(_ text: String, at separator: String, most: Int) -> [String] {
    let (scalars, separator) = (Array(text.unicodeScalars), Array(separator.unicodeScalars))
    var parts: [String] = []
    var start = 0
    while parts.count < most, let end = find(separator, in: scalars, from: start) {
      parts.append(string(scalars[start..<end]))
      start = end + separator.count
    }
    return parts + [string(scalars[start...])]
  }

  /// Joins texts unless the result would be absurdly long.
  static func joined(_ parts: [String], by separator: String, _ run: TemplateEvaluator) throws(Diagnostic) -> String {
    let length = parts.reduce(parts.count * separator.utf8.count) { $0 + $1.utf8.count }
    guard length <= longestText else { throw run.mistake("a text of \(length) bytes") }
    return parts.joined(separator: separator)
  }

  static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    var text = ""
    text.unicodeScalars.append(contentsOf: scalars)
    return text
  }

  /// Python's strip: white space, or the given scalars.
  static func stripped(_ text: String, of characters: String?, left: Bool = true, right: Bool = true) -> String {
    func isOuter(_ scalar: Unicode.Scalar) -> Bool {
      characters.map { $0.unicodeScalars.contains(scalar) }
        ?? (scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value))
    }
    var scalars = Array(text.unicodeScalars)[...]
    if left { scalars = scalars.drop(while: isOuter) }
    if right { while let last = scalars.last, isOuter(last) { scalars.removeLast() } }
    return string(scalars)
  }

  static func capitalized(_ text: String) -> String {
    let rest = text.lowercased()
    guard let first = rest.unicodeScalars.first else { return "" }
    return first.properties.titlecaseMapping + string(rest.unicodeScalars.dropFirst())
  }

  /// Every word begins with a capital.
  static func titled(_ text: String) -> String {
    var result = ""
    var isInWord = false
    for scalar in text.unicodeScalars {
      result += isInWord ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
      isInWord = scalar.properties.isAlphabetic
    }
    return result
  }
}
