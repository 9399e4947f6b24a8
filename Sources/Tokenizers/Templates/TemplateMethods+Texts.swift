// The methods of texts, as Python's `str` has them.
// Surprise: those that would have to escape their arguments in escaped text are errors there.

import Basics

extension TemplateMethods {
  static let texts: [String: TemplateMethodBody] = whole.merging(questions) { $1 }.merging(searches) { $1 }.merging(
    cuts
  ) {
    $1
  }

  /// Methods that take nothing and give a text.
  private static let whole: [String: TemplateMethodBody] = [
    "upper": text(PythonText.uppercased), "lower": text(PythonText.lowercased),
    "capitalize": text(PythonText.capitalized), "title": text(PythonText.titled),
    "swapcase": text(PythonText.caseSwapped),
    "casefold": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.places(0...0)
      let text = value.string ?? ""
      guard text.utf8.allSatisfy({ $0 < 0x80 }) else {
        throw run.mistake("'casefold' of such letters is not supported")
      }
      return value.with(PythonText.lowercased(text))
    },
  ]

  private static func text(_ body: @escaping @Sendable (String) -> String) -> TemplateMethodBody {
    { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.places(0...0)
      let text = value.string ?? ""
      try run.make(4 * text.utf8.count)
      try run.read(text.utf8.count)
      return value.with(body(text))
    }
  }

  // MARK: - Questions

  private static let questions: [String: TemplateMethodBody] = [
    "isalpha": all(PythonText.isLetter), "isalnum": all(PythonText.isLetterOrNumber),
    "isspace": all(PythonText.isSpace),
    "isdecimal": all { $0.properties.numericType == .decimal },
    "isdigit": all { $0.properties.numericType == .decimal || $0.properties.numericType == .digit },
    "isnumeric": all { $0.properties.numericType != nil },
    "isascii": all(orEmpty: true) { $0.isASCII }, "isprintable": all(orEmpty: true, PythonText.isPrintable),
    "isidentifier": question(PythonText.isIdentifier),
    "islower": question { isInCase($0, isUpper: false) }, "isupper": question { isInCase($0, isUpper: true) },
    "istitle": question(isTitled),
  ]

  private static func question(_ holds: @escaping @Sendable (String) -> Bool) -> TemplateMethodBody {
    { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.places(0...0)
      let text = value.string ?? ""
      try run.read(text.utf8.count)
      return .bool(holds(text))
    }
  }

  private static func all(orEmpty: Bool = false, _ holds: @escaping @Sendable (Unicode.Scalar) -> Bool)
    -> TemplateMethodBody
  {
    question { $0.isEmpty ? orEmpty : $0.unicodeScalars.allSatisfy(holds) }
  }

  /// Whether there are letters with a case, and all of them have this one.
  static func isInCase(_ text: String, isUpper: Bool) -> Bool {
    var hasCase = false
    for scalar in text.unicodeScalars {
      if isUpper ? PythonText.isUpper(scalar) : PythonText.isLower(scalar) {
        hasCase = true
      } else if PythonText.isCased(scalar) {
        return false
      }
    }
    return hasCase
  }

  private static func isTitled(_ text: String) -> Bool {
    var (hasCase, isInWord) = (false, false)
    for scalar in text.unicodeScalars {
      if PythonText.isUpper(scalar) || PythonText.isTitle(scalar) {
        if isInWord { return false }
        (hasCase, isInWord) = (true, true)
      } else if PythonText.isLower(scalar) {
        if !isInWord { return false }
        hasCase = true
      } else {
        isInWord = false
      }
    }
    return hasCase
  }

  // MARK: - Searches

  private static let searches: [String: TemplateMethodBody] = [
    "startswith": affix { $0.starts(with: $1) }, "endswith": affix { $0.reversed().starts(with: $1.reversed()) },
    "find": search(fromEnd: false, orFails: false), "rfind": search(fromEnd: true, orFails: false),
    "index": search(fromEnd: false, orFails: true), "rindex": search(fromEnd: true, orFails: true),
    "count": { (value, arguments, run) throws(Diagnostic) in
      let given = try arguments.places(1...3)
      guard let piece = given[0].string else { throw run.mistake("'count' of \(given[0].kind)") }
      guard let part = try part(of: value, Array(given.dropFirst()), run) else { return .integer(0) }
      if piece.isEmpty { return .integer(PythonText.scalarCount(part.bytes) + 1) }
      return .integer(PythonText.split(PythonText.text(part.bytes), at: piece, most: .max).count - 1)
    },
  ]

  /// The part of a text between two bounds, and where it begins, in scalars; nil where the bounds cross.
  private static func part(of value: TemplateValue, _ bounds: [TemplateValue], _ run: TemplateEvaluator)
    throws(Diagnostic) -> (bytes: [UInt8], start: Int)?
  {
    let text = value.string ?? ""
    try run.read(text.utf8.count)
    guard !bounds.isEmpty else { return (Array(text.utf8), 0) }
    let scalars = text.unicodeScalars
    let count = scalars.count
    func bound(_ index: Int, _ missing: Int) throws(Diagnostic) -> Int {
      guard bounds.count > index, !bounds[index].isNone else { return missing }
      guard let bound = bounds[index].integer else { throw run.mistake("\(bounds[index].kind) is no index") }
      return bound < 0 ? max(0, max(bound, -count) + count) : bound
    }
    let (start, end) = (try bound(0, 0), min(try bound(1, count), count))
    guard start <= end else { return nil }
    return (Array(String(scalars.dropFirst(start).prefix(end - start)).utf8), start)
  }

  private static func affix(_ holds: @escaping @Sendable ([UInt8], [UInt8]) -> Bool) -> TemplateMethodBody {
    { (value, arguments, run) throws(Diagnostic) in
      let given = try arguments.places(1...3)
      var pieces = [given[0]]
      if case .tuple(let list) = given[0] { pieces = list.elements }
      let part = try part(of: value, Array(given.dropFirst()), run)
      for piece in pieces {
        guard let piece = piece.string else { throw run.mistake("a beginning or end is \(piece.kind), not a text") }
        if let part, holds(part.bytes, Array(piece.utf8)) { return .bool(true) }
      }
      return .bool(false)
    }
  }

  private static func search(fromEnd: Bool, orFails: Bool) -> TemplateMethodBody {
    { (value, arguments, run) throws(Diagnostic) in
      let given = try arguments.places(1...3)
      guard let piece = given[0].string else { throw run.mistake("a text is searched for \(given[0].kind)") }
      if let part = try part(of: value, Array(given.dropFirst()), run) {
        let wanted = Array(piece.utf8)
        let place =
          fromEnd
          ? PythonText.findLast(wanted, in: part.bytes) : PythonText.find(wanted, in: part.bytes, from: 0)
        if let place { return .integer(part.start + PythonText.scalarCount(part.bytes[..<place])) }
      }
      guard !orFails else { throw run.mistake("a text does not contain what 'index' looks for") }
      return .integer(-1)
    }
  }

  // MARK: - Cutting and joining

  private static let cuts: [String: TemplateMethodBody] = [
    "strip": strip(left: true, right: true), "lstrip": strip(left: true, right: false),
    "rstrip": strip(left: false, right: true),
    "split": split(fromEnd: false), "rsplit": split(fromEnd: true),
    "splitlines": { (value, arguments, run) throws(Diagnostic) in
      guard let keeps = (try arguments.bound(to: "keepends")[0] ?? .bool(false)).integer else {
        throw run.mistake("'splitlines' needs a truth value")
      }
      let text = value.string ?? ""
      try run.make(4 * text.utf8.count)
      try run.read(text.utf8.count)
      return try run.list(PythonText.lines(text, keepingEnds: keeps != 0).map { value.with($0) })
    },
    "partition": partition(fromEnd: false), "rpartition": partition(fromEnd: true),
    "replace": { (value, arguments, run) throws(Diagnostic) in
      let given = try arguments.places(2...3)
      guard let old = given[0].string, let new = given[1].string, !value.isMarkup,
        let count = (given.count > 2 ? given[2] : .integer(-1)).integer
      else { throw run.mistake("'replace' of \(given[0].kind) by \(given[1].kind)") }
      return .string(try replaced(value.string ?? "", old, new, count, run))
    },
    "removeprefix": { (value, arguments, run) throws(Diagnostic) in
      let (text, piece) = (value.string ?? "", try piece(arguments, run))
      try run.make(text.utf8.count)
      return value.with(
        text.utf8.starts(with: piece.utf8) ? PythonText.text(text.utf8.dropFirst(piece.utf8.count)) : text)
    },
    "removesuffix": { (value, arguments, run) throws(Diagnostic) in
      let (text, piece) = (value.string ?? "", try piece(arguments, run))
      try run.make(text.utf8.count)
      let ends = text.utf8.reversed().starts(with: piece.utf8.reversed())
      return value.with(ends ? PythonText.text(text.utf8.dropLast(piece.utf8.count)) : text)
    },
    "join": { (value, arguments, run) throws(Diagnostic) in
      let iterator = try run.iterator(over: try arguments.places(1...1)[0])
      guard !value.isMarkup, let separator = value.string else { throw run.mistake("'join' by escaped text") }
      var result = ""
      var isFirst = true
      while let element = try iterator.next(run) {
        guard let part = element.string else { throw run.mistake("'join' of \(element.kind)") }
        try run.make(part.utf8.count + separator.utf8.count)
        result += isFirst ? part : separator + part
        isFirst = false
      }
      return .string(result)
    },
    "center": justified { (text, width, fill, run) throws(Diagnostic) in try centered(text, width, fill, run) },
    "ljust": justified { (text, width, fill, run) throws(Diagnostic) in
      try PythonFormat.Layout(fill: fill, align: "<", width: width).padded("", text, run)
    },
    "rjust": justified { (text, width, fill, run) throws(Diagnostic) in
      try PythonFormat.Layout(fill: fill, align: ">", width: width).padded("", text, run)
    },
    "zfill": { (value, arguments, run) throws(Diagnostic) in
      guard let width = try arguments.places(1...1)[0].integer else { throw run.mistake("'zfill' needs a width") }
      let text = value.string ?? ""
      let sign = text.first.map { $0 == "+" || $0 == "-" ? String($0) : "" } ?? ""
      let layout = PythonFormat.Layout(fill: "0", align: "=", width: width)
      return value.with(try layout.padded(sign, String(text.dropFirst(sign.count)), run))
    },
    "expandtabs": { (value, arguments, run) throws(Diagnostic) in
      guard let size = (try arguments.bound(to: "tabsize")[0] ?? .integer(8)).integer, size < 1 << 20 else {
        throw run.mistake("'expandtabs' needs a number")
      }
      var result = ""
      var column = 0
      for scalar in (value.string ?? "").unicodeScalars {
        if scalar == "\t" {
          let width = size > 0 ? size - column % size : 0
          try run.make(4 * width + 1)
          try run.spend(width)
          result += String(repeating: " ", count: width)
          column += width
        } else {
          result.unicodeScalars.append(scalar)
          column = scalar == "\n" || scalar == "\r" ? 0 : column + 1
        }
      }
      return value.with(result)
    },
    "format": { (value, arguments, run) throws(Diagnostic) in
      guard !value.isMarkup else { throw run.mistake("'format' of escaped text is not supported") }
      return try run.text(try PythonFormat.fields(value.string ?? "", arguments, run))
    },
  ]

  private static func piece(_ arguments: TemplateArguments, _ run: TemplateEvaluator) throws(Diagnostic) -> String {
    let given = try arguments.places(1...1)[0]
    guard let text = given.string else { throw run.mistake("\(given.kind) where a text should be") }
    return text
  }

  private static func strip(left: Bool, right: Bool) -> TemplateMethodBody {
    { (value, arguments, run) throws(Diagnostic) in
      let given = try arguments.places(0...1).first ?? TemplateValue.none
      guard given.isNone || given.string != nil else { throw run.mistake("a text is stripped of \(given.kind)") }
      let text = value.string ?? ""
      try run.make(text.utf8.count)
      try run.read(text.utf8.count)
      return value.with(PythonText.stripped(text, of: given.string, left: left, right: right))
    }
  }

  private static func split(fromEnd: Bool) -> TemplateMethodBody {
    { (value, arguments, run) throws(Diagnostic) in
      let bound = try arguments.bound(to: "sep", "maxsplit")
      let separator = bound[0] ?? TemplateValue.none
      guard let count = (bound[1] ?? .integer(-1)).integer, separator.isNone || separator.string != nil else {
        throw run.mistake("'split' at \(separator.kind)")
      }
      guard separator.string != "" else { throw run.mistake("'split' at an empty text") }
      let text = value.string ?? ""
      try run.make(4 * text.utf8.count)
      try run.read(text.utf8.count)
      let most = count < 0 ? .max : count
      let parts =
        separator.string.map { PythonText.split(text, at: $0, most: most, fromEnd: fromEnd) }
        ?? PythonText.words(text, most: most, fromEnd: fromEnd)
      return try run.list(parts.map { value.with($0) })
    }
  }

  private static func partition(fromEnd: Bool) -> TemplateMethodBody {
    { (value, arguments, run) throws(Diagnostic) in
      let separator = try piece(arguments, run)
      guard !separator.isEmpty else { throw run.mistake("'partition' at an empty text") }
      let text = value.string ?? ""
      try run.make(4 * text.utf8.count)
      try run.read(text.utf8.count)
      let parts = PythonText.split(text, at: separator, most: 1, fromEnd: fromEnd)
      let whole = parts.count == 2 ? [parts[0], separator, parts[1]] : fromEnd ? ["", "", text] : [text, "", ""]
      return try run.tuple(whole.map { value.with($0) })
    }
  }

  /// `str.replace`; a negative count means all.
  static func replaced(_ text: String, _ old: String, _ new: String, _ count: Int, _ run: TemplateEvaluator)
    throws(Diagnostic) -> String
  {
    try run.make(4 * text.utf8.count)
    try run.read(text.utf8.count)
    let most = count < 0 ? .max : count
    let places = old.isEmpty ? text.utf8.count + 1 : text.utf8.count / old.utf8.count
    if new.utf8.count > 64, !old.isEmpty {
      // What is made is known only once the old text is found.
      let parts = PythonText.split(text, at: old, most: most)
      try run.make(parts.count * new.utf8.count)
      return parts.joined(separator: new)
    }
    try run.make(min(most, places).multipliedReportingOverflow(by: new.utf8.count).partialValue)
    return PythonText.replaced(text, old, by: new, most: most)
  }

  private static func justified(
    _ body: @escaping @Sendable (String, Int, Unicode.Scalar, TemplateEvaluator) throws(Diagnostic) -> String
  ) -> TemplateMethodBody {
    { (value, arguments, run) throws(Diagnostic) in
      let given = try arguments.places(1...2)
      guard let width = given[0].integer, let fill = (given.count > 1 ? given[1] : .string(" ")).string,
        fill.unicodeScalars.count == 1, let fill = fill.unicodeScalars.first, !value.isMarkup || fill == " "
      else { throw run.mistake("a text is justified to \(given[0].kind)") }
      return value.with(try body(value.string ?? "", width, fill, run))
    }
  }

  /// `str.center`, which gives odd rests to the left where the width is odd.
  static func centered(_ text: String, _ width: Int, _ fill: Unicode.Scalar, _ run: TemplateEvaluator)
    throws(Diagnostic) -> String
  {
    let missing = width - text.unicodeScalars.count
    guard missing > 0 else { return text }
    guard width < 1 << 30 else { throw run.mistake("a width of \(width)") }
    try run.make(4 * width)
    let left = missing / 2 + (missing & width & 1)
    func filled(_ count: Int) -> String { String(repeating: String(fill), count: count) }
    return filled(left) + text + filled(missing - left)
  }
}
