// The table of knobs, and stages that are dumped and replaced.
import Basics
import Foundation
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

@Suite struct KnobsTests {
  @Test func values_are_read() {
    let (knobs, problems) = Knobs.parsed([
      "AZULEJO_LOG": "graph, launch", "AZULEJO_DEVICE": "interpreter", "AZULEJO_CACHE": "off", "AZULEJO_THREADS": "3",
      "AZULEJO_STRICT": "1", "AZULEJO_SPIN": "0", "AZULEJO_MEMORY": "3G", "AZULEJO_DUMP": "/d", "PATH": "/bin",
    ])
    #expect(problems.isEmpty)
    #expect(knobs.log == [.graph, .launch])
    #expect(knobs.device == .interpreter && knobs.cache == .off && knobs.threads == 3 && knobs.strict)
    #expect(knobs.spin == 0 && knobs.memory == 3 << 30 && knobs.dump == "/d")
  }

  @Test(arguments: [
    ("LOG", "graph,color"), ("DEVICE", "gpu"), ("THREADS", "0"), ("THREADS", "two"), ("THREADS", "1025"),
    ("STRICT", "yes"),
    ("SPIN", "-1"), ("MEMORY", "0"), ("MEMORY", "9223372036854775807G"), ("MEMORY", "G"),
  ])
  func an_unreadable_value_is_named_and_the_default_stays(_ name: String, _ value: String) {
    let (knobs, problems) = Knobs.parsed(["AZULEJO_\(name)": value])
    #expect(problems.count == 1)
    #expect(problems.first?.message == "AZULEJO_\(name)=\(value) cannot be read")
    #expect(knobs.log.isEmpty && knobs.device == .cpu && knobs.threads == nil && !knobs.strict)
    #expect(knobs.spin == 100 && knobs.memory == nil)
  }

  @Test func an_unknown_knob_is_named_with_the_known_ones() throws {
    let problem = try #require(Knobs.parsed(["AZULEJO_THREAD": "2"]).problems.first)
    #expect(problem.message == "AZULEJO_THREAD is not a knob")
    #expect(problem.remedy?.contains("AZULEJO_THREADS") == true)
  }

  @Test func an_empty_variable_is_an_unset_one() {
    #expect(Knobs.parsed(Dictionary(uniqueKeysWithValues: Knobs.table.map { ($0.name, "") })).problems.isEmpty)
  }

  @Test func knobs_page_is_current() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let page = root.appending(path: "Documentation/Knobs.md")
    if ProcessInfo.processInfo.environment["AZULEJO_WRITE_DOCUMENTATION"] != nil {
      try Knobs.documentation.write(to: page, atomically: true, encoding: .utf8)
    }
    let written = try String(contentsOf: page, encoding: .utf8)
    #expect(written.split(separator: "\n") == Knobs.documentation.split(separator: "\n"))
    for line in written.split(separator: "\n") where line.hasPrefix("|") {
      #expect(line.replacing("\\|", with: "").count { $0 == "|" } == 5, "\(line)")
    }
  }

  @Test func a_dumped_stage_put_into_the_override_directory_replaces_the_stage() throws {
    var template = Array("/tmp/azulejo-stage-XXXXXX".utf8CString)
    let directory = try template.withUnsafeMutableBufferPointer { buffer in
      let base = try #require(buffer.baseAddress)
      return String(cString: try #require(mkdtemp(base)))
    }
    defer {
      unlink("\(directory)/add_f32_.tile")
      rmdir(directory)
    }
    var dumping = Knobs()
    dumping.dump = directory
    #expect(try Stage.replacement(.tile, kernel: "add<f32>/", knobs: dumping) { "body" } == nil)
    var overriding = Knobs()
    overriding.override = directory
    #expect(try Stage.replacement(.llvm, kernel: "add<f32>/", knobs: overriding) { "body" } == nil)
    #expect(try Stage.replacement(.tile, kernel: "add<f32>/", knobs: overriding) { "other" } == "body")
  }

  @Test func a_dump_that_cannot_be_written_is_an_error() {
    var knobs = Knobs()
    knobs.dump = "/dev/null/below"
    #expect(throws: Diagnostic.self) { try Stage.replacement(.tile, kernel: "k", knobs: knobs) { "body" } }
  }

  @Test func text_of_a_stage_that_nobody_wants_is_not_made() throws {
    func expensive() -> String {
      Issue.record("made")
      return ""
    }
    #expect(try Stage.replacement(.asm, kernel: "k", knobs: Knobs(), expensive) == nil)
    Log.write(.asm, expensive())
  }
}
