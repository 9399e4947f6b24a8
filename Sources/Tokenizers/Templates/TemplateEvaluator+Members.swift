// Attributes, elements, slices and iteration of a chat template's values, as Python and Jinja's sandbox give them.
// Surprise: what Python has and this does not is an error, never undefined: a template may ask whether it is defined.

import Basics

extension TemplateEvaluator {
  /// `base.name`
  func attribute(_ base: TemplateValue, _ name: String) throws(Diagnostic) -> TemplateValue {
    if case .undefined(let missing) = base { throw mistake("\(missing) is undefined, so it has no '\(name)'") }
    if let own = try ownAttribute(base, name) { return own }
    if case .dictionary(let dictionary) = base, let member = dictionary[name] { return member }
    return .undefined("'\(name)' of \(base.kind)")
  }

  /// `base[index]`
  func element(_ base: TemplateValue, _ index: TemplateValue) throws(Diagnostic) -> TemplateValue {
    if case .undefined(let missing) = base { throw mistake("\(missing) is undefined, so it has no elements") }
    if let element = try subscripted(base, index) { return element }
    if let name = index.string, let own = try ownAttribute(base, name) { return own }
    return .undefined("an element of \(base.kind)")
  }

  private func subscripted(_ base: TemplateValue, _ index: TemplateValue) throws(Diagnostic) -> TemplateValue? {
    func place(_ count: Int) -> Int? {
      guard let index = index.integer else { return nil }
      let place = index < 0 && index >= -count ? index + count : index
      return (0..<count).contains(place) ? place : nil
    }
    switch base {
    case .dictionary(let dictionary): return try hashed(index).flatMap { dictionary[$0] }
    case .list(let list), .tuple(let list): return place(list.elements.count).map { list.elements[$0] }
    case .range(let range): return place(range.count).map { .integer(range[$0]) }
    case .string(let text), .markup(let text):
      guard index.integer != nil else { return nil }
      try spend(8 * text.utf8.count)
      let scalars = text.unicodeScalars
      guard let place = place(scalars.count) else { return nil }
      return base.with(String(scalars[scalars.index(scalars.startIndex, offsetBy: place)]))
    case .undefined, .none, .bool, .integer, .number, .view, .iterator, .namespace, .macro, .loop, .cycler, .joiner,
      .function, .method:
      return nil
    }
  }

  /// What Python's `getattr` finds; undefined for what the sandbox hides.
  private func ownAttribute(_ base: TemplateValue, _ name: String) throws(Diagnostic) -> TemplateValue? {
    if name.hasPrefix("__"), name.hasSuffix("__") {
      if case .dictionary(let dictionary) = base, dictionary[name] != nil {
        throw mistake("the member '\(name)' has the name of what Python keeps to itself")
      }
      return nil
    }
    switch base {
    case .namespace(let namespace): return name.hasPrefix("_") ? nil : namespace.members[name]
    case .loop(let loop): return try TemplateMethods.attribute(of: loop, name, self)
    case .cycler(let cycler) where name == "current": return cycler.items[cycler.position]
    case .tuple(let list) where list.isGroup && (name == "grouper" || name == "list"):
      return list.elements[name == "list" ? 1 : 0]
    case .range(let range) where ["start", "stop", "step"].contains(name):
      return .integer(name == "start" ? range.start : name == "stop" ? range.stop : range.step)
    case .integer, .bool:
      if name == "real" || name == "numerator" { return base.integer.map { .integer($0) } }
      if name == "imag" || name == "denominator" { return .integer(name == "imag" ? 0 : 1) }
    case .number where name == "real" || name == "imag": return name == "real" ? base : .number(0)
    case .macro(let closure) where name == "name":
      return closure.macro.name.map { .string($0) } ?? TemplateValue.none
    case .macro(let closure) where name == "arguments":
      return try tuple(closure.macro.parameters.map { .string($0) })
    default: break
    }
    switch TemplateMethods.standing(of: name, for: base) {
    case .supported: return .method(TemplateMethod(base, name))
    case .unsupported: throw mistake("'\(name)' of \(base.kind) is not supported")
    case .hidden: return .undefined("'\(name)' of \(base.kind)")
    case .unknown: return nil
    }
  }

  // MARK: - Slices

  func slice(_ base: TemplateValue, _ from: Int?, _ to: Int?, _ by: Int?) throws(Diagnostic) -> TemplateValue {
    let step = by ?? 1
    guard step != 0, step != .min else { throw mistake("a slice's step is 0") }
    func bounds(_ count: Int) -> (start: Int, end: Int, step: Int) {
      func place(_ bound: Int?, _ missing: Int) -> Int {
        guard let bound else { return missing }
        let place = bound < 0 ? max(bound, -count - 1) + count : min(bound, count)
        return step > 0 ? max(place, 0) : max(min(place, count - 1), -1)
      }
      let start = place(from, step > 0 ? 0 : count - 1)
      let end = place(to, step > 0 ? count : -1)
      // A step longer than the list takes its first element only.
      return (start, end, max(min(step, count + 1), -count - 1))
    }
    func places(_ count: Int) -> StrideTo<Int> {
      let (start, end, step) = bounds(count)
      return Swift.stride(from: start, to: end, by: step)
    }
    switch base {
    case .list(let list): return try self.list(places(list.elements.count).map { list.elements[$0] })
    case .tuple(let list): return try tuple(places(list.elements.count).map { list.elements[$0] })
    case .string(let text), .markup(let text):
      try make(4 * text.utf8.count)
      try spend(16 * text.utf8.count)
      let scalars = Array(text.unicodeScalars)
      return base.with(PythonText.string(places(scalars.count).map { scalars[$0] }))
    case .range(let range):
      let (start, end, _) = bounds(range.count)
      guard let first = range.checked(start), let last = range.checked(end),
        let cut = TemplateRange(first, last, range.step.multipliedReportingOverflow(by: step).partialValue),
        !range.step.multipliedReportingOverflow(by: step).overflow
      else { throw mistake("a range beyond 64 bits") }
      return .range(cut)
    default: throw mistake("\(base.kind) cannot be cut")
    }
  }

