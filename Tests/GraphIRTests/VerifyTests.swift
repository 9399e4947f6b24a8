// The verifier accepts what the builder makes and finds each kind of planted error.
import Basics
import Foundation
import RandomGraphs
import Scalars
import TensorTypes
import Testing

@testable import GraphIR

private func complaint(_ text: String) throws -> String {
  let graph = try Graph(text: text)
  do throws(Diagnostic) {
    try graph.verified()
    return "accepted"
  } catch {
    return error.message
  }
}

@Suite struct VerifyTests {
  @Test(arguments: 0..<100) func built_graphs_are_accepted(seed: Int) throws {
    let graph = RandomGraph.make(seed: seed, symbolic: seed % 2 == 0).graph
    #expect(try graph.verified() == graph)
    #expect(graph.nodes.count >= 20, "the generator stalls: \(graph)")
  }

  @Test func planted_errors_are_found() throws {
    #expect(
      try complaint("graph g(%0 x: f32[2]) { %1: f32[2] = exp %1 return %1 }")
        == "graph g, %1: exp: its operand %1 does not come before it")
    #expect(
      try complaint("graph g(%0 x: f32[2]) { %1: f32[3] = exp %0 return %1 }")
        == "graph g, %1: exp: its type is f32[3], the rule gives f32[2]")
    #expect(
      try complaint("graph g(%0 x: i64[2]) { %1: i64[2] = exp %0 return %1 }")
        == "graph g, %1: exp (C1): the operand is i64")
    #expect(
      try complaint("graph g(%0 x: f32[s0, s1]; s0 n, s1 n) { return %0 }")
        == "graph g: two of its arguments have one name: [\"n\", \"n\"]")
    #expect(try complaint("graph g(%0 x: f32[2]) { return %1 }") == "graph g: returns %1, but has 1 values")
    #expect(
      try complaint("graph g(%0 x: f32[s0]) { return %0 }")
        == "graph g, parameter 0 (x): s0 is none of 0 arguments")
    #expect(
      try complaint("graph g(%0 x: f32[2] strides=[]) { return %0 }")
        == "graph g, parameter 0 (x): [2] has 1 axes, 0 strides are given")
    #expect(
      try complaint("graph g(%0 x: f32[-2]) { return %0 }") == "graph g, parameter 0 (x): the extent -2 is negative")
    #expect(
      try complaint("graph g() { %0: f32[] = parameter n=0 return %0 }")
        == "graph g, %0: parameter (C1): there is no parameter 0 among 0")
    #expect(
      try complaint("graph g(; s0 n) { %0: f32[1] = scalar n=0 return %0 }")
        == "graph g, %0: scalar: its type is f32[1], the rule gives f32[]")
    #expect(
      try complaint("graph g() { %0: f32[] = scalar n=0 return %0 }")
        == "graph g, %0: scalar (C1): there is no argument 0 among 0")
    #expect(
      try complaint(
        """
        graph g(%0 x: f32[2]) {
          %1: f32[2] = call output=0 graph=graph h(%0 y: f32[2]) { %1: f32[2] = exp %5 return %1 } %0
          return %1
        }
        """) == "graph g, %1: graph h, %1: exp: its operand %5 does not come before it")
  }

  /// The names that a declaration gives, read from it: neither an enum with payloads nor static members can be listed.
  private func declared(_ file: String, _ keyword: String) throws -> [String] {
    let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Sources/GraphIR/\(file).swift")
    let text = try String(contentsOf: file, encoding: .utf8)
    let declaration = text.prefix(upTo: try #require(text.range(of: "\n}\n")).lowerBound)
    return declaration.split(separator: "\n").map { $0.trimmingPrefix(while: \.isWhitespace) }
      .filter { $0.hasPrefix(keyword) }.flatMap { line in
        // Commas inside payloads separate no cases.
        line.dropFirst(keyword.count).replacing(/(\(| = ).*/, with: "").split(separator: ",").map {
          $0.trimmingCharacters(in: .whitespaces)
        }
      }
  }

  @Test func samples_cover_every_primitive_once() throws {
    let names = Primitive.samples.map(\.name)
    #expect(Set(names).count == names.count)
    var labels: [String] = []
    for sample in Primitive.samples {
      let label = try #require(Mirror(reflecting: sample).children.first?.label)
      if label != labels.last, !(label == "pointwise" && labels.contains(label)) { labels.append(label) }
    }
    let cases = try declared("Primitive", "case ")
    #expect(labels.sorted() == cases.sorted())
    let records = try ["Pointwise+Unary", "Pointwise+Binary"].map { try declared($0, "package static let ") }
    let pointwise = Primitive.samples.filter { if case .pointwise = $0 { true } else { false } }
    #expect(pointwise.count == records[0].count + records[1].count)
    for sample in Primitive.samples { #expect(sample.with(sample.payload) == sample, "\(sample.name)") }
  }
}
