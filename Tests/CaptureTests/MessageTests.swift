// What a user reads when a compiled function is used in a wrong way: what, where, both values, what to do.
// Not mistakes that Swift refuses: those are in RefusedByTheCompilerTests. Surprise: places are the user's, not ours.
import Basics
import Capture
import TensorTypes
import Tensors
import Testing

private func ones(_ extents: Int...) -> Tensor { Tensor.ones(extents.map { Dim($0) }) }

private func mistake(_ body: () throws -> Void) -> Diagnostic? {
  do { try body() } catch { return error as? Diagnostic }
  return nil
}

private struct Layer: Module {
  var weight: Tensor, bias: Tensor? = nil
  mutating func visit(_ v: inout Visitor) {
    v("weight", &weight)
    v("bias", &bias)
  }
}

/// Its `visit` does not name the bias.
private struct Forgetful: Tree {
  var weight: Tensor, bias: Tensor
  mutating func visit(_ v: inout Visitor) { v("weight", &weight) }
}

private struct Growing: Tree {
  var parts: [Tensor]
  mutating func visit(_ v: inout Visitor) { v("parts", &parts) }
}

@Test func names_in_dynamic_that_are_nobodys_are_errors() throws {
  let f = compile(dynamic: .axes(["1.wieght": [0]])) { (x: Tensor, layer: Layer) in x.matmul(layer.weight) }
  let line: UInt = #line - 1
  let unknown = mistake { _ = try f(ones(2, 3), Layer(weight: ones(3, 4))) }
  #expect(unknown?.message.contains("'1.wieght'") == true)
  #expect(unknown?.remedy?.contains("'1.weight'") == true)
  #expect(unknown?.place?.line == line)
  let far = compile(dynamic: .axes(["0": [2]])) { (x: Tensor) in x * 2 }
  let outside = mistake { _ = try far(ones(2, 3)) }
  #expect(outside?.message.contains("axis 2") == true && outside?.message.contains("[2, 3]") == true)
  let plain = compile(dynamic: .axes(["1": [0]])) { (x: Tensor, k: Int) in x * Double(k) }
  #expect(mistake { _ = try plain(ones(2), 3) }?.message.contains("plain value 3") == true)
  // A member that is not there in this call may be there in the next.
  let absent = compile(dynamic: .axes(["0": [-1], "1.bias": [0]])) { (x: Tensor, layer: Layer) in x.exp() }
  _ = try absent(ones(2, 3), Layer(weight: ones(3)))
  #expect(absent.explain().sizes.contains { $0.name == "axis 1 of '0'" && $0.symbol != nil })
}

@Test func a_member_that_visit_forgets_is_an_error() throws {
  let f = compile { (m: Forgetful, x: Tensor) in x * m.weight + m.bias }
  let forgotten = mistake { _ = try f(Forgetful(weight: ones(2), bias: ones(2)), ones(2)) }
  #expect(forgotten?.message.contains("Forgetful") == true && forgotten?.message.contains("'bias'") == true)
  #expect(forgotten?.remedy?.contains(#"v("bias", &bias)"#) == true)
  let g = compile(updating: Forgetful.self) { (m: inout Forgetful, x: Tensor) in m.bias = m.bias + x }
  var m = Forgetful(weight: ones(2), bias: ones(2))
  #expect(mistake { try g(&m, ones(2)) }?.message.contains("'bias'") == true)
}

@Test func a_collection_of_the_state_that_grows_is_an_error() throws {
  let f = compile(updating: Growing.self) { (s: inout Growing, x: Tensor) in
    s.parts.append(x)
    return x
  }
  let line: UInt = #line - 4
  var s = Growing(parts: [ones(2)])
  let error = mistake { _ = try f(&s, ones(2)) }
  #expect(error?.message.contains("'parts' had 1 member(s), now it has 2") == true)
  #expect(error?.place?.line == line && error?.remedy != nil)
  #expect(s.parts.count == 1)
}