  // MARK: - Iteration

  /// What `list(value)` makes.
  func elements(of value: TemplateValue) throws(Diagnostic) -> [TemplateValue] {
    if case .list(let list) = value { return list.elements }
    if case .tuple(let list) = value { return list.elements }
    let iterator = try iterator(over: value)
    var elements: [TemplateValue] = []
    while let element = try iterator.next(self) {
      try make(TemplateBudget.element)
      elements.append(element)
    }
    return elements
  }

  /// `iter(value)`
  func iterator(over value: TemplateValue) throws(Diagnostic) -> TemplateIterator {
    switch value {
    case .undefined: return try iterator([])
    case .list(let list), .tuple(let list): return try iterator(list.elements)
    case .string(let text), .markup(let text):
      var rest = text.unicodeScalars[...]
      return try keep(
        TemplateIterator { (run) throws(Diagnostic) in
          guard let next = rest.popFirst() else { return nil }
          try run.spend(TemplateBudget.element)
          // Of escaped text too: what is gone over is plain.
          return .string(String(next))
        })
    case .dictionary(let dictionary): return try iterator(dictionary.keys)
    case .view(let view): return try iterator(try elements(of: view))
    case .range(let range):
      var index = 0
      return try keep(
        TemplateIterator { (run) throws(Diagnostic) in
          guard index < range.count else { return nil }
          defer { index += 1 }
          try run.spend(TemplateBudget.element)
          return .integer(range[index])
        })
    case .iterator(let iterator): return iterator
    case .none, .bool, .integer, .number, .namespace, .macro, .loop, .cycler, .joiner, .function, .method:
      throw mistake("\(value.kind) has no elements to go over")
    }
  }

  func iterator(_ elements: [TemplateValue]) throws(Diagnostic) -> TemplateIterator {
    var index = 0
    return try keep(
      TemplateIterator { (run) throws(Diagnostic) in
        guard index < elements.count else { return nil }
        defer { index += 1 }
        try run.spend(TemplateBudget.element)
        return elements[index]
      })
  }

  private func elements(of view: TemplateView) throws(Diagnostic) -> [TemplateValue] {
    switch view.kind {
    case .keys: return view.dictionary.keys
    case .values: return view.dictionary.values
    case .items:
      var pairs: [TemplateValue] = []
      for (key, value) in zip(view.dictionary.keys, view.dictionary.values) { pairs.append(try tuple([key, value])) }
      return pairs
    }
  }

  /// `len(value)`; nil for values without a length.
  func length(of value: TemplateValue) throws(Diagnostic) -> Int? {
    switch value {
    case .undefined: return 0
    case .list(let list), .tuple(let list): return list.elements.count
    case .string(let text), .markup(let text):
      try spend(4 * text.utf8.count)
      return PythonText.scalarCount(text)
    case .dictionary(let dictionary): return dictionary.count
    case .view(let view): return view.dictionary.count
    case .range(let range): return range.count
    case .loop(let loop): return try loop.length(self)
    case .none, .bool, .integer, .number, .iterator, .namespace, .macro, .cycler, .joiner, .function, .method:
      return nil
    }
  }

  func isTrue(_ value: TemplateValue) throws(Diagnostic) -> Bool {
    switch value {
    case .undefined, .none: return false
    case .bool(let value): return value
    case .integer(let value): return value != 0
    case .number(let value): return value != 0
    case .string(let text), .markup(let text): return !text.isEmpty
    case .list(let list), .tuple(let list): return !list.elements.isEmpty
    case .dictionary(let dictionary): return dictionary.count > 0
    case .view(let view): return view.dictionary.count > 0
    case .range(let range): return range.count > 0
    case .loop(let loop): return try loop.length(self) > 0
    case .iterator, .namespace, .macro, .cycler, .joiner, .function, .method: return true
    }
  }

  // MARK: - Keys

  /// What a dictionary finds `value` by; nil for what Python cannot hash.
  func hashed(_ value: TemplateValue) throws(Diagnostic) -> TemplateKey? {
    switch value {
    case .undefined: return .undefined
    case .none: return TemplateKey.none
    case .bool(let value): return .integer(value ? 1 : 0)
    case .integer(let value): return .integer(value)
    case .number(let value): return Int(exactly: value).map { .integer($0) } ?? .number(value)
    case .string(let text), .markup(let text):
      // Copied, hashed, compared.
      try spend(8 * text.utf8.count)
      return .text(Array(text.utf8))
    case .tuple(let list):
      var keys: [TemplateKey] = []
      for element in list.elements {
        try step()
        guard let key = try hashed(element) else { return nil }
        keys.append(key)
      }
      return .tuple(keys)
    case .list, .dictionary: return nil
    case .namespace(let object): return .object(ObjectIdentifier(object))
    case .macro(let object): return .object(ObjectIdentifier(object))
    case .view, .iterator, .range, .loop, .cycler, .joiner, .function, .method:
      throw mistake("\(value.kind) as a key is not supported")
    }
  }

  func key(_ value: TemplateValue) throws(Diagnostic) -> TemplateKey {
    guard let key = try hashed(value) else { throw mistake("\(value.kind) cannot be a key") }
    return key
  }
}

extension TemplateValue {
  /// A text of the same kind, escaped or not.
  func with(_ text: String) -> TemplateValue { isMarkup ? .markup(text) : .string(text) }
}
