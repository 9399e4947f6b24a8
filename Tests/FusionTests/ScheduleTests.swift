// What fusion decides, seen from outside: how many kernels, and that each one verifies.
import Basics
import GraphIR
import Scalars
import Targets
import TensorTypes
import Testing
import TileIR

import Fusion

private let context = SchedulingContext(target: .x86Version4)

/// Schedules and verifies; the kernels' text shows up in a failure.
private func scheduled(_ graph: Graph) throws -> Schedule {
  let schedule = try Fuser.schedule(graph, context)
  do { try schedule.verified() } catch {
    Issue.record("\(error)\n\(schedule.steps.map(\.kernel.text).joined())")
  }
  return schedule
}

@Test func softmax_is_one_kernel() throws {
  var builder = GraphBuilder(name: "softmax")
  let (m, n) = (builder.extent("m"), builder.extent("n"))
  let x = builder.parameter("x", TensorType(.f32, [m, n]))
  let top = try builder.append(.reduce(.maximum, axes: [1]), x)
  let shifted = try builder.append(.subtract, x, builder.restoring(top, [1], [m, n]))
  let e = try builder.append(.exp, shifted)
  let sum = try builder.append(.reduce(.sum, axes: [1]), e)
  let y = try builder.append(.divide, e, builder.restoring(sum, [1], [m, n]))
  let schedule = try scheduled(builder.finish([y]))
  #expect(schedule.steps.count == 1)
  #expect(schedule.temporaries.isEmpty)
}

@Test func sum_of_everything_is_one_kernel_of_two_phases() throws {
  var builder = GraphBuilder(name: "sum")
  let n = builder.extent("n")
  let x = builder.parameter("x", TensorType(.f16, [n]))
  let y = try builder.append(.reduce(.sum, axes: [0]), x)
  let schedule = try scheduled(builder.finish([y]))
  #expect(schedule.steps.count == 1)
  #expect(schedule.steps[0].kernel.phases.count == 2)
}

@Test func product_takes_its_epilogue_along() throws {
  var builder = GraphBuilder(name: "linear")
  let (m, n, k) = (builder.extent("m"), builder.extent("n"), builder.extent("k"))
  let x = builder.parameter("x", TensorType(.f32, [m, k]))
  let w = builder.parameter("w", TensorType(.f32, [n, k]))
  let b = builder.parameter("b", TensorType(.f32, [n]))
  let product = try builder.append(.contraction(ContractionAxes(contracted: [.init(1, 1)])), x, w)
  let y = try builder.append(.add, product, builder.broadcast(b, [m, n]))
  let schedule = try scheduled(builder.finish([y]))
  #expect(schedule.steps.count == 1)
  #expect(schedule.steps[0].kernel.phases.count == 2)
}

@Test func vector_product_is_a_reduction_without_packing() throws {
  var builder = GraphBuilder(name: "matvec")
  let (n, k) = (builder.extent("n"), builder.extent("k"))
  let x = builder.parameter("x", TensorType(.f32, [1, k]))
  let w = builder.parameter("w", TensorType(.f32, [n, k]))
  let y = try builder.append(.contraction(ContractionAxes(contracted: [.init(1, 1)])), x, w)
  let schedule = try scheduled(builder.finish([y]))
  #expect(schedule.steps.count == 1)
  #expect(schedule.steps[0].kernel.phases.count == 1)
}

@Test func attention_is_one_kernel() throws {
  var builder = GraphBuilder(name: "attention")
  let (h, t, s, d) = (builder.extent("h"), builder.extent("t"), builder.extent("s"), builder.extent("d"))
  let q = builder.parameter("q", TensorType(.f32, [h, t, d]))
  let k = builder.parameter("k", TensorType(.f32, [h, s, d]))
  let v = builder.parameter("v", TensorType(.f32, [h, s, d]))
  let scores = try builder.append(
    .contraction(ContractionAxes(batch: [.init(0, 0)], contracted: [.init(2, 2)])), q, k)
  let scale = try builder.filled(ScalarConstant(.f32, 0.125), [h, t, s])
  let scaled = try builder.append(.multiply, scores, scale)
  let top = try builder.append(.reduce(.maximum, axes: [2]), scaled)
  let e = try builder.append(.exp, builder.append(.subtract, scaled, builder.restoring(top, [2], [h, t, s])))
  let sum = try builder.append(.reduce(.sum, axes: [2]), e)
  let p = try builder.append(.divide, e, builder.restoring(sum, [2], [h, t, s]))
  let y = try builder.append(.contraction(ContractionAxes(batch: [.init(0, 0)], contracted: [.init(2, 1)])), p, v)
  let schedule = try scheduled(builder.finish([y]))
  #expect(schedule.steps.count == 1)
  #expect(schedule.temporaries.isEmpty)
}

@Test func scatter_copies_its_base_then_adds_and_writes_the_output_itself() throws {
  var builder = GraphBuilder(name: "scatter")
  let (m, n, k) = (builder.extent("m"), builder.extent("n"), builder.extent("k"))
  let base = builder.parameter("base", TensorType(.f32, [m, n]))
  let indices = builder.parameter("indices", TensorType(.i64, [k, n]))
  let updates = builder.parameter("updates", TensorType(.f32, [k, n]))
  let y = try builder.append(.scatter(axis: 0, combine: .sum), base, indices, updates)
  let schedule = try scheduled(builder.finish([y]))
  #expect(schedule.steps.count == 1)
  #expect(schedule.steps[0].buffers.contains(.output(0)))
}

@Test func padding_and_joining_read_elsewhere_without_a_copy() throws {
  var builder = GraphBuilder(name: "joined")
  let (m, n) = (builder.extent("m"), builder.extent("n"))
  let x = builder.parameter("x", TensorType(.f32, [m]))
  let y = builder.parameter("y", TensorType(.f32, [n]))
  let zero = try builder.append(.constant(ScalarConstant(.f32, 0)))
  let padded = try builder.append(.pad(low: [2], high: [3]), x, zero)
  let joined = try builder.append(.concatenate(axis: 0), padded, y)
  let schedule = try scheduled(builder.finish([joined]))
  #expect(schedule.steps.count == 1)
}

@Test func gathering_a_computed_table_goes_through_memory() throws {
  var builder = GraphBuilder(name: "embedding")
  let (v, d, t) = (builder.extent("v"), builder.extent("d"), builder.extent("t"))
  let table = builder.parameter("table", TensorType(.f32, [v, d]))
  let indices = builder.parameter("indices", TensorType(.i64, [t, 1]))
  let doubled = try builder.append(.add, table, table)
  let spread = try builder.broadcast(indices, [t, d])
  let direct = try builder.append(.gather(axis: 0), table, spread)
  let computed = try builder.append(.gather(axis: 0), doubled, spread)
  #expect(try scheduled(builder.finish([direct])).steps.count == 1)
  let graph = builder.finish([computed])
  let schedule = try scheduled(graph)
  #expect(schedule.steps.count == 2)
  #expect(schedule.refusals.map(\.reason) == [.needsAddress])
  #expect(schedule.text().contains("refused: %\(doubled.id) is read at computed positions"))
}
