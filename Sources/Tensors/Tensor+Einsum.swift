// Sums of products named by letters: `Tensor.einsum("bij,bjk->bik", a, b)`.
// Surprise: operands are multiplied from left to right, and an axis that nobody needs later is summed as
// soon as possible.
import Basics
import Engine
import TensorTypes

/// An equation of einsum, checked against the ranks of its operands.
private struct EinsumEquation {
  /// Labels are letters, or negative numbers for the axes of an ellipsis, counted from its end.
  var inputs: [[Int]] = []
  var output: [Int] = []

  init(_ text: String, ranks: [Int]) throws(Diagnostic) {
    let sides = text.filter { $0 != " " }.replacing("...", with: ".").components(separatedBy: "->")
    let terms = sides[0].split(separator: ",", omittingEmptySubsequences: false)
    guard sides.count <= 2, terms.count == ranks.count else {
      throw Self.mistake(text, "it has \(terms.count) operands, \(ranks.count) are given")
    }
    var ellipsis = 0
    for (term, rank) in zip(terms, ranks) {
      let letters = term.filter { $0 != "." }.count
      let isWhole = !term.contains(".")
      guard letters == rank || (!isWhole && letters < rank), term.filter({ $0 == "." }).count <= 1 else {
        throw Self.mistake(text, "\"\(term)\" does not name the axes of an operand of rank \(rank)")
      }
      ellipsis = max(ellipsis, rank - letters)
      inputs.append(try Self.labels(term, ellipsis: rank - letters, text))
    }
    if sides.count == 2 {
      output = try Self.labels(sides[1][...], ellipsis: ellipsis, text)
      guard Set(output).count == output.count, output.allSatisfy({ label in inputs.contains { $0.contains(label) } })
      else { throw Self.mistake(text, "\"\(sides[1])\" must name axes of the operands, each once") }
      return
    }
    // Without an arrow: the ellipsis, then letters that occur once, in order.
    let all = inputs.flatMap { $0 }
    let once = Set(all.filter { $0 > 0 }).filter { label in all.filter { $0 == label }.count == 1 }
    output = (0..<ellipsis).reversed().map { -1 - $0 } + once.sorted()
  }

  private static func labels(_ term: Substring, ellipsis: Int, _ text: String) throws(Diagnostic) -> [Int] {
    var labels: [Int] = []
    for letter in term {
      if letter == "." {
        labels += (0..<ellipsis).reversed().map { -1 - $0 }
      } else if letter.isASCII, letter.isLetter, let code = letter.asciiValue {
        labels.append(Int(code))
      } else {
        throw mistake(text, "\"\(letter)\" is no letter")
      }
    }
    return labels
  }

  private static func mistake(_ text: String, _ reason: String) -> Diagnostic {
    Diagnostic(.argument, "einsum \"\(text)\": \(reason)", remedy: "write letters for axes, as in \"ij,jk->ik\"")
  }
}

extension String {
  fileprivate func components(separatedBy mark: String) -> [String] {
    var parts: [String] = []
    var rest = self[...]
    while let range = rest.firstRange(of: mark) {
      parts.append(String(rest[..<range.lowerBound]))
      rest = rest[range.upperBound...]
    }
    return parts + [String(rest)]
  }
}

extension Tensor {
  /// Sums of products in the notation of Einstein. PyTorch: `einsum`.
  ///
  /// `"ij,jk->ik"` is a matrix product, `"ii->i"` a diagonal, `"...ij->...ji"` a transpose.
  public static func einsum(
    _ equation: String, _ operands: Tensor..., file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor { einsum(equation, operands, file: file, line: line) }

  /// Sums of products in the notation of Einstein. PyTorch: `einsum`.
  public static func einsum(
    _ equation: String, _ operands: [Tensor], file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    attempt(file, line, of: operands) { () throws(Diagnostic) in
      guard !operands.isEmpty else {
        throw Diagnostic(.argument, "einsum \"\(equation)\": no operands are given", remedy: "give at least one tensor")
      }
      var views: [TensorView] = []
      for operand in operands { views.append(try operand.view) }
      let parsed = try EinsumEquation(equation, ranks: views.map(\.rank))
      var factors: [Factor] = []
      for (view, labels) in zip(views, parsed.inputs) { factors.append(try diagonal(view, labels, equation)) }
      var product = try Product.summed(factors[0], needed: parsed.output + factors.dropFirst().flatMap(\.labels))
      for i in factors.indices.dropFirst() {
        let later = parsed.output + factors[(i + 1)...].flatMap(\.labels)
        let right = try Product.summed(factors[i], needed: later + product.labels)
        let left = try Product.summed(product, needed: later + right.labels)
        let met = left.labels.filter { later.contains($0) }
        let out = met + right.labels.filter { later.contains($0) && !met.contains($0) }
        let made = try Product.contract(left, right, out: out, "einsum \"\(equation)\"")
        product = Factor(view: try made.view, labels: out)
      }
      // Axes repeat only where an ellipsis of another operand was shorter: all labels of the output are here.
      let order = parsed.output.compactMap { product.labels.firstIndex(of: $0) }
      return Tensor(product.view.permuted(order))
    }
  }

  /// A label that occurs twice is the diagonal of its axes.
  private static func diagonal(
    _ view: TensorView, _ labels: [Int], _ equation: String
  ) throws(Diagnostic) -> Factor {
    var result = Factor(view: view, labels: labels)
    var axis = 0
    while axis < result.labels.count {
      guard let first = result.labels[..<axis].firstIndex(of: result.labels[axis]) else {
        axis += 1
        continue
      }
      guard result.view.dim(first) == result.view.dim(axis) else {
        throw Diagnostic(
          .shape,
          "einsum \"\(equation)\": one letter for extents \(result.view.extent(first)) and "
            + "\(result.view.extent(axis)) of one operand", remedy: "a diagonal has axes of one extent")
      }
      if !result.view.hasMemory {
        // Where a diagonal lies is a matter of numbers.
        let count = result.view.extent(first)
        let square = result.view.sliced(first, start: 0, count: count).sliced(axis, start: 0, count: count)
        let last = square.diagonal(first, axis)
        var order = Array(0..<(last.rank - 1))
        order.insert(last.rank - 1, at: first)
        result.view = last.permuted(order)
      } else {
        result.view.strides[first] += result.view.strides[axis]
        result.view = result.view.removing(axis)
      }
      result.labels.remove(at: axis)
    }
    return result
  }
}
