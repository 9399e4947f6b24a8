// A recorded case on constants: its tensors are captured or made inside the compiled function, in every way in which a
// constant can lie in memory or come about. Not held against the record: some of them have other elements than the record's,
// so eager is asked. Surprise: where eager refuses, compiled must refuse too, for the same reason.
import Basics
import Capture
import TensorTypes
import Tensors

/// How a constant comes about.
enum ConstantKind: String, Sendable, CaseIterable {
  // Captured by the function:
  case captured, transposed, stepped, backwards, part, repeated, windows
  // Made inside:
  case literal, literalView, literalPart, computed, computedView, joined, written, afterBreak
  // Made inside, with elements of their own:
  case filled, range, random
  // Other shapes and dtypes:
  case single, zeroDimensional, empty, integers, bools, halves
}

extension ConstantKind {
  /// The elements of the constant that stands for `tensor`, in plain memory.
  func elements(of tensor: Tensor) -> Tensor {
    switch self {
    case .captured, .transposed, .stepped, .backwards, .part, .literal, .literalView, .literalPart, .computed,
      .computedView, .joined, .written, .afterBreak:
      tensor.contiguous()
    case .windows: windows(tensor).copied()
    case .repeated: repeating(tensor).copied()
    case .filled: full(tensor).copied()
    case .range: range(tensor).copied()
    case .random: drawn(tensor).copied()
    case .single:
      tensor.body.view.hints.indices.reduce(tensor) { $0.narrowed($1, start: 0, count: min($0.body.view.hints[$1], 1)) }
        .copied()
    case .zeroDimensional: first(tensor).copied()
    case .empty: tensor.rank == 0 ? tensor : tensor.narrowed(0, start: 0, count: 0).copied()
    case .integers: tensor.converted(to: .i32)
    case .bools: tensor.converted(to: .bool)
    case .halves: tensor.dtype.isFloating ? tensor.converted(to: .f16) : tensor.converted(to: .i64)
    }
  }

  /// What the function captures; it does the rest inside. `elements` is what ``elements(of:)`` gives.
  func captured(_ elements: Tensor) -> Tensor {
    switch self {
    case .transposed: laid(elements)
    case .stepped: stepped(elements)
    case .backwards: backwards(elements)
    case .part: part(elements)
    case .repeated: repeating(elements)
    case .windows: rewound(elements)
    case .captured, .literal, .literalView, .literalPart, .computed, .computedView, .joined, .written, .afterBreak,
      .filled, .range, .random, .single, .zeroDimensional, .empty, .integers, .bools, .halves:
      elements
    }
  }

  /// The constant, made while the function is captured; `x` is an argument.
  func made(_ captured: Tensor, _ x: Tensor) throws(Diagnostic) -> Tensor {
    switch self {
    case .captured, .transposed, .stepped, .backwards, .part, .repeated, .windows: return captured
    case .afterBreak:
      let (view, result) = (stepped(captured), computed(captured))
      return try x.sum().item(as: Int.self) > 0 ? computed(result) : view
    case .literal, .single, .zeroDimensional, .empty, .integers, .bools, .halves: return try literal(captured)
    case .literalView: return stepped(try literal(captured))
    case .literalPart: return part(laid(try literal(captured)))
    case .computed: return computed(try literal(captured))
    case .computedView: return stepped(computed(laid(captured)))
    case .joined:
      if captured.rank == 0 { return captured }
      let count = captured.body.view.hints[0]
      let cut = count / 2
      return Tensor.concatenated([
        captured.narrowed(0, start: 0, count: cut), captured.narrowed(0, start: cut, count: count - cut),
      ])
    case .written:
      var result = Tensor.zeros(like: captured)
      result[...] = captured
      return result
    case .filled: return full(captured)
    case .range: return range(captured)
    case .random: return drawn(captured)
    }
  }

  // MARK: How

  private func literal(_ tensor: Tensor) throws(Diagnostic) -> Tensor {
    let shape = tensor.body.view.hints
    if tensor.dtype.isFloating {
      return Tensor(try tensor.array(as: Double.self), shape: shape).converted(to: tensor.dtype)
    }
    return tensor.dtype == .bool
      ? Tensor(try tensor.array(as: Bool.self), shape: shape)
      : Tensor(try tensor.array(as: Int.self), shape: shape).converted(to: tensor.dtype)
  }