@Test func a_model_that_is_captured_is_told_to_be_frozen() throws {
  let layer = Layer(weight: ones(3, 4))
  let f = compile { (x: Tensor) in x.matmul(layer.weight) }
  _ = try f(ones(2, 3))
  #expect(f.explain().notes.contains { $0.contains("1 tensor(s) of 48 bytes are constants") && $0.contains("pass") })
  let passed = compile { (x: Tensor, layer: Layer) in x.matmul(layer.weight) }
  _ = try passed(ones(2, 3), layer)
  #expect(!passed.explain().notes.contains { $0.contains("constants") })
}

@Test func a_budget_that_is_spent_says_what_changed_and_what_to_do() throws {
  let none = compile(maxRecompiles: 0) { (x: Tensor, k: Int) in x * Double(k) }
  let line: UInt = #line - 1
  _ = try none(ones(2), 1)
  let size = mistake { _ = try none(ones(3), 1) }
  #expect(size?.message.contains("axis 0 of '0' changed") == true && size?.remedy?.contains("dynamic:") == true)
  #expect(size?.place?.line == line)
  let value = mistake { _ = try none(ones(2), 2) }
  #expect(value?.message.contains("changed to 2") == true && value?.remedy?.contains("Dim") == true)
  let dtype = mistake { _ = try none(ones(2).converted(to: .f64), 1) }
  #expect(dtype?.message.contains("another dtype") == true)
  let flat = compile(maxRecompiles: 2) { (x: Tensor) in x.reshaped(2, 2) + Tensor(x.shape.rank) }
  _ = try flat(ones(4))
}

@Test func a_number_that_fits_some_sizes_is_a_guard() throws {
  // min(rows, 3) elements: at two rows a plan for three or more must not serve.
  let f = compile { (x: Tensor) in x.diagonal() * 2 }
  for n in [5, 6, 2, 3, 4, 9] {
    let x = Tensor.arange(Dim(n * 3)).reshaped(n, 3)
    let (a, b) = (try f(x), x.diagonal() * 2)
    #expect(try a.shape == b.shape && a.array(as: Int.self) == b.array(as: Int.self), "\(n) rows")
  }
}

@Test func shape_errors_name_both_shapes_and_the_line_with_symbols_too() throws {
  let add = compile { (a: Tensor, b: Tensor) in a + b }
  let line: UInt = #line - 1
  for n in 2...3 { _ = try add(ones(n, 3), ones(n, 3)) }
  let error = mistake { _ = try add(ones(2, 3), ones(4, 3)) }
  #expect(error?.message.contains("[2, 3] and [4, 3]") == true && error?.place?.line == line)
}

/// Inside them several operations fail, each with a message and a line of its own.
@Test func operations_made_of_others_fail_with_the_users_line() throws {
  let composed: [@Sendable (Tensor) -> Tensor] = [
    { $0.correlation() }, { $0.covariance() }, { $0.layerNorm([2]) }, { $0.softmax().logSumExp(-1) }, { $0.trace() },
    { $0.variance() }, { $0.standardDeviation(1) }, { $0.crossEntropy(Tensor([0, 1] as [Int])) }, { $0.norm() },
    { $0.cumulativeSum(0) }, { $0.median() }, { $0.histogram() },
    { $0.matmul($0).sum() }, { $0.multiMarginLoss(Tensor([0, 1] as [Int])) },
  ]
  let stored = Tensor.ones(2, 2).converted(to: .f8e5m2)
  for (number, run) in composed.enumerated() {
    let eager = run(stored).failure
    let f = compile(run)
    let g = compile(dynamic: .all, run)
    _ = try? g(Tensor.ones(2, 2))
    let (captured, dynamic) = (mistake { _ = try f(stored) }, mistake { _ = try g(stored) })
    #expect((captured == nil) == (eager == nil) && (dynamic == nil) == (eager == nil), "\(number)")
    for mistake in [eager, captured, dynamic].compactMap({ $0 }) {
      #expect(mistake.place?.file.hasSuffix("MessageTests.swift") == true, "\(number): \(mistake)")
    }
  }
}
