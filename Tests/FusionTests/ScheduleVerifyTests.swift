// Schedules that are none: each rule that `Schedule.verified` checks is broken once, and named with its step.
import Basics
import Fusion
import GraphIR
import Targets
import TensorTypes
import Testing
import TileIR

@Suite struct ScheduleVerifyTests {
  /// Two products, one behind the other and each by itself: a temporary between two kernels.
  private func products() throws -> Schedule {
    var builder = GraphBuilder(name: "chain")
    let x = builder.parameter("x", TensorType(.f32, [64, 64]))
    let y = builder.parameter("y", TensorType(.f32, [64, 64]))
    let axes = ContractionAxes(batch: [], contracted: [.init(1, 0)])
    let once = try builder.append(.contraction(axes), x, y)
    let graph = builder.finish([try builder.append(.contraction(axes), once, y)])
    var context = SchedulingContext(target: .x86Version4)
    context.fuses = false
    return try Fuser.schedule(graph, context)
  }

  @Test func a_right_one_is_itself() throws {
    let schedule = try products()
    #expect(schedule.steps.count == 2)
    #expect(schedule.temporaries.count == 1)
    #expect(try schedule.verified().steps.count == 2)
  }

  @Test(arguments: [
    ("swapped", "step 0", "is temporary(0), which no step before has written"),
    ("a source too few", "step 0", "3 buffers, 2 sources and 3 offsets"),
    ("an offset too many", "step 1", "3 buffers, 3 sources and 4 offsets"),
    ("no such parameter", "step 0", "is parameter(7), which does not exist"),
    ("no such temporary", "step 1", "is temporary(1), which does not exist"),
    ("no such output", "step 1", "is output(1), which does not exist"),
    ("the last is missing", "chain", "no step writes output 0"),
    ("arguments", "step 0", "takes 0 arguments, the graph has 1"),
  ])
  func a_broken_rule_is_named(_ change: String, _ place: String, _ part: String) throws {
    var schedule = try products()
    func replace(_ step: Int, _ old: Schedule.BufferSource, _ new: Schedule.BufferSource) {
      let place = schedule.steps[step].buffers.firstIndex(of: old)
      #expect(place != nil)
      if let place { schedule.steps[step].buffers[place] = new }
    }
    switch change {
    case "swapped": schedule.steps.swapAt(0, 1)
    case "a source too few": schedule.steps[0].buffers.removeLast()
    case "an offset too many": schedule.steps[1].offsets.append(0)
    case "no such parameter": replace(0, .parameter(0), .parameter(7))
    case "no such temporary": replace(1, .temporary(0), .temporary(1))
    case "no such output": replace(1, .output(0), .output(1))
    case "the last is missing": schedule.steps.removeLast()
    default: schedule.graph.arguments.append("n")
    }
    #expect {
      try schedule.verified()
    } throws: { error in
      "\(error)".contains(place) && "\(error)".contains(part)
    }
  }

  /// In a parameter's memory an output is there before anything was written.
  @Test func a_donated_output_may_be_left_alone() throws {
    var schedule = try products()
    schedule.steps.removeLast()
    #expect(throws: Never.self) { try schedule.verified(donations: [Donation(output: 0, parameter: 0)]) }
  }
}
