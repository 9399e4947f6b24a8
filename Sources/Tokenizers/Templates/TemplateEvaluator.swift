// Runs the syntax tree of a chat template: statements write text, expressions give values.
// Surprise: `set` inside a loop is forgotten after each round, as in Jinja; only namespaces outlive it.

import Basics

struct TemplateEvaluator {
  private(set) var output = ""
  /// Names, innermost scope last.
  private var scopes: [[String: TemplateValue]]
  private(set) var line = 1
  private var steps = 0
  private var calls = 0

  /// A template that runs longer, or writes more, is broken or hostile.
  private static let mostSteps = 500_000
  private static let mostOutput = 1 << 26
  private static let mostCalls = 50

  init(_ variables: [String: TemplateValue]) { scopes = [variables] }

  func mistake(_ what: String) -> Diagnostic { ChatTemplate.mistake(what, line: line) }

  // MARK: - Statements

  /// How a list of statements ended.
  enum Flow { case through, leaveLoop, nextRound }

  mutating func run(_ statements: [TemplateStatement]) throws(Diagnostic) -> Flow {
    for statement in statements {
      line = statement.line
      try step()
      switch statement.kind {
      case .text(let text): try write(text)
      case .output(let expression): try write(try value(expression).text)
      case .when(let branches, let otherwise):
        let flow = try run(try chosen(branches) ?? otherwise)
        if flow != .through { return flow }
      case .loop(let loop): try run(loop)
      case .assign(let targets, let expression): try assign(try value(expression), to: targets)
      case .capture(let target, let body):
        let outer = output
        output = ""
        let flow = try run(body)
        let captured = output
        output = outer
        try assign(.string(captured), to: [target])
        if flow != .through { return flow }
      case .macro(let macro): scopes[scopes.count - 1][macro.name] = .macro(macro)
      case .leaveLoop: return .leaveLoop
      case .nextRound: return .nextRound
      }
    }
    return .through
  }

  private mutating func step() throws(Diagnostic) {
    steps += 1
    guard steps < Self.mostSteps else { throw mistake("the template runs without end") }
  }

  private mutating func write(_ text: String) throws(Diagnostic) {
    output += text
    guard output.utf8.count < Self.mostOutput else { throw mistake("the template writes without end") }
  }

  private mutating func chosen(_ branches: [TemplateStatement.Branch]) throws(Diagnostic) -> [TemplateStatement]? {
    for branch in branches where try value(branch.condition).truth { return branch.body }
    return nil
  }

  private mutating func assign(_ value: TemplateValue, to targets: [TemplateStatement.Target]) throws(Diagnostic) {
    var values = [value]
    if targets.count > 1 {
      guard case .list(let parts) = value, parts.count == targets.count else {
        throw mistake("\(value.kind) cannot be taken apart into \(targets.count) names")
      }
      values = parts
    }
    for (target, value) in zip(targets, values) {
      switch target {
      case .name(let name): scopes[scopes.count - 1][name] = value
      case .member(let name, let member):
        guard case .namespace(let namespace) = lookUp(name) else { throw mistake("'\(name)' is no namespace") }
        namespace.members[member] = value
      }
    }
  }

  private mutating func run(_ loop: TemplateStatement.Loop) throws(Diagnostic) {
    let sequence = try value(loop.sequence)
    guard var rounds = sequence.elements else { throw mistake("\(sequence.kind) has no elements to loop over") }
    scopes.append([:])
    defer { scopes.removeLast() }
    if let condition = loop.condition {
      var kept: [TemplateValue] = []
      for element in rounds {
        scopes[scopes.count - 1] = [:]
        try bind(loop.names, to: element)
        if try value(condition).truth { kept.append(element) }
      }
      rounds = kept
    }
    if rounds.isEmpty {
      scopes[scopes.count - 1] = [:]
      _ = try run(loop.otherwise)
      return
    }
    for (index, element) in rounds.enumerated() {
      scopes[scopes.count - 1] = ["loop": Self.loopFacts(index, rounds)]
      try bind(loop.names, to: element)
      if try run(loop.body) == .leaveLoop { return }
    }
  }

  private mutating func bind(_ names: [String], to element: TemplateValue) throws(Diagnostic) {
    try step()
    try assign(element, to: names.map { .name($0) })
  }

