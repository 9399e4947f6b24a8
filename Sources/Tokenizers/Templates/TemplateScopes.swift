// Which scope of a chat template a name belongs to, and what it is worth where that scope begins.
// Not at run time: as Jinja does, from the text alone. Surprise: a name that is set further down a loop's body is
// undefined above that line, whatever it is called with, but a name set under an `if` is looked up outside.

import Basics

/// Where a scope's name begins.
enum TemplateLoad: Sendable, Hashable {
  /// A parameter or a loop's target: given by who enters the scope.
  case parameter
  /// With what the template was called with, else with a function of that name.
  case resolved
  /// With the value in a scope outside.
  case outer
  case undefined
}

/// All scopes of a template by their numbers.
struct TemplateScopes: Sendable, Hashable {
  private(set) var tables: [TemplateScope]

  init(of statements: [TemplateStatement], count: Int) throws(Diagnostic) {
    tables = Array(repeating: TemplateScope(), count: count)
    var analysis = Analysis(tables: tables)
    let frame = Frame(parent: nil)
    for statement in statements { analysis.visit(statement, frame.symbols, frame.outer) }
    try analysis.inner(statements, frame, 0)
    tables = analysis.tables
  }
}

struct TemplateScope: Sendable, Hashable {
  var loads: [String: TemplateLoad] = [:]
  /// What its body asks for: a loop's `loop`, a macro's `caller`, `kwargs` and `varargs`.
  var asks: Set<String> = []
}

/// The names of a scope while it is read. A branch begins with those before it and notes only what it adds.
private final class Symbols {
  private(set) var loads: [String: TemplateLoad] = [:]
  private(set) var stores: Set<String> = []
  private let base: Symbols?

  init(base: Symbols? = nil) { self.base = base }

  func knows(_ name: String) -> Bool { loads[name] != nil || base?.knows(name) ?? false }
  func hasStored(_ name: String) -> Bool { stores.contains(name) || base?.hasStored(name) ?? false }

  func set(_ name: String, _ load: TemplateLoad) { loads[name] = load }
  func store(_ name: String) { stores.insert(name) }

  func parameter(_ name: String) {
    stores.insert(name)
    loads[name] = .parameter
  }

  /// Takes over what a branch added.
  func merge(_ branch: Symbols) {
    loads.merge(branch.loads) { $1 }
    stores.formUnion(branch.stores)
  }
}

/// A scope and those around it, the nearest last.
private struct Frame {
  let symbols = Symbols()
  let outer: [Symbols]

  init(parent: Frame?) { outer = parent.map { $0.outer + [$0.symbols] } ?? [] }
}

private struct Analysis {
  var tables: [TemplateScope]

  // MARK: - One scope

  private func isKnown(_ name: String, _ outer: [Symbols]) -> Bool { outer.contains { $0.knows(name) } }

  private func load(_ name: String, _ symbols: Symbols, _ outer: [Symbols]) {
    if !symbols.knows(name), !isKnown(name, outer) { symbols.set(name, .resolved) }
  }

  private func store(_ name: String, _ symbols: Symbols, _ outer: [Symbols]) {
    symbols.store(name)
    if !symbols.knows(name) { symbols.set(name, isKnown(name, outer) ? .outer : .undefined) }
  }

  private func store(_ target: TemplateTarget, _ symbols: Symbols, _ outer: [Symbols]) {
    switch target {
    case .name(let name): store(name, symbols, outer)
    case .member(let name, _): load(name, symbols, outer)
    case .tuple(let parts): for part in parts { store(part, symbols, outer) }
    }
  }

  private func parameters(_ target: TemplateTarget, _ symbols: Symbols) {
    for name in target.names { symbols.parameter(name) }
  }

  private func visit(_ expression: TemplateExpression?, _ symbols: Symbols, _ outer: [Symbols]) {
    guard let expression else { return }
    if case .name(let name) = expression { load(name, symbols, outer) }
    for child in expression.children { visit(child, symbols, outer) }
  }

  /// What a statement does to the names of the scope it stands in.
  func visit(_ statement: TemplateStatement, _ symbols: Symbols, _ outer: [Symbols]) {
    switch statement.kind {
    case .text, .leaveLoop, .nextRound: break
    case .output(let values): for value in values { visit(value, symbols, outer) }
    case .when(let branches, let otherwise): visit(branches, otherwise, symbols, outer)
    case .loop(let loop): visit(loop.sequence, symbols, outer)
    case .assign(let target, let value):
      visit(value, symbols, outer)
      store(target, symbols, outer)
    case .capture(_, let target): store(target, symbols, outer)
    case .macro(let macro): if let name = macro.name { store(name, symbols, outer) }
    case .call(let call, _): visit(call, symbols, outer)
    case .filter(let block): visit(block.filter, symbols, outer)
    case .with(_, let values, _): for value in values { visit(value, symbols, outer) }
    }
  }

