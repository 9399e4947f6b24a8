// `'{0:>5} {name.part}'.format(...)`: fields, and the little language after their colons.

import Basics

extension PythonFormat {
  /// `format.format(*arguments)`
  static func fields(_ format: String, _ arguments: TemplateArguments, _ run: TemplateEvaluator) throws(Diagnostic)
    -> String
  {
    var reader = FieldReader(arguments, run)
    return try reader.read(Array(format.unicodeScalars), depth: 2)
  }

  private struct FieldReader {
    private let arguments: TemplateArguments
    private let run: TemplateEvaluator
    /// The place of the next field without a name; nil once fields have numbers.
    private var automatic: Int? = 0

    init(_ arguments: TemplateArguments, _ run: TemplateEvaluator) { (self.arguments, self.run) = (arguments, run) }

    private func mistake(_ what: String) -> Diagnostic { run.mistake("'format': \(what)") }

    mutating func read(_ scalars: [Unicode.Scalar], depth: Int) throws(Diagnostic) -> String {
      guard depth >= 0 else { throw mistake("fields nested too deep") }
      try run.read(scalars.count)
      var text = ""
      var position = 0
      while position < scalars.count {
        let scalar = scalars[position]
        position += 1
        guard scalar == "{" || scalar == "}" else {
          text.unicodeScalars.append(scalar)
          continue
        }
        if position < scalars.count, scalars[position] == scalar {
          text.unicodeScalars.append(scalar)
          position += 1
          continue
        }
        guard scalar == "{" else { throw mistake("a '}' closes nothing") }
        var open = 1
        let start = position
        while position < scalars.count, open > 0 {
          if scalars[position] == "{" { open += 1 }
          if scalars[position] == "}" { open -= 1 }
          position += 1
        }
        guard open == 0 else { throw mistake("a '{' is not closed") }
        text += try field(Array(scalars[start..<(position - 1)]), depth)
        try run.make(text.utf8.count / 16 + 1)
      }
      return text
    }

    private mutating func field(_ scalars: [Unicode.Scalar], _ depth: Int) throws(Diagnostic) -> String {
      var end = scalars.count
      var brackets = 0
      for (index, scalar) in scalars.enumerated() {
        if scalar == "[" { brackets += 1 }
        if scalar == "]" { brackets -= 1 }
        if brackets <= 0, scalar == ":" || scalar == "!" {
          end = index
          break
        }
      }
      var value = try self.value(Array(scalars[..<end]))
      var rest = scalars[end...]
      if rest.first == "!" {
        guard rest.count >= 2, rest.count == 2 || rest[end + 2] == ":" else { throw mistake("a malformed conversion") }
        switch rest[end + 1] {
        case "s": value = .string(try run.text(of: value))
        case "r": value = .string(try run.representation(of: value))
        default: throw mistake("the conversion '!\(rest[end + 1])' is not supported")
        }
        rest = rest.dropFirst(2)
      }
      let specification = try read(Array(rest.dropFirst()), depth: depth - 1)
      return try PythonFormat.formatted(value, specification, run)
    }

    /// `name.attribute[element]`
    private mutating func value(_ scalars: [Unicode.Scalar]) throws(Diagnostic) -> TemplateValue {
      var rest = scalars[...]
      let first = PythonText.string(rest.prefix { $0 != "." && $0 != "[" })
      rest = rest.dropFirst(first.unicodeScalars.count)
      var value = try argument(first)
      while let scalar = rest.popFirst() {
        if scalar == "." {
          let name = PythonText.string(rest.prefix { $0 != "." && $0 != "[" })
          guard !name.isEmpty else { throw mistake("an empty attribute") }
          rest = rest.dropFirst(name.unicodeScalars.count)
          value = try run.attribute(value, name)
        } else if scalar == "[", let end = rest.firstIndex(of: "]") {
          let name = PythonText.string(rest[..<end])
          guard !name.isEmpty else { throw mistake("an empty element") }
          rest = rest[(end + 1)...]
          value = try run.element(value, name.allSatisfy(\.isNumber) ? .integer(Int(name) ?? -1) : .string(name))
        } else {
          throw mistake("a malformed field")
        }
      }
      return value
    }

    private mutating func argument(_ name: String) throws(Diagnostic) -> TemplateValue {
      var place = name.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(name) : nil
      if name.isEmpty {
        guard let next = automatic else { throw mistake("fields with and without numbers") }
        place = next
        automatic = next + 1
      } else if place != nil {
        guard automatic == nil || automatic == 0 else { throw mistake("fields with and without numbers") }
        automatic = nil
      }
      if let place {
        guard arguments.positional.indices.contains(place) else { throw mistake("there is no value \(place)") }
        return arguments.positional[place]
      }
      guard let value = arguments[name] else { throw mistake("there is no value '\(name)'") }
      return value
    }
  }

  // MARK: - The little language

  private struct Specification {
    var layout = Layout()
    var hasAlign = false
    var hasFill = false
    var sign: Unicode.Scalar?
    var isAlternate = false
    var hasZero = false
    var grouping: Unicode.Scalar?
    var precision: Int?
    var type: Unicode.Scalar?

