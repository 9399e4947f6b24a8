// The settings in a model's file (metadata of a GGUF file, config.json), read one by one within their ranges.
// Not a dictionary: it knows what was asked for. Surprise: what nobody asked for is an error in the end, because a
// setting that is ignored gives other numbers without a word.
import Basics
import Formats

/// A value of a setting, whatever file it comes from.
protocol SettingValue: Sendable {
  var asInteger: Int? { get }
  var asNumber: Double? { get }
  var asText: String? { get }
  var asFlag: Bool? { get }
  /// The elements of a list of integers.
  var asIntegers: [Int]? { get }
  /// How messages quote it.
  var shown: String { get }
}

extension GGUFValue: SettingValue {
  var asInteger: Int? { integer }
  var asNumber: Double? { number }
  var asText: String? { string }
  var asFlag: Bool? { bool }
  var asIntegers: [Int]? { array.flatMap { try? $0.integers() } }
  var shown: String {
    switch self {
    case .u8, .i8, .u16, .i16, .u32, .i32, .i64: integer.map(String.init) ?? "\(type)"
    case .u64(let value): "\(value)"
    case .f32(let value): "\(value)"
    case .f64(let value): "\(value)"
    case .bool(let value): "\(value)"
    case .string(let value): Setting.quoted(value)
    case .array(let value): "\(value.count) elements of type \(value.elementType)"
    }
  }
}

extension JSON: SettingValue {
  var asInteger: Int? { int }
  var asNumber: Double? { double }
  var asText: String? { string }
  var asFlag: Bool? { bool }
  var asIntegers: [Int]? {
    guard let array else { return nil }
    let integers = array.compactMap(\.int)
    return integers.count == array.count ? integers : nil
  }
  var shown: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .string(let value): Setting.quoted(value)
    case .array(let value): "a list of \(value.count)"
    case .object(let value): "an object of \(value.count) members"
    }
  }
}

/// What settings may be.
enum Setting {
  /// A count that no model exceeds: the product of three still fits an Int.
  static let count = 1...1_048_576
  /// Rows of a table, positions of a text.
  static let length = 1...Int(Int32.max)

  static func quoted(_ text: String) -> String {
    let start = text.unicodeScalars.prefix(60).map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 }
    var shown = String.UnicodeScalarView(start)
    if text.unicodeScalars.count > 60 { shown.append("…") }
    return "'\(String(shown))'"
  }
}

/// The settings of one file.
final class ModelSettings {
  /// The file, as messages name it.
  let place: String
  private let keys: [String]
  private let values: [String: any SettingValue]
  private var read: Set<String> = []

  /// The metadata of `file` whose keys begin with `prefix`.
  init(_ file: GGUFFile, prefix: String) {
    place = file.file.path
    keys = file.keys.filter { $0.hasPrefix(prefix) }
    values = file.metadata
  }

  /// The members of a JSON object; null is the same as none.
  init(_ json: JSON, place: String) throws(Diagnostic) {
    guard let members = json.members else {
      throw Diagnostic(.format, "\(place): holds \(json.shown), an object was expected", remedy: Self.remedy)
    }
    self.place = place
    let present = members.filter { !$0.value.isNull }
    keys = present.map(\.key)
    values = Dictionary(present.map { ($0.key, $0.value) }) { $1 }
  }

  static let remedy = "fetch the model again, or convert it with a current tool"

  func mistake(_ what: String, remedy: String = ModelSettings.remedy) -> Diagnostic {
    Diagnostic(.format, "\(place): \(what)", remedy: remedy)
  }

  // MARK: Reading

  func has(_ key: String) -> Bool { values[key] != nil }

  /// The keys of all settings, in the order of the file.
  var names: [String] { keys }

  /// The value at `key`, which counts as used from now on.
  func value(_ key: String) -> (any SettingValue)? {
    read.insert(key)
    return values[key]
  }

  private func value<Value>(
    _ key: String, _ wanted: String, _ standard: Value?, _ convert: (any SettingValue) -> Value?
  ) throws(Diagnostic) -> Value {
    guard let value = value(key) else {
      guard let standard else { throw mistake("the setting '\(key)' is missing, \(wanted) was expected") }
      return standard
    }
    guard let result = convert(value) else {
      throw mistake("the setting '\(key)' is \(value.shown), \(wanted) was expected")
    }
    return result
  }

  /// The integer at `key`; `standard` where the file has none.
  func integer(
    _ key: String, in range: ClosedRange<Int> = Setting.count, standard: Int? = nil
  ) throws(Diagnostic) -> Int {
    try value(key, "an integer in \(range)", standard) { $0.asInteger.flatMap { range.contains($0) ? $0 : nil } }
  }

  /// The integer at `key`, or the one that all elements of the list there are.
  func uniformInteger(_ key: String, layers: Int, standard: Int? = nil) throws(Diagnostic) -> Int {
    let wanted = "an integer in \(Setting.count), the same in all layers,"
    return try value(key, wanted, standard) { value in
      guard let list = value.asInteger.map({ [$0] }) ?? value.asIntegers, let first = list.first,
        value.asInteger != nil || list.count == layers
      else { return nil }
      return list.allSatisfy { $0 == first } && Setting.count.contains(first) ? first : nil
    }
  }

  /// The number at `key`.
  func number(_ key: String, in range: ClosedRange<Double>, standard: Double? = nil) throws(Diagnostic) -> Double {
    let wanted = "a number from \(range.lowerBound) to \(range.upperBound)"
    return try value(key, wanted, standard) { $0.asNumber.flatMap { range.contains($0) ? $0 : nil } }
  }

  /// The text at `key`.
  func text(_ key: String, standard: String? = nil) throws(Diagnostic) -> String {
    try value(key, "a text", standard) { $0.asText }
  }

  /// The truth value at `key`.
  func flag(_ key: String, standard: Bool? = nil) throws(Diagnostic) -> Bool {
    try value(key, "true or false", standard) { $0.asFlag }
  }

  // MARK: Refusing

  /// Refuses a setting that asks for what no model here does; a value that `isNeutral` asks for nothing.
  func refuse(
    _ key: String, _ meaning: String, unless isNeutral: (any SettingValue) -> Bool
  ) throws(Diagnostic) {
    guard let value = value(key), !isNeutral(value) else { return }
    throw mistake(
      "the setting '\(key)' is \(value.shown): \(meaning) not supported", remedy: "use a model that does without it")
  }

  /// Refuses what nobody asked for, but for settings that say nothing about the numbers.
  func refuseUnread(_ whose: String, except isInformation: (String) -> Bool) throws(Diagnostic) {
    let ignored = keys.filter { !read.contains($0) && !isInformation($0) }
    guard let first = ignored.first, let value = values[first] else { return }
    let more = ignored.dropFirst().prefix(8).map { Setting.quoted($0) }.joined(separator: ", ")
    let rest = more.isEmpty ? "" : ", and likewise \(more)" + (ignored.count > 9 ? ", ..." : "")
    throw mistake(
      "the setting \(Setting.quoted(first)) (\(value.shown)) means nothing to \(whose)\(rest)",
      remedy: "it would be ignored and the results be wrong: use a model without it, or take it out of the file if you"
        + " know that it changes nothing")
  }
}
