// The syntax tree of a chat template: plain values, so that a template is Sendable.

/// Something with a value.
indirect enum TemplateExpression: Sendable, Hashable {
  case none
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case name(String)
  case list([TemplateExpression])
  case dictionary([TemplateArgument])
  case attribute(TemplateExpression, String)
  case element(TemplateExpression, TemplateExpression)
  case slice(TemplateExpression, from: TemplateExpression?, to: TemplateExpression?, by: TemplateExpression?)
  case call(TemplateExpression, [TemplateArgument])
  case filter(TemplateExpression, String, [TemplateArgument])
  case test(TemplateExpression, String, [TemplateArgument])
  case not(TemplateExpression)
  case negative(TemplateExpression)
  case and(TemplateExpression, TemplateExpression)
  case or(TemplateExpression, TemplateExpression)
  case binary(TemplateOperator, TemplateExpression, TemplateExpression)
  /// a if condition else b; without b the value is undefined.
  case choice(TemplateExpression, condition: TemplateExpression, otherwise: TemplateExpression?)
}

enum TemplateOperator: String, Sendable, Hashable {
  case add = "+"
  case subtract = "-"
  case multiply = "*"
  case divide = "/"
  case floorDivide = "//"
  case remainder = "%"
  case power = "**"
  case concatenate = "~"
  case equal = "=="
  case unequal = "!="
  case less = "<"
  case lessOrEqual = "<="
  case greater = ">"
  case greaterOrEqual = ">="
  case contained = "in"
  case notContained = "not in"
}

/// A call's argument, or a dictionary's member, whose key is then an expression.
struct TemplateArgument: Sendable, Hashable {
  var name: TemplateExpression?
  var value: TemplateExpression
}

/// Something with an effect. `line` is where its tag begins.
struct TemplateStatement: Sendable, Hashable {
  var line: Int
  var kind: Kind

  indirect enum Kind: Sendable, Hashable {
    case text(String)
    case output(TemplateExpression)
    case when([Branch], otherwise: [TemplateStatement])
    case loop(Loop)
    case assign([Target], TemplateExpression)
    /// `{% set x %}...{% endset %}`
    case capture(Target, [TemplateStatement])
    case macro(TemplateMacro)
    case leaveLoop
    case nextRound
  }

  struct Branch: Sendable, Hashable {
    var condition: TemplateExpression
    var body: [TemplateStatement]
  }

  struct Loop: Sendable, Hashable {
    var names: [String]
    var sequence: TemplateExpression
    var condition: TemplateExpression?
    var body: [TemplateStatement]
    var otherwise: [TemplateStatement]
  }

  enum Target: Sendable, Hashable {
    case name(String)
    /// A member of a namespace.
    case member(String, String)
  }
}

struct TemplateMacro: Sendable, Hashable {
  var name: String
  var parameters: [String]
  /// By parameter; those without one are undefined when left out.
  var defaults: [String: TemplateExpression]
  var body: [TemplateStatement]
}