  private static func loopFacts(_ index: Int, _ rounds: [TemplateValue]) -> TemplateValue {
    .dictionary([
      ("index", .integer(index + 1)), ("index0", .integer(index)), ("first", .bool(index == 0)),
      ("last", .bool(index == rounds.count - 1)), ("length", .integer(rounds.count)),
      ("revindex", .integer(rounds.count - index)), ("revindex0", .integer(rounds.count - index - 1)),
      ("previtem", index > 0 ? rounds[index - 1] : .undefined("previtem")),
      ("nextitem", index + 1 < rounds.count ? rounds[index + 1] : .undefined("nextitem")),
    ])
  }

  private func lookUp(_ name: String) -> TemplateValue {
    for scope in scopes.reversed() { if let value = scope[name] { return value } }
    return TemplateFunctions.names.contains(name) ? .function(name) : .undefined(name)
  }

  // MARK: - Expressions

  mutating func value(_ expression: TemplateExpression) throws(Diagnostic) -> TemplateValue {
    try step()
    switch expression {
    case .none: return .none
    case .bool(let value): return .bool(value)
    case .integer(let value): return .integer(value)
    case .number(let value): return .number(value)
    case .string(let value): return .string(value)
    case .name(let name): return lookUp(name)
    case .list(let elements): return .list(try values(elements))
    case .dictionary(let members): return .dictionary(try dictionary(members))
    case .attribute(let base, let name): return try attribute(try value(base), name)
    case .element(let base, let index): return try element(try value(base), try value(index))
    case .slice(let base, let from, let to, let by):
      let bounds = [try bound(from), try bound(to), try bound(by)]
      return try slice(try value(base), bounds)
    case .call(let callee, let arguments): return try call(callee, arguments)
    case .filter(let base, let name, let list):
      let base = try value(base)
      return try TemplateFunctions.filter(name, base, try arguments(list), &self)
    case .test(let base, let name, let list):
      let base = try value(base)
      return .bool(try TemplateFunctions.test(name, base, try arguments(list), self))
    case .not(let operand): return .bool(!(try value(operand).truth))
    case .negative(let operand):
      switch try value(operand) {
      case .integer(let value) where value != .min: return .integer(-value)
      case .number(let value): return .number(-value)
      case let other: throw mistake("'-' of \(other.kind)")
      }
    case .and(let left, let right):
      let left = try value(left)
      return left.truth ? try value(right) : left
    case .or(let left, let right):
      let left = try value(left)
      return left.truth ? left : try value(right)
    case .binary(let sign, let left, let right):
      let left = try value(left)
      return try TemplateFunctions.binary(sign, left, try value(right), self)
    case .choice(let first, let condition, let otherwise):
      if try value(condition).truth { return try value(first) }
      return try otherwise.map { other throws(Diagnostic) in try value(other) } ?? .undefined("if without else")
    }
  }

  private mutating func values(_ expressions: [TemplateExpression]) throws(Diagnostic) -> [TemplateValue] {
    var values: [TemplateValue] = []
    for expression in expressions { values.append(try value(expression)) }
    return values
  }

  private mutating func dictionary(_ list: [TemplateArgument]) throws(Diagnostic) -> [(
    key: String, value: TemplateValue
  )] {
    var members: [(key: String, value: TemplateValue)] = []
    for member in list {
      guard let name = member.name, case .string(let key) = try value(name) else {
        throw mistake("a dictionary's key is not a string")
      }
      let value = try value(member.value)
      if let known = members.firstIndex(where: { $0.key == key }) {
        members[known].value = value
      } else {
        members.append((key, value))
      }
    }
    return members
  }

  private mutating func arguments(_ list: [TemplateArgument]) throws(Diagnostic) -> TemplateArguments {
    var arguments = TemplateArguments()
    for argument in list {
      if case .string(let name) = argument.name {
        arguments.named[name] = try value(argument.value)
      } else {
        arguments.positional.append(try value(argument.value))
      }
    }
    return arguments
  }

  private func attribute(_ base: TemplateValue, _ name: String) throws(Diagnostic) -> TemplateValue {
    if case .undefined(let missing) = base { throw mistake("'\(missing)' is undefined, so it has no '\(name)'") }
    return base.member(name) ?? .undefined(name)
  }