  private func visit(
    _ branches: [TemplateStatement.Branch], _ otherwise: [TemplateStatement], _ symbols: Symbols, _ outer: [Symbols]
  ) {
    guard let first = branches.first else { return }
    visit(first.condition, symbols, outer)
    func read(_ statements: [TemplateStatement]) -> Symbols {
      let branch = Symbols(base: symbols)
      for statement in statements { visit(statement, branch, outer) }
      return branch
    }
    // Every further branch is an `if` of its own, whose body is a branch again.
    let later = Symbols(base: symbols)
    for branch in branches.dropFirst() { visit([branch], [], later, outer) }
    let read = [read(first.body), later, read(otherwise)]
    let stored = read.reduce(into: Set<String>()) { $0.formUnion($1.stores) }.filter { !symbols.hasStored($0) }
    for branch in read { symbols.merge(branch) }
    for name in stored { symbols.set(name, isKnown(name, outer) ? .outer : .resolved) }
  }

  // MARK: - The scopes inside

  /// Reads the scopes inside `statements`, whose own scope is `frame`, and keeps that one as number `id`.
  mutating func inner(_ statements: [TemplateStatement], _ frame: Frame, _ id: TemplateScopeID?) throws(Diagnostic) {
    if let id { tables[id].loads = frame.symbols.loads }
    for statement in statements {
      switch statement.kind {
      case .text, .output, .assign, .leaveLoop, .nextRound: break
      case .when(let branches, let otherwise):
        for branch in branches { try inner(branch.body, frame, nil) }
        try inner(otherwise, frame, nil)
      case .loop(let loop): try read(loop, frame, statement.line)
      case .capture(let block, _): try read(block, [], frame, block.scope)
      case .filter(let block): try read(block, [], frame, block.scope)
      case .with(let targets, _, let block): try read(block, targets, frame, block.scope)
      case .macro(let macro), .call(_, let macro): try read(macro, frame, statement.line)
      }
    }
  }

  private mutating func read(
    _ block: TemplateStatement.Block, _ targets: [TemplateTarget], _ parent: Frame, _ id: TemplateScopeID
  ) throws(Diagnostic) {
    let frame = Frame(parent: parent)
    for target in targets { parameters(target, frame.symbols) }
    for statement in block.body { visit(statement, frame.symbols, frame.outer) }
    try inner(block.body, frame, id)
  }

  private mutating func read(_ loop: TemplateStatement.Loop, _ parent: Frame, _ line: Int) throws(Diagnostic) {
    let scopes = loop.scopes
    let frame = Frame(parent: parent)
    if loop.isRecursive || !Undeclared(["loop"], in: loop.body).found.isEmpty {
      tables[scopes.body].asks = ["loop"]
      frame.symbols.parameter("loop")
    }
    guard !loop.target.names.contains("loop"), !TemplateStatement.stores("loop", in: loop.body + loop.otherwise) else {
      throw ChatTemplate.mistake("'loop' cannot be given a value in a loop", line: line)
    }
    parameters(loop.target, frame.symbols)
    for statement in loop.body { visit(statement, frame.symbols, frame.outer) }
    try inner(loop.body, frame, scopes.body)
    let condition = Frame(parent: parent)
    parameters(loop.target, condition.symbols)
    visit(loop.condition, condition.symbols, condition.outer)
    tables[scopes.condition].loads = condition.symbols.loads
    let otherwise = Frame(parent: parent)
    for statement in loop.otherwise { visit(statement, otherwise.symbols, otherwise.outer) }
    try inner(loop.otherwise, otherwise, scopes.otherwise)
  }

  private mutating func read(_ macro: TemplateMacro, _ parent: Frame, _ line: Int) throws(Diagnostic) {
    let frame = Frame(parent: parent)
    for parameter in macro.parameters { frame.symbols.parameter(parameter) }
    var asked = Undeclared(["caller", "kwargs", "varargs"], in: macro.body).found
    asked.subtract(macro.parameters.filter { $0 != "caller" })
    if asked.contains("caller"), let place = macro.parameters.firstIndex(of: "caller"),
      place < macro.parameters.count - macro.defaults.count
    {
      throw ChatTemplate.mistake("the parameter 'caller' needs a default", line: line)
    }
    for name in asked { frame.symbols.parameter(name) }
    tables[macro.scope].asks = asked
    for value in macro.defaults { visit(value, frame.symbols, frame.outer) }
    for statement in macro.body { visit(statement, frame.symbols, frame.outer) }
    try inner(macro.body, frame, macro.scope)
  }
}

