// A window into a mapped file that keeps the file alive: what zero-copy tensors are made of.
// Not a Collection: element access goes through one closure. Surprise: `release()` changes no value, only residency.

import Basics

/// Some bytes of a ``MappedFile``, not copied.
public struct MappedBytes: Sendable {
  /// The file these bytes belong to.
  public let file: MappedFile
  /// Position of the first byte in the file.
  public let offset: Int
  /// Number of bytes.
  public let count: Int

  /// The caller has checked that the window lies in the file.
  init(file: MappedFile, uncheckedOffset offset: Int, count: Int) {
    self.file = file
    self.offset = offset
    self.count = count
  }

  /// Positions of these bytes in the file.
  public var range: Range<Int> { offset..<offset + count }

  /// The first byte; valid while ``file`` lives.
  package var baseAddress: UnsafeRawPointer { file.base + offset }

  /// Whether the first byte's address is a multiple of `alignment` (at least 1).
  public func isAligned(to alignment: Int) -> Bool { Int(bitPattern: baseAddress) % max(alignment, 1) == 0 }

  /// Calls `body` with the bytes, which are valid during the call only.
  public func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeRawBufferPointer(start: baseAddress, count: count))
  }

  /// The bytes at `range`, counted from the first byte of this window.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if `range` leaves this window.
  public func bytes(in range: Range<Int>) throws(Diagnostic) -> MappedBytes {
    guard range.lowerBound >= 0, range.upperBound <= count else {
      throw file.malformed("bytes \(range.lowerBound)..<\(range.upperBound) are wanted, \(count) are there")
    }
    return MappedBytes(file: file, uncheckedOffset: offset + range.lowerBound, count: range.count)
  }

  /// A copy of the bytes as elements of `type` in this machine's byte order; trailing bytes that fill no element are
  /// left out. Works at any alignment.
  public func copied<Element: BitwiseCopyable>(as type: Element.Type) -> [Element] {
    let elements = count / max(MemoryLayout<Element>.stride, 1)
    return [Element](unsafeUninitializedCapacity: elements) { buffer, initialized in
      UnsafeMutableRawBufferPointer(buffer).copyMemory(
        from: UnsafeRawBufferPointer(start: baseAddress, count: elements * MemoryLayout<Element>.stride))
      initialized = elements
    }
  }

  /// Drops these bytes' pages from memory (see ``MappedFile/release(_:)``).
  public func release() { file.release(range) }
}

extension MappedBytes: CustomStringConvertible {
  /// The path and the positions.
  public var description: String { "\(file.path)[\(offset)..<\(offset + count)]" }
}
