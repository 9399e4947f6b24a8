// Attention kernels as Fusion tiles them: compiled code against the interpreter, in one piece and instance by instance.
// Surprise: several blocks of keys need several hundred keys, so these are the largest kernels tested here.
import Basics
import Fusion
import GraphIR
@testable import RandomGraphs
import Targets
import TensorTypes
import Testing

@Suite struct AttentionKernelTests {
  private func check(_ sample: AttentionSample, seed: Int) throws {
    let graph = try sample.graph()
    let tensors = sample.tensors(graph, seed: seed)
    for target in runnableTargets {
      let schedule = try Fuser.schedule(graph, SchedulingContext(target: target))
      let step = try #require(schedule.steps.first)
      #expect(schedule.steps.count == 1)
      let buffers = step.buffers.map { source -> Elements in
        if case .parameter(let i) = source { return Elements(graph.parameters[i].type.dtype, tensors[i].elements) }
        let count = sample.heads * sample.shared * sample.queries * sample.outWidth
        return Elements(graph.type(graph.outputs[0]).dtype, count: count)
      }
      let symbols = sample.arguments(graph).map { Int(truncatingIfNeeded: $0) }
      // Sums of a few hundred terms in another order.
      try expectAgreement(step.kernel, buffers, symbols, tolerance: 2e-5, targets: [target])
    }
  }

  @Test(arguments: AttentionSample.Mask.allCases, [1, 30])
  func code_agrees_with_tiles(_ mask: AttentionSample.Mask, _ queries: Int) throws {
    for (i, softmax) in AttentionSample.Softmax.allCases.enumerated() {
      try check(
        AttentionSample(
          heads: 2, shared: [1, 3, 2, 2, 1][i], queries: queries, keys: [7, 131, 140, 9, 133][i],
          width: [64, 8, 33, 8, 16][i],
          outWidth: [64, 7, 20, 8, 16][i], dtype: [.f32, .bf16, .f16, .f32, .f32][i], mask: mask, softmax: softmax,
          start: [0, 11, 40, 2, 40][i], isCached: i != 1, isSymbolic: i != 2,
          hidden: softmax == .plain ? nil : queries / 2),
        seed: i + queries)
    }
  }

  @Test func wide_heads_and_many_queries_agree() throws {
    try check(AttentionSample(heads: 1, queries: 60, keys: 140, width: 128, outWidth: 128), seed: 5)
  }
}
