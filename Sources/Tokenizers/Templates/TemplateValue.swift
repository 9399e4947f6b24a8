// The values a chat template computes with, as Python has them.
// Surprise: a missing name is a value too. It prints nothing and counts as false; computing with it is an error.

import Basics

enum TemplateValue {
  case undefined(String)
  case none
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  /// Text that is escaped for HTML already.
  case markup(String)
  case list(TemplateList)
  case tuple(TemplateList)
  case dictionary(TemplateDictionary)
  case range(TemplateRange)
  case view(TemplateView)
  case iterator(TemplateIterator)
  case namespace(TemplateNamespace)
  case macro(TemplateClosure)
  case loop(TemplateLoop)
  case cycler(TemplateCycler)
  case joiner(TemplateJoiner)
  /// A function that every template finds, by its name.
  case function(String)
  /// A function of a value, not called yet.
  case method(TemplateMethod)

  var isUndefined: Bool { if case .undefined = self { true } else { false } }

  var isNone: Bool { if case .none = self { true } else { false } }

  /// What the value is called in messages.
  var kind: String {
    switch self {
    case .undefined(let name): "the undefined \(name)"
    case .none: "none"
    case .bool: "a truth value"
    case .integer, .number: "a number"
    case .string, .markup: "a string"
    case .list: "a list"
    case .tuple: "a tuple"
    case .dictionary: "a dictionary"
    case .range: "a range"
    case .view(let view): "the \(view.kind.rawValue) of a dictionary"
    case .iterator: "a sequence that is still to be made (|list makes it)"
    case .namespace: "a namespace"
    case .macro, .function, .method: "a function"
    case .loop: "a loop"
    case .cycler: "a cycler"
    case .joiner: "a joiner"
    }
  }

  /// A text, escaped or not.
  var string: String? {
    switch self {
    case .string(let text), .markup(let text): text
    default: nil
    }
  }

  var isMarkup: Bool { if case .markup = self { true } else { false } }

  /// Truth values are integers, as in Python.
  var integer: Int? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .integer(let value): value
    default: nil
    }
  }

  var double: Double? {
    if case .number(let value) = self { return value }
    return integer.map(Double.init)
  }

  /// How deep lists and dictionaries stand in each other here.
  var nesting: Int {
    switch self {
    case .list(let list), .tuple(let list): list.nesting
    case .dictionary(let dictionary): dictionary.nesting
    case .view(let view): view.dictionary.nesting
    case .method(let method): method.receiver.nesting + 1
    case .undefined, .none, .bool, .integer, .number, .string, .markup, .range, .iterator, .namespace, .macro, .loop,
      .cycler, .joiner, .function:
      0
    }
  }
}

/// Elements in order; of a list or a tuple.
final class TemplateList {
  let elements: [TemplateValue]
  let nesting: Int
  /// A tuple of `groupby`, whose parts have names.
  let isGroup: Bool

  init(_ elements: [TemplateValue], isGroup: Bool = false) {
    self.elements = elements
    self.isGroup = isGroup
    nesting = 1 + (elements.lazy.map(\.nesting).max() ?? 0)
  }
}

/// Members in their order.
final class TemplateDictionary {
  private(set) var keys: [TemplateValue] = []
  private(set) var values: [TemplateValue] = []
  private var places: [TemplateKey: Int] = [:]
  private(set) var nesting = 1

  var count: Int { keys.count }

  /// Only while it is made.
  func set(_ key: TemplateKey, _ shown: TemplateValue, _ value: TemplateValue) {
    nesting = max(nesting, 1 + max(value.nesting, shown.nesting))
    if let place = places[key] {
      values[place] = value
    } else {
      places[key] = keys.count
      keys.append(shown)
      values.append(value)
    }
  }

  func set(_ name: String, _ value: TemplateValue) { set(.text(Array(name.utf8)), .string(name), value) }

  subscript(key: TemplateKey) -> TemplateValue? { places[key].map { values[$0] } }
  subscript(name: String) -> TemplateValue? { self[.text(Array(name.utf8))] }

  /// The members whose names are strings, as arguments of a call; nil if there are others.
  var named: [(name: String, value: TemplateValue)]? {
    var result: [(name: String, value: TemplateValue)] = []
    for (key, value) in zip(keys, values) {
      guard let name = key.string else { return nil }
      result.append((name, value))
    }
    return result
  }
}

/// What dictionaries find their members by: 1, 1.0 and true are one key, texts are equal by their bytes.
enum TemplateKey: Hashable {
  case none
  case undefined
  case integer(Int)
  case number(Double)
  case text([UInt8])
  case tuple([TemplateKey])
  case object(ObjectIdentifier)
}

struct TemplateRange {
  var start: Int
  var step: Int
  var count: Int
  var stop: Int

