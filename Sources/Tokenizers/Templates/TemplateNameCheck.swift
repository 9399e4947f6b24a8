// Filters and tests that nobody has are mistakes of the template's text, also where it is never run.
// Surprise: not directly under an `if`, where templates may ask `'x' is filter` first, as in Jinja.

import Basics

enum TemplateNameCheck {
  static func check(_ statements: [TemplateStatement], underIf: Bool = false) throws(Diagnostic) {
    for statement in statements {
      func check(_ expression: TemplateExpression?, underIf: Bool) throws(Diagnostic) {
        guard let expression else { return }
        try TemplateNameCheck.check(expression, underIf, statement.line)
      }
      switch statement.kind {
      case .text, .leaveLoop, .nextRound: break
      case .output(let values): for value in values { try check(value, underIf: underIf) }
      case .when(let branches, let otherwise):
        for branch in branches {
          try check(branch.condition, underIf: true)
          try self.check(branch.body, underIf: true)
        }
        try self.check(otherwise, underIf: true)
      case .loop(let loop):
        try check(loop.sequence, underIf: underIf)
        try check(loop.condition, underIf: false)
        try self.check(loop.body + loop.otherwise)
      case .assign(_, let value): try check(value, underIf: underIf)
      case .capture(let block, _), .filter(let block):
        try check(block.filter, underIf: false)
        try self.check(block.body)
      case .with(_, let values, let block):
        for value in values { try check(value, underIf: underIf) }
        try self.check(block.body)
      case .macro(let macro):
        for value in macro.defaults { try check(value, underIf: false) }
        try self.check(macro.body)
      case .call(let call, let macro):
        try check(call, underIf: underIf)
        for value in macro.defaults { try check(value, underIf: false) }
        try self.check(macro.body)
      }
    }
  }

  private static func check(_ expression: TemplateExpression, _ underIf: Bool, _ line: Int) throws(Diagnostic) {
    var underIf = underIf
    switch expression {
    case .filter(_, let name, _):
      guard underIf || TemplateFilters.table[name] != nil || TemplateFilters.unsupported.contains(name) else {
        throw ChatTemplate.mistake("the filter '\(name)' is not supported", line: line)
      }
    case .test(_, let name, _):
      guard underIf || TemplateTests.table[name] != nil else {
        throw ChatTemplate.mistake("the test '\(name)' is not supported", line: line)
      }
    case .choice: underIf = true
    default: break
    }
    for child in expression.children { try check(child, underIf, line) }
  }
}
