// Memory of tensors and scratch: blocks by size class, kept when they are freed and handed out again.
// Not a general allocator (Swift's objects stay with malloc). Surprise: a small block is freed into the freeing thread's own
// cache, and its exact count lives there; `statistics` sums over all threads.
//
// What is kept is bounded: in use and kept together never exceed 9/8 of the most that was in use at once (or 64 MB).
import Basics
import CHost
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

package enum Allocator {
  package struct Statistics: Sendable, Hashable {
    /// Bytes of blocks in use.
    package var current = 0
    /// The most that was ever in use; small blocks are counted when a thread's cache is filled.
    package var peak = 0
    /// Bytes of freed spans that are kept for reuse.
    package var kept = 0
    /// Bytes taken from the system for small blocks; they stay.
    package var slabs = 0
  }

  /// A block in use: where it is and the class to give it back to.
  package struct Block {
    package var address: UnsafeMutableRawPointer
    package var sizeClass: SizeClass
  }

  static let central = CentralMemory()

  @inline(__always) package static func allocate(_ byteCount: Int) throws(Diagnostic) -> Block {
    let block = try take(byteCount)
    if isMeasuring { measure(footprint(block.sizeClass)) }
    return block
  }

  @inline(__always) private static func take(_ byteCount: Int) throws(Diagnostic) -> Block {
    guard let sizeClass = SizeClass(holding: byteCount) else { throw CentralMemory.absurd(byteCount) }
    guard sizeClass.isSmall else { return try central.allocateSpan(sizeClass, byteCount: byteCount) }
    let cache = ThreadCache.current
    if let address = cache.pop(sizeClass) { return Block(address: address, sizeClass: sizeClass) }
    try central.refill(cache, sizeClass)
    guard let address = cache.pop(sizeClass) else { throw CentralMemory.absurd(byteCount) }
    return Block(address: address, sizeClass: sizeClass)
  }

  @inline(__always) package static func free(_ block: Block) {
    if isMeasuring { measure(-footprint(block.sizeClass)) }
    guard block.sizeClass.isSmall else { return central.freeSpan(block.address, block.sizeClass) }
    let cache = ThreadCache.current
    if cache.push(block.address, block.sizeClass) { central.drain(cache, block.sizeClass) }
  }

  // MARK: One thread's need

  /// Bytes that a buffer takes: its class, and the page behind a span.
  package static func bytes(for byteCount: Int) throws(Diagnostic) -> Int {
    guard let sizeClass = SizeClass(holding: byteCount) else { throw CentralMemory.absurd(byteCount) }
    return footprint(sizeClass)
  }

  private static func footprint(_ sizeClass: SizeClass) -> Int {
    sizeClass.isSmall ? sizeClass.capacity : sizeClass.capacity + SizeClass.tailPage
  }

  /// This thread's blocks are counted: then what a block takes depends on nothing but its size, and scratch is not kept.
  @inline(__always) static var isMeasuring: Bool { azulejo_this_thread().pointee.measures != 0 }

  @inline(never) private static func measure(_ bytes: Int) {
    let thread = azulejo_this_thread()
    thread.pointee.measured_bytes += Int64(bytes)
    thread.pointee.measured_peak = max(thread.pointee.measured_peak, thread.pointee.measured_bytes)
  }

  /// Runs `body`; `bytes`: the most that this thread had in use beyond what it had before. Not to be nested.
  package static func peak<T>(of body: () throws -> T) rethrows -> (result: T, bytes: Int) {
    let thread = azulejo_this_thread()
    (thread.pointee.measures, thread.pointee.measured_bytes, thread.pointee.measured_peak) = (1, 0, 0)
    defer { thread.pointee.measures = 0 }
    let result = try body()
    return (result, Int(thread.pointee.measured_peak))
  }

  /// Throws as an allocation would, where `count` things of `size` bytes would be beside the tensors, which an argument
  /// asks for: a list of results, numbers for each of many places.
  package static func requireRoom(_ count: Int, of size: Int) throws(Diagnostic) {
    let (bytes, overflows) = count.multipliedReportingOverflow(by: size)
    // What fits into a small part of any machine is not worth looking at all threads.
    if !overflows, bytes <= 1 << 16 { return }
    guard !overflows, bytes <= available else { throw central.noRoom(overflows ? .max : bytes) }
  }

  /// Bytes that may still be taken.
  package static var available: Int { max(0, limit - central.inUse) }

  package static var statistics: Statistics { central.statistics }

  /// Gives kept memory back to the system.
  package static func trim() { central.trim(toKeep: 0) }

  /// The most that may be in use.
  package static var limit: Int {
    get { central.limit.load(ordering: .relaxed) }
    set { central.limit.store(newValue, ordering: .relaxed) }
  }
}

