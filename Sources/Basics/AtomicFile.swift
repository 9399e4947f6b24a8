// Writes a file so that readers see the old one or the complete new one, also after a crash or on a full disk.
// Not a buffer: each write is a system call. Where files need a name from the start (no /proc, NFS), a process that is ended
// leaves one behind, which the next writer of the same path takes away. Surprise: a symbolic link at the path is replaced by the new file, but a device,
// pipe or socket never is.

import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A file without a name, or under a temporary one beside its final one; `commit()` gives it that name, anything else
/// removes it. Where the system knows files without names (Linux), a process that is ended leaves nothing behind.
package struct AtomicFile: ~Copyable {
  package let path: String
  /// Bytes written so far.
  package private(set) var count = 0
  /// Nil while the file has no name.
  private var temporaryPath: String?
  private let descriptor: Int32
  private var isCommitted = false

  /// The whole file at once.
  package static func write(_ text: String, to path: String) throws(Diagnostic) {
    var file = try AtomicFile(path: path)
    try file.write(Array(text.utf8))
    try file.commit()
  }

  package init(path: String) throws(Diagnostic) {
    try Self.checkReplaceable(path)
    (descriptor, temporaryPath) = try Self.openBeside(path)
    // Held as long as this writer lives: a lock that can be had marks what is left of another.
    flock(descriptor, LOCK_EX | LOCK_NB)
    Self.removeLeftovers(of: path)
    self.path = path
  }

  /// A new file that is not at `path` yet: without a name where that is possible.
  private static func openBeside(_ path: String) throws(Diagnostic) -> (descriptor: Int32, temporaryPath: String?) {
    let nameless = openNameless(in: folder(of: path))
    if nameless >= 0 { return (nameless, nil) }
    var attempts = 0
    while true {
      let candidate = temporaryName(for: path)
      let descriptor = open(candidate, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
      if descriptor >= 0 { return (descriptor, candidate) }
      attempts += 1
      let code = errno
      guard code == EEXIST, attempts < 8 else {
        throw Diagnostic(
          .file, "\(path): cannot be written: \(Diagnostic.systemReason(code))",
          remedy: "check that its folder exists and may be written")
      }
    }
  }

  deinit {
    close(descriptor)
    if !isCommitted, let temporaryPath { unlink(temporaryPath) }
  }

  /// A name of its own for each writer: two processes may write the same file at once, the last rename wins.
  private static func temporaryName(for path: String) -> String {
    "\(path).\(getpid())-\(UInt32.random(in: .min ... .max)).part"
  }

  /// Paths whose leftovers this process has looked for.
  private static let visited = Mutex<Set<String>>([])

  /// Takes away what writers of `path` left that were ended: files under temporary names of it that nobody holds, and that
  /// nobody has written to for `age` seconds (locks may not reach other machines). Once for each path and process.
  private static func removeLeftovers(of path: String, olderThan age: Int = 600) {
    let isFirst = visited.withLock { visited in
      if visited.count >= 1000 { visited.removeAll() }
      return visited.insert(path).inserted
    }
    guard isFirst, let listing = opendir(folder(of: path)) else { return }
    defer { closedir(listing) }
    let start = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
    let prefix = "\(path[start...])."
    while let item = readdir(listing) {
      let name = withUnsafeBytes(of: &item.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      guard name.hasPrefix(prefix), name.hasSuffix(".part") else { continue }
      let numbers = name.dropFirst(prefix.count).dropLast(5).split(separator: "-", omittingEmptySubsequences: false)
      guard numbers.count == 2, Int32(numbers[0]) != nil, UInt32(numbers[1]) != nil else { continue }
      let file = openat(dirfd(listing), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
      guard file >= 0 else { continue }
      defer { close(file) }
      var status = stat()
      guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(),
        time(nil) - modified(status) > age, flock(file, LOCK_EX | LOCK_NB) == 0
      else { continue }
      unlinkat(dirfd(listing), name, 0)
    }
  }

  private static func modified(_ status: stat) -> Int {
    #if canImport(Darwin)
      status.st_mtimespec.tv_sec
    #else
      status.st_mtim.tv_sec
    #endif
  }

  private static func folder(of path: String) -> String { path.lastIndex(of: "/").map { String(path[...$0]) } ?? "." }

  /// A rename would put a file in the place of a device, pipe or socket, also of one that a link leads to.
  private static func checkReplaceable(_ path: String) throws(Diagnostic) {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG else { return }
    let kind: String
    switch status.st_mode & S_IFMT {
    case S_IFDIR: kind = "a directory"
    case S_IFIFO: kind = "a pipe"
    case S_IFSOCK: kind = "a socket"
    default: kind = "a device"
    }
    throw Diagnostic(
      .file, "\(path): is \(kind), which a file cannot replace",
      remedy: "name a file; it may be copied there afterwards")
  }

  /// A descriptor of a new file without a name; negative where the system has none.
  private static func openNameless(in folder: String) -> Int32 {
    #if os(Linux)
      // A name is given through /proc, which some containers lack.
      guard access("/proc/self/fd", X_OK) == 0 else { return -1 }
      // O_TMPFILE, whose macro Swift does not see; folders that do not know it give an error.
      return open(folder, O_WRONLY | O_CLOEXEC | O_DIRECTORY | 0o20_000_000, 0o666)
    #else
      return -1
    #endif
  }

  /// Gives a nameless file a temporary name: only a rename can replace another file.
  private mutating func name() throws(Diagnostic) {
    #if os(Linux)
      var attempts = 0
      while temporaryPath == nil {
        let candidate = Self.temporaryName(for: path)
        if linkat(AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, candidate, AT_SYMLINK_FOLLOW) == 0 {
          temporaryPath = candidate
        } else {
          attempts += 1
          guard errno == EEXIST, attempts < 8 else { throw failure(errno) }
        }
      }
    #endif
  }

  package mutating func write(_ bytes: UnsafeRawBufferPointer) throws(Diagnostic) {
    var rest = bytes
    while let start = rest.baseAddress, !rest.isEmpty {
      // Linux writes at most 2 GiB at once, macOS refuses more.
      let (written, code) = withoutSizeSignal { posixWrite(descriptor, start, min(rest.count, 1 << 30)) }
      if written < 0, code == EINTR { continue }
      guard written > 0 else { throw failure(code) }
      count += written
      rest = UnsafeRawBufferPointer(rebasing: rest[written...])
    }
  }

  package mutating func write(_ bytes: [UInt8]) throws(Diagnostic) {
    try bytes.withUnsafeBufferPointer { buffer throws(Diagnostic) in try write(UnsafeRawBufferPointer(buffer)) }
  }

  /// Replaces bytes that were written before.
  package mutating func overwrite(_ bytes: [UInt8], at offset: Int) throws(Diagnostic) {
    let (written, code) = bytes.withUnsafeBytes { buffer in
      withoutSizeSignal { pwrite(descriptor, buffer.baseAddress, buffer.count, off_t(offset)) }
    }
    guard written == bytes.count else { throw failure(code) }
  }

  /// Makes the file durable and visible under its path.
  package mutating func commit() throws(Diagnostic) {
    guard fsync(descriptor) == 0 else { throw failure(errno) }
    try Self.checkReplaceable(path)
    try name()
    guard let temporaryPath, rename(temporaryPath, path) == 0 else { throw failure(errno) }
    isCommitted = true
    // The rename itself becomes durable with its folder; not all file systems can, and the file is whole either way.
    let folderDescriptor = open(Self.folder(of: path), O_RDONLY | O_CLOEXEC)
    if folderDescriptor >= 0 {
      fsync(folderDescriptor)
      close(folderDescriptor)
    }
  }

  private func failure(_ code: Int32) -> Diagnostic {
    let remedy: String
    switch code {
    case ENOSPC, EDQUOT: remedy = "free some space; nothing was changed"
    case EFBIG: remedy = "raise the limit on the size of files; nothing was changed"
    default: remedy = "nothing was changed"
    }
    return Diagnostic(
      .file, "\(path): writing failed after \(count) bytes: \(Diagnostic.systemReason(code))", remedy: remedy)
  }
}

extension Diagnostic {
  /// What the system says about `code`, an `errno`.
  package static func systemReason(_ code: Int32) -> String { String(cString: strerror(code)) }
}

/// `write(2)`, which the method of the same name would hide.
private func posixWrite(_ descriptor: Int32, _ start: UnsafeRawPointer, _ count: Int) -> Int {
  write(descriptor, start, count)
}

/// A write beyond the limit on the size of files sends its thread SIGXFSZ, which would end the process: the signal is held
/// back and taken away again, so that only the error is left. Gives the count and the error of `body`.
package func withoutSizeSignal(_ body: () -> Int) -> (count: Int, code: Int32) {
  var (signals, before, pending) = (sigset_t(), sigset_t(), sigset_t())
  sigemptyset(&signals)
  sigaddset(&signals, SIGXFSZ)
  sigpending(&pending)
  let wasPending = sigismember(&pending, SIGXFSZ) == 1
  pthread_sigmask(SIG_BLOCK, &signals, &before)
  let count = body()
  let code = errno
  if count < 0, code == EFBIG, !wasPending {
    sigpending(&pending)
    var taken: Int32 = 0
    if sigismember(&pending, SIGXFSZ) == 1 { sigwait(&signals, &taken) }
  }
  pthread_sigmask(SIG_SETMASK, &before, nil)
  return (count, code)
}
