// Builds the syntax tree of a chat template from its tokens: one method per level of precedence, as in Jinja.
// Not all of Jinja: inheritance, includes, filters as blocks and calls with bodies are refused by name.

import Basics

struct TemplateParser {
  private let tokens: [(token: TemplateToken, line: Int)]
  private var position = 0
  private var depth = 0
  private var loopDepth = 0
  /// Operators and calls of the tag being read; a tree is at most as deep.
  private var links = 0
  /// A hostile template must not exhaust the stack.
  private static let deepest = 100
  private static let mostLinks = 400

  static func statements(of source: String) throws(Diagnostic) -> [TemplateStatement] {
    var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: source))
    let (statements, end) = try parser.body(until: [])
    guard end == nil else { throw parser.mistake("'\(end ?? "")' closes nothing") }
    return statements
  }

  private init(tokens: [(token: TemplateToken, line: Int)]) { self.tokens = tokens }

  private var line: Int { tokens[min(position, tokens.count - 1)].line }
  private var next: TemplateToken { tokens[min(position, tokens.count - 1)].token }

  private func mistake(_ what: String) -> Diagnostic { ChatTemplate.mistake(what, line: line) }

  private mutating func accept(_ token: TemplateToken) -> Bool {
    guard next == token else { return false }
    position += 1
    return true
  }

  private mutating func accept(_ sign: String) -> Bool { accept(.sign(sign)) }
  private mutating func accept(word: String) -> Bool { accept(.name(word)) }

  private mutating func expect(_ token: TemplateToken, _ what: String) throws(Diagnostic) {
    guard accept(token) else { throw mistake("expected \(what)") }
  }

  private mutating func name() throws(Diagnostic) -> String {
    guard case .name(let name) = next else { throw mistake("expected a name") }
    position += 1
    return name
  }

  private mutating func nested<T>(_ body: (inout Self) throws(Diagnostic) -> T) throws(Diagnostic) -> T {
    depth += 1
    defer { depth -= 1 }
    guard depth < Self.deepest else { throw mistake("nested deeper than \(Self.deepest) levels") }
    return try body(&self)
  }

  private mutating func link() throws(Diagnostic) {
    links += 1
    guard links <= Self.mostLinks else { throw mistake("a tag with more than \(Self.mostLinks) operators") }
  }

  // MARK: - Statements

  /// Statements up to a block whose first word is in `enders`; that word is read, the rest of its tag is not.
  private mutating func body(until enders: Set<String>) throws(Diagnostic) -> ([TemplateStatement], String?) {
    var statements: [TemplateStatement] = []
    while true {
      let line = line
      links = 0
      switch next {
      case .end:
        guard enders.isEmpty else {
          throw mistake("a block is not closed: expected \(enders.sorted().joined(separator: " or "))")
        }
        return (statements, nil)
      case .text(let text):
        position += 1
        statements.append(.init(line: line, kind: .text(text)))
      case .outputBegin:
        position += 1
        let value = try tuple()
        try expect(.outputEnd, "'}}'")
        statements.append(.init(line: line, kind: .output(value)))
      case .blockBegin:
        position += 1
        let word = try name()
        if enders.contains(word) || word.hasPrefix("end") || word == "else" || word == "elif" {
          guard enders.contains(word) else { throw mistake("'\(word)' does not fit here") }
          return (statements, word)
        }
        statements += try nested { parser throws(Diagnostic) in try parser.block(word, line: line) }
      default: throw mistake("the template is malformed")
      }
    }
  }

  private mutating func closeTag() throws(Diagnostic) { try expect(.blockEnd, "'%}'") }

  private mutating func block(_ word: String, line: Int) throws(Diagnostic) -> [TemplateStatement] {
    switch word {
    case "if": return [.init(line: line, kind: try choice())]
    case "for": return [.init(line: line, kind: .loop(try loop()))]
    case "set": return [.init(line: line, kind: try assignment())]
    case "macro": return [.init(line: line, kind: .macro(try macro()))]
    case "break", "continue":
      guard loopDepth > 0 else { throw mistake("'\(word)' outside a loop") }
      try closeTag()
      return [.init(line: line, kind: word == "break" ? .leaveLoop : .nextRound)]
    case "generation":
      // Marks what the model writes, for training; the text itself is unchanged.
      try closeTag()
      let (statements, _) = try body(until: ["endgeneration"])
      try closeTag()
      return statements
    default: throw mistake("the statement '\(word)' is not supported")
    }
  }

  private mutating func choice() throws(Diagnostic) -> TemplateStatement.Kind {
    var branches: [TemplateStatement.Branch] = []
    var otherwise: [TemplateStatement] = []
    while true {
      let condition = try tuple()
      try closeTag()
      let (statements, end) = try body(until: ["elif", "else", "endif"])
      branches.append(.init(condition: condition, body: statements))
      if end == "elif" { continue }
      if end == "else" {
        try closeTag()
        (otherwise, _) = try body(until: ["endif"])
      }
      try closeTag()
      return .when(branches, otherwise: otherwise)
    }
  }

  private mutating func loop() throws(Diagnostic) -> TemplateStatement.Loop {
    let isBracketed = accept("(")
    var names = [try name()]
    while accept(",") { names.append(try name()) }
    if isBracketed { try expect(.sign(")"), "')'") }
    guard accept(word: "in") else { throw mistake("expected 'in' after the loop's names") }
    // Without the conditional expression: its `if` is the loop's filter.
    let sequence = try or()
    let condition = accept(word: "if") ? try expression() : nil
    if accept(word: "recursive") { throw mistake("recursive loops are not supported") }
    try closeTag()
    loopDepth += 1
    defer { loopDepth -= 1 }
    let (statements, end) = try body(until: ["else", "endfor"])
    var otherwise: [TemplateStatement] = []
    if end == "else" {
      try closeTag()
      (otherwise, _) = try body(until: ["endfor"])
    }
    try closeTag()
    return .init(names: names, sequence: sequence, condition: condition, body: statements, otherwise: otherwise)
  }

  private mutating func target() throws(Diagnostic) -> TemplateStatement.Target {
    let first = try name()
    return accept(".") ? .member(first, try name()) : .name(first)
  }

  private mutating func assignment() throws(Diagnostic) -> TemplateStatement.Kind {
    var targets = [try target()]
    while accept(",") { targets.append(try target()) }
    if accept("=") {
      let value = try tuple()
      try closeTag()
      return .assign(targets, value)
    }
    guard targets.count == 1 else { throw mistake("expected '='") }
    try closeTag()
    let (statements, _) = try body(until: ["endset"])
    try closeTag()
    return .capture(targets[0], statements)
  }

  private mutating func macro() throws(Diagnostic) -> TemplateMacro {
    var macro = TemplateMacro(name: try name(), parameters: [], defaults: [:], body: [])
    try expect(.sign("("), "'('")
    while !accept(")") {
      let parameter = try name()
      macro.parameters.append(parameter)
      if accept("=") { macro.defaults[parameter] = try expression() }
      if !accept(",") {
        try expect(.sign(")"), "',' or ')'")
        break
      }
    }
    try closeTag()
    let outer = loopDepth
    loopDepth = 0
    defer { loopDepth = outer }
    (macro.body, _) = try body(until: ["endmacro"])
    // The name may be repeated after endmacro.
    if case .name = next { position += 1 }
    try closeTag()
    return macro
  }

  // MARK: - Expressions

  /// An expression, or several with commas between, which make a list.
  private mutating func tuple() throws(Diagnostic) -> TemplateExpression {
    let first = try expression()
    guard accept(",") else { return first }
    var elements = [first]
    while next != .blockEnd, next != .outputEnd, next != .sign(")") {
      elements.append(try expression())
      if !accept(",") { break }
    }
    return .list(elements)
  }

  private mutating func expression() throws(Diagnostic) -> TemplateExpression {
    try nested { parser throws(Diagnostic) in
      var value = try parser.or()
      while parser.accept(word: "if") {
        let condition = try parser.or()
        let otherwise = parser.accept(word: "else") ? try parser.expression() : nil
        value = .choice(value, condition: condition, otherwise: otherwise)
      }
      return value
    }
  }

  private mutating func or() throws(Diagnostic) -> TemplateExpression {
    var value = try and()
    while accept(word: "or") {
      try link()
      value = .or(value, try and())
    }
    return value
  }

  private mutating func and() throws(Diagnostic) -> TemplateExpression {
    var value = try not()
    while accept(word: "and") {
      try link()
      value = .and(value, try not())
    }
    return value
  }

  private mutating func not() throws(Diagnostic) -> TemplateExpression {
    guard accept(word: "not") else { return try comparison() }
    return .not(try nested { parser throws(Diagnostic) in try parser.not() })
  }

  private mutating func comparison() throws(Diagnostic) -> TemplateExpression {
    var value = try sum()
    while true {
      try link()
      if accept(word: "in") {
        value = .binary(.contained, value, try sum())
      } else if next == .name("not"), position + 1 < tokens.count, tokens[position + 1].token == .name("in") {
        position += 2
        value = .binary(.notContained, value, try sum())
      } else if let sign = acceptSign(["==", "!=", "<", "<=", ">", ">="]) {
        value = .binary(sign, value, try sum())
      } else {
        return value
      }
    }
  }

  private mutating func acceptSign(_ signs: Set<String>) -> TemplateOperator? {
    guard case .sign(let sign) = next, signs.contains(sign), let found = TemplateOperator(rawValue: sign) else {
      return nil
    }
    position += 1
    return found
  }

  private mutating func sum() throws(Diagnostic) -> TemplateExpression {
    var value = try concatenation()
    while let sign = acceptSign(["+", "-"]) {
      try link()
      value = .binary(sign, value, try concatenation())
    }
    return value
  }

  private mutating func concatenation() throws(Diagnostic) -> TemplateExpression {
    var value = try product()
    while let sign = acceptSign(["~"]) {
      try link()
      value = .binary(sign, value, try product())
    }
    return value
  }

  private mutating func product() throws(Diagnostic) -> TemplateExpression {
    var value = try power()
    while let sign = acceptSign(["*", "/", "//", "%"]) {
      try link()
      value = .binary(sign, value, try power())
    }
    return value
  }

  private mutating func power() throws(Diagnostic) -> TemplateExpression {
    var value = try unary()
    while let sign = acceptSign(["**"]) {
      try link()
      value = .binary(sign, value, try unary())
    }
    return value
  }

  /// A sign binds tighter than filters and tests: `-3|abs` is 3.
  private mutating func unary(withFilters: Bool = true) throws(Diagnostic) -> TemplateExpression {
    let value: TemplateExpression
    if accept("-") {
      value = .negative(try nested { parser throws(Diagnostic) in try parser.unary(withFilters: false) })
    } else if accept("+") {
      value = try nested { parser throws(Diagnostic) in try parser.unary(withFilters: false) }
    } else {
      value = try primary()
    }
    return try postfix(value, withFilters: withFilters)
  }

  private mutating func primary() throws(Diagnostic) -> TemplateExpression {
    let token = next
    position += 1
    switch token {
    case .integer(let value): return .integer(value)
    case .number(let value): return .number(value)
    case .string(var text):
      // Neighbouring strings are one.
      while case .string(let more) = next {
        text += more
        position += 1
      }
      return .string(text)
    case .name("true"), .name("True"): return .bool(true)
    case .name("false"), .name("False"): return .bool(false)
    case .name("none"), .name("None"): return .none
    case .name(let name): return .name(name)
    case .sign("("):
      if accept(")") { return .list([]) }
      let value = try tuple()
      try expect(.sign(")"), "')'")
      return value
    case .sign("["): return .list(try elements(closing: "]"))
    case .sign("{"):
      var members: [TemplateArgument] = []
      while !accept("}") {
        let key = try expression()
        try expect(.sign(":"), "':' in a dictionary")
        members.append(.init(name: key, value: try expression()))
        if !accept(",") {
          try expect(.sign("}"), "',' or '}' in a dictionary")
          break
        }
      }
      return .dictionary(members)
    default:
      position -= 1
      throw mistake("expected a value")
    }
  }

  private mutating func elements(closing: String) throws(Diagnostic) -> [TemplateExpression] {
    var elements: [TemplateExpression] = []
    while !accept(closing) {
      elements.append(try expression())
      if !accept(",") {
        try expect(.sign(closing), "',' or '\(closing)'")
        break
      }
    }
    return elements
  }

  private mutating func postfix(
    _ base: TemplateExpression, withFilters: Bool = true
  ) throws(Diagnostic) -> TemplateExpression {
    var value = base
    while true {
      try link()
      if accept(".") {
        if case .integer(let index) = next {
          position += 1
          value = .element(value, .integer(index))
        } else {
          value = .attribute(value, try name())
        }
      } else if accept("[") {
        value = try subscripted(value)
      } else if accept("(") {
        value = .call(value, try arguments())
      } else if withFilters, accept("|") {
        let filter = try name()
        value = .filter(value, filter, accept("(") ? try arguments() : [])
      } else if withFilters, accept(word: "is") {
        let isNegated = accept(word: "not")
        let test = TemplateExpression.test(value, try name(), try testArguments())
        value = isNegated ? .not(test) : test
      } else {
        return value
      }
    }
  }

  private mutating func subscripted(_ base: TemplateExpression) throws(Diagnostic) -> TemplateExpression {
    var bounds: [TemplateExpression?] = [nil]
    while !accept("]") {
      if accept(":") {
        bounds.append(nil)
      } else {
        guard bounds[bounds.count - 1] == nil else { throw mistake("expected ':' or ']'") }
        bounds[bounds.count - 1] = try expression()
      }
    }
    switch (bounds.count, bounds[0]) {
    case (1, let index?): return .element(base, index)
    case (2, _): return .slice(base, from: bounds[0], to: bounds[1], by: nil)
    case (3, _): return .slice(base, from: bounds[0], to: bounds[1], by: bounds[2])
    default: throw mistake("a subscript is malformed")
    }
  }

  private mutating func arguments() throws(Diagnostic) -> [TemplateArgument] {
    var arguments: [TemplateArgument] = []
    while !accept(")") {
      if case .name(let name) = next, position + 1 < tokens.count, tokens[position + 1].token == .sign("=") {
        position += 2
        arguments.append(.init(name: .string(name), value: try expression()))
      } else {
        arguments.append(.init(name: nil, value: try expression()))
      }
      if !accept(",") {
        try expect(.sign(")"), "',' or ')' in a call")
        break
      }
    }
    return arguments
  }

  /// A test's arguments stand in parentheses, or it has one plain value without.
  private mutating func testArguments() throws(Diagnostic) -> [TemplateArgument] {
    if accept("(") { return try arguments() }
    switch next {
    case .integer, .number, .string, .sign("["), .sign("{"):
      return [.init(name: nil, value: try primary())]
    case .name(let word) where !Self.keywords.contains(word):
      return [.init(name: nil, value: try postfix(try primary()))]
    default: return []
    }
  }

  private static let keywords: Set<String> = ["and", "or", "not", "if", "else", "in", "is", "recursive"]
}
