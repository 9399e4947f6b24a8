// `azulejo devices`: what kernels can run on here.
import ArgumentParser
import Backends
import Basics
import Execution
import Targets

struct DevicesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "devices", abstract: "List the devices that kernels can run on.",
    discussion: """
      Examples:
        azulejo devices
        azulejo generate --device interpreter ...
      """)
  @OptionGroup var output: OutputOptions

  func run() throws {
    var devices: [JSON] = []
    for kind in DeviceKind.allCases {
      var members: [JSON.Member] = [.init("name", .string(kind.rawValue))]
      do {
        let backend = try Backend.make(kind)
        let description = Self.description(kind, backend.target)
        show("\(kind.rawValue): \(description)")
        members += [.init("available", true), .init("description", .string(description))]
      } catch {
        show("\(kind.rawValue): not available: \(error.message)")
        members += [.init("available", false), .init("reason", .string(error.message))]
      }
      devices.append(.object(members))
    }
    output.finish([("devices", .array(devices))])
  }

  private func show(_ line: String) {
    if output.json { Console.note(line) } else { Console.print(line) }
  }

  private static func description(_ kind: DeviceKind, _ target: TargetDescription) -> String {
    switch kind {
    case .cpu:
      "\(target.name), \(target.vectorBits)-bit vectors, \(ThreadPool.shared.threadCount) threads, "
        + "\(Console.size(Allocator.limit)) for tensors"
    case .interpreter: "runs tile kernels step by step and checks every access; slow"
    case .late: "the processor, but kernels finish some time after they were launched; for tests"
    case .null: "runs nothing; for measuring everything else"
    }
  }
}
