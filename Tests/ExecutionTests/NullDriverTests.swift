// The null driver finishes late: who does not wait sees it.
import Basics
import DriverNull
import Execution
import TensorTypes
import Testing

@Suite struct NullDriverTests {
  private func image(_ name: String) -> ExecutableImage {
    ExecutableImage(name: name, format: .nothing, code: [], phases: [], bufferCount: 1, argumentCount: 0)
  }

  @Test func nothing_is_done_before_someone_waits_and_waiting_keeps_the_order() throws {
    let driver = NullDriver()
    let storage = try driver.allocate(byteCount: 4)
    let tickets = try ["a", "b", "c"].map { name in
      let launch = Launch(try driver.load(image(name)), buffers: [BufferReference(storage)], arguments: [], work: 0)
      return try driver.submit(LaunchSequence([launch, launch]))
    }
    #expect(driver.history.isEmpty && driver.pendingCount == 3 && !driver.isSynchronous)
    #expect(tickets.allSatisfy { $0.result == nil })
    #expect(try driver.wait(tickets[1]).isEmpty)
    #expect(driver.history == ["a", "a", "b", "b"])
    #expect(try driver.wait(tickets[0]).isEmpty)
    #expect(driver.history == ["a", "a", "b", "b"])
    _ = try driver.wait(tickets[2])
    #expect(driver.history == ["a", "a", "b", "b", "c", "c"])
  }

  @Test func the_queue_keeps_storages_alive_until_they_were_used() throws {
    let driver = NullDriver()
    weak var watched: Storage?
    var ticket: Ticket?
    do {
      let storage = try driver.allocate(byteCount: 4)
      watched = storage
      let launch = Launch(try driver.load(image("a")), buffers: [BufferReference(storage)], arguments: [], work: 0)
      ticket = try driver.submit(LaunchSequence([launch]))
    }
    #expect(watched != nil)
    _ = try driver.wait(try #require(ticket))
    #expect(watched == nil)
  }

  @Test func a_wrong_launch_and_a_foreign_ticket_are_errors() throws {
    let driver = NullDriver()
    let launch = Launch(try driver.load(image("a")), buffers: [], arguments: [], work: 0)
    #expect(throws: Diagnostic(.argument, "a takes 1 buffers and 0 arguments, not 0 and 0")) {
      try driver.submit(LaunchSequence([launch]))
    }
    #expect(throws: Diagnostic.self) { try driver.wait(Ticket(number: 9)) }
  }

  @Test func the_fast_path_is_refused() throws {
    let executable = try NullDriver().load(image("a"))
    #expect(throws: Diagnostic.self) { try executable.run(buffers: [nil], arguments: [0], work: 0) }
  }

  @Test func a_device_is_read_from_its_name() throws {
    #expect(try Device(parsing: "cpu") == .cpu)
    #expect(try Device(parsing: "cpu:0") == .cpu)
    #expect(try Device(parsing: "null:2") == Device(.null, index: 2))
    for text in ["", "gpu", "cpu:", "cpu:-1", "cpu:x", "CPU", "cpu:1:2"] {
      #expect(throws: Diagnostic.self) { try Device(parsing: text) }
    }
  }
}
