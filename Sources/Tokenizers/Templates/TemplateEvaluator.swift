// Runs the syntax tree of a chat template: statements write text, expressions give values.
// Surprise: `set` inside a loop is forgotten after each round, as in Jinja; only namespaces outlive it.

import Basics

final class TemplateEvaluator {
  private var output = ""
  var line = 1
  private var budget: TemplateBudget
  private let template: ChatTemplate.Parsed
  private let variables: [String: TemplateValue]
  private var objects: [any TemplateObject] = []

  init(_ template: ChatTemplate.Parsed, _ variables: [String: JSON], budget: TemplateBudget) throws(Diagnostic) {
    (self.template, self.budget) = (template, budget)
    var values: [String: TemplateValue] = [:]
    for (name, json) in variables { values[name] = try Self.value(of: json, &self.budget) }
    self.variables = values
  }

  deinit { for object in objects { object.clear() } }

  func run() throws(Diagnostic) -> String {
    let names = TemplateNames(outer: nil)
    enter(0, names)
    _ = try run(template.statements, names)
    return output
  }

  // MARK: - The account

  func mistake(_ what: String) -> Diagnostic { ChatTemplate.mistake(what, line: line) }
  func enter() throws(Diagnostic) { try budget.enter(line) }
  func leave() { budget.leave() }
  func step() throws(Diagnostic) { try budget.step(line) }
  /// Pays for looking at bytes.
  func spend(_ bytes: Int) throws(Diagnostic) { try budget.spend(bytes, line) }
  /// Pays for reading bytes character by character.
  func read(_ bytes: Int) throws(Diagnostic) { try budget.read(bytes, line) }
  /// Pays for making bytes.
  func make(_ bytes: Int) throws(Diagnostic) { try budget.make(bytes, line) }

  /// Registers an object, so that it is emptied at the end.
  func keep<Object: TemplateObject>(_ object: Object) throws(Diagnostic) -> Object {
    objects.append(object)
    try make(256)
    return object
  }

  /// Texts, paid for.
  func text(_ text: String) throws(Diagnostic) -> TemplateValue {
    try make(text.utf8.count)
    return .string(text)
  }

  /// Lists may not stand in each other without end: comparing, printing and freeing them takes a stack.
  private static let mostNesting = 100

  func list(_ elements: [TemplateValue]) throws(Diagnostic) -> TemplateValue { .list(try checked(elements)) }
  func tuple(_ elements: [TemplateValue]) throws(Diagnostic) -> TemplateValue { .tuple(try checked(elements)) }

  func checked(_ elements: [TemplateValue], isGroup: Bool = false) throws(Diagnostic) -> TemplateList {
    try make(64 + TemplateBudget.element * elements.count)
    let list = TemplateList(elements, isGroup: isGroup)
    guard list.nesting <= Self.mostNesting else { throw mistake("lists nested deeper than \(Self.mostNesting) levels") }
    return list
  }

  func checked(_ dictionary: TemplateDictionary) throws(Diagnostic) -> TemplateValue {
    try make(64 + 3 * TemplateBudget.element * dictionary.count)
    guard dictionary.nesting <= Self.mostNesting else {
      throw mistake("dictionaries nested deeper than \(Self.mostNesting) levels")
    }
    return .dictionary(dictionary)
  }

  private static func value(of json: JSON, _ budget: inout TemplateBudget) throws(Diagnostic) -> TemplateValue {
    try budget.enter(1)
    defer { budget.leave() }
    switch json {
    case .null: return .none
    case .bool(let value): return .bool(value)
    case .integer(let value): return .integer(value)
    case .number(let value): return .number(value)
    case .string(let value): return .string(value)
    case .array(let elements):
      var values: [TemplateValue] = []
      for element in elements { values.append(try value(of: element, &budget)) }
      return .list(TemplateList(values))
    case .object(let members):
      let dictionary = TemplateDictionary()
      for member in members { dictionary.set(member.key, try value(of: member.value, &budget)) }
      guard dictionary.nesting <= mostNesting else {
        throw ChatTemplate.mistake("variables nested deeper than \(mostNesting) levels", line: nil)
      }
      return .dictionary(dictionary)
    }
  }

