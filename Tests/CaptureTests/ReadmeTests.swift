// The code of the README and the tour, compiled and run here. Surprise: the test reads its own source and compares.
import Capture
import Foundation
import Tensors
import Testing

@Test func readme_code_runs_and_is_this_code() throws {
  // begin
  let x = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
  let e = (x - x.max(-1, keepDims: true)).exp()
  let y = e / e.sum(-1, keepDims: true)
  // end
  // begin
  let softmax = compile { (x: Tensor) in
    let e = (x - x.max(-1, keepDims: true)).exp()
    return e / e.sum(-1, keepDims: true)
  }
  let z = try softmax(x)  // one kernel; print(softmax.explain()) says what was fused, and what was not and why
  // end
  for shares in [try y.array(as: Float.self), try z.array(as: Float.self)] {
    for (share, exact) in zip(shares, [0.26894142, 0.73105858, 0.26894142, 0.73105858] as [Float]) {
      #expect(abs(share - exact) < 1e-6)  // a few roundings of f32
    }
  }
  #expect(softmax.explain().kernelCount == 1)
  let source = try String(contentsOfFile: #filePath, encoding: .utf8)
  func trimmed(_ text: Substring) -> String {
    text.split(separator: "\n").map { $0.drop { $0 == " " } }.joined(separator: "\n")
  }
  let regions = source.matches(of: /\/\/ begin\n([\s\S]*?)\n *\/\/ end/).map { trimmed($0.1) }
  let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
  for (page, code) in [("README.md", regions), ("Documentation/Tour.md", [regions[0]])] {
    let text = try String(contentsOf: root.appending(path: page), encoding: .utf8)
    let blocks = text.matches(of: /```swift\n([\s\S]*?)\n```/).map { trimmed($0.1) }
    #expect(blocks == code, "\(page) holds code that no test runs")
  }
}
