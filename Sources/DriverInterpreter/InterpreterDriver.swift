// The reference device: runs kernels from their text with `TileInterpreter`, on the calling thread, sanitizer on.
// Not fast. Surprise: it works at once but does not say it is synchronous, because only a `Launch` knows how large its
// storages are, and with them out-of-bounds accesses are found.
import Basics
import Execution
import Synchronization
import TensorTypes
import TileIR

package final class InterpreterDriver: Driver {
  package let device: Device
  package let isSynchronous = false
  private let sanitizes: Bool
  private let submitted = Atomic<Int>(0)

  /// - Parameter sanitizes: track races and reads of unwritten elements; a finding makes `submit` throw.
  package init(device: Device = .interpreter, sanitizes: Bool = true) {
    self.device = device
    self.sanitizes = sanitizes
  }

  package func load(_ image: ExecutableImage) throws(Diagnostic) -> any Executable {
    guard image.format == .tileText else {
      throw Diagnostic(.compiler, "\(image.name) holds no tile text and cannot run on \(device)")
    }
    return try InterpretedExecutable(image: image, sanitizes: sanitizes)
  }

  package func submit(_ sequence: LaunchSequence) throws(Diagnostic) -> Ticket {
    var result = Ticket.Result()
    let clock = ContinuousClock()
    for (number, launch) in sequence.launches.enumerated() {
      guard let executable = launch.executable as? InterpretedExecutable else {
        throw Diagnostic(.device, "\(launch.executable.image.name) was loaded by another driver than \(device)")
      }
      let started = clock.now
      if var fault = try executable.run(launch) {
        fault.launch = number
        result.faults.append(fault)
      }
      if sequence.isTimed { result.nanoseconds.append(Int((clock.now - started) / .nanoseconds(1))) }
    }
    return Ticket(number: submitted.add(1, ordering: .relaxed).newValue, result: result)
  }

  package func wait(_ ticket: Ticket) throws(Diagnostic) -> [Fault] { ticket.result?.faults ?? [] }
}

/// A kernel read from its text.
private final class InterpretedExecutable: Executable {
  let image: ExecutableImage
  private let interpreter: TileInterpreter
  private let sanitizes: Bool

  init(image: ExecutableImage, sanitizes: Bool) throws(Diagnostic) {
    self.image = image
    self.sanitizes = sanitizes
    interpreter = try TileInterpreter(Kernel(text: String(decoding: image.code, as: UTF8.self)))
  }

  func run(_ launch: Launch) throws(Diagnostic) -> Fault? {
    let memory = launch.buffers.map(\.storage.bytes)
    return try withExtendedLifetime(launch.buffers) { () throws(Diagnostic) -> Fault? in
      try run(memory, origins: launch.buffers.map(\.offset), launch.arguments.map { Int($0) })
    }
  }

  /// The sizes of the memory are taken from the kernel's own extents: an access beyond a storage is not found.
  func run(
    buffers: UnsafePointer<UnsafeMutableRawPointer?>, arguments: UnsafePointer<Int64>, work: Int
  ) throws(Diagnostic) -> Fault? {
    let arguments = (0..<image.argumentCount).map { Int(arguments[$0]) }
    var memory: [UnsafeMutableRawBufferPointer] = []
    var origins: [Int] = []
    for i in 0..<image.bufferCount {
      let range = try interpreter.byteRange(ofBuffer: i, arguments: arguments)
      memory.append(UnsafeMutableRawBufferPointer(start: buffers[i].map { $0 + range.lowerBound }, count: range.count))
      origins.append(-range.lowerBound)
    }
    return try run(memory, origins: origins, arguments)
  }

  private func run(
    _ memory: [UnsafeMutableRawBufferPointer], origins: [Int], _ arguments: [Int]
  ) throws(Diagnostic) -> Fault? {
    let outcome = try interpreter.run(buffers: memory, origins: origins, arguments: arguments, sanitize: sanitizes)
    if let finding = outcome.findings.first {
      let others = outcome.findings.count > 1 ? " (and \(outcome.findings.count - 1) more findings)" : ""
      throw Diagnostic(
        .compiler, "\(image.name): \(finding)\(others)",
        remedy: "this kernel is wrong, whatever its operands; report it with its tile text")
    }
    return outcome.fault.map { fault in
      let kind: Fault.Kind =
        switch fault.kind {
        case .index: .index
        case .division: .divisionByZero
        }
      return Fault(kind: kind, phase: fault.phase, instance: fault.instance, index: fault.index, extent: fault.extent)
    }
  }
}
