// What the type rules accept and how they refuse. The records' numbers are quoted by the errors.
import Basics
import Scalars
import TensorTypes
import Testing

@testable import GraphIR

private func type(_ primitive: Primitive, _ operands: TensorType...) -> Result<TensorType, Diagnostic> {
  do throws(Diagnostic) { return .success(try primitive.resultType(operands)) } catch { return .failure(error) }
}

private func refusal(_ primitive: Primitive, _ operands: TensorType...) -> String {
  do throws(Diagnostic) {
    return "accepted as \(try primitive.resultType(operands))"
  } catch {
    return error.message
  }
}

private func f32(_ dims: Dim...) -> TensorType { TensorType(.f32, Shape(dims)) }
private func i64(_ dims: Dim...) -> TensorType { TensorType(.i64, Shape(dims)) }
private func bool(_ dims: Dim...) -> TensorType { TensorType(.bool, Shape(dims)) }
private let s0 = Dim.symbol(0)
private let s1 = Dim.symbol(1)

@Suite struct TypeTests {
  @Test func pointwise_primitives_accept_exactly_the_dtypes_they_claim() throws {
    for sample in Primitive.samples {
      let definition = sample.definition
      guard case .pointwise = definition.lowering, case .none = sample.payload, sample != .select else { continue }
      for dtype in DType.allCases {
        let operand = TensorType(dtype, [2, s0])
        let count = try #require(
          (1...3).first { count in
            // A wrong number of operands is an argument error whatever the dtype.
            do throws(Diagnostic) {
              _ = try sample.resultType(Array(repeating: operand, count: count))
              return true
            } catch { return error.kind != .argument }
          })
        let operands = Array(repeating: operand, count: count)
        if definition.dtypes.contains(dtype) {
          let result = try sample.resultType(operands)
          #expect(result.shape == operand.shape)
          #expect(
            sample.scalarProgram(operandDTypes: operands.map(\.dtype))?.resultDType == result.dtype,
            "\(sample.name) on \(dtype)")
          #expect(result.dtype == dtype || result.dtype == .bool, "\(sample.name) on \(dtype) gives \(result.dtype)")
        } else {
          #expect(throws: Diagnostic.self, "\(sample.name) on \(dtype)") { try sample.resultType(operands) }
          #expect(sample.scalarProgram(operandDTypes: operands.map(\.dtype)) == nil, "\(sample.name) on \(dtype)")
        }
      }
    }
  }

  @Test func a_refusal_quotes_number_and_both_values() {
    #expect(refusal(.reshape([7]), f32(2, 3)) == "reshape (C2): [2, 3] has 6 elements, [7] has 7")
    #expect(refusal(.add, f32(2), i64(2)) == "add (C1): the operands are f32 and i64")
    #expect(refusal(.add, f32(2), f32(3)) == "add (C2): the operands' shapes are [2] and [3]")
    #expect(refusal(.exp, i64(2)) == "exp (C1): the operand is i64")
    #expect(refusal(.and, f32(), f32()) == "and (C3): the operands are f32")
    #expect(refusal(.broadcast([4, 2]), f32(4, 3)) == "broadcast (C2): [4, 3] does not repeat to [4, 2]")
    #expect(refusal(.permute([0, 0]), f32(4, 3)) == "permute (C1): [0, 0] does not permute the axes of [4, 3]")
    #expect(
      refusal(.slice(starts: [1], counts: [3], steps: [2]), f32(5))
        == "slice (C3): elements 1 to 5 of axis 0, whose extent is 5")
    #expect(
      refusal(.slice(starts: [1], counts: [3], steps: [-1]), f32(5))
        == "slice (C3): elements 1 to -1 of axis 0, whose extent is 5")
    #expect(
      refusal(.contraction(ContractionAxes(contracted: [.init(1, 0)])), f32(2, 3), f32(4, 5))
        == "contraction (C3): axis 1 of [2, 3] and axis 0 of [4, 5] differ")
    #expect(refusal(.gather(axis: 0), f32(2, 3), TensorType(.i32, [2, 3])) == "gather (C2): the indices are i32")
    #expect(refusal(.gather(axis: 0), f32(2, 3), i64(2, 4)) == "gather (C3): [2, 3] and [2, 4] differ on axis 1")
    #expect(refusal(.reduce(.sum, axes: [0]), bool(2)) == "reduce (C2): sum of bool")
    #expect(refusal(.reduce(.and, axes: [0]), f32(2)) == "reduce (C2): and of f32")
    #expect(refusal(.argReduce(.maximum, axis: 0), f32(0)) == "argreduce (C2): [0] has no element on axis 0")
    #expect(refusal(.bitcast(.f64), f32(2)) == "bitcast (C1): f32 has 4 bytes, f64 has 8")
    #expect(refusal(.select, f32(2), f32(2), f32(2)) == "select (C1): the condition is f32")
    #expect(refusal(.negate, f32(2), f32(2)) == "negate: takes 1 operand, got 2")
  }

  @Test func constraint_text_is_the_remedy() {
    guard case .failure(let diagnostic) = type(.reshape([7]), f32(2, 3)) else {
      Issue.record("accepted")
      return
    }
    #expect(diagnostic.remedy == "needed: both shapes have as many elements")
  }

  @Test func reindexing_gives_these_shapes() throws {
    #expect(try type(.broadcast([4, 2, 3]), f32(1, 3)).get() == f32(4, 2, 3))
    #expect(try type(.permute([2, 0, 1]), f32(4, 2, 3)).get() == f32(3, 4, 2))
    #expect(try type(.slice(starts: [4], counts: [3], steps: [-2]), f32(5)).get() == f32(3))
    #expect(try type(.slice(starts: [9], counts: [0], steps: [1]), f32(5)).get() == f32(0))
    #expect(try type(.pad(low: [1], high: [2]), f32(5), f32()).get() == f32(8))
    #expect(try type(.concatenate(axis: 1), f32(2, 3), f32(2, 0), f32(2, 4)).get() == f32(2, 7))
    #expect(try type(.windows(axis: 0, size: 3, step: 2, dilation: 2), f32(10, 4)).get() == f32(3, 4, 3))
    #expect(try type(.reduce(.sum, axes: [2, 0]), f32(2, 3, 4)).get() == f32(3))
    #expect(try type(.argReduce(.maximum, axis: 0), bool(2, 3)).get() == i64(3))
    #expect(
      try type(
        .contraction(ContractionAxes(batch: [.init(0, 1)], contracted: [.init(2, 0)])), f32(5, 2, 3), f32(3, 5, 7)
      )
      .get() == f32(5, 2, 7))
    #expect(try type(.gather(axis: 0), bool(9, 3), i64(4, 3)).get() == bool(4, 3))
    #expect(try type(.scatter(axis: 0, combine: nil), bool(9, 3), i64(4, 3), bool(4, 3)).get() == bool(9, 3))
  }

  @Test func symbolic_extents_are_equal_as_expressions() throws {
    #expect(try type(.reshape([s0 * 6]), f32(2, s0, 3)).get() == f32(s0 * 6))
    #expect(try type(.reshape([3, s1, 4, s0]), f32(s0, 12, s1)).get() == f32(3, s1, 4, s0))
    #expect(try type(.concatenate(axis: 0), f32(s0, 2), f32(3, 2)).get() == f32(s0 + 3, 2))
    #expect(refusal(.add, f32(s0), f32(s1)) == "add (C2): the operands' shapes are [s0] and [s1]")
    #expect(refusal(.reshape([s1]), f32(s0)) == "reshape (C2): [s0] has s0 elements, [s1] has s1")
    #expect(refusal(.broadcast([s1]), f32(s0)) == "broadcast (C2): [s0] does not repeat to [s1]")
  }

  @Test func a_failed_extent_throws_its_own_diagnostic() {
    let failed = Dim.failed(Diagnostic(.shape, "axis 3 of a matrix"))
    #expect(refusal(.exp, f32(failed)) == "axis 3 of a matrix")
    #expect(refusal(.reshape([failed]), f32(2)) == "axis 3 of a matrix")
    #expect(refusal(.slice(starts: [failed], counts: [1], steps: [1]), f32(2)) == "axis 3 of a matrix")
  }

  @Test func a_call_binds_the_symbols_of_its_graph() throws {
    var builder = GraphBuilder(name: "sum")
    let n = builder.extent("n")
    let x = builder.parameter("x", TensorType(.f32, [n, 2]))
    let y = builder.parameter("y", TensorType(.f32, [n, 2]))
    let sum = try builder.append(.concatenate(axis: 0), x, y)
    let call = Primitive.call(GraphReference(builder.finish([sum])), output: 0)
    #expect(try type(call, f32(4, 2), f32(4, 2)).get() == f32(8, 2))
    #expect(try type(call, f32(s1, 2), f32(s1, 2)).get() == f32(s1 + s1, 2))
    #expect(refusal(call, f32(s1, 2), f32(3, 2)) == "call (C2): s0 is s1 and 3")
    #expect(refusal(call, f32(3, 3), f32(3, 2)) == "call (C2): x is f32[s0, 2], the operand f32[3, 3]")
  }

  @Test func half_floats_compute_in_f32_and_round_once() throws {
    let program = try #require(Primitive.multiplyAdd.scalarProgram(operandDTypes: [.f16, .f16, .f16]))
    #expect(program.resultDType == .f16)
    // 1.001 * 1.001 + -1 in halves of its parts would lose all but two digits.
    let a = ScalarReference.rounded(1.0009765625, to: .f16)
    let expected = ScalarReference.rounded(Double(Float(a) * Float(a) - 1), to: .f16)
    #expect(program.evaluate([.float(a), .float(a), .float(-1)])?.doubleValue == expected)
    let sum = try #require(Primitive.sigmoid.scalarProgram(operandDTypes: [.bf16]))
    let inner = sum.nodes.dropFirst().dropLast().filter { $0.dtype != .f32 }
    #expect(inner.isEmpty)
  }
}
