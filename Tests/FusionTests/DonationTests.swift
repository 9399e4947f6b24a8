// Every way to write results over parameters, behind every way to read the old value: a matrix against the reference.
// Not range writes into caches (RangeTests). Surprise: the sanitizer is on, so an element that another instance reads is a
// finding even where its new value is the old one.
import Basics
import Fusion
import GraphIR
import Scalars
import TensorTypes
import Testing

/// Values over [3, 3, 3] that read `p` and `q`; the last line's is %9.
private let computed: [String: String] = [
  "elementwise": "%9: f32[3, 3, 3] = negate %0",
  "of both": "%9: f32[3, 3, 3] = multiply %0, %1",
  "below its rows' maximum": """
  %2: f32[3, 3] = reduce monoid=maximum axes=[2] %0
  %3: f32[3, 3, 1] = reshape shape=[3, 3, 1] %2
  %4: f32[3, 3, 3] = broadcast shape=[3, 3, 3] %3
  %9: f32[3, 3, 3] = subtract %0, %4
  """,
  "beside the other's sums": """
  %2: f32[3, 3] = reduce monoid=sum axes=[1] %1
  %3: f32[3, 1, 3] = reshape shape=[3, 1, 3] %2
  %4: f32[3, 3, 3] = broadcast shape=[3, 3, 3] %3
  %9: f32[3, 3, 3] = add %0, %4
  """,
  "with a column written": """
  %2: f32[3, 3, 3] = negate %0
  %3: f32[3, 3, 1] = slice starts=[0, 0, 1] counts=[3, 3, 1] steps=[1, 1, 1] %1
  %9: f32[3, 3, 3] = assign starts=[0, 0, 2] steps=[1, 1, 1] %2, %3
  """,
  "with a column written behind its rows": """
  %2: f32[3] = reduce monoid=maximum axes=[1, 2] %0
  %3: f32[3, 1, 1] = reshape shape=[3, 1, 1] %2
  %4: f32[3, 3, 3] = broadcast shape=[3, 3, 3] %3
  %5: f32[3, 3, 3] = subtract %0, %4
  %6: f32[3, 3, 1] = slice starts=[0, 0, 0] counts=[3, 3, 1] steps=[1, 1, 1] %1
  %9: f32[3, 3, 3] = assign starts=[0, 0, 2] steps=[1, 1, 1] %5, %6
  """,
  "scanned": "%9: f32[3, 3, 3] = scan monoid=sum axis=1 %0",
  "scattered": """
  %2: i64[3, 3, 3] = iota axis=0 shape=[3, 3, 3]
  %9: f32[3, 3, 3] = scatter axis=0 combine=sum %0, %2, %1
  """,
  "in pieces": """
  %2: f32[1, 3, 3] = slice starts=[2, 0, 0] counts=[1, 3, 3] steps=[1, 1, 1] %0
  %3: f32[2, 3, 3] = slice starts=[0, 0, 0] counts=[2, 3, 3] steps=[1, 1, 1] %1
  %9: f32[3, 3, 3] = concatenate axis=0 %2, %3
  """,
  "a parameter": "%9: f32[3, 3, 3] = reshape shape=[3, 3, 3] %0",
]