  // MARK: - Scopes

  /// Gives the names of scope `id` what they are worth at its beginning; parameters have theirs.
  func enter(_ id: TemplateScopeID, _ names: TemplateNames) {
    for (name, load) in template.scopes.tables[id].loads {
      switch load {
      case .parameter: break
      case .resolved: names.values[name] = resolved(name)
      case .outer: names.values[name] = names.outer?[name] ?? .undefined("'\(name)'")
      case .undefined: names.values[name] = .undefined("'\(name)'")
      }
    }
  }

  /// A macro that outlives its scope finds nothing there.
  private func leave(_ names: TemplateNames) {
    for name in names.values.keys { names.values[name] = .undefined("'\(name)'") }
  }

  private func resolved(_ name: String) -> TemplateValue {
    let isGlobal = TemplateGlobals.table[name] != nil || TemplateGlobals.unsupported.contains(name)
    return variables[name] ?? (isGlobal ? .function(name) : .undefined("'\(name)'"))
  }

  func asks(_ id: TemplateScopeID, for name: String) -> Bool { template.scopes.tables[id].asks.contains(name) }

  // MARK: - Statements

  /// How a list of statements ended.
  enum Flow { case through, leaveLoop, nextRound }

  func run(_ statements: [TemplateStatement], _ names: TemplateNames) throws(Diagnostic) -> Flow {
    try enter()
    defer { leave() }
    for statement in statements {
      line = statement.line
      try step()
      let flow = try run(statement, names)
      if flow != .through { return flow }
    }
    return .through
  }

  private func run(_ statement: TemplateStatement, _ names: TemplateNames) throws(Diagnostic) -> Flow {
    switch statement.kind {
    case .text(let text): try write(text)
    case .output(let values): for value in values { try write(try self.text(of: try self.value(value, names))) }
    case .when(let branches, let otherwise): return try run(try chosen(branches, names) ?? otherwise, names)
    case .loop(let loop): return try run(loop, names)
    case .assign(let target, let value): try assign(value, to: target, names)
    case .capture(let block, let target):
      let (flow, text) = try captured(block, names)
      if flow != .through { return flow }
      try assign(text, to: target, names)
    case .macro(let macro): names.values[macro.name ?? ""] = .macro(try keep(TemplateClosure(macro, names)))
    case .call(let call, let macro): try run(call, with: macro, names)
    case .filter(let block):
      let (flow, text) = try captured(block, names)
      if flow != .through { return flow }
      try writeText(text)
    case .with(let targets, let values, let block): return try run(targets, values, block, names)
    case .leaveLoop: return .leaveLoop
    case .nextRound: return .nextRound
    }
    return .through
  }

  func write(_ text: String) throws(Diagnostic) {
    try make(text.utf8.count)
    output += text
  }

  /// What a filter or call block gives: Jinja does not turn it into a text.
  func writeText(_ value: TemplateValue) throws(Diagnostic) {
    guard let text = value.string else { throw mistake("a block gives \(value.kind), not a text") }
    try write(text)
  }

  private func chosen(_ branches: [TemplateStatement.Branch], _ names: TemplateNames) throws(Diagnostic)
    -> [TemplateStatement]?
  {
    for branch in branches where try isTrue(try value(branch.condition, names)) { return branch.body }
    return nil
  }

  /// What `body` writes.
  func captured(_ body: () throws(Diagnostic) -> Flow) throws(Diagnostic) -> (flow: Flow, text: String) {
    let outer = output
    output = ""
    let flow = try body()
    defer { output = outer }
    return (flow, output)
  }

  private func captured(_ block: TemplateStatement.Block, _ names: TemplateNames) throws(Diagnostic) -> (
    flow: Flow, text: TemplateValue
  ) {
    let inner = TemplateNames(outer: names)
    enter(block.scope, inner)
    defer { leave(inner) }
    let first = line
    let written = try captured { () throws(Diagnostic) in try run(block.body, inner) }
    line = first
    guard written.flow == .through, let filter = block.filter else { return (written.flow, .string(written.text)) }
    return (.through, try filtered(filter, written: written.text, inner))
  }

