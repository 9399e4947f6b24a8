// What an operation refuses of three elements it refuses of none: no result is so empty that nobody looks at its operands.
// Not the values of empty results (they have none). Surprise: eagerly nothing is launched for them, which once was all.
import Basics
import Conformance
import TensorTypes
import Tensors
import Testing

private let unary = """
  neg abs sign floor ceil trunc round frac exp log sqrt rsqrt reciprocal square sin tanh erf sigmoid relu bitwise_not
  logical_not isnan isfinite softplus gelu elu digamma lgamma
  """
private let binary = """
  add sub mul div floor_divide remainder fmod pow maximum minimum atan2 hypot copysign bitwise_and bitwise_or bitwise_xor
  bitwise_left_shift bitwise_right_shift logical_and eq lt gcd lcm heaviside xlogy logaddexp nextafter
  """

private func names(_ text: String) -> [String] { text.split(whereSeparator: \.isWhitespace).map(String.init) }

private func failure(_ name: String, _ operands: [Tensor]) -> Diagnostic.Kind? {
  do {
    let arguments = ConformanceArguments(places: operands.map { .tensor($0) }, names: [:])
    return try ConformanceTable.shared.tensors(name, arguments)[0].failure?.kind
  } catch { return error.kind }
}

@Test(arguments: [DType.bool, .u8, .i64, .f32, .f8e4m3fn])
func what_is_wrong_for_three_elements_is_wrong_for_none(dtype: DType) {
  let full = Tensor([1, 1, 1] as [Float]).converted(to: dtype)
  let empty = Tensor([] as [Float], shape: [0]).converted(to: dtype)
  let wide = Tensor([] as [Float], shape: [2, 0, 3]).converted(to: dtype)
  for name in names(unary) {
    let wanted = failure(name, [full])
    for none in [empty, wide] { #expect(failure(name, [none]) == wanted, "\(name) of \(dtype)\(none.shape)") }
  }
  for name in names(binary) {
    let wanted = failure(name, [full, full])
    for none in [empty, wide] { #expect(failure(name, [none, none]) == wanted, "\(name) of \(dtype)\(none.shape)") }
  }
}
