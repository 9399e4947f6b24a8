// A tensor's memory between canaries. Not the sanitizer, which sees every access but only in the interpreter.
// Surprise: its first byte is aligned to the element and to nothing more, as a view's may be.
import Basics
import Engine
import Execution
import GraphIR
import RandomGraphs
import TensorTypes

struct GuardedMemory {
  let view: TensorView
  private let storage: Storage
  private let start: Int
  private let count: Int
  private static let canary: UInt8 = 0xa5
  private static let poison: UInt8 = 0xff
  /// Canary bytes before and after.
  private static let margin = 192

  init(_ content: GraphCase.Memory, _ dtype: DType, _ engine: Engine) throws(Diagnostic) {
    storage = try Self.storage(content.bytes.count, dtype, engine)
    start = Self.margin + dtype.size
    count = content.bytes.count
    view = TensorView(
      storage, offset: start + content.offset * dtype.size, dtype, extents: content.extents, strides: content.strides)
    storage.bytes[start..<(start + count)].copyBytes(from: content.bytes)
  }

  init(poisoned dtype: DType, _ extents: [Int], _ engine: Engine) throws(Diagnostic) {
    count = extents.reduce(dtype.size, *)
    storage = try Self.storage(count, dtype, engine)
    start = Self.margin + dtype.size
    view = TensorView(storage, offset: start, dtype, extents: extents)
    for i in start..<(start + count) { storage.bytes[i] = Self.poison }
  }

  private static func storage(_ count: Int, _ dtype: DType, _ engine: Engine) throws(Diagnostic) -> Storage {
    let storage = try engine.backend.driver.allocate(byteCount: count + 2 * margin + dtype.size)
    for i in storage.bytes.indices { storage.bytes[i] = canary }
    return storage
  }

  /// The first canary that is not one any more, counted from the tensor's first byte.
  var violation: Int? {
    let bytes = storage.bytes
    return bytes.indices.first { (i: Int) in (i < start || i >= start + count) && bytes[i] != Self.canary }.map {
      $0 - start
    }
  }

  /// The first byte that is not as it was.
  func change(from bytes: [UInt8]) -> Int? { bytes.indices.first { storage.bytes[start + $0] != bytes[$0] } }

  /// The elements, row-major.
  func value() throws(Diagnostic) -> ReferenceTensor {
    let bytes = Array(storage.bytes[start..<(start + count)])
    let (dtype, first) = (view.dtype, (view.offset - start) / view.dtype.size)
    return try ReferenceTensor(dtype, view.extents, bytes: bytes, strides: view.strides, offset: first)
  }
}
