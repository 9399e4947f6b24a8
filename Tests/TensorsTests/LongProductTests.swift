// Products over long inner extents: errors must be those of a blocked sum, not grow with what is summed, in whatever form
// and by whatever kernel. Not LongRowTests, which are of reductions. Surprise: operands repeat after 35 elements, so that
// what is right is known in Double without adding up a million products.
import Capture
import Engine
import Foundation
import TensorTypes
import Tensors
import TestSupport
import Testing

/// Two rows whose products are all positive, and what the sum of these is, in f64.
private struct Rows {
  static let period = 35
  let left: Tensor
  let right: Tensor
  let sum: Double

  init(_ count: Int, _ dtype: DType) throws {
    func row(_ element: (Int) -> Double) throws -> (Tensor, [Double]) {
      let piece = Tensor((0..<Self.period).map(element)).converted(to: dtype)
      let rows = (count + Self.period - 1) / Self.period
      let whole = piece.expanded([Dim(rows), Dim(Self.period)]).reshaped(Dim(rows * Self.period))
      return (whole[0..<count] + 0, try piece.array(as: Double.self))
    }
    let (a, x) = try row { 0.1 + 0.013 * Double($0 % 7) }
    let (b, y) = try row { 0.1 - 0.0077 * Double($0 % 5) }
    (left, right) = (a, b)
    let products = zip(x, y).map { $0 * $1 }
    sum =
      products.reduce(0, +) * Double(count / Self.period) + products.prefix(count % Self.period).reduce(0, +)
  }
}

/// A form of product of m equal rows with n equal columns: every element is the product of the two rows.
private struct Form: Sendable {
  let name: String
  let product: @Sendable (_ a: Tensor, _ b: Tensor, _ m: Int, _ n: Int) -> Tensor

  init(_ name: String, _ product: @escaping @Sendable (Tensor, Tensor, Int, Int) -> Tensor) {
    (self.name, self.product) = (name, product)
  }
}

/// [count, k] and [k, count] in memory.
private func rows(_ x: Tensor, _ count: Int) -> Tensor { Tensor.stacked([Tensor](repeating: x, count: count)) }
private func columns(_ x: Tensor, _ count: Int) -> Tensor {
  Tensor.stacked([Tensor](repeating: x, count: count), axis: 1)
}

private let forms = [
  Form("matmul") { a, b, m, n in rows(a, m).matmul(columns(b, n)) },
  Form("right transposed") { a, b, m, n in rows(a, m).matmul(rows(b, n).transposed()) },
  Form("left transposed") { a, b, m, n in columns(a, m).transposed().matmul(columns(b, n)) },
  Form("both transposed") { a, b, m, n in columns(a, m).transposed().matmul(rows(b, n).transposed()) },
  Form("linear") { a, b, m, n in rows(a, m).linear(weight: rows(b, n)) },
  Form("batched") { a, b, m, n in
    rows(a, m).expanded([2, Dim(m), a.shape[0]]).matmul(columns(b, n).expanded([2, a.shape[0], Dim(n)]))
  },
  Form("einsum over two axes") { a, b, m, n in
    Tensor.einsum("mab,nab->mn", rows(a, m).unflattened(1, [-1, 5]), rows(b, n).unflattened(1, [-1, 5]))
  },
  Form("addmm") { a, b, m, n in
    Tensor.zeros(Dim(m), Dim(n), dtype: a.dtype).addmm(rows(a, m), columns(b, n))
  },
  Form("baddbmm") { a, b, m, n in
    Tensor.zeros(1, Dim(m), Dim(n), dtype: a.dtype).baddbmm(rows(a, m).unsqueezed(0), columns(b, n).unsqueezed(0))
  },
  Form("conv1d") { a, b, m, n in
    // Places of the window are columns.
    Tensor.stacked([a] + [Tensor](repeating: a, count: n - 1)).unsqueezed(2).conv1d(rows(b, m).unsqueezed(2))
  },
  Form("conv1d of two places") { a, b, m, n in
    let piece = a.unflattened(0, [5, -1])
    return Tensor.concatenated([piece, piece[0..., 0..<1]], axis: 1)[.newAxis]
      .conv1d(rows(b.unflattened(0, [5, -1]), m))[0..., 0..., 0]
  },
  Form("conv2d") { a, b, m, n in
    rows(a, n).unflattened(1, [-1, 5, 1]).conv2d(rows(b, m).unflattened(1, [-1, 5, 1]))
  },
]

/// Parts of the result; of f32 what a sum of five hundred may be off by.
private func tolerance(_ dtype: DType) -> Double {
  switch dtype {
  case .f64: 1e-5 * 0x1p-29
  case .f16: 0x1p-11
  case .bf16: 0x1p-8
  default: 1e-5
  }
}

@Suite(.needs(.speed, .time)) struct LongProductTests {
  private func check(_ form: Form, _ k: Int, _ m: Int, _ n: Int, _ dtype: DType, dynamic: DynamicShapes) throws {
    let operands = try Rows(k, dtype)
    let compiled = compile(dynamic: dynamic) { (a: Tensor, b: Tensor) in form.product(a, b, m, n) }
    let results = [
      "eager": form.product(operands.left, operands.right, m, n),
      "compiled": try compiled(operands.left, operands.right),
    ]
    for (way, result) in results {
      let found = try result.converted(to: .f64).flattened().array(as: Double.self)
      let worst = found.map { abs($0 - operands.sum) / operands.sum }.max() ?? .infinity
      #expect(worst <= tolerance(dtype), "\(form.name) \(dtype) k \(k), \(m) by \(n), \(way): off by \(worst)")
    }
  }

  @Test(arguments: forms.indices)
  func errors_do_not_grow_with_the_inner_extent(_ form: Int) throws {
    for (k, m, n) in [(1000, 2, 3), (1000, 20, 40), (20_000, 20, 40), (250_000, 2, 3), (1_000_000, 2, 3)] {
      try check(forms[form], k, m, n, .f32, dynamic: k == 1000 ? .all : .automatic)
    }
    try check(forms[form], 250_000, 2, 3, .f32, dynamic: .all)
    try check(forms[form], 100_000, 3, 2, .f64, dynamic: .all)
  }

  @Test(arguments: forms.indices)
  func halves_are_rounded_once(_ form: Int) throws {
    for dtype in [DType.f16, .bf16] { try check(forms[form], 100_000, 2, 20, dtype, dynamic: .automatic) }
  }
}