  /// Nil for a step of 0 and numbers beyond 64 bits.
  init?(_ start: Int, _ stop: Int, _ step: Int) {
    guard step != 0 else { return nil }
    (self.start, self.stop, self.step) = (start, stop, step)
    let isEmpty = step > 0 ? start >= stop : start <= stop
    guard !isEmpty else {
      count = 0
      return
    }
    let (distance, overflow) =
      step > 0 ? stop.subtractingReportingOverflow(start) : start.subtractingReportingOverflow(stop)
    guard !overflow, let last = Int(exactly: UInt(distance - 1) / step.magnitude) else { return nil }
    count = last + 1
  }

  subscript(index: Int) -> Int { start + index * step }

  /// Where an index would be, also one outside; nil beyond 64 bits.
  func checked(_ index: Int) -> Int? {
    let (offset, overflow) = index.multipliedReportingOverflow(by: step)
    let (place, beyond) = start.addingReportingOverflow(offset)
    return overflow || beyond ? nil : place
  }
}

/// `items()`, `keys()` or `values()` of a dictionary.
struct TemplateView {
  enum Kind: String { case items, keys, values }
  var kind: Kind
  var dictionary: TemplateDictionary
}

/// A function of a value, by its name.
final class TemplateMethod {
  let receiver: TemplateValue
  let name: String

  init(_ receiver: TemplateValue, _ name: String) { (self.receiver, self.name) = (receiver, name) }
}

// MARK: - What can refer to itself

/// An object that may be reached from itself, or head a chain of any length: the evaluator empties all of them when it
/// is done, one after the other, so that nothing is kept for ever and no stack runs out.
protocol TemplateObject: AnyObject {
  func clear()
}

/// The only thing that a template can change: `{% set ns.x = 1 %}`.
final class TemplateNamespace: TemplateObject {
  var members: [String: TemplateValue] = [:]
  func clear() { members = [:] }
}

/// A macro and the names around it.
final class TemplateClosure: TemplateObject {
  let macro: TemplateMacro
  private(set) var scope: TemplateNames?
  init(_ macro: TemplateMacro, _ scope: TemplateNames) { (self.macro, self.scope) = (macro, scope) }
  func clear() { scope = nil }
}

/// The names of one scope that is being run.
final class TemplateNames {
  var values: [String: TemplateValue] = [:]
  let outer: TemplateNames?
  init(outer: TemplateNames?) { self.outer = outer }

  subscript(name: String) -> TemplateValue? {
    var names: TemplateNames? = self
    while let scope = names {
      if let value = scope.values[name] { return value }
      names = scope.outer
    }
    return nil
  }
}

/// Elements that are made when they are asked for, once: what `map`, `select` and the like give.
final class TemplateIterator: TemplateObject {
  typealias Pull = (TemplateEvaluator) throws(Diagnostic) -> TemplateValue?
  private var pull: Pull?
  init(_ pull: @escaping Pull) { self.pull = pull }

  func next(_ run: TemplateEvaluator) throws(Diagnostic) -> TemplateValue? {
    guard let pull else { return nil }
    try run.enter()
    defer { run.leave() }
    if let value = try pull(run) { return value }
    self.pull = nil
    return nil
  }

  func clear() { pull = nil }
}

/// `loop` inside a loop.
final class TemplateLoop: TemplateObject {
  /// What is looped over, if its length is known.
  let count: Int?
  var length: Int?
  let iterator: TemplateIterator
  var buffered: [TemplateValue] = []
  var index0 = -1
  var current: TemplateValue?
  var previous: TemplateValue?
  var lastChanged: [TemplateValue]?
  let depth0: Int
  /// For loops that call themselves.
  var recursion: (loop: TemplateStatement.Loop, scope: TemplateNames)?

  init(_ iterator: TemplateIterator, count: Int?, depth0: Int) {
    (self.iterator, self.count, self.depth0) = (iterator, count, depth0)
  }

  func clear() {
    buffered = []
    (current, previous, lastChanged, recursion) = (nil, nil, nil, nil)
  }

  func next(_ run: TemplateEvaluator) throws(Diagnostic) -> TemplateValue? {
    let value = buffered.isEmpty ? try iterator.next(run) : buffered.removeFirst()
    guard let value else { return nil }
    index0 += 1
    (previous, current) = (current, value)
    return value
  }

  /// The element after the current one, which is then made early.
  func peek(_ run: TemplateEvaluator) throws(Diagnostic) -> TemplateValue? {
    if buffered.isEmpty, let value = try iterator.next(run) { buffered.append(value) }
    return buffered.first
  }

  func length(_ run: TemplateEvaluator) throws(Diagnostic) -> Int {
    if let length = length ?? count { return length }
    while let value = try iterator.next(run) {
      try run.spend(TemplateBudget.element)
      buffered.append(value)
    }
    let length = index0 + 1 + buffered.count
    self.length = length
    return length
  }
}

/// `cycler('a', 'b')`
final class TemplateCycler: TemplateObject {
  private(set) var items: [TemplateValue]
  var position = 0
  init(_ items: [TemplateValue]) { self.items = items }
  func clear() { items = [] }
}

/// `joiner(', ')`
final class TemplateJoiner {
  let separator: String
  var isUsed = false
  init(_ separator: String) { self.separator = separator }
}
