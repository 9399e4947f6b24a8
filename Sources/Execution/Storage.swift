// One buffer: bytes at an address of a memory space, alive as long as someone holds the object.
// Knows no dtype and no shape. Surprise: the bytes of a fresh storage are whatever the last owner left there.
import Basics
import TensorTypes

/// A block of the caching allocator, or bytes that someone else owns; given back when it dies.
struct RawBuffer: ~Copyable {
  let address: UnsafeMutableRawPointer
  private let sizeClass: SizeClass
  private let owner: Unmanaged<AnyObject>?

  private static let borrowed = SizeClass(number: -1)

  @inline(__always) init(byteCount: Int) throws(Diagnostic) {
    let block = try Allocator.allocate(byteCount)
    address = block.address
    sizeClass = block.sizeClass
    owner = nil
  }

  init(borrowing address: UnsafeMutableRawPointer, owner: AnyObject) {
    self.address = address
    sizeClass = Self.borrowed
    self.owner = Unmanaged.passRetained(owner)
  }

  var isBorrowed: Bool { owner != nil }
  var keeper: AnyObject? { owner?.takeUnretainedValue() }

  @inline(__always) deinit {
    if let owner {
      owner.release()
    } else {
      Allocator.free(Allocator.Block(address: address, sizeClass: sizeClass))
    }
  }
}

/// The memory of one or more tensors. 64-byte aligned and followed by 64 readable bytes, unless it is borrowed.
// Sendable: every property is immutable; who writes through `address` has made sure that nobody else reads
// (Tensor writes only through a unique reference, drivers order launches by the queue).
package final class Storage: @unchecked Sendable {
  private let buffer: RawBuffer
  package let address: UnsafeMutableRawPointer
  /// Bytes asked for, padding not included.
  package let byteCount: Int
  package let device: Device

  /// Uninitialised memory of the host.
  /// - Throws: `Diagnostic(.memory)` if there is not so much.
  package init(byteCount: Int, device: Device = .cpu) throws(Diagnostic) {
    let buffer = try RawBuffer(byteCount: byteCount)
    address = buffer.address
    self.buffer = buffer
    self.byteCount = byteCount
    self.device = device
  }

  /// Bytes that `owner` keeps in place, such as a mapped file.
  /// - Parameter bytes: 64 bytes behind them must be readable; their alignment is the caller's affair.
  package convenience init(
    borrowing bytes: UnsafeRawBufferPointer, owner: AnyObject & Sendable, device: Device = .cpu
  ) {
    self.init(bytes, keptBy: owner, device: device)
  }

  private init(_ bytes: UnsafeRawBufferPointer, keptBy owner: AnyObject, device: Device) {
    // An empty range may have no address; nothing is read there.
    let start = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: SizeClass.alignment).unsafelyUnwrapped
    address = UnsafeMutableRawPointer(mutating: start)
    buffer = RawBuffer(borrowing: address, owner: owner)
    byteCount = bytes.count
    self.device = device
  }

  /// Who keeps the bytes in place: the storage itself, or the one it borrows them from.
  package var keeper: AnyObject { buffer.keeper ?? self }

  /// A storage with bytes of one whose `keeper` is at hand, to be read.
  package static func kept(by keeper: AnyObject, _ bytes: UnsafeRawBufferPointer, device: Device) -> Storage {
    keeper as? Storage ?? Storage(bytes, keptBy: keeper, device: device)
  }

  package var isBorrowed: Bool { buffer.isBorrowed }
  package var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: address, count: byteCount) }
}