/// Ways from %9 to %19.
private let moved: [String: String] = [
  "as it is": "%19: f32[3, 3, 3] = exp2 %9",
  "permuted 021": "%19: f32[3, 3, 3] = permute permutation=[0, 2, 1] %9",
  "permuted 102": "%19: f32[3, 3, 3] = permute permutation=[1, 0, 2] %9",
  "permuted 120": "%19: f32[3, 3, 3] = permute permutation=[1, 2, 0] %9",
  "permuted 201": "%19: f32[3, 3, 3] = permute permutation=[2, 0, 1] %9",
  "permuted 210": "%19: f32[3, 3, 3] = permute permutation=[2, 1, 0] %9",
  "turned": "%19: f32[3, 3, 3] = slice starts=[0, 2, 2] counts=[3, 3, 3] steps=[1, -1, -1] %9",
  "rolled": """
  %12: f32[3, 3, 1] = slice starts=[0, 0, 2] counts=[3, 3, 1] steps=[1, 1, 1] %9
  %13: f32[3, 3, 2] = slice starts=[0, 0, 0] counts=[3, 3, 2] steps=[1, 1, 1] %9
  %19: f32[3, 3, 3] = concatenate axis=2 %12, %13
  """,
  "padded": """
  %12: f32[3, 3, 2] = slice starts=[0, 0, 1] counts=[3, 3, 2] steps=[1, 1, 1] %9
  %13: f32[] = constant value=2.0:f32
  %14: f32[3, 3, 3] = pad low=[0, 0, 0] high=[0, 0, 1] %12, %13
  %19: f32[3, 3, 3] = add %14, %9
  """,
  "reshaped": """
  %12: f32[9, 3] = reshape shape=[9, 3] %9
  %13: f32[3, 9] = permute permutation=[1, 0] %12
  %19: f32[3, 3, 3] = reshape shape=[3, 3, 3] %13
  """,
  "picked": """
  %12: i64[3, 3, 3] = iota axis=1 shape=[3, 3, 3]
  %19: f32[3, 3, 3] = gather axis=0 %9, %12
  """,
  "beside its first column": """
  %12: f32[3, 3, 1] = slice starts=[0, 0, 0] counts=[3, 3, 1] steps=[1, 1, 1] %9
  %13: f32[3, 3, 3] = broadcast shape=[3, 3, 3] %12
  %19: f32[3, 3, 3] = add %13, %9
  """,
  "with a row of itself written": """
  %12: f32[1, 3, 3] = slice starts=[1, 0, 0] counts=[1, 3, 3] steps=[1, 1, 1] %9
  %19: f32[3, 3, 3] = assign starts=[0, 0, 0] steps=[1, 1, 1] %9, %12
  """,
]

/// Every way to give outputs parameters: none, one or both.
private func donations(outputs: Int) -> [[Donation]] {
  var made: [[Donation]] = [[]]
  for p in 0..<2 {
    made += made.flatMap { before in
      (0..<outputs).filter { o in !before.contains { $0.output == o } }.map {
        before + [Donation(output: $0, parameter: p)]
      }
    }
  }
  return made
}

/// The numbers of the values in text are those of its lines.
private func graph(
  _ first: String, _ second: String, returning results: String, strides: String = ""
) throws -> Graph {
  var numbers: [Substring: Int] = ["0": 0, "1": 1]
  var lines: [String] = []
  func renumbered(_ text: Substring) -> String {
    String(text).replacing(/%(\d+)/) { match in "%\(numbers[match.1] ?? -1)" }
  }
  for line in (first + "\n" + second).split(separator: "\n") {
    let colon = try #require(line.firstIndex(of: ":"))
    let rest = renumbered(line[colon...])
    numbers[line[..<colon].dropFirst()] = numbers.count
    lines.append("  \(renumbered(line[..<colon]))\(rest)")
  }
  return try Graph(
    text: """
      graph g(%0 p: f32[3, 3, 3]\(strides), %1 q: f32[3, 3, 3]) {
      \(lines.joined(separator: "\n"))
        return \(renumbered(results[...]))
      }
      """
  ).verified()
}

@Test(arguments: computed.keys.sorted(), ["", " strides=[3, 1, 9]"])
func results_over_parameters_are_what_they_are_elsewhere(value: String, strides: String) throws {
  let first = try #require(computed[value])
  for (way, second) in moved.sorted(by: { $0.key < $1.key }) {
    for results in [["%19", "%9"], ["%9", "%19"], ["%19", "%0"], ["%19", "%19"], ["%9", "%29", "%19"]] {
      let second = results.contains("%29") ? second + "\n%29: f32[3, 3, 3] = negate %9" : second
      let graph = try graph(first, second, returning: results.joined(separator: ", "), strides: strides)
      let parameters = (0..<2).map { number in
        Memory(ReferenceTensor(.f32, [27], (0..<27).map { .float(Double(($0 * 7 + number * 5) % 11 - 4)) }).bytes)
      }
      let sample = AgreementCase(graph: graph, parameters: parameters, arguments: [])
      let reference = try sample.reference()
      for donations in donations(outputs: results.count) {
        let pairs = donations.map { "\($0.output) over \($0.parameter)" }
        let place = Comment(rawValue: "\(value), \(way), \(pairs): \(graph)")
        do {
          let difference = try sample.disagreement(with: reference, donations: donations)
          #expect(difference == nil, place)
        } catch { Issue.record(error, place) }
      }
    }
  }
}
