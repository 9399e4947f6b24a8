// How products read their operands: axes walked as one, decoders inside, few rows without packing. What they compute, and
// that nothing goes to memory for it.
import Basics
import GraphIR
import Scalars
import TensorTypes
import Testing

@testable import Fusion

private func values(_ graph: Graph) throws -> [Memory] {
  try graph.parameters.enumerated().map { number, parameter in
    let count = try #require(parameter.type.shape.elementCount.knownValue)
    let elements = (0..<count).map { i -> ScalarValue in
      let x = (i * 37 + number * 11) % 23 - 11
      return parameter.type.dtype.isFloating ? .float(Double(x) / 16) : .integer(Int64((i * 29 + 3) & 255))
    }
    return Memory(ReferenceTensor(parameter.type.dtype, [count], elements).bytes)
  }
}

private func scheduled(_ graph: Graph) throws -> Schedule {
  try Fuser.schedule(graph, SchedulingContext(target: .x86Version4))
}

/// relu(w · windows(x) + bias) + residual over images [2, channels, height, width].
private func convolution(
  window: Int, height: Int, width: Int, biasOf shape: Shape, outputs: Int = 17
) throws -> Graph {
  var builder = GraphBuilder(name: "convolution")
  let channels = 3
  let x = builder.parameter(
    "x", TensorType(.f32, [2, Dim(channels), Dim(height + window - 1), Dim(width + window - 1)]))
  let w = builder.parameter("w", TensorType(.f32, [Dim(outputs), Dim(channels), Dim(window), Dim(window)]))
  let bias = builder.parameter("bias", TensorType(.f32, shape))
  let whole: Shape = [2, Dim(outputs), Dim(height), Dim(width)]
  let residual = builder.parameter("residual", TensorType(.f32, whole))
  let rows = try builder.append(.windows(axis: 2, size: window, step: 1, dilation: 1), x)
  let both = try builder.append(.windows(axis: 3, size: window, step: 1, dilation: 1), rows)
  // [n, c, h, w, kh, kw] -> [n, h, w, c, kh, kw]
  let patches = try builder.append(.permute([0, 2, 3, 1, 4, 5]), both)
  let axes = ContractionAxes(contracted: [.init(1, 3), .init(2, 4), .init(3, 5)])
  let product = try builder.append(.contraction(axes), w, patches)
  let images = try builder.append(.permute([1, 0, 2, 3]), product)
  let shifted = try builder.append(.add, images, builder.broadcast(bias, whole))
  let zero = try builder.filled(ScalarConstant(.f32, 0), whole)
  let y = try builder.append(.add, builder.append(.maximum, shifted, zero), residual)
  return try builder.finish([y]).verified()
}

@Test(arguments: [(1, 7, 7), (3, 7, 7), (3, 5, 9), (2, 4, 40), (3, 1, 6)])
func pixels_of_an_image_are_one_axis_of_its_product(_ sizes: (window: Int, height: Int, width: Int)) throws {
  let graph = try convolution(
    window: sizes.window, height: sizes.height, width: sizes.width, biasOf: [17, 1, 1])
  let schedule = try scheduled(graph)
  #expect(schedule.steps.count == 1)
  // A height of 1 leaves nothing to merge.
  #expect(schedule.steps[0].nests[0].merged.columns == (sizes.height > 1 ? 2 : 1))
  let difference = try AgreementCase(graph: graph, parameters: values(graph), arguments: []).disagreement()
  #expect(difference == nil)
}

@Test func a_bias_along_the_width_keeps_the_axes_apart() throws {
  let graph = try convolution(window: 3, height: 4, width: 5, biasOf: [5])
  #expect(try scheduled(graph).steps[0].nests[0].merged.columns == 1)
  let difference = try AgreementCase(graph: graph, parameters: values(graph), arguments: []).disagreement()
  #expect(difference == nil)
}

@Test func pixels_are_one_axis_although_the_result_is_padded() throws {
  var builder = GraphBuilder(name: "padded")
  let x = builder.parameter("x", TensorType(.f32, [2, 64, 5, 7]))
  let w = builder.parameter("w", TensorType(.f32, [17, 64]))
  let pixels = try builder.append(.permute([0, 2, 3, 1]), x)
  let product = try builder.append(.contraction(ContractionAxes(contracted: [.init(1, 3)])), w, pixels)
  let images = try builder.append(.permute([1, 0, 2, 3]), product)
  let zero = try builder.append(.constant(ScalarConstant(.f32, 0)))
  let border: [Dim] = [0, 0, 1, 1]
  let padded = try builder.append(.pad(low: border, high: border), builder.append(.exp, images), zero)
  let rows = try builder.append(.windows(axis: 2, size: 3, step: 1, dilation: 1), padded)
  let y = try builder.append(.reduce(.maximum, axes: [4]), rows)
  let graph = try builder.finish([y]).verified()
  let schedule = try scheduled(graph)
  let merged = schedule.steps.flatMap(\.nests).map(\.merged)
  // The pixels of all images even: the copies into the padding go image by image.
  #expect(merged.contains { $0.columns > 1 && $0.staged == [0] })
  let difference = try AgreementCase(graph: graph, parameters: values(graph), arguments: []).disagreement()
  #expect(difference == nil)
}

