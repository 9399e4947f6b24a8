// The syntax tree of a chat template: plain values, so that a template is Sendable.
// Surprise: a `TemplateScopeID` stands where Jinja begins a scope of its own; what is in it is found by TemplateScopes.

/// Something with a value.
indirect enum TemplateExpression: Sendable, Hashable {
  case none
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case name(String)
  case list([TemplateExpression])
  case tuple([TemplateExpression])
  case dictionary([Member])
  case attribute(TemplateExpression, String)
  case element(TemplateExpression, TemplateExpression)
  /// Only as the index of an element.
  case slice(from: TemplateExpression?, to: TemplateExpression?, by: TemplateExpression?)
  case call(TemplateExpression, TemplateArgumentList)
  /// Without a base: what a block has written.
  case filter(TemplateExpression?, String, TemplateArgumentList)
  case test(TemplateExpression, String, TemplateArgumentList)
  case not(TemplateExpression)
  case negative(TemplateExpression)
  case positive(TemplateExpression)
  case and(TemplateExpression, TemplateExpression)
  case or(TemplateExpression, TemplateExpression)
  case binary(TemplateOperator, TemplateExpression, TemplateExpression)
  case concatenation([TemplateExpression])
  /// `a < b < c`: every operand is computed once, up to the first comparison that fails.
  case comparison(TemplateExpression, [Comparison])
  /// a if condition else b; without b the value is undefined.
  case choice(TemplateExpression, condition: TemplateExpression, otherwise: TemplateExpression?)

  struct Member: Sendable, Hashable {
    var key: TemplateExpression
    var value: TemplateExpression
  }

  struct Comparison: Sendable, Hashable {
    var sign: TemplateComparison
    var operand: TemplateExpression
  }
}

enum TemplateOperator: String, Sendable, Hashable {
  case add = "+"
  case subtract = "-"
  case multiply = "*"
  case divide = "/"
  case floorDivide = "//"
  case remainder = "%"
  case power = "**"
}

enum TemplateComparison: String, Sendable, Hashable {
  case equal = "=="
  case unequal = "!="
  case less = "<"
  case lessOrEqual = "<="
  case greater = ">"
  case greaterOrEqual = ">="
  case contained = "in"
  case notContained = "not in"
}

/// What stands in the parentheses of a call.
struct TemplateArgumentList: Sendable, Hashable {
  var positional: [TemplateExpression] = []
  var named: [Named] = []
  /// `*list` and `**dictionary`
  var spread: TemplateExpression?
  var spreadNamed: TemplateExpression?

  struct Named: Sendable, Hashable {
    var name: String
    var value: TemplateExpression
  }
}

/// Where a value goes.
indirect enum TemplateTarget: Sendable, Hashable {
  case name(String)
  /// A member of a namespace.
  case member(String, String)
  case tuple([TemplateTarget])
}

/// The number of a scope in `TemplateScopes`.
typealias TemplateScopeID = Int

/// Something with an effect. `line` is where its tag begins.
struct TemplateStatement: Sendable, Hashable {
  var line: Int
  var kind: Kind

  indirect enum Kind: Sendable, Hashable {
    case text(String)
    case output([TemplateExpression])
    case when([Branch], otherwise: [TemplateStatement])
    case loop(Loop)
    case assign(TemplateTarget, TemplateExpression)
    /// `{% set x %}...{% endset %}`
    case capture(Block, TemplateTarget)
    case macro(TemplateMacro)
    /// `{% call(x) m() %}...{% endcall %}`; `generation` blocks are calls of nothing.
    case call(TemplateExpression?, TemplateMacro)
    /// `{% filter upper %}...{% endfilter %}`
    case filter(Block)
    case with([TemplateTarget], [TemplateExpression], Block)
    case leaveLoop
    case nextRound
  }

  struct Branch: Sendable, Hashable {
    var condition: TemplateExpression
    var body: [TemplateStatement]
  }

  /// Statements in a scope of their own, and the filter that what they write goes through.
  struct Block: Sendable, Hashable {
    var scope: TemplateScopeID
    var filter: TemplateExpression?
    var body: [TemplateStatement]
  }

  struct Loop: Sendable, Hashable {
    var target: TemplateTarget
    var sequence: TemplateExpression
    var condition: TemplateExpression?
    var body: [TemplateStatement]
    var otherwise: [TemplateStatement]
    var isRecursive: Bool
    /// Of the body, the condition and the `else`.
    var scopes: (body: TemplateScopeID, condition: TemplateScopeID, otherwise: TemplateScopeID) {
      (firstScope, firstScope + 1, firstScope + 2)
    }
    var firstScope: TemplateScopeID
  }
}

struct TemplateMacro: Sendable, Hashable {
  /// Nil for the body of a call block.
  var name: String?
  var parameters: [String]
  /// Of the last parameters; the others are undefined when left out.
  var defaults: [TemplateExpression]
  var body: [TemplateStatement]
  var scope: TemplateScopeID
}
