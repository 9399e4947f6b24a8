// Range writes and donated parameters: what goes in place, what is copied, and that both compute the same.
import Basics
import Fusion
import GraphIR
import Scalars
import TensorTypes
import Testing

private func numbers(_ count: Int, from start: Int = 0) -> Memory {
  Memory(ReferenceTensor(.f32, [count], (0..<count).map { .float(Double($0 + start)) }).bytes)
}

private func check(
  _ graph: Graph, _ sizes: [Int], arguments: [UInt64] = [], donations: [Donation], temporaries: Int
) throws {
  try graph.verified()
  let schedule = try Fuser.schedule(graph, SchedulingContext(target: .x86Version4, donations: donations))
  #expect(schedule.temporaries.count == temporaries, "\(schedule.text())")
  let sample = AgreementCase(
    graph: graph, parameters: sizes.enumerated().map { numbers($1, from: $0) }, arguments: arguments)
  let difference = try sample.disagreement(donations: donations)
  #expect(difference == nil, "\(graph)\(schedule.text())")
}

/// One write into a cache and one read of it for each layer.
private func cacheGraph(_ layers: Int) throws -> Graph {
  var builder = GraphBuilder(name: "cache")
  let position = builder.extent("position")
  var cache = builder.parameter("cache", TensorType(.f32, [Dim(layers), 2, 5, 3]))
  let x = builder.parameter("x", TensorType(.f32, [1, 1, 1, 3]))
  var sum = try builder.append(.reshape([3]), x)
  for layer in 0..<layers {
    for half in 0..<2 {
      let update = try builder.append(.reshape([1, 1, 1, 3]), builder.append(.add, sum, sum))
      cache = try builder.append(
        .assign(starts: [Dim(layer), Dim(half), position, 0], steps: [1, 1, 1, 1]), cache, update)
    }
    let read = try builder.append(
      .slice(starts: [Dim(layer), 0, 0, 0], counts: [1, 2, position + 1, 3], steps: [1, 1, 1, 1]), cache)
    let total = try builder.append(.reduce(.sum, axes: [0, 1, 2]), read)
    sum = try builder.append(.add, sum, total)
  }
  return builder.finish([sum, cache])
}

@Test func a_chain_of_range_writes_on_a_donated_parameter_is_all_in_place() throws {
  let graph = try cacheGraph(4)
  let donations = [Donation(output: 1, parameter: 0)]
  let schedule = try Fuser.schedule(graph, SchedulingContext(target: .x86Version4, donations: donations))
  #expect(!schedule.refusals.contains { $0.reason == .readAfterWrite })
  #expect(schedule.temporaries.allSatisfy { $0.shape.rank < 4 })
  let sample = AgreementCase(graph: graph, parameters: [numbers(4 * 2 * 5 * 3), numbers(3, from: 1)], arguments: [2])
  #expect(try sample.disagreement(donations: donations) == nil)
}

@Test func without_donation_the_base_is_copied_once_into_the_output() throws {
  let graph = try cacheGraph(3)
  let schedule = try Fuser.schedule(graph, SchedulingContext(target: .x86Version4))
  #expect(schedule.refusals.count { $0.reason == .readAfterWrite } == 1)
  #expect(schedule.temporaries.allSatisfy { $0.shape.rank < 4 })
  let sample = AgreementCase(graph: graph, parameters: [numbers(3 * 2 * 5 * 3), numbers(3, from: 1)], arguments: [4])
  #expect(try sample.disagreement() == nil)
}

@Test func a_base_that_is_read_later_is_copied() throws {
  var builder = GraphBuilder(name: "later")
  let p = builder.parameter("p", TensorType(.f32, [6]))
  let x = builder.parameter("x", TensorType(.f32, [2]))
  let written = try builder.append(.assign(starts: [1], steps: [2]), p, x)
  let both = try builder.append(.add, p, written)
  try check(builder.finish([written, both]), [6, 2], donations: [Donation(output: 0, parameter: 0)], temporaries: 1)
}

@Test func donated_results_that_read_each_other_in_turn_need_a_copy_of_one() throws {
  var builder = GraphBuilder(name: "turn")
  let a = builder.parameter("a", TensorType(.f32, [5]))
  let b = builder.parameter("b", TensorType(.f32, [5]))
  let x = try builder.append(.add, a, b)
  let y = try builder.append(.subtract, a, b)
  let donations = [Donation(output: 0, parameter: 0), Donation(output: 1, parameter: 1)]
  try check(builder.finish([x, y]), [5, 5], donations: donations, temporaries: 1)
}

@Test func an_optimizer_step_overwrites_its_state_in_one_kernel() throws {
  var builder = GraphBuilder(name: "momentum")
  let w = builder.parameter("w", TensorType(.f32, [7]))
  let m = builder.parameter("m", TensorType(.f32, [7]))
  let g = builder.parameter("g", TensorType(.f32, [7]))
  let half = try builder.filled(ScalarConstant(.f32, 0.5), [7])
  let moment = try builder.append(.add, builder.append(.multiply, m, half), g)
  let step = try builder.append(.subtract, w, builder.append(.multiply, moment, half))
  let graph = builder.finish([moment, step])
  let donations = [Donation(output: 0, parameter: 1), Donation(output: 1, parameter: 0)]
  try check(graph, [7, 7, 7], donations: donations, temporaries: 0)
  let schedule = try Fuser.schedule(graph, SchedulingContext(target: .x86Version4, donations: donations))
  #expect(schedule.steps.count == 1)
}

