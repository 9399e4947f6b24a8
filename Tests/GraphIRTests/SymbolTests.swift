// Symbols that get other names while a graph grows: as if they had had them from the beginning.
import Basics
import GraphIR
import RandomGraphs
import Scalars
import TensorTypes
import Testing

@Suite struct SymbolTests {
  /// Appends nodes that have symbols in types, payloads and strides; `now` says an extent by its name of now.
  private struct Growing {
    var builder = GraphBuilder(name: "growing")
    var values: [Value] = []

    mutating func grow(_ turn: Int, _ extents: (Dim, Dim), _ now: (Dim) -> Dim) throws {
      let (a, b) = (now(extents.0), now(extents.1))
      switch turn % 4 {
      case 0:
        values.append(builder.parameter("p\(turn)", TensorType(.f32, Shape([a, b])), strides: [b * 3, 3]))
      case 1:
        values.append(try builder.append(.iota(axis: 1, Shape([b, a])), []))
      case 2:
        let source = try builder.append(.iota(axis: 0, Shape([a + b, b])), [])
        values.append(try builder.append(.slice(starts: [a, 0], counts: [b, b], steps: [1, 1]), source))
      default:
        guard let last = values.last else { return }
        let zero = try builder.append(.constant(ScalarConstant(builder.dtype(last), 0)), [])
        values.append(try builder.append(.pad(low: [a, b], high: [0, 0]), last, zero))
      }
    }
  }

  @Test(arguments: 0..<40) func names_given_one_by_one_are_those_given_from_the_start(_ seed: Int) throws {
    var random = SeededGenerator(seed: seed, name: "symbols")
    let symbols = (0..<6).map { Dim.symbol($0) }
    var renamed: [Int: Dim] = [:]
    func now(_ dim: Dim) -> Dim { dim.substituting { renamed[$0] ?? .symbol($0) } }
    var (growing, plain) = (Growing(), Growing())
    for turn in 0..<30 {
      let extents = (symbols.randomElement(using: &random)!, symbols.randomElement(using: &random)! + 1)
      try growing.grow(turn, extents, now)
      try plain.grow(turn, extents) { $0 }
      guard turn % 3 == 2, let symbol = (0..<6).filter({ renamed[$0] == nil }).randomElement(using: &random) else {
        continue
      }
      let other = (0..<6).filter { $0 != symbol && renamed[$0] == nil }.randomElement(using: &random)
      let value: Dim = other.map { [Dim.symbol($0), Dim.symbol($0) * 2, 5][turn / 3 % 3] } ?? 7
      renamed = renamed.mapValues { $0.substituting { $0 == symbol ? value : .symbol($0) } }
      renamed[symbol] = value
      growing.builder.replace(symbol: symbol, by: value)
    }
    #expect(renamed.count > 4)
    #expect(growing.builder.graph == plain.builder.graph.renamed(now))
  }
}
