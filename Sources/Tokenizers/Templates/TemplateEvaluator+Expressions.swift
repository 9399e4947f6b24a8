// The values of a chat template's expressions, and its calls: of macros, of functions, of methods.
// Surprise: an attribute is Python's own before it is a dictionary's member: `d.items` is a method, `d['items']` may not be.

import Basics

extension TemplateEvaluator {
  func value(_ expression: TemplateExpression, _ names: TemplateNames) throws(Diagnostic) -> TemplateValue {
    try enter()
    defer { leave() }
    try step()
    switch expression {
    case .none: return .none
    case .bool(let value): return .bool(value)
    case .integer(let value): return .integer(value)
    case .number(let value): return .number(value)
    case .string(let value): return .string(value)
    case .name(let name):
      guard let value = names[name] else { throw mistake("'\(name)' is not known here") }
      return value
    case .list(let elements): return try list(try values(elements, names))
    case .tuple(let elements): return try tuple(try values(elements, names))
    case .dictionary(let members): return try dictionary(members, names)
    case .attribute(let base, let name): return try attribute(try value(base, names), name)
    case .element(let base, .slice(let from, let to, let by)):
      let base = try value(base, names)
      return try slice(base, try bound(from, names), try bound(to, names), try bound(by, names))
    case .element(let base, let index): return try element(try value(base, names), try value(index, names))
    case .slice: throw mistake("a slice stands alone")
    case .call(let callee, let list): return try call(try value(callee, names), try arguments(list, names))
    case .filter(let base, let name, let list): return try filtered(base, name, list, nil, names)
    case .test(let base, let name, let list):
      let base = try value(base, names)
      return .bool(try TemplateTests.test(name, base, try arguments(list, names), self))
    case .not, .negative, .positive, .and, .or, .binary, .concatenation, .comparison, .choice:
      return try operation(expression, names)
    }
  }

  private func operation(_ expression: TemplateExpression, _ names: TemplateNames) throws(Diagnostic) -> TemplateValue {
    switch expression {
    case .not(let operand): return .bool(!(try isTrue(try value(operand, names))))
    case .negative(let operand): return try negated(try value(operand, names))
    case .positive(let operand):
      let operand = try value(operand, names)
      if let integer = operand.integer { return .integer(integer) }
      guard case .number = operand else { throw mistake("'+' of \(operand.kind)") }
      return operand
    case .and(let left, let right):
      let left = try value(left, names)
      return try isTrue(left) ? try value(right, names) : left
    case .or(let left, let right):
      let left = try value(left, names)
      return try isTrue(left) ? left : try value(right, names)
    case .binary(let sign, let left, let right):
      let left = try value(left, names)
      return try binary(sign, left, try value(right, names))
    case .concatenation(let parts):
      var text = ""
      for part in try values(parts, names) { text += try self.text(of: part) }
      return try self.text(text)
    case .comparison(let first, let rest):
      var left = try value(first, names)
      for comparison in rest {
        let right = try value(comparison.operand, names)
        guard try compare(comparison.sign, left, right) else { return .bool(false) }
        left = right
      }
      return .bool(true)
    case .choice(let first, let condition, let otherwise):
      if try isTrue(try value(condition, names)) { return try value(first, names) }
      guard let otherwise else { return .undefined("'if' without 'else'") }
      return try value(otherwise, names)
    default: throw mistake("not an operation")
    }
  }

  private func values(_ expressions: [TemplateExpression], _ names: TemplateNames) throws(Diagnostic)
    -> [TemplateValue]
  {
    var values: [TemplateValue] = []
    values.reserveCapacity(expressions.count)
    for expression in expressions { values.append(try value(expression, names)) }
    return values
  }

  private func dictionary(_ members: [TemplateExpression.Member], _ names: TemplateNames) throws(Diagnostic)
    -> TemplateValue
  {
    let dictionary = TemplateDictionary()
    for member in members {
      let key = try value(member.key, names)
      dictionary.set(try self.key(key), key, try value(member.value, names))
    }
    return try checked(dictionary)
  }

  private func bound(_ expression: TemplateExpression?, _ names: TemplateNames) throws(Diagnostic) -> Int? {
    guard let expression else { return nil }
    let value = try value(expression, names)
    if value.isNone { return nil }
    guard let bound = value.integer else { throw mistake("\(value.kind) is no index") }
    return bound
  }

