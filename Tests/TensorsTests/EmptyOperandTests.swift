// What an operation refuses of three elements it refuses of none: no result is so empty that nobody looks at its operands.
// Not the values of empty results (they have none). Surprise: eagerly nothing is launched for them, which once was all.
import Basics
import Conformance
import TensorTypes
import Tensors
import Testing

private func failure(_ name: String, _ operands: [Tensor]) -> Diagnostic.Kind? {
  do {
    let arguments = ConformanceArguments(places: operands.map { .tensor($0) }, names: [:])
    return try ConformanceTable.shared.tensors(name, arguments)[0].failure?.kind
  } catch { return error.kind }
}

/// Every operation with one operand to three: pointwise ones say the same of both, the others refuse the dtype in both
/// (they may refuse a maximum of nothing besides).
@Test(arguments: [DType.bool, .u8, .i64, .f32, .f8e4m3fn])
func what_is_wrong_for_three_elements_is_wrong_for_none(dtype: DType) {
  let full = Tensor([1, 1, 1] as [Float]).converted(to: dtype)
  let empty = Tensor([] as [Float], shape: [0]).converted(to: dtype)
  let wide = Tensor([] as [Float], shape: [2, 0, 3]).converted(to: dtype)
  let pointwise = Set(ConformanceTable.pointwise.names)
  #expect(pointwise.count > 100)
  for name in ConformanceTable.shared.names {
    for count in 1...3 {
      func failure(of operand: Tensor) -> Diagnostic.Kind? {
        TensorsTests.failure(name, Array(repeating: operand, count: count))
      }
      let wanted = failure(of: full)
      if pointwise.contains(name) {
        for none in [empty, wide] { #expect(failure(of: none) == wanted, "\(name) of \(count) \(dtype)\(none.shape)") }
      } else if wanted == .dtype {
        #expect(failure(of: empty) != nil, "\(name) of \(count) \(dtype)")
      }
    }
  }
}
