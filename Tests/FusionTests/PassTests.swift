// What single passes make of small graphs, before and behind. Not what the kernels gain: that is in the spelling tests.
import Basics
import GraphIR
import RandomGraphs
import TensorTypes
import Testing

@testable import Fusion

private func primitives(_ graph: Graph) -> [String] {
  graph.nodes.compactMap { node in
    switch node.primitive {
    case .parameter, .constant: nil
    case let primitive: "\(primitive.name)\(node.type.shape)"
    }
  }
}

@Suite struct PassTests {
  @Test func heads_that_are_repeated_stay_apart_from_their_groups() throws {
    var b = GraphBuilder(name: "grouped")
    let q = b.parameter("q", TensorType(.f32, [4, 20, 8]))
    let k = b.parameter("k", TensorType(.f32, [2, 1, 24, 8]))
    let wide = try b.append(.reshape([4, 24, 8]), b.append(.broadcast([2, 2, 24, 8]), k))
    let heads = ContractionAxes(batch: [.init(0, 0)], contracted: [.init(2, 2)])
    let scores = try b.append(.contraction(heads), q, wide)
    let graph = b.finish([try b.append(.exp, scores)])
    let apart = try graph.withSplitAxes().reduced().verified()
    #expect(
      primitives(apart) == [
        "reshape[2, 2, 20, 8]", "broadcast[2, 2, 24, 8]", "contraction[2, 2, 20, 24]", "exp[2, 2, 20, 24]",
        "reshape[4, 20, 24]",
      ])
    // A group is rows of its key head.
    let plain = try apart.withPlainProductAxes().reduced().verified()
    #expect(
      primitives(plain) == [
        "reshape[2, 2, 20, 8]", "reshape[2, 24, 8]", "contraction[2, 2, 20, 24]", "exp[2, 2, 20, 24]",
        "reshape[4, 20, 24]",
      ])
  }

  @Test func rows_and_columns_of_products_are_never_taken_apart() throws {
    var b = GraphBuilder(name: "rows")
    let x = b.parameter("x", TensorType(.f32, [3, 5, 8]))
    let w = b.parameter("w", TensorType(.f32, [8, 7]))
    let rows = try b.append(.reshape([15, 8]), b.append(.permute([1, 0, 2]), x))
    let graph = b.finish([try b.append(.contraction(ContractionAxes(contracted: [.init(1, 0)])), rows, w)])
    #expect(try graph.withSplitAxes() == graph)
  }

  @Test func merged_axes_of_a_product_are_permuted_one_by_one() throws {
    var b = GraphBuilder(name: "heads")
    let x = b.parameter("x", TensorType(.f32, [2, 3, 5, 4]))
    let y = b.parameter("y", TensorType(.f32, [2, 4, 7]))
    let product = try b.append(.contraction(ContractionAxes(batch: [.init(0, 0)], contracted: [.init(3, 1)])), x, y)
    let heads = try b.append(.permute([1, 0, 2]), b.append(.reshape([6, 5, 7]), product))
    let merged = b.finish([try b.append(.reshape([5, 42]), heads)])
    let graph = try merged.withLateReshapes().reduced().verified()
    #expect(primitives(graph) == ["contraction[2, 3, 5, 7]", "permute[5, 2, 3, 7]", "reshape[5, 42]"])
    // A parameter is read in any shape, and half an axis is none.
    let parameter = b.finish([try b.append(.permute([1, 0]), b.append(.reshape([6, 20]), x))]).withoutDeadNodes()
    #expect(try parameter.withLateReshapes() == parameter)
    let cut = b.finish([try b.append(.permute([1, 0]), b.append(.reshape([14, 15]), product))]).withoutDeadNodes()
    #expect(try cut.withLateReshapes() == cut)
  }

  @Test func a_gather_of_log_probabilities_reads_one_score() throws {
    var b = GraphBuilder(name: "picked")
    let x = b.parameter("x", TensorType(.f32, [12, 64]))
    let i = b.parameter("i", TensorType(.i64, [12, 1]))
    let sum = try b.append(.log, b.append(.reduce(.sum, axes: [1]), b.append(.exp, x)))
    let all = try b.append(.subtract, x, b.restoring(sum, [1], [12, 64]))
    let picked = try b.append(.gather(axis: 1), all, i)
    let graph = try b.finish([picked]).withEarlyGathers().reduced().verified()
    #expect(
      primitives(graph) == [
        "exp[12, 64]", "reduce[12]", "log[12]", "reshape[12, 1]", "gather[12, 1]", "subtract[12, 1]",
      ])
    // What somebody else needs, too, is made once.
    let shared = b.finish([picked, all])
    #expect(primitives(try shared.withEarlyGathers().reduced()).contains("gather[12, 1]"))
  }

  @Test func a_logarithm_in_an_exponent_is_a_division() throws {
    var b = GraphBuilder(name: "softmax")
    let x = b.parameter("x", TensorType(.f32, [6, 9]))
    let top = try b.restoring(b.append(.reduce(.maximum, axes: [1]), x), [1], [6, 9])
    let shifted = try b.append(.subtract, x, top)
    let sum = try b.append(.log, b.append(.reduce(.sum, axes: [1]), b.append(.exp, shifted)))
    let p = try b.append(.exp, b.append(.subtract, shifted, b.restoring(sum, [1], [6, 9])))
    let graph = try b.finish([p]).withPlainSoftmax().reduced().verified()
    #expect(graph.nodes.filter { $0.primitive == .exp }.count == 1)
    #expect(graph[graph.outputs[0]].primitive == .divide)
  }

  @Test func the_sum_of_other_rows_divides_nothing() throws {
    // Square, so that shapes alone do not tell the axes apart.
    var b = GraphBuilder(name: "columns")
    let x = b.parameter("x", TensorType(.f32, [6, 6]))
    let v = b.parameter("v", TensorType(.f32, [6, 6]))
    let e = try b.append(.exp, x)
    let sum = try b.append(.reduce(.sum, axes: [1]), e)
    let mix = try b.append(.contraction(ContractionAxes(contracted: [.init(1, 0)])), e, v)
    let across = try b.append(.divide, mix, b.broadcast(sum, [6, 6]))
    let exponent = try b.append(.exp, b.append(.subtract, x, b.broadcast(b.append(.log, sum), [6, 6])))
    let graph = try b.finish([across, exponent]).reduced()
    #expect(try graph.withPlainSoftmax() == graph)
  }

  @Test(arguments: 0..<150) func passes_that_only_move_keep_every_bit(seed: Int) throws {
    let sample = RandomGraph.make(seed: seed, size: 40, symbolic: seed % 3 == 0)
    let graph = sample.graph
    let expected = try? sample.reference(0).map(\.bytes)
    for (name, pass) in [
      ("early gathers", try graph.withEarlyGathers()), ("split axes", try graph.withSplitAxes()),
      ("product axes", try graph.withPlainProductAxes()),
    ] {
      try pass.verified()
      #expect(pass.parameters == graph.parameters && pass.arguments == graph.arguments)
      var other = sample
      other.graph = pass
      #expect(try expected == nil || other.reference(0).map(\.bytes) == expected, "\(name): \(graph)\n\(pass)")
    }
  }

  @Test func what_the_passes_make_of_a_node_keeps_its_origin() throws {
    var b = GraphBuilder(name: "g")
    let x = b.parameter("x", TensorType(.f32, [1, 4, 8]))
    let w = b.parameter("w", TensorType(.f32, [8, 16]))
    b.origin = 1
    let rows = try b.append(.reshape([4, 8]), x)
    let product = try b.append(.contraction(ContractionAxes(contracted: [.init(1, 0)])), rows, w)
    b.origin = 2
    let whole = try b.append(.reshape([1, 4, 16]), product)
    let root = try b.append(.squareRoot, whole)
    b.origin = 3
    let sum = try b.append(.reduce(.sum, axes: [2]), root)
    let graph = try b.finish([sum]).optimized()
    let origins = Dictionary(
      graph.nodes.map { ($0.primitive.name, $0.origin) }, uniquingKeysWith: { first, _ in first })
    #expect(origins["contraction"] == 1)
    #expect(origins["sqrt"] == 2)
    #expect(origins["reduce"] == 3)
    #expect(origins["parameter"] == -1)
  }
}
