// Machine code that somebody else may have written is never read: whatever stands in the place of the folder or an entry.
import Basics
import Execution
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

extension ScratchFolder {
  /// As a StableHash writes it.
  fileprivate static let key = String(repeating: "a7", count: 16)
  fileprivate var cache: String { path + "/cache" }
  fileprivate var entry: String { cache + "/\(Self.key).kernel" }
  fileprivate func mode(_ path: String) -> mode_t {
    var information = stat()
    return lstat(path, &information) == 0 ? information.st_mode & 0o7777 : 0
  }
}

private let code: [UInt8] = Array(0..<200)

/// What can stand where an entry should be.
enum Intruder: CaseIterable, Sendable {
  case writableByGroup, writableByAll, ofAnother, link, pipe, folder
}

@Suite struct PrivateFolderTests {
  @Test func folders_and_files_are_for_their_owner_alone() async throws {
    let scratch = try ScratchFolder()
    await #expect(processExitsWith: .success) { [path = scratch.cache as String] in
      umask(0)
      ObjectCache(directory: path).write(ScratchFolder.key, code)
    }
    #expect(scratch.mode(scratch.cache) == 0o700)
    #expect(scratch.mode(scratch.entry) == 0o600)
    #expect(ObjectCache(directory: scratch.cache).read(ScratchFolder.key) == code)
  }

  @Test(arguments: [0o777, 0o770, 0o707, 0o722, 0o1777] as [mode_t])
  func a_folder_that_others_may_write_to_is_no_cache(_ mode: mode_t) throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.cache)
    cache.write(ScratchFolder.key, code)
    chmod(scratch.cache, mode)
    #expect(cache.read(ScratchFolder.key) == nil)
    cache.write("other", code)
    #expect(access(scratch.cache + "/other.kernel", F_OK) != 0)
    let found = cache.unusable { _, _ in nil }
    #expect(found.count == 1)
    #expect(found.first?.reason.contains("can be written to by other users") == true)
    #expect(found.first?.reason.contains(scratch.cache) == true)
    chmod(scratch.cache, 0o755)
    #expect(cache.read(ScratchFolder.key) == code, "reading is nobody's harm")
  }

  // Only a superuser can give files away.
  @Test(.enabled(if: geteuid() == 0)) func a_folder_of_another_user_is_no_cache() throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.cache)
    cache.write(ScratchFolder.key, code)
    chown(scratch.cache, 4321, 4321)
    #expect(cache.read(ScratchFolder.key) == nil)
    #expect(cache.unusable { _, _ in nil }.first?.reason.contains("belongs to user 4321") == true)
  }

  @Test(arguments: Intruder.allCases) func an_entry_that_is_not_ours_alone_is_a_miss_and_named(
    _ intruder: Intruder
  ) throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.cache)
    cache.write(ScratchFolder.key, code)
    switch intruder {
    case .writableByGroup: chmod(scratch.entry, 0o660)
    case .writableByAll: chmod(scratch.entry, 0o606)
    case .ofAnother:
      guard geteuid() == 0 else { return }
      chown(scratch.entry, 4321, 4321)
    case .link:
      rename(scratch.entry, scratch.path + "/target")
      symlink(scratch.path + "/target", scratch.entry)
    case .pipe:
      unlink(scratch.entry)
      mkfifo(scratch.entry, 0o600)
    case .folder:
      unlink(scratch.entry)
      mkdir(scratch.entry, 0o700)
    }
    #expect(cache.read(ScratchFolder.key) == nil)
    let found = cache.unusable { _, _ in nil }
    // A folder is nobody's entry: it is left alone.
    #expect(found.map(\.path) == (intruder == .folder ? [] : [scratch.entry]))
    #expect(found.allSatisfy { $0.reason.contains(scratch.entry) })
    // The next entry takes its place; where it cannot, that only costs time.
    cache.write(ScratchFolder.key, code)
    #expect(cache.read(ScratchFolder.key) == (intruder == .folder ? nil : code))
    try cache.clear()
    #expect(access(scratch.entry, F_OK) == (intruder == .folder ? 0 : -1))
    if intruder == .link { #expect(access(scratch.path + "/target", F_OK) == 0, "what a link led to is not ours") }
  }

  #if os(Linux)
    @Test func a_folder_that_cannot_be_made_is_named_with_the_reason() {
      let path = "/proc/azulejo-nothing/cache"
      let refusal = #expect(throws: PrivateFolder.Refusal.self) { _ = try PrivateFolder(path, isMade: true).path }
      #expect(refusal?.text == "\(path) cannot be made: No such file or directory")
    }
  #endif

  @Test func a_link_to_a_folder_of_our_own_is_followed() throws {
    let scratch = try ScratchFolder()
    mkdir(scratch.path + "/target", 0o700)
    symlink(scratch.path + "/target", scratch.cache)
    let cache = ObjectCache(directory: scratch.cache)
    cache.write(ScratchFolder.key, code)
    #expect(cache.read(ScratchFolder.key) == code)
    try cache.clear()
    unlink(scratch.cache)
    rmdir(scratch.path + "/target")
  }

  @Test func the_size_told_is_the_disk_s() throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.cache)
    cache.write(ScratchFolder.key, code)
    #expect(cache.statistics.bytes == 4096)
  }
}
