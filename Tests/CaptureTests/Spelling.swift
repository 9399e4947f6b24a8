// One computation as users write it by hand, and how many kernels it may become: what the spelling tests share.
// Not the tests. Surprise: small kernels become one where sizes are known, so that the number of temporaries, which is exact,
// says more than the number of kernels, which is a limit.
import Basics
import Capture
import TensorTypes
import Tensors
import Testing

struct Spelling: Sendable, CustomTestStringConvertible {
  var name: String
  var kernels: Int
  var temporaries: Int
  var shapes: [[Int]]
  var dtype: DType
  var tolerance: Double
  var function: @Sendable ([Tensor]) -> Tensor

  init(
    _ name: String, _ shapes: [[Int]], kernels: Int = 1, temporaries: Int = 0, dtype: DType = .f32,
    within tolerance: Double = 1e-5, _ function: @escaping @Sendable ([Tensor]) -> Tensor
  ) {
    (self.name, self.shapes, self.kernels, self.temporaries) = (name, shapes, kernels, temporaries)
    (self.dtype, self.tolerance, self.function) = (dtype, tolerance, function)
  }

  var testDescription: String { name }

  /// Compiles it, compares it with itself run eagerly, and holds the number of its kernels against the limit.
  func check(_ dynamic: DynamicShapes) throws {
    let f = compile(mode: .whole, dynamic: dynamic) { [function] (x: [Tensor]) in function(x) }
    let operands = shapes.enumerated().map { i, shape in Self.numbers(shape, seed: i + 1).converted(to: dtype) }
    let (made, eager) = (try f(operands), function(operands))
    #expect(made.dtype == eager.dtype && made.shape == eager.shape)
    let (a, b) = (
      try made.converted(to: .f64).array(as: Double.self), try eager.converted(to: .f64).array(as: Double.self)
    )
    let isSame = zip(a, b).allSatisfy {
      $0 == $1 || ($0.isNaN && $1.isNaN) || abs($0 - $1) <= tolerance * (1 + abs($1))
    }
    #expect(isSame, "\(name): \(a.prefix(6)) \(b.prefix(6))")
    let explanation = f.explain()
    let segment = try #require(explanation.segments.first)
    #expect(segment.kernels.count <= kernels && segment.temporaries == temporaries, "\(explanation)")
  }

  private static func numbers(_ shape: [Int], seed: Int) -> Tensor {
    let count = shape.reduce(1, *)
    return Tensor((0..<count).map { Float(($0 * 37 + $0 / 7 * 5 + seed * 11) % 41 - 20) * 0.05 }, shape: shape)
  }
}
