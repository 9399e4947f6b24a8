// Running a kernel on Swift arrays in tests. Not tests.
import Basics
import Scalars
import TensorTypes
import Testing
import TileIR

/// Memory of one launch buffer.
final class TestBuffer {
  let dtype: DType
  let memory: UnsafeMutableRawBufferPointer

  init(_ dtype: DType, count: Int) {
    self.dtype = dtype
    memory = .allocate(byteCount: count * dtype.size, alignment: 64)
    for i in 0..<memory.count { memory[i] = 0 }
  }
  convenience init(_ values: [Double], _ dtype: DType = .f32) {
    self.init(dtype, count: values.count)
    for (i, x) in values.enumerated() { self[i] = x }
  }
  convenience init(integers values: [Int], _ dtype: DType = .i64) {
    self.init(dtype, count: values.count)
    for (i, x) in values.enumerated() { set(i, .integer(Int64(x))) }
  }
  deinit { memory.deallocate() }

  private func address(_ i: Int) -> UnsafeMutableRawPointer { memory.baseAddress! + i * dtype.size }
  func set(_ i: Int, _ value: ScalarValue) { ScalarReference.store(value, address(i), dtype) }
  func value(_ i: Int) -> ScalarValue { ScalarReference.load(address(i), dtype) }
  subscript(i: Int) -> Double {
    get { value(i).doubleValue }
    set { set(i, .float(newValue)) }
  }
  var count: Int { memory.count / dtype.size }
  var values: [Double] { (0..<count).map { self[$0] } }
  var integers: [Int] { (0..<count).map { Int(value($0).integerValue) } }
}

extension Kernel {
  @discardableResult
  func run(
    _ buffers: [TestBuffer], _ arguments: [Int] = [], sanitize: Bool = true
  ) throws -> TileInterpreter.Outcome {
    let outcome = try TileInterpreter(self).run(
      buffers: buffers.map(\.memory), arguments: arguments, sanitize: sanitize)
    return outcome
  }

  /// As `run`, of a kernel without faults and findings.
  func runClean(
    _ buffers: [TestBuffer], _ arguments: [Int] = [], sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let outcome = try run(buffers, arguments)
    #expect(outcome.fault == nil, sourceLocation: sourceLocation)
    #expect(outcome.findings.isEmpty, sourceLocation: sourceLocation)
  }
}

/// One instance that loads tiles of these shapes, makes one tile of them, and stores it: the frame of semantic tests.
/// Extents are launch arguments, equal ones the same, unless `isFixed`.
func compute(
  _ inputs: [(TestBuffer, [Int])], _ result: DType, _ resultShape: [Int], isFixed: Bool = false,
  _ make: (inout KernelBuilder, [TileValue]) -> TileValue, sourceLocation: SourceLocation = #_sourceLocation
) throws -> TestBuffer {
  let (outcome, output) = try computeAnyway(inputs, result, resultShape, isFixed: isFixed, make)
  #expect(outcome.fault == nil, sourceLocation: sourceLocation)
  #expect(outcome.findings.isEmpty, sourceLocation: sourceLocation)
  return output
}

func computeAnyway(
  _ inputs: [(TestBuffer, [Int])], _ result: DType, _ resultShape: [Int], isFixed: Bool = false,
  _ make: (inout KernelBuilder, [TileValue]) -> TileValue
) throws -> (TileInterpreter.Outcome, TestBuffer) {
  var b = KernelBuilder(name: "compute")
  var arguments: [Int] = []
  var known: [Int: TileValue] = [:]
  func extents(_ shape: [Int], _ b: inout KernelBuilder) -> [TileValue] {
    shape.map { extent in
      if isFixed || extent == 1 { return b.index(extent) }
      if let value = known[extent] { return value }
      arguments.append(extent)
      let value = b.argument("n\(extent)")
      known[extent] = value
      return value
    }
  }
  var declared: [(buffer: Int, extents: [TileValue])] = []
  for (i, input) in inputs.enumerated() {
    let extents = extents(input.1, &b)
    declared.append((b.rowMajor("x\(i)", input.0.dtype, extents, .input), extents))
  }
  let resultExtents = extents(resultShape, &b)
  let output = b.rowMajor("y", result, resultExtents, .output)
  b.phase([]) { b, _ in
    func extents(_ values: [TileValue]) -> [Extent] {
      values.map { value in b.constantIndex(value).map { .constant($0) } ?? .value(value) }
    }
    var tiles: [TileValue] = []
    for (buffer, values) in declared {
      let maps = values.indices.map { b.at(nil, $0) }
      tiles.append(b.load(Access(buffer, maps), extents(values)))
    }
    let made = make(&b, tiles)
    b.store(Access(output, resultShape.indices.map { b.at(nil, $0) }), made)
  }
  let kernel = b.finish()
  let memory = TestBuffer(result, count: resultShape.reduce(1, *))
  let outcome = try kernel.run(inputs.map(\.0) + [memory], arguments)
  return (outcome, memory)
}

extension SplitMix {
  mutating func units(_ count: Int) -> [Double] { (0..<count).map { _ in unit() } }
}
