// `azulejo trace`: a small program at every stage on its way to machine code.
// Not the eager path's log (AZULEJO_LOG does that): nothing is run and no tensor is made. Surprise: the printed parts of
// Documentation/Tour.md are this command's output, each under a marker that is the command itself.
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
      Programs: \(TraceExample.allCases.map(\.rawValue).joined(separator: ", ")).

      Examples:
        azulejo trace softmax
        azulejo trace matmul --stage tile
        azulejo trace layernorm --stage assembly --target x86-64-v3
        azulejo trace softmax --stage assembly --target ptx
        azulejo trace --update Documentation/Tour.md
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

  @Argument(help: "The program: \(TraceExample.allCases.map(\.rawValue).joined(separator: ", ")).")
  var program: TraceExample?
  @Option(
    help: ArgumentHelp(
      "Only this stage (may be repeated): \(StageName.allCases.map(\.rawValue).joined(separator: ", ")).",
      valueName: "stage"))
  var stage: [StageName] = []
  @Option(
    help: ArgumentHelp(
      "A processor or device to compile for instead of this machine: "
        + "\((TargetDescription.presets + TargetDescription.devices).map(\.name).joined(separator: ", ")).",
      valueName: "target"))
  var target: String?
  @Option(help: ArgumentHelp("Of LLVM IR and assembly, only the n-th innermost loop.", valueName: "n"))
  var loop: Int?
  @Option(help: ArgumentHelp("Renew the traces in a Markdown file instead of printing one.", valueName: "file"))
  var update: String?

  func validate() throws {
    guard (program == nil) == (update != nil) else {
      throw ValidationError("name a program to print, or a file to --update")
    }
    _ = try description()
    try NumberRange.check("--loop", loop, in: NumberRange.count)
  }

  private func description() throws -> TargetDescription {
    guard let target else { return .host }
    guard let known = TargetDescription.preset(target) else {
      let names = (TargetDescription.presets + TargetDescription.devices).map(\.name).joined(separator: ", ")
      throw ValidationError("no target is called '\(target)'; the targets are \(names)")
    }
    return known
  }

  func run() throws {
    if let update {
      try TracedDocument(path: update).renew()
    } else {
      Console.print(try text())
    }
  }

  /// The stages asked for, one after the other.
  func text() throws -> String {
    guard let program else { return "" }
    let stages = stage.isEmpty ? StageName.allCases : stage
    let target = try description()
    let graph = try program.graph()
    let schedule = try Fuser.schedule(graph, SchedulingContext(target: target))
    var parts: [String] = []
    for stage in StageName.allCases where stages.contains(stage) {
      if stages.count > 1 { parts.append("// ---- \(stage.title) ----") }
      switch stage {
      case .graph: parts.append(graph.description)
      case .loops: parts += schedule.steps.flatMap { $0.nests.map { $0.text(graph) } }
      case .tile: parts += schedule.steps.map(\.kernel.text)
      case .llvm:
        for step in schedule.steps {
          parts.append(try excerpt(LLVMCompiler.llvmIR(step.kernel, for: target), of: step.kernel.name))
        }
      case .assembly:
        for step in schedule.steps {
          parts.append(try excerpt(LLVMCompiler.assembly(step.kernel, for: target), of: step.kernel.name))
        }
      }
    }
    return parts.map { $0.last == "\n" ? String($0.dropLast()) : $0 }.joined(separator: "\n")
  }

  /// The n-th block that ends by going to itself, or everything.
  private func excerpt(_ text: String, of name: String) throws(Diagnostic) -> String {
    guard let loop else { return text }
    var block: [Substring] = []
    var found: [String] = []
    func close() {
      guard let first = block.first, let colon = first.firstIndex(of: ":") else { return }
      let label = first[..<colon]
      let jump = block.last { !$0.allSatisfy(\.isWhitespace) } ?? ""
      // LLVM writes "label %loop1" with a comma or the line's end after it, the assembler ".LBB0_4".
      let words = jump.split { " ,\t%".contains($0) }
      guard block.count > 1, words.contains(label) else { return }
      found.append(block.filter { !$0.isEmpty }.joined(separator: "\n"))
    }
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      let isLabel = line.first.map { !$0.isWhitespace && !"#;}".contains($0) } ?? false
      if isLabel {
        close()
        block = []
      }
      block.append(line)
    }
    close()
    guard found.indices.contains(loop - 1) else {
      throw Diagnostic(.argument, "\(name) has \(found.count) innermost loops there, loop \(loop) is asked for")
    }
    return found[loop - 1].split(separator: "\n").map { Self.shortened($0) }.joined(separator: "\n")
  }

  /// Vector constants of equal elements as `splat (float 1.0)`, which later versions of LLVM print themselves.
  private static func shortened(_ line: Substring) -> String {
    var result = ""
    var rest = line
    while let start = rest.firstIndex(of: "<") {
      result += rest[..<start]
      guard let end = rest[start...].firstIndex(of: ">") else { break }
      let elements = rest[rest.index(after: start)..<end].split(separator: ",").map { $0.drop { $0 == " " } }
      let isSplat = elements.count > 1 && elements.allSatisfy { $0 == elements[0] }
      result += isSplat ? "splat (\(elements[0]))" : String(rest[start...end])
      rest = rest[rest.index(after: end)...]
    }
    return result + rest
  }
}
