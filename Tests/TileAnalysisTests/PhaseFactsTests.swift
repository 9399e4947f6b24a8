// What a code generator is told of a phase. Not code. Surprise: one kernel shows most of it: rows of exponentials, each
// divided by its sum, with a ragged last block of rows.
import Targets
import TensorTypes
import Testing
import TileAnalysis
import TileIR

private struct Sample {
  var kernel: Kernel
  var load: TileValue
  var exponential: TileValue
  var sum: TileValue
  var quotient: TileValue

  init() {
    var b = KernelBuilder(name: "rows")
    let (rows, columns, one) = (b.argument("rows"), b.argument("columns"), b.index(1))
    let x = b.buffer("x", .f32, [rows, columns], strides: [columns, one], role: .input)
    let y = b.buffer("y", .f32, [rows, columns], strides: [columns, one], role: .output)
    _ = b.scratch("s", .f32, [rows, columns], .panels(width: 32, pad: 1))
    let grid = [b.index(.ceilDivide, rows, 8)]
    let ids = b.openPhase(grid)
    let zero = b.index(0)
    let first = b.index(.multiply, ids[0], 8)
    let axes = [AxisMap(first, tileAxis: 0, guarded: true), AxisMap(zero, tileAxis: 1)]
    let shape = [Extent.constant(8), .value(columns)]
    load = b.load(Access(x, axes), shape)
    exponential = b.map(.exp, [load])
    sum = b.reduce(.sum, [1], exponential)
    quotient = b.map(.divide, [exponential, b.broadcast(sum, shape)])
    b.store(Access(y, axes), quotient)
    b.closePhase(grid)
    kernel = b.finish()
  }

  var facts: PhaseFacts { PhaseFacts(kernel, phase: 0, target: .x86Version3) }
}

@Test func a_guard_of_a_store_is_a_demand_on_all_above_it() {
  let sample = Sample()
  for value in [sample.quotient, sample.sum, sample.load] { #expect(sample.facts.demands[value] == [1, 0]) }
  #expect(sample.facts.demands.guardFacts.count == 1)
}

@Test func what_is_costly_and_used_twice_is_written_by_its_first_walk() {
  let sample = Sample()
  #expect(sample.facts.residences[sample.exponential] == .inPassing)
  #expect(sample.facts.residences[sample.load] == .virtual)
  #expect(sample.facts.description.contains("%\(sample.exponential.id) inPassing, 2 users, wanted [guard 1, all]"))
}

@Test func what_is_held_costs_nothing() {
  let sample = Sample()
  var facts = sample.facts
  #expect(facts.vectorAxis([sample.exponential], sample.kernel[sample.exponential].shape) == 1)
  #expect(facts.cost([sample.exponential]) == 17)
  facts.held = { $0 == sample.exponential ? Held(inner: 0, isPending: false) : nil }
  #expect(facts.cost([sample.exponential]) == 0)
  #expect(facts.vectorAxis([sample.exponential], sample.kernel[sample.exponential].shape) == 0)
}

@Test func sizes_are_the_same_as_numbers_and_as_dims() throws {
  let kernel = Sample().kernel
  let grid = kernel.phases[0].grid[0]
  for arguments in [[0, 0], [1, 1], [17, 33], [8, 64]] {
    #expect(kernel.dim(grid)?.evaluated(arguments) == kernel.evaluatedIndex(grid, arguments: arguments))
    let elements = kernel.scratchElementCount(2, arguments: arguments)
    #expect(elements == arguments[0] * ((arguments[1] + 31) / 32) * 33)
    #expect(kernel.scratchBytes(kernel.buffers[2])?.evaluated(arguments) == elements.map { $0 * 4 })
  }
  #expect(kernel.scratchElementCount(2, arguments: [-1, 3]) == nil)
}

@Test func homes_have_whole_vectors() throws {
  let sample = Sample()
  let layout = try #require(sample.facts.homeLayout([.constant(8), .constant(20)], .f32, slack: false))
  #expect(layout.inner == 1 && layout.strides == [32, 1] && layout.bytes == 1024)
}
