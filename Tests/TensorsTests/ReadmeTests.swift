// The code of the README and the tour, compiled and run here. Surprise: the test reads its own source and compares.
import Foundation
import Tensors
import Testing

@Test func readme_code_runs_and_is_this_code() throws {
  // begin
  let x = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
  let e = (x - x.max(-1, keepDims: true)).exp()
  let y = e / e.sum(-1, keepDims: true)
  // end
  let shares: [Float] = try y.array()
  for (share, exact) in zip(shares, [0.26894142, 0.73105858, 0.26894142, 0.73105858] as [Float]) {
    #expect(abs(share - exact) < 1e-6)  // a few roundings of f32
  }
  let source = try String(contentsOfFile: #filePath, encoding: .utf8)
  let region = try #require(source.firstMatch(of: /\/\/ begin\n([\s\S]*?)\n *\/\/ end/))
  let code = region.1.split(separator: "\n").map { $0.drop { $0 == " " } }.joined(separator: "\n")
  let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
  for page in ["README.md", "Documentation/Tour.md"] {
    let text = try String(contentsOf: root.appending(path: page), encoding: .utf8)
    let blocks = text.matches(of: /```swift\n([\s\S]*?)\n```/).map { String($0.1) }
    #expect(blocks == [code], "\(page) holds code that no test runs")
  }
}
