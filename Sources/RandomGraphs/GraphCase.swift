// A graph and what it is run on: sizes of each call, elements, strides, donated memory. One text holds all of it.
// Not a test: whoever runs it decides what must come out. Surprise: elements are drawn from the parameter's name, so that
// a parameter keeps its elements when others around it disappear.
import Basics
import GraphIR
import Scalars
import TensorTypes

package struct GraphCase: Sendable, Hashable {
  package var graph: Graph
  /// The launch arguments of each call, one after the other: a compiled graph must serve all of them.
  package var calls: [[Int]]
  /// What the elements are drawn from.
  package var seed = 1
  package var values = Values.mixed
  /// Outputs written into a parameter's memory: output -> parameter.
  package var donations: [Int: Int] = [:]

  /// Kinds of elements.
  package enum Values: String, CaseIterable, Sendable {
    /// Each parameter one of the others.
    case mixed
    /// Small whole numbers: sums and products of them are exact.
    case whole
    /// Floats around 1 with all their digits.
    case fractions
    /// All magnitudes, both signs.
    case wide
    /// NaN, infinities, zeros of both signs, denormals, largest and smallest numbers among small ones.
    case special
  }

  package init(_ graph: Graph, calls: [[Int]] = [[]], seed: Int = 1, values: Values = .mixed) {
    self.graph = graph
    self.calls = calls
    self.seed = seed
    self.values = values
  }

  /// The launch arguments of call `number` as words.
  package func arguments(_ number: Int) -> [UInt64] { calls[number].map { UInt64(bitPattern: Int64($0)) } }
}

// MARK: Memory

extension GraphCase {
  /// A parameter's memory at the sizes of one call.
  package struct Memory: Sendable {
    package var bytes: [UInt8]
    package var extents: [Int]
    package var strides: [Int]
    /// Elements before the first one: negative strides walk back to the start.
    package var offset: Int
  }

  /// The memory of every parameter for call `number`.
  package func memory(_ number: Int) throws(Diagnostic) -> [Memory] {
    var made: [Memory] = []
    for parameter in graph.parameters {
      let extents = try evaluated(parameter.type.shape.dims, number)
      let strides = try evaluated(parameter.strides, number)
      var (low, high) = (0, 0)
      if !extents.contains(0) {
        for (extent, stride) in zip(extents, strides) {
          let reach = (extent - 1) * stride
          if reach < 0 { low += reach } else { high += reach }
        }
      }
      guard extents.allSatisfy({ $0 >= 0 }), high - low < 1 << 24 else {
        throw Diagnostic(.shape, "parameter \(parameter.name) has the extents \(extents), strides \(strides)")
      }
      let dtype = parameter.type.dtype
      var random = SeededGenerator(seed: seed &+ number &* 7919, name: parameter.name)
      let kind = values == .mixed ? random.pick(Self.mixture) : values
      let elements = (0...(high - low)).map { _ in Self.element(dtype, kind, &random) }
      let bytes = ReferenceTensor(dtype, [high - low + 1], elements).bytes
      made.append(Memory(bytes: bytes, extents: extents, strides: strides, offset: -low))
    }
    return made
  }

  private static let mixture: [Values] = [.whole, .whole, .whole, .whole, .fractions, .fractions, .wide, .special]

  private func evaluated(_ dims: [Dim], _ number: Int) throws(Diagnostic) -> [Int] {
    var made: [Int] = []
    for dim in dims {
      guard let value = dim.evaluated(calls[number]) else { throw Diagnostic(.shape, "\(dim) has no value") }
      made.append(value)
    }
    return made
  }

  /// The outputs in reference semantics.
  package func reference(_ number: Int) throws(Diagnostic) -> [ReferenceTensor] {
    let inputs = try memory(number).map {
      GraphInterpreter.Input(bytes: $0.bytes, strides: $0.strides, offset: $0.offset)
    }
    return try GraphInterpreter(graph).run(inputs, arguments: arguments(number))
  }

  private static func element(_ dtype: DType, _ kind: Values, _ random: inout SeededGenerator) -> ScalarValue {
    if dtype == .bool { return .integer(Int64(random.below(2))) }
    let whole = random.below(9) - (dtype.isSigned ? 4 : 0)
    guard dtype.isFloating else {
      let range = dtype.integerRange ?? 0...0
      switch kind {
      case .mixed, .whole, .fractions: return .integer(Int64(whole))
      case .wide:
        return .integer(
          dtype == .u64 ? Int64(bitPattern: random.next()) : Int64.random(in: range, using: &random))
      case .special:
        let highest = dtype.highestBits ?? 0
        return .integer(random.pick([range.lowerBound, highest, 0, 1, highest - 1, Int64(whole)]))
      }
    }
    let unit = Double(random.below(1 << 24)) / Double(1 << 23) - 1
    let value: Double
    switch kind {
    case .mixed, .whole: value = Double(whole)
    case .fractions: value = unit * 2
    case .wide: value = ScalarReference.value(bits: random.next(), dtype).doubleValue
    case .special: value = random.once(in: 2) ? Double(whole) : random.pick(specials(dtype))
    }
    return .float(ScalarReference.rounded(value, to: dtype))
  }

  private static func specials(_ dtype: DType) -> [Double] {
    let (tiny, least, most): (Double, Double, Double) =
      switch dtype {
      case .f16: (0x1p-24, 0x1p-14, 65504)
      case .bf16: (0x1p-133, 0x1p-126, 0x1.fep127)
      case .f64: (0x1p-1074, 0x1p-1022, .greatestFiniteMagnitude)
      case .f8e4m3fn: (0x1p-9, 0x1p-6, 448)
      case .f8e5m2: (0x1p-16, 0x1p-14, 57344)
      case .f32, .bool, .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64:
        (0x1p-149, 0x1p-126, Double(Float.greatestFiniteMagnitude))
      }
    return [.nan, .infinity, -.infinity, 0, -0.0, tiny, -tiny, least, -least, most, -most, 0.5, -1.5, 88.7, 709.7]
  }
}
