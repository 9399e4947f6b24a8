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

@Test func what_is_held_costs_nothing() throws {
  let sample = Sample()
  var facts = sample.facts
  for item in facts.agenda.dropLast() {
    facts.reached = .item(item.number)
    #expect(facts.cost([sample.exponential]) == 17)
  }
  facts.reached = .item(try #require(facts.agenda.last).number)
  #expect(facts.cost([sample.exponential]) == 0)
  #expect(facts.vectorAxis([sample.exponential], sample.kernel[sample.exponential].shape) == 1)
}

/// Without numbers, and without index values.
private func agenda(_ kernel: Kernel) -> [String] {
  let facts = PhaseFacts(kernel, phase: 0, target: .x86Version3)
  let lines = facts.agenda.flatMap { $0.description.split(separator: "\n") }
  #expect(facts.description.hasSuffix(lines.joined(separator: "\n")))
  return lines.map { String($0.drop { $0 == " " }.drop { $0 != " " }.dropFirst()) }.filter { !$0.hasPrefix("index") }
}

@Test func a_reserved_value_is_written_by_the_reduction_that_passes_over_it() {
  let sample = Sample()
  let (exponential, sum) = (sample.exponential.id, sample.sum.id)
  #expect(
    sample.facts.agenda.suffix(3).map { $0.description.drop { $0 != " " } } == [
      " reserve %\(exponential)", " across %\(sum), writing %\(exponential)", " store %\(sample.quotient.id)",
    ])
}

/// A kernel of one phase and one instance on a buffer of 8 x 8 floats.
private func kernel(_ body: (inout KernelBuilder, _ buffer: Int, _ axes: [AxisMap]) -> Void) -> Kernel {
  var b = KernelBuilder(name: "square")
  let (rows, eight, one, zero) = (b.argument("rows"), b.index(8), b.index(1), b.index(0))
  let y = b.buffer("y", .f32, [rows, eight], strides: [eight, one], role: .output)
  _ = b.openPhase([one])
  body(&b, y, [AxisMap(zero, tileAxis: 0, guarded: true), AxisMap(zero, tileAxis: 1)])
  b.closePhase([one])
  return b.finish()
}

private let square = [Extent.constant(8), .constant(8)]

@Test func a_reserved_value_of_which_more_is_wanted_is_written_before_the_reduction() {
  var expected: [String] = []
  let made = kernel { b, y, axes in
    let exponential = b.map(.exp, [b.load(Access(y, axes), square)])
    let sum = b.reduce(.sum, [1], exponential)
    b.store(Access(y, axes), b.broadcast(sum, square))
    let all = axes.map { AxisMap($0.start, tileAxis: $0.tileAxis) }
    b.store(Access(y, all), exponential)
    expected = ["reserve %\(exponential.id)", "write %\(exponential.id)", "across %\(sum.id)"]
  }
  #expect(agenda(made).filter { !$0.hasPrefix("keep") && !$0.hasPrefix("store") } == expected)
}

@Test func a_store_that_reads_elsewhere_what_it_writes_keeps_it_first() {
  var turned = TileValue(0)
  let made = kernel { b, y, axes in
    turned = b.transpose(b.load(Access(y, axes), square), [1, 0])
    b.store(Access(y, axes), turned)
  }
  #expect(agenda(made) == ["keep %\(turned.id)", "store %\(turned.id)"])
}

@Test func only_a_cycle_of_carried_tiles_needs_a_copy() {
  for isSwap in [false, true] {
    var carried: [TileValue] = []
    var next = TileValue(0)
    let made = kernel { b, y, axes in
      let start = b.load(Access(y, axes), square)
      let results = b.loop(b.index(3), [start, start]) { b, _, tiles in
        carried = tiles
        next = b.map(.exp, [tiles[1]])
        return isSwap ? [tiles[1], tiles[0]] : [tiles[1], next]
      }
      b.store(Access(y, axes), results[0])
    }
    let (first, second) = ("%\(carried[0].id)", "%\(carried[1].id)")
    let found = agenda(made).filter {
      $0.contains("carry") || $0.contains("keep \(first)") || $0.contains("keep \(second)")
    }
    #expect(
      found
        == (isSwap
          ? ["keep \(second)", "carry \(first) into \(second)", "carry \(second) into \(first)"]
          : ["carry \(second) into \(first)", "carry %\(next.id) into \(second)"]))
  }
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
