// Passes keep the meaning of random graphs to the bit, and do what their names say on small ones.
import Basics
import RandomGraphs
import Scalars
import TensorTypes
import Testing

@testable import GraphIR

private func reduced(_ text: String) throws -> String {
  try Graph(text: text).verified().reduced().verified().description
}

@Suite struct RewriterTests {
  @Test(arguments: 0..<150) func passes_keep_every_bit(seed: Int) throws {
    let sample = RandomGraph.make(seed: seed, size: 40, symbolic: seed % 3 == 0)
    let graph = sample.graph
    func run(_ graph: Graph) -> [[UInt8]]? {
      var other = sample
      other.graph = graph
      return try? other.reference(0).map(\.bytes)
    }
    let expected = run(graph)
    for (name, pass) in [
      ("dead", graph.withoutDeadNodes()), ("reduced", try graph.reduced()),
    ] {
      try pass.verified()
      #expect(pass.parameters == graph.parameters && pass.arguments == graph.arguments)
      #expect(pass.nodes.count <= graph.nodes.count || !["dead", "reduced"].contains(name))
      #expect(expected == nil || run(pass) == expected, "\(name): \(graph)\n\(pass)")
    }
    let once = try graph.reduced()
    #expect(try once.reduced() == once)
  }

  @Test func small_integers_pass_through_bf16_unchanged() throws {
    // Nothing in the half of a float that bf16 drops.
    #expect((-128...255).allSatisfy { Float($0).bitPattern & 0xffff == 0 })
    for dtype in [DType.u8, .i8] {
      var builder = GraphBuilder(name: "codes")
      let x = builder.parameter("x", TensorType(dtype, [4]))
      let y = try builder.append(.convert(.f32), builder.append(.convert(.bf16), x))
      let graph = try builder.finish([y]).reduced()
      #expect(graph.nodes.map(\.primitive) == [.parameter(0), .convert(.f32)])
    }
  }

  @Test func rewriting_with_keep_is_the_identity() throws {
    for seed in 0..<20 {
      let graph = RandomGraph.make(seed: seed).graph
      #expect(try graph.rewritten { _, _, _ throws(Diagnostic) in .keep } == graph)
    }
  }

