// Launching row programs: reductions, and composites that reduce and then touch the same elements (softmax, norms).
// All operands have the shape of the domain (stride 0 where they repeat). Surprise: a reduced axis of extent 1 is
// dropped like any other, so a program sees only the axes that are left, possibly none.
import Basics
import TensorTypes

/// The shape of one result of a row program.
package enum RowResult: Sendable {
  /// The domain's shape.
  case full(DType)
  /// The domain without its reduced axes.
  case reduced(DType)
}

extension Engine {
  /// `program(reduced)` gives the program for the coalesced axes' kinds (true: reduced).
  package func runRows(
    _ operands: [Operand], extents: [Int], reduced: [Bool], _ results: [RowResult], program: ([Bool]) -> Program
  ) throws(Diagnostic) -> [TensorView] {
    if let trace = Trace.recording(operands, []) {
      let destinations = results.map { result -> Destination in
        switch result {
        case .full(let dtype), .reduced(let dtype): .fresh(dtype, [])
        }
      }
      return try trace.record(program(reduced), operands, destinations)
    }
    let keptExtents = extents.indices.filter { !reduced[$0] }.map { extents[$0] }
    var outputs: [TensorView] = []
    for result in results {
      switch result {
      case .full(let dtype): outputs.append(try allocate(dtype, extents))
      case .reduced(let dtype): outputs.append(try allocate(dtype, keptExtents))
      }
    }
    if outputs.allSatisfy({ $0.elementCount == 0 }) { return outputs }
    // Reduced outputs join as views of the domain that stand still on reduced axes.
    var views: [TensorView] = []
    for case .tensor(let view) in operands { views.append(view) }
    let inputCount = views.count
    for (output, result) in zip(outputs, results) {
      guard case .reduced = result else {
        views.append(output)
        continue
      }
      var strides = output.strides.makeIterator()
      var spread = output
      spread.strides = reduced.map { $0 ? 0 : strides.next() ?? 0 }
      spread.hints = extents
      views.append(spread)
    }
    let kinds = coalesce(&views, kinds: reduced)
    var next = 0
    let merged = operands.map { operand in
      guard case .tensor = operand else { return operand }
      defer { next += 1 }
      return .tensor(views[next])
    }
    var destinations: [Destination] = []
    for (i, result) in results.enumerated() {
      var view = views[inputCount + i]
      if case .reduced = result {
        let kept = kinds.indices.filter { !kinds[$0] }
        let (oldExtents, oldStrides) = (view.hints, view.strides)
        view.hints = kept.map { oldExtents[$0] }
        view.strides = kept.map { oldStrides[$0] }
      }
      destinations.append(.existing(view))
    }
    _ = try run(program(kinds), merged, destinations)
    return outputs
  }
}