/// Which of some names are read before anything else gives them a value, in the order of the text.
private struct Undeclared {
  private var names: Set<String>
  private(set) var found: Set<String> = []

  init(_ names: Set<String>, in statements: [TemplateStatement]) {
    self.names = names
    visit(statements)
  }

  private mutating func visit(_ target: TemplateTarget) { names.subtract(target.names) }

  private mutating func visit(_ expression: TemplateExpression?) {
    guard let expression, !names.isEmpty else { return }
    if case .name(let name) = expression, names.contains(name) { found.insert(name) }
    for child in expression.children { visit(child) }
  }

  private mutating func visit(_ macro: TemplateMacro) {
    names.subtract(macro.parameters)
    for value in macro.defaults { visit(value) }
    visit(macro.body)
  }

  private mutating func visit(_ statements: [TemplateStatement]) {
    for statement in statements {
      guard !names.isEmpty else { return }
      switch statement.kind {
      case .text, .leaveLoop, .nextRound: break
      case .output(let values): for value in values { visit(value) }
      case .when(let branches, let otherwise):
        for branch in branches {
          visit(branch.condition)
          visit(branch.body)
        }
        visit(otherwise)
      case .loop(let loop):
        visit(loop.target)
        visit(loop.sequence)
        visit(loop.body)
        visit(loop.otherwise)
        visit(loop.condition)
      case .assign(let target, let value):
        visit(target)
        visit(value)
      case .capture(let block, let target):
        visit(target)
        visit(block.filter)
        visit(block.body)
      case .macro(let macro): visit(macro)
      case .call(let call, let macro):
        visit(call)
        visit(macro)
      case .filter(let block):
        visit(block.body)
        visit(block.filter)
      case .with(let targets, let values, let block):
        for target in targets { visit(target) }
        for value in values { visit(value) }
        visit(block.body)
      }
    }
  }
}

extension TemplateTarget {
  /// The names it gives values to.
  var names: [String] {
    switch self {
    case .name(let name): [name]
    case .member: []
    case .tuple(let parts): parts.flatMap(\.names)
    }
  }
}

extension TemplateStatement {
  /// Whether a statement gives `name` a value, parameters aside.
  static func stores(_ name: String, in statements: [TemplateStatement]) -> Bool {
    statements.contains { statement in
      switch statement.kind {
      case .text, .output, .leaveLoop, .nextRound: false
      case .when(let branches, let otherwise):
        branches.contains { stores(name, in: $0.body) } || stores(name, in: otherwise)
      case .loop(let loop): loop.target.names.contains(name) || stores(name, in: loop.body + loop.otherwise)
      case .assign(let target, _): target.names.contains(name)
      case .capture(let block, let target): target.names.contains(name) || stores(name, in: block.body)
      case .macro(let macro), .call(_, let macro): stores(name, in: macro.body)
      case .filter(let block), .with(_, _, let block): stores(name, in: block.body)
      }
    }
  }
}

extension TemplateArgumentList {
  var children: [TemplateExpression] {
    positional + named.map(\.value) + [spread, spreadNamed].compactMap { $0 }
  }
}

extension TemplateExpression {
  /// The expressions it is made of, in the order in which Jinja reads them.
  var children: [TemplateExpression] {
    switch self {
    case .none, .bool, .integer, .number, .string, .name: []
    case .list(let elements), .tuple(let elements), .concatenation(let elements): elements
    case .dictionary(let members): members.flatMap { [$0.key, $0.value] }
    case .attribute(let base, _): [base]
    case .element(let base, let index): [base, index]
    case .slice(let from, let to, let by): [from, to, by].compactMap { $0 }
    case .call(let callee, let list): [callee] + list.children
    case .filter(let base, _, let list): [base].compactMap { $0 } + list.children
    case .test(let base, _, let list): [base] + list.children
    case .not(let operand), .negative(let operand), .positive(let operand): [operand]
    case .and(let left, let right), .or(let left, let right), .binary(_, let left, let right): [left, right]
    case .comparison(let first, let rest): [first] + rest.map(\.operand)
    case .choice(let value, let condition, let otherwise): [condition, value] + [otherwise].compactMap { $0 }
    }
  }
}
