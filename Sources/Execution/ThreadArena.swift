// Instance memory of kernels: one block per thread, as large as the largest kernel that ran there.
// Not zeroed. Surprise: the address is valid until the same thread asks for more.
import Basics
import CHost

package enum ThreadArena {
  private static let largest = 1 << 32

  /// At least `bytes` bytes, 64-byte aligned, readable 64 bytes beyond.
  @inline(__always) package static func address(_ bytes: Int) throws(Diagnostic) -> UnsafeMutableRawPointer {
    let thread = azulejo_this_thread()
    if let arena = thread.pointee.arena, thread.pointee.arena_bytes >= bytes { return arena }
    return try grow(bytes)
  }

  @inline(never) private static func grow(_ bytes: Int) throws(Diagnostic) -> UnsafeMutableRawPointer {
    guard bytes <= largest else {
      throw Diagnostic(.memory, "a kernel asks for \(bytes) bytes of instance memory per thread")
    }
    // Frees the arena when the thread ends.
    _ = ThreadCache.current
    release()
    let rounded = (max(bytes, 4096) + 4095) & ~4095
    let arena = UnsafeMutableRawPointer.allocate(byteCount: rounded + SizeClass.padding, alignment: SizeClass.alignment)
    let thread = azulejo_this_thread()
    thread.pointee.arena = arena
    thread.pointee.arena_bytes = Int64(rounded)
    return arena
  }

  static func release() {
    let thread = azulejo_this_thread()
    thread.pointee.arena?.deallocate()
    thread.pointee.arena = nil
    thread.pointee.arena_bytes = 0
  }
}
