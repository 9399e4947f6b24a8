import Basics
import DriverInterpreter
import Execution
import Scalars
import TensorTypes
import Testing
import TileIR

@Suite struct InterpreterDriverTests {
  private let driver = InterpreterDriver()

  /// y = x[i] over N elements, gathered.
  private func gather(_ start: String = "t0") throws -> any Executable {
    let text = """
      kernel @gather(N) {
        input x: f32[N] strides [1]
        input i: i64[N] strides [1]
        output y: f32[N] strides [1]
        phase grid (1) {
          %0 = load i[t0] : i64[N]
          %1 = load x[[%0]] fill -1.0 : f32[N]
          store y[\(start)], %1
        }
      }
      """
    return try driver.load(
      ExecutableImage(
        name: "gather", format: .tileText, code: Array(text.utf8), phases: [], bufferCount: 3, argumentCount: 1))
  }

  private func storage<T: BitwiseCopyable>(_ values: [T]) throws -> Storage {
    let storage = try driver.allocate(byteCount: values.count * MemoryLayout<T>.stride)
    values.withUnsafeBytes { storage.bytes.copyMemory(from: $0) }
    return storage
  }
  private func floats(_ storage: Storage, _ count: Int) -> [Float] {
    (0..<count).map { storage.bytes.load(fromByteOffset: 4 * $0, as: Float.self) }
  }

  @Test func a_launch_runs_and_its_faults_are_reported_with_their_number() throws {
    let executable = try gather()
    let x = try storage([10, 20, 30] as [Float])
    let (good, bad) = (try storage([2, 0, 1]), try storage([0, 3, 1]))
    let outputs = [try storage([0, 0, 0] as [Float]), try storage([0, 0, 0] as [Float])]
    let launches = [(good, outputs[0]), (bad, outputs[1])].map { index, y in
      Launch(
        executable, buffers: [BufferReference(x), BufferReference(index), BufferReference(y)], arguments: [3], work: 0)
    }
    let ticket = try driver.submit(LaunchSequence(launches, isTimed: true))
    let faults = try driver.wait(ticket)
    #expect(faults == [Fault(kind: .index, launch: 1, phase: 0, instance: 0, index: 3, extent: 3)])
    #expect(floats(outputs[0], 3) == [30, 10, 20] && floats(outputs[1], 3) == [10, -1, 20])
    #expect(ticket.result?.nanoseconds.count == 2)
  }

  @Test func offsets_of_a_storage_are_honoured() throws {
    let x = try storage([0, 10, 20] as [Float])
    let i = try storage([9, 1, 0])
    let y = try storage([7, 0, 0] as [Float])
    let buffers = [BufferReference(x, offset: 4), BufferReference(i, offset: 8), BufferReference(y, offset: 4)]
    _ = try driver.submit(LaunchSequence([Launch(try gather(), buffers: buffers, arguments: [2], work: 0)]))
    #expect(floats(y, 3) == [7, 20, 10])
  }

  @Test func a_wrong_kernel_or_a_short_storage_throws() throws {
    let x = try storage([1, 2] as [Float])
    let i = try storage([0, 1])
    let cases: [(any Executable, [Float], String)] = [
      (try gather(), [0], "outside the buffer's memory"), (try gather("1 + t0"), [0, 0], "out of bounds"),
    ]
    for (executable, values, what) in cases {
      let y = try storage(values)
      let launch = Launch(executable, buffers: [x, i, y].map { BufferReference($0) }, arguments: [2], work: 0)
      let error = #expect(throws: Diagnostic.self) { try driver.submit(LaunchSequence([launch])) }
      #expect(error?.message.contains(what) == true, "\(String(describing: error))")
    }
  }

  @Test func the_fast_path_takes_sizes_from_the_kernel() throws {
    let x = try storage([1, 2] as [Float])
    let (i, y) = (try storage([1, 5]), try storage([0, 0] as [Float]))
    let addresses = [x, i, y].map { Optional($0.address) }
    let fault = try gather().run(buffers: addresses, arguments: [2], work: 0)
    #expect(fault?.index == 5 && floats(y, 2) == [2, -1])
    let arguments: [Int64] = [.max]
    #expect(throws: Diagnostic.self) { try gather().run(buffers: addresses, arguments: arguments, work: 0) }
  }

  @Test func images_without_tile_text_are_refused() {
    let image = ExecutableImage(name: "k", format: .object, code: [], phases: [], bufferCount: 0, argumentCount: 0)
    #expect(throws: Diagnostic.self) { try driver.load(image) }
    var text = image
    text.format = .tileText
    text.code = Array("kernel @".utf8)
    let broken = text
    #expect(throws: Diagnostic.self) { try driver.load(broken) }
  }
}
