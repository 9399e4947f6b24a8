// The interpreter against definitions by coordinates: what each element of a result is, said a second way.
// Surprise: the checks index by coordinates, the interpreter by offsets, so a slip in one does not hide in the other.
import Basics
import RandomGraphs
import Scalars
import TensorTypes
import Testing

@testable import GraphIR

private func tensor(_ extents: [Int], _ values: [Double], _ dtype: DType = .f32) -> ReferenceTensor {
  ReferenceTensor(
    dtype, extents, values.map { dtype.isFloating ? .float($0) : .integer(Int64($0)) })
}

/// 0, 1, 2, ... with some variety of sign.
private func counting(_ extents: [Int], _ dtype: DType = .f32) -> ReferenceTensor {
  let count = extents.reduce(1, *)
  return tensor(extents, (0..<count).map { Double(($0 * 7) % 11) - (dtype.isSigned ? 4 : 0) }, dtype)
}

private func run(_ primitive: Primitive, _ operands: ReferenceTensor...) throws -> ReferenceTensor {
  let type = try primitive.resultType(operands.map { TensorType($0.dtype, Shape($0.extents)) })
  return try primitive.evaluated(operands, type: type.dtype, try #require(type.shape.knownExtents))
}

extension ReferenceTensor {
  fileprivate subscript(_ coordinates: [Int]) -> ScalarValue {
    var place = 0
    for (c, extent) in zip(coordinates, extents) { place = place * extent + c }
    return elements[place]
  }
  fileprivate var coordinates: [[Int]] {
    var all: [[Int]] = [[]]
    for extent in extents { all = all.flatMap { head in (0..<extent).map { head + [$0] } } }
    return all
  }
  /// Every element is what `expected` says of its coordinates.
  fileprivate func expect(
    sourceLocation: SourceLocation = #_sourceLocation, _ expected: ([Int]) throws -> ScalarValue
  ) rethrows {
    for c in coordinates {
      let value = try expected(c)
      #expect(self[c] == value, "at \(c)", sourceLocation: sourceLocation)
    }
  }
}

@Suite struct InterpreterTests {
  @Test func leaves() throws {
    try run(.iota(axis: 1, [2, 3, 2])).expect { .integer(Int64($0[1])) }
    #expect(try run(.constant(ScalarConstant(.f32, 0.1))).elements == [.float(Double(Float(0.1)))])
  }

  @Test(arguments: [DType.f32, .i8, .bool, .bf16]) func reindexing_moves_elements(dtype: DType) throws {
    let x = counting([2, 3, 4], dtype)
    try run(.broadcast([5, 2, 3, 4]), x).expect { x[Array($0.dropFirst())] }
    let thin = counting([2, 1, 4], dtype)
    try run(.broadcast([2, 3, 4]), thin).expect { thin[[$0[0], 0, $0[2]]] }
    #expect(try run(.reshape([4, 6]), x).elements == x.elements)
    try run(.permute([2, 0, 1]), x).expect { x[[$0[1], $0[2], $0[0]]] }
    try run(.slice(starts: [0, 2, 1], counts: [2, 2, 2], steps: [1, -2, 2]), x).expect {
      x[[$0[0], 2 - 2 * $0[1], 1 + 2 * $0[2]]]
    }
    let filler = ReferenceTensor(dtype, [], [x.elements[5]])
    try run(.pad(low: [0, 1, 2], high: [1, 0, 1]), x, filler).expect { c in
      let inside = [c[0], c[1] - 1, c[2] - 2]
      return zip(inside, x.extents).allSatisfy { $0 >= 0 && $0 < $1 } ? x[inside] : filler.elements[0]
    }
    let y = counting([2, 2, 4], dtype)
    try run(.concatenate(axis: 1), x, y, x).expect { c in
      c[1] < 3 ? x[c] : c[1] < 5 ? y[[c[0], c[1] - 3, c[2]]] : x[[c[0], c[1] - 5, c[2]]]
    }
    try run(.windows(axis: 2, size: 2, step: 1, dilation: 2), x).expect { x[[$0[0], $0[1], $0[2] + 2 * $0[3]]] }
    try run(.windows(axis: 1, size: 2, step: 1, dilation: 1), x).expect { x[[$0[0], $0[1] + $0[3], $0[2]]] }
  }

  @Test func empty_tensors_stay_empty() throws {
    let empty = counting([2, 0, 3])
    #expect(try run(.permute([1, 0, 2]), empty).extents == [0, 2, 3])
    #expect(try run(.reshape([0, 7]), empty).elements.isEmpty)
    #expect(try run(.concatenate(axis: 1), empty, counting([2, 1, 3])).elements.count == 6)
    #expect(try run(.reduce(.sum, axes: [1]), empty).elements == Array(repeating: .float(0), count: 6))
    #expect(try run(.reduce(.maximum, axes: [1]), empty).elements == Array(repeating: .float(-.infinity), count: 6))
    #expect(try run(.sortOrder(axis: 1, descending: false), empty).elements.isEmpty)
    #expect(try run(.gather(axis: 1), counting([2, 4, 3]), counting([2, 0, 3], .i64)).elements.isEmpty)
    let product = try run(
      .contraction(ContractionAxes(contracted: [.init(1, 0)])), counting([2, 0]), counting([0, 2]))
    #expect(product.elements == Array(repeating: .float(0), count: 4))
  }

  @Test func reductions_combine_along_axes() throws {
    let x = counting([2, 3, 4])
    func total(_ c: [Int], _ start: Double, _ combine: (Double, Double) -> Double) -> ScalarValue {
      var value = start
      for i in 0..<2 { for k in 0..<4 { value = combine(value, x[[i, c[0], k]].doubleValue) } }
      return .float(value)
    }
    try run(.reduce(.sum, axes: [2, 0]), x).expect { total($0, 0, +) }
    try run(.reduce(.product, axes: [0, 2]), x).expect { total($0, 1, *) }
    try run(.reduce(.minimum, axes: [0, 2]), x).expect { total($0, .infinity, min) }
    try run(.reduce(.maximum, axes: [0, 2]), x).expect { total($0, -.infinity, max) }
    let truth = tensor([2, 3], [0, 0, 1, 0, 1, 1], .bool)
    #expect(try run(.reduce(.or, axes: [0]), truth).elements == [.integer(0), .integer(1), .integer(1)])
    #expect(try run(.reduce(.and, axes: [0]), truth).elements == [.integer(0), .integer(0), .integer(1)])
    #expect(try run(.reduce(.sum, axes: [0]), tensor([3], [100, 100, 100], .u8)).elements == [.integer(44)])
    // 2048 + 1 is 2048 in f16: only an accumulator of a wider dtype counts to 4096.
    #expect(
      try run(.reduce(.sum, axes: [0]), tensor([4096], Array(repeating: 1, count: 4096), .f16)).elements == [
        .float(4096)
      ])
  }

  @Test func scans_keep_every_partial_result() throws {
    let x = tensor([2, 3], [1, 2, 3, 4, 5, 6])
    #expect(try run(.scan(.sum, axis: 1), x).elements == [1, 3, 6, 4, 9, 15].map { .float($0) })
    #expect(try run(.scan(.product, axis: 0), x).elements == [1, 2, 3, 4, 10, 18].map { .float($0) })
    #expect(try run(.scan(.maximum, axis: 0), tensor([4], [3, .nan, 5, 1])).elements[0] == .float(3))
    let nans = try run(.scan(.maximum, axis: 0), tensor([4], [3, .nan, 5, 1])).elements.map(\.doubleValue.isNaN)
    #expect(nans == [false, true, true, true])
  }

  @Test func positions_take_the_first_and_nan_wins() throws {
    let x = tensor([2, 4], [1, 3, 3, 0, .nan, 7, .nan, -1])
    #expect(try run(.argReduce(.maximum, axis: 1), x).elements == [.integer(1), .integer(0)])
    #expect(try run(.argReduce(.minimum, axis: 1), x).elements == [.integer(3), .integer(0)])
    // As torch.cummax: the last of equals.
    #expect(try run(.argScan(.maximum, axis: 1), x).elements == [0, 1, 2, 2, 0, 0, 2, 2].map { .integer($0) })
    let bytes = tensor([3], [5, 9, 9], .u8)
    #expect(try run(.argReduce(.maximum, axis: 0), bytes).elements == [.integer(1)])
    #expect(try run(.argScan(.minimum, axis: 0), bytes).elements == [.integer(0), .integer(0), .integer(0)])
  }

  @Test func sorting_is_stable_with_nan_largest() throws {
    let x = tensor([6], [2, .nan, 1, 2, -.infinity, .nan])
    #expect(try run(.sortOrder(axis: 0, descending: false), x).elements == [4, 2, 0, 3, 1, 5].map { .integer($0) })
    #expect(try run(.sortOrder(axis: 0, descending: true), x).elements == [1, 5, 0, 3, 2, 4].map { .integer($0) })
    let columns = tensor([3, 2], [3, 1, 2, 2, 1, 3], .i32)
    #expect(
      try run(.sortOrder(axis: 0, descending: false), columns).elements == [2, 0, 1, 1, 0, 2].map { .integer($0) })
  }

  @Test(arguments: [DType.f32, .f64, .i32, .bf16]) func contractions_sum_products(dtype: DType) throws {
    let a = counting([2, 3, 4, 5], dtype)
    let b = counting([5, 2, 6, 3], dtype)
    // Batch: a's axis 1 with b's axis 3. Contracted: (0, 1), (3, 0). Free: a's axis 2, b's axis 2.
    let axes = ContractionAxes(batch: [.init(1, 3)], contracted: [.init(0, 1), .init(3, 0)])
    let product = try run(.contraction(axes), a, b)
    #expect(product.extents == [3, 4, 6])
    product.expect { c in
      var sum = 0.0
      for i in 0..<2 {
        for k in 0..<5 { sum += a[[i, c[0], c[1], k]].doubleValue * b[[k, i, c[2], c[0]]].doubleValue }
      }
      // Small integers: exact in every dtype but for the rounding of the result.
      return dtype.isFloating ? .float(ScalarReference.rounded(sum, to: dtype)) : .integer(Int64(sum))
    }
    let outer = try run(.contraction(ContractionAxes(contracted: [])), counting([2], dtype), counting([3], dtype))
    #expect(outer.extents == [2, 3])
    #expect(
      try run(
        .contraction(ContractionAxes(contracted: [.init(0, 0)])), tensor([2], [16, 16], .i8), tensor([2], [8, 8], .i8)
      ).elements == [.integer(0)])
  }

  @Test func gather_and_scatter_follow_indices() throws {
    let x = counting([2, 3, 2])
    let indices = tensor([2, 2, 2], [2, 0, 1, 1, 0, 0, 2, 2], .i64)
    try run(.gather(axis: 1), x, indices).expect { c in
      x[[c[0], Int(indices[c].integerValue), c[2]]]
    }
    let updates = tensor([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8])
    func scattered(_ combine: Monoid?, _ c: [Int]) -> ScalarValue {
      var value = x[c].doubleValue
      for k in 0..<2 where indices[[c[0], k, c[2]]].integerValue == c[1] {
        let update = updates[[c[0], k, c[2]]].doubleValue
        value = combine == .sum ? value + update : combine == .maximum ? max(value, update) : update
      }
      return .float(value)
    }
    for combine in [nil, Monoid.sum, .maximum] {
      try run(.scatter(axis: 1, combine: combine), x, indices, updates).expect { scattered(combine, $0) }
    }
    let twice = try run(
      .scatter(axis: 0, combine: nil), tensor([2], [0, 0]), tensor([2], [1, 1], .i64), tensor([2], [5, 6]))
    #expect(twice.elements == [.float(0), .float(6)])
  }

  @Test func faults_are_diagnostics() throws {
    func fault(_ body: () throws -> ReferenceTensor) -> String {
      do { return "gave \(try body())" } catch { return (error as? Diagnostic)?.message ?? "\(error)" }
    }
    #expect(
      fault { try run(.gather(axis: 0), tensor([3], [1, 2, 3]), tensor([1], [3], .i64)) }
        == "gather: index 3 on axis 0, whose extent is 3")
    #expect(
      fault {
        try run(.scatter(axis: 0, combine: .sum), tensor([3], [1, 2, 3]), tensor([1], [-1], .i64), tensor([1], [1]))
      }
        == "scatter: index -1 on axis 0, whose extent is 3")
    #expect(
      fault { try run(.divide, tensor([2, 2], [1, 2, 3, 4], .i32), tensor([2, 2], [1, 1, 0, 1], .i32)) }
        == "divide: integer division by zero at [1, 0]")
  }

  @Test func a_graph_runs_on_strided_bytes_with_symbols_and_scalars() throws {
    var builder = GraphBuilder(name: "affine")
    let n = builder.extent("n")
    let stride = builder.extent("stride")
    let x = builder.parameter("x", TensorType(.f16, [n, 2]), strides: [stride, 1])
    let rate = builder.scalar("rate", .f16)
    let scaled = try builder.append(.multiply, x, try builder.broadcast(rate, [n, 2]))
    let rows = try builder.append(.reduce(.sum, axes: [1]), scaled)
    let graph = try builder.finish([rows, scaled]).verified()
    let memory = tensor([7], [9, 1, 2, 9, 3, 4, 9], .f16).bytes
    let half = ScalarReference.bits(of: .float(0.5), .f16)
    let results = try GraphInterpreter(graph).run([.init(bytes: memory, offset: 1)], arguments: [2, 3, half])
    #expect(results[0] == tensor([2], [1.5, 3.5], .f16))
    #expect(results[1].bytes == tensor([2, 2], [0.5, 1, 1.5, 2], .f16).bytes)
    #expect(throws: Diagnostic.self) {
      try GraphInterpreter(graph).run([.init(bytes: memory, offset: 3)], arguments: [2, 3, half])
    }
    #expect(throws: Diagnostic.self) { try GraphInterpreter(graph).run([], arguments: [2, 3, half]) }
  }

  @Test func a_call_runs_its_graph_with_bound_symbols() throws {
    var inner = GraphBuilder(name: "double")
    let n = inner.extent("n")
    let y = inner.parameter("y", TensorType(.f32, [n]))
    let positions = try inner.append(.iota(axis: 0, [n]), [])
    let product = try inner.append(.multiply, y, try inner.convert(positions, to: .f32))
    let call = Primitive.call(GraphReference(inner.finish([product])), output: 0)
    #expect(try run(call, tensor([3], [5, 6, 7])) == tensor([3], [0, 6, 14]))
  }

  @Test(arguments: 0..<60) func random_graphs_run(seed: Int) throws {
    let sample = RandomGraph.make(seed: seed, symbolic: seed % 2 == 0)
    let graph = sample.graph
    // An empty axis has no largest element, and a window does not fit in it.
    guard let results = try? sample.reference(0) else {
      return #expect(sample.calls[0].contains(0) || "\(graph)".contains("0"))
    }
    #expect(results.count == graph.outputs.count)
    for (result, output) in zip(results, graph.outputs) {
      let dtype = graph.type(output).dtype
      #expect(result.dtype == dtype)
      // Every element is a value of its dtype: storing and loading it changes nothing.
      let loaded = try ReferenceTensor(
        dtype, result.extents, bytes: result.bytes, strides: ReferenceTensor.contiguousStrides(result.extents))
      #expect(loaded.bytes == result.bytes)
    }
  }
}
