// Rows in a pipeline against rows one by one: the same bytes, whatever the chunks.
// Not speed. Surprise: which way a chunk goes depends on its length, so results must not.
import CodegenLLVM
import Scalars
import Targets
import TensorTypes
import Testing
import TileIR

private enum RowKernel: String, CaseIterable {
  case softmax, norm, twoResults
}

/// [batch, m, n]: rows along the last axis; row numbers have two program IDs. `length`: n as a number.
private func rows(_ which: RowKernel, length: Int? = nil) -> Kernel {
  var b = KernelBuilder(name: which.rawValue)
  let (batch, m) = (b.argument("batch"), b.argument("m"))
  let argument = b.argument("n")
  let n = length.map { b.index($0) } ?? argument
  let x = b.contiguous("x", .f32, [batch, m, n], role: .input)
  let w = b.contiguous("w", .f32, [n], role: .input)
  let y = b.contiguous("y", .f32, [batch, m, n], role: .output)
  let z = b.contiguous("z", .f32, [batch, m, n], role: .output)
  let s = b.contiguous("s", .f32, [batch, m], role: .output)
  b.phase([m, batch]) { b, id in
    let zero = b.index(0)
    let shape: [Extent] = [.constant(1), .constant(1), length.map { .constant($0) } ?? .value(n)]
    let at = [AxisMap(id[1]), AxisMap(id[0]), AxisMap(zero, tileAxis: 2)]
    let u = b.load(Access(x, at), shape)
    let v = b.load(Access(w, [AxisMap(zero, tileAxis: 2)]), shape)
    func centred(_ b: inout KernelBuilder) -> (TileValue, TileValue) {
      let mean = b.map(
        .multiply,
        [b.reduce(.sum, [2], u), b.splat(ScalarConstant(.f32, 0.01), [.constant(1), .constant(1), .constant(1)])])
      return (mean, b.map(.subtract, [u, b.broadcast(mean, shape)]))
    }
    switch which {
    case .softmax:
      let largest = b.reduce(.maximum, [2], u)
      let e = b.map(.exp, [b.map(.subtract, [u, b.broadcast(largest, shape)])])
      let sum = b.reduce(.sum, [2], e)
      b.store(Access(y, at), b.map(.divide, [e, b.broadcast(sum, shape)]), .streaming)
      b.store(Access(s, [AxisMap(id[1]), AxisMap(id[0])]), sum)
    case .norm, .twoResults:
      let (mean, d) = centred(&b)
      let scale = b.map(.squareRoot, [b.reduce(.sum, [2], b.map(.multiply, [d, d]))])
      let result = b.map(.multiplyAdd, [d, b.broadcast(scale, shape), v])
      b.store(Access(y, at), result, .streaming)
      if which == .twoResults { b.store(Access(z, at), b.map(.negate, [d]), .streaming) }
      b.store(Access(s, [AxisMap(id[1]), AxisMap(id[0])]), mean)
    }
  }
  return b.finish()
}

@Test(arguments: runnableTargets)
func rows_in_a_pipeline_have_the_bytes_of_rows_one_by_one(_ target: TargetDescription) throws {
  for which in RowKernel.allCases {
    var options = CodegenOptions()
    options.streamingBytes = 0
    let kernel = try LoadedKernel(rows(which), target, options)
    var numbers = Numbers(5)
    // Whole groups of vectors for every width, then not; aligned, then not.
    for (n, offset) in [(64, 0), (192, 0), (192, 4), (70, 0)] {
      let (batch, m) = (3, 13)
      let x = numbers.floats(batch * m * n)
      let w = numbers.floats(n)
      func run(chunk: Int) throws -> [[Float]] {
        let zeros = [Float](repeating: 0, count: batch * m * n)
        let buffers = [
          TestBuffer(x), TestBuffer(w), TestBuffer(zeros, offset: offset), TestBuffer(zeros, offset: offset),
          TestBuffer([Float](repeating: 0, count: batch * m)),
        ]
        try kernel.run(buffers, [batch, m, n], chunk: chunk)
        return buffers[2...].map { $0.array() }
      }
      let single = try run(chunk: 1)
      #expect(single[0].contains { $0 != 0 })
      for chunk in [Int.max, 12, 17] {
        #expect(try run(chunk: chunk) == single, "\(which) \(target.name) n \(n) offset \(offset) chunk \(chunk)")
      }
    }
  }
}

@Test(arguments: runnableTargets)
func rows_of_a_known_length_have_the_bytes_of_rows_of_any_length(_ target: TargetDescription) throws {
  var options = CodegenOptions()
  options.streamingBytes = 0
  let (batch, m, n) = (2, 15, 1024)
  for which in RowKernel.allCases {
    var numbers = Numbers(6)
    let x = numbers.floats(batch * m * n)
    let w = numbers.floats(n)
    func run(_ length: Int?, chunk: Int) throws -> [[Float]] {
      let kernel = try LoadedKernel(rows(which, length: length), target, options)
      let zeros = [Float](repeating: 0, count: batch * m * n)
      let buffers = [
        TestBuffer(x), TestBuffer(w), TestBuffer(zeros), TestBuffer(zeros),
        TestBuffer([Float](repeating: 0, count: batch * m)),
      ]
      try kernel.run(buffers, [batch, m, n], chunk: chunk)
      return buffers[2...].map { $0.array() }
    }
    let expected = try run(nil, chunk: 1)
    #expect(expected[0].contains { $0 != 0 })
    for chunk in [1, Int.max] {
      #expect(try run(n, chunk: chunk) == expected, "\(which) \(target.name) chunk \(chunk)")
    }
  }
}

@Test func a_known_length_is_streamed_and_pipelined_as_any_length() throws {
  for length in [nil, 1024] {
    let text = try LLVMCompiler.llvmIR(rows(.softmax, length: length), for: .x86Version4)
    // The next row is asked for while this one is worked on, and what is written is not kept.
    #expect(text.contains("llvm.prefetch"), "length \(String(describing: length))")
    #expect(text.contains("!nontemporal"), "length \(String(describing: length))")
    #expect(text.contains("fence"), "length \(String(describing: length))")
  }
}