  @Test func a_rule_replaces_nodes_by_values_of_their_type() throws {
    let graph = try Graph(text: "graph g(%0 x: f32[2]) { %1: f32[2] = exp2 %0 %2: f32[2] = negate %1 return %2 }")
    let rewritten = try graph.rewritten { node, operands, builder throws(Diagnostic) in
      guard node.primitive == .exp2 else { return .keep }
      let two = try builder.filled(ScalarConstant(.f32, 2), node.type.shape)
      return .value(try builder.append(.power, two, operands[0]))
    }
    #expect(
      try rewritten.verified().description == """
        graph g(%0 x: f32[2]) {
          %1: f32[] = constant value=2.0:f32
          %2: f32[2] = broadcast shape=[2] %1
          %3: f32[2] = power %2, %0
          %4: f32[2] = negate %3
          return %4
        }
        """)
    #expect(throws: Diagnostic.self) {
      try graph.rewritten { node, operands, builder throws(Diagnostic) in
        node.primitive == .exp2 ? .value(try builder.convert(operands[0], to: .f64)) : .keep
      }
    }
  }

  @Test func moves_cancel_and_merge() throws {
    #expect(
      try reduced(
        """
        graph g(%0 x: f32[2, 3]) {
          %1: f32[3, 2] = permute permutation=[1, 0] %0
          %2: f32[2, 3] = permute permutation=[1, 0] %1
          %3: f32[6] = reshape shape=[6] %2
          %4: f32[2, 3, 1] = reshape shape=[2, 3, 1] %3
          %5: f32[2, 3, 1] = slice starts=[0, 0, 0] counts=[2, 3, 1] steps=[1, 1, 1] %4
          %6: f32[5, 2, 3, 4] = broadcast shape=[5, 2, 3, 4] %5
          %7: f32[5, 2, 3, 4] = negate %6
          %8: f32[5, 2, 3, 4] = negate %7
          return %8
        }
        """) == """
          graph g(%0 x: f32[2, 3]) {
            %1: f32[2, 3, 1] = reshape shape=[2, 3, 1] %0
            %2: f32[5, 2, 3, 4] = broadcast shape=[5, 2, 3, 4] %1
            return %2
          }
          """)
  }

  @Test func only_exact_conversions_merge() throws {
    func converted(_ from: DType, _ through: DType, _ to: DType) throws -> Int {
      var builder = GraphBuilder(name: "c")
      let x = builder.parameter("x", TensorType(from, [2]))
      let middle = try builder.append(.convert(through), x)
      return try builder.finish([try builder.append(.convert(to), middle)]).reduced().nodes.count
    }
    #expect(try converted(.f16, .f32, .f16) == 1)
    #expect(try converted(.u8, .i16, .f32) == 2)
    #expect(try converted(.f32, .f16, .f32) == 3)
    #expect(try converted(.i32, .f64, .i8) == 3)
    #expect(try converted(.i64, .f64, .f32) == 3)
  }

  @Test(arguments: DType.allCases) func merged_conversions_keep_every_value(from: DType) throws {
    let values = PointwiseTests.values(from)
    for through in DType.allCases {
      for to in DType.allCases {
        var builder = GraphBuilder(name: "c")
        let x = builder.parameter("x", TensorType(from, [Dim(values.count)]))
        let graph = builder.finish([
          try builder.append(.convert(to), try builder.append(.convert(through), x))
        ])
        let input = ReferenceTensor(from, [values.count], values)
        let expected = try GraphInterpreter(graph).run(values: [input])[0].bytes
        #expect(
          try GraphInterpreter(graph.reduced()).run(values: [input])[0].bytes == expected,
          "\(from) -> \(through) -> \(to)")
      }
    }
  }

  @Test func constants_fold_through_exact_instructions_only() throws {
    #expect(
      try reduced(
        """
        graph g() {
          %0: f16[] = constant value=0.1:f16
          %1: f16[] = add %0, %0
          %2: f64[] = convert dtype=f64 %1
          %3: f64[] = exp %2
          %4: i64[] = constant value=0:i64
          %5: i64[] = divide %4, %4
          return %3, %5
        }
        """) == """
          graph g() {
            %0: f64[] = constant value=0.199951171875:f64
            %1: f64[] = exp %0
            %2: i64[] = constant value=0:i64
            %3: i64[] = divide %2, %2
            return %1, %3
          }
          """)
  }

  @Test func equal_values_are_computed_once_and_dead_ones_never() throws {
    #expect(
      try reduced(
        """
        graph g(%0 x: f32[2], %1 unused: f32[2]) {
          %2: f32[2] = exp %0
          %3: f32[2] = exp %0
          %4: f32[2] = sin %1
          %5: f32[2] = add %2, %3
          return %5, %5
        }
        """) == """
          graph g(%0 x: f32[2], unused: f32[2]) {
            %1: f32[2] = exp %0
            %2: f32[2] = add %1, %1
            return %2, %2
          }
          """)
  }

  @Test func structural_hashes_are_stable_and_ignore_names() throws {
    let text = "graph g(%0 x: f32[s0, 3]; s0 n) { %1: f32[s0] = reduce monoid=sum axes=[1] %0 return %1 }"
    let graph = try Graph(text: text)
    // Recorded: a change makes every cache on disk stale, so it must be meant.
    #expect(graph.structuralHash.description == "4260cd24c021ef0cc701cc4dae05e0e9")
    let renamed = try Graph(
      text: text.replacing("x:", with: "y:").replacing("n)", with: "m)").replacing("g(", with: "h("))
    #expect(renamed.structuralHash == graph.structuralHash && renamed != graph)
    for changed in ["monoid=product", "axes=[0]", "f32[s0, 4]", "f16[s0, 3]"] {
      let old = ["monoid=product": "monoid=sum", "axes=[0]": "axes=[1]"][changed] ?? "f32[s0, 3]"
      #expect(try Graph(text: text.replacing(old, with: changed)).structuralHash != graph.structuralHash, "\(changed)")
    }
    var hashes = Set<StableHash>()
    for sample in Primitive.samples {
      var one = Graph(name: "g")
      one.nodes = [GraphNode(sample, [], TensorType(.f32, []))]
      hashes.insert(one.structuralHash)
    }
    #expect(hashes.count == Primitive.samples.count)
  }

  @Test func costs_count_flops_and_least_bytes() throws {
    let graph = try Graph(
      text: """
        graph linear(%0 x: f16[s0, 64], %1 w: f16[32, 64], %2 b: f16[32], %3 table: f32[1000, 8]; s0 n) {
          %4: f16[s0, 32] = contraction batch=[] contracted=[1:1] %0, %1
          %5: f16[s0, 32] = broadcast shape=[s0, 32] %2
          %6: f16[s0, 32] = add %4, %5
          %7: f16[s0, 32] = multiplyadd %6, %6, %6
          %8: f16[s0] = reduce monoid=sum axes=[1] %7
          %9: i64[2, 8] = iota axis=0 shape=[2, 8]
          %10: f32[2, 8] = gather axis=0 %3, %9
          return %8, %10
        }
        """
    ).verified()
    func cost(_ id: Int) throws -> Cost { try #require(graph.cost(of: Value(id), arguments: [10])) }
    #expect(try cost(4) == Cost(flops: 2 * 10 * 32 * 64, bytes: 2 * (10 * 64 + 32 * 64 + 10 * 32)))
    #expect(try cost(5) == Cost(flops: 0, bytes: 2 * (32 + 320)))
    #expect(try cost(6) == Cost(flops: 320, bytes: 2 * 960))
    #expect(try cost(7) == Cost(flops: 640, bytes: 2 * 640))
    #expect(try cost(8) == Cost(flops: 320, bytes: 2 * 330))
    #expect(try cost(10) == Cost(flops: 0, bytes: 4 * 16 + 8 * 16 + 4 * 16))
    let parameters = 2 * (640 + 2048 + 32) + 4 * 8000
    #expect(
      graph.cost(arguments: [10])
        == Cost(flops: 2 * 10 * 32 * 64 + 320 + 640 + 320, bytes: parameters + 2 * 10 + 4 * 16))
    #expect(graph.cost(arguments: []) == nil)
  }
}
