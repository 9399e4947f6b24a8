// The bytes of a plan in the cache. Not a public file format: it is for one build on one kind of processor.
// Surprise: whatever the bytes are, what is read back can be run without leaving its arrays; that the kernels are those
// that were meant is what the entry's checksum is for.
import Basics
import Execution
import TensorTypes

extension PlanRecord {
  func write(to writer: inout EntryWriter) {
    writer.append(count: parameterCount)
    writer.append(count: argumentCount)
    writer.append(count: outputs.count)
    for type in outputs {
      writer.append(byte: type.dtype.rawValue)
      writer.append(type.shape.dims)
    }
    writer.append(count: kernels.count)
    for key in kernels { writer.append(key) }
    writer.append(temporaries)
    writer.append(byte: mayFault ? 1 : 0)
    writer.append(outputsBeforeFaults.sorted())
    writer.append(count: steps.count)
    for step in steps {
      writer.append(number: step.kernel)
      writer.append(step.work)
      writer.append(count: step.buffers.count)
      for slot in slots[step.buffers] {
        writer.append(number: slot.base)
        writer.append(slot.offset)
      }
    }
  }

  init(_ reader: inout EntryReader, name: String) throws(Diagnostic) {
    self.name = name
    parameterCount = try reader.number(in: 0..<1 << 20)
    argumentCount = try reader.number(in: 0..<1 << 20)
    (outputs, kernels, steps, slots) = ([], [], [], [])
    for _ in 0..<(try reader.count()) {
      let code = try reader.byte()
      guard let dtype = DType(rawValue: code) else { throw reader.broken("the dtype \(code)") }
      outputs.append(TensorType(dtype, Shape(try reader.dims())))
    }
    for _ in 0..<(try reader.count()) { kernels.append(try reader.text()) }
    temporaries = try reader.dims()
    mayFault = try reader.number(in: 0..<2) == 1
    outputsBeforeFaults = Set(try reader.numbers(in: outputs.indices))
    let bases = parameterCount + outputs.count + temporaries.count
    for _ in 0..<(try reader.count()) {
      let kernel = try reader.number(in: 0..<kernels.count)
      let work = try reader.dim()
      let first = slots.count
      for _ in 0..<(try reader.count()) {
        slots.append(Slot(base: try reader.number(in: 0..<bases), offset: try reader.dim()))
      }
      steps.append(Step(kernel: kernel, buffers: first..<slots.count, work: work))
    }
  }
}

/// A piece of a capture as it is kept: what is computed once from its constants, and what is run on each call.
struct PieceRecord: Sendable, Hashable {
  /// Raise it when the layout changes.
  static let version: UInt32 = 2

  /// What a plan is for. Every version of the layout from the second on begins with it.
  struct Head: Sendable, Hashable {
    var build: String
    var processor: String
    /// The graph's name.
    var name: String
  }

  var head: Head
  /// Computes from constants alone what `rest` needs of them; nil: nothing to compute.
  var frozen: PlanRecord?
  /// The numbers of the piece's sources that `frozen` reads.
  var frozenSources: [Int] = []
  var rest: PlanRecord
  /// The numbers of the piece's sources that `rest` reads; behind them it reads the results of `frozen`.
  var restSources: [Int]
  /// Outputs that are written into the memory of one of the sources.
  var donated: [Int]

}

extension PieceRecord {
  func serialised() -> [UInt8] {
    var writer = EntryWriter()
    writer.append(Self.version)
    writer.append(head.build)
    writer.append(head.processor)
    writer.append(head.name)
    writer.append(byte: frozen == nil ? 0 : 1)
    frozen?.write(to: &writer)
    writer.append(frozenSources)
    writer.append(restSources)
    rest.write(to: &writer)
    writer.append(donated)
    return writer.bytes
  }

  /// - Throws: `Diagnostic(.cache)` if the bytes do not begin as a record of any version.
  static func head(of bytes: [UInt8]) throws(Diagnostic) -> Head {
    var reader = EntryReader(bytes, of: "a plan")
    return try versionAndHead(&reader).head
  }

  private static func versionAndHead(
    _ reader: inout EntryReader
  ) throws(Diagnostic) -> (version: UInt32, head: Head) {
    let version = try reader.word()
    guard version > 1 else { throw reader.broken("version \(version)") }
    return (version, Head(build: try reader.text(), processor: try reader.text(), name: try reader.text()))
  }

  /// - Throws: `Diagnostic(.cache)` if the bytes are not a whole record of this version for `wanted`.
  init(serialised bytes: [UInt8], for wanted: Head, sourceCount: Int) throws(Diagnostic) {
    var reader = EntryReader(bytes, of: "a plan")
    let version: UInt32
    (version, head) = try Self.versionAndHead(&reader)
    guard version == Self.version else { throw reader.broken("version \(version)") }
    if let objection = head.objection(for: wanted) { throw reader.broken(objection) }
    let name = wanted.name
    switch try reader.byte() {
    case 0: break
    case 1: frozen = try PlanRecord(&reader, name: "\(name) constants")
    case let flag: throw reader.broken("flag \(flag)")
    }
    frozenSources = try reader.numbers(in: 0..<sourceCount)
    restSources = try reader.numbers(in: 0..<sourceCount)
    rest = try PlanRecord(&reader, name: name)
    donated = try reader.numbers(in: rest.outputs.indices)
    guard reader.isAtEnd else { throw reader.broken("bytes behind its end") }
    guard frozenSources.count == frozen?.parameterCount ?? 0,
      restSources.count + (frozen?.outputs.count ?? 0) == rest.parameterCount
    else { throw reader.broken("other numbers of parameters than of their sources") }
  }
}

extension PieceRecord.Head {
  /// Why a plan with this head is of no use where `wanted` is; nil: it is of use.
  func objection(for wanted: Self) -> String? {
    if processor != wanted.processor {
      return "it is for the processor \(processor), and this is \(wanted.processor)"
    }
    if build != wanted.build { return "it was made by build \(build) of this library, and this is \(wanted.build)" }
    return name == wanted.name ? nil : "it is a plan of \(name)"
  }
}