  private func element(_ base: TemplateValue, _ index: TemplateValue) throws(Diagnostic) -> TemplateValue {
    if case .undefined(let missing) = base { throw mistake("'\(missing)' is undefined, so it has no elements") }
    if case .string(let name) = index { return base.member(name) ?? .undefined(name) }
    guard let index = index.integer else { throw mistake("\(index.kind) is no index") }
    switch base {
    case .list(let elements):
      let place = index < 0 ? index + elements.count : index
      return elements.indices.contains(place) ? elements[place] : .undefined("element \(index)")
    case .string(let text):
      let scalars = Array(text.unicodeScalars)
      let place = index < 0 ? index + scalars.count : index
      return scalars.indices.contains(place) ? .string(String(scalars[place])) : .undefined("element \(index)")
    case .undefined, .none, .bool, .integer, .number, .dictionary, .namespace, .macro, .function:
      return .undefined("element \(index)")
    }
  }

  private mutating func bound(_ expression: TemplateExpression?) throws(Diagnostic) -> Int? {
    guard let expression else { return nil }
    let value = try value(expression)
    if case .none = value { return nil }
    guard let bound = value.integer else { throw mistake("\(value.kind) is no index") }
    return bound
  }

  private func slice(_ base: TemplateValue, _ bounds: [Int?]) throws(Diagnostic) -> TemplateValue {
    guard let elements = base.elements, !base.isUndefined else { throw mistake("\(base.kind) cannot be cut") }
    let (count, stride) = (elements.count, bounds[2] ?? 1)
    guard stride != 0, stride != .min else { throw mistake("a slice's step is 0") }
    func place(_ bound: Int?, _ missing: Int) -> Int {
      guard let bound else { return missing }
      let place = bound < 0 ? max(bound, -count - 1) + count : min(bound, count)
      return stride > 0 ? max(place, 0) : max(min(place, count - 1), -1)
    }
    let start = place(bounds[0], stride > 0 ? 0 : count - 1)
    let end = place(bounds[1], stride > 0 ? count : -1)
    // A step longer than the list takes its first element only.
    let step = max(min(stride, count + 1), -count - 1)
    let kept = Swift.stride(from: start, to: end, by: step).map { elements[$0] }
    if case .string = base { return .string(kept.map(\.text).joined()) }
    return .list(kept)
  }

  // MARK: - Calls

  private mutating func call(_ callee: TemplateExpression, _ list: [TemplateArgument]) throws(Diagnostic)
    -> TemplateValue
  {
    if case .attribute(let base, let name) = callee {
      let base = try value(base)
      let arguments = try arguments(list)
      if case .macro(let macro) = base.member(name) { return .string(try run(macro, arguments)) }
      return try TemplateFunctions.method(name, base, arguments, self)
    }
    let function = try value(callee)
    let arguments = try arguments(list)
    switch function {
    case .macro(let macro): return .string(try run(macro, arguments))
    case .function(let name): return try TemplateFunctions.call(name, arguments, self)
    case .undefined(let name): throw mistake("the function '\(name)' is not supported")
    case let other: throw mistake("\(other.kind) cannot be called")
    }
  }

  /// A macro sees the template's own names, not those of the place it is called from.
  private mutating func run(_ macro: TemplateMacro, _ arguments: TemplateArguments) throws(Diagnostic) -> String {
    calls += 1
    defer { calls -= 1 }
    guard calls < Self.mostCalls else { throw mistake("the macro '\(macro.name)' calls itself without end") }
    guard arguments.positional.count <= macro.parameters.count else {
      throw mistake(
        "the macro '\(macro.name)' takes \(macro.parameters.count) arguments, not \(arguments.positional.count)")
    }
    let (outerScopes, outerOutput, outerLine) = (scopes, output, line)
    scopes = [scopes[0], [:]]
    output = ""
    for (index, parameter) in macro.parameters.enumerated() {
      if index < arguments.positional.count {
        scopes[1][parameter] = arguments.positional[index]
      } else if let value = arguments.named[parameter] {
        scopes[1][parameter] = value
      } else if let initial = macro.defaults[parameter] {
        scopes[1][parameter] = try value(initial)
      } else {
        scopes[1][parameter] = .undefined(parameter)
      }
    }
    _ = try run(macro.body)
    let written = output
    (scopes, output, line) = (outerScopes, outerOutput, outerLine)
    return written
  }
}

struct TemplateArguments {
  var positional: [TemplateValue] = []
  var named: [String: TemplateValue] = [:]

  /// The argument at a place or by its name.
  func value(_ index: Int, _ name: String = "") -> TemplateValue? {
    index < positional.count ? positional[index] : named[name]
  }
}
