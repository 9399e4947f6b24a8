// Builds the syntax tree of a chat template from its tokens: the statements. Expressions: TemplateParser+Expressions.
// Not all of Jinja: inheritance, includes and `autoescape` are refused by name.

import Basics

struct TemplateParser {
  let tokens: [(token: TemplateToken, line: Int)]
  var position = 0
  var budget = TemplateBudget()
  private var loopDepth = 0
  private var scopes = 0

  /// A template's statements, and the number of scopes in them; the first is the template's own.
  static func template(of source: String) throws(Diagnostic) -> (statements: [TemplateStatement], scopes: Int) {
    var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: source))
    _ = parser.newScope()
    let (statements, _) = try parser.body(until: [])
    return (statements, parser.scopes)
  }

  private init(tokens: [(token: TemplateToken, line: Int)]) { self.tokens = tokens }

  var line: Int { tokens[min(position, tokens.count - 1)].line }
  var next: TemplateToken { tokens[min(position, tokens.count - 1)].token }
  var afterNext: TemplateToken { tokens[min(position + 1, tokens.count - 1)].token }

  func mistake(_ what: String) -> Diagnostic { ChatTemplate.mistake(what, line: line) }

  mutating func accept(_ token: TemplateToken) -> Bool {
    guard next == token else { return false }
    position += 1
    return true
  }

  mutating func accept(_ sign: String) -> Bool { accept(.sign(sign)) }
  mutating func accept(word: String) -> Bool { accept(.name(word)) }

  mutating func expect(_ token: TemplateToken) throws(Diagnostic) {
    guard accept(token) else { throw mistake("expected '\(token.shown)', not '\(next.shown)'") }
  }

  mutating func expect(_ sign: String) throws(Diagnostic) { try expect(.sign(sign)) }

  mutating func name() throws(Diagnostic) -> String {
    guard case .name(let name) = next else { throw mistake("expected a name, not '\(next.shown)'") }
    position += 1
    return name
  }

  private mutating func newScope() -> TemplateScopeID {
    scopes += 1
    return scopes - 1
  }

  // MARK: - Statements

  /// Statements up to a block whose first word is in `enders`; that word is read, the rest of its tag is not.
  private mutating func body(until enders: [String]) throws(Diagnostic) -> ([TemplateStatement], String) {
    try budget.enter(line)
    defer { budget.leave() }
    var statements: [TemplateStatement] = []
    while true {
      let line = line
      switch next {
      case .end:
        guard enders.isEmpty else {
          throw mistake("a block is not closed: expected \(enders.joined(separator: " or "))")
        }
        return (statements, "")
      case .text(let text):
        position += 1
        statements.append(.init(line: line, kind: .text(text)))
      case .outputBegin:
        position += 1
        let value = try tuple()
        try expect(.outputEnd)
        statements.append(.init(line: line, kind: .output([value])))
      case .blockBegin:
        position += 1
        let word = try name()
        if enders.contains(word) { return (statements, word) }
        statements.append(.init(line: line, kind: try block(word)))
        try expect(.blockEnd)
      default: throw mistake("the template is malformed")
      }
    }
  }

  /// The statements after the tag being read, up to the end of the last of `enders`' words.
  private mutating func enclosed(until enders: String...) throws(Diagnostic) -> ([TemplateStatement], String) {
    // As in Python, a colon may end the tag.
    _ = accept(":")
    try expect(.blockEnd)
    return try body(until: enders)
  }

  private mutating func block(_ word: String) throws(Diagnostic) -> TemplateStatement.Kind {
    switch word {
    case "if": return try choice()
    case "for": return .loop(try loop())
    case "set": return try assignment()
    case "macro": return .macro(try macro())
    case "call": return try callBlock()
    case "with": return try with()
    case "filter":
      let filter = try filters(of: nil, startsInline: true)
      return .filter(.init(scope: newScope(), filter: filter, body: try enclosed(until: "endfilter").0))
    case "print":
      var values: [TemplateExpression] = []
      while next != .blockEnd {
        if !values.isEmpty { try expect(",") }
        values.append(try expression())
      }
      return .output(values)
    case "break", "continue":
      guard loopDepth > 0 else { throw mistake("'\(word)' outside a loop") }
      return word == "break" ? .leaveLoop : .nextRound
    case "generation":
      // Marks what the model writes, for training; the text itself is unchanged.
      let scope = newScope()
      let body = try outsideLoops { parser throws(Diagnostic) in try parser.enclosed(until: "endgeneration").0 }
      return .call(nil, TemplateMacro(name: nil, parameters: [], defaults: [], body: body, scope: scope))
    case _ where word.hasPrefix("end") || word == "else" || word == "elif":
      throw mistake("'\(word)' does not fit here")
    default: throw mistake("the statement '\(word)' is not supported")
    }
  }

  private mutating func choice() throws(Diagnostic) -> TemplateStatement.Kind {
    var branches: [TemplateStatement.Branch] = []
    while true {
      let condition = try tuple(withChoice: false)
      let (statements, end) = try enclosed(until: "elif", "else", "endif")
      branches.append(.init(condition: condition, body: statements))
      if end == "elif" { continue }
      return .when(branches, otherwise: end == "else" ? try enclosed(until: "endif").0 : [])
    }
  }

  private mutating func loop() throws(Diagnostic) -> TemplateStatement.Loop {
    let target = try target(of: try tuple(simplified: true, until: "in"))
    guard accept(word: "in") else { throw mistake("expected 'in' after the loop's names, not '\(next.shown)'") }
    // Without the conditional expression: its `if` is the loop's filter.
    let sequence = try tuple(withChoice: false, until: "recursive")
    let condition = accept(word: "if") ? try expression() : nil
    let isRecursive = accept(word: "recursive")
    let first = newScope()
    scopes += 2
    let outer = loopDepth
    defer { loopDepth = outer }
    // The body of a recursive loop is called, so that an outer loop cannot be left from its `else`.
    loopDepth = isRecursive ? 1 : outer + 1
    let (statements, end) = try enclosed(until: "endfor", "else")
    loopDepth = isRecursive ? 0 : outer
    let otherwise = end == "else" ? try enclosed(until: "endfor").0 : []
    return .init(
      target: target, sequence: sequence, condition: condition, body: statements, otherwise: otherwise,
      isRecursive: isRecursive, firstScope: first)
  }

  /// Reads what is called, so that the loops around it cannot be left from there.
  private mutating func outsideLoops<T>(
    _ body: (inout Self) throws(Diagnostic) -> T
  ) throws(Diagnostic) -> T {
    let outer = loopDepth
    defer { loopDepth = outer }
    loopDepth = 0
    return try body(&self)
  }

  private mutating func assignment() throws(Diagnostic) -> TemplateStatement.Kind {
    let target = try target(of: try tuple(simplified: true), withMembers: true)
    if accept("=") { return .assign(target, try tuple()) }
    let filter = next == .sign("|") ? try filters(of: nil) : nil
    return .capture(.init(scope: newScope(), filter: filter, body: try enclosed(until: "endset").0), target)
  }

  private mutating func with() throws(Diagnostic) -> TemplateStatement.Kind {
    var targets: [TemplateTarget] = []
    var values: [TemplateExpression] = []
    while next != .blockEnd {
      if !targets.isEmpty { try expect(",") }
      targets.append(try target(of: try tuple(simplified: true)))
      try expect("=")
      values.append(try expression())
    }
    return .with(targets, values, .init(scope: newScope(), filter: nil, body: try enclosed(until: "endwith").0))
  }

  private mutating func macro() throws(Diagnostic) -> TemplateMacro {
    let name = try name()
    try checkAssignable(name)
    var macro = TemplateMacro(name: name, parameters: [], defaults: [], body: [], scope: newScope())
    try signature(&macro)
    macro.body = try outsideLoops { parser throws(Diagnostic) in try parser.enclosed(until: "endmacro").0 }
    return macro
  }

  private mutating func callBlock() throws(Diagnostic) -> TemplateStatement.Kind {
    var macro = TemplateMacro(name: nil, parameters: [], defaults: [], body: [], scope: newScope())
    if next == .sign("(") { try signature(&macro) }
    let call = try expression()
    guard case .call = call else { throw mistake("'call' needs a call") }
    macro.body = try outsideLoops { parser throws(Diagnostic) in try parser.enclosed(until: "endcall").0 }
    return .call(call, macro)
  }

  private mutating func signature(_ macro: inout TemplateMacro) throws(Diagnostic) {
    try expect("(")
    while !accept(")") {
      if !macro.parameters.isEmpty { try expect(",") }
      let parameter = try name()
      try checkAssignable(parameter)
      guard !macro.parameters.contains(parameter) else { throw mistake("two parameters are called '\(parameter)'") }
      macro.parameters.append(parameter)
      if accept("=") {
        macro.defaults.append(try expression())
      } else if !macro.defaults.isEmpty {
        throw mistake("the parameter '\(parameter)' has no default, the one before it has")
      }
    }
  }

  // MARK: - Targets

  private func checkAssignable(_ name: String) throws(Diagnostic) {
    guard !["true", "false", "none", "True", "False", "None"].contains(name) else {
      throw mistake("'\(name)' is no name that can be given a value")
    }
  }

  /// What was read as an expression, as the place of a value.
  private func target(of read: TemplateExpression, withMembers: Bool = false) throws(Diagnostic) -> TemplateTarget {
    switch read {
    case .name(let name): return .name(name)
    case .attribute(.name(let name), let member) where withMembers: return .member(name, member)
    case .tuple(let parts):
      var targets: [TemplateTarget] = []
      for part in parts { targets.append(try target(of: part, withMembers: withMembers)) }
      return .tuple(targets)
    default: throw mistake("expected a name that can be given a value")
    }
  }
}
