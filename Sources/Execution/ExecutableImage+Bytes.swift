// The bytes of an ExecutableImage in the object cache. Not a public file format: a version change empties the cache.
// Surprise: reading trusts nothing; every count is checked against the bytes that are left before memory is taken.
import Basics
import TensorTypes

extension ExecutableImage {
  /// Part of the cache key and of the bytes; raise it when the layout below changes.
  package static let version: UInt32 = 4

  /// A compact form that `init(serialised:)` reads back.
  package func serialised() -> [UInt8] {
    var writer = EntryWriter()
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
    writer.append(code)
    return writer.bytes
  }

  /// - Throws: `Diagnostic(.cache)` if the bytes are not a whole image of this version.
  package init(serialised bytes: [UInt8]) throws(Diagnostic) {
    var reader = EntryReader(bytes, of: "a compiled kernel")
    let version = try reader.word()
    guard version == Self.version else { throw reader.broken("version \(version)") }
    guard let format = Format(rawValue: try reader.byte()) else { throw reader.broken("an unknown code format") }
    self.init(name: try reader.text(), format: format, code: [], phases: [], bufferCount: 0, argumentCount: 0)
    for _ in 0..<(try reader.count()) {
      phases.append(Phase(symbol: try reader.text(), grid: try reader.dims(), isBeside: try reader.byte() == 1))
    }
    switch try reader.byte() {
    case 0: break
    case 1: arenaSymbol = try reader.text()
    case let flag: throw reader.broken("flag \(flag)")
    }
    scratch = try reader.dims()
    bufferCount = try reader.number()
    argumentCount = try reader.number()
    for _ in 0..<(try reader.count()) { metadata.append(Remark(try reader.text(), try reader.text())) }
    code = try reader.block()
    guard reader.isAtEnd else { throw reader.broken("bytes behind its end") }
  }
}
