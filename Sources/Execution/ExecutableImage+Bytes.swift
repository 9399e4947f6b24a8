// The bytes of an ExecutableImage in the object cache. Not a public file format: a version change empties the cache.
// Surprise: reading trusts nothing; every count is checked against the bytes that are left before memory is taken.
import Basics
import TensorTypes

extension ExecutableImage {
  /// Part of the cache key and of the bytes; raise it when the layout below changes.
  package static let version: UInt32 = 2

  private static let operations = DimOperation.allCases

  /// A compact form that `init(serialised:)` reads back.
  package func serialised() -> [UInt8] {
    var writer = ByteWriter()
    writer.append(Self.version)
    writer.append(byte: format.rawValue)
    writer.append(name)
    writer.append(count: phases.count)
    for phase in phases {
      writer.append(phase.symbol)
      writer.append(phase.grid)
      writer.append(byte: phase.isBeside ? 1 : 0)
    }
    writer.append(byte: arenaSymbol == nil ? 0 : 1)
    if let arenaSymbol { writer.append(arenaSymbol) }
    writer.append(scratch)
    writer.append(count: bufferCount)
    writer.append(count: argumentCount)
    writer.append(count: metadata.count)
    for remark in metadata {
      writer.append(remark.key)
      writer.append(remark.value)
    }
    writer.append(count: code.count)
    writer.bytes += code
    return writer.bytes
  }

  /// - Throws: `Diagnostic(.cache)` if the bytes are not a whole image of this version.
  package init(serialised bytes: [UInt8]) throws(Diagnostic) {
    var reader = ByteReader(bytes: bytes)
    let version = try reader.word()
    guard version == Self.version else { throw ByteReader.broken("version \(version)") }
    guard let format = Format(rawValue: try reader.byte()) else { throw ByteReader.broken("an unknown code format") }
    self.init(name: try reader.text(), format: format, code: [], phases: [], bufferCount: 0, argumentCount: 0)
    for _ in 0..<(try reader.count()) {
      phases.append(Phase(symbol: try reader.text(), grid: try reader.dims(), isBeside: try reader.byte() == 1))
    }
    switch try reader.byte() {
    case 0: break
    case 1: arenaSymbol = try reader.text()
    case let flag: throw ByteReader.broken("flag \(flag)")
    }
    scratch = try reader.dims()
    bufferCount = try reader.number()
    argumentCount = try reader.number()
    for _ in 0..<(try reader.count()) { metadata.append(Remark(try reader.text(), try reader.text())) }
    code = try reader.take(try reader.count())
    guard reader.isAtEnd else { throw ByteReader.broken("bytes behind its end") }
  }

  private struct ByteWriter {
    var bytes: [UInt8] = []
    mutating func append(byte: UInt8) { bytes.append(byte) }
    mutating func append(_ word: UInt32) { withUnsafeBytes(of: word.littleEndian) { bytes += $0 } }
    mutating func append(count: Int) { append(number: count) }
    mutating func append(number: Int) { withUnsafeBytes(of: Int64(number).littleEndian) { bytes += $0 } }
    mutating func append(_ text: String) {
      append(count: text.utf8.count)
      bytes += text.utf8
    }
    mutating func append(_ dims: [Dim]) {
      append(count: dims.count)
      for dim in dims { append(dim) }
    }
    mutating func append(_ dim: Dim) {
      switch dim.expression {
      // A failed Dim is in no image that was ever loaded; 0 keeps its grid empty.
      case nil, .failed?:
        append(byte: 0)
        append(number: dim.knownValue ?? 0)
      case .symbol(let id)?:
        append(byte: 1)
        append(number: id)
      case .binary(let operation, let a, let b)?:
        append(byte: 2)
        append(byte: UInt8(operations.firstIndex(of: operation) ?? 0))
        append(a)
        append(b)
      }
    }
  }

  private struct ByteReader {
    let bytes: [UInt8]
    var position = 0
    // Deeper expressions than any kernel has would only overflow the stack.
    static let deepest = 200

    var isAtEnd: Bool { position == bytes.count }

    static func broken(_ what: String) -> Diagnostic {
      Diagnostic(.cache, "a compiled kernel cannot be read: it has \(what)", remedy: "run `azulejo cache clear`")
    }

    mutating func take(_ count: Int) throws(Diagnostic) -> [UInt8] {
      guard count >= 0, count <= bytes.count - position else { throw Self.broken("fewer bytes than it says") }
      defer { position += count }
      return Array(bytes[position..<position + count])
    }
    mutating func byte() throws(Diagnostic) -> UInt8 {
      guard position < bytes.count else { throw Self.broken("fewer bytes than it says") }
      defer { position += 1 }
      return bytes[position]
    }
    mutating func word() throws(Diagnostic) -> UInt32 {
      var result: UInt32 = 0
      for shift in stride(from: UInt32(0), to: 32, by: 8) { result |= UInt32(try byte()) << shift }
      return result
    }
    mutating func number() throws(Diagnostic) -> Int {
      var result: UInt64 = 0
      for shift in stride(from: UInt64(0), to: 64, by: 8) { result |= UInt64(try byte()) << shift }
      return Int(Int64(bitPattern: result))
    }
    /// A number of things of at least one byte each.
    mutating func count() throws(Diagnostic) -> Int {
      let count = try number()
      guard count >= 0, count <= bytes.count - position else { throw Self.broken("the count \(count)") }
      return count
    }
    mutating func text() throws(Diagnostic) -> String { String(decoding: try take(try count()), as: UTF8.self) }
    mutating func dims() throws(Diagnostic) -> [Dim] {
      var dims: [Dim] = []
      for _ in 0..<(try count()) { dims.append(try dim(depth: 0)) }
      return dims
    }
    mutating func dim(depth: Int) throws(Diagnostic) -> Dim {
      guard depth < Self.deepest else { throw Self.broken("an expression nested too deep") }
      switch try byte() {
      case 0: return Dim(try number())
      case 1:
        let id = try number()
        guard id >= 0 else { throw Self.broken("the symbol \(id)") }
        return .symbol(id)
      case 2:
        let operation = Int(try byte())
        guard operation < operations.count else { throw Self.broken("the operation \(operation)") }
        let a = try dim(depth: depth + 1)
        return Dim.combined(operations[operation], a, try dim(depth: depth + 1))
      case let tag: throw Self.broken("the tag \(tag)")
      }
    }
  }
}
