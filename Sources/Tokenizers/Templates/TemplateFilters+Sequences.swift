// The filters that take lists, dictionaries and what has elements.
// Surprise: `map`, `select` and their kin make nothing until they are read, once, as in Python; `|list` reads them.

import Basics

extension TemplateFilters {
  static let sequences: [String: TemplateFilter] = [
    "default": initial, "d": initial, "length": length, "count": length,
    "list": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.bound(to: [])
      return try run.list(try run.elements(of: value))
    },
    "first": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.bound(to: [])
      return try run.iterator(over: value).next(run) ?? .undefined("the first of nothing")
    },
    "last": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.bound(to: [])
      switch value {
      case .iterator: throw run.mistake("the filter 'last' of \(value.kind)")
      default: return try run.elements(of: value).last ?? .undefined("the last of nothing")
      }
    },
    "reverse": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.bound(to: [])
      if let text = value.string {
        try run.make(4 * text.utf8.count)
        try run.read(text.utf8.count)
        return value.with(PythonText.string(text.unicodeScalars.reversed()))
      }
      let reversed = Array(try run.elements(of: value).reversed())
      // What can be read only once is made into a list first.
      if case .iterator = value { return try run.list(reversed) }
      return .iterator(try run.iterator(reversed))
    },
    "join": { (value, arguments, run) throws(Diagnostic) in
      let bound = try arguments.bound(to: "d", "attribute")
      let separator = try bound[0].map { value throws(Diagnostic) in try run.text(of: value) } ?? ""
      let path = try TemplatePath(bound[1] ?? .none, run)
      let iterator = try run.iterator(over: value)
      var result = ""
      var isFirst = true
      while let element = try iterator.next(run) {
        if !isFirst { result += separator }
        isFirst = false
        let part = try run.text(of: try path.value(of: element, run))
        try run.make(part.utf8.count + separator.utf8.count)
        result += part
      }
      return .string(result)
    },
    "items": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.bound(to: [])
      switch value {
      case .undefined: return .iterator(try run.iterator([]))
      case .dictionary(let dictionary):
        return .iterator(try run.iterator(over: .view(.init(kind: .items, dictionary: dictionary))))
      default:
        // Found out when it is read.
        return .iterator(
          try run.keep(
            TemplateIterator { (run) throws(Diagnostic) in throw run.mistake("the filter 'items' of \(value.kind)") }))
      }
    },
    "dictsort": dictsort,
    "sort": { (value, arguments, run) throws(Diagnostic) in
      let bound = try arguments.bound(to: "reverse", "case_sensitive", "attribute")
      let elements = try run.elements(of: value)
      let paths: [TemplatePath]
      if let attributes = bound[2]?.string {
        paths = try attributes.split(separator: ",", omittingEmptySubsequences: false).map { part throws(Diagnostic) in
          try TemplatePath(.string(String(part)), run)
        }
      } else {
        paths = [try TemplatePath(bound[2] ?? .none, run)]
      }
      let isSensitive = try flag(bound[1], run)
      var keys: [TemplateValue] = []
      for element in elements {
        var parts: [TemplateValue] = []
        for path in paths { parts.append(try caseless(try path.value(of: element, run), unless: isSensitive, run)) }
        keys.append(try run.list(parts))
      }
      return try run.list(try run.sorted(elements, by: keys, reversed: try order(bound[0], run)))
    },
    "unique": { (value, arguments, run) throws(Diagnostic) in
      let bound = try arguments.bound(to: "case_sensitive", "attribute")
      let isSensitive = try flag(bound[0], run)
      return try lazily(run) { (run) throws(Diagnostic) in
        let path = try TemplatePath(bound[1] ?? .none, run)
        let elements = try run.iterator(over: value)
        var seen: Set<TemplateKey> = []
        return { (run) throws(Diagnostic) in
          while let element = try elements.next(run) {
            try run.make(64)
            let key = try caseless(try path.value(of: element, run), unless: isSensitive, run)
            if seen.insert(try run.key(key)).inserted { return element }
          }
          return nil
        }
      }
    },
    "min": extreme { (run, element, best) throws(Diagnostic) in try run.isLess(element, best) },
    "max": extreme { (run, element, best) throws(Diagnostic) in try run.isLess(best, element) },
    "sum": { (value, arguments, run) throws(Diagnostic) in
      let bound = try arguments.bound(to: "attribute", "start")
      let path = try TemplatePath(bound[0] ?? .none, run)
      var sum = bound[1] ?? .integer(0)
      guard sum.string == nil else { throw run.mistake("the filter 'sum' does not join texts") }
      let iterator = try run.iterator(over: value)
      while let element = try iterator.next(run) {
        sum = try run.binary(.add, sum, try path.value(of: element, run))
      }
      return sum
    },
    "groupby": groupby,
    "batch": { (value, arguments, run) throws(Diagnostic) in
      let bound = try arguments.bound(to: "linecount", "fill_with")
      guard let size = bound[0] else { throw run.mistake("the filter 'batch' needs a count") }
      return try lazily(run) { (run) throws(Diagnostic) in
        let elements = try run.iterator(over: value)
        var part: [TemplateValue] = []
        var isOver = false
        return { (run) throws(Diagnostic) in
          while !isOver, let element = try elements.next(run) {
            try run.make(TemplateBudget.element)
            let isFull = try run.isEqual(.integer(part.count), size)
            let full = part
            if isFull { part = [] }
            part.append(element)
            if isFull { return try run.list(full) }
          }
          guard !isOver, !part.isEmpty else { return nil }
          isOver = true
          if let fill = bound[1], !fill.isNone, try run.isLess(.integer(part.count), size) {
            guard let size = size.integer else { throw run.mistake("the filter 'batch' fills up to \(size.kind)") }
            try run.make(TemplateBudget.element * min(size, 1 << 40))
            part += Array(repeating: fill, count: size - part.count)
          }
          return try run.list(part)
        }
      }
    },
    "slice": slice,
    "attr": { (value, arguments, run) throws(Diagnostic) in
      guard let name = try arguments.bound(to: "name")[0]?.string else { throw run.mistake("'attr' needs a name") }
      // A dictionary's members are no attributes.
      if case .dictionary(let dictionary) = value, dictionary[name] != nil,
        TemplateMethods.standing(of: name, for: value) == .unknown
      {
        return .undefined("'\(name)'")
      }
      return try run.attribute(value, name)
    },
  ]

  static func flag(_ value: TemplateValue?, _ run: TemplateEvaluator) throws(Diagnostic) -> Bool {
    guard let value else { return false }
    return try run.isTrue(value)
  }

  /// Python's `reverse=`, which is a number.
  private static func order(_ value: TemplateValue?, _ run: TemplateEvaluator) throws(Diagnostic) -> Bool {
    guard let flag = (value ?? .bool(false)).integer else { throw run.mistake("'reverse' needs a truth value") }
    return flag != 0
  }

  private static func caseless(_ value: TemplateValue, unless isSensitive: Bool, _ run: TemplateEvaluator)
    throws(Diagnostic) -> TemplateValue
  {
    guard !isSensitive, let text = value.string else { return value }
    try run.make(4 * text.utf8.count)
    try run.read(text.utf8.count)
    return value.with(PythonText.lowercased(text))
  }

  /// A sequence whose making, mistakes included, begins when it is first read.
  private static func lazily(
    _ run: TemplateEvaluator,
    _ begin: @escaping (TemplateEvaluator) throws(Diagnostic) -> TemplateIterator.Pull
  ) throws(Diagnostic) -> TemplateValue {
    var pull: TemplateIterator.Pull?
    return .iterator(
      try run.keep(
        TemplateIterator { (run) throws(Diagnostic) in
          let next: TemplateIterator.Pull
          if let pull { next = pull } else { next = try begin(run) }
          pull = next
          return try next(run)
        }))
  }

  private static let initial: TemplateFilter = { (value, arguments, run) throws(Diagnostic) in
    let bound = try arguments.bound(to: "default_value", "boolean")
    var isReplaced = value.isUndefined
    if !isReplaced, try flag(bound[1], run) { isReplaced = !(try run.isTrue(value)) }
    return isReplaced ? bound[0] ?? .string("") : value
  }

  private static let length: TemplateFilter = { (value, arguments, run) throws(Diagnostic) in
    _ = try arguments.places(0...0)
    guard let length = try run.length(of: value) else { throw run.mistake("\(value.kind) has no length") }
    return .integer(length)
  }

  private static func extreme(
    _ isBetter: @escaping @Sendable (TemplateEvaluator, TemplateValue, TemplateValue) throws(Diagnostic) -> Bool
  ) -> TemplateFilter {
    { (value, arguments, run) throws(Diagnostic) in
      let bound = try arguments.bound(to: "case_sensitive", "attribute")
      let iterator = try run.iterator(over: value)
      let isSensitive = try flag(bound[0], run)
      var path: TemplatePath?
      var best: (element: TemplateValue, key: TemplateValue)?
      while let element = try iterator.next(run) {
        let found: TemplatePath
        if let path { found = path } else { found = try TemplatePath(bound[1] ?? .none, run) }
        path = found
        let key = try caseless(try found.value(of: element, run), unless: isSensitive, run)
        guard let known = best else {
          best = (element, key)
          continue
        }
        if try isBetter(run, key, known.key) { best = (element, key) }
      }
      return best?.element ?? .undefined("the extreme of nothing")
    }
  }

  private static let dictsort: TemplateFilter = { (value, arguments, run) throws(Diagnostic) in
    let bound = try arguments.bound(to: "case_sensitive", "by", "reverse")
    let by = (bound[1] ?? .string("key")).string
    guard by == "key" || by == "value" else { throw run.mistake("the filter 'dictsort' sorts by 'key' or 'value'") }
    guard case .dictionary(let dictionary) = value else { throw run.mistake("the filter 'dictsort' of \(value.kind)") }
    let isSensitive = try flag(bound[0], run)
    var keys: [TemplateValue] = []
    for key in by == "key" ? dictionary.keys : dictionary.values {
      keys.append(try caseless(key, unless: isSensitive, run))
    }
    let pairs = try run.elements(of: .view(.init(kind: .items, dictionary: dictionary)))
    return try run.list(try run.sorted(pairs, by: keys, reversed: try order(bound[2], run)))
  }

  private static let groupby: TemplateFilter = { (value, arguments, run) throws(Diagnostic) in
    let bound = try arguments.bound(to: "attribute", "default", "case_sensitive")
    guard let attribute = bound[0] else { throw run.mistake("the filter 'groupby' needs an attribute") }
    let path = try TemplatePath(attribute, run, initial: bound[1])
    let isSensitive = try flag(bound[2], run)
    let elements = try run.elements(of: value)
    var keys: [TemplateValue] = []
    for element in elements { keys.append(try caseless(try path.value(of: element, run), unless: isSensitive, run)) }
    let order = try run.sorted(elements.indices.map { .integer($0) }, by: keys, reversed: false).compactMap(\.integer)
    var groups: [TemplateValue] = []
    var place = 0
    while place < order.count {
      let first = order[place]
      var members: [TemplateValue] = []
      while place < order.count {
        if !members.isEmpty, !(try run.isEqual(keys[first], keys[order[place]])) { break }
        members.append(elements[order[place]])
        place += 1
      }
      let name = isSensitive ? keys[first] : try path.value(of: elements[first], run)
      groups.append(.tuple(try run.checked([name, try run.list(members)], isGroup: true)))
    }
    return try run.list(groups)
  }

  private static let slice: TemplateFilter = { (value, arguments, run) throws(Diagnostic) in
    let bound = try arguments.bound(to: "slices", "fill_with")
    guard let slices = bound[0] else { throw run.mistake("the filter 'slice' needs a count") }
    return try lazily(run) { (run) throws(Diagnostic) in
      let elements = try run.elements(of: value)
      guard let slices = slices.integer, slices != 0 else {
        throw run.mistake("the filter 'slice' into \(slices.kind)")
      }
      let (size, longer) = slices > 0 ? elements.count.quotientAndRemainder(dividingBy: slices) : (0, 0)
      var index = 0
      return { (run) throws(Diagnostic) in
        guard index < slices else { return nil }
        let start = index * size + min(index, longer)
        var part = Array(elements[start..<(start + size + (index < longer ? 1 : 0))])
        if let fill = bound[1], !fill.isNone, index >= longer { part.append(fill) }
        index += 1
        return try run.list(part)
      }
    }
  }

  // MARK: - Filters that call filters and tests

  static let pickers: [String: TemplateFilter] = [
    "map": { (value, arguments, run) throws(Diagnostic) in
      try lazily(run) { (run) throws(Diagnostic) in
        guard try run.isTrue(value) else { return { (_) throws(Diagnostic) in nil } }
        if arguments.positional.isEmpty, let attribute = arguments["attribute"] {
          guard arguments.named.allSatisfy({ $0.name == "attribute" || $0.name == "default" }) else {
            throw run.mistake("the filter 'map' takes 'attribute' and 'default'")
          }
          let path = try TemplatePath(attribute, run, initial: arguments["default"])
          let elements = try run.iterator(over: value)
          return { (run) throws(Diagnostic) in
            guard let element = try elements.next(run) else { return nil }
            return try path.value(of: element, run)
          }
        }
        guard let first = arguments.positional.first else { throw run.mistake("the filter 'map' needs a filter") }
        let rest = TemplateArguments(positional: Array(arguments.positional.dropFirst()), named: arguments.named)
        let elements = try run.iterator(over: value)
        return { (run) throws(Diagnostic) in
          guard let element = try elements.next(run) else { return nil }
          guard let name = first.string else { throw run.mistake("\(first.kind) is no filter's name") }
          return try run.filter(name, element, rest)
        }
      }
    },
    "select": picker(keeps: true, byAttribute: false), "reject": picker(keeps: false, byAttribute: false),
    "selectattr": picker(keeps: true, byAttribute: true), "rejectattr": picker(keeps: false, byAttribute: true),
  ]

  private static func picker(keeps: Bool, byAttribute: Bool) -> TemplateFilter {
    { (value, arguments, run) throws(Diagnostic) in
      try lazily(run) { (run) throws(Diagnostic) in
        guard try run.isTrue(value) else { return { (_) throws(Diagnostic) in nil } }
        var positional = arguments.positional[...]
        var path: TemplatePath?
        if byAttribute {
          guard let attribute = positional.popFirst() else { throw run.mistake("an attribute's name is missing") }
          path = try TemplatePath(attribute, run)
        }
        let test = positional.popFirst()
        let rest = TemplateArguments(positional: Array(positional), named: arguments.named)
        let elements = try run.iterator(over: value)
        return { (run) throws(Diagnostic) in
          while let element = try elements.next(run) {
            try run.step()
            let subject = try path.map { path throws(Diagnostic) in try path.value(of: element, run) } ?? element
            let holds: Bool
            if let test {
              guard let name = test.string else { throw run.mistake("\(test.kind) is no test's name") }
              holds = try TemplateTests.test(name, subject, rest, run)
            } else {
              holds = try run.isTrue(subject)
            }
            if holds == keeps { return element }
          }
          return nil
        }
      }
    }
  }
}

/// `attribute='a.b.0'` of a filter: the way from an element to what is asked for.
struct TemplatePath {
  private var parts: [TemplateValue] = []
  private let initial: TemplateValue?

  init(_ attribute: TemplateValue, _ run: TemplateEvaluator, initial: TemplateValue? = nil) throws(Diagnostic) {
    self.initial = initial.flatMap { $0.isNone ? nil : $0 }
    if attribute.isNone { return }
    guard let text = attribute.string else {
      parts = [attribute]
      return
    }
    for part in text.split(separator: ".", omittingEmptySubsequences: false) {
      let isNumber = !part.isEmpty && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
      guard !isNumber || Int(part) != nil else { throw run.mistake("the index \(part) has more than 64 bits") }
      parts.append(isNumber ? .integer(Int(part) ?? 0) : .string(String(part)))
    }
    try run.spend(TemplateBudget.element * parts.count)
  }

  func value(of element: TemplateValue, _ run: TemplateEvaluator) throws(Diagnostic) -> TemplateValue {
    var value = element
    for part in parts {
      try run.step()
      value = try run.element(value, part)
      if value.isUndefined, let initial { value = initial }
    }
    return value
  }
}
