// The pages of Documentation/Extending: their code is this code, and every file that they name is there.
// Not tests of what is extended. Surprise: the test reads its own source and compares, block by block, in order.
import Backends
import Basics
import Capture
import DriverInterpreter
import Engine
import Execution
import Foundation
import Fusion
import Fuzzing
import GraphIR
import RandomGraphs
import Scalars
import Synchronization
import Targets
import TensorTypes
import Tensors
import Testing

// MARK: Operation

// begin Operation
extension Tensor {
  private static let softClipping = PointwiseOperation("softclip", .floating) { x in x[0] / (1 + x[0].abs()) }

  /// x / (1 + |x|), between -1 and 1.
  func softClipped(file: StaticString = #fileID, line: UInt = #line) -> Tensor {
    Self.softClipping(file, line, .tensor(self))
  }
}
// end

// begin Operation
extension Primitive {
  static let cubed = Pointwise.add(
    Pointwise("cubed", "x * x * x; integers wrap.", operands: 1, on: .numbers, .input(0) * .input(0) * .input(0)))
}
// end
// begin Operation
extension Tensor {
  private static let cubing = PointwiseOperation(.cubed, .promoted)

  /// x * x * x.
  func cubed(file: StaticString = #fileID, line: UInt = #line) -> Tensor { Self.cubing(file, line, .tensor(self)) }
}
// end

@Test func an_operation_is_a_formula_or_a_record_and_a_method() throws {
  // begin Operation
  let x = Tensor([-3, 0, 1] as [Float])
  let f = compile { (x: Tensor) in x.softClipped() + x.cubed() }
  print(try f(x), f.explain().kernelCount)  // [-27.75, 0, 1.5], in one kernel
  // end
  #expect(try (x.softClipped() + x.cubed()).array() == [-27.75, 0, 1.5] as [Float])
  #expect(try f(x).array() == [-27.75, 0, 1.5] as [Float] && f.explain().kernelCount == 1)
}

// MARK: DType

@Test func a_dtype_answers_everywhere() throws {
  // begin DType
  #expect(DType.allCases.count <= DTypes.RawValue.bitWidth)
  for dtype in DType.allCases {
    let ones = Tensor([1, 0, 1] as [Float]).converted(to: dtype)
    #expect(try ones.converted(to: .f64).array() == [1, 0, 1] as [Double])
    let text = "graph g(%0 x: \(dtype)[3]) {\n  return %0\n}\n"
    #expect(try Graph(text: text).parameters[0].type.dtype == dtype)
    let one = ScalarConstant(dtype, 1).value
    #expect(one == (dtype.isFloating ? .float(1) : .integer(1)))
  }
  // end
}

// MARK: GraphPass

@Test func a_pass_is_a_function_with_a_name_and_a_property() throws {
  // begin GraphPass
  let pass = GraphPass(name: "doubles") { graph throws(Diagnostic) in
    try graph.rewritten { node, operands, builder throws(Diagnostic) in
      // x + x is x * 2, of integers: no element differs.
      guard node.primitive == .add, operands[0] == operands[1], node.type.dtype.isInteger else { return .keep }
      let two = try builder.filled(ScalarConstant(node.type.dtype, 2), node.type.shape)
      return .value(try builder.append(.multiply, operands[0], two))
    }.withoutDeadNodes()
  }
  // end
  // begin GraphPass
  let graph = try Graph(text: "graph g(%0 x: i32[3]) {\n  %1: i32[3] = add %0, %0\n  return %1\n}\n")
  print(try pass.checked(graph))  // %1: i32[] = constant ..., broadcast, multiply
  // end
  #expect(try pass.checked(graph).nodes.contains { $0.primitive == .multiply })
  // begin GraphPass
  for seed in 0..<20 {
    let sample = RandomGraph.make(seed: seed, pointwise: [.negate, .add])
    #expect(try CaseRun(sample, passes: [pass]).outcome([.passes]).finding == nil)
  }
  // end
}

// MARK: FusionRule

@Test func what_fusion_decides_is_data() throws {
  // begin FusionRule
  let graph = try Graph(
    text: """
      graph g(%0 x: f32[64, 48], %1 w: f32[48, 32]) {
        %2: f32[64] = reduce monoid=maximum axes=[1] %0
        %3: f32[64, 1] = reshape shape=[64, 1] %2
        %4: f32[64, 48] = broadcast shape=[64, 48] %3
        %5: f32[64, 48] = subtract %0, %4
        %6: f32[64, 48] = exp %5
        %7: f32[64, 32] = contraction batch=[] contracted=[1:0] %6, %1
        return %7
      }
      """)
  let schedule = try Fuser.schedule(graph, SchedulingContext(target: .x86Version4))
  print(schedule.text())  // nests, then: refused: %6 is computed over other axes than its consumer
  for step in schedule.steps { print(step.kernel.text) }
  // end
  #expect(schedule.refusals.contains { $0.reason == .otherDomain })
  #expect(schedule.steps.flatMap(\.nests).count == 2)
  try schedule.verified()
}

@Test func a_rule_says_what_it_costs() throws {
  // begin FusionRule
  let gated = try Graph(
    text: """
      graph gated(%0 x: f32[64], %1 w: f32[4096, 64]) {
        %2: f32[64] = sigmoid %0
        %3: f32[64] = multiply %0, %2
        %4: f32[4096] = contraction batch=[] contracted=[0:1] %3, %1
        return %4
      }
      """)
  let stored = try Fuser.schedule(gated, SchedulingContext(target: .x86Version4))
  print(stored.refusals[0])  // %3 is cheaper stored (... bytes) than computed again where it is needed (... bytes)
  // end
  #expect(stored.refusals.count == 1 && stored.steps.count == 1)
  guard case .cheaperStored(let choice) = stored.refusals[0].reason else {
    Issue.record("\(stored.refusals[0])")
    return
  }
  #expect(choice.stored < choice.recomputed)
}

// MARK: BackEnd

// begin BackEnd
final class CountingDriver: Driver {
  let device = Device.interpreter
  let isSynchronous = false
  private let inner = InterpreterDriver()
  private let count = Atomic<Int>(0)
  var launches: Int { count.load(ordering: .relaxed) }

