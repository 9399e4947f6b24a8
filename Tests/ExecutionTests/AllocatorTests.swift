// Blocks of memory: aligned, padded, apart from each other, counted, reused, limited.
// Tests that look at the process' counts run in a process of their own.
import Basics
import Execution
import Synchronization
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Fails a test's child process with a message.
private func demand(_ condition: Bool, _ message: String) {
  if condition { return }
  Array("failed: \(message)\n".utf8).withUnsafeBytes { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
  exit(EXIT_FAILURE)
}

@Suite struct AllocatorTests {
  @Test func a_class_holds_its_bytes_and_the_padding_and_little_more() throws {
    var sizes = Array(0...5000)
    for exponent in 12...44 {
      let power = 1 << exponent
      sizes += [power - 65, power - 64, power - 1, power, power + 1, power + power / 8, power + power / 3]
    }
    var last = SizeClass(number: 0)
    for size in sizes.sorted() {
      let sizeClass = try #require(SizeClass(holding: size))
      #expect(sizeClass.number >= last.number, "\(size)")
      last = sizeClass
      // A span's padding is a page behind its capacity.
      let needed = sizeClass.isSmall ? size + SizeClass.padding : size
      #expect(sizeClass.capacity >= needed, "\(size)")
      if size > SizeClass.hugePage {
        #expect(sizeClass.capacity <= max(size + size / 8, size + SizeClass.hugePage), "\(size)")
        #expect(SizeClass(holding: sizeClass.capacity) == sizeClass, "\(size)")
      } else {
        #expect(sizeClass.capacity <= needed + max(63, needed / 4), "\(size)")
      }
      #expect(sizeClass.capacity % SizeClass.alignment == 0)
    }
  }

  @Test(arguments: [0, 1, 32, 64, 1000, 4096, 33_000, 100_000, 1 << 20, (2 << 20) - 1, 2 << 20, (5 << 20) + 3])
  func storages_are_aligned_apart_and_padded(_ size: Int) throws {
    let storages = try (0..<(size > 1 << 20 ? 4 : 100)).map { _ in try Storage(byteCount: size) }
    // Fills each with its number, padding included, then looks whether a neighbour wrote there.
    for (number, storage) in storages.enumerated() {
      #expect(UInt(bitPattern: storage.address) % 64 == 0)
      #expect(storage.byteCount == size && !storage.isBorrowed)
      memset(storage.address, Int32(number), size + 64)
    }
    for (number, storage) in storages.enumerated() {
      let bytes = UnsafeRawBufferPointer(start: storage.address, count: size + 64)
      #expect(bytes.prefix(200).allSatisfy { $0 == UInt8(number) })
      #expect(bytes.suffix(200).allSatisfy { $0 == UInt8(number) })
    }
  }

  @Test(arguments: [-1, Int.min, Int.max, Int.max - 63, 1 << 62, (1 << 45) + 1, 1 << 45, 1 << 43])
  func absurd_sizes_are_errors(_ size: Int) {
    #expect { try Storage(byteCount: size) } throws: { ($0 as? Diagnostic)?.kind == .memory }
  }

  @Test func blocks_freed_by_other_threads_come_back_whole() async throws {
    let shelf = Shelf()
    let damaged = Tally.Cell()
    await withTaskGroup(of: Void.self) { group in
      for worker in 0..<4 {
        group.addTask {
          var state = UInt64(worker + 1)
          for _ in 0..<4000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let size = Int(state >> 33) % (state >> 60 == 0 ? 200_000 : 3000)
            guard let storage = try? Storage(byteCount: size) else {
              damaged.value.add(1, ordering: .relaxed)
              continue
            }
            let mark = UInt8(truncatingIfNeeded: state >> 24)
            memset(storage.address, Int32(mark), size)
            let taken = shelf.exchange((storage, mark), at: Int(state >> 40))
            if let (storage, mark) = taken, !storage.bytes.allSatisfy({ $0 == mark }) {
              damaged.value.add(1, ordering: .relaxed)
            }
          }
        }
      }
    }
    #expect(damaged.value.load(ordering: .relaxed) == 0)
  }

  @Test func counts_return_to_where_they_were() async {
    await #expect(processExitsWith: .success) {
      let start = Allocator.statistics.current
      do {
        let sizes = [1, 500, 40_000, 3 << 20]
        let storages = try sizes.map { try Storage(byteCount: $0) }
        let during = Allocator.statistics
        demand(during.current - start >= sizes.reduce(0, +), "in use: \(during)")
        demand(during.peak >= during.current, "peak: \(during)")
        // Freed on a thread that ends: its counts must not be lost.
        var thread = pthread_t()
        pthread_create(
          &thread, nil,
          {
            let box = $0.map { Unmanaged<Holder>.fromOpaque($0).takeRetainedValue() }
            box?.storages = []
            return nil
          }, Unmanaged.passRetained(Holder(storages)).toOpaque())
        pthread_join(thread, nil)
      } catch { demand(false, "\(error)") }
      demand(Allocator.statistics.current == start, "left in use: \(Allocator.statistics.current - start)")
    }
  }

  @Test func a_freed_large_block_is_reused_and_trimmed() async {
    await #expect(processExitsWith: .success) {
      do {
        var first: Storage? = try Storage(byteCount: 9 << 20)
        let address = first?.address
        first = nil
        demand(Allocator.statistics.kept >= 9 << 20, "not kept")
        let second = try Storage(byteCount: 9 << 20)
        demand(second.address == address, "not reused")
        demand(Allocator.statistics.kept == 0, "still kept")
        _ = consume second
        Allocator.trim()
        demand(Allocator.statistics.kept == 0, "not trimmed")
      } catch { demand(false, "\(error)") }
    }
  }

  @Test func kept_memory_is_bounded_by_what_was_once_in_use() async {
    await #expect(processExitsWith: .success) {
      do {
        // Sizes that never fit each other: each leaves a block behind.
        for megabytes in stride(from: 10, to: 200, by: 13) { _ = try Storage(byteCount: megabytes << 20) }
        let statistics = Allocator.statistics
        demand(statistics.kept <= statistics.peak + statistics.peak / 8, "\(statistics)")
      } catch { demand(false, "\(error)") }
    }
  }

  @Test func the_limit_is_an_error_and_freed_memory_counts_again() async {
    await #expect(processExitsWith: .success) {
      Allocator.limit = 50 << 20
      do {
        let first = try Storage(byteCount: 30 << 20)
        do {
          _ = try Storage(byteCount: 30 << 20)
          demand(false, "more than the limit")
        } catch {
          let error = error as? Diagnostic
          demand(
            error?.kind == .memory && error?.message.contains("\(30 << 20) bytes") == true,
            "\(String(describing: error))")
        }
        _ = consume first
        _ = try Storage(byteCount: 40 << 20)
      } catch { demand(false, "\(error)") }
      // Small blocks stop too, and without a crash.
      var held: [Storage] = []
      do {
        while held.count < 1_000_000 { held.append(try Storage(byteCount: 900)) }
        demand(false, "small blocks ignore the limit")
      } catch { demand(held.count * 900 <= 50 << 20, "\(held.count) small blocks") }
    }
  }

  @Test func a_borrowed_storage_keeps_its_owner_until_it_dies() {
    final class Owner: Sendable {
      let bytes = "borrowed bytes"
    }
    weak var watched: Owner?
    let text: [UInt8] = Array("some mapped file".utf8)
    text.withUnsafeBytes { bytes in
      var storage: Storage?
      do {
        let owner = Owner()
        watched = owner
        storage = Storage(borrowing: bytes, owner: owner)
      }
      #expect(watched != nil)
      #expect(
        storage?.isBorrowed == true
          && storage.map { UnsafeRawPointer($0.address) } == bytes.baseAddress)
      storage = nil
    }
    #expect(watched == nil)
  }
}

private final class Holder {
  var storages: [Storage]
  init(_ storages: [Storage]) { self.storages = storages }
}

/// Storages in nobody's hands, each with the byte it is filled with.
// Sendable: `items` is touched under the lock. Not a Mutex: the thread sanitizer does not see into that one.
private final class Shelf: @unchecked Sendable {
  private let lock = SpinLock()
  private var items: [(Storage, UInt8)] = []

  /// Adds an item, and takes another out when there are many.
  func exchange(_ item: (Storage, UInt8), at place: Int) -> (Storage, UInt8)? {
    lock.lock()
    defer { lock.unlock() }
    items.append(item)
    return items.count < 64 ? nil : items.remove(at: place % items.count)
  }
}
