// The late driver's promises: order, memory kept until it was used, faults told when somebody waits.
// Not what it finds: whole suites run on it (AZULEJO_DEVICE=late).
import Basics
import DriverLate
import Execution
import TensorTypes
import Testing

/// Adds its argument to the first word of its buffer, at once.
private final class Adder: Executable {
  let image: ExecutableImage
  init(_ image: ExecutableImage) { self.image = image }

  func run(
    buffers: UnsafePointer<UnsafeMutableRawPointer?>, arguments: UnsafePointer<Int64>, work: Int
  ) throws(Diagnostic) -> Fault? {
    guard let word = buffers[0]?.assumingMemoryBound(to: Int64.self) else { return nil }
    if arguments[0] < 0 { throw Diagnostic(.device, "\(arguments[0]) is refused") }
    if arguments[0] == 0 { return Fault(kind: .divisionByZero, phase: 0, instance: 0, index: 0, extent: 0) }
    word.pointee = 10 * word.pointee + arguments[0]
    return nil
  }
}

private final class AdderDriver: Driver {
  let device = Device.cpu
  let isSynchronous = true
  func load(_ image: ExecutableImage) throws(Diagnostic) -> any Executable { Adder(image) }

  func submit(_ sequence: LaunchSequence) throws(Diagnostic) -> Ticket {
    var result = Ticket.Result()
    for launch in sequence.launches {
      let addresses = launch.buffers.map { $0.address as UnsafeMutableRawPointer? }
      let fault = try launch.executable.run(buffers: addresses, arguments: launch.arguments, work: launch.work)
      if let fault { result.faults.append(fault) }
    }
    return Ticket(number: 0, result: result)
  }

  func wait(_ ticket: Ticket) throws(Diagnostic) -> [Fault] { ticket.result?.faults ?? [] }
}

@Suite struct LateDriverTests {
  private let driver = LateDriver(over: AdderDriver(), delays: 20_000...20_000)
  private let image = ExecutableImage(
    name: "add", format: .nothing, code: [], phases: [], bufferCount: 1, argumentCount: 1)

  private func launch(_ storage: Storage, _ number: Int64) throws -> Launch {
    Launch(try driver.load(image), buffers: [BufferReference(storage)], arguments: [number], work: 0)
  }

  private func word(_ storage: Storage) -> Int64 { storage.bytes.load(as: Int64.self) }

  @Test func sequences_are_done_late_and_in_order() throws {
    let storage = try driver.allocate(byteCount: 8)
    #expect(word(storage) == -1)
    storage.bytes.storeBytes(of: 0, as: Int64.self)
    let tickets = try [[1, 2], [3], [4]].map { numbers in
      try driver.submit(LaunchSequence(numbers.map { try launch(storage, $0) }))
    }
    #expect(word(storage) == 0 && tickets.allSatisfy { $0.result == nil } && !driver.isSynchronous)
    #expect(try driver.wait(tickets[2]).isEmpty)
    #expect(word(storage) == 1234)
    #expect(try driver.wait(tickets[0]).isEmpty)
  }

  @Test func memory_is_kept_until_it_was_used() throws {
    weak var watched: Storage?
    let ticket: Ticket
    do {
      let storage = try driver.allocate(byteCount: 8)
      watched = storage
      ticket = try driver.submit(LaunchSequence([launch(storage, 1)]))
    }
    #expect(watched != nil)
    _ = try driver.wait(ticket)
    // The queue may still be letting go of the work that is done.
    _ = try driver.wait(ticket)
    #expect(watched == nil)
  }

  @Test func faults_and_errors_belong_to_their_ticket() throws {
    let storage = try driver.allocate(byteCount: 8)
    let fault = try driver.submit(LaunchSequence([launch(storage, 0)]))
    let error = try driver.submit(LaunchSequence([launch(storage, -5)]))
    let good = try driver.submit(LaunchSequence([launch(storage, 1)]))
    #expect(try driver.wait(good).isEmpty)
    #expect(throws: Diagnostic(.device, "-5 is refused")) { try driver.wait(error) }
    #expect(try driver.wait(fault).map(\.kind) == [.divisionByZero])
  }

  @Test func what_is_not_of_the_device_is_refused() throws {
    let other = try Storage(byteCount: 8)
    #expect(throws: Diagnostic(.device, "add was given memory of cpu on late")) {
      try driver.submit(LaunchSequence([launch(other, 1)]))
    }
    let foreign = Launch(Adder(image), buffers: [BufferReference(other)], arguments: [1], work: 0)
    #expect(throws: Diagnostic.self) { try driver.submit(LaunchSequence([foreign])) }
    let short = Launch(try driver.load(image), buffers: [], arguments: [1], work: 0)
    #expect(throws: Diagnostic.self) { try driver.submit(LaunchSequence([short])) }
    #expect(throws: Diagnostic.self) { try driver.wait(Ticket(number: 1)) }
    #expect(throws: Diagnostic.self) { try driver.load(image).run(buffers: [nil], arguments: [1], work: 0) }
  }
}
