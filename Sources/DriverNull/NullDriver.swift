// A device that executes nothing and completes late on purpose, to test that callers order and wait as they must.
// Not a simulator. Surprise: a ticket is done only when someone waits for it or a later one; until then the driver keeps
// its storages and executables alive, as a real queue would.
import Basics
import Execution
import Synchronization
import TensorTypes

package final class NullDriver: Driver {
  private struct Queue {
    var submitted = 0
    var completed = 0
    var pending: [LaunchSequence] = []
    var history: [String] = []
  }

  package let device: Device
  package let isSynchronous = false
  private let queue = Mutex(Queue())

  package init(device: Device = .null) { self.device = device }

  /// Zeros, so that a program that reads what no kernel wrote does the same in each run.
  package func allocate(byteCount: Int) throws(Diagnostic) -> Storage {
    let storage = try Storage(byteCount: byteCount, device: device)
    storage.address.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    return storage
  }

  package func load(_ image: ExecutableImage) throws(Diagnostic) -> any Executable { NullExecutable(image: image) }

  package func submit(_ sequence: LaunchSequence) throws(Diagnostic) -> Ticket {
    for launch in sequence.launches { try launch.check() }
    return queue.withLock { queue in
      queue.submitted += 1
      queue.pending.append(sequence)
      return Ticket(number: queue.submitted)
    }
  }

  package func wait(_ ticket: Ticket) throws(Diagnostic) -> [Fault] {
    let known = queue.withLock { queue in
      guard ticket.number <= queue.submitted else { return false }
      while queue.completed < ticket.number {
        queue.completed += 1
        queue.history += queue.pending.removeFirst().launches.map(\.executable.image.name)
      }
      return true
    }
    guard known else { throw Diagnostic(.device, "ticket \(ticket.number) is not one of \(device)") }
    return []
  }

  /// Tickets that are not done.
  package var pendingCount: Int { queue.withLock { $0.pending.count } }

  /// Names of the kernels that are done, in order.
  package var history: [String] { queue.withLock { $0.history } }
}

/// An image that will not run.
private final class NullExecutable: Executable {
  let image: ExecutableImage
  init(image: ExecutableImage) { self.image = image }

  func run(
    buffers: UnsafePointer<UnsafeMutableRawPointer?>, arguments: UnsafePointer<Int64>, work: Int
  ) throws(Diagnostic) -> Fault? {
    throw Diagnostic(.device, "\(image.name) cannot run at once here", remedy: "submit a LaunchSequence, then wait")
  }
}
