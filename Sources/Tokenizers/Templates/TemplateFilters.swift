// The filters of chat templates (`value | name(...)`): which there are, and those that give texts and numbers.
// Jinja's own, with `tojson` as Hugging Face replaces it. Surprise: `random`, `urlize` and `wordwrap` are
// not here; an unknown name is an error that names it, since guessing would put a wrong prompt before
// the model.

import Basics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

typealias TemplateFilter =
  @Sendable (TemplateValue, TemplateArguments, TemplateEvaluator) throws(Diagnostic) -> TemplateValue

enum TemplateFilters {
  static let table: [String: TemplateFilter] = [texts, numbers, sequences, pickers, plain].reduce(into: [:]) {
    $0.merge($1) { $1 }
  }

  /// Filters of Jinja that are not here: used where they are never run, they do no harm.
  static let unsupported: Set<String> = ["random", "urlize", "wordwrap"]

  // MARK: - Texts

  private static let texts: [String: TemplateFilter] = [
    "upper": whole(PythonText.uppercased), "lower": whole(PythonText.lowercased),
    "capitalize": whole(PythonText.capitalized),
    "title": whole(PythonText.wordsTitled, keepsMarkup: false),
    "trim": { (value, arguments, run) throws(Diagnostic) in
      let characters = try arguments.bound(to: "chars")[0]
      let text = try run.text(of: value)
      try run.make(text.utf8.count)
      guard let characters, !characters.isNone else { return value.with(PythonText.stripped(text)) }
      guard let set = characters.string else { throw run.mistake("the filter 'trim' by \(characters.kind)") }
      return value.with(PythonText.stripped(text, of: set))
    },
    "string": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.bound(to: [])
      return value.with(try run.text(of: value))
    },
    "safe": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.bound(to: [])
      return .markup(try run.text(of: value))
    },
    "escape": escape, "e": escape,
    "forceescape": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.bound(to: [])
      return .markup(try escaped(try run.text(of: value), run))
    },
    "replace": { (value, arguments, run) throws(Diagnostic) in
      let bound = try arguments.bound(to: "old", "new", "count")
      guard let old = bound[0], let new = bound[1] else { throw run.mistake("the filter 'replace' takes old and new") }
      let count = try bound[2].flatMap { $0.isNone ? nil : $0 }.map { count throws(Diagnostic) in
        guard let count = count.integer else { throw run.mistake("the filter 'replace' \(count.kind) times") }
        return count
      }
      return .string(
        try TemplateMethods.replaced(
          try run.text(of: value), try run.text(of: old), try run.text(of: new), count ?? -1, run))
    },
    "center": { (value, arguments, run) throws(Diagnostic) in
      guard let width = (try arguments.bound(to: "width")[0] ?? .integer(80)).integer else {
        throw run.mistake("the filter 'center' needs a width")
      }
      return value.with(try TemplateMethods.centered(try run.text(of: value), width, " ", run))
    },
    "indent": indent, "truncate": truncate,
    "wordcount": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.bound(to: [])
      let text = try run.text(of: value)
      try run.read(text.utf8.count)
      return .integer(text.unicodeScalars.split { !PythonText.isWordPart($0) }.count)
    },
    "format": { (value, arguments, run) throws(Diagnostic) in
      guard arguments.positional.isEmpty || arguments.named.isEmpty else {
        throw run.mistake("the filter 'format' takes values by place or by name, not both")
      }
      let text = try run.text(of: value)
      guard !value.isMarkup else { throw run.mistake("the filter 'format' of escaped text is not supported") }
      if arguments.named.isEmpty {
        return try run.binary(.remainder, .string(text), try run.tuple(arguments.positional))
      }
      let dictionary = TemplateDictionary()
      for (name, value) in arguments.named { dictionary.set(name, value) }
      return try run.binary(.remainder, .string(text), try run.checked(dictionary))
    },
    "urlencode": urlencode, "xmlattr": xmlattr,
    "tojson": tojson,
  ]

  /// A filter without arguments that turns a text into another one.
  private static func whole(_ body: @escaping @Sendable (String) -> String, keepsMarkup: Bool = true) -> TemplateFilter
  {
    { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.bound(to: [])
      let text = try run.text(of: value)
      try run.make(4 * text.utf8.count)
      try run.read(text.utf8.count)
      return keepsMarkup ? value.with(body(text)) : .string(body(text))
    }
  }

  private static func escaped(_ text: String, _ run: TemplateEvaluator) throws(Diagnostic) -> String {
    try run.make(6 * text.utf8.count)
    try run.read(text.utf8.count)
    return PythonFormat.escaped(text)
  }

  private static let escape: TemplateFilter = { (value, arguments, run) throws(Diagnostic) in
    _ = try arguments.bound(to: [])
    return value.isMarkup ? value : .markup(try escaped(try run.text(of: value), run))
  }

  private static let indent: TemplateFilter = { (value, arguments, run) throws(Diagnostic) in
    let bound = try arguments.bound(to: "width", "first", "blank")
    guard let text = value.string else { throw run.mistake("the filter 'indent' of \(value.kind)") }
    let width = bound[0] ?? .integer(4)
    guard let margin = width.string ?? width.integer.map({ String(repeating: " ", count: min(max(0, $0), 1 << 20)) })
    else {
      throw run.mistake("the filter 'indent' by \(width.kind)")
    }
    guard !value.isMarkup || width.string == nil else { throw run.mistake("'indent' of escaped text by a text") }
    let indentsBlank = try bound[2].map { value throws(Diagnostic) in try run.isTrue(value) } ?? false
    let indentsFirst = try bound[1].map { value throws(Diagnostic) in try run.isTrue(value) } ?? false
    try run.read(text.utf8.count)
    let lines = PythonText.lines(text + "\n")
    try run.make(text.utf8.count + lines.count * margin.utf8.count)
    var result = indentsFirst ? margin : ""
    for (index, line) in lines.enumerated() {
      if index > 0 { result += "\n" + (line.isEmpty && !indentsBlank ? "" : margin) }
      result += line
    }
    return value.with(result)
  }

  private static let truncate: TemplateFilter = { (value, arguments, run) throws(Diagnostic) in
    let bound = try arguments.bound(to: "length", "killwords", "end", "leeway")
    if value.string == nil, let count = try run.length(of: value), count <= 255, arguments.isEmpty { return value }
    guard case .string(let text) = value, let length = (bound[0] ?? .integer(255)).integer,
      let end = (bound[2] ?? .string("...")).string,
      let leeway = (bound[3].flatMap { $0.isNone ? nil : $0 } ?? .integer(5)).integer
    else { throw run.mistake("the filter 'truncate' of \(value.kind)") }
    try run.make(4 * text.utf8.count)
    let (scalars, endCount) = (text.unicodeScalars, end.unicodeScalars.count)
    guard length >= endCount, leeway >= 0, length < 1 << 40, leeway < 1 << 40 else {
      throw run.mistake("the filter 'truncate' to \(length) with \(leeway) more")
    }
    guard scalars.count > length + leeway else { return value }
    let cut = String(scalars.prefix(length - endCount))
    let killsWords = try bound[1].map { value throws(Diagnostic) in try run.isTrue(value) } ?? false
    return .string((killsWords ? cut : PythonText.split(cut, at: " ", most: 1, fromEnd: true)[0]) + end)
  }

  private static let urlencode: TemplateFilter = { (value, arguments, run) throws(Diagnostic) in
    _ = try arguments.bound(to: [])
    func quoted(_ value: TemplateValue, isQuery: Bool) throws(Diagnostic) -> String {
      let text = try run.text(of: value)
      try run.make(3 * text.utf8.count)
      try run.read(text.utf8.count)
      var result = ""
      for byte in text.utf8 {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
          result.unicodeScalars.append(Unicode.Scalar(byte))
        case UInt8(ascii: "/") where !isQuery: result += "/"
        case UInt8(ascii: " ") where isQuery: result += "+"
        default:
          let digits = String(byte, radix: 16, uppercase: true)
          result += "%" + (digits.count < 2 ? "0" : "") + digits
        }
      }
      return result
    }
    let pairs: [TemplateValue]
    switch value {
    case .dictionary(let dictionary): pairs = try run.elements(of: .view(.init(kind: .items, dictionary: dictionary)))
    case .list, .tuple, .view, .iterator, .range, .undefined: pairs = try run.elements(of: value)
    default: return .string(try quoted(value, isQuery: false))
    }
    var parts: [String] = []
    for pair in pairs {
      let parted = try run.elements(of: pair)
      guard parted.count == 2 else { throw run.mistake("the filter 'urlencode' needs pairs") }
      parts.append("\(try quoted(parted[0], isQuery: true))=\(try quoted(parted[1], isQuery: true))")
    }
    return .string(parts.joined(separator: "&"))
  }

  private static let xmlattr: TemplateFilter = { (value, arguments, run) throws(Diagnostic) in
    let space = try arguments.bound(to: "autospace")[0]
    guard case .dictionary(let dictionary) = value else { throw run.mistake("the filter 'xmlattr' of \(value.kind)") }
    var parts: [String] = []
    for (key, value) in zip(dictionary.keys, dictionary.values) where !value.isNone && !value.isUndefined {
      guard let name = key.string,
        !name.unicodeScalars.contains(where: { " \t\n\r\u{B}\u{C}/>=".unicodeScalars.contains($0) })
      else { throw run.mistake("the filter 'xmlattr': \(key.kind) is no attribute's name") }
      func part(_ value: TemplateValue) throws(Diagnostic) -> String {
        let text = try run.text(of: value)
        return value.isMarkup ? text : try escaped(text, run)
      }
      parts.append("\(try part(key))=\"\(try part(value))\"")
    }
    let joined = parts.joined(separator: " ")
    let hasSpace = try space.map { space throws(Diagnostic) in try run.isTrue(space) } ?? true
    return .string(hasSpace && !joined.isEmpty ? " " + joined : joined)
  }

  private static let tojson: TemplateFilter = { (value, arguments, run) throws(Diagnostic) in
    let bound = try arguments.bound(to: "ensure_ascii", "indent", "separators", "sort_keys")
    func flag(_ index: Int) throws(Diagnostic) -> Bool {
      try bound[index].map { value throws(Diagnostic) in try run.isTrue(value) } ?? false
    }
    var indent: String?
    if let given = bound[1], !given.isNone {
      guard let text = given.string ?? given.integer.map({ String(repeating: " ", count: min(max(0, $0), 1 << 20)) })
      else {
        throw run.mistake("the filter 'tojson' indented by \(given.kind)")
      }
      indent = text
    }
    var separators: (item: String, key: String)?
    if let given = bound[2], !given.isNone {
      let parts = try run.elements(of: given)
      guard parts.count == 2, let item = parts[0].string, let key = parts[1].string else {
        throw run.mistake("the filter 'tojson' needs two texts as separators")
      }
      separators = (item, key)
    }
    var json = TemplateJSON(
      indent: indent, isASCII: try flag(0), separators: separators, sortsKeys: try flag(3))
    try json.write(value, run)
    return .string(json.text)
  }

  // MARK: - Numbers

  private static let numbers: [String: TemplateFilter] = [
    "abs": { (value, arguments, run) throws(Diagnostic) in
      _ = try arguments.bound(to: [])
      if let integer = value.integer {
        guard integer != .min else { throw run.mistake("a number beyond 64 bits") }
        return .integer(abs(integer))
      }
      guard case .number(let number) = value else { throw run.mistake("the filter 'abs' of \(value.kind)") }
      return .number(number.magnitude)
    },
    "int": { (value, arguments, run) throws(Diagnostic) in
      let bound = try arguments.bound(to: "default", "base")
      guard let base = (bound[1] ?? .integer(10)).integer else { throw run.mistake("the filter 'int' needs a base") }
      return try integer(value, base, run) ?? bound[0] ?? .integer(0)
    },
    "float": { (value, arguments, run) throws(Diagnostic) in
      let initial = try arguments.bound(to: "default")[0] ?? .number(0)
      if case .undefined(let name) = value { throw run.mistake("\(name) is undefined, so it is no number") }
      let number = try value.string.map { text throws(Diagnostic) in try PythonNumber.float(text, run) } ?? value.double
      return number.map { .number($0) } ?? initial
    },
    "round": round,
    "filesizeformat": { (value, arguments, run) throws(Diagnostic) in
      let isBinary =
        try arguments.bound(to: "binary")[0].map { value throws(Diagnostic) in try run.isTrue(value) } ?? false
      let number = try value.string.map { text throws(Diagnostic) in try PythonNumber.float(text, run) } ?? value.double
      guard let bytes = number, bytes.isFinite, bytes < 1e30, bytes > -9e18 else {
        throw run.mistake("the filter 'filesizeformat' of \(value.kind)")
      }
      if bytes == 1 { return .string("1 Byte") }
      let base: Double = isBinary ? 1024 : 1000
      if bytes < base { return .string("\(Int(bytes)) Bytes") }
      var unit = base
      let prefixes = ["k", "M", "G", "T", "P", "E", "Z", "Y"]
      for (index, prefix) in prefixes.enumerated() {
        unit *= base
        if bytes < unit || index == prefixes.count - 1 {
          let name = isBinary ? prefix.uppercased() + "iB" : prefix + "B"
          return .string("\(PythonFormat.printed(base * bytes / unit, "f", precision: 1)) \(name)")
        }
      }
      return .undefined("a size")
    },
  ]

  /// What Python's `int` makes of it; nil for what is no number.
  private static func integer(_ value: TemplateValue, _ base: Int, _ run: TemplateEvaluator) throws(Diagnostic)
    -> TemplateValue?
  {
    if case .undefined(let name) = value { throw run.mistake("\(name) is undefined, so it is no number") }
    if let integer = value.integer { return .integer(integer) }
    var number: Double?
    if let text = value.string {
      if let integer = try PythonNumber.integer(text, base: base, run) { return .integer(integer) }
      number = try PythonNumber.float(text, run)
      if number.map({ !$0.isFinite }) ?? true { return nil }
    } else if case .number(let given) = value {
      number = given
    }
    guard let number, !number.isNaN else { return nil }
    guard let integer = Int(exactly: number.rounded(.towardZero)) else { throw run.mistake("a number beyond 64 bits") }
    return .integer(integer)
  }

  private static let round: TemplateFilter = { (value, arguments, run) throws(Diagnostic) in
    let bound = try arguments.bound(to: "precision", "method")
    let method = (bound[1] ?? .string("common")).string ?? ""
    guard let precision = (bound[0] ?? .integer(0)).integer, (-300...300).contains(precision),
      ["common", "ceil", "floor"].contains(method), let number = value.double
    else { throw run.mistake("the filter 'round' of \(value.kind)") }
    if method == "common", let integer = value.integer {
      if precision >= 0 { return .integer(integer) }
      guard precision > -18 else { return .integer(0) }
      var unit = 1
      for _ in 0..<(-precision) { unit *= 10 }
      // Half goes to the even one.
      let (quotient, rest) = (integer / unit, abs(integer % unit))
      let isUp = rest > unit - rest || rest == unit - rest && !quotient.isMultiple(of: 2)
      return try run.binary(.multiply, .integer(quotient + (isUp ? integer.signum() : 0)), .integer(unit))
    }
    if method == "common" {
      guard number.isFinite else { return .number(number) }
      // Rounding as printing does it is exact; what is not printed exactly is not rounded.
      guard precision >= 0 || number.magnitude < 1e15 else { throw run.mistake("'round' of a number too large") }
      if precision < 0 {
        let unit = pow(10, Double(-precision))
        return .number((number / unit).rounded(.toNearestOrEven) * unit)
      }
      return .number(Double(PythonFormat.printed(number, "f", precision: precision)) ?? number)
    }
    guard precision >= 0, precision < 18 else { throw run.mistake("'round' up or down to \(precision) digits") }
    let unit = try run.binary(.power, .integer(10), .integer(precision))
    let scaled = try run.binary(.multiply, value, unit)
    guard let scaled = scaled.double, let whole = Int(exactly: scaled.rounded(method == "ceil" ? .up : .down)) else {
      throw run.mistake("'round' of a number too large")
    }
    return try run.binary(.divide, .integer(whole), unit)
  }
}

