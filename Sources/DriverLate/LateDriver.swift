// Another driver's kernels, finished some time after `submit` returned, for tests: who reads memory without waiting, gives it
// away too early or counts on a synchronous device is found by wrong numbers. Not a simulator of any device.
// Surprise: fresh memory holds ones in all bits (NaN, -1), and memory of another device is refused, though it could be read.
import Basics
import Dispatch
import Execution
import Synchronization
import TensorTypes

package final class LateDriver: Driver {
  private struct State {
    var submitted = 0
    /// Of the sequences that did not go well.
    var outcomes: [Int: Result<[Fault], Diagnostic>] = [:]
    var random: UInt64 = 1
  }

  package let device: Device
  package let isSynchronous = false
  private let worker: any Driver
  /// Microseconds before each sequence.
  private let delays: ClosedRange<Int>
  /// Serial: sequences keep their order, each starts after the one before it is done.
  private let queue = DispatchQueue(label: "azulejo.late")
  private let state = Mutex(State())

  /// - Parameter worker: what runs the kernels; a synchronous driver.
  package init(over worker: any Driver, device: Device = .late, delays: ClosedRange<Int> = 0...100) {
    self.worker = worker
    self.device = device
    self.delays = delays
  }

  package func allocate(byteCount: Int) throws(Diagnostic) -> Storage {
    let storage = try Storage(byteCount: byteCount, device: device)
    storage.address.initializeMemory(as: UInt8.self, repeating: 0xff, count: byteCount)
    return storage
  }

  package func load(_ image: ExecutableImage) throws(Diagnostic) -> any Executable {
    LateExecutable(try worker.load(image))
  }

  package func submit(_ sequence: LaunchSequence) throws(Diagnostic) -> Ticket {
    var launches = sequence.launches
    for i in launches.indices {
      try launches[i].check()
      let name = launches[i].executable.image.name
      guard let executable = launches[i].executable as? LateExecutable else {
        throw Diagnostic(.device, "\(name) was loaded by another driver than \(device)")
      }
      launches[i].executable = executable.loaded
      for buffer in launches[i].buffers where buffer.storage.device != device && !buffer.storage.isBorrowed {
        throw Diagnostic(.device, "\(name) was given memory of \(buffer.storage.device) on \(device)")
      }
    }
    let work = LaunchSequence(launches)
    return state.withLock { state in
      state.submitted += 1
      // The high bits of such a generator are the random ones.
      state.random = state.random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let delay = delays.lowerBound + Int(state.random >> 33) % delays.count
      let number = state.submitted
      queue.async { [self] in
        if delay > 0 { _ = DispatchSemaphore(value: 0).wait(timeout: .now() + .microseconds(delay)) }
        let outcome = Result { () throws(Diagnostic) in try worker.wait(worker.submit(work)) }
        if case .success(let faults) = outcome, faults.isEmpty { return }
        self.state.withLock { $0.outcomes[number] = outcome }
      }
      return Ticket(number: number)
    }
  }

  package func wait(_ ticket: Ticket) throws(Diagnostic) -> [Fault] {
    guard state.withLock({ (1...max(1, $0.submitted)).contains(ticket.number) && $0.submitted > 0 }) else {
      throw Diagnostic(.device, "ticket \(ticket.number) is not one of \(device)")
    }
    queue.sync {}
    return try state.withLock { $0.outcomes[ticket.number] }?.get() ?? []
  }
}

/// A kernel of the driver below that cannot run at once.
private final class LateExecutable: Executable {
  let loaded: any Executable
  var image: ExecutableImage { loaded.image }

  init(_ loaded: any Executable) { self.loaded = loaded }

  func scratchBytes(_ arguments: [Int64]) -> Int? { loaded.scratchBytes(arguments) }

  func run(
    buffers: UnsafePointer<UnsafeMutableRawPointer?>, arguments: UnsafePointer<Int64>, work: Int
  ) throws(Diagnostic) -> Fault? {
    throw Diagnostic(.device, "\(image.name) cannot run at once here", remedy: "submit a LaunchSequence, then wait")
  }
}