  private func run(
    _ targets: [TemplateTarget], _ values: [TemplateExpression], _ block: TemplateStatement.Block,
    _ names: TemplateNames
  ) throws(Diagnostic) -> Flow {
    let inner = TemplateNames(outer: names)
    enter(block.scope, inner)
    defer { leave(inner) }
    for (target, value) in zip(targets, values) { try assign(try self.value(value, names), to: target, inner) }
    return try run(block.body, inner)
  }

  private func assign(_ expression: TemplateExpression, to target: TemplateTarget, _ names: TemplateNames)
    throws(Diagnostic)
  {
    try assign(try value(expression, names), to: target, names)
  }

  func assign(_ value: TemplateValue, to target: TemplateTarget, _ names: TemplateNames) throws(Diagnostic) {
    switch target {
    case .name(let name): names.values[name] = value
    case .member(let name, let member):
      guard case .namespace(let namespace)? = names[name] else { throw mistake("'\(name)' is no namespace") }
      try TemplateGlobals.checkMember(member, self)
      namespace.members[member] = value
    case .tuple(let parts):
      let iterator = try iterator(over: value)
      var values: [TemplateValue] = []
      while values.count <= parts.count, let next = try iterator.next(self) { values.append(next) }
      guard values.count == parts.count else {
        throw mistake("\(value.kind) cannot be taken apart into \(parts.count) names")
      }
      for (part, value) in zip(parts, values) { try assign(value, to: part, names) }
    }
  }

  // MARK: - Loops

  private func run(_ loop: TemplateStatement.Loop, _ names: TemplateNames) throws(Diagnostic) -> Flow {
    let sequence = try value(loop.sequence, names)
    guard loop.isRecursive else { return try run(loop, over: sequence, names, depth0: 0) }
    try write(try captured { () throws(Diagnostic) in try run(loop, over: sequence, names, depth0: 0) }.text)
    return .through
  }

  func run(
    _ loop: TemplateStatement.Loop, over sequence: TemplateValue, _ names: TemplateNames, depth0: Int
  ) throws(Diagnostic) -> Flow {
    let inner = TemplateNames(outer: names)
    var elements = try iterator(over: sequence)
    if let condition = loop.condition { elements = try kept(loop, condition, elements, names) }
    var facts: TemplateLoop?
    if asks(loop.scopes.body, for: "loop") {
      let count = loop.condition == nil ? try length(of: sequence) : nil
      let made = try keep(TemplateLoop(elements, count: count, depth0: depth0))
      if loop.isRecursive { made.recursion = (loop, names) }
      facts = made
    }
    var isEmpty = true
    func next() throws(Diagnostic) -> TemplateValue? {
      if let facts { return try facts.next(self) }
      return try elements.next(self)
    }
    while let element = try next() {
      try step()
      if let facts { inner.values["loop"] = .loop(facts) }
      try assign(element, to: loop.target, inner)
      enter(loop.scopes.body, inner)
      let flow = try run(loop.body, inner)
      if flow == .leaveLoop { break }
      // As in Jinja, a round that is left early does not count.
      if flow == .through { isEmpty = false }
    }
    if !loop.isRecursive || !loop.otherwise.isEmpty { leave(inner) }
    guard isEmpty, !loop.otherwise.isEmpty else { return .through }
    let other = TemplateNames(outer: names)
    enter(loop.scopes.otherwise, other)
    defer { leave(other) }
    return try run(loop.otherwise, other)
  }

  /// The elements for which a loop's condition holds, found as the loop asks for them.
  private func kept(
    _ loop: TemplateStatement.Loop, _ condition: TemplateExpression, _ elements: TemplateIterator,
    _ names: TemplateNames
  ) throws(Diagnostic) -> TemplateIterator {
    let scope = TemplateNames(outer: names)
    var hasBegun = false
    return try keep(
      TemplateIterator { (run) throws(Diagnostic) in
        if !hasBegun { run.enter(loop.scopes.condition, scope) }
        hasBegun = true
        while let element = try elements.next(run) {
          try run.step()
          try run.assign(element, to: loop.target, scope)
          if try run.isTrue(try run.value(condition, scope)) { return element }
        }
        return nil
      })
  }
}