  func arguments(_ list: TemplateArgumentList, _ names: TemplateNames) throws(Diagnostic) -> TemplateArguments {
    var arguments = TemplateArguments(positional: try values(list.positional, names)).named("", line: line)
    for argument in list.named { arguments.named.append((argument.name, try value(argument.value, names))) }
    if let spread = list.spread { arguments.positional += try elements(of: try value(spread, names)) }
    if let spread = list.spreadNamed {
      guard case .dictionary(let dictionary) = try value(spread, names), let named = dictionary.named else {
        throw mistake("'**' needs a dictionary whose keys are strings")
      }
      for (name, value) in named {
        guard arguments[name] == nil else { throw mistake("the argument '\(name)' is given twice") }
        arguments.named.append((name, value))
      }
    }
    return arguments
  }

  // MARK: - Filters

  /// A chain of filters whose first one takes what a block has written.
  func filtered(_ filter: TemplateExpression, written: String, _ names: TemplateNames) throws(Diagnostic)
    -> TemplateValue
  {
    guard case .filter(let base, let name, let list) = filter else { return .string(written) }
    return try filtered(base, name, list, written, names)
  }

  private func filtered(
    _ base: TemplateExpression?, _ name: String, _ list: TemplateArgumentList, _ written: String?,
    _ names: TemplateNames
  ) throws(Diagnostic) -> TemplateValue {
    let value: TemplateValue
    if let base, let written {
      value = try filtered(base, written: written, names)
    } else if let base {
      value = try self.value(base, names)
    } else {
      value = .string(written ?? "")
    }
    return try filter(name, value, try arguments(list, names))
  }

  func filter(_ name: String, _ value: TemplateValue, _ arguments: TemplateArguments) throws(Diagnostic)
    -> TemplateValue
  {
    guard let filter = TemplateFilters.table[name] else { throw mistake("the filter '\(name)' is not supported") }
    try enter()
    defer { leave() }
    return try filter(value, arguments.named("the filter '\(name)'"), self)
  }

  // MARK: - Calls

  func call(_ callee: TemplateValue, _ arguments: TemplateArguments) throws(Diagnostic) -> TemplateValue {
    switch callee {
    case .macro(let closure): return .string(try run(closure, arguments))
    case .function(let name):
      guard let function = TemplateGlobals.table[name] else { throw mistake("'\(name)' is not supported") }
      return try function(arguments.named("'\(name)'"), self)
    case .method(let method):
      return try TemplateMethods.call(method, arguments.named("the method '\(method.name)'"), self)
    case .loop(let loop): return try recur(loop, arguments)
    case .joiner(let joiner):
      guard arguments.isEmpty else { throw mistake("a joiner takes no arguments") }
      defer { joiner.isUsed = true }
      return .string(joiner.isUsed ? joiner.separator : "")
    case .undefined(let name): throw mistake("the function \(name) is not supported")
    default: throw mistake("\(callee.kind) cannot be called")
    }
  }

  /// `{% call m() %}...{% endcall %}`: the body is the macro `caller` of what is called.
  func run(_ call: TemplateExpression?, with body: TemplateMacro, _ names: TemplateNames) throws(Diagnostic) {
    let caller = try keep(TemplateClosure(body, names))
    guard case .call(let callee, let list) = call else {
      return try write(try run(caller, .init()))
    }
    let function = try value(callee, names)
    var arguments = try arguments(list, names)
    guard arguments["caller"] == nil else { throw mistake("the argument 'caller' is given twice") }
    arguments.named.append(("caller", .macro(caller)))
    try writeText(try self.call(function, arguments))
  }

  /// The loop's body for other elements, written where it is called.
  private func recur(_ loop: TemplateLoop, _ arguments: TemplateArguments) throws(Diagnostic) -> TemplateValue {
    guard let recursion = loop.recursion else { throw mistake("only a loop marked 'recursive' can be called") }
    let bound = try arguments.named("a loop").bound(to: "iterable")
    guard let elements = bound[0] else { throw mistake("a loop is called with what it goes over") }
    let outer = line
    let written = try captured { () throws(Diagnostic) in
      try run(recursion.loop, over: elements, recursion.scope, depth0: loop.depth0 + 1)
    }
    line = outer
    return .string(written.text)
  }

