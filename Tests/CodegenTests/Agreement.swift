// Compiled code against the interpreter: the same kernel, the same bytes, every target that runs here.
// Not exact for floats: sums may be split otherwise, formulas replace libm. Surprise: outputs start as a pattern that
// neither side may leave where it should have written, nor touch where it should not.
import Basics
import CodegenLLVM
import Scalars
import Targets
import TensorTypes
import Testing
import TileIR

/// A launch buffer's elements, to be given to both machines.
struct Elements {
  var dtype: DType
  var bytes: [UInt8]

  init(_ dtype: DType, count: Int) {
    self.dtype = dtype
    bytes = [UInt8](repeating: 0x3c, count: count * dtype.size)
    if dtype == .bool { bytes = [UInt8](repeating: 1, count: count) }
  }
  init(_ dtype: DType, _ values: [Double]) {
    self.init(dtype, count: values.count)
    bytes.withUnsafeMutableBytes { raw in
      guard let base = raw.baseAddress else { return }
      for (i, value) in values.enumerated() {
        let element: ScalarValue = dtype.isFloating ? .float(value) : .integer(Int64(value))
        ScalarReference.store(element, base + i * dtype.size, dtype)
      }
    }
  }
  /// Small numbers that every dtype has; floats with fractions.
  static func random(_ dtype: DType, _ count: Int, _ numbers: inout Numbers, scale: Double = 4) -> Elements {
    var values: [Double] = []
    for _ in 0..<count {
      let unit = numbers.unit()
      switch dtype {
      case .bool: values.append(unit > 0 ? 1 : 0)
      case .u8: values.append((unit * unit * 100).rounded())
      // Negative numbers are the largest of unsigned dtypes.
      case .i8, .i16, .i32, .i64, .u16, .u32, .u64: values.append((unit * 20).rounded())
      case .f16, .bf16, .f32, .f64, .f8e4m3fn, .f8e5m2: values.append(unit * scale)
      }
    }
    return Elements(dtype, values)
  }
  func value(_ i: Int) -> ScalarValue {
    bytes.withUnsafeBytes { ScalarReference.load($0.baseAddress! + i * dtype.size, dtype) }
  }
  var count: Int { bytes.count / dtype.size }
}

private func isClose(_ a: ScalarValue, _ b: ScalarValue, _ dtype: DType, _ tolerance: Double) -> Bool {
  guard dtype.isFloating else { return a == b }
  let (x, y) = (a.doubleValue, b.doubleValue)
  if x.isNaN || y.isNaN { return x.isNaN && y.isNaN }
  if x == y { return true }
  let precision: Double = dtype == .bf16 ? 1e-2 : dtype == .f16 ? 1e-3 : dtype == .f64 ? tolerance * 1e-6 : tolerance
  return (x - y).magnitude <= precision * max(1, x.magnitude, y.magnitude)
}

/// Runs `kernel` on the interpreter and, compiled, for every target; compares all buffers and the fault.
func expectAgreement(
  _ kernel: Kernel, _ buffers: [Elements], _ arguments: [Int] = [], tolerance: Double = 2e-6,
  targets: [TargetDescription] = runnableTargets, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let interpreter = try TileInterpreter(kernel)
  var expected = buffers.map(\.bytes)
  let copies = expected.map { bytes in
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
    memory.copyBytes(from: bytes)
    return memory
  }
  defer { for copy in copies { copy.deallocate() } }
  let outcome = try interpreter.run(buffers: copies, arguments: arguments)
  #expect(outcome.findings.isEmpty, "\(outcome.findings)", sourceLocation: sourceLocation)
  expected = copies.map { [UInt8]($0) }
  for target in targets {
    let loaded = try LoadedKernel(kernel, target)
    for chunk in [Int.max, 1] {
      let memory = buffers.map { TestBuffer($0.bytes) }
      let fault = try loaded.run(memory, arguments, chunk: chunk)
      #expect(Int(fault[0]) == outcome.fault?.kind.rawValue ?? 0, "\(target.name)", sourceLocation: sourceLocation)
      if let wanted = outcome.fault {
        #expect(fault[2] == Int64(wanted.index) && fault[3] == Int64(wanted.extent), sourceLocation: sourceLocation)
        continue
      }
      for (number, buffer) in buffers.enumerated() {
        var actual = Elements(buffer.dtype, count: 0)
        actual.bytes = memory[number].array()
        var reference = actual
        reference.bytes = expected[number]
        let wrong = (0..<actual.count).filter {
          !isClose(actual.value($0), reference.value($0), buffer.dtype, tolerance)
        }
        if let first = wrong.first {
          Issue.record(
            """
            \(kernel.name) \(target.name) \(arguments) buffer \(kernel.buffers[number].name): \(wrong.count) of \
            \(actual.count) differ, first [\(first)]: \(actual.value(first)) instead of \(reference.value(first))
            """, sourceLocation: sourceLocation)
          return
        }
      }
    }
  }
}

