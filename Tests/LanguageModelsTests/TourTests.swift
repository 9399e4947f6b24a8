// Documentation/Tour.md says what is so: its traces are renewed and compared, its Swift is the code that runs here.
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct TourTests {
  private static let tour: String = {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return tests.deletingLastPathComponent().appendingPathComponent("Documentation/Tour.md").path
  }()

  private func contents(_ path: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
  }

  @Test func the_traces_in_the_tour_are_what_the_command_prints_now() throws {
    let scratch = try ScratchFolder()
    let written = try contents(Self.tour)
    let copy = try scratch.write(written.utf8, "Tour.md")
    let outcome = try azulejo(["trace", "--update", copy])
    #expect(outcome.code == 0, "\(outcome)")
    #expect(outcome.errors.contains("5 traces"))
    // If this fails after a change of the compiler: azulejo trace --update Documentation/Tour.md
    #expect(try contents(copy) == written)
  }

  @Test func files_without_traces_stay_as_they_are() throws {
    let scratch = try ScratchFolder()
    let contents: [(name: String, bytes: [UInt8])] = [
      ("binary", [0xFF, 0xFE, 0, 10, 0xC3]), ("text.md", Array("# No trace\n".utf8)), ("empty", []),
      ("latin", Array("<!-- azulejo trace softmax -->\n```\n```\n".utf8) + [0xE9]),
    ]
    for (name, bytes) in contents {
      let path = try scratch.write(bytes, name)
      let outcome = try azulejo(["trace", "--update", path])
      #expect(outcome.code == 1 && outcome.errors.contains(path), "\(outcome)")
      #expect(try Array(Data(contentsOf: URL(fileURLWithPath: path))) == bytes, "\(name)")
    }
    #expect(try azulejo(["trace", "--update", "/dev/zero"]).code == 1)
  }

  @Test func the_first_program_of_the_tour_runs() throws {
    let x = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    let e = (x - x.max(-1, keepDims: true)).exp()
    let y = e / e.sum(-1, keepDims: true)
    let smaller = Float(1 / (1 + Foundation.exp(1.0)))
    for (value, expected) in zip(try y.array(as: Float.self), [smaller, 1 - smaller, smaller, 1 - smaller]) {
      // Three roundings of float32.
      #expect(abs(value - expected) < 2e-7)
    }
    let here = try contents(#filePath)
    let blocks = try contents(Self.tour).components(separatedBy: "```swift\n").dropFirst()
    #expect(blocks.count == 1)
    for line in try #require(blocks.first).components(separatedBy: "```")[0].split(separator: "\n") {
      #expect(here.contains("    \(line)\n"), "not run here: \(line)")
    }
  }
}