/// x · decode(w): a byte holds elements j and j + 16 of a group of 32; `rows` of x.
private func packedProduct(rows: Int) throws -> Graph {
  var builder = GraphBuilder(name: "packed")
  let (out, groups) = (6, 3)
  let x = builder.parameter("x", TensorType(.f32, [Dim(rows), Dim(32 * groups)]))
  let codes: Shape = [Dim(out), Dim(groups), 16]
  let w = builder.parameter("w", TensorType(.u8, codes))
  let scales = builder.parameter("scales", TensorType(.f32, [Dim(out), Dim(groups), 1]))
  let low = try builder.append(.and, w, builder.filled(ScalarConstant(.u8, 15), codes))
  let high = try builder.append(.shiftRight, w, builder.filled(ScalarConstant(.u8, 4), codes))
  let whole: Shape = [Dim(out), Dim(groups), 32]
  let joined = try builder.append(.convert(.f32), builder.append(.concatenate(axis: 2), low, high))
  let moved = try builder.append(.subtract, joined, builder.filled(ScalarConstant(.f32, 8), whole))
  let decoded = try builder.append(.multiply, moved, builder.broadcast(scales, whole))
  let weight = try builder.append(.reshape([Dim(out), Dim(32 * groups)]), decoded)
  let y = try builder.append(.contraction(ContractionAxes(contracted: [.init(1, 1)])), x, weight)
  return try builder.finish([y]).verified()
}

@Test(arguments: [1, 5])
func a_packed_weight_is_decoded_inside_its_product(_ rows: Int) throws {
  let graph = try packedProduct(rows: rows)
  let optimized = try graph.optimized().verified()
  let schedule = try scheduled(optimized)
  #expect(schedule.steps.count == 1 && schedule.temporaries.isEmpty)
  let sample = AgreementCase(graph: optimized, parameters: try values(graph), arguments: [])
  let difference = try sample.disagreement(
    with: AgreementCase(graph: graph, parameters: sample.parameters, arguments: []).reference())
  #expect(difference == nil)
}

@Test(arguments: [(5, 40), (40, 5), (14, 57), (2, 8)])
func a_few_rows_read_the_other_side_as_it_is(_ sizes: (rows: Int, columns: Int)) throws {
  var builder = GraphBuilder(name: "narrow")
  let x = builder.parameter("x", TensorType(.f32, [Dim(sizes.rows), 96]))
  let w = builder.parameter("w", TensorType(.bf16, [Dim(sizes.columns), 96]))
  let bias = builder.parameter("bias", TensorType(.f32, [Dim(sizes.columns)]))
  let wide = try builder.append(.convert(.f32), w)
  let product = try builder.append(.contraction(ContractionAxes(contracted: [.init(1, 1)])), x, wide)
  let y = try builder.append(.add, product, builder.broadcast(bias, builder.shape(product)))
  let graph = try builder.finish([y]).verified()
  let schedule = try scheduled(graph)
  #expect(schedule.steps.count == 1)
  #expect(!schedule.steps[0].kernel.buffers.contains { $0.role == .scratch })
  let difference = try AgreementCase(graph: graph, parameters: values(graph), arguments: []).disagreement()
  #expect(difference == nil)
}

// Odd tails of rows, columns and slices; a right operand that is memory, and one that is computed.
@Test(
  arguments: [(3, 300, 70), (15, 64, 128), (17, 33, 300), (29, 513, 129), (40, 31, 2)],
  [(DType.f32, false), (.bf16, true), (.f64, false), (.f32, true)])
func few_rows_write_no_panels(
  _ sizes: (rows: Int, columns: Int, inner: Int), _ right: (dtype: DType, isComputed: Bool)
) throws {
  var builder = GraphBuilder(name: "few")
  let dtype = right.dtype
  let x = builder.parameter("x", TensorType(dtype, [Dim(sizes.rows), Dim(sizes.inner)]))
  let w = builder.parameter("w", TensorType(dtype, [Dim(sizes.inner), Dim(sizes.columns)]))
  let b = right.isComputed ? try builder.append(.tanh, w) : w
  let product = try builder.append(.contraction(ContractionAxes(contracted: [.init(1, 0)])), x, b)
  let y = try builder.append(.multiply, product, product)
  let graph = try builder.finish([y]).verified()
  let schedule = try scheduled(graph)
  #expect(schedule.steps.count == 1)
  #expect(!schedule.steps[0].kernel.buffers.contains { $0.name.hasPrefix("right") })
  let difference = try AgreementCase(graph: graph, parameters: values(graph), arguments: []).disagreement()
  #expect(difference == nil)
}

/// Found by `azulejo fuzz --seed 1 --start 1028 --count 1`.
@Test func summed_axes_in_front_of_the_rows_are_kept_apart() throws {
  var builder = GraphBuilder(name: "front")
  let x = builder.parameter("x", TensorType(.f32, [2, 3, 4]))
  let w = builder.parameter("w", TensorType(.f32, [2, 3, 5, 7]))
  let y = try builder.append(.contraction(ContractionAxes(contracted: [.init(0, 0), .init(1, 1)])), x, w)
  let graph = try builder.finish([y]).verified()
  let difference = try AgreementCase(graph: graph, parameters: values(graph), arguments: []).disagreement()
  #expect(difference == nil)
}
