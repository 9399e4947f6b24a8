// A recorded case at many sizes: every way a size can enter a compiled function, first and later values, fresh and known
// plans, two closures of one graph; each result is held against eager at that size.
// Not the recorded results: those have one size. Surprise: what eager refuses must be refused, and nothing else may be.
import Basics
import Capture
import TensorTypes
import Tensors

/// How a size enters a compiled function.
package enum SizeWay: String, Sendable, CaseIterable {
  /// As the extent of an argument.
  case argument
  /// As a `Dim` argument by which the tensors are cut.
  case dim
  /// As a `Dim` of the state, beside the tensors.
  case state
  /// Tensors are cut from both ends, twice.
  case part
}

/// What became of the calls of one sweep.
package struct SweepCounts: Sendable {
  package var calls = 0
  /// Calls that eager and the compiled function refused.
  package var refusals = 0
  package var plans = 0
  /// "way, sizes: what is wrong".
  package var differences: [String] = []
}

/// The arguments of a case with the places that a size stands for.
struct SizedArguments: Sendable {
  static let sizes = [0, 1, 2, 3, 5, 8, 12, 33]
  /// Room around the largest size, so that parts have something to leave out.
  static let room = 40
  let arguments: ConformanceArguments
  /// What the axes have in the record.
  let extent: Int

  /// One for each extent of the tensors.
  static func all(_ arguments: ConformanceArguments) -> [SizedArguments] {
    var extents: Set<Int> = []
    _ = arguments.mapping { tensor in
      extents.formUnion(tensor.body.view.extents)
      return tensor
    }
    return extents.filter { $0 > 0 }.sorted().map { SizedArguments(arguments: arguments, extent: $0) }
  }

  /// The axes that have the extent, as `count` elements that repeat those of the record.
  func resized(_ count: Int) -> ConformanceArguments {
    arguments.mapping { tensor in
      var result = tensor
      for (axis, given) in tensor.body.view.extents.enumerated() where given == extent {
        result = result.selecting(Tensor((0..<count).map { $0 % given }), axis: axis)
      }
      return result
    }
  }

  /// With `number` for every argument that is the extent: an operation may be told what its operands have.
  func told(_ arguments: ConformanceArguments, _ number: ConformanceValue) -> ConformanceArguments {
    func changed(_ value: ConformanceValue) -> ConformanceValue {
      switch value {
      case .integer(extent): number
      case .list(let values): .list(values.map(changed))
      case .tensor, .integer, .extent, .number, .bool, .string, .none, .text: value
      }
    }
    return ConformanceArguments(places: arguments.places.map(changed), names: arguments.names.mapValues(changed))
  }

  /// In a tensor of ``resized(_:)`` with all room: the elements from `start`, `count` of them, on those axes.
  func cut(_ whole: ConformanceArguments, start: Int, _ count: Dim, twice: Bool) -> ConformanceArguments {
    let parts = whole.mapping(beside: arguments) { tensor, original in
      var result = tensor
      for (axis, given) in original.body.view.extents.enumerated() where given == extent {
        if twice {
          result = result.narrowed(axis, start: 1, count: count + start)
          result = result.narrowed(axis, start: start, count: count)
        } else {
          result = result.narrowed(axis, start: start, count: count)
        }
      }
      return result
    }
    return told(parts, .extent(count))
  }
}

/// Tensors and a size as one state.
private struct SizedState: Tree {
  var arguments: ConformanceArguments
  var count: Dim
  mutating func visit(_ v: inout Visitor) {
    v("arguments", &arguments)
    v("count", &count)
  }
}

/// One operation on one case, at all sizes.
struct SizeSweep {
  let operation: ConformanceOperation
  let sized: SizedArguments
  let way: SizeWay

  private typealias Call = (Int) throws -> ConformanceValue