@Test func a_donated_result_in_another_order_is_copied() throws {
  var builder = GraphBuilder(name: "transposed")
  let p = builder.parameter("p", TensorType(.f32, [3, 3]))
  let turned = try builder.append(.permute([1, 0]), p)
  let y = try builder.append(.add, turned, p)
  try check(builder.finish([y]), [9], donations: [Donation(output: 0, parameter: 0)], temporaries: 1)
}

@Test func windows_of_a_computed_value_read_it_from_memory() throws {
  var builder = GraphBuilder(name: "pooled")
  let x = builder.parameter("x", TensorType(.f32, [2, 5]))
  let zero = try builder.append(.constant(ScalarConstant(.f32, 0)))
  let padded = try builder.append(.pad(low: [0, 1], high: [0, 1]), builder.append(.exp, x), zero)
  let windows = try builder.append(.windows(axis: 1, size: 3, step: 2, dilation: 1), padded)
  let y = try builder.append(.reduce(.maximum, axes: [2]), windows)
  let graph = builder.finish([y])
  try check(graph, [10], donations: [], temporaries: 1)
  // Border and middle are written beside each other, the windows are read behind a barrier.
  let schedule = try Fuser.schedule(graph, SchedulingContext(target: .x86Version4))
  #expect(schedule.steps.map { $0.kernel.phases.map(\.isBeside) } == [[false, true, true, false]])
}

@Test func a_call_is_written_out() throws {
  var inner = GraphBuilder(name: "twice")
  let n = inner.extent("n")
  let x = inner.parameter("x", TensorType(.f32, [n]))
  let called = inner.finish([try inner.append(.add, x, x)])
  var builder = GraphBuilder(name: "caller")
  let m = builder.extent("m")
  let y = builder.parameter("y", TensorType(.f32, [m]))
  let twice = try builder.append(.call(GraphReference(called), output: 0), y)
  let graph = builder.finish([try builder.append(.call(GraphReference(called), output: 0), twice)])
  let schedule = try Fuser.schedule(graph, SchedulingContext(target: .x86Version4))
  #expect(schedule.steps.count == 1)
  let sample = AgreementCase(graph: graph, parameters: [numbers(5)], arguments: [5])
  #expect(try sample.disagreement() == nil)
}

@Test func gathered_pieces_are_written_to_their_places() throws {
  var builder = GraphBuilder(name: "tables")
  let n = builder.extent("n")
  var pieces: [Value] = []
  for i in 0..<3 {
    let table = builder.parameter("t\(i)", TensorType(.f32, [4, 3]))
    let index = try builder.append(.iota(axis: 0, [n, 3]))
    pieces.append(try builder.append(.gather(axis: 0), table, index))
  }
  let x = builder.parameter("x", TensorType(.f32, [3, 3]))
  let product = try builder.append(.contraction(ContractionAxes(contracted: [.init(1, 0)])), pieces[0], x)
  pieces.append(product)
  let joined = try builder.append(.concatenate(axis: 0), pieces)
  let graph = builder.finish([joined])
  try check(graph, [12, 12, 12, 9], arguments: [2], donations: [], temporaries: 0)
  let schedule = try Fuser.schedule(graph, SchedulingContext(target: .x86Version4))
  #expect(schedule.steps.count == 1, "\(schedule.text())\(schedule.steps.map { $0.nests.count })")
}

@Test func a_result_that_is_also_the_new_state_is_written_twice_by_one_kernel() throws {
  var builder = GraphBuilder(name: "adam")
  let w = builder.parameter("w", TensorType(.f32, [7]))
  let m = builder.parameter("m", TensorType(.f32, [7]))
  let g = builder.parameter("g", TensorType(.f32, [7]))
  let half = try builder.filled(ScalarConstant(.f32, 0.5), [7])
  let moment = try builder.append(.add, builder.append(.multiply, m, half), g)
  let step = try builder.append(.subtract, w, builder.append(.multiply, moment, half))
  let graph = builder.finish([step, moment, step])
  let donations = [Donation(output: 0, parameter: 0), Donation(output: 1, parameter: 1)]
  try check(graph, [7, 7, 7], donations: donations, temporaries: 0)
  let schedule = try Fuser.schedule(graph, SchedulingContext(target: .x86Version4, donations: donations))
  #expect(schedule.steps.count == 1 && schedule.steps[0].nests.count == 1)
}

@Test func a_result_that_reads_the_old_state_elsewhere_keeps_its_own_kernel() throws {
  var builder = GraphBuilder(name: "shifted")
  let p = builder.parameter("p", TensorType(.f32, [6]))
  let turned = try builder.append(.slice(starts: [5], counts: [6], steps: [-1]), p)
  let sum = try builder.append(.add, turned, p)
  let next = try builder.append(.add, p, p)
  let graph = builder.finish([sum, next])
  let donations = [Donation(output: 1, parameter: 0)]
  try check(graph, [6], donations: donations, temporaries: 0)
  let schedule = try Fuser.schedule(graph, SchedulingContext(target: .x86Version4, donations: donations))
  #expect(schedule.steps.flatMap(\.nests).count == 2)
}
