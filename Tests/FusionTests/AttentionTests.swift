// Attention as one nest: what is recognised, what is refused and why, and that the tiles compute what the graph means.
// Not speed. Surprise: the reference evaluates the graph as it is written, scores and all.
import Basics
import GraphIR
@testable import RandomGraphs
import Scalars
import Targets
import TensorTypes
import Testing
import TileIR

@testable import Fusion

extension AttentionSample {
  fileprivate func sample(seed: Int) throws -> AgreementCase {
    let graph = try graph()
    let parameters = zip(graph.parameters, tensors(graph, seed: seed)).map { parameter, tensor in
      let dtype = parameter.type.dtype
      let elements = tensor.elements.map { dtype.isFloating ? ScalarValue.float($0) : .integer(Int64($0)) }
      return Memory(ReferenceTensor(dtype, tensor.extents, elements).bytes)
    }
    return AgreementCase(graph: graph, parameters: parameters, arguments: arguments(graph))
  }
}

@Suite struct AttentionTests {
  private func scheduled(_ graph: Graph) throws -> Schedule {
    let schedule = try Fuser.schedule(graph, SchedulingContext(target: .x86Version4))
    for step in schedule.steps {
      do {
        try step.kernel.verified()
      } catch {
        Issue.record("\(error)\n\(step.kernel.text)")
      }
    }
    return schedule
  }

  @Test(arguments: AttentionSample.Mask.allCases, AttentionSample.Softmax.allCases)
  func every_form_is_one_nest_without_temporaries(_ mask: AttentionSample.Mask, _ softmax: AttentionSample.Softmax)
    throws
  {
    for dtype in [DType.f32, .bf16] {
      for queries in [1, 5] {
        let sample = AttentionSample(queries: queries, dtype: dtype, mask: mask, softmax: softmax, isCached: true)
        let graph = try sample.graph()
        let schedule = try scheduled(graph)
        #expect(schedule.steps.count == 1, "\(schedule.text())")
        #expect(schedule.temporaries.isEmpty)
        guard case .attention(let pattern)? = schedule.steps.first?.nests.first?.form else {
          Issue.record("no attention: \(schedule.text())")
          continue
        }
        #expect(pattern.hiddenRowsAreNaN == [.plain, .reciprocal].contains(softmax))
      }
    }
  }

  @Test(arguments: AttentionSample.Mask.allCases, [1, 3, 17])
  func tiles_agree_with_the_graph(_ mask: AttentionSample.Mask, _ queries: Int) throws {
    for (i, softmax) in AttentionSample.Softmax.allCases.enumerated() {
      let sample = AttentionSample(
        heads: 2, shared: [1, 3, 1, 2, 1][i], queries: queries, keys: [7, 130, 140, 9, 133][i],
        width: [8, 5, 6, 8, 4][i],
        outWidth: [8, 3, 10, 8, 5][i], dtype: [.f32, .bf16, .f16, .f32, .f32][i], mask: mask, softmax: softmax,
        start: [0, 11, 40, 2, 40][i], isCached: i != 1, isSymbolic: i != 2,
        hidden: softmax == .plain ? nil : queries / 2)
      // Tiles of one machine: the blocks are the same for all.
      let difference = try sample.sample(seed: i + queries).disagreement(target: .x86Version3)
      #expect(difference == nil, "\(sample)")
    }
  }

  @Test func scores_that_are_an_output_are_computed_apart() throws {
    var graph = try AttentionSample().graph()
    let scores = try #require(graph.nodes.firstIndex { if case .contraction = $0.primitive { true } else { false } })
    graph.outputs.append(Value(scores))
    let schedule = try scheduled(graph)
    #expect(schedule.steps.count > 1)
    let mix = try #require(graph.nodes.lastIndex { if case .contraction = $0.primitive { true } else { false } })
    #expect(
      schedule.refusals.contains {
        $0.value == Value(mix) && $0.reason == .notAttention("its scores or weights are needed elsewhere")
      })
  }

  @Test func softmax_over_queries_is_no_attention() throws {
    var b = GraphBuilder(name: "columns")
    let (t, s) = (b.extent("t"), b.extent("s"))
    let q = b.parameter("q", TensorType(.f32, [t, 8]))
    let k = b.parameter("k", TensorType(.f32, [s, 8]))
    let v = b.parameter("v", TensorType(.f32, [s, 8]))
    let x = try b.append(.contraction(ContractionAxes(contracted: [.init(1, 1)])), q, k)
    let top = try b.append(.reduce(.maximum, axes: [0]), x)
    let e = try b.append(.exp, b.append(.subtract, x, b.restoring(top, [0], [t, s])))
    let sum = try b.append(.reduce(.sum, axes: [0]), e)
    let p = try b.append(.divide, e, b.restoring(sum, [0], [t, s]))
    let y = try b.append(.contraction(ContractionAxes(contracted: [.init(1, 0)])), p, v)
    #expect(try scheduled(b.finish([y])).steps.count == 3)
  }

  @Test func an_epilogue_of_the_result_is_part_of_the_nest() throws {
    let sample = AttentionSample()
    var b = GraphBuilder(name: "gated")
    let inner = try sample.graph()
    let parameters = inner.parameters.map { b.parameter($0.name, TensorType($0.type.dtype, [2, 1, 5, 8])) }
    let (q, k, v) = (parameters[0], parameters[1], parameters[2])
    let heads = [ContractionAxes.Pair(0, 0), .init(1, 1)]
    let x = try b.append(.contraction(ContractionAxes(batch: heads, contracted: [.init(3, 3)])), q, k)
    let shape = b.shape(x)
    let top = try b.append(.reduce(.maximum, axes: [3]), x)
    let e = try b.append(.exp, b.append(.subtract, x, b.restoring(top, [3], shape)))
    let sum = try b.append(.reduce(.sum, axes: [3]), e)
    let p = try b.append(.divide, e, b.restoring(sum, [3], shape))
    let y = try b.append(.contraction(ContractionAxes(batch: heads, contracted: [.init(3, 2)])), p, v)
    let gated = try b.append(.multiply, y, b.append(.sigmoid, q))
    let narrow = try b.append(.convert(.f16), gated)
    let schedule = try scheduled(b.finish([narrow]))
    #expect(schedule.steps.count == 1)
    #expect(schedule.temporaries.isEmpty)
  }
}
