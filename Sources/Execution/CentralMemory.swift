// Behind the threads' caches: slabs that small blocks are cut from, and mappings that are reused, bounded and limited.
// Surprise: a fresh large span is touched once, by all threads, before anyone sees it: a page fault inside a kernel costs
// more than the kernel.
import Basics
import CHost
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

// Sendable: every stored `var` is read and written under `lock` only.
final class CentralMemory: @unchecked Sendable {
  private struct Kept {
    var address: UnsafeMutableRawPointer
    var stamp: UInt64
  }

  private static let slabBytes = 1 << 20
  private static let alwaysKept = 64 << 20

  let limit: Atomic<Int>
  private let lock = SpinLock()
  /// Free small blocks, linked through their first word.
  private var free = [UnsafeMutableRawPointer?](repeating: nil, count: SizeClass.smallCount)
  private var slab: UnsafeMutableRawPointer?
  private var slabRest = 0
  private var spans = [[Kept]](repeating: [], count: SizeClass.count)
  private var stamp: UInt64 = 0
  private var counts = Allocator.Statistics()
  /// Bytes of spans in use, and what ended threads had left in use of small blocks.
  private var spansInUse = 0
  private var orphaned = 0
  private var caches: UnsafeMutableRawPointer?
  private let threadEnd: pthread_key_t

  init() {
    limit = Atomic(Knobs.current.memory ?? systemMemory())
    var key = pthread_key_t()
    pthread_key_create(&key) { value in
      #if canImport(Glibc)
        guard let value else { return }
      #endif
      Allocator.central.unregister(ThreadCache(address: value))
    }
    threadEnd = key
    // A child of fork gets this memory as it is: take the lock so that it is whole.
    pthread_atfork(
      { Allocator.central.lock.lock() }, { Allocator.central.lock.unlock() }, { Allocator.central.lock.unlock() })
  }

  static func absurd(_ byteCount: Int) -> Diagnostic {
    Diagnostic(
      .memory, "a buffer of \(byteCount) bytes cannot exist", remedy: "check the extents that were multiplied")
  }

  // MARK: Threads

  func register(_ cache: ThreadCache) {
    pthread_setspecific(threadEnd, cache.address)
    lock.lock()
    cache.next = caches
    caches = cache.address
    lock.unlock()
  }

  /// Gives the blocks of an ending thread to all.
  func unregister(_ cache: ThreadCache) {
    azulejo_this_thread().pointee.memory = nil
    ThreadArena.release()
    lock.lock()
    for number in 0..<SizeClass.smallCount {
      let sizeClass = SizeClass(number: number)
      while let block = cache.surrender(sizeClass) { link(block, sizeClass) }
    }
    orphaned += cache.inUse
    if caches == cache.address {
      caches = cache.next
    } else {
      var other = caches
      while let address = other {
        if ThreadCache(address: address).next == cache.address { ThreadCache(address: address).next = cache.next }
        other = ThreadCache(address: address).next
      }
    }
    lock.unlock()
    cache.destroy()
  }

  private func link(_ block: UnsafeMutableRawPointer, _ sizeClass: SizeClass) {
    block.storeBytes(of: free[sizeClass.number], as: UnsafeMutableRawPointer?.self)
    free[sizeClass.number] = block
  }

  // MARK: Small blocks

