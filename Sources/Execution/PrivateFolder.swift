// A folder whose files only its owner can have written: what is run as machine code must not be somebody else's.
// Not a store: it opens and makes files, and says why it does not. Surprise: nothing here waits or follows a link, so that
// a pipe, a device or a link in the place of a file is refused by name, as is whatever others own or may write to.

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

// At file level, where `open` is still the system's.
private func systemOpen(_ path: String) -> Int32 { open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC) }

/// An open folder that belongs to this process' user and that nobody else can write to.
package struct PrivateFolder: ~Copyable {
  /// Why a folder or a file is not used.
  package enum Refusal: Error, Sendable, Hashable {
    case isAbsent
    /// "/srv/cache belongs to user 1000, and this process is of user 0".
    case because(String)

    package var text: String {
      switch self {
      case .isAbsent: "it does not exist"
      case .because(let reason): reason
      }
    }
  }

  package let path: String
  private let descriptor: Int32

  /// Opens the folder at `path`. Links on the way to it are followed: what counts is the folder at the end.
  /// - Parameter isMade: it is made if it is missing, with its parents, for this user alone.
  package init(_ path: String, isMade: Bool = false) throws(Refusal) {
    let obstacle = isMade && access(path, F_OK) != 0 ? Self.make(path) : nil
    let opened = systemOpen(path)
    guard opened >= 0 else {
      if let obstacle { throw .because("\(path) cannot be made: \(String(cString: strerror(obstacle)))") }
      // A link that leads nowhere: it is there, and yet it is not.
      throw isMade ? .because("\(path): \(String(cString: strerror(errno)))") : Self.systemRefusal(path)
    }
    do throws(Refusal) {
      _ = try Self.checked(opened, path, S_IFDIR)
    } catch {
      close(opened)
      throw error
    }
    (self.path, descriptor) = (path, opened)
  }

  deinit { close(descriptor) }

  /// Opens the file `name` for reading; gives its descriptor, which the caller closes, and what is known about it.
  package func open(_ name: String) throws(Refusal) -> (descriptor: Int32, information: stat) {
    let path = "\(path)/\(name)"
    let opened = openat(descriptor, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard opened >= 0 else {
      if errno == ELOOP { throw .because("\(path) is a symbolic link") }
      throw Self.systemRefusal(path)
    }
    do throws(Refusal) {
      return (opened, try Self.checked(opened, path, S_IFREG))
    } catch {
      close(opened)
      throw error
    }
  }

  /// All of the file `name`.
  package func contents(_ name: String, atMost limit: Int) throws(Refusal) -> [UInt8] {
    let (file, information) = try open(name)
    defer { close(file) }
    guard information.st_size <= limit else { throw .because("\(path)/\(name) has more than \(limit) bytes") }
    let size = Int(information.st_size)
    var isWhole = false
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, initialized in
      isWhole = Self.readAll(file, UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: size))
      initialized = isWhole ? size : 0
    }
    guard isWhole else { throw .because("\(path)/\(name) cannot be read whole") }
    return bytes
  }

  /// Makes the new file `name`, which only this user can read; the caller closes it.
  package func make(_ name: String) throws(Refusal) -> Int32 {
    let file = openat(descriptor, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    // Also of a folder that has gone meanwhile: whoever makes a file there wants to know where.
    guard file >= 0 else { throw .because("\(path): \(String(cString: strerror(errno)))") }
    return file
  }

  /// Gives a file its name; a file that had it, or a link, is gone then. False: `errno` says why not.
  package func rename(_ old: String, to new: String) -> Bool { renameat(descriptor, old, descriptor, new) == 0 }

  /// False: `errno` says why not.
  @discardableResult package func remove(_ name: String) -> Bool { unlinkat(descriptor, name, 0) == 0 }

  /// Fills the buffer from the file; false if the file ends before.
  package static func readAll(_ file: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Bool {
    var done = 0
    while done < buffer.count {
      guard let base = buffer.baseAddress else { return false }
      let count = read(file, base + done, buffer.count - done)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      done += count
    }
    return true
  }

  // MARK: Trust

  private static func systemRefusal(_ path: String) -> Refusal {
    errno == ENOENT ? .isAbsent : .because("\(path): \(String(cString: strerror(errno)))")
  }

  private static func checked(_ file: Int32, _ path: String, _ kind: mode_t) throws(Refusal) -> stat {
    var information = stat()
    guard fstat(file, &information) == 0 else { throw systemRefusal(path) }
    guard information.st_mode & S_IFMT == kind else {
      throw .because("\(path) is no \(kind == S_IFDIR ? "folder" : "file")")
    }
    let user = geteuid()
    guard information.st_uid == user else {
      throw .because("\(path) belongs to user \(information.st_uid), and this process is of user \(user)")
    }
    guard information.st_mode & 0o022 == 0 else {
      let mode = String(information.st_mode & 0o7777, radix: 8)
      throw .because("\(path) can be written to by other users (its mode is \(mode)); `chmod go-w` takes that back")
    }
    return information
  }

  /// Makes the folder and its parents; gives the error of the last of them, nil where it was made or is there.
  private static func make(_ path: String) -> Int32? {
    var end = path.startIndex
    while end < path.endIndex, let slash = path[path.index(after: end)...].firstIndex(of: "/") {
      mkdir(String(path[..<slash]), 0o700)
      end = slash
      if path.index(after: end) == path.endIndex { break }
    }
    return mkdir(path, 0o700) == 0 || errno == EEXIST ? nil : errno
  }
}