  /// A macro sees the names of the place where it is written, not of the one it is called from.
  private func run(_ closure: TemplateClosure, _ arguments: TemplateArguments) throws(Diagnostic) -> String {
    let macro = closure.macro
    guard let scope = closure.scope else { throw mistake("a macro is gone") }
    let called = "the macro '\(macro.name ?? "caller")'"
    let names = TemplateNames(outer: scope)
    var named = arguments.named
    func take(_ name: String) -> TemplateValue? {
      named.firstIndex { $0.name == name }.map { named.remove(at: $0).value }
    }
    var missing: [Int] = []
    for (index, parameter) in macro.parameters.enumerated() {
      if index < arguments.positional.count {
        names.values[parameter] = arguments.positional[index]
      } else if let value = take(parameter) {
        names.values[parameter] = value
      } else {
        names.values[parameter] = .undefined("parameter '\(parameter)' of \(called)")
        missing.append(index)
      }
    }
    if asks(macro.scope, for: "caller"), !macro.parameters.contains("caller") {
      let caller = take("caller")
      names.values["caller"] = caller.flatMap { $0.isNone ? nil : $0 } ?? .undefined("'caller'")
    }
    if asks(macro.scope, for: "kwargs") {
      let dictionary = TemplateDictionary()
      for (name, value) in named { dictionary.set(name, value) }
      names.values["kwargs"] = try checked(dictionary)
    } else if let first = named.first {
      throw mistake("\(called) takes no argument '\(first.name)'")
    }
    let rest = Array(arguments.positional.dropFirst(macro.parameters.count))
    if asks(macro.scope, for: "varargs") {
      names.values["varargs"] = try tuple(rest)
    } else if !rest.isEmpty {
      throw mistake("\(called) takes \(macro.parameters.count) arguments, not \(arguments.positional.count)")
    }
    return try run(macro, names, withDefaultsOf: missing)
  }

  private func run(_ macro: TemplateMacro, _ names: TemplateNames, withDefaultsOf missing: [Int]) throws(Diagnostic)
    -> String
  {
    let outer = line
    enter(macro.scope, names)
    let written = try captured { () throws(Diagnostic) in
      for index in missing {
        let place = index - (macro.parameters.count - macro.defaults.count)
        if place >= 0 { names.values[macro.parameters[index]] = try value(macro.defaults[place], names) }
      }
      return try run(macro.body, names)
    }
    line = outer
    return written.text
  }
}

/// The arguments of a call.
struct TemplateArguments {
  var positional: [TemplateValue] = []
  var named: [(name: String, value: TemplateValue)] = []
  /// What is called, for messages.
  private(set) var callee = "a function"
  private var line: Int?

  init(positional: [TemplateValue] = [], named: [(name: String, value: TemplateValue)] = []) {
    (self.positional, self.named) = (positional, named)
  }

  var isEmpty: Bool { positional.isEmpty && named.isEmpty }

  subscript(name: String) -> TemplateValue? { named.first { $0.name == name }?.value }

  /// With what messages say.
  func named(_ callee: String, line: Int? = nil) -> TemplateArguments {
    var copy = self
    copy.callee = callee
    copy.line = line ?? copy.line
    return copy
  }

  /// By the names of the parameters, in order; nil for what is left out.
  func bound(to parameters: String...) throws(Diagnostic) -> [TemplateValue?] { try bound(to: parameters) }

  func bound(to parameters: [String]) throws(Diagnostic) -> [TemplateValue?] {
    guard positional.count <= parameters.count else { throw refusal("\(positional.count) arguments are too many") }
    var values: [TemplateValue?] = positional
    values += Array(repeating: nil, count: parameters.count - positional.count)
    for (name, value) in named {
      guard let place = parameters.firstIndex(of: name) else { throw refusal("there is no argument '\(name)'") }
      guard values[place] == nil else { throw refusal("the argument '\(name)' is given twice") }
      values[place] = value
    }
    return values
  }

  /// For functions that take arguments by their place only.
  func places(_ count: ClosedRange<Int>) throws(Diagnostic) -> [TemplateValue] {
    if let (name, _) = named.first { throw refusal("there is no argument '\(name)'") }
    guard count.contains(positional.count) else {
      throw refusal("\(positional.count) arguments, not \(count.lowerBound) to \(count.upperBound)")
    }
    return positional
  }

  private func refusal(_ what: String) -> Diagnostic { ChatTemplate.mistake("\(callee): \(what)", line: line) }
}