  /// Puts half a cache of blocks into `cache`, at least one.
  func refill(_ cache: ThreadCache, _ sizeClass: SizeClass) throws(Diagnostic) {
    lock.lock()
    defer { lock.unlock() }
    notePeak()
    for made in 0..<max(1, ThreadCache.capacity(sizeClass) / 2) {
      if let block = free[sizeClass.number] {
        free[sizeClass.number] = block.load(as: UnsafeMutableRawPointer?.self)
        cache.keep(block, sizeClass)
      } else if slabRest >= sizeClass.capacity, let start = slab {
        slab = start + sizeClass.capacity
        slabRest -= sizeClass.capacity
        cache.keep(start, sizeClass)
      } else {
        if made > 0 { return }
        // The rest of the old slab is lost: at most a 32nd.
        let bytes = Self.slabBytes
        guard currentBytes() + bytes <= limit.load(ordering: .relaxed), let fresh = map(bytes) else {
          throw exhausted(sizeClass.capacity)
        }
        counts.slabs += bytes
        cache.keep(fresh, sizeClass)
        slab = fresh + sizeClass.capacity
        slabRest = bytes - sizeClass.capacity
      }
    }
  }

  /// Takes half of a thread's blocks of a class back.
  func drain(_ cache: ThreadCache, _ sizeClass: SizeClass) {
    lock.lock()
    for _ in 0..<(cache.count(of: sizeClass) / 2) {
      if let block = cache.surrender(sizeClass) { link(block, sizeClass) }
    }
    lock.unlock()
  }

  // MARK: Spans

  private static func mappedBytes(_ sizeClass: SizeClass) -> Int { sizeClass.capacity + SizeClass.tailPage }

  func allocateSpan(_ sizeClass: SizeClass, byteCount: Int) throws(Diagnostic) -> Allocator.Block {
    if let block = try reuseOrReserve(sizeClass, byteCount: byteCount) { return block }
    if let fresh = mapSpan(sizeClass) { return Allocator.Block(address: fresh, sizeClass: sizeClass) }
    // The system refuses: what is kept may be what it lacks.
    trim(toKeep: 0)
    if let fresh = mapSpan(sizeClass) { return Allocator.Block(address: fresh, sizeClass: sizeClass) }
    lock.lock()
    defer { lock.unlock() }
    spansInUse -= Self.mappedBytes(sizeClass)
    throw exhausted(byteCount)
  }

  /// A kept block, or nil with the bytes of a fresh one already counted.
  private func reuseOrReserve(_ sizeClass: SizeClass, byteCount: Int) throws(Diagnostic) -> Allocator.Block? {
    lock.lock()
    defer { lock.unlock() }
    // The newest of the same class is the warmest; a block up to a quarter larger is better than a fresh mapping.
    let most = Allocator.isMeasuring ? sizeClass.number : min(sizeClass.number + 2, SizeClass.count - 1)
    for number in sizeClass.number...most {
      guard let found = spans[number].popLast() else { continue }
      let reused = SizeClass(number: number)
      counts.kept -= Self.mappedBytes(reused)
      spansInUse += Self.mappedBytes(reused)
      notePeak()
      return Allocator.Block(address: found.address, sizeClass: reused)
    }
    let bytes = Self.mappedBytes(sizeClass)
    guard currentBytes() + bytes <= limit.load(ordering: .relaxed) else { throw exhausted(byteCount) }
    spansInUse += bytes
    notePeak()
    releaseKept(to: allowedToKeep)
    return nil
  }

  func freeSpan(_ address: UnsafeMutableRawPointer, _ sizeClass: SizeClass) {
    lock.lock()
    let bytes = Self.mappedBytes(sizeClass)
    spansInUse -= bytes
    counts.kept += bytes
    stamp += 1
    spans[sizeClass.number].append(Kept(address: address, stamp: stamp))
    releaseKept(to: allowedToKeep)
    lock.unlock()
  }

  private var allowedToKeep: Int {
    max(Self.alwaysKept, counts.peak + counts.peak / 8) - min(currentBytes(), counts.peak)
  }

  /// Unmaps the oldest kept spans. Under the lock: rare, and it keeps the counts true.
  private func releaseKept(to allowed: Int) {
    while counts.kept > max(0, allowed) {
      var oldest: (number: Int, stamp: UInt64)?
      for number in SizeClass.smallCount..<SizeClass.count {
        // Within a class the first is the oldest.
        guard let first = spans[number].first, first.stamp < oldest?.stamp ?? .max else { continue }
        oldest = (number, first.stamp)
      }
      guard let number = oldest?.number else { return }
      let bytes = Self.mappedBytes(SizeClass(number: number))
      munmap(spans[number].removeFirst().address, bytes)
      counts.kept -= bytes
    }
  }

