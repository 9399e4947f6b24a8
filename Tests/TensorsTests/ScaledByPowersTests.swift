// `ldexp` wherever the result is a number, though the power alone is none: rounded once, as libm does.
// Not other functions. Surprise: results below the smallest normal number are the test; a product of two powers rounds
// them twice.
import Capture
import Foundation
import TensorTypes
import Tensors
import Testing

@Suite struct ScaledByPowersTests {
  /// Numbers from the smallest to the largest, with many digits and with few, and what scales them to every place.
  private func cases(lowest: Int, highest: Int, digits: Int) -> (numbers: [Double], exponents: [Int]) {
    var numbers: [Double] = [0, -0.0, .infinity, -.infinity]
    for significand in [1, 1.5, 1 + 0x1p-10, 2 - Double(sign: .plus, exponent: 1 - digits, significand: 1)] {
      for exponent in [lowest - digits + 1, lowest - 3, lowest, lowest / 2, -60, -1, 0, 1, highest / 2, highest] {
        numbers += [1, -1].map { $0 * scalbn(significand, exponent) }
      }
    }
    let span = highest - lowest + digits
    let places = [
      0, 1, digits, highest / 2, highest - 1, highest, highest + 1, highest + 2, 2 * highest, span - 1, span, span + 1,
      3 * highest, 100_000,
    ]
    return (numbers, places.flatMap { [$0, -$0, $0 + 7, -$0 - 7] })
  }

  private func found(_ x: Tensor, _ exponents: Tensor) throws -> [[Double]] {
    let compiled = compile { (x: Tensor, n: Tensor) in x.ldexp(n) }
    return try [x.ldexp(exponents), compiled(x, exponents)].map {
      try $0.converted(to: .f64).flattened().array(as: Double.self)
    }
  }

  @Test(arguments: [DType.f32, .f64, .f16, .bf16])
  func results_are_rounded_once(_ dtype: DType) throws {
    let (numbers, exponents) =
      switch dtype {
      case .f64: cases(lowest: -1022, highest: 1023, digits: 53)
      case .f16: cases(lowest: -14, highest: 15, digits: 11)
      case .bf16: cases(lowest: -126, highest: 127, digits: 8)
      default: cases(lowest: -126, highest: 127, digits: 24)
      }
    let x = Tensor(numbers).converted(to: dtype).unsqueezed(1)
    let held = try x.flattened().array(as: Double.self)
    // Double holds every product of the narrower ones, whose conversion rounds once.
    let products = held.flatMap { x in exponents.map { scalbn(x, $0) } }
    let right = try Tensor(products).converted(to: dtype).array(as: Double.self)
    for result in try found(x, Tensor(exponents.map(Int64.init))) {
      for (i, (a, b)) in zip(result, right).enumerated() {
        let (x, n) = (held[i / exponents.count], exponents[i % exponents.count])
        #expect(a.bitPattern == b.bitPattern, "\(dtype): \(x) times 2^\(n) is \(a), not \(b)")
      }
    }
  }

  @Test func infinite_exponents_are_limits() throws {
    let x = Tensor([0, 1, Float.infinity, 1, -1, Float.nan, 1])
    let n = Tensor([Float.infinity, .infinity, -.infinity, -.infinity, .infinity, 3, .nan])
    for result in try found(x, n) {
      #expect(result.map(\.isNaN) == [true, false, true, false, false, true, true])
      #expect(result[1] == .infinity && result[3] == 0 && result[4] == -.infinity)
    }
  }

  @Test func exponents_may_be_broken() throws {
    for result in try found(Tensor([1, 1, 3] as [Float]), Tensor([0.5, -140.5, 128.5] as [Float])) {
      #expect(abs(result[0] - 2.0.squareRoot()) < 1e-6 && result[2] == .infinity)
      #expect(abs(result[1] - 0x1p-141 * 2.0.squareRoot()) <= 0x1p-149)
    }
  }
}
