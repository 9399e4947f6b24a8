// A recorded case and access to its arguments, by place or by name, as PyTorch's signatures have them.
// Not a runner. Surprise: place 0 is the case's `in`, so places count as in PyTorch's functions.
import Basics
import Formats
import TensorTypes
import Tensors

/// One recorded call of an operator.
package struct ConformanceCase: Sendable {
  package enum Tier: String, Sendable, CaseIterable { case core, later }

  /// PyTorch's name; a suffix after the last dot may name a variant.
  package let op: String
  package let tier: Tier
  /// Its number among the cases of the operator.
  package let number: Int
  private let record: JSON
  /// A call that is not recorded.
  private let sample: HostileSample?

  init(sample: HostileSample) {
    (op, tier, number, record, self.sample) = (sample.name, .core, 0, .null, sample)
  }

  /// Equal arguments give equal results, so that a plan may be made of it.
  var mayBeCaptured: Bool { sample?.mayBeCaptured ?? true }

  /// How the call is said here; nil: it cannot be.
  var operation: ConformanceOperation? { sample?.operation ?? ConformanceTable.shared.operation(op) }

  init(_ record: JSON, number: Int) throws(Diagnostic) {
    guard let op = record["op"]?.string, let tier = record["tier"]?.string.flatMap({ Tier(rawValue: $0) }) else {
      throw Diagnostic(.format, "a recorded case has no \"op\" or no known \"tier\"")
    }
    self.op = op
    self.tier = tier
    self.number = number
    self.record = record
    sample = nil
  }

  func arguments(_ tensors: SafetensorsFile) throws(Diagnostic) -> ConformanceArguments {
    if let sample { return sample.arguments }
    var places = [try ConformanceValue(record["in"] ?? .null, tensors)]
    for argument in record["args"]?.array ?? [] { places.append(try ConformanceValue(argument, tensors)) }
    var names: [String: ConformanceValue] = [:]
    for member in record["kw"]?.members ?? [] { names[member.key] = try ConformanceValue(member.value, tensors) }
    return ConformanceArguments(places: places, names: names)
  }

  func expected(_ tensors: SafetensorsFile) throws(Diagnostic) -> ConformanceValue {
    try ConformanceValue(record["out"] ?? .null, tensors)
  }
}

