// Random chains of products, softmaxes, norms, reductions and transposes: fusion never refuses one, and what it makes of it
// is what single operations give. Not all operations: `azulejo fuzz` draws those. Surprise: operands are few and square, so
// that chains share them and patterns overlap.
import Basics
import Capture
import TensorTypes
import Tensors
import TestSupport
import Testing

private struct Draw {
  var state: UInt64
  mutating func callAsFunction(_ count: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int((state >> 33) % UInt64(count))
  }
}

private func numbers(_ extents: [Int], _ seed: Int) -> Tensor {
  Tensor((0..<extents.reduce(1, *)).map { Float(($0 * 37 + seed * 11) % 17 - 8) * 0.1 }, shape: extents)
}

private let size = 6
private let inputs = [numbers([size, size], 1), numbers([size, size], 2), numbers([2, size, size], 3)]

/// A value made from those so far; older ones are drawn now and then, so that chains meet again.
private func chain(_ inputs: [Tensor], seed: Int, steps: Int) -> [Tensor] {
  var draw = Draw(state: UInt64(seed) &* 77 &+ 5)
  var values = inputs
  func operand() -> Tensor { draw(2) == 0 ? values[values.count - 1] : values[draw(values.count)] }
  for _ in 0..<steps {
    let x = operand()
    let made: Tensor =
      switch draw(12) {
      case 0, 1, 2: x.matmul(operand())
      case 3: x.matmul(x.transposed())
      case 4, 5, 6: (x * 0.5).softmax(-1)
      case 7: x.softmax(-2)
      case 8: x.layerNorm([Dim(size)])
      case 9: x - x.mean(-1, keepDims: true)
      case 10: x.transposed()
      case _: (x + operand()).tanh()
      }
    values.append(made)
  }
  // One result, or an inner one too.
  return draw(3) == 0 ? [values[values.count - 1], operand()] : [values[values.count - 1]]
}

private func expectFuses(
  _ note: String, _ inputs: [Tensor], _ f: @escaping @Sendable ([Tensor]) throws -> [Tensor]
) throws {
  let fused = compile { (x: [Tensor]) in try f(x) }
  let plain = compile(fuses: false) { (x: [Tensor]) in try f(x) }
  let (a, b) = (try fused(inputs), try plain(inputs))
  for (a, b) in zip(a, b) {
    #expect(a.shape == b.shape, "\(note)")
    let pairs = try zip(a.array(as: Float.self), b.array(as: Float.self))
    #expect(pairs.allSatisfy { abs($0 - $1) <= 2e-4 * (1 + abs($1)) }, "\(note): \(a) \(b)")
  }
  #expect(!"\(fused.explain())".contains("fusion failed"), "\(note): \(fused.explain())")
}

@Test(.needs(.time)) func a_product_of_weights_that_are_a_softmax_of_such_a_product_is_computed() throws {
  let (a, b) = (inputs[0], inputs[1])
  let chains: [@Sendable (Tensor, Tensor, Tensor) -> Tensor] = [
    { x, a, b in x.matmul(a).softmax().matmul(b).softmax().matmul(a) },
    { x, a, b in x.matmul(a).softmax().matmul(b).softmax().matmul(a).softmax().matmul(b) },
    { x, a, b in x.matmul(a).softmax().matmul(b).transposed().softmax().matmul(a) },
    { x, a, b in a.matmul(x.matmul(a).transposed().softmax(-2)).softmax().matmul(b) },
    { x, a, b in x.matmul(x.matmul(a).softmax().matmul(b)).softmax().matmul(x.matmul(a).softmax().matmul(b)) },
    { x, a, b in (x.matmul(a).softmax().matmul(b) * 2 + x).softmax().matmul(b) },
  ]
  for (i, chain) in chains.enumerated() {
    try expectFuses("chain \(i)", [b, a, b]) { [chain($0[0], $0[1], $0[2])] }
    try expectFuses("batched chain \(i)", [inputs[2], a, b]) { [chain($0[0], $0[1], $0[2])] }
  }
}

@Test(arguments: 0..<48) func chains_of_products_and_softmaxes_are_fused_rightly(_ seed: Int) throws {
  try expectFuses("seed \(seed)", inputs) { chain($0, seed: seed, steps: 4 + seed % 9) }
}
