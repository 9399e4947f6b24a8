// Remainders of floats are exact whatever the quotient is, and integers divided by zero are faults wherever the zero stands.
// Not the rules of signs (ScalarsTests). Surprise: quotients beyond 2^53 are only seen with round numbers, since the others
// are not rounded up to a head of 24 bits.
import Basics
import Capture
import Foundation
import TensorTypes
import Tensors
import Testing

private func power(_ exponent: Int) -> Double { pow(10, Double(exponent)) }

private let dividends: [Double] = {
  var values: [Double] = [0x1p53 + 2, 0x1p63, 1.7e308, 3.5, 7e9, 123_456_789]
  values += [.leastNonzeroMagnitude, .greatestFiniteMagnitude, .infinity, 0]
  for exponent in stride(from: 0, to: 309, by: 7) { values.append(power(exponent)) }
  for i in 0..<40 { values.append(Double(i * 7919 % 997 + 1) * power(i % 33)) }
  return values
}()
private let divisors: [Double] = {
  var values: [Double] = [0.1, 0.001, 1e-5, 3, 7, 1e-300, 1e10, 0.3, 0x1p-30, 1e300, 1e308]
  values += [.leastNonzeroMagnitude, .leastNormalMagnitude / 3, .infinity, 0]
  for i in 0..<30 { values.append(Double(i * 7907 % 991 + 1) * power(i % 37 - 28)) }
  return values
}()

private struct Division: Sendable {
  let name: String
  let ours: @Sendable (Tensor, any TensorOrScalar) -> Tensor
}

private let integerDivisions: [Division] = [
  .init(name: "%") { $0.remainder($1) },
  .init(name: "floorDivided") { $0.floorDivided(by: $1) },
  .init(name: "truncatedRemainder") { $0.truncatedRemainder($1) },
  .init(name: "divided truncated") { $0.divided(by: $1, rounding: .truncated) },
  .init(name: "divided floored") { $0.divided(by: $1, rounding: .floored) },
]

@Suite struct RemainderTests {
  @Test(arguments: [DType.f64, .f32]) func remainders_of_floats_are_exact(_ dtype: DType) throws {
    let compiled = compile { (x: Tensor, y: Tensor) in (x.truncatedRemainder(y), x % y) }
    var wrong: [String] = []
    for sign in [1.0, -1] {
      let pairs = dividends.flatMap { a in divisors.map { (a * sign, $0) } }
        .map { dtype == .f64 ? $0 : (Double(Float($0.0)), Double(Float($0.1))) }
      let x = Tensor(pairs.map(\.0)).converted(to: dtype)
      let y = Tensor(pairs.map(\.1)).converted(to: dtype)
      let ours = try compiled(x, y)
      for (truncated, signed) in [(x.truncatedRemainder(y), x % y), ours] {
        let found = zip(try truncated.array(as: Double.self), try signed.array(as: Double.self))
        for ((a, b), (rest, other)) in zip(pairs, found) {
          let right = fmod(a, b)
          let wrapped = right < 0 ? (dtype == .f64 ? right + b : Double(Float(right + b))) : right
          if rest != right, !(rest.isNaN && right.isNaN) { wrong.append("fmod(\(a), \(b)): \(rest), not \(right)") }
          if other != wrapped, !(other.isNaN && wrapped.isNaN) { wrong.append("\(a) % \(b): \(other), not \(wrapped)") }
        }
      }
    }
    #expect(wrong.isEmpty, "\(wrong.count): \(wrong.prefix(5))")
  }

  /// A zero may be an element, a number, a constant of a function, or a number that becomes zero in the dtype.
  @Test(arguments: [DType.u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64])
  func integers_divided_by_zero_are_faults(_ dtype: DType) throws {
    let x = Tensor([6, 0, 7]).converted(to: dtype)
    let zero = Tensor(0).converted(to: dtype)
    let zeros = Tensor([1, 0, 2]).converted(to: dtype)
    for division in integerDivisions {
      for (kind, divisor) in [("number", 0 as any TensorOrScalar), ("0-d", zero), ("elements", zeros)] {
        let eager = division.ours(x, divisor)
        #expect(eager.failure?.kind == .numerics, "\(division.name), \(kind) of \(dtype)")
        let constant = compile { (x: Tensor) in division.ours(x, divisor) }
        #expect(throws: Diagnostic.self, "\(division.name), \(kind) of \(dtype), compiled") { try constant(x) }
        let part = compile { (x: Tensor) in division.ours(x + x, divisor) * 0 + x }
        #expect(throws: Diagnostic.self, "\(division.name), \(kind) of \(dtype), inside") { try part(x) }
      }
      let traced = compile { (x: Tensor, y: Tensor) in division.ours(x, y) }
      #expect(throws: Diagnostic.self, "\(division.name), traced, \(dtype)") { try traced(x, zeros) }
      #expect(throws: Diagnostic.self, "\(division.name), traced, 0-d \(dtype)") { try traced(x, zero) }
    }
  }
}
