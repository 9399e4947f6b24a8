// Values into a tensor and out of it: the only doors between Swift numbers and elements.
// Not conversions between dtypes on the device. Surprise: reading throws whatever went wrong on the way.
import Basics
import Engine
import Execution
import Scalars
import TensorTypes

extension Tensor {
  /// A tensor of `shape` with `elements` in row-major order; without a shape, of rank 1.
  public init<T: Element>(
    _ elements: [T], shape: [Int]? = nil, file: StaticString = #fileID, line: UInt = #line
  ) {
    let extents = shape ?? [elements.count]
    self = Self.attempt(file, line, of: []) { () throws(Diagnostic) in
      guard extents.allSatisfy({ $0 >= 0 }), CheckedSize.elements(extents) == elements.count else {
        throw Diagnostic(
          .shape, "\(elements.count) elements do not fill the shape \(extents)",
          remedy: "the extents' product must be \(elements.count)")
      }
      let view = try Engine.current.memory(T.dtype, extents)
      elements.withUnsafeBytes { source in
        if let start = source.baseAddress { view.base.copyMemory(from: start, byteCount: source.count) }
      }
      return Tensor(view)
    }
  }

  /// `count` numbers worked out on the host, one after the other, in tensor memory: a table takes no more than tensors may.
  package static func table<T: Element>(
    _ count: Int, _ number: (Int) throws(Diagnostic) -> T
  ) throws(Diagnostic) -> Tensor {
    let view = try Engine.current.memory(T.dtype, [count])
    for i in 0..<count {
      view.base.storeBytes(of: try number(i), toByteOffset: i * MemoryLayout<T>.stride, as: T.self)
    }
    return Tensor(view)
  }

  /// A matrix from its rows: `Tensor([[1, 2], [3, 4]])`. PyTorch: `tensor`.
  public init<T: Element>(_ rows: [[T]], file: StaticString = #fileID, line: UInt = #line) {
    guard let first = rows.first, let odd = rows.first(where: { $0.count != first.count }) else {
      self.init(rows.flatMap { $0 }, shape: [rows.count, rows.first?.count ?? 0], file: file, line: line)
      return
    }
    self = Self.failed(
      Diagnostic(
        .shape, "a tensor from rows of \(first.count) and \(odd.count) elements",
        remedy: "give all rows one length"), file, line)
  }

  /// A copy of row-major elements in memory, as files hold them.
  public init(
    copying bytes: UnsafeRawBufferPointer, dtype: DType, shape: [Int], file: StaticString = #fileID,
    line: UInt = #line
  ) {
    self = Self.attempt(file, line, of: []) { () throws(Diagnostic) in
      let view = try Engine.current.memory(dtype, shape)
      guard bytes.count == view.elementCount * dtype.size else {
        throw Diagnostic(
          .shape, "\(bytes.count) bytes do not fill \(dtype)\(shape)",
          remedy: "give \(view.elementCount * dtype.size) bytes")
      }
      if let start = bytes.baseAddress { view.base.copyMemory(from: start, byteCount: bytes.count) }
      if dtype == .bool { view.normaliseTruth() }
      return Tensor(view)
    }
  }

  /// A 0-d tensor: f32 for floating numbers, i64 for integers, bool for Bool, unless `dtype` says otherwise.
  public init(_ number: some Scalar, dtype: DType? = nil, file: StaticString = #fileID, line: UInt = #line) {
    let value = number.number
    let type = dtype ?? PointwiseOperation.defaultDType(value.category)
    self = Self.attempt(file, line, of: []) { () throws(Diagnostic) in
      let view = try Engine.current.memory(type, [])
      let constant = value.constant(type)
      ScalarReference.store(
        type.isFloating ? .float(constant.doubleValue) : .integer(constant.integerValue), view.base, type)
      return Tensor(view)
    }
  }

  /// An extent as a 0-d tensor (i64). Inside `compile` it follows the extent from call to call.
  public init(_ extent: Dim, file: StaticString = #fileID, line: UInt = #line) {
    guard extent.knownValue == nil, Trace.current != nil else {
      self = Self.attempt(file, line, of: []) { () throws(Diagnostic) in Tensor(try extent.value) }
      return
    }
    // A count is not negative; which sign an extent has is a guard.
    let isNegative = !Dim.asks(.lessOrEqual, 0, extent)
    let size = Self.attempt(file, line, of: []) { () throws(Diagnostic) in
      try Self.number(isNegative ? 0 - extent : extent)
    }
    self = isNegative ? -size : size
  }

  /// The only element, as a Swift number.
  ///
  /// - Throws: the first mistake on the way here, or that there is not exactly one element.
  public func item<T: Element>(
    as type: T.Type = T.self, file: StaticString = #fileID, line: UInt = #line
  ) throws(Diagnostic) -> T {
    let source = try view.read(.item, file, line)
    guard source.elementCount == 1 else {
      throw Diagnostic(
        .shape, "item() needs one element, shape \(source.hints) has \(source.hints.reduce(1, *))",
        remedy: "read all of them with array()", file: file, line: line)
    }
    return source.element(at: 0)
  }

  /// All elements in row-major order.
  ///
  /// - Throws: the first mistake on the way here.
  public func array<T: Element>(
    as type: T.Type = T.self, file: StaticString = #fileID, line: UInt = #line
  ) throws(Diagnostic) -> [T] {
    let source = try elements(file, line)
    let count = source.elementCount
    try Allocator.requireRoom(count, of: MemoryLayout<T>.stride)
    if source.dtype == T.dtype, T.self != Bool.self {
      return [T](unsafeUninitializedCapacity: count) { buffer, initialised in
        if count > 0, let start = buffer.baseAddress {
          UnsafeMutableRawPointer(start).copyMemory(from: source.base, byteCount: count * source.dtype.size)
        }
        initialised = count
      }
    }
    return (0..<count).map { source.element(at: $0) }
  }
}

extension Tensor {
  /// All elements, row-major in memory.
  package func elements(
    _ file: StaticString = #fileID, _ line: UInt = #line
  ) throws(Diagnostic) -> TensorView {
    let found = try view.read(.array, file, line)
    return try Trace.outside { () throws(Diagnostic) in try Tensor(found).contiguous(file: file, line: line).view }
  }
}

extension TensorView {
  /// Element `index` of a view without gaps.
  fileprivate func element<T: Element>(at index: Int) -> T {
    let value = ScalarReference.load(base + index * dtype.size, dtype)
    // Only a conversion knows that the bits of u64 are no signed number.
    let isUnsigned = dtype == .u64 || T.dtype == .u64
    return T(element: isUnsigned ? ScalarReference.convert(value, from: dtype, to: T.dtype) : value)
  }

  /// Makes bytes of a new bool tensor that mean true, all but 0, a 1.
  package func normaliseTruth() {
    let bytes = UnsafeMutableRawBufferPointer(start: base, count: elementCount)
    for index in bytes.indices where bytes[index] > 1 { bytes[index] = 1 }
  }

  /// A view with memory: this one, or while a function is captured what the capture hands out for it.
  package func read(
    _ kind: Trace.BreakKind, _ file: StaticString, _ line: UInt
  ) throws(Diagnostic) -> TensorView {
    guard !hasMemory, let path else { return self }
    let found = try path.cell.trace.handOut(path, kind, .init(file: "\(file)", line: line))
    // Axes that repeat do so in the view only.
    return found.extents == extents ? found : try found.expanded(to: extents)
  }
}
