// Compiled kernels and plans on disk, a file per key, so that a second process compiles nothing.
// Not a store to rely on: any trouble is a miss, and a directory that cannot be written only costs compile time.
// Not a place for others either: machine code is run, so a folder or an entry that somebody else owns or may write to is
// refused by name (PrivateFolder), and the process goes on without it.
//
// No locks: an entry is written under a name of its own and renamed, so a reader sees a whole entry or none; two writers of
// one key write equal bytes. Surprise: the key's text is checked on reading too, as is a checksum over the whole entry: a
// file cut off by a crash of the machine is recognised and removed.
import Basics
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

// At file level, where `write` is still the system's.
@Sendable private func systemWrite(_ file: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
  write(file, bytes, count)
}

package final class ObjectCache: Sendable {
  /// Bytes to a file; answers how many were written, as `write(2)`. Tests put failures here.
  package typealias Writer = @Sendable (Int32, UnsafeRawPointer, Int) -> Int

  /// The cache that AZULEJO_CACHE chooses; none while stages are dumped or replaced.
  package static let shared = ObjectCache(
    directory: Knobs.current.wantsStages ? nil : standardDirectory(Knobs.current.cache))

  /// nil: no cache, every read misses.
  package let directory: String?
  private let byteLimit: Int
  private let writer: Writer
  private let state: Mutex<State>

  private struct State {
    var hasWarned = false
    /// Bytes on disk as far as this process knows; nil before the first look.
    var bytes: Int?
    var serial = 0
  }

  /// What an entry is; its file's name ends so.
  package enum Kind: String, Sendable, Hashable, CaseIterable {
    /// The code of a kernel.
    case kernel
    /// Which kernels a captured graph is, and how they hang together.
    case plan
    /// That a function gave the same graph twice.
    case capture

    fileprivate var suffix: String { "." + rawValue }
  }

  package struct Statistics: Sendable, Hashable {
    package var kernels = 0
    package var plans = 0
    package var captures = 0
    /// Of the disk: whole blocks.
    package var bytes = 0
    package var entries: Int { kernels + plans + captures }
  }

  private static let temporarySuffix = ".partial"
  private static let magic: UInt64 = 0x314c_4e4b_4a5a_4c41  // "ALZJKNL1"
  private static let headerBytes = 32
  // Larger than any object; a length beyond it is a broken header.
  private static let largestEntry = 1 << 30

  /// - Parameters:
  ///   - directory: made when first written to; nil switches the cache off.
  ///   - byteLimit: of the disk; beyond it the entries used longest ago are removed.
  package init(directory: String?, byteLimit: Int = 1 << 30, writer: Writer? = nil) {
    self.directory = directory
    self.byteLimit = byteLimit
    self.writer = writer ?? systemWrite
    state = Mutex(State())
  }

  /// $XDG_CACHE_HOME/azulejo, or .cache/azulejo in the home directory; nil if the choice is `off` or there is no home.
  package static func standardDirectory(
    _ choice: Knobs.CacheChoice, environment: (String) -> String? = { getenv($0).map { String(cString: $0) } }
  ) -> String? {
    switch choice {
    case .off: return nil
    case .directory(let path): return path
    case .standard:
      // The specification of XDG: a relative path is to be ignored.
      if let base = environment("XDG_CACHE_HOME"), base.hasPrefix("/") { return base + "/azulejo" }
      guard let home = environment("HOME"), !home.isEmpty else { return nil }
      return home + "/.cache/azulejo"
    }
  }

  // MARK: Reading

  /// The bytes stored under `key`, or nil. A broken entry is removed.
  /// - Parameter key: hexadecimal digits of a StableHash; letters, digits and "-" only.
  package func read(_ key: String, _ kind: Kind = .kernel) -> [UInt8]? {
    guard let name = fileName(key, kind), let folder = folder() else { return nil }
    let (file, information): (Int32, stat)
    do throws(PrivateFolder.Refusal) {
      (file, information) = try folder.open(name)
    } catch {
      if case .because(let reason) = error { warn("an entry is not used: \(reason)") }
      Log.write(.cache, "miss \(kind) \(key)")
      return nil
    }
    defer { close(file) }
    guard let payload = Self.payload(file, Int(information.st_size), key: key) else {
      folder.remove(name)
      Log.write(.cache, "broken \(kind) \(key): removed")
      return nil
    }
    markUsed(file, information)
    Log.write(.cache, "hit \(kind) \(key): \(payload.count) bytes")
    return payload
  }

  /// The cache's folder if it can be trusted. It is looked at each time: a few microseconds, and it may have changed.
  private func folder(isMade: Bool = false) -> PrivateFolder? {
    guard let directory else { return nil }
    do throws(PrivateFolder.Refusal) {
      return try PrivateFolder(directory, isMade: isMade)
    } catch {
      if isMade || error != .isAbsent { warn("compiled kernels and plans are not kept: \(error.text)") }
      return nil
    }
  }

  private static func payload(_ file: Int32, _ size: Int, key: String) -> [UInt8]? {
    guard size >= headerBytes, size <= largestEntry else { return nil }
    var header = [UInt64](repeating: 0, count: headerBytes / 8)
    guard header.withUnsafeMutableBytes({ PrivateFolder.readAll(file, $0) }) else { return nil }
    let (length, checksum) = (header[2], header[3])
    guard UInt64(littleEndian: header[0]) == magic, UInt64(littleEndian: header[1]) == UInt64(key.utf8.count),
      let count = Int(exactly: UInt64(littleEndian: length)), count <= size,
      count == size - headerBytes - key.utf8.count
    else { return nil }
    var storedKey = [UInt8](repeating: 0, count: key.utf8.count)
    guard storedKey.withUnsafeMutableBytes({ PrivateFolder.readAll(file, $0) }),
      storedKey.elementsEqual(key.utf8)
    else { return nil }
    var isWhole = false
    let payload = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      isWhole = PrivateFolder.readAll(
        file, UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]))
      initialized = isWhole ? count : 0
    }
    guard isWhole, Self.checksum(key, payload) == UInt64(littleEndian: checksum) else { return nil }
    return payload
  }

  /// The time of the last use is the modification time, looked after once a day: access times are often switched off.
  private func markUsed(_ file: Int32, _ information: stat) {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    if now.tv_sec - Self.modified(information) > 24 * 3600 { futimens(file, nil) }
  }

  private static func modified(_ information: stat) -> Int {
    #if canImport(Glibc)
      Int(information.st_mtim.tv_sec)
    #else
      Int(information.st_mtimespec.tv_sec)
    #endif
  }

  // MARK: Writing

  /// Stores `payload` under `key`. Trouble is logged once and otherwise ignored.
  package func write(_ key: String, _ payload: [UInt8], _ kind: Kind = .kernel) {
    guard let name = fileName(key, kind) else { return }
    let serial = state.withLock { state in
      state.serial += 1
      return state.serial
    }
    let temporary = "\(key).\(getpid()).\(serial)\(Self.temporarySuffix)"
    var entry: [UInt8] = []
    entry.reserveCapacity(Self.headerBytes + key.utf8.count + payload.count)
    for word in [Self.magic, UInt64(key.utf8.count), UInt64(payload.count), Self.checksum(key, payload)] {
      withUnsafeBytes(of: word.littleEndian) { entry += $0 }
    }
    entry += key.utf8
    entry += payload
    // A file beyond the process' limit would be answered by a signal that ends it.
    var fileLimit = rlimit()
    if getrlimit(Self.fileSizeLimit, &fileLimit) == 0, UInt64(fileLimit.rlim_cur) < UInt64(entry.count) {
      return warn("an entry of \(entry.count) bytes exceeds the file size limit and is not kept")
    }
    guard let folder = folder(isMade: true) else { return }
    let file: Int32
    do throws(PrivateFolder.Refusal) {
      file = try folder.make(temporary)
    } catch { return warn("compiled kernels and plans are not kept: \(error.text)") }
    let isWritten = writeAll(file, entry)
    let reason = errno
    guard close(file) == 0, isWritten, folder.rename(temporary, to: name) else {
      let text = String(cString: strerror(isWritten ? errno : reason))
      folder.remove(temporary)
      return warn("compiled kernels and plans are not kept: \(folder.path): \(text)")
    }
    Log.write(.cache, "stored \(kind) \(key): \(payload.count) bytes")
    keepToLimit(added: Self.occupied(entry.count))
  }

  #if canImport(Glibc)
    private static let fileSizeLimit = __rlimit_resource_t(UInt32(RLIMIT_FSIZE.rawValue))
  #else
    private static let fileSizeLimit = RLIMIT_FSIZE
  #endif

  private func writeAll(_ file: Int32, _ entry: [UInt8]) -> Bool {
    entry.withUnsafeBytes { bytes in
      var done = 0
      while done < bytes.count, let base = bytes.baseAddress {
        let count = writer(file, base + done, bytes.count - done)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        done += count
      }
      return true
    }
  }

  /// Says the first trouble aloud, the others where somebody listens: they tend to be the same.
  private func warn(_ reason: String) {
    let isFirst = state.withLock { state in
      defer { state.hasWarned = true }
      return !state.hasWarned
    }
    if isFirst { Log.warn(.cache, reason) } else { Log.write(.cache, reason) }
  }

  // MARK: All entries

  package var statistics: Statistics {
    entries().reduce(into: Statistics()) { result, entry in
      switch entry.kind {
      case .kernel?: result.kernels += 1
      case .plan?: result.plans += 1
      case .capture?: result.captures += 1
      case nil: return
      }
      result.bytes += entry.bytes
    }
  }

  /// Removes every entry; other files in the directory stay, and folders that are called like entries.
  /// - Throws: `Diagnostic(.cache)` if one cannot be removed.
  package func clear() throws(Diagnostic) {
    for entry in entries() where unlink(entry.path) != 0 && errno != ENOENT {
      throw Diagnostic(
        .cache, "cannot remove \(entry.path): \(String(cString: strerror(errno)))",
        remedy: "remove the directory by hand")
    }
    state.withLock { $0.bytes = 0 }
  }

  /// Entries that cannot be used, with their files and what is wrong: damaged ones, those that cannot be trusted, and what
  /// `judge` says of the others. Nothing is removed.
  package func unusable(
    _ kinds: Set<Kind> = Set(Kind.allCases), _ judge: (Kind, [UInt8]) -> String?
  ) -> [(path: String, reason: String)] {
    guard let directory else { return [] }
    let folder: PrivateFolder
    do throws(PrivateFolder.Refusal) {
      folder = try PrivateFolder(directory)
    } catch { return error == .isAbsent ? [] : [(directory, error.text)] }
    var found: [(path: String, reason: String)] = []
    for entry in entries() {
      guard let kind = entry.kind, kinds.contains(kind), let name = entry.path.split(separator: "/").last else {
        continue
      }
      do throws(PrivateFolder.Refusal) {
        let (file, information) = try folder.open(String(name))
        defer { close(file) }
        let key = String(name.dropLast(kind.suffix.utf8.count))
        if let payload = Self.payload(file, Int(information.st_size), key: key) {
          if let reason = judge(kind, payload) { found.append((entry.path, reason)) }
        } else {
          found.append((entry.path, "damaged"))
        }
      } catch  where error != .isAbsent { found.append((entry.path, error.text)) } catch {}
    }
    return found.sorted { $0.path < $1.path }
  }

  private struct Entry {
    var path: String
    /// What it takes of the disk.
    var bytes: Int
    var modified: Int
    /// nil: half written.
    var kind: Kind?
  }

  /// No kernel is kept yet. Stops at the first: a cache may have ten thousand entries.
  package var isEmpty: Bool { entries(atMost: 1) { $0.kind == .kernel }.isEmpty }

  private func entries(atMost limit: Int = .max, where counts: (Entry) -> Bool = { _ in true }) -> [Entry] {
    guard let directory, let listing = opendir(directory) else { return [] }
    defer { closedir(listing) }
    let folder = try? PrivateFolder(directory)
    var found: [Entry] = []
    while found.count < limit, let item = readdir(listing) {
      let name = withUnsafeBytes(of: &item.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      let kind = Kind.allCases.first { name.hasSuffix($0.suffix) }
      guard kind != nil || name.hasSuffix(Self.temporarySuffix), Self.isOurs(name, folder) else { continue }
      var information = stat()
      let path = "\(directory)/\(name)"
      guard lstat(path, &information) == 0, information.st_mode & S_IFMT != S_IFDIR else { continue }
      let bytes = max(Self.occupied(Int(information.st_size)), Int(information.st_blocks) * 512)
      let entry = Entry(path: path, bytes: bytes, modified: Self.modified(information), kind: kind)
      if counts(entry) { found.append(entry) }
    }
    return found
  }

  /// Whether this class made a file: what else lies in the folder is somebody's and is never removed. Its name begins with
  /// the digits of a StableHash; of other keys the first bytes say it.
  private static func isOurs(_ name: String, _ folder: borrowing PrivateFolder?) -> Bool {
    let stem = name.prefix { $0 != "." }.utf8
    if stem.count == 32, stem.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) { return true }
    guard let (file, _) = try? folder?.open(name) else { return false }
    defer { close(file) }
    var word: UInt64 = 0
    let isWhole = withUnsafeMutableBytes(of: &word) { PrivateFolder.readAll(file, $0) }
    return isWhole && UInt64(littleEndian: word) == magic
  }

  /// What a file of that many bytes takes of a disk whose blocks are of the usual size: most entries are smaller than one.
  private static func occupied(_ bytes: Int) -> Int { (bytes + 4095) / 4096 * 4096 }

  /// Looks at the directory on the first write of a process, then counts along; removes to 3/4 when the limit is passed.
  private func keepToLimit(added: Int) {
    let known = state.withLock { state in
      if let bytes = state.bytes { state.bytes = bytes + added }
      return state.bytes
    }
    if let known, known <= byteLimit { return }
    let all = entries()
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    // What a killed process left half written; an hour is longer than any write.
    for entry in all where entry.kind == nil && now.tv_sec - entry.modified > 3600 { unlink(entry.path) }
    var bytes = all.reduce(0) { $1.kind == nil ? $0 : $0 + $1.bytes }
    if bytes > byteLimit {
      let oldestFirst = all.filter { $0.kind != nil }.sorted { ($0.modified, $0.path) < ($1.modified, $1.path) }
      for entry in oldestFirst where bytes > byteLimit / 4 * 3 {
        unlink(entry.path)
        bytes -= entry.bytes
      }
      Log.write(.cache, "evicted to \(bytes) bytes")
    }
    state.withLock { $0.bytes = bytes }
  }

  // MARK: Names and sums

  /// The file of an entry; nil for a key that is no file name, and without a directory.
  package func file(_ key: String, _ kind: Kind) -> String? {
    guard let directory, let name = fileName(key, kind) else { return nil }
    return "\(directory)/\(name)"
  }

  private func fileName(_ key: String, _ kind: Kind) -> String? {
    guard !key.isEmpty, key.utf8.count <= 128,
      key.utf8.allSatisfy({
        $0 == 0x2d || (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
      })
    else { return nil }
    return key + kind.suffix
  }

  private static func checksum(_ key: String, _ payload: [UInt8]) -> UInt64 {
    var hash = StableHash()
    hash.combine(key)
    payload.withUnsafeBytes { hash.combine($0) }
    return hash.word
  }
}
