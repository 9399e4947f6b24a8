// Vision at any image size: convolutions and pooling keep symbolic extents. Not models.
// Surprise: sizes are odd and far apart, so that a number left in the plan gives another shape or another plan.
import Capture
import Tensors
import TensorTypes
import TestSupport
import Testing

private func image(_ batch: Int, _ height: Int, _ width: Int) -> Tensor {
  Tensor(
    (0..<batch * 3 * height * width).map { Float($0 * 7 % 31) * 0.1 - 1.5 }, shape: [batch, 3, height, width])
}

private let weight = Tensor((0..<4 * 3 * 9).map { Float($0 * 5 % 17) * 0.05 - 0.4 }, shape: [4, 3, 3, 3])
private let bias = Tensor([0.1, -0.2, 0.3, 0] as [Float], shape: [4])

@Test(
  .needs(.speedOrTime),
  arguments: [
    "same", "strided", "pooled", "averaged", "dilated",
  ])
func one_plan_serves_images_of_any_size(_ kind: String) throws {
  let net: @Sendable (Tensor) -> Tensor = { x in
    switch kind {
    case "same": x.conv2d(weight, bias: bias, padding: .same).relu()
    case "strided": x.conv2d(weight, bias: bias, stride: 2, padding: 1).relu()
    case "pooled": x.conv2d(weight, padding: 1).relu().maxPool2d(2)
    case "averaged": x.avgPool2d(3, stride: 2, padding: 1).mean(2, 3)
    default: x.conv2d(weight, dilation: 2)
    }
  }
  let f = compile(dynamic: .axes(["0": [0, 2, 3]])) { (x: Tensor) in net(x) }
  for (batch, height, width) in [(2, 8, 12), (3, 9, 14), (2, 17, 6), (5, 11, 33)] {
    let x = image(batch, height, width)
    let (result, wanted) = (try f(x), net(x))
    #expect(result.shape == wanted.shape)
    for (a, b) in zip(try result.array(as: Float.self), try wanted.array(as: Float.self)) {
      // 27 roundings of partial sums up to 16: 3e-5, twice.
      #expect(abs(a - b) <= 1e-4 * max(1, abs(b)))
    }
  }
  #expect(f.planCount == 1, "\(f.explain())")
}
