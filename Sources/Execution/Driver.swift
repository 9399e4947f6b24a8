// What a device can do: hold memory, load executables, run sequences of launches in order, asynchronously.
// Not a code generator. Surprise: the CPU is finished when `submit` returns; code that relies on it breaks elsewhere,
// and the late driver shows where.
import Basics
import TensorTypes

/// A device's queue and memory. Sequences run in the order of submission.
package protocol Driver: AnyObject, Sendable {
  var device: Device { get }

  /// True if `submit` and `Executable.run` return after the work is done: the fast path of eager ops may be used.
  var isSynchronous: Bool { get }

  /// - Throws: `Diagnostic(.memory)` if there is not so much.
  func allocate(byteCount: Int) throws(Diagnostic) -> Storage

  /// - Throws: `Diagnostic(.compiler)` if the image is not this driver's or its code cannot be linked.
  func load(_ image: ExecutableImage) throws(Diagnostic) -> any Executable

  /// Enqueues the launches. The driver keeps executables and storages alive until they are done.
  func submit(_ sequence: LaunchSequence) throws(Diagnostic) -> Ticket

  /// Returns when everything up to `ticket` is done, with the faults of its sequence.
  func wait(_ ticket: Ticket) throws(Diagnostic) -> [Fault]
}

extension Driver {
  package func allocate(byteCount: Int) throws(Diagnostic) -> Storage {
    try Storage(byteCount: byteCount, device: device)
  }
}

/// A loaded kernel of one driver.
package protocol Executable: AnyObject, Sendable {
  var image: ExecutableImage { get }

  /// Bytes of scratch that a run takes from the allocator; nil: there is no such size.
  func scratchBytes(_ arguments: [Int64]) -> Int?

  /// The fast path of synchronous drivers: runs at once on raw addresses and returns when done. No allocation, no lock for
  /// small work. Everything that was submitted to the driver before is done already.
  /// - Parameters:
  ///   - buffers: `image.bufferCount` addresses. The caller keeps the memory alive and unshared where it is written.
  ///   - arguments: `image.argumentCount` words.
  ///   - work: bytes moved, or flops / 8 if that is more; small work stays on the calling thread.
  /// - Throws: a Diagnostic if nothing could be run, or the driver is not synchronous.
  func run(
    buffers: UnsafePointer<UnsafeMutableRawPointer?>, arguments: UnsafePointer<Int64>, work: Int
  ) throws(Diagnostic) -> Fault?
}

extension Executable {
  package func scratchBytes(_ arguments: [Int64]) -> Int? { 0 }
}

/// A place in memory that a launch uses. Keeps its storage alive.
package struct BufferReference: Sendable {
  package var storage: Storage
  /// In bytes.
  package var offset: Int
  package init(_ storage: Storage, offset: Int = 0) {
    self.storage = storage
    self.offset = offset
  }
  @inlinable package var address: UnsafeMutableRawPointer { storage.address + offset }
}

/// One run of an executable.
package struct Launch: Sendable {
  package var executable: any Executable
  package var buffers: [BufferReference]
  package var arguments: [Int64]
  /// As in `Executable.run`.
  package var work: Int
  package init(_ executable: any Executable, buffers: [BufferReference], arguments: [Int64], work: Int) {
    self.executable = executable
    self.buffers = buffers
    self.arguments = arguments
    self.work = work
  }

  /// - Throws: where it has not as many buffers and arguments as its executable takes.
  package func check() throws(Diagnostic) {
    let image = executable.image
    guard buffers.count == image.bufferCount, arguments.count == image.argumentCount else {
      throw Diagnostic(
        .argument,
        "\(image.name) takes \(image.bufferCount) buffers and \(image.argumentCount) arguments, "
          + "not \(buffers.count) and \(arguments.count)")
    }
  }
}

/// Launches that run one after the other; each sees what the ones before it wrote.
package struct LaunchSequence: Sendable {
  package var launches: [Launch]
  /// Asks for `Ticket.Result.nanoseconds`.
  package var isTimed: Bool
  package init(_ launches: [Launch], isTimed: Bool = false) {
    self.launches = launches
    self.isTimed = isTimed
  }
}

/// Names a submitted sequence.
package struct Ticket: Sendable {
  package struct Result: Sendable {
    package var faults: [Fault] = []
    /// Time of each launch, if asked for.
    package var nanoseconds: [Int] = []
    package init(faults: [Fault] = [], nanoseconds: [Int] = []) {
      self.faults = faults
      self.nanoseconds = nanoseconds
    }
  }
  /// Ascending in the order of submission.
  package let number: Int
  /// What is known at submission: always the whole result on a synchronous driver.
  package let result: Result?
  package init(number: Int, result: Result? = nil) {
    self.number = number
    self.result = result
  }
}