  private func computed(_ tensor: Tensor) -> Tensor {
    Tensor.select(Tensor.ones(like: tensor, dtype: .bool), tensor, tensor)
  }

  /// The axes the other way round in memory.
  private func laid(_ tensor: Tensor) -> Tensor {
    let order = Array(0..<tensor.rank).reversed()
    return tensor.permuted(Array(order)).copied().permuted(Array(order))
  }

  /// Every second element of something larger, on each axis.
  private func stepped(_ tensor: Tensor) -> Tensor {
    var result = tensor
    for axis in 0..<tensor.rank {
      let pairs = Tensor.stacked([result, Tensor.zeros(like: result)], axis: axis + 1)
      result = pairs.narrowed(axis + 1, start: 0, count: 1).squeezed([axis + 1])
    }
    return result
  }

  /// The last axis walked from its end.
  private func backwards(_ tensor: Tensor) -> Tensor {
    guard tensor.rank > 0, var view = try? tensor.flipped([-1]).copied().view else { return tensor }
    let last = view.rank - 1
    if view.extents[last] == 0 { return tensor }
    view.offset += (view.extents[last] - 1) * view.strides[last] * view.dtype.size
    view.strides[last] = -view.strides[last]
    return Tensor(view)
  }

  private func part(_ tensor: Tensor) -> Tensor {
    var result = tensor
    for axis in 0..<tensor.rank {
      let extent = result.body.view.hints[axis]
      let more = result.narrowed(axis, start: 0, count: min(extent, 1))
      result = Tensor.concatenated([more, result, more], axis: axis)
        .narrowed(axis, start: min(extent, 1), count: extent)
    }
    return result
  }

  private func first(_ tensor: Tensor) -> Tensor {
    (try? tensor.view.elementCount) == 0
      ? Tensor.zeros([], dtype: tensor.dtype) : tensor.reshaped(-1)[0]
  }

  /// The first slice again and again.
  private func repeating(_ tensor: Tensor) -> Tensor {
    let extents = tensor.body.view.hints
    guard let count = extents.first, count > 0 else { return tensor }
    return tensor.narrowed(0, start: 0, count: 1).expanded(extents.map { Dim($0) })
  }

  /// Rows that overlap in memory.
  private func windows(_ tensor: Tensor) -> Tensor {
    let extents = tensor.body.view.hints
    guard extents.count == 2, extents[0] > 0, extents[1] > 0 else { return tensor }
    return tensor.copied().reshaped(-1).narrowed(0, start: 0, count: extents[0] + extents[1] - 1)
      .windows(0, size: extents[1], step: 1)
  }

  /// The same, from their elements: the first row, and what each later one adds.
  private func rewound(_ rows: Tensor) -> Tensor {
    let extents = rows.body.view.hints
    guard extents.count == 2, extents[0] > 0, extents[1] > 0 else { return rows }
    let added = rows.narrowed(0, start: 1, count: extents[0] - 1).narrowed(1, start: extents[1] - 1, count: 1)
    return Tensor.concatenated([rows[0], added.reshaped(-1)]).windows(0, size: extents[1], step: 1)
  }

  private func full(_ tensor: Tensor) -> Tensor { Tensor.full(like: tensor, 1) }

  private func range(_ tensor: Tensor) -> Tensor {
    let extents = tensor.body.view.hints
    return Tensor.arange(extents.reduce(1, *)).reshaped(extents.map { Dim($0) }).converted(to: tensor.dtype)
  }

  private func drawn(_ tensor: Tensor) -> Tensor {
    var random = RandomGenerator(seed: 5)
    return random.uniform(tensor.body.view.hints.map { Dim($0) }, in: 0..<2).converted(to: tensor.dtype)
  }
}

/// How far the sweep goes.
struct ConstantCase {
  let operation: ConformanceOperation
  let arguments: ConformanceArguments
  /// Picks which of the costlier variants this case has.
  let number: Int

