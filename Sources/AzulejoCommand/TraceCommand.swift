// `azulejo trace`: a small program at every stage on its way to machine code.
// Not the eager path's log (AZULEJO_LOG does that): nothing is run and no tensor is made.
import ArgumentParser
import Basics
import CodegenLLVM
import Fusion
import GraphIR
import Targets
import TileIR

struct TraceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trace", abstract: "Show a small program at every stage on its way to machine code.",
    discussion: """
      Programs: \(TraceProgram.allCases.map(\.rawValue).joined(separator: ", ")).

      Examples:
        azulejo trace softmax
        azulejo trace matmul --stage tile
        azulejo trace layernorm --stage assembly --target x86-64-v3
      """)

  enum StageName: String, CaseIterable, ExpressibleByArgument {
    case graph, loops, tile, llvm, assembly

    var title: String {
      switch self {
      case .graph: "graph"
      case .loops: "loop nest"
      case .tile: "tile IR"
      case .llvm: "LLVM IR"
      case .assembly: "assembly"
      }
    }
  }

  @Argument(help: "The program: \(TraceProgram.allCases.map(\.rawValue).joined(separator: ", ")).")
  var program: TraceProgram
  @Option(
    help: ArgumentHelp(
      "Only this stage (may be repeated): \(StageName.allCases.map(\.rawValue).joined(separator: ", ")).",
      valueName: "stage"))
  var stage: [StageName] = []
  @Option(
    help: ArgumentHelp(
      "A processor to compile for instead of this one: "
        + "\(TargetDescription.presets.map(\.name).joined(separator: ", ")).", valueName: "target"))
  var target: String?

  func validate() throws { _ = try description() }

  private func description() throws -> TargetDescription {
    guard let target else { return .host }
    guard let known = TargetDescription.preset(target) else {
      let names = TargetDescription.presets.map(\.name).joined(separator: ", ")
      throw ValidationError("no target is called '\(target)'; the targets are \(names)")
    }
    return known
  }

  func run() throws {
    let stages = stage.isEmpty ? StageName.allCases : stage
    let target = try description()
    let graph = try program.graph()
    let schedule = try Fuser.schedule(graph, SchedulingContext(target: target))
    for stage in StageName.allCases where stages.contains(stage) {
      if stages.count > 1 { Console.print("// ---- \(stage.title) ----") }
      switch stage {
      case .graph: Console.print(graph.description)
      case .loops: for step in schedule.steps { Console.print(step.nest.text(graph)) }
      case .tile: for step in schedule.steps { Console.print(step.kernel.text) }
      case .llvm: for step in schedule.steps { Console.print(try LLVMCompiler.llvmIR(step.kernel, for: target)) }
      case .assembly:
        for step in schedule.steps { Console.print(try LLVMCompiler.assembly(step.kernel, for: target)) }
      }
    }
  }
}