  func load(_ image: ExecutableImage) throws(Diagnostic) -> any Executable { try inner.load(image) }

  func submit(_ sequence: LaunchSequence) throws(Diagnostic) -> Ticket {
    count.add(sequence.launches.count, ordering: .relaxed)
    return try inner.submit(sequence)
  }

  func wait(_ ticket: Ticket) throws(Diagnostic) -> [Fault] { try inner.wait(ticket) }
}
// end

@Test func a_back_end_is_code_and_a_driver() throws {
  // begin BackEnd
  let graph = try Graph(text: "graph g(%0 x: f32[3]) {\n  %1: f32[3] = negate %0\n  return %1\n}\n")
  let kernel = try Fuser.schedule(graph, SchedulingContext(target: .x86Version4)).steps[0].kernel
  let image = try Backend.make(.interpreter).image(kernel)
  let driver = CountingDriver()
  let (x, y) = (try driver.allocate(byteCount: 12), try driver.allocate(byteCount: 12))
  x.bytes.copyBytes(from: [1, 2, 3].flatMap { withUnsafeBytes(of: Float($0), Array.init) })
  let launch = Launch(
    try driver.load(image), buffers: [BufferReference(x), BufferReference(y)], arguments: [], work: 0)
  let faults = try driver.wait(driver.submit(LaunchSequence([launch])))
  // end
  #expect(faults.isEmpty && driver.launches == 1)
  #expect((0..<3).map { y.bytes.load(fromByteOffset: 4 * $0, as: Float.self) } == [-1, -2, -3])
}

// MARK: The pages

@Suite struct PageTests {
  private let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")

  private func trimmed(_ text: Substring) -> String {
    text.split(separator: "\n").map { $0.drop { $0 == " " } }.joined(separator: "\n")
  }

  @Test(arguments: ["Operation", "DType", "GraphPass", "FusionRule", "BackEnd"])
  func a_page_holds_code_that_runs_and_files_that_exist(page: String) throws {
    let text = try String(contentsOf: root.appending(path: "Documentation/Extending/\(page).md"), encoding: .utf8)
    let source = try String(contentsOfFile: #filePath, encoding: .utf8)
    let regions = source.matches(of: /\/\/ begin (\w+)\n([\s\S]*?)\n *\/\/ end/).filter { $0.1 == page }
    let blocks = text.matches(of: /```swift\n([\s\S]*?)\n```/).map { trimmed($0.1) }
    #expect(!blocks.isEmpty && blocks == regions.map { trimmed($0.2) })
    let paths = text.matches(of: /`((?:Sources|Tests|Documentation|scripts)\/[^` ]*)`/).map { String($0.1) }
    #expect(paths.count >= 3)
    for path in paths {
      #expect(FileManager.default.fileExists(atPath: root.appending(path: path).path), "\(page): \(path)")
    }
  }

  /// What stands in backticks in the first column is declared in the sources.
  @Test func the_glossary_names_what_exists() throws {
    let text = try String(contentsOf: root.appending(path: "Documentation/Glossary.md"), encoding: .utf8)
    let sources = try #require(FileManager.default.enumerator(atPath: root.appending(path: "Sources").path))
    var all = ""
    for case let file as String in sources where file.hasSuffix(".swift") {
      all += try String(contentsOf: root.appending(path: "Sources/\(file)"), encoding: .utf8)
    }
    let rows = text.matches(of: /\n\| ([^|\n]+) \| ([^|\n]*) \|/).dropFirst().filter { !$0.1.hasPrefix("---") }
    #expect(rows.count >= 20)
    for row in rows {
      for name in row.2.matches(of: /`(\w+)`/).map(\.1) {
        let isDeclared = ["struct", "enum", "class", "protocol", "case", "func", "let", "var", "extension"].contains {
          all.contains("\($0) \(name)")
        }
        #expect(isDeclared, "\(row.1): \(name)")
      }
    }
  }
}
