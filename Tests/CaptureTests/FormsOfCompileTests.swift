// Every form in which a compiled function is stored, returned and passed type-checks, and is the function.
// Not what Swift refuses. Surprise: that this file compiles is most of the test; each form of Swift's `compile { }` has an
// overload for one argument, since a lone type is no pack.
import Capture
import TensorTypes
import Tensors
import Testing

private struct Box: Tree {
  var a: Tensor
  mutating func visit(_ v: inout Visitor) { v("a", &a) }
}

// stored with a type
private let f1: Compiled<Stateless, Tensor, Tensor> = compile { (x: Tensor) in x * 2 }
private let f1b: Compiled<Stateless, Tensor, Tensor> = compile { $0 * 2 }
private let f1c: Compiled<Stateless, Tensor, Tensor> = compile { x in
  let y = x * 2
  return y + 1
}
private let f2: Compiled<Stateless, (Tensor, Tensor), Tensor> = compile { (x: Tensor, y: Tensor) in x * y }
private let f3: Compiled<Stateless, (Tensor, Tensor, Dim), Tensor> = compile { (x: Tensor, y: Tensor, n: Dim) in x * y }
private let f0: Compiled<Stateless, (), Tensor> = compile { Tensor(Float(1)) }
private let g1: Compiled<Stateless, Tensor, (Tensor, Tensor)> = compile { (x: Tensor) in (x, x * 2) }
private let g2: Compiled<Stateless, (Tensor, Tensor), (Tensor, Tensor)> = compile { (x: Tensor, y: Tensor) in (x, y) }
private let v1: Compiled<Stateless, Tensor, Void> = compile { (x: Tensor) in x.print("x") }
private let v1b: Compiled<Stateless, Tensor, ()> = compile { (x: Tensor) -> Void in x.print("x") }
private let v2: Compiled<Stateless, (Tensor, Tensor), Void> = compile { (x: Tensor, y: Tensor) in x.print("x") }
private let s0: Compiled<Box, (), Tensor> = compile(updating: Box.self) { (s: inout Box) in s.a }
private let s0v: Compiled<Box, (), Void> = compile(updating: Box.self) { (s: inout Box) in s.a = s.a + 1 }
private let s1: Compiled<Box, Tensor, Tensor> = compile(updating: Box.self) { (s: inout Box, x: Tensor) in s.a + x }
private let s1v: Compiled<Box, Tensor, Void> = compile(updating: Box.self) { (s: inout Box, x: Tensor) in s.a = s.a + x
}
private let s1t: Compiled<Box, Tensor, (Tensor, Tensor)> = compile(updating: Box.self) { (s: inout Box, x: Tensor) in
  (s.a, x)
}
private let s2: Compiled<Box, (Tensor, Tensor), Tensor> = compile(updating: Box.self) {
  (s: inout Box, x: Tensor, y: Tensor) in s.a + x
}
// inferred
private let i1 = compile { (x: Tensor) in x * 2 }
private let i1t = compile { (x: Tensor) in (x, x) }
private let i1v = compile { (x: Tensor) in x.print("x") }
private let i0 = compile { Tensor(Float(1)) }
private let ia = compile { (x: [Tensor]) in x[0] }
private let it1 = compile { (x: Tensor) throws -> Tensor in
  if try x.item(as: Bool.self) { return x }
  return x * 2
}
private let im = compile(mode: .whole, dynamic: .axes(["0": [0]])) { (m: Box) in m.a }
private let is1 = compile(updating: Box.self) { (s: inout Box, x: Tensor) in s.a + x }
private let is1v = compile(updating: Box.self) { (s: inout Box, x: Tensor) in s.a = s.a + x }
private let is0 = compile(updating: Box.self) { (s: inout Box) in s.a = s.a + 1 }
private let is2t = compile(updating: Box.self, mode: .whole) { (s: inout Box, x: Tensor, n: Dim) in (s.a, x) }
// returned
private func make() -> Compiled<Stateless, Tensor, Tensor> { compile { (x: Tensor) in x * 2 } }
private func make2() -> Compiled<Stateless, (Tensor, Tensor), Tensor> { compile { (x: Tensor, y: Tensor) in x * y } }
private func makeS() -> Compiled<Box, Tensor, Tensor> {
  compile(updating: Box.self) { (s: inout Box, x: Tensor) in s.a + x }
}
private func makeF(_ k: Float) -> Compiled<Stateless, Tensor, Tensor> { compile(fuses: false) { x in x * k } }
private func makeG<T: Tree>(_ t: T.Type, _ f: @escaping @Sendable (T) throws -> Tensor) -> Compiled<
  Stateless, T, Tensor