/// Numbers as Python reads them from texts.
enum PythonNumber {
  /// `float(text)`; nil for what is none.
  static func float(_ text: String, _ run: TemplateEvaluator) throws(Diagnostic) -> Double? {
    try run.spend(text.utf8.count)
    let trimmed = PythonText.stripped(text)
    guard let clean = try digits(trimmed, run) else { return nil }
    let body = clean.hasPrefix("-") || clean.hasPrefix("+") ? String(clean.dropFirst()) : clean
    if ["inf", "infinity", "nan"].contains(body.lowercased()) { return Double(clean.lowercased()) }
    guard let first = body.utf8.first, (0x30...0x39).contains(first) || first == UInt8(ascii: "."),
      body.utf8.allSatisfy({ (0x30...0x39).contains($0) || ".eE+-".utf8.contains($0) }),
      body.utf8.contains(where: { (0x30...0x39).contains($0) })
    else { return nil }
    // Python takes "1." and ".5".
    let padded = (body.hasPrefix(".") ? "0" : "") + body.replacing(".e", with: ".0e").replacing(".E", with: ".0E")
    guard let value = Double(padded.hasSuffix(".") ? padded + "0" : padded) else { return nil }
    return clean.hasPrefix("-") ? -value : value
  }

  /// `int(text, base)`; nil for what is none.
  static func integer(_ text: String, base: Int, _ run: TemplateEvaluator) throws(Diagnostic) -> Int? {
    guard base == 0 || (2...36).contains(base) else { return nil }
    try run.spend(text.utf8.count)
    guard var body = try digits(PythonText.stripped(text), run, isRadix: true) else { return nil }
    let isNegative = body.hasPrefix("-")
    if isNegative || body.hasPrefix("+") { body.removeFirst() }
    var radix = base
    for (letter, value) in [("x", 16), ("o", 8), ("b", 2)] where base == value || base == 0 {
      guard body.lowercased().hasPrefix("0" + letter) else { continue }
      body.removeFirst(2)
      radix = value
      break
    }
    if radix == 0 {
      guard !body.hasPrefix("0") || body.allSatisfy({ $0 == "0" }) else { return nil }
      radix = 10
    }
    guard let first = body.first, first != "+", first != "-" else { return nil }
    if let value = Int((isNegative ? "-" : "") + body, radix: radix) { return value }
    guard body.utf8.allSatisfy({ (Character(Unicode.Scalar($0)).isLetter || (0x30...0x39).contains($0)) }),
      body.allSatisfy({ $0.isASCII && ($0.hexDigitValue ?? 99) < min(radix, 16) })
    else { return nil }
    throw run.mistake("the number \(body.prefix(40)) has more than 64 bits")
  }

  /// The text without the underscores that may stand between digits; nil for others.
  private static func digits(_ text: String, _ run: TemplateEvaluator, isRadix: Bool = false) throws(Diagnostic)
    -> String?
  {
    guard text.utf8.allSatisfy({ $0 < 0x80 }) else {
      guard text.unicodeScalars.contains(where: { !$0.isASCII && $0.properties.numericType == .decimal }) else {
        return nil
      }
      throw run.mistake("digits of other scripts are not supported")
    }
    var result: [UInt8] = []
    let bytes = Array(text.utf8)
    func isDigit(_ index: Int) -> Bool {
      guard bytes.indices.contains(index) else { return false }
      return (0x30...0x39).contains(bytes[index])
        || isRadix && ((0x41...0x5A).contains(bytes[index]) || (0x61...0x7A).contains(bytes[index]))
    }
    for (index, byte) in bytes.enumerated() {
      if byte == UInt8(ascii: "_") {
        guard isDigit(index - 1), isDigit(index + 1) else { return nil }
      } else {
        result.append(byte)
      }
    }
    return PythonText.text(result)
  }
}