  /// Throws at the first constant on which compiled is not as eager. `isSample`: every other kind, in turns.
  func run(isSample: Bool) throws {
    for (i, kind) in ConstantKind.allCases.enumerated() where !isSample || i % 2 == number % 2 {
      let given = arguments.mapTensors { kind.elements(of: $0) }
      let tensors = given.tensors
      // All are constants; or one is an argument.
      var positions: [Int?] = [nil]
      if tensors.count > 1 { positions.append((number + i) % tensors.count) }
      for position in positions {
        let fuses = (number + i) % 3 != 0
        do { try check(kind, given, position, fuses: fuses) } catch {
          let place = position.map { "all but tensor \($0)" } ?? "all"
          throw Diagnostic(.compiler, "\(place) \(kind.rawValue)\(fuses ? "" : ", not fused"): \(error)")
        }
      }
    }
  }

  private func check(_ kind: ConstantKind, _ given: ConformanceArguments, _ argument: Int?, fuses: Bool) throws {
    let operation = operation
    let eager = Outcome { try operation.run(given) }
    let constants = given.tensors.map { kind.captured($0) }
    let f = compile(fuses: fuses) { (x: Tensor, one: [Tensor]) in
      var next = 0
      let made = try given.mapTensors { _ throws(Diagnostic) in
        defer { next += 1 }
        return next == argument ? one[0] : try kind.made(constants[next], x)
      }
      let result = try operation.run(made)
      // The result itself, and an operation on it and the argument.
      let isTrue = x.sum() > -1
      return ConformanceValue.list([result, result.mapTensors { Tensor.select(isTrue, $0, $0) }])
    }
    let one = argument.map { [given.tensors[$0]] } ?? []
    for size in number % 2 == 0 ? [2] : [3, 5] {
      let made = Outcome { try f(Tensor.ones(size), one) }
      switch (eager, made) {
      case (.value(let expected), .value(.list(let both))):
        for value in both {
          if let difference = try Comparison(operation.tolerance).difference(value, expected) {
            throw Diagnostic(.compiler, difference)
          }
        }
      case (.mistake(let expected), .mistake(let found)):
        // Faults of kernels name what runs.
        let isFault = [.index, .numerics].contains(expected.kind)
        if expected.kind != found.kind || (!isFault && expected.message != found.message) {
          throw Diagnostic(.compiler, "says \"\(found.message)\", eager says \"\(expected.message)\"")
        }
      case (.mistake(let expected), .value): throw Diagnostic(.compiler, "eager says \"\(expected.message)\"")
      case (.value, .mistake(let found)): throw Diagnostic(.compiler, "says \"\(found)\", eager works")
      case (.value, .value): throw Diagnostic(.compiler, "another kind of result")
      }
    }
  }

  /// A result, or the mistake in place of it.
  private enum Outcome {
    case value(ConformanceValue)
    case mistake(Diagnostic)

    init(_ make: () throws -> ConformanceValue) {
      do {
        let value = try make()
        self = value.failure.map { .mistake($0) } ?? .value(value)
      } catch { self = .mistake(error as? Diagnostic ?? Diagnostic(.compiler, "\(error)")) }
    }
  }
}

extension ConformanceArguments {
  /// All tensors, places first.
  var tensors: [Tensor] {
    var found: [Tensor] = []
    _ = mapTensors {
      found.append($0)
      return $0
    }
    return found
  }

  /// With another tensor for each; in the order of ``tensors``.
  func mapTensors(_ make: (Tensor) throws(Diagnostic) -> Tensor) throws(Diagnostic) -> ConformanceArguments {
    var result = self
    for i in places.indices { result.places[i] = try places[i].mapTensors(make) }
    for name in names.keys.sorted() { result.names[name] = try names[name]?.mapTensors(make) }
    return result
  }

  func mapTensors(_ make: (Tensor) -> Tensor) -> ConformanceArguments {
    (try? mapTensors { tensor throws(Diagnostic) in make(tensor) }) ?? self
  }
}

extension ConformanceValue {
  func mapTensors(_ make: (Tensor) throws(Diagnostic) -> Tensor) throws(Diagnostic) -> ConformanceValue {
    switch self {
    case .tensor(let tensor): return .tensor(try make(tensor))
    case .list(let values):
      var made: [ConformanceValue] = []
      for value in values { made.append(try value.mapTensors(make)) }
      return .list(made)
    case .integer, .extent, .number, .bool, .string, .none, .text: return self
    }
  }

  func mapTensors(_ make: (Tensor) -> Tensor) -> ConformanceValue {
    (try? mapTensors { tensor throws(Diagnostic) in make(tensor) }) ?? self
  }
}
