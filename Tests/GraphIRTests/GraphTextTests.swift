// The text form: what it looks like, that it reads back exactly, and that no text can crash the parser.
import Basics
import RandomGraphs
import Scalars
import TensorTypes
import Testing

@testable import GraphIR

private func softmax() throws -> Graph {
  var builder = GraphBuilder(name: "softmax")
  let rows = builder.extent("rows")
  let columns = builder.extent("columns")
  let stride = builder.extent("row stride")
  let x = builder.parameter("x", TensorType(.f32, [rows, columns]), strides: [stride, 1])
  let scale = builder.scalar("scale", .f32)
  let scaled = try builder.append(.multiply, x, try builder.broadcast(scale, [rows, columns]))
  let largest = try builder.append(.reduce(.maximum, axes: [1]), scaled)
  let column = try builder.append(.reshape([rows, 1]), largest)
  let shifted = try builder.append(.subtract, scaled, try builder.broadcast(column, [rows, columns]))
  return builder.finish([try builder.append(.exp, shifted)])
}

private func parseFailure(_ text: String) -> String {
  do throws(Diagnostic) {
    return "parsed \(try Graph(text: text).name)"
  } catch {
    return error.message
  }
}

@Suite struct GraphTextTests {
  static let softmaxText = """
    graph softmax(%0 x: f32[s0, s1] strides=[s2, 1]; s0 rows, s1 columns, s2 "row stride", s3 scale) {
      %1: f32[] = scalar n=3
      %2: f32[s0, s1] = broadcast shape=[s0, s1] %1
      %3: f32[s0, s1] = multiply %0, %2
      %4: f32[s0] = reduce monoid=maximum axes=[1] %3
      %5: f32[s0, 1] = reshape shape=[s0, 1] %4
      %6: f32[s0, s1] = broadcast shape=[s0, s1] %5
      %7: f32[s0, s1] = subtract %3, %6
      %8: f32[s0, s1] = exp %7
      return %8
    }
    """

  @Test func a_graph_prints_like_this() throws {
    let text = try softmax().description
    #expect(text == Self.softmaxText)
    #expect(try Graph(text: Self.softmaxText) == softmax())
  }

  @Test func every_sample_reads_back() throws {
    for sample in Primitive.samples {
      var graph = Graph(name: "one")
      graph.nodes = [GraphNode(sample, [Value(3), Value(1)], TensorType(.f32, [2, (Dim.symbol(1) * 4).minimum(7)]))]
      #expect(try Graph(text: graph.description) == graph, "\(graph)")
    }
  }

  @Test(arguments: 0..<200) func random_graphs_read_back(seed: Int) throws {
    let graph = RandomGraph.make(seed: seed, symbolic: seed % 2 == 0).graph
    #expect(try Graph(text: graph.description) == graph, "\(graph)")
  }

  @Test func parameters_and_arguments_in_any_order_read_back() throws {
    let type = TensorType(.i8, [])
    var graph = Graph(name: "a \"strange\"\nname \\")
    graph.parameters = [Parameter(name: "", type: type), Parameter(name: "é", type: type, strides: [])]
    graph.arguments = ["n", "n"]
    graph.nodes = [GraphNode(.parameter(1), [], type), GraphNode(.parameter(0), [], type)]
    #expect(try Graph(text: graph.description) == graph, "\(graph)")
    graph.parameters = []
    #expect(try Graph(text: graph.description) == graph, "\(graph)")
  }

  @Test func constants_keep_their_bits() throws {
    for value in [
      0.1, -0.0, .infinity, -.infinity, Double.leastNonzeroMagnitude, .nan, -Double.nan,
      Double(bitPattern: 0x7ff8_0000_0000_0123),
    ] {
      var graph = Graph(name: "c")
      graph.nodes = [GraphNode(.constant(ScalarConstant(.f64, value)), [], TensorType(.f64, []))]
      #expect(try Graph(text: graph.description) == graph, "\(graph)")
    }
  }

  @Test func errors_say_line_and_column() {
    #expect(parseFailure("") == "graph text 1:1: expected 'graph', found the end")
    #expect(parseFailure("graph g() {\n  %0: f33[] = exp\n}") == "graph text 2:7: expected a dtype, found 'f33[]'")
    #expect(
      parseFailure("graph g() {\n  %1: f32[] = exp\n}") == "graph text 2:3: expected the value %0, found '%1:'")
    #expect(
      parseFailure("graph g() {\n  %0: f32[] = exponent\n}")
        == "graph text 2:15: expected the name of a primitive, found 'exponent'")
    #expect(
      parseFailure("graph g() {\n  %0: f32[] = reduce monoid=sums axes=[]\n}")
        == "graph text 2:29: expected a monoid, found 'sums'")
    #expect(parseFailure("graph g() { return } x") == "graph text 1:22: expected the end, found 'x'")
    #expect(
      parseFailure("graph g() { %0: f32[99999999999999999999] = exp")
        == "graph text 1:21: expected an extent, found '9999999999999999'")
  }

  @Test func deep_nesting_is_refused() {
    let dims = String(repeating: "(", count: 100_000)
    #expect(parseFailure("graph g() { %0: f32[\(dims)").hasSuffix("levels of nesting, found '\(dims.prefix(16))'"))
    let graphs = String(repeating: "graph g() { %0: f32[] = call output=0 graph=", count: 10_000)
    #expect(parseFailure(graphs).contains("levels of nesting"))
  }

  @Test(arguments: 0..<300) func damaged_texts_never_crash(seed: Int) throws {
    var random = SeededGenerator(seed: seed)
    var bytes = Array(RandomGraph.make(seed: seed % 40, symbolic: seed % 3 == 0).graph.description.utf8)
    for _ in 0...random.below(4) {
      let place = random.below(bytes.count)
      switch random.below(4) {
      case 0: bytes[place] = UInt8(random.below(256))
      case 1: bytes.remove(at: place)
      case 2: bytes.insert(random.pick(Array("[]()%s-9:=,\"\\n e".utf8)), at: place)
      default: bytes.replaceSubrange(place..<min(bytes.count, place + 9), with: bytes.prefix(random.below(20)))
      }
      if bytes.isEmpty { bytes = [40] }
    }
    let text = String(decoding: bytes, as: UTF8.self)
    // A graph or a place in the text; and verification must not crash on what was read either.
    do throws(Diagnostic) {
      let graph = try Graph(text: text)
      #expect((try? Graph(text: graph.description)) == graph)
      do throws(Diagnostic) { try graph.verified() } catch { #expect(!error.message.isEmpty) }
    } catch {
      #expect(error.kind == .format && error.message.hasPrefix("graph text "))
    }
  }
}