extension KernelBuilder {
  /// An access of the whole tile, axis by axis, from index 0.
  mutating func whole(_ buffer: Int, rank: Int) -> Access {
    let zero = index(0)
    return Access(buffer, (0..<rank).map { AxisMap(zero, tileAxis: $0) })
  }
}

/// A kernel of one instance: inputs of one shape, what `body` makes of them is stored in buffers of the results' shapes.
func wholeTile(
  _ name: String, _ shape: [Int], _ inputs: [DType], symbolic: Bool = false,
  _ body: (inout KernelBuilder, [TileValue]) -> [TileValue]
) -> (kernel: Kernel, arguments: [Int], outputs: [(DType, Int)]) {
  var b = KernelBuilder(name: name)
  let extents: [TileValue] =
    symbolic ? shape.indices.map { b.argument("n\($0)") } : shape.map { b.index($0) }
  let tile: [Extent] = symbolic ? extents.map { .value($0) } : shape.map { .constant($0) }
  // Outputs are declared before the phase: the body is run once on a scratch copy to learn their types.
  var probe = KernelBuilder(name: name)
  if symbolic { for i in shape.indices { _ = probe.argument("n\(i)") } } else { for n in shape { _ = probe.index(n) } }
  var types: [(DType, [Extent])] = []
  for dtype in inputs {
    _ = b.contiguous("x\(b.kernel.buffers.count)", dtype, extents, role: .input)
    _ = probe.contiguous("x\(probe.kernel.buffers.count)", dtype, extents, role: .input)
  }
  let one = probe.index(1)
  probe.phase([one]) { b, _ in
    let values = inputs.indices.map { i in
      let access = b.whole(i, rank: shape.count)
      return b.load(access, tile)
    }
    types = body(&b, values).map { (b.dtype($0), b.shape($0)) }
  }
  func extent(_ e: Extent, _ b: inout KernelBuilder) -> TileValue {
    switch e {
    case .constant(let n): b.index(n)
    case .value(let v): v
    }
  }
  let single = b.index(1)
  for (i, type) in types.enumerated() {
    _ = b.contiguous("y\(i)", type.0, type.1.map { extent($0, &b) }, role: .output)
  }
  b.phase([single]) { b, _ in
    let values = inputs.indices.map { i in
      let access = b.whole(i, rank: shape.count)
      return b.load(access, tile)
    }
    for (i, value) in body(&b, values).enumerated() {
      let access = b.whole(inputs.count + i, rank: b.shape(value).count)
      b.store(access, value)
    }
  }
  let arguments = symbolic ? shape : []
  let outputs = types.map { type in
    (
      type.0,
      type.1.reduce(1) { count, e in
        switch e {
        case .constant(let n): return count * n
        case .value(let v): return count * (extents.firstIndex(of: v).map { shape[$0] } ?? 1)
        }
      }
    )
  }
  return (b.finish(), arguments, outputs)
}

/// Random inputs, both machines.
func expectWholeTile(
  _ name: String, _ shape: [Int], _ inputs: [DType], symbolic: Bool = false, scale: Double = 4,
  tolerance: Double = 2e-6, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (inout KernelBuilder, [TileValue]) -> [TileValue]
) throws {
  let made = wholeTile(name, shape, inputs, symbolic: symbolic, body)
  var numbers = Numbers(7)
  let buffers =
    inputs.map { Elements.random($0, shape.reduce(1, *), &numbers, scale: scale) }
    + made.outputs.map { Elements($0.0, count: $0.1) }
  try expectAgreement(made.kernel, buffers, made.arguments, tolerance: tolerance, sourceLocation: sourceLocation)
}