/// Small free blocks of one thread. Only its thread touches the lists; anyone may read `inUse`.
struct ThreadCache {
  private struct List {
    var head: UnsafeMutableRawPointer?
    var count = 0
  }

  private struct Header: ~Copyable {
    let inUse = Atomic<Int>(0)
    var next: UnsafeMutableRawPointer?
  }

  // One raw block: the header's cache line, then a list per small class.
  private let base: UnsafeMutableRawPointer

  private init(base: UnsafeMutableRawPointer) { self.base = base }

  private var header: UnsafeMutablePointer<Header> { base.assumingMemoryBound(to: Header.self) }
  @inline(__always) private func list(_ sizeClass: SizeClass) -> UnsafeMutablePointer<List> {
    (base + 64).assumingMemoryBound(to: List.self) + sizeClass.number
  }

  /// Blocks that a thread may keep: about 128 KB per class, at least 4, at most 256.
  static func capacity(_ sizeClass: SizeClass) -> Int { min(256, max(4, (128 << 10) / sizeClass.capacity)) }

  @inline(__always) static var current: ThreadCache {
    if let memory = azulejo_this_thread().pointee.memory { return ThreadCache(base: memory) }
    return make()
  }

  @inline(never) private static func make() -> ThreadCache {
    let base = UnsafeMutableRawPointer.allocate(
      byteCount: 64 + SizeClass.smallCount * MemoryLayout<List>.stride, alignment: 64)
    base.initializeMemory(as: Header.self, to: Header())
    (base + 64).initializeMemory(as: List.self, repeating: List(), count: SizeClass.smallCount)
    let cache = ThreadCache(base: base)
    azulejo_this_thread().pointee.memory = base
    Allocator.central.register(cache)
    return cache
  }

  var address: UnsafeMutableRawPointer { base }
  init(address: UnsafeMutableRawPointer) { base = address }

  var inUse: Int { header.pointee.inUse.load(ordering: .relaxed) }
  var next: UnsafeMutableRawPointer? {
    get { header.pointee.next }
    nonmutating set { header.pointee.next = newValue }
  }

  // Not an atomic addition: this thread is the only writer.
  @inline(__always) private func count(_ bytes: Int) {
    header.pointee.inUse.store(header.pointee.inUse.load(ordering: .relaxed) &+ bytes, ordering: .relaxed)
  }

  @inline(__always) func pop(_ sizeClass: SizeClass) -> UnsafeMutableRawPointer? {
    let list = list(sizeClass)
    guard let block = list.pointee.head else { return nil }
    list.pointee.head = block.load(as: UnsafeMutableRawPointer?.self)
    list.pointee.count &-= 1
    count(sizeClass.capacity)
    return block
  }

  /// True if the list has grown too long.
  @inline(__always) func push(_ block: UnsafeMutableRawPointer, _ sizeClass: SizeClass) -> Bool {
    count(-sizeClass.capacity)
    return keep(block, sizeClass) > Self.capacity(sizeClass)
  }

  /// Adds a block that was not in use; the list's new count.
  @inline(__always) @discardableResult
  func keep(_ block: UnsafeMutableRawPointer, _ sizeClass: SizeClass) -> Int {
    let list = list(sizeClass)
    block.storeBytes(of: list.pointee.head, as: UnsafeMutableRawPointer?.self)
    list.pointee.head = block
    list.pointee.count &+= 1
    return list.pointee.count
  }

  /// Takes a block out without counting it as in use.
  func surrender(_ sizeClass: SizeClass) -> UnsafeMutableRawPointer? {
    let list = list(sizeClass)
    guard let block = list.pointee.head else { return nil }
    list.pointee.head = block.load(as: UnsafeMutableRawPointer?.self)
    list.pointee.count -= 1
    return block
  }

  func count(of sizeClass: SizeClass) -> Int { list(sizeClass).pointee.count }

  func destroy() { base.deallocate() }
}
