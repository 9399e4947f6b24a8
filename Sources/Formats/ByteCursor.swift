// Reads a little-endian header front to back; every read is checked against the end of the file.
// Not a parser of any format. Surprise: it allocates nothing from counts, so a lying count can only end in an error.

import Basics

/// A position in a mapped file that moves with each read.
struct ByteCursor {
  let file: MappedFile
  private(set) var offset: Int

  init(_ file: MappedFile, at offset: Int = 0) {
    self.file = file
    self.offset = offset
  }

  var remaining: Int { file.count - offset }

  /// The next integer; `what` names it in the error.
  mutating func read<Value: FixedWidthInteger & BitwiseCopyable>(
    _ what: @autoclosure () -> String
  ) throws(Diagnostic) -> Value {
    guard remaining >= MemoryLayout<Value>.size else { throw truncated(what(), needing: MemoryLayout<Value>.size) }
    let value = file.base.loadUnaligned(fromByteOffset: offset, as: Value.self)
    offset += MemoryLayout<Value>.size
    return Value(littleEndian: value)
  }

  /// The next `count` bytes, not copied.
  mutating func take(_ count: UInt64, _ what: @autoclosure () -> String) throws(Diagnostic) -> MappedBytes {
    guard count <= UInt64(remaining) else {
      throw file.malformed(
        "\(what()) at byte \(offset) needs \(count) bytes, \(remaining) are left", remedy: Self.fetchAgain)
    }
    let bytes = MappedBytes(file: file, uncheckedOffset: offset, count: Int(count))
    offset += Int(count)
    return bytes
  }

  private func truncated(_ what: String, needing count: Int) -> Diagnostic {
    file.malformed("\(what) at byte \(offset) needs \(count) bytes, \(remaining) are left", remedy: Self.fetchAgain)
  }

  static let fetchAgain = "the file is truncated or damaged: fetch it again"
}
