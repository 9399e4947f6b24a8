// The expressions of a chat template: one method per level of precedence, as in Jinja.
// Surprise: a sign binds tighter than filters, and `-2 ** 2` is 4; both are Jinja's rules, not Python's.

import Basics

extension TemplateParser {
  /// An expression, or several with commas between, which make a tuple.
  /// - Parameters:
  ///   - simplified: names, literals and members of namespaces only, as targets are.
  ///   - withChoice: `a if b else c` may stand in it.
  ///   - end: a word that ends it after a comma.
  mutating func tuple(
    simplified: Bool = false, withChoice: Bool = true, until end: String? = nil, isBracketed: Bool = false
  ) throws(Diagnostic) -> TemplateExpression {
    var elements: [TemplateExpression] = []
    var isTuple = false
    while true {
      if !elements.isEmpty { try expect(",") }
      if next == .outputEnd || next == .blockEnd || next == .sign(")") || end.map({ next == .name($0) }) ?? false {
        break
      }
      if simplified {
        elements.append(try simplifiedTarget())
      } else {
        elements.append(withChoice ? try expression() : try orChain())
      }
      guard next == .sign(",") else { break }
      isTuple = true
    }
    if !isTuple {
      if let only = elements.first { return only }
      guard isBracketed else { throw mistake("expected a value, not '\(next.shown)'") }
    }
    return .tuple(elements)
  }

  private mutating func simplifiedTarget() throws(Diagnostic) -> TemplateExpression {
    let value = try primary()
    if case .name = value, accept(".") { return .attribute(value, try name()) }
    return value
  }

  mutating func expression() throws(Diagnostic) -> TemplateExpression {
    try budget.enter(line)
    defer { budget.leave() }
    var value = try orChain()
    var links = Links()
    defer { links.end(&budget) }
    while accept(word: "if") {
      try links.add(&budget, line)
      let condition = try orChain()
      let otherwise = accept(word: "else") ? try expression() : nil
      value = .choice(value, condition: condition, otherwise: otherwise)
    }
    return value
  }

  /// A chain of n operators is a tree n deep, so that its links count as levels while it is read.
  private struct Links {
    private var count = 0

    mutating func add(_ budget: inout TemplateBudget, _ line: Int) throws(Diagnostic) {
      try budget.enter(line)
      count += 1
    }

    mutating func end(_ budget: inout TemplateBudget) {
      for _ in 0..<count { budget.leave() }
    }
  }

  private mutating func orChain() throws(Diagnostic) -> TemplateExpression {
    var value = try andChain()
    var links = Links()
    defer { links.end(&budget) }
    while accept(word: "or") {
      try links.add(&budget, line)
      value = .or(value, try andChain())
    }
    return value
  }

  private mutating func andChain() throws(Diagnostic) -> TemplateExpression {
    var value = try negation()
    var links = Links()
    defer { links.end(&budget) }
    while accept(word: "and") {
      try links.add(&budget, line)
      value = .and(value, try negation())
    }
    return value
  }

  private mutating func negation() throws(Diagnostic) -> TemplateExpression {
    guard accept(word: "not") else { return try comparison() }
    try budget.enter(line)
    defer { budget.leave() }
    return .not(try negation())
  }

  private mutating func comparison() throws(Diagnostic) -> TemplateExpression {
    let value = try sum()
    var comparisons: [TemplateExpression.Comparison] = []
    while let sign = comparisonSign() { comparisons.append(.init(sign: sign, operand: try sum())) }
    return comparisons.isEmpty ? value : .comparison(value, comparisons)
  }

  private mutating func comparisonSign() -> TemplateComparison? {
    switch next {
    case .sign(let sign):
      guard let comparison = TemplateComparison(rawValue: sign) else { return nil }
      position += 1
      return comparison
    case .name("in"):
      position += 1
      return .contained
    case .name("not") where afterNext == .name("in"):
      position += 2
      return .notContained
    default: return nil
    }
  }

