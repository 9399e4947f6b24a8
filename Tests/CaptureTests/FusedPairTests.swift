// What is fused into one kernel equals what is run operation by operation, bit for bit: each function of one operand
// followed by each question about its result, at the numbers where optimisers have rules of their own.
// Surprise: eagerly every operation is a kernel, so nothing between two of them can be simplified; that is the oracle.
import Capture
import TensorTypes
import Tensors
import TestSupport
import Testing

/// Functions of `x` that optimisers know something about.
private func firsts(_ x: Tensor) -> [(name: String, result: Tensor)] {
  let (zero, minusOne): (Double, Double) = (0, -1)
  var all: [(name: String, result: Tensor)] = []
  func add(_ name: String, _ result: Tensor) { all.append((name, result)) }
  add("x", x)
  add("-x", -x)
  add("abs", x.abs())
  add("-abs", -x.abs())
  add("relu", x.relu())
  add("sqrt", x.sqrt())
  add("x * -1", x * minusOne)
  add("0 - x", zero - x)
  add("max(x, -x)", x.maximum(-x))
  add("min(x, -x)", x.minimum(-x))
  add("x < 0 ? -x : x", Tensor.select(x < zero, -x, x))
  add("x > 0 ? x : -x", Tensor.select(x > zero, x, -x))
  add("isNaN ? 0 : x", Tensor.select(x.isNaN(), zero, x))
  return all
}

private let constants: [Double] = [0, -0.0, .infinity, -.infinity, .nan, 0x1p-126]

/// What is asked of `f`, a function of `x`.
private func questions(_ f: Tensor, _ x: Tensor, _ c: Double) -> [(name: String, result: Tensor)] {
  let above: Tensor = f > c
  let below: Tensor = f < c
  let notBelow: Tensor = f >= c
  let notAbove: Tensor = f <= c
  let isEqual: Tensor = f .== c
  let isOther: Tensor = f .!= c
  let startsAbove: Tensor = x > c
  let startsBelow: Tensor = x < c
  let startsEqual: Tensor = x .== c
  let larger = Tensor.select(above, f, c)
  var all: [(name: String, result: Tensor)] = []
  func ask(_ name: String, _ result: Tensor) { all.append((name, result)) }
  ask("max(f, \(c))", f.maximum(c))
  ask("min(f, \(c))", f.minimum(c))
  ask("f > \(c) ? f : \(c)", larger)
  ask("f > \(c) ? \(c) : f", Tensor.select(above, c, f))
  ask("f < \(c) ? f : \(c)", Tensor.select(below, f, c))
  ask("f >= \(c) ? f : x", Tensor.select(notBelow, f, x))
  ask("f <= \(c) ? x : f", Tensor.select(notAbove, x, f))
  ask("f == \(c) ? f : x", Tensor.select(isEqual, f, x))
  ask("f != \(c) ? f : \(c)", Tensor.select(isOther, f, c))
  ask("isNaN(x) ? f : f > \(c) ? f : \(c)", Tensor.select(x.isNaN(), f, larger))
  ask("isNaN(f) or f > \(c) ? f : x", Tensor.select(f.isNaN() | above, f, x))
  ask("x > \(c) and f > \(c) ? f : \(c)", Tensor.select(startsAbove & above, f, c))
  ask("x == \(c) or f > \(c) ? f : \(c)", Tensor.select(startsEqual | above, f, c))
  ask("x < \(c) ? f : f > \(c) ? f : \(c)", Tensor.select(startsBelow, f, larger))
  ask("clamp", f.clamped(c, 1.0))
  return all
}

private let places: [Double] = [
  0, -0.0, 1, -1, 2.5, -2.5, 3, -3, 0.5, -0.5, .infinity, -.infinity, .nan, 0x1p-126, -0x1p-126, 0x1p-149, -0x1p-149,
  1e-3,
  3e38, -3e38, 7, -7,
]

/// Vectors and single elements are other code: LLVM has rules of its own for either.
@Test(.needs(.time), arguments: [(DType.f32, constants, false), (.f16, [0], true)])
func pairs_in_one_kernel_equal_pairs_of_kernels(_ dtype: DType, _ constants: [Double], isSingle: Bool) throws {
  let all = Tensor(places).converted(to: dtype)
  let parts = isSingle ? [0, 2, 3, 11, 12, 15].map { all[$0] } : [all]
  for place in firsts(all).indices {
    for constant in constants {
      for number in questions(all, all, constant).indices {
        // A kernel for each: what several results ask is simplified otherwise than what one asks.
        let both = compile { (x: Tensor) in questions(firsts(x)[place].result, x, constant)[number].result }
        for x in parts {
          let (name, first) = firsts(x)[place]
          let (question, eager) = questions(first, x, constant)[number]
          let (a, b) = (try values(both(x)), try values(eager))
          for i in a.indices where !(a[i].isNaN && b[i].isNaN) {
            let what = "\(dtype): \(question), f = \(name), at \(try values(x)[i])"
            #expect(a[i] == b[i] && a[i].sign == b[i].sign, "\(what): \(a[i]), eagerly \(b[i])")
          }
        }
      }
    }
  }
}

private func values(_ x: Tensor) throws -> [Double] { try x.converted(to: .f64).flattened().array(as: Double.self) }
