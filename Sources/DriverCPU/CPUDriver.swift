// The host's processors: loads object code and runs its phases, on the calling thread or on the pool.
// Not a queue: a sequence is done when `submit` returns. Surprise: what a kernel computes never depends on where its
// grid was cut, so small launches may stay on one thread.
import Basics
import Execution
import TensorTypes

package final class CPUDriver: Driver {
  package static let shared = CPUDriver()

  package let device = Device.cpu
  package let isSynchronous = true
  private let pool: ThreadPool

  package init(pool: ThreadPool = .shared) { self.pool = pool }

  package func load(_ image: ExecutableImage) throws(Diagnostic) -> any Executable {
    guard image.format == .object else {
      throw Diagnostic(.compiler, "\(image.name) holds no object code and cannot run on \(device)")
    }
    let code = try ObjectLoader.load(image.code, name: image.name)
    return try CPUExecutable(image: image, pool: pool, owner: code) { code.address(of: $0) }
  }

  package func submit(_ sequence: LaunchSequence) throws(Diagnostic) -> Ticket {
    var result = Ticket.Result()
    for (number, launch) in sequence.launches.enumerated() {
      let started = sequence.isTimed ? monotonicNanoseconds() : 0
      if var fault = try run(launch) {
        fault.launch = number
        result.faults.append(fault)
      }
      if sequence.isTimed { result.nanoseconds.append(Int(monotonicNanoseconds() - started)) }
    }
    return Ticket(number: 0, result: result)
  }

  package func wait(_ ticket: Ticket) throws(Diagnostic) -> [Fault] { ticket.result?.faults ?? [] }

  private func run(_ launch: Launch) throws(Diagnostic) -> Fault? {
    try launch.check()
    // One more word each, so that no array is without an address.
    let addresses = launch.buffers.map { $0.address as UnsafeMutableRawPointer? } + [nil]
    let arguments = launch.arguments + [0]
    return try withExtendedLifetime(launch.buffers) { () throws(Diagnostic) -> Fault? in
      try launch.executable.run(buffers: addresses, arguments: arguments, work: launch.work)
    }
  }
}