  private mutating func sign(_ signs: TemplateOperator...) -> TemplateOperator? {
    guard case .sign(let sign) = next, let found = signs.first(where: { $0.rawValue == sign }) else { return nil }
    position += 1
    return found
  }

  private mutating func sum() throws(Diagnostic) -> TemplateExpression {
    var value = try concatenation()
    var links = Links()
    defer { links.end(&budget) }
    while let sign = sign(.add, .subtract) {
      try links.add(&budget, line)
      value = .binary(sign, value, try concatenation())
    }
    return value
  }

  private mutating func concatenation() throws(Diagnostic) -> TemplateExpression {
    var values = [try product()]
    while accept("~") { values.append(try product()) }
    return values.count == 1 ? values[0] : .concatenation(values)
  }

  private mutating func product() throws(Diagnostic) -> TemplateExpression {
    var value = try power()
    var links = Links()
    defer { links.end(&budget) }
    while let sign = sign(.multiply, .divide, .floorDivide, .remainder) {
      try links.add(&budget, line)
      value = .binary(sign, value, try power())
    }
    return value
  }

  private mutating func power() throws(Diagnostic) -> TemplateExpression {
    var value = try unary()
    var links = Links()
    defer { links.end(&budget) }
    while let sign = sign(.power) {
      try links.add(&budget, line)
      value = .binary(sign, value, try unary())
    }
    return value
  }

