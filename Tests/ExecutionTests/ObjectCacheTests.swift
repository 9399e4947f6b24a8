// The disk cache: whole entries or none, whatever happens to writers, disks and files.
import Basics
import Execution
import Synchronization
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

private func payload(_ seed: Int, _ count: Int = 300) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ seed &* 7 &+ $0 >> 5) }
}

@Suite struct ObjectCacheTests {
  @Test(arguments: [0, 1, 15, 16, 17, 300, 1_000_000])
  func what_was_written_is_read(_ count: Int) throws {
    let scratch = try ScratchFolder()
    ObjectCache(directory: scratch.path).write("k1", payload(1, count))
    // Another cache object: as another process would see it.
    #expect(ObjectCache(directory: scratch.path).read("k1") == payload(1, count))
    #expect(ObjectCache(directory: scratch.path).read("k2") == nil)
    #expect(ObjectCache(directory: scratch.path).statistics.entries == 1)
  }

  @Test func a_missing_directory_is_made_with_its_parents() throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.path + "/a/b")
    cache.write("k", payload(1))
    #expect(cache.read("k") == payload(1))
    try cache.clear()
    rmdir(scratch.path + "/a/b")
    rmdir(scratch.path + "/a")
  }

  @Test func no_directory_means_every_read_misses() {
    let cache = ObjectCache(directory: nil)
    cache.write("k", payload(1))
    #expect(cache.read("k") == nil)
    #expect(cache.statistics.entries == 0)
  }

  @Test(arguments: ["", "../k", "a/b", "k.kernel", "ä", String(repeating: "k", count: 129)])
  func a_key_that_is_no_file_name_stores_nothing(_ key: String) throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.path)
    cache.write(key, payload(1))
    #expect(cache.read(key) == nil)
    #expect(try scratch.files().isEmpty)
  }

  @Test func every_cut_and_every_flipped_byte_is_a_miss_and_removed() throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.path)
    cache.write("k", payload(3, 77))
    let name = try #require(try scratch.files().first)
    let whole = try scratch.bytes(name)
    for position in whole.indices {
      for damage in [1, 0x80, 0xff] as [UInt8] {
        var bytes = whole
        bytes[position] ^= damage
        try scratch.write(bytes, name)
        #expect(cache.read("k") == nil, "byte \(position)")
        #expect(try scratch.files().isEmpty)
      }
      try scratch.write(Array(whole[..<position]), name)
      #expect(cache.read("k") == nil, "cut to \(position)")
    }
    try scratch.write(whole + [0], name)
    #expect(cache.read("k") == nil)
    try scratch.write(whole, name)
    #expect(cache.read("k") == payload(3, 77))
  }

  @Test func random_files_are_misses() throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.path)
    cache.write("k", payload(3, 40))
    let name = try #require(try scratch.files().first)
    let header = Array(try scratch.bytes(name)[..<32])
    var state: UInt64 = 9
    for round in 0..<500 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let noise = payload(Int(truncatingIfNeeded: state >> 30), Int(state >> 50) % 200)
      try scratch.write(round % 2 == 0 ? noise : Array(header[..<Int(state >> 40 & 31)]) + noise, name)
      #expect(cache.read("k") == nil)
    }
  }

  @Test func an_entry_renamed_to_another_key_is_a_miss() throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.path)
    cache.write("aa", payload(3))
    rename("\(scratch.path)/aa.kernel", "\(scratch.path)/bb.kernel")
    #expect(cache.read("bb") == nil)
  }

  @Test(arguments: [0, 1, 50, 331])
  func a_full_disk_leaves_nothing_behind(_ room: Int) throws {
    let scratch = try ScratchFolder()
    let left = Atomic<Int>(room)
    let full = ObjectCache(directory: scratch.path) { file, bytes, count in
      let fits = min(count, left.load(ordering: .relaxed))
      if fits == 0 {
        errno = ENOSPC
        return -1
      }
      left.subtract(fits, ordering: .relaxed)
      return write(file, bytes, fits)
    }
    full.write("k", payload(1))
    #expect(full.read("k") == nil)
    #expect(try scratch.files().isEmpty)
  }

  @Test func short_and_interrupted_writes_are_continued() throws {
    let scratch = try ScratchFolder()
    let calls = Atomic<Int>(0)
    let slow = ObjectCache(directory: scratch.path) { file, bytes, count in
      let call = calls.add(1, ordering: .relaxed).newValue
      if call % 3 == 0 {
        errno = EINTR
        return -1
      }
      return write(file, bytes, min(count, 1 + call % 7))
    }
    slow.write("k", payload(1))
    #expect(slow.read("k") == payload(1))
  }

  // A file in the place of the directory: this stops even a superuser.
  @Test func an_unusable_directory_only_misses() throws {
    let scratch = try ScratchFolder()
    try scratch.write([1], "file")
    for path in ["\(scratch.path)/file", "\(scratch.path)/file/below"] {
      let cache = ObjectCache(directory: path)
      cache.write("k", payload(1))
      #expect(cache.read("k") == nil)
      #expect(cache.statistics.entries == 0)
    }
    #expect(try scratch.files() == ["file"])
  }

  @Test func an_entry_beyond_the_file_size_limit_does_not_end_the_process() async throws {
    let scratch = try ScratchFolder()
    await #expect(processExitsWith: .success) { [path = scratch.path as String] in
      var limit = rlimit(rlim_cur: 100, rlim_max: 100)
      #if canImport(Glibc)
        setrlimit(__rlimit_resource_t(UInt32(RLIMIT_FSIZE.rawValue)), &limit)
      #else
        setrlimit(RLIMIT_FSIZE, &limit)
      #endif
      let cache = ObjectCache(directory: path)
      cache.write("k", payload(1))
      exit(cache.read("k") == nil ? EXIT_SUCCESS : EXIT_FAILURE)
    }
    #expect(try scratch.files().isEmpty)
  }

  @Test func a_writer_killed_in_the_middle_harms_nobody() async throws {
    let scratch = try ScratchFolder()
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = scratch.path as String] in
      ObjectCache(directory: path).write("before", payload(1))
      let dying = ObjectCache(directory: path) { file, bytes, count in
        _ = write(file, bytes, count / 2)
        kill(getpid(), SIGKILL)
        return -1
      }
      dying.write("k", payload(2))
    }
    let cache = ObjectCache(directory: scratch.path)
    #expect(cache.read("before") == payload(1))
    #expect(cache.read("k") == nil)
    #expect(cache.statistics.entries == 1)
    cache.write("k", payload(2))
    #expect(cache.read("k") == payload(2))
    try cache.clear()
    #expect(try scratch.files().isEmpty, "what the dead writer left is cleared too")
  }

  @Test func processes_that_share_an_empty_cache_read_whole_entries() async throws {
    let scratch = try ScratchFolder()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<2 {
        group.addTask { [path = scratch.path as String] in
          await #expect(processExitsWith: .success) { [path = path as String] in
            let cache = ObjectCache(directory: path)
            for round in 0..<300 {
              let seed = round % 20
              if let found = cache.read("k\(seed)"), found != payload(seed) { exit(EXIT_FAILURE) }
              cache.write("k\(seed)", payload(seed))
              if cache.read("k\(seed)") != payload(seed) { exit(EXIT_FAILURE) }
            }
          }
        }
      }
    }
    #expect(ObjectCache(directory: scratch.path).statistics.entries == 20)
    #expect(try scratch.files().count == 20)
  }

  @Test func threads_share_one_cache() async throws {
    let scratch = try ScratchFolder()
    let cache = ObjectCache(directory: scratch.path)
    let wrong = Tally.Cell()
    await withTaskGroup(of: Void.self) { group in
      for worker in 0..<4 {
        group.addTask {
          for round in 0..<100 {
            let seed = (worker + round) % 10
            if let found = cache.read("k\(seed)"), found != payload(seed) { wrong.value.add(1, ordering: .relaxed) }
            cache.write("k\(seed)", payload(seed))
          }
        }
      }
    }
    #expect(wrong.value.load(ordering: .relaxed) == 0)
    #expect(cache.statistics.entries == 10)
  }

  @Test func beyond_the_limit_the_entries_unused_longest_go() throws {
    let scratch = try ScratchFolder()
    let filling = ObjectCache(directory: scratch.path)
    for i in 0..<10 {
      filling.write("k\(i)", payload(i, 1000))
      // Ever younger, and all of them days old.
      var times = [timespec(tv_sec: 1_000_000 + i, tv_nsec: 0), timespec(tv_sec: 1_000_000 + i, tv_nsec: 0)]
      utimensat(AT_FDCWD, "\(scratch.path)/k\(i).kernel", &times, 0)
    }
    // Reading makes the oldest the youngest.
    #expect(filling.read("k0") == payload(0, 1000))
    // Each entry takes a block of the disk.
    let small = ObjectCache(directory: scratch.path, byteLimit: 5 * 4096)
    small.write("new", payload(99, 1000))
    #expect(small.read("new") == payload(99, 1000))
    #expect(small.read("k0") == payload(0, 1000))
    #expect(small.read("k9") == payload(9, 1000))
    #expect(small.read("k1") == nil)
    #expect(small.statistics.bytes <= 5 * 4096)
  }

  @Test func clear_leaves_files_of_others() throws {
    let scratch = try ScratchFolder()
    try scratch.write([1, 2], "notes.txt")
    let cache = ObjectCache(directory: scratch.path)
    cache.write("k", payload(1))
    try cache.clear()
    #expect(try scratch.files() == ["notes.txt"])
  }

  // A folder of somebody may hold files that are only called as entries are.
  @Test func files_that_are_called_like_entries_are_not_ours() throws {
    let scratch = try ScratchFolder()
    let others = ["a.kernel", "deadbeef.capture", "film.partial", "main.plan", "video.1.2.partial"]
    for name in others {
      try scratch.write(payload(7, 1000), name)
      var times = [timespec(tv_sec: 1_000_000, tv_nsec: 0), timespec(tv_sec: 1_000_000, tv_nsec: 0)]
      utimensat(AT_FDCWD, "\(scratch.path)/\(name)", &times, 0)
    }
    // What a killed process left of its own goes when the folder is looked through.
    let key = String(repeating: "a7", count: 16)
    try scratch.write([1], "\(key).1.2.partial")
    var times = [timespec(tv_sec: 1_000_000, tv_nsec: 0), timespec(tv_sec: 1_000_000, tv_nsec: 0)]
    utimensat(AT_FDCWD, "\(scratch.path)/\(key).1.2.partial", &times, 0)
    let cache = ObjectCache(directory: scratch.path, byteLimit: 4096)
    for round in 0..<4 { cache.write("k\(round)", payload(round, 3000)) }
    #expect(try Set(others).isSubset(of: scratch.files()) && !scratch.files().contains("\(key).1.2.partial"))
    #expect(cache.statistics.entries <= 1 && cache.unusable { _, _ in nil }.isEmpty)
    try cache.clear()
    #expect(try scratch.files().sorted() == others)
  }

  @Test func the_standard_directory_follows_the_environment() {
    func directory(_ environment: [String: String], _ choice: Knobs.CacheChoice = .standard) -> String? {
      ObjectCache.standardDirectory(choice) { environment[$0] }
    }
    #expect(directory(["XDG_CACHE_HOME": "/x", "HOME": "/h"]) == "/x/azulejo")
    #expect(directory(["XDG_CACHE_HOME": "relative", "HOME": "/h"]) == "/h/.cache/azulejo")
    #expect(directory(["HOME": "/h"]) == "/h/.cache/azulejo")
    #expect(directory([:]) == nil)
    #expect(directory(["HOME": "/h"], .off) == nil)
    #expect(directory(["HOME": "/h"], .directory("/d")) == "/d")
  }
}