  /// Every later size after the first of `firsts`, on two closures in turn.
  func run(firsts: [Int], into counts: inout SweepCounts) {
    for first in firsts {
      let calls = [closure(), closure()]
      let order = [first] + SizedArguments.sizes.filter { $0 != first }
      // The second closure meets the sizes the other way round, and finds what the first has left on disk.
      for (number, sizes) in [order, [order[0]] + order.dropFirst().reversed()].enumerated() {
        for size in sizes {
          counts.calls += 1
          if let wrong = difference(calls[number].call, size, &counts) {
            counts.differences.append("\(way.rawValue) of \(sized.extent), \(first) first, \(size) now: \(wrong)")
          }
        }
        counts.plans += calls[number].plans()
      }
    }
  }

  /// nil: as eager.
  private func difference(_ call: Call, _ size: Int, _ counts: inout SweepCounts) -> String? {
    var expected: ConformanceValue?
    do {
      let found = try eager(size)
      if found.failure == nil { expected = found }
    } catch {}
    do {
      let result = try call(size)
      guard let expected else { return "\(result.summary), eager refuses" }
      return try Comparison(operation.tolerance).difference(result, expected)
    } catch {
      guard expected != nil else {
        counts.refusals += 1
        return nil
      }
      return "\(error)"
    }
  }

  private func eager(_ size: Int) throws -> ConformanceValue {
    switch way {
    case .argument: try operation.run(sized.told(sized.resized(size), .integer(size)))
    case .dim, .state:
      try operation.run(sized.cut(sized.resized(SizedArguments.room), start: 0, Dim(size), twice: false))
    case .part: try operation.run(sized.cut(sized.resized(SizedArguments.room), start: 2, Dim(size), twice: true))
    }
  }

  private func closure() -> (call: Call, plans: () -> Int) {
    let (operation, sized, way) = (operation, sized, way)
    let whole = sized.resized(SizedArguments.room)
    switch way {
    case .argument:
      let f = compile(dynamic: .all, maxRecompiles: 64) { (arguments: ConformanceArguments) in
        try operation.run(arguments)
      }
      return ({ try f(sized.told(sized.resized($0), .integer($0))) }, { f.planCount })
    case .dim, .part:
      let (start, twice) = way == .part ? (2, true) : (0, false)
      let f = compile(maxRecompiles: 64) { (arguments: ConformanceArguments, count: Dim) in
        try operation.run(sized.cut(arguments, start: start, count, twice: twice))
      }
      return ({ try f(whole, Dim($0)) }, { f.planCount })
    case .state:
      let f = compile(updating: SizedState.self, maxRecompiles: 64) { (state: inout SizedState) in
        try operation.run(sized.cut(state.arguments, start: 0, state.count, twice: false))
      }
      return (
        {
          var state = SizedState(arguments: whole, count: Dim($0))
          return try f(&state)
        }, { f.planCount }
      )
    }
  }
}

extension ConformanceArguments {
  /// With every tensor replaced.
  func mapping(_ change: (Tensor) -> Tensor) -> ConformanceArguments {
    ConformanceArguments(places: places.map { $0.mapping(change) }, names: names.mapValues { $0.mapping(change) })
  }

  /// As above; `change` gets the tensor at the same place of `other` too.
  func mapping(beside other: ConformanceArguments, _ change: (Tensor, Tensor) -> Tensor) -> ConformanceArguments {
    var originals: [Tensor] = []
    // The same walk over both: places first, then the names in order.
    func walk(_ arguments: ConformanceArguments, _ visit: (Tensor) -> Tensor) -> ConformanceArguments {
      var result = ConformanceArguments(places: arguments.places.map { $0.mapping(visit) }, names: [:])
      for name in arguments.names.keys.sorted() { result.names[name] = arguments.names[name]?.mapping(visit) }
      return result
    }
    _ = walk(other) { tensor in
      originals.append(tensor)
      return tensor
    }
    var next = originals.makeIterator()
    return walk(self) { tensor in next.next().map { change(tensor, $0) } ?? tensor }
  }
}

extension ConformanceValue {
  fileprivate func mapping(_ change: (Tensor) -> Tensor) -> ConformanceValue {
    switch self {
    case .tensor(let tensor): .tensor(change(tensor))
    case .list(let values): .list(values.map { $0.mapping(change) })
    case .integer, .extent, .number, .bool, .string, .none, .text: self
    }
  }
}