    init?(_ text: String) {
      var rest = Array(text.unicodeScalars)[...]
      func isAlign(_ scalar: Unicode.Scalar?) -> Bool { scalar.map { "<>=^".unicodeScalars.contains($0) } ?? false }
      if rest.count > 1, isAlign(rest[1]) {
        (layout.fill, layout.align, hasAlign, hasFill) = (rest[0], rest[1], true, true)
        rest = rest.dropFirst(2)
      } else if isAlign(rest.first), let align = rest.popFirst() {
        (layout.align, hasAlign) = (align, true)
      }
      if let next = rest.first, "+- ".unicodeScalars.contains(next) { sign = rest.popFirst() }
      if rest.first == "#" { isAlternate = rest.popFirst() != nil }
      if rest.first == "0" { hasZero = rest.popFirst() != nil }
      func number() -> Int? {
        let digits = rest.prefix { ("0"..."9").contains($0) }
        rest = rest.dropFirst(digits.count)
        return digits.isEmpty ? nil : Int(PythonText.string(digits)).flatMap { $0 < 1 << 30 ? $0 : nil } ?? -1
      }
      let width = number()
      layout.width = width ?? 0
      if let next = rest.first, ",_".unicodeScalars.contains(next) { grouping = rest.popFirst() }
      if rest.first == "." {
        rest = rest.dropFirst()
        guard let digits = number(), digits <= mostDigits else { return nil }
        precision = digits
      }
      type = rest.popFirst()
      guard rest.isEmpty, layout.width >= 0, precision ?? 0 >= 0 else { return nil }
    }
  }

  /// `format(value, specification)`
  private static func formatted(_ value: TemplateValue, _ text: String, _ run: TemplateEvaluator) throws(Diagnostic)
    -> String
  {
    guard !text.isEmpty else { return try run.text(of: value) }
    let refusal = run.mistake("'format': \(value.kind) in the form '\(text)' is not supported")
    guard var form = Specification(text) else { throw refusal }
    if let string = value.string {
      guard form.type == nil || form.type == "s", form.sign == nil, !form.isAlternate, form.grouping == nil,
        form.layout.align != "=", !value.isMarkup
      else { throw refusal }
      if !form.hasAlign { form.layout.align = "<" }
      if form.hasZero, !form.hasFill { form.layout.fill = "0" }
      let cut = form.precision.map { PythonText.string(string.unicodeScalars.prefix($0)) } ?? string
      return try form.layout.padded("", cut, run)
    }
    guard let double = value.double else { throw refusal }
    // With an alignment of its own a number is filled with zeros there.
    if form.hasZero, !form.hasFill { form.layout.fill = "0" }
    if form.hasZero, !form.hasAlign { form.layout.align = "=" }
    guard form.grouping == nil || form.layout.align != "=" else { throw refusal }
    func sign(_ isNegative: Bool) -> String { isNegative ? "-" : form.sign == "+" ? "+" : form.sign == " " ? " " : "" }
    if let integer = value.integer, form.type.map({ "bcdoxX".unicodeScalars.contains($0) }) ?? true {
      let (prefix, digits) = try digits(of: integer, form, refusal)
      return try form.layout.padded(sign(integer < 0) + prefix, digits, run)
    }
    guard double.isFinite || form.layout.align != "=" else { throw refusal }
    var body: String
    switch form.type {
    case nil where form.precision == nil && !form.isAlternate: body = representation(of: double.magnitude)
    case nil where !form.isAlternate: body = shortened(double.magnitude, to: max(1, form.precision ?? 6))
    case "e", "E", "f", "F", "g", "G":
      body = printed(
        double.magnitude, form.type ?? "f", precision: form.precision ?? 6, isAlternate: form.isAlternate)
    case "%":
      body = printed(double.magnitude * 100, "f", precision: form.precision ?? 6, isAlternate: form.isAlternate) + "%"
    default: throw refusal
    }
    if let grouping = form.grouping {
      let whole = body.prefix { $0.isNumber }
      body = grouped(String(whole), by: 3, grouping) + body.dropFirst(whole.count)
    }
    return try form.layout.padded(sign(double.sign == .minus && !double.isNaN), body, run)
  }

  /// As "g", but never without a point or an exponent: so one digit less comes before the point.
  private static func shortened(_ value: Double, to digits: Int) -> String {
    guard value.isFinite else { return printed(value, "g", precision: digits) }
    let scientific = printed(value, "e", precision: digits - 1)
    let parts = scientific.split(separator: "e", maxSplits: 1)
    guard parts.count == 2, let exponent = Int(parts[1]) else { return scientific }
    if exponent < -4 || exponent + 1 > digits - 1 {
      var mantissa = parts[0]
      if mantissa.contains(".") {
        while mantissa.last == "0" { mantissa.removeLast() }
        if mantissa.last == "." { mantissa.removeLast() }
      }
      return "\(mantissa)e\(parts[1])"
    }
    let fixed = printed(value, "g", precision: digits)
    return fixed.contains(".") ? fixed : fixed + ".0"
  }

  private static func digits(of integer: Int, _ form: Specification, _ refusal: Diagnostic) throws(Diagnostic)
    -> (prefix: String, digits: String)
  {
    guard form.precision == nil else { throw refusal }
    let radix: Int
    switch form.type {
    case nil, "d": radix = 10
    case "b": radix = 2
    case "o": radix = 8
    case "x", "X": radix = 16
    default: throw refusal
    }
    guard form.grouping != "," || radix == 10 else { throw refusal }
    var digits = String(integer.magnitude, radix: radix, uppercase: form.type == "X")
    if let grouping = form.grouping { digits = grouped(digits, by: radix == 10 ? 3 : 4, grouping) }
    return (form.isAlternate && radix != 10 ? "0\(form.type ?? "x")" : "", digits)
  }

  private static func grouped(_ digits: String, by size: Int, _ separator: Unicode.Scalar) -> String {
    var result = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index).isMultiple(of: size) { result.unicodeScalars.append(separator) }
      result.append(digit)
    }
    return result
  }
}
