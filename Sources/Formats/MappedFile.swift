// A read-only file mapped into memory, shared by every reader of weights.
// Not a cache and not a copy: bytes are read from the disk when first touched. Surprise: a file that another process
// shortens while it is mapped cannot be made safe; touching the lost pages ends the process with SIGBUS.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
import Basics

/// A file mapped read-only into memory.
///
/// All reads are bounds-checked against the size at the time of opening. The mapping lives as long as this object, and
/// every ``MappedBytes`` keeps its file alive.
///
/// - Important: Replacing a file (a rename, as all writers here do) is safe while it is mapped. *Shortening* it in
///   place is not: the system then delivers `SIGBUS` when a lost page is touched, and no library can prevent that.
public final class MappedFile: @unchecked Sendable {
  // @unchecked: all stored properties are immutable, and the mapped memory is read-only until deinit unmaps it.

  /// The path as the caller gave it; every error names it.
  public let path: String
  /// Bytes in the file when it was opened; never 0.
  public let count: Int
  /// The first byte; valid while this object lives.
  package let base: UnsafeRawPointer
  /// Bytes from the first one on that can be read: the system fills the last page of a file with zeros.
  package let readableCount: Int
  /// What deinit unmaps; larger than the file for `init(guarding:)`.
  private let mapping: UnsafeMutableRawBufferPointer

  /// Maps the file at `path`.
  ///
  /// - Throws: A `.file` ``Basics/Diagnostic`` if the file is missing, not readable, empty, a directory or a device.
  public init(path: String) throws(Diagnostic) {
    // O_NONBLOCK: opening a named pipe would otherwise wait for its writer for ever.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw Self.openingFailure(path, errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Self.openingFailure(path, errno) }
    switch status.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR:
      throw Diagnostic(.file, "\(path): is a directory, expected a file", remedy: "name a file inside it")
    default: throw Diagnostic(.file, "\(path): is not a regular file", remedy: "copy the data into a file first")
    }
    guard status.st_size > 0 else {
      throw Diagnostic(.file, "\(path): is empty (0 bytes)", remedy: "fetch the file again")
    }
    let count = Int(status.st_size)
    guard let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
      throw Diagnostic(.file, "\(path): cannot map \(count) bytes: \(Diagnostic.systemReason(errno))")
    }
    self.path = path
    self.count = count
    // The smallest page anywhere; larger ones only make more readable.
    self.readableCount = (count + 4095) / 4096 * 4096
    self.base = UnsafeRawPointer(base)
    self.mapping = UnsafeMutableRawBufferPointer(start: base, count: count)
  }

  /// A copy of `bytes` that ends where an inaccessible page begins, so that fuzzers see every read past the end.
  ///
  /// - Throws: A `.memory` ``Basics/Diagnostic`` if there is no room; a `.file` one if `bytes` is empty.
  package init(guarding bytes: [UInt8], named path: String) throws(Diagnostic) {
    guard !bytes.isEmpty else { throw Diagnostic(.file, "\(path): is empty (0 bytes)") }
    let page = Self.pageBytes
    let room = (bytes.count + page - 1) / page * page
    guard let start = mmap(nil, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      start != MAP_FAILED
    else { throw Diagnostic(.memory, "\(path): cannot map \(room + page) bytes: \(Diagnostic.systemReason(errno))") }
    let first = start + (room - bytes.count)
    bytes.withUnsafeBytes { first.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(start), byteCount: $0.count) }
    mprotect(start, room, PROT_READ)
    mprotect(start + room, page, PROT_NONE)
    self.path = path
    self.count = bytes.count
    self.readableCount = bytes.count
    self.base = UnsafeRawPointer(first)
    self.mapping = UnsafeMutableRawBufferPointer(start: start, count: room + page)
  }

  deinit { munmap(mapping.baseAddress, mapping.count) }

  /// All bytes of the file.
  public var bytes: MappedBytes { MappedBytes(file: self, uncheckedOffset: 0, count: count) }

  /// The bytes at `range`, not copied.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if `range` leaves the file.
  public func bytes(in range: Range<Int>) throws(Diagnostic) -> MappedBytes {
    guard range.lowerBound >= 0, range.upperBound <= count else {
      throw Diagnostic(
        .format, "\(path): bytes \(range.lowerBound)..<\(range.upperBound) are wanted, the file has \(count)",
        remedy: "the file is truncated or damaged: fetch it again")
    }
    return MappedBytes(file: self, uncheckedOffset: range.lowerBound, count: range.count)
  }

  /// A little-endian integer at `offset`, which needs no alignment.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if its bytes leave the file.
  public func load<Value: FixedWidthInteger & BitwiseCopyable>(
    _ type: Value.Type, at offset: Int
  ) throws(Diagnostic) -> Value {
    guard offset >= 0, offset <= count, count - offset >= MemoryLayout<Value>.size else {
      throw Diagnostic(
        .format, "\(path): \(MemoryLayout<Value>.size) bytes at \(offset) are wanted, the file has \(count)",
        remedy: "the file is truncated or damaged: fetch it again")
    }
    return Value(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: type))
  }

  /// Drops the pages that hold `range` from memory, so that weights which were repacked do not count as resident.
  ///
  /// Only a hint about memory: the bytes stay readable and come back from the file when touched again. Pages shared
  /// with neighbouring ranges are dropped with it. The part of `range` outside the file is ignored.
  public func release(_ range: Range<Int>) { advise(range, MADV_DONTNEED) }

  /// Asks the system to read `range` ahead of its use. The part of `range` outside the file is ignored.
  public func prefetch(_ range: Range<Int>) { advise(range, MADV_WILLNEED) }

  private func advise(_ range: Range<Int>, _ advice: Int32) {
    let start = Int(bitPattern: base)
    let first = (start + min(max(range.lowerBound, 0), count)) / Self.pageBytes * Self.pageBytes
    let end = start + min(range.upperBound, count)
    // Anonymous memory would come back as zeros, so only mapped files are advised.
    guard mapping.count == count, first < end else { return }
    _ = madvise(UnsafeMutableRawPointer(bitPattern: first), end - first, advice)
  }

  /// The file as a text.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if it is none.
  package func text() throws(Diagnostic) -> String {
    let text = bytes.withUnsafeBytes { String(validating: $0, as: UTF8.self) }
    guard let text else { throw malformed("is no text in UTF-8", remedy: "check the path") }
    return text
  }

  private static var pageBytes: Int { max(Int(sysconf(Int32(_SC_PAGESIZE))), 1) }

  /// A `.format` error about this file: "FILE: WHAT".
  package func malformed(
    _ what: String, remedy: String? = "the file is damaged or not what its name says: fetch it again"
  ) -> Diagnostic {
    Diagnostic(.format, "\(path): \(what)", remedy: remedy)
  }

  private static let noSuchFile = ": no such file"

  /// Whether `error` says that there is no file, for who can do without.
  package static func isMissing(_ error: Diagnostic) -> Bool {
    error.kind == .file && error.message.hasSuffix(noSuchFile)
  }

  private static func openingFailure(_ path: String, _ code: Int32) -> Diagnostic {
    switch code {
    case ENOENT: Diagnostic(.file, path + noSuchFile, remedy: "check the path")
    case EACCES: Diagnostic(.file, "\(path): not readable (permission denied)", remedy: "check its permissions")
    default: Diagnostic(.file, "\(path): cannot open: \(Diagnostic.systemReason(code))", remedy: "check the path")
    }
  }
}

extension MappedFile: CustomStringConvertible {
  /// The path and the size.
  public var description: String { "\(path) (\(count) bytes)" }
}