  func trim(toKeep bytes: Int) {
    lock.lock()
    releaseKept(to: bytes)
    lock.unlock()
  }

  // MARK: The system's memory

  private func mapSpan(_ sizeClass: SizeClass) -> UnsafeMutableRawPointer? {
    let bytes = Self.mappedBytes(sizeClass)
    guard sizeClass.capacity >= SizeClass.hugePage else { return map(bytes) }
    // One huge page more than needed, to cut an aligned piece out of it.
    guard let start = map(bytes + SizeClass.hugePage) else { return nil }
    let before = -Int(bitPattern: start) & (SizeClass.hugePage - 1)
    if before > 0 { munmap(start, before) }
    let aligned = start + before
    let after = SizeClass.hugePage - before
    if after > 0 { munmap(aligned + bytes, after) }
    azulejo_advise_huge(aligned, sizeClass.capacity)
    touch(aligned, sizeClass.capacity)
    return aligned
  }

  /// Makes all pages present, each by the first thread that is free.
  private func touch(_ start: UnsafeMutableRawPointer, _ bytes: Int) {
    // Each range is one thread's own.
    nonisolated(unsafe) let start = start
    ThreadPool.shared.run(count: bytes / SizeClass.hugePage, grain: 1) { range in
      azulejo_populate(
        start + range.lowerBound * SizeClass.hugePage, range.count * SizeClass.hugePage, SizeClass.tailPage)
    }
  }

  private func map(_ bytes: Int) -> UnsafeMutableRawPointer? {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS
    guard let address = mmap(nil, bytes, PROT_READ | PROT_WRITE, flags, -1, 0), address != MAP_FAILED else {
      return nil
    }
    return address
  }

  // MARK: Counts. All of these are called under the lock.

  private func currentBytes() -> Int {
    var bytes = spansInUse + orphaned
    var cache = caches
    while let address = cache {
      bytes += ThreadCache(address: address).inUse
      cache = ThreadCache(address: address).next
    }
    return bytes
  }

  private func notePeak() { counts.peak = max(counts.peak, currentBytes()) }

  private func exhausted(_ byteCount: Int) -> Diagnostic {
    Diagnostic(
      .memory,
      "no memory for a buffer of \(byteCount) bytes: \(currentBytes()) of \(limit.load(ordering: .relaxed)) are in use",
      remedy: "use smaller batches or dtypes, or raise AZULEJO_MEMORY if the machine has more")
  }

  func noRoom(_ byteCount: Int) -> Diagnostic {
    lock.lock()
    defer { lock.unlock() }
    return exhausted(byteCount)
  }

  var inUse: Int {
    lock.lock()
    defer { lock.unlock() }
    return currentBytes()
  }

  var statistics: Allocator.Statistics {
    lock.lock()
    defer { lock.unlock() }
    notePeak()
    var result = counts
    result.current = currentBytes()
    return result
  }
}

/// What this process may use: the machine's memory, or less in a container.
private func systemMemory() -> Int {
  let pages = Int(sysconf(Int32(_SC_PHYS_PAGES)))
  let physical = pages > 0 ? pages * Int(sysconf(Int32(_SC_PAGESIZE))) : .max
  guard let file = fopen("/sys/fs/cgroup/memory.max", "r") else { return physical }
  defer { fclose(file) }
  var text = [CChar](repeating: 0, count: 64)
  guard fgets(&text, 64, file) != nil else { return physical }
  // "max" is no number and leaves 0.
  let bytes = strtoll(text, nil, 10)
  return bytes > 0 ? min(physical, Int(bytes)) : physical
}
