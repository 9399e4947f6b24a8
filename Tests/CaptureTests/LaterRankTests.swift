// Later calls of one compiled function with other ranks, dtypes and sizes of several arguments at once, and back.
// Not one size alone: that is in CompileTests. Surprise: an argument whose extent changed may stand before one whose rank did.
import Capture
import TensorTypes
import Tensors
import Testing

private func numbers(_ extents: [Int], _ dtype: DType) -> Tensor {
  Tensor((0..<extents.reduce(1, *)).map { $0 % 5 }, shape: extents).converted(to: dtype)
}

@Test(arguments: [false, true]) func every_pair_of_forms_follows_every_other(isDynamic: Bool) throws {
  let forms: [([Int], DType)] = [
    ([], .f32), ([0], .f32), ([3], .f32), ([4], .f32), ([2, 2], .f32), ([4], .i32),
  ]
  let f = compile(dynamic: isDynamic ? .all : .automatic, maxRecompiles: 200) { (x: Tensor, y: Tensor) in
    (x.sum(), y.sum(), x * 2)
  }
  let pairs = forms.indices.flatMap { i in forms.indices.map { (forms[i], forms[$0]) } }
  for (a, b) in pairs + pairs.reversed() {
    let (x, y) = (numbers(a.0, a.1), numbers(b.0, b.1))
    let (s, t, z) = try f(x, y)
    #expect(s.dtype == x.sum().dtype && z.dtype == (x * 2).dtype && z.shape == x.shape, "\(a) \(b)")
    #expect(try s.item(as: Float.self) == x.sum().item(as: Float.self), "\(a) \(b)")
    #expect(try t.item(as: Float.self) == y.sum().item(as: Float.self), "\(a) \(b)")
    #expect(try z.array(as: Float.self) == (x * 2).array(as: Float.self), "\(a) \(b)")
  }
}
