import Basics
import Tensors
import Testing

@Suite struct FailedTensorTests {
  @Test func axis_outside_the_rank_fails_with_both_values_and_the_callers_line() {
    let x = Tensor([1, 2, 3] as [Float])
    let y = x.sum(3)
    let line: UInt = #line - 1
    #expect(y.failure?.kind == .index)
    #expect(y.failure?.message.contains("axis 3 is outside -1...0") == true)
    #expect(y.failure?.location?.line == line)
    #expect(y.failure?.location?.file.hasSuffix("FailedTensorTests.swift") == true)
  }

  @Test func failure_goes_through_later_operations_and_keeps_the_first_diagnostic() {
    let x = Tensor([1, 2, 3] as [Float])
    let y = ((x + Tensor([1, 2] as [Float])) * 2).exp().sum(7)
    #expect(y.failure?.message.contains("[3] and [2] do not broadcast") == true)
    #expect(throws: Diagnostic.self) { try y.item(as: Float.self) }
    #expect(throws: Diagnostic.self) { try y.array(as: Float.self) }
  }
}
