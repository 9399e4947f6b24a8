// A recorded case with every extent as a symbol: captured once, compared with the record, then replayed at smaller sizes
// and compared with eager. Not the recorded sizes alone: a size that became a number would be right there.
// Surprise: smaller sizes that the operation itself refuses say nothing, and are skipped.
import Basics
import Capture
import TensorTypes
import Tensors

/// What a case's plan is like when every extent was to be a symbol.
package enum ConformanceSizes: Sendable, Hashable {
  /// Every extent beyond 1 is a symbol.
  case symbolic
  /// Some are numbers: which, and what needs them.
  case fixed([String])
  /// There is no extent beyond 1.
  case none
}

struct DynamicCase {
  let operation: ConformanceOperation
  let arguments: ConformanceArguments

  /// The result at the recorded sizes, and what was captured for it; throws where smaller sizes go wrong.
  func run() throws -> (result: ConformanceValue, sizes: ConformanceSizes) {
    let operation = operation
    let f = compile(dynamic: .all, maxRecompiles: 32) { (arguments: ConformanceArguments) in
      try operation.run(arguments)
    }
    let result = try f(arguments)
    let sizes = ConformanceSizes(f.explain().sizes)
    for cut in 1...2 {
      // The third sizes: the capture has compared two.
      guard let smaller = arguments.cut(by: cut), let eager = try? operation.run(smaller), eager.failure == nil else {
        continue
      }
      let replayed: ConformanceValue
      do { replayed = try f(smaller) } catch {
        throw Diagnostic(.compiler, "at sizes smaller by \(cut): \(error)")
      }
      if let difference = try Comparison(operation.tolerance).difference(replayed, eager) {
        throw Diagnostic(.compiler, "at sizes smaller by \(cut): \(difference)")
      }
    }
    return (result, sizes)
  }
}

extension ConformanceSizes {
  init(_ sizes: [Explanation.Size]) {
    let numbers = sizes.compactMap(\.reason)
    self = !numbers.isEmpty ? .fixed(numbers) : sizes.isEmpty ? .none : .symbolic
  }
}

extension ConformanceArguments {
  /// Every extent beyond `cut` + 1 smaller by `cut`; nil: there is none.
  func cut(by cut: Int) -> ConformanceArguments? {
    var smaller = self
    var isCut = false
    smaller.places = places.map { $0.cut(by: cut, &isCut) }
    smaller.names = names.mapValues { $0.cut(by: cut, &isCut) }
    return isCut ? smaller : nil
  }
}

extension ConformanceArguments {
  /// A mistake in one of the tensors.
  var failure: Diagnostic? {
    (places + names.sorted { $0.key < $1.key }.map(\.value)).lazy.compactMap(\.failure).first
  }
}

extension ConformanceValue {
  fileprivate func cut(by cut: Int, _ isCut: inout Bool) -> ConformanceValue {
    switch self {
    case .tensor(let tensor):
      var smaller = tensor
      for (axis, extent) in tensor.body.view.extents.enumerated() where extent > cut + 1 {
        smaller = smaller.narrowed(axis, start: 0, count: extent - cut)
        isCut = true
      }
      return .tensor(smaller.contiguous())
    case .list(let values): return .list(values.map { $0.cut(by: cut, &isCut) })
    case .integer, .extent, .number, .bool, .string, .none, .text: return self
    }
  }

  /// A mistake in one of the tensors.
  var failure: Diagnostic? {
    switch self {
    case .tensor(let tensor): tensor.failure
    case .list(let values): values.lazy.compactMap(\.failure).first
    case .integer, .extent, .number, .bool, .string, .none, .text: nil
    }
  }
}
