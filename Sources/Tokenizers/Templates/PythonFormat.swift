// Numbers as Python writes them, and Python's two ways to format: `'%5.2f' % x` and `'{:>5}'.format(x)`.
// Surprise: rare forms (locales, precision without a type, grouped zeros) are errors, never something near.

import Basics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

enum PythonFormat {
  /// `repr` of a float: the shortest digits that read back, with an exponent from 1e16 and below 1e-4.
  static func representation(of value: Double) -> String {
    guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
    // Swift finds the same digits, but changes to exponents elsewhere.
    var mantissa = value.magnitude.description
    var exponent = 0
    if let mark = mantissa.firstIndex(of: "e") {
      exponent = Int(mantissa[mantissa.index(after: mark)...]) ?? 0
      mantissa = String(mantissa[..<mark])
    }
    let parts = mantissa.split(separator: ".")
    var digits = parts.joined()
    // The value is 0.digits * 10^point.
    var point = exponent + (parts.first?.count ?? 0)
    let zeros = digits.prefix { $0 == "0" }.count
    digits.removeFirst(zeros)
    point -= zeros
    while digits.last == "0" { digits.removeLast() }
    let sign = value.sign == .minus ? "-" : ""
    guard !digits.isEmpty else { return sign + "0.0" }
    if point > 16 || point < -3 {
      let power = point - 1
      let written = String(power.magnitude)
      return sign + digits.prefix(1) + (digits.count > 1 ? "." : "") + digits.dropFirst() + "e"
        + (power < 0 ? "-" : "+") + (written.count < 2 ? "0" : "") + written
    }
    if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + digits }
    if digits.count <= point { return sign + digits + String(repeating: "0", count: point - digits.count) + ".0" }
    return sign + digits.prefix(point) + "." + digits.dropFirst(point)
  }

  /// As C's printf writes `value`: exactly rounded. The type is one of e, f, g or their capitals.
  static func printed(_ value: Double, _ type: Unicode.Scalar, precision: Int, isAlternate: Bool = false) -> String {
    let format = "%\(isAlternate ? "#" : "").\(precision)\(type)"
    return withVaList([value]) { list in
      var buffer = [CChar](repeating: 0, count: 400 + precision)
      let count = vsnprintf(&buffer, buffer.count, format, list)
      return String(decoding: buffer.prefix(max(0, Int(count))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
  }

  /// Digits asked for beyond these are an error.
  static let mostDigits = 1000

  /// HTML's own signs as entities.
  static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "'": result += "&#39;"
      case "\"": result += "&#34;"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// What stands before and after the digits of a number, and how wide it all is.
  struct Layout {
    var fill: Unicode.Scalar = " "
    /// `<`, `>`, `^`, or `=`, which fills between sign and digits.
    var align: Unicode.Scalar = ">"
    var width = 0

    func padded(_ prefix: String, _ body: String, _ run: TemplateEvaluator) throws(Diagnostic) -> String {
      let count = prefix.unicodeScalars.count + body.unicodeScalars.count
      guard width > count else { return prefix + body }
      guard width < 1 << 30 else { throw run.mistake("a width of \(width)") }
      try run.make(4 * width)
      let missing = width - count
      func filled(_ count: Int) -> String { String(repeating: String(fill), count: count) }
      switch align {
      case "<": return prefix + body + filled(missing)
      case "^": return filled(missing / 2) + prefix + body + filled(missing - missing / 2)
      case "=": return prefix + filled(missing) + body
      default: return filled(missing) + prefix + body
      }
    }
  }

  // MARK: - '%'

  /// `format % value`
  static func percent(_ format: String, _ value: TemplateValue, _ run: TemplateEvaluator) throws(Diagnostic) -> String {
    var reader = PercentReader(format, value, run)
    return try reader.read()
  }

  private struct PercentReader {
    private let scalars: [Unicode.Scalar]
    private var position = 0
    private let value: TemplateValue
    private var arguments: [TemplateValue]
    private var used = 0
    private let run: TemplateEvaluator

    init(_ format: String, _ value: TemplateValue, _ run: TemplateEvaluator) {
      scalars = Array(format.unicodeScalars)
      (self.value, self.run) = (value, run)
      if case .tuple(let list) = value { arguments = list.elements } else { arguments = [value] }
    }

    private func mistake(_ what: String) -> Diagnostic { run.mistake("'%' formatting: \(what)") }

    mutating func read() throws(Diagnostic) -> String {
      try run.read(scalars.count)
      var text = ""
      var isByName = false
      while position < scalars.count {
        let scalar = scalars[position]
        position += 1
        if scalar == "%" {
          text += try conversion(&isByName)
        } else {
          text.unicodeScalars.append(scalar)
        }
      }
      let takesAny: Bool
      switch value {
      case .dictionary, .list, .range, .undefined: takesAny = true
      default: takesAny = isByName
      }
      guard used == arguments.count || takesAny else { throw mistake("not all values are used") }
      return text
    }

    private mutating func next() throws(Diagnostic) -> TemplateValue {
      guard used < arguments.count else { throw mistake("not enough values") }
      used += 1
      return arguments[used - 1]
    }

    private mutating func number() throws(Diagnostic) -> Int? {
      if position < scalars.count, scalars[position] == "*" {
        position += 1
        guard let number = try next().integer, number.magnitude < 1 << 30 else {
          throw mistake("'*' needs an integer that is not too large")
        }
        return number
      }
      var number: Int?
      while position < scalars.count, ("0"..."9").contains(scalars[position]) {
        number = (number ?? 0) * 10 + Int(scalars[position].value - 0x30)
        guard number ?? 0 < 1 << 30 else { throw mistake("a width too large") }
        position += 1
      }
      return number
    }

    private mutating func conversion(_ isByName: inout Bool) throws(Diagnostic) -> String {
      var named: TemplateValue?
      if position < scalars.count, scalars[position] == "(" {
        guard case .dictionary(let dictionary) = value else { throw mistake("names need a dictionary") }
        var depth = 1
        var name: [Unicode.Scalar] = []
        position += 1
        while position < scalars.count {
          let scalar = scalars[position]
          position += 1
          if scalar == "(" { depth += 1 }
          if scalar == ")" {
            depth -= 1
            if depth == 0 { break }
          }
          name.append(scalar)
        }
        guard depth == 0, let found = dictionary[PythonText.string(name)] else {
          throw mistake("the dictionary has no '\(PythonText.string(name))'")
        }
        named = found
        isByName = true
      }
      var flags: Set<Unicode.Scalar> = []
      while position < scalars.count, "#0- +".unicodeScalars.contains(scalars[position]) {
        flags.insert(scalars[position])
        position += 1
      }
      var width = try number()
      if let given = width, given < 0 {
        flags.insert("-")
        width = -given
      }
      var precision: Int?
      if position < scalars.count, scalars[position] == "." {
        position += 1
        precision = max(0, try number() ?? 0)
      }
      while position < scalars.count, "hlL".unicodeScalars.contains(scalars[position]) { position += 1 }
      guard position < scalars.count else { throw mistake("the format ends early") }
      let type = scalars[position]
      position += 1
      if type == "%" {
        guard flags.isEmpty, width == nil, precision == nil, named == nil else { throw mistake("'%%' with a width") }
        return "%"
      }
      let value: TemplateValue
      if let named { value = named } else { value = try next() }
      return try PythonFormat.converted(value, type, flags, width ?? 0, precision, run)
    }
  }

  private static func converted(
    _ value: TemplateValue, _ type: Unicode.Scalar, _ flags: Set<Unicode.Scalar>, _ width: Int, _ precision: Int?,
    _ run: TemplateEvaluator
  ) throws(Diagnostic) -> String {
    func mistake(_ what: String) -> Diagnostic { run.mistake("'%\(type)' of \(value.kind)\(what)") }
    var layout = Layout(width: width)
    if flags.contains("-") { layout.align = "<" }
    func sign(_ isNegative: Bool) -> String {
      isNegative ? "-" : flags.contains("+") ? "+" : flags.contains(" ") ? " " : ""
    }
    func zeros() {
      if flags.contains("0"), !flags.contains("-") { (layout.fill, layout.align) = ("0", "=") }
    }
    guard precision ?? 0 <= mostDigits else { throw mistake(": too many digits") }
    switch type {
    case "s", "r":
      let text = type == "s" ? try run.text(of: value) : try run.representation(of: value)
      return try layout.padded("", precision.map { PythonText.string(text.unicodeScalars.prefix($0)) } ?? text, run)
    case "c":
      if let text = value.string, text.unicodeScalars.count == 1 { return try layout.padded("", text, run) }
      guard let code = value.integer, let code = UInt32(exactly: code), let scalar = Unicode.Scalar(code) else {
        throw mistake("")
      }
      return try layout.padded("", String(scalar), run)
    case "d", "i", "u", "x", "X", "o":
      var integer = value.integer
      if case .number(let number) = value, !"xXo".unicodeScalars.contains(type) {
        integer = Int(exactly: number.rounded(.towardZero))
      }
      guard let integer else { throw mistake("") }
      let radix = type == "o" ? 8 : type == "x" || type == "X" ? 16 : 10
      var digits = String(integer.magnitude, radix: radix, uppercase: type == "X")
      if let precision, digits.count < precision {
        digits = String(repeating: "0", count: precision - digits.count) + digits
      }
      zeros()
      let prefix = flags.contains("#") && radix != 10 ? "0\(type)" : ""
      return try layout.padded(sign(integer < 0) + prefix, digits, run)
    case "e", "E", "f", "F", "g", "G":
      guard let number = value.double else { throw mistake("") }
      guard number.isFinite || !flags.contains("0") else { throw mistake(" with zeros") }
      zeros()
      let body = printed(number.magnitude, type, precision: precision ?? 6, isAlternate: flags.contains("#"))
      return try layout.padded(sign(number.sign == .minus && !number.isNaN), body, run)
    default: throw mistake(" is not supported")
    }
  }
}
