// Writes a file so that readers see the old one or the complete new one, also after a crash or on a full disk.
// Not a buffer: each write is a system call. Surprise: a symbolic link at the path is replaced by the new file.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
import Basics

/// A file under a temporary name beside its final one; `commit()` gives it that name, anything else removes it.
struct AtomicFile: ~Copyable {
  let path: String
  /// Bytes written so far.
  private(set) var count = 0
  private let temporaryPath: String
  private let descriptor: Int32
  private var isCommitted = false

  init(path: String) throws(Diagnostic) {
    var attempts = 0
    while true {
      // A name of its own for each writer: two processes may write the same file at once, the last rename wins.
      let candidate = "\(path).\(getpid())-\(UInt32.random(in: .min ... .max)).part"
      let descriptor = open(candidate, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
      if descriptor >= 0 {
        self.path = path
        self.temporaryPath = candidate
        self.descriptor = descriptor
        return
      }
      attempts += 1
      let code = errno
      guard code == EEXIST, attempts < 8 else {
        throw Diagnostic(
          .file, "\(path): cannot be written: \(MappedFile.reason(code))",
          remedy: "check that its folder exists and may be written")
      }
    }
  }

  deinit {
    close(descriptor)
    if !isCommitted { unlink(temporaryPath) }
  }

  mutating func write(_ bytes: UnsafeRawBufferPointer) throws(Diagnostic) {
    var rest = bytes
    while let start = rest.baseAddress, !rest.isEmpty {
      // Linux writes at most 2 GiB at once, macOS refuses more.
      let written = posixWrite(descriptor, start, min(rest.count, 1 << 30))
      if written < 0, errno == EINTR { continue }
      guard written > 0 else { throw failure(errno) }
      count += written
      rest = UnsafeRawBufferPointer(rebasing: rest[written...])
    }
  }

  mutating func write(_ bytes: [UInt8]) throws(Diagnostic) {
    try bytes.withUnsafeBufferPointer { buffer throws(Diagnostic) in try write(UnsafeRawBufferPointer(buffer)) }
  }

  /// Replaces bytes that were written before.
  mutating func overwrite(_ bytes: [UInt8], at offset: Int) throws(Diagnostic) {
    let written = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset)) }
    guard written == bytes.count else { throw failure(errno) }
  }

  /// Makes the file durable and visible under its path.
  mutating func commit() throws(Diagnostic) {
    guard fsync(descriptor) == 0 else { throw failure(errno) }
    guard rename(temporaryPath, path) == 0 else { throw failure(errno) }
    isCommitted = true
    // The rename itself becomes durable with its folder; not all file systems can, and the file is whole either way.
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    let folderDescriptor = open(folder, O_RDONLY | O_CLOEXEC)
    if folderDescriptor >= 0 {
      fsync(folderDescriptor)
      close(folderDescriptor)
    }
  }

  private func failure(_ code: Int32) -> Diagnostic {
    let remedy = code == ENOSPC || code == EDQUOT ? "free some space; nothing was changed" : "nothing was changed"
    return Diagnostic(
      .file, "\(path): writing failed after \(count) bytes: \(MappedFile.reason(code))", remedy: remedy)
  }
}

/// `write(2)`, which the method of the same name would hide.
private func posixWrite(_ descriptor: Int32, _ start: UnsafeRawPointer, _ count: Int) -> Int {
  write(descriptor, start, count)
}
