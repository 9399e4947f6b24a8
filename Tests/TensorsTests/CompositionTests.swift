// Operations that are several launches: between them nothing may be rounded to a half type, and no integer may wrap.
// Not operations of one launch, which compute in f32 anyway. Surprise: what is expected is the same operation in f64 on the
// same numbers, so the result may differ from it by its own rounding only.
import Capture
import TensorTypes
import Tensors
import TestSupport
import Testing

private struct Composition: Sendable {
  let name: String
  /// Of the spacing of the largest result.
  var tolerance = 0.51
  /// Whether integers are taken, too.
  var takesIntegers = true
  let shape: [Int]
  let run: @Sendable (Tensor) -> Tensor
}

private let compositions: [Composition] = [
  .init(name: "trapezoids", shape: [3, 40]) { $0.trapezoids() },
  .init(name: "trapezoids by columns", shape: [40, 3]) { $0.trapezoids(step: 0.3, 0) },
  .init(name: "trapezoids at places", shape: [2, 40]) {
    $0.trapezoids(at: (Tensor.arange(40, dtype: .i64) % 7).converted(to: $0.dtype))
  },
  .init(name: "cumulative trapezoids", shape: [3, 40]) { $0.cumulativeTrapezoids() },
  .init(name: "covariance", shape: [3, 300]) { $0.covariance() },
  .init(name: "covariance of one", shape: [300]) { $0.covariance() },
  .init(name: "weighted covariance", shape: [3, 50]) { $0.covariance(weights: $0[0].abs()) },
  .init(name: "correlation", shape: [3, 300]) { $0.correlation() },
  .init(name: "many bins", tolerance: 0, shape: [500]) { $0.histogram(bins: 700) },
  .init(name: "few bins", tolerance: 0, shape: [20, 5]) { $0.histogram(bins: 49, low: -3, high: 260) },
  .init(name: "response norm", shape: [2, 7, 3]) { $0.localResponseNorm(3, alpha: 1) },
  .init(name: "linear", takesIntegers: false, shape: [1, 2, 9]) { $0.interpolated(size: 17, mode: .linear) },
  .init(name: "bilinear", takesIntegers: false, shape: [1, 2, 5, 7]) { $0.interpolated(size: [13, 9], mode: .linear) },
  .init(name: "trilinear", takesIntegers: false, shape: [1, 2, 3, 5, 4]) {
    $0.interpolated(scale: [2.3], mode: .linear, alignsCorners: true)
  },
  .init(name: "bicubic", takesIntegers: false, shape: [1, 2, 5, 7]) { $0.interpolated(size: [13, 9], mode: .cubic) },
  // What is multiplied and squared was rounded before: losses of classes are two layers in PyTorch, too.
  .init(name: "mean of many losses", tolerance: 1.5, takesIntegers: false, shape: [70_000, 2]) {
    $0.nllLoss(Tensor.zeros([$0.shape[0]], dtype: .i64))
  },
  .init(name: "cross entropy of many", tolerance: 1.5, takesIntegers: false, shape: [70_000, 2]) {
    ($0 * 0.01).crossEntropy(Tensor.zeros([$0.shape[0]], dtype: .i64))
  },
]

/// Largest, and how far apart the numbers below it are, of the dtype that a result has.
private func spacing(_ values: [Double], _ dtype: DType) -> Double {
  let largest = values.map(\.magnitude).max() ?? 0
  let digits: [DType: Int] = [.f16: 10, .bf16: 7, .f32: 23, .f64: 52]
  return largest == 0 ? 0 : Double(sign: .plus, exponent: largest.exponent - (digits[dtype] ?? 60), significand: 1)
}

@Suite struct CompositionTests {
  @Test(.needs(.speedOrTime), arguments: [DType.f16, .bf16, .u8, .i8, .i16])
  func results_of_several_launches_are_rounded_once(_ dtype: DType) throws {
    for composition in compositions where composition.takesIntegers || dtype.isFloating {
      let count = composition.shape.reduce(1, *)
      // Squares of 260 are beyond f16, sums of two beyond u8 and i8.
      let numbers = (0..<count).map { i in
        let x = Double(i * 7919 % 263) * (i % 3 == 0 ? 1 : 0.37) - 2
        return dtype.isFloating ? x : dtype == .i8 ? Double(Int(x) % 128) : Double(abs(Int(x)) % 256)
      }
      let x = Tensor(numbers, shape: composition.shape).converted(to: dtype)
      let expected = try composition.run(x.converted(to: .f64)).array(as: Double.self)
      let compiled = compile { (x: Tensor) in composition.run(x) }
      for (way, result) in [("eager", composition.run(x)), ("compiled", try compiled(x))] {
        let found = try result.array(as: Double.self)
        #expect(found.count == expected.count)
        let allowed = composition.tolerance * spacing(expected, result.dtype)
        for (i, (a, b)) in zip(found, expected).enumerated() where !(abs(a - b) <= allowed) {
          Issue.record("\(composition.name) of \(dtype), \(way): [\(i)] is \(a), not \(b)")
          break
        }
      }
    }
  }
}
