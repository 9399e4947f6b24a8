// Recorded arguments made hostile: numbers beyond all limits, lists of other lengths, tensors of other ranks and dtypes.
// Not random calls: each starts from a call that is right, so that the hostile part is what an operation looks at.
// Surprise: arguments which the recording leaves out are found by asking what the operation asked for.
import RandomGraphs
import Synchronization
import TensorTypes
import Tensors

/// Which arguments an operation looked at.
final class AskedArguments: Sendable {
  struct Position: Hashable { var place: Int, name: String }
  private let places = Mutex<Set<Position>>([])

  func note(_ place: Int, _ name: String) {
    places.withLock { _ = $0.insert(Position(place: place, name: name)) }
  }

  /// In an order that does not depend on the process.
  var all: [Position] { places.withLock { $0.sorted { ($0.place, $0.name) < ($1.place, $1.name) } } }
}

struct HostileArguments {
  private var random: SeededGenerator
  /// What was done, for the report.
  private(set) var changes: [String] = []

  init(random: SeededGenerator) { self.random = random }

  static let integers: [Int] = [
    0, -1, 1, 2, -2, 3, 1 << 31, (1 << 31) - 1, -(1 << 31), 1 << 32, 1 << 40, 1 << 53, 1 << 60, 1 << 62, .max, .max - 1,
    .min, .min + 1, 1000, -1000,
  ]
  static let numbers: [Double] = [
    0, -0.0, 1, -1, 0.5, .nan, .infinity, -.infinity, 1e30, -1e30, 1e300, 0x1p31, 0x1p62, 0x1p63, -0x1p63,
    .leastNonzeroMagnitude, 1e-30,
  ]

  /// One to three arguments replaced.
  mutating func mutated(_ arguments: ConformanceArguments, asked: [AskedArguments.Position]) -> ConformanceArguments {
    var result = arguments
    let given = places(of: arguments)
    // What is asked for and not given: by name where it has one.
    let missing = asked.filter { arguments.value($0.place, $0.name) == nil && (!$0.name.isEmpty || $0.place >= 0) }
    for _ in 0..<(1 + random.below(3)) {
      if !missing.isEmpty, random.once(in: 3) {
        let place = random.pick(missing)
        let value = random.once(in: 5) ? ConformanceValue.bool(true) : anything()
        if place.name.isEmpty {
          while result.places.count <= place.place { result.places.append(.none) }
          result.places[place.place] = value
        } else {
          result.names[place.name] = value
        }
        changes.append("\(place.place) \(place.name) = \(value.summary)")
      } else if !given.isEmpty {
        let place = random.pick(given)
        guard let old = result.value(place.place, place.name) ?? result.place(place) else { continue }
        let value = changed(old)
        result.set(place, value)
        changes.append("\(place.place) \(place.name): \(old.summary) -> \(value.summary)")
      }
    }
    return result
  }

  private func places(of arguments: ConformanceArguments) -> [AskedArguments.Position] {
    arguments.places.indices.map { .init(place: $0, name: "") }
      + arguments.names.keys.sorted().map { .init(place: -1, name: $0) }
  }

  /// A value of any kind.
  private mutating func anything() -> ConformanceValue {
    switch random.below(4) {
    case 0: .number(random.pick(Self.numbers))
    case 1: .list((0..<random.below(4)).map { _ in .integer(random.pick(Self.integers)) })
    default: .integer(random.pick(Self.integers))
    }
  }

  private mutating func changed(_ value: ConformanceValue) -> ConformanceValue {
    if random.once(in: 30) { return anything() }
    switch value {
    case .integer: return .integer(random.pick(Self.integers))
    case .extent: return .extent(Dim(random.pick(Self.integers)))
    case .number: return random.once(in: 6) ? .integer(random.pick(Self.integers)) : .number(random.pick(Self.numbers))
    case .bool(let value): return .bool(!value)
    case .none: return anything()
    case .string: return random.once(in: 2) ? .string("nonsense") : .string("")
    case .text(let text) where text.hasPrefix("slice("):
      let bounds = (0..<3).map { _ in random.once(in: 4) ? "None" : "\(random.pick(Self.integers))" }
      return .text("slice(\(bounds.joined(separator: ", ")))")
    case .text:
      return .text(
        random.pick(["torch.float16", "torch.bool", "torch.int8", "torch.int64", "torch.float64", "torch.uint8"]))
    case .list(let values): return .list(changed(values))
    case .tensor(let tensor): return .tensor(changed(tensor))
    }
  }

  private mutating func changed(_ values: [ConformanceValue]) -> [ConformanceValue] {
    var values = values
    switch random.below(8) {
    case 0: return []
    case 1: values.removeLast(values.isEmpty ? 0 : 1)
    case 2: values.append(values.last ?? anything())
    case 3: values.append(anything())
    case 4: values.reverse()
    default:
      guard !values.isEmpty else { return [anything()] }
      let place = random.below(values.count)
      values[place] = changed(values[place])
    }
    return values
  }

  private mutating func changed(_ tensor: Tensor) -> Tensor {
    let rank = tensor.rank
    let axis = rank == 0 ? 0 : random.below(rank)
    switch random.below(14) {
    case 0: return Tensor.full([], random.pick(Self.numbers)).converted(to: tensor.dtype)
    case 1: return rank == 0 ? Tensor.zeros([0], dtype: tensor.dtype) : tensor.narrowed(axis, start: 0, count: 0)
    case 2: return tensor.unsqueezed(axis)
    case 3: return tensor.flattened()
    case 4: return rank == 0 ? tensor.expanded(3) : tensor.sum(axis).converted(to: tensor.dtype)
    case 5: return tensor.converted(to: random.pick(DType.allCases))
    case 6:
      // Every element is the first one's memory.
      let first = tensor.elementCount.isKnown(0) ? Tensor.zeros([], dtype: tensor.dtype) : tensor.flattened()[0]
      return first.expanded(tensor.shape.dims)
    case 7: return rank < 2 ? tensor.unsqueezed(0).unsqueezed(-1) : tensor.transposed()
    case 8: return rank == 0 ? tensor : tensor[indices: lead(axis) + [.slice(nil, nil, by: 2)]]
    case 9: return Tensor.full(tensor.shape.dims, random.pick(Self.numbers)).converted(to: tensor.dtype)
    case 10:
      let value = random.pick(Self.integers)
      return Tensor.full(tensor.shape.dims, value, dtype: tensor.dtype.isInteger ? .i64 : tensor.dtype)
    case 11: return Tensor.zeros([], dtype: tensor.dtype).matmul(tensor)
    case 12: return rank == 0 ? tensor : tensor[indices: lead(axis) + [.slice(1, nil)]]
    default: return Tensor(random.pick(Self.integers))
    }
  }

  private func lead(_ axis: Int) -> [TensorIndex] { [TensorIndex](repeating: .all, count: axis) }
}

extension ConformanceArguments {
  fileprivate func place(_ place: AskedArguments.Position) -> ConformanceValue? {
    place.name.isEmpty ? (places.indices.contains(place.place) ? places[place.place] : nil) : names[place.name]
  }

  fileprivate mutating func set(_ place: AskedArguments.Position, _ value: ConformanceValue) {
    if place.name.isEmpty { places[place.place] = value } else { names[place.name] = value }
  }
}