> { compile(f) }
@Sendable private func named(_ x: Tensor) -> Tensor { x * 2 }
@Sendable private func named2(_ x: Tensor, _ y: Tensor) -> Tensor { x * y }
private let n1: Compiled<Stateless, Tensor, Tensor> = compile(named)
private let n1i = compile(named)
private let n2i = compile(named2)
// properties, passed, optional, arrays
private struct Runner {
  let forward: Compiled<Stateless, Tensor, Tensor>
  var both: Compiled<Stateless, (Tensor, Tensor), (Tensor, Tensor)>
  var maybe: Compiled<Box, Tensor, Void>?
  init() {
    forward = compile { (x: Tensor) in x * 2 }
    both = compile { (x: Tensor, y: Tensor) in (x, y) }
    maybe = compile(updating: Box.self) { (s: inout Box, x: Tensor) in s.a = x }
  }
  func run(_ x: Tensor) throws -> Tensor { try forward(x) }
}
private func take(_ f: Compiled<Stateless, Tensor, Tensor>, _ x: Tensor) throws -> Tensor { try f(x) }
private func take2(_ f: Compiled<Stateless, (Tensor, Tensor), Tensor>, _ x: Tensor) throws -> Tensor { try f(x, x) }
private func takeS(_ f: Compiled<Box, Tensor, Void>, _ s: inout Box, _ x: Tensor) throws { try f(&s, x) }
@Test func compiled_functions_are_stored_returned_and_passed() throws {
  let x = Tensor([1, 2] as [Float])
  _ = try take(compile { (x: Tensor) in x * 2 }, x)
  _ = try take(compile { $0 * 2 }, x)
  _ = try take2(compile { (x: Tensor, y: Tensor) in x * y }, x)
  _ = try f1(x)
  let (a, b) = try g1(x)
  _ = (a, b)
  try v1(x)
  var s = Box(a: x)
  try s0v(&s)
  _ = try s1(&s, x)
  try takeS(s1v, &s, x)
  let many: [Compiled<Stateless, Tensor, Tensor>] = [
    compile { (x: Tensor) in x * 2 }, compile { (x: Tensor) in x * 3 }, make(),
  ]
  _ = try many.map { try $0(x) }
  let table: [String: Compiled<Stateless, Tensor, Tensor>] = ["a": compile { (x: Tensor) in x * 2 }]
  _ = try table["a"]?(x)
  #expect(try many.map { try $0(x).array(as: Float.self)[1] } == [4, 6, 4])
  let (p, q) = try g2(x, x * 3)
  #expect(try (p + q).array(as: Float.self) == [4, 8])
  #expect(try f2(x, x).array(as: Float.self) == [1, 4] && f3(x, x, 2).array(as: Float.self) == [1, 4])
  #expect(try f0().item(as: Float.self) == 1 && i0().item(as: Float.self) == 1)
  #expect(try s.a.array(as: Float.self) == [3, 5] && s1(&s, x).array(as: Float.self) == [4, 7])
  #expect(try n1(x).array(as: Float.self) == n1i(x).array(as: Float.self) && n2i(x, x).array(as: Float.self) == [1, 4])
  let runner = Runner()
  #expect(try runner.run(x).array(as: Float.self) == [2, 4] && makeF(3)(x).array(as: Float.self) == [3, 6])
  #expect(try makeG(Box.self) { $0.a }(Box(a: x)).array(as: Float.self) == [1, 2])
  let closure: @Sendable (Tensor) throws -> Tensor = { try f1($0) }
  _ = try closure(x)
}
@Test func compiled_functions_are_called_where_they_are_made() throws {
  let x = Tensor([1, 2] as [Float])
  #expect(try compile { (x: Tensor) in x * 2 }(x).array(as: Float.self) == [2, 4])
  let typed: Tensor = try compile(mode: .whole) { (x: Tensor) in x * 2 }(x)
  let two = try compile { (x: Tensor, y: Tensor) in x + y }(x, typed)
  let (a, b) = try compile { (x: Tensor) in (x * 2, x) }(x)
  let (c, d): (Tensor, Tensor) = try compile { (x: Tensor, y: Tensor) in (x + y, y) }(x, x)
  let parts = try compile { (x: [Tensor], n: Dim) in x[0][0..<n] }([two], 1)
  #expect(try parts.array(as: Float.self) == [3] && (a + b + c + d).array(as: Float.self) == [6, 12])
  #expect(try compile { Tensor(Float(1)) }().item(as: Float.self) == 1)
  #expect(try compile(named)(x).array(as: Float.self) == [2, 4])
  #expect(try compile { (x: Tensor?) in x.map { $0 * 3 } }(x)?.array(as: Float.self) == [3, 6])
  #expect(try compile { (x: Tensor) -> [String: Tensor] in ["a": x] }(x)["a"]?.array(as: Float.self) == [1, 2])
  var s = Box(a: x)
  try compile(updating: Box.self) { (s: inout Box) in s.a += 1 }(&s)
  try compile(updating: Box.self) { (s: inout Box, x: Tensor) in s.a += x }(&s, x)
  let e = try compile(updating: Box.self) { (s: inout Box, x: Tensor) in s.a * x }(&s, x)
  let (f, g) = try compile(updating: Box.self) { (s: inout Box, x: Tensor) in (s.a, x) }(&s, x)
  #expect(try e.array(as: Float.self) == [3, 10] && (f + g).array(as: Float.self) == [4, 7])
}
private enum Names {
  static let f = compile { (x: Tensor) in x * 2 };
  static let g: Compiled<Stateless, Tensor, Tensor> = compile { (x: Tensor) in x * 2 }
}
