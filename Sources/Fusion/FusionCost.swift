// What fusing costs and what it saves: the model that Partition asks before it lets several kernels compute one value.
// Not what a kernel costs in the end (LoopNest+Cost) and not a time. Surprise: everything is bytes; work counts as what
// memory would move meanwhile, extents that are not known count as `typicalExtent`.
import GraphIR
import Targets
import TensorTypes

/// Two ways to give a value to the kernels that need it, each in bytes.
package struct FusionChoice: Sendable, Hashable {
  /// Every kernel reads what the value is made of and computes it.
  package var recomputed: Int
  /// It is computed once, written once, and read by every kernel.
  package var stored: Int
  var storesIt: Bool { stored < recomputed }
}

extension TargetDescription {
  /// Simple operations that a processor does while memory moves a byte for it: vectors of them each cycle against a few
  /// bytes a cycle. Measured on three machines: 8 to 16 with 512-bit vectors.
  var operationsPerByte: Int { max(1, lanes) }
}

struct FusionCost {
  /// A kernel that would compute the value: values that share a nest are one.
  private enum Consumer: Hashable {
    case rows([Dim], [Int])
    case anchor(Value)
    case written([Dim])
  }

  /// What memory moves while a kernel is launched or a barrier waited for.
  static let launchBytes = 64 << 10
  private static let typicalExtent = 256
  /// Values looked at for one question.
  private static let reach = 64

  private let graph: Graph
  private let users: [[Int32]]
  private let outputs: Set<Value>
  private let symbols: [Int]
  private let operationsPerByte: Int
  /// The last reduction, product or other anchor that each value is made of; -1: none.
  private let lastAnchor: [Int32]

  init(_ graph: Graph, _ context: SchedulingContext, _ users: [[Int32]]) {
    self.graph = graph
    self.users = users
    outputs = Set(graph.outputs)
    symbols = graph.arguments.indices.map { context.bounds[$0] ?? Self.typicalExtent }
    operationsPerByte = context.target.operationsPerByte
    var last = [Int32](repeating: -1, count: graph.nodes.count)
    for (index, node) in graph.nodes.enumerated() {
      last[index] =
        graph.isFree(Value(index)) ? node.operands.map { last[Int($0.id)] }.max() ?? -1 : Int32(index)
    }
    lastAnchor = last
  }

  /// Computing `value` in each of its consumers against storing it; nil: one consumer, or too many ways to look at.
  /// - Parameter memory: what is in memory, with its strides.
  func sharing(_ value: Value, _ memory: (Value) -> MemoryView?) -> FusionChoice? {
    guard let consumers = consumers(of: value), consumers > 1, let made = making(value, memory),
      let own = bytes(graph.type(value))
    else { return nil }
    return FusionChoice(recomputed: consumers * made, stored: made + own + consumers * own + Self.launchBytes)
  }

  /// Computing the vector of a product again for every row against storing it: rows re-read it from the nearest cache
  /// either way, so that only its arithmetic counts.
  func vector(_ value: Value, rows: Dim, _ memory: (Value) -> MemoryView?) -> FusionChoice? {
    guard let work = work(value, memory), let own = bytes(graph.type(value)), let rows = rows.evaluated(symbols)
    else { return nil }
    return FusionChoice(
      recomputed: CheckedSize.work(rows, work) / operationsPerByte,
      stored: work / operationsPerByte + 2 * own + Self.launchBytes)
  }

  // MARK: Parts

  private func bytes(_ type: TensorType) -> Int? {
    type.shape.elementCount.evaluated(symbols).map { CheckedSize.work($0, type.dtype.size) }
  }

  /// Bytes read to make a value, and its work.
  private func making(_ value: Value, _ memory: (Value) -> MemoryView?) -> Int? {
    var views: Set<MemoryView> = []
    guard let work = walk(value, memory, { views.insert($0) }) else { return nil }
    var read = 0
    for view in views {
      var count = 1
      for (dim, stride) in zip(view.shape.dims, view.strides) where !stride.isKnown(0) {
        guard let extent = dim.evaluated(symbols) else { return nil }
        count *= extent
      }
      read = Swift.min(read + count * view.type.dtype.size, CheckedSize.most)
    }
    return read + work / operationsPerByte
  }

  private func work(_ value: Value, _ memory: (Value) -> MemoryView?) -> Int? { walk(value, memory) { _ in } }

  /// Operations from memory to `value`; nil: too long, or something on the way is no elementwise work.
  private func walk(_ value: Value, _ memory: (Value) -> MemoryView?, _ reads: (MemoryView) -> Void) -> Int? {
    var seen: Set<Value> = []
    var stack = [value]
    var work = 0
    while let value = stack.popLast() {
      guard seen.insert(value).inserted else { continue }
      if seen.count > Self.reach { return nil }
      if let view = memory(value) {
        reads(view)
        continue
      }
      let node = graph[value]
      switch node.primitive.definition.lowering {
      case .leaf: continue
      case .pointwise:
        let program = node.primitive.scalarProgram(operandDTypes: node.operands.map { graph.type($0).dtype })
        guard let count = node.type.shape.elementCount.evaluated(symbols) else { return nil }
        work = Swift.min(work + CheckedSize.work(program?.flops ?? 1, count), CheckedSize.most)
      case .reindex: break
      default: return nil
      }
      stack += node.operands
    }
    return work
  }

  /// How many kernels would compute `value`, if none stored it.
  private func consumers(of value: Value) -> Int? {
    var found: Set<Consumer> = []
    var seen: Set<Value> = []
    var stack = [value]
    while let next = stack.popLast() {
      if outputs.contains(next) { found.insert(.written(graph.type(next).shape.dims)) }
      for id in users[Int(next.id)] {
        let user = Value(Int(id))
        guard seen.insert(user).inserted else { continue }
        if seen.count > Self.reach { return nil }
        // What meets a later anchor is computed behind it, in its nest.
        if lastAnchor[Int(id)] == lastAnchor[Int(value.id)] {
          stack.append(user)
        } else {
          found.insert(consumer(Value(Int(lastAnchor[Int(id)]))))
        }
      }
    }
    return found.count
  }

  private func consumer(_ anchor: Value) -> Consumer {
    graph[anchor].primitive.definition.lowering.kind == .rows
      ? .rows(graph.type(graph[anchor].operands[0]).shape.dims, graph.reducedAxes(anchor)) : .anchor(anchor)
  }
}

extension FusionCost {
  /// Whether a product walks the columns `run` as one although memory has gaps between them: each result is then written
  /// and copied, against register boxes that the last of the columns alone leaves half empty.
  static func paysToStage(
    _ plan: ProductLoops, _ run: [ProductLoops.Axis], results: Int, _ type: TensorType,
    _ target: TargetDescription
  ) -> Bool {
    guard let columns = run.last?.extent.knownValue, let all = run.map(\.extent).reduce(1, *).knownValue,
      let elements = type.shape.elementCount.knownValue, let depth = plan.innerExtent.knownValue
    else { return false }
    let panel = target.registerBox.columns
    // Whole panels are computed, and bringing the left operand to a block costs about one more.
    func boxes(_ columns: Int) -> Double { Double((columns + panel - 1) / panel * panel + panel) / Double(columns) }
    let spared = 2 * Double(elements) * Double(depth) * (boxes(columns) - boxes(all))
    return spared / Double(target.operationsPerByte) > Double(2 * results * elements * type.dtype.size)
  }
}
