// The tests of chat templates (`value is name(...)`), as Jinja has them. Not unit tests.

import Basics

typealias TemplateTest =
  @Sendable (TemplateValue, TemplateArguments, TemplateEvaluator) throws(Diagnostic) -> Bool

enum TemplateTests {
  static func test(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, _ run: TemplateEvaluator
  ) throws(Diagnostic) -> Bool {
    guard let test = table[name] else { throw run.mistake("the test '\(name)' is not supported") }
    try run.enter()
    defer { run.leave() }
    return try test(value, arguments.named("the test '\(name)'"), run)
  }

  static let table: [String: TemplateTest] = [
    "defined": kind { !$0.isUndefined }, "undefined": kind { $0.isUndefined }, "none": kind { $0.isNone },
    "boolean": kind { if case .bool = $0 { true } else { false } },
    "true": kind { if case .bool(true) = $0 { true } else { false } },
    "false": kind { if case .bool(false) = $0 { true } else { false } },
    "integer": kind { if case .integer = $0 { true } else { false } },
    "float": kind { if case .number = $0 { true } else { false } },
    "number": kind { $0.double != nil },
    "string": kind { $0.string != nil },
    "escaped": kind { $0.isMarkup },
    "mapping": kind { if case .dictionary = $0 { true } else { false } },
    "sequence": kind(isSequence), "iterable": kind(isIterable), "callable": kind(isCallable),
    "odd": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.places(0...0)
      return try run.isEqual(try remainder(value, .integer(2), run), .integer(1))
    },
    "even": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.places(0...0)
      return try run.isEqual(try remainder(value, .integer(2), run), .integer(0))
    },
    "divisibleby": { (value, arguments, run) throws(Diagnostic) in
      guard let divisor = try arguments.bound(to: "num")[0] else { throw run.mistake("'divisibleby' needs a number") }
      return try run.isEqual(try remainder(value, divisor, run), .integer(0))
    },
    "lower": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.places(0...0)
      return TemplateMethods.isInCase(try run.text(of: value), isUpper: false)
    },
    "upper": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.places(0...0)
      return TemplateMethods.isInCase(try run.text(of: value), isUpper: true)
    },
    "filter": { (value, arguments, run) throws(Diagnostic) in
      try checkName(value, arguments, run)
      return value.string.map { TemplateFilters.table[$0] != nil || TemplateFilters.unsupported.contains($0) } ?? false
    },
    "test": { (value, arguments, run) throws(Diagnostic) in
      try checkName(value, arguments, run)
      return value.string.map { table[$0] != nil } ?? false
    },
    "in": { (value, arguments, run) throws(Diagnostic) in
      guard let whole = try arguments.bound(to: "seq")[0] else { throw run.mistake("the test 'in' needs a sequence") }
      return try run.contains(whole, value)
    },
    "sameas": { (value, arguments, run) throws(Diagnostic) in
      guard let other = try arguments.bound(to: "other")[0] else {
        throw run.mistake("the test 'sameas' needs a value")
      }
      return try areSame(value, other, run)
    },
    "==": compared(.equal), "eq": compared(.equal), "equalto": compared(.equal),
    "!=": compared(.unequal), "ne": compared(.unequal),
    ">": compared(.greater), "gt": compared(.greater), "greaterthan": compared(.greater),
    ">=": compared(.greaterOrEqual), "ge": compared(.greaterOrEqual),
    "<": compared(.less), "lt": compared(.less), "lessthan": compared(.less),
    "<=": compared(.lessOrEqual), "le": compared(.lessOrEqual),
  ]

  private static func kind(_ holds: @escaping @Sendable (TemplateValue) -> Bool) -> TemplateTest {
    { (value, arguments, _) throws(Diagnostic) in
      _ = try arguments.places(0...0)
      return holds(value)
    }
  }

  private static func checkName(_ value: TemplateValue, _ arguments: TemplateArguments, _ run: TemplateEvaluator)
    throws(Diagnostic)
  {
    _ = try arguments.places(0...0)
    switch value {
    case .list, .dictionary: throw run.mistake("\(value.kind) is no name")
    case .view(let view) where view.kind != .values: throw run.mistake("\(value.kind) is no name")
    default: break
    }
  }

  private static func compared(_ sign: TemplateComparison) -> TemplateTest {
    { (value, arguments, run) throws(Diagnostic) in try run.compare(sign, value, try arguments.places(1...1)[0]) }
  }

  private static func remainder(_ value: TemplateValue, _ divisor: TemplateValue, _ run: TemplateEvaluator)
    throws(Diagnostic) -> TemplateValue
  {
    try run.binary(.remainder, value, divisor)
  }

  private static func isSequence(_ value: TemplateValue) -> Bool {
    switch value {
    case .undefined, .string, .markup, .list, .tuple, .dictionary, .range: true
    case .none, .bool, .integer, .number, .view, .iterator, .namespace, .macro, .loop, .cycler, .joiner, .function,
      .method:
      false
    }
  }

  private static func isIterable(_ value: TemplateValue) -> Bool {
    switch value {
    case .undefined, .string, .markup, .list, .tuple, .dictionary, .range, .view, .iterator, .loop: true
    case .none, .bool, .integer, .number, .namespace, .macro, .cycler, .joiner, .function, .method: false
    }
  }

  private static func isCallable(_ value: TemplateValue) -> Bool {
    switch value {
    // Undefined values have a call, which fails; so have loops.
    case .undefined, .macro, .function, .method, .loop, .joiner: true
    case .none, .bool, .integer, .number, .string, .markup, .list, .tuple, .dictionary, .range, .view, .iterator,
      .namespace, .cycler:
      false
    }
  }

  /// Whether two values are one object, where Python lets one say.
  private static func areSame(_ a: TemplateValue, _ b: TemplateValue, _ run: TemplateEvaluator) throws(Diagnostic)
    -> Bool
  {
    switch (a, b) {
    case (.none, .none): return true
    case (.bool(let x), .bool(let y)): return x == y
    case (.namespace(let x), .namespace(let y)): return x === y
    case (.macro(let x), .macro(let y)): return x === y
    case (.dictionary(let x), .dictionary(let y)) where x === y: return true
    case (.list(let x), .list(let y)) where x === y: return true
    // Small integers are one object each.
    case (.integer(let x), .integer(let y)) where (-5...256).contains(x) || (-5...256).contains(y): return x == y
    case (.none, _), (_, .none), (.bool, _), (_, .bool): return false
    default: throw run.mistake("'sameas' between \(a.kind) and \(b.kind) cannot be told")
    }
  }
}