  private mutating func unary(withFilters: Bool = true) throws(Diagnostic) -> TemplateExpression {
    var value: TemplateExpression
    if next == .sign("-") || next == .sign("+") {
      try budget.enter(line)
      defer { budget.leave() }
      if accept("-") {
        value = .negative(try unary(withFilters: false))
      } else {
        position += 1
        value = .positive(try unary(withFilters: false))
      }
    } else {
      value = try primary()
    }
    var links = Links()
    defer { links.end(&budget) }
    value = try postfix(value, &links)
    return withFilters ? try filtersAndTests(value, &links) : value
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
      let value = try tuple(isBracketed: true)
      try expect(")")
      return value
    case .sign("["): return .list(try elements())
    case .sign("{"): return .dictionary(try members())
    default:
      position -= 1
      throw mistake("expected a value, not '\(token.shown)'")
    }
  }

  private mutating func elements() throws(Diagnostic) -> [TemplateExpression] {
    var elements: [TemplateExpression] = []
    while next != .sign("]") {
      if !elements.isEmpty { try expect(",") }
      if next == .sign("]") { break }
      elements.append(try expression())
    }
    try expect("]")
    return elements
  }

  private mutating func members() throws(Diagnostic) -> [TemplateExpression.Member] {
    var members: [TemplateExpression.Member] = []
    while next != .sign("}") {
      if !members.isEmpty { try expect(",") }
      if next == .sign("}") { break }
      let key = try expression()
      try expect(":")
      members.append(.init(key: key, value: try expression()))
    }
    try expect("}")
    return members
  }

  // MARK: - What follows a value

  private mutating func postfix(_ base: TemplateExpression, _ links: inout Links) throws(Diagnostic)
    -> TemplateExpression
  {
    var value = base
    while true {
      if accept(".") {
        try links.add(&budget, line)
        if case .integer(let index) = next {
          position += 1
          value = .element(value, .integer(index))
        } else {
          value = .attribute(value, try name())
        }
      } else if accept("[") {
        try links.add(&budget, line)
        value = .element(value, try index())
      } else if next == .sign("(") {
        try links.add(&budget, line)
        value = .call(value, try arguments())
      } else {
        return value
      }
    }
  }

  private mutating func filtersAndTests(_ base: TemplateExpression, _ links: inout Links) throws(Diagnostic)
    -> TemplateExpression
  {
    var value = base
    while true {
      if next == .sign("|") {
        try links.add(&budget, line)
        position += 1
        value = try filter(of: value)
      } else if accept(word: "is") {
        try links.add(&budget, line)
        value = try test(of: value)
      } else if next == .sign("(") {
        try links.add(&budget, line)
        value = .call(value, try arguments())
      } else {
        return value
      }
    }
  }

  /// A chain of filters, as blocks have them.
  mutating func filters(of base: TemplateExpression?, startsInline: Bool = false) throws(Diagnostic)
    -> TemplateExpression
  {
    var links = Links()
    defer { links.end(&budget) }
    var value = base
    if startsInline { value = try filter(of: value) }
    while accept("|") {
      try links.add(&budget, line)
      value = try filter(of: value)
    }
    return value ?? .none
  }

  private mutating func dottedName() throws(Diagnostic) -> String {
    var name = try name()
    while accept(".") { name += "." + (try self.name()) }
    return name
  }

  private mutating func filter(of base: TemplateExpression?) throws(Diagnostic) -> TemplateExpression {
    let name = try dottedName()
    return .filter(base, name, next == .sign("(") ? try arguments() : .init())
  }

  private mutating func test(of base: TemplateExpression) throws(Diagnostic) -> TemplateExpression {
    let isNegated = accept(word: "not")
    let name = try dottedName()
    let test = TemplateExpression.test(base, name, try testArguments())
    return isNegated ? .not(test) : test
  }

  /// A test's arguments stand in parentheses, or it has one plain value without.
  private mutating func testArguments() throws(Diagnostic) -> TemplateArgumentList {
    switch next {
    case .sign("("): return try arguments()
    case .name("else"), .name("or"), .name("and"): return .init()
    case .name("is"): throw mistake("tests cannot be chained with 'is'")
    case .name, .integer, .number, .string, .sign("["), .sign("{"):
      var links = Links()
      defer { links.end(&budget) }
      return .init(positional: [try postfix(try primary(), &links)])
    default: return .init()
    }
  }

  private mutating func index() throws(Diagnostic) -> TemplateExpression {
    var parts: [TemplateExpression] = []
    while next != .sign("]") {
      if !parts.isEmpty { try expect(",") }
      parts.append(try subscripted())
    }
    try expect("]")
    return parts.count == 1 ? parts[0] : .tuple(parts)
  }

  private mutating func subscripted() throws(Diagnostic) -> TemplateExpression {
    func isEnd(_ token: TemplateToken) -> Bool { token == .sign("]") || token == .sign(",") }
    let from = next == .sign(":") ? nil : try expression()
    guard accept(":") else { return from ?? .none }
    let to = next == .sign(":") || isEnd(next) ? nil : try expression()
    let by = accept(":") && !isEnd(next) ? try expression() : nil
    return .slice(from: from, to: to, by: by)
  }

  private mutating func arguments() throws(Diagnostic) -> TemplateArgumentList {
    var list = TemplateArgumentList()
    func refuse() -> Diagnostic { mistake("the arguments of a call are malformed") }
    try expect("(")
    var isFirst = true
    while next != .sign(")") {
      if !isFirst {
        try expect(",")
        if next == .sign(")") { break }
      }
      isFirst = false
      if accept("*") {
        guard list.spread == nil, list.spreadNamed == nil else { throw refuse() }
        list.spread = try expression()
      } else if accept("**") {
        guard list.spreadNamed == nil else { throw refuse() }
        list.spreadNamed = try expression()
      } else if case .name(let name) = next, afterNext == .sign("=") {
        guard list.spreadNamed == nil else { throw refuse() }
        position += 2
        guard !list.named.contains(where: { $0.name == name }) else { throw refuse() }
        list.named.append(.init(name: name, value: try expression()))
      } else {
        guard list.spread == nil, list.spreadNamed == nil, list.named.isEmpty else { throw refuse() }
        list.positional.append(try expression())
      }
    }
    try expect(")")
    return list
  }
}