/// The arguments of a case.
package struct ConformanceArguments: Sendable {
  var places: [ConformanceValue]
  var names: [String: ConformanceValue]
  /// Hears of every argument that is looked at.
  var asked: AskedArguments?

  package init(places: [ConformanceValue], names: [String: ConformanceValue]) {
    self.places = places
    self.names = names
  }

  /// The argument at `place` or called `name`; nil if it is not given or none.
  func value(_ place: Int, _ name: String = "") -> ConformanceValue? {
    asked?.note(place, name)
    let found = names[name] ?? (places.indices.contains(place) ? places[place] : nil)
    if case .some(.none) = found { return nil }
    return found
  }

  private func missing(_ place: Int, _ name: String, _ kind: String) -> Diagnostic {
    let found = value(place, name)?.summary ?? "nothing"
    return Diagnostic(.argument, "argument \(place) \(name) should be \(kind), it is \(found)")
  }

  func tensor(_ place: Int, _ name: String = "") throws(Diagnostic) -> Tensor {
    guard let tensor = value(place, name)?.asTensor else { throw missing(place, name, "a tensor") }
    return tensor
  }

  /// A number; nil for a tensor and for nothing.
  func number(_ place: Int, _ name: String = "") -> Number? {
    switch value(place, name) {
    case .integer(let value)?: .integer(Int64(value))
    case .number(let value)?: .floating(value)
    case .bool(let value)?: .bool(value)
    case .tensor?, .extent?, .string?, .some(.none), .list?, .text?, nil: nil
    }
  }

  /// A tensor or a number; nil if it is not given.
  func tensorOrNumber(_ place: Int, _ name: String = "") -> (any TensorOrScalar)? {
    if let number = number(place, name) { return number }
    return value(place, name)?.asTensor
  }

  func optionalTensor(_ place: Int, _ name: String = "") -> Tensor? { value(place, name)?.asTensor }

  func tensors(_ place: Int, _ name: String = "") throws(Diagnostic) -> [Tensor] {
    switch value(place, name) {
    case .list(let values)?:
      var tensors: [Tensor] = []
      for value in values {
        guard let tensor = value.asTensor else { throw missing(place, name, "a list of tensors") }
        tensors.append(tensor)
      }
      return tensors
    case let single?: if let tensor = single.asTensor { return [tensor] }
    case nil: break
    }
    throw missing(place, name, "a list of tensors")
  }

  func int(_ place: Int, _ name: String = "") throws(Diagnostic) -> Int? {
    switch value(place, name) {
    case nil: return nil
    case .integer(let value)?: return value
    case .bool(let value)?: return value ? 1 : 0
    case .number(let value)?:
      guard let whole = Int(exactly: value.rounded(.towardZero)) else { throw missing(place, name, "an integer") }
      return whole
    case .tensor(let tensor)?: return try tensor.item(as: Int.self)
    case .extent(let dim)?: return try dim.value
    case .list(let values)? where values.count == 1:
      if case .integer(let value) = values[0] { return value }
      if case .extent(let dim) = values[0] { return try dim.value }
    default: break
    }
    throw missing(place, name, "an integer")
  }

  func int(_ place: Int, _ name: String = "", else fallback: Int) throws(Diagnostic) -> Int {
    try int(place, name) ?? fallback
  }

  func required(_ place: Int, _ name: String = "") throws(Diagnostic) -> Int {
    guard let value = try int(place, name) else { throw missing(place, name, "an integer") }
    return value
  }

  func double(_ place: Int, _ name: String = "") throws(Diagnostic) -> Double? {
    switch value(place, name) {
    case nil: return nil
    case .integer(let value)?: return Double(value)
    case .bool(let value)?: return value ? 1 : 0
    case .number(let value)?: return value
    case .tensor(let tensor)?: return try tensor.item(as: Double.self)
    case .string("inf")?: return .infinity
    case .string("-inf")?: return -.infinity
    default: throw missing(place, name, "a number")
    }
  }

  func double(_ place: Int, _ name: String = "", else fallback: Double) throws(Diagnostic) -> Double {
    try double(place, name) ?? fallback
  }

  func bool(_ place: Int, _ name: String = "", else fallback: Bool = false) -> Bool {
    switch value(place, name) {
    case .bool(let value)?: value
    case .integer(let value)?: value != 0
    default: fallback
    }
  }

  func dim(_ place: Int, _ name: String = "") throws(Diagnostic) -> Dim {
    if case .extent(let dim)? = value(place, name) { return dim }
    return Dim(try required(place, name))
  }

  func string(_ place: Int, _ name: String = "") -> String? {
    if case .string(let text)? = value(place, name) { return text }
    return nil
  }

  /// A list of integers; one integer is a list of one. nil entries of a list become `hole`.
  func ints(_ place: Int, _ name: String = "", hole: Int? = nil) throws(Diagnostic) -> [Int]? {
    switch value(place, name) {
    case nil: return nil
    case .integer(let value)?: return [value]
    case .extent(let dim)?: return [try dim.value]
    case .list(let values)?:
      var result: [Int] = []
      for value in values {
        switch value {
        case .integer(let value): result.append(value)
        case .extent(let dim): result.append(try dim.value)
        case .none:
          guard let hole else { throw missing(place, name, "a list of integers") }
          result.append(hole)
        default: throw missing(place, name, "a list of integers")
        }
      }
      return result
    case .tensor(let tensor)?: return try tensor.array(as: Int.self)
    default: throw missing(place, name, "a list of integers")
    }
  }

  /// As `ints`; extents stay what they are.
  func dims(_ place: Int, _ name: String = "") throws(Diagnostic) -> [Dim] {
    var result: [Dim] = []
    switch value(place, name) {
    case .extent(let dim)?: result = [dim]
    case .list(let values)?:
      for value in values {
        switch value {
        case .integer(let size): result.append(Dim(size))
        case .extent(let dim): result.append(dim)
        default: throw missing(place, name, "a list of extents")
        }
      }
    default: result = (try ints(place, name) ?? []).map { Dim($0) }
    }
    return result
  }

  /// As `variadicInts`; extents stay what they are.
  func variadicDims(from place: Int) throws(Diagnostic) -> [Dim] {
    if places.count == place + 1, case .list = places[place] { return try dims(place) }
    var result: [Dim] = []
    for place in place..<Swift.max(places.count, place) { result.append(try dim(place)) }
    return result
  }

  /// All places from `place` on as integers, or the one list there: `x.view(2, 3)` and `x.view([2, 3])`.
  func variadicInts(from place: Int) throws(Diagnostic) -> [Int] {
    if places.count == place + 1, case .list = places[place] { return try ints(place) ?? [] }
    var result: [Int] = []
    for place in place..<Swift.max(places.count, place) { result.append(try required(place)) }
    return result
  }

  /// The dtype asked for, else that of a tensor.
  func dtype(else fallback: DType) throws(Diagnostic) -> DType {
    if let dtype = try dtype() { return dtype }
    return fallback
  }

  func dtype(_ place: Int = -1, _ name: String = "dtype") throws(Diagnostic) -> DType? {
    guard case .text(let text)? = value(place, name) else { return nil }
    let known: [String: DType] = [
      "torch.bool": .bool, "torch.uint8": .u8, "torch.int8": .i8, "torch.int16": .i16, "torch.int32": .i32,
      "torch.int64": .i64, "torch.float16": .f16, "torch.bfloat16": .bf16, "torch.float32": .f32,
      "torch.float64": .f64, "torch.uint16": .u16, "torch.uint32": .u32, "torch.uint64": .u64,
      "torch.float8_e4m3fn": .f8e4m3fn, "torch.float8_e5m2": .f8e5m2,
    ]
    guard let dtype = known[text] else { throw Diagnostic(.dtype, "\(text) is no dtype here") }
    return dtype
  }
}
