// What a nest costs as one kernel: the flops of its values, and the bytes that must move. Not a time.
// Surprise: of a tensor that is only gathered or sliced, no more counts than is read; a repeated axis counts once.
import GraphIR
import TensorTypes

/// What a kernel does at least.
package struct KernelCost: Sendable, Hashable {
  package var flops: Int
  /// Bytes from memory and to it.
  package var read: Int
  package var written: Int
  package var bytes: Int { read + written }

  package init(flops: Int = 0, read: Int = 0, written: Int = 0) {
    self.flops = flops
    self.read = read
    self.written = written
  }

  package static func + (a: KernelCost, b: KernelCost) -> KernelCost {
    KernelCost(flops: a.flops + b.flops, read: a.read + b.read, written: a.written + b.written)
  }
}

extension Schedule.Step {
  /// The cost of all nests of the kernel; nil where an extent has no value.
  package func cost(_ graph: Graph, arguments: [Int]) -> KernelCost? {
    var total = KernelCost()
    for nest in nests {
      guard let cost = nest.cost(graph, arguments: arguments) else { return nil }
      total = total + cost
    }
    return total
  }
}

extension LoopNest {
  /// The cost for these launch arguments; nil where an extent has no value.
  package func cost(_ graph: Graph, arguments: [Int]) -> KernelCost? {
    var cost = KernelCost()
    /// Elements read of each input by those that choose; inputs of others are read whole.
    var chosen: [Value: Int] = [:]
    var whole = Set(roots.map(\.value))
    for value in body(graph) where inputs[value] == nil {
      let node = graph[value]
      guard let own = graph.cost(of: value, arguments: arguments),
        let results = node.type.shape.elementCount.evaluated(arguments)
      else { return nil }
      cost.flops += own.flops
      for operand in node.operands where inputs[operand] != nil {
        if node.primitive.definition.lowering.readsEverything {
          whole.insert(operand)
        } else {
          chosen[operand, default: 0] += results
        }
      }
    }
    // One place read as two values counts once.
    var views: [MemoryView: Int] = [:]
    for (value, view) in inputs {
      guard let stored = stored(view, arguments) else { return nil }
      let read = whole.contains(value) ? stored : min(stored, chosen[value] ?? 0)
      let bytes = read * graph.type(value).dtype.size
      views[view] = max(views[view] ?? 0, bytes)
    }
    for root in roots {
      guard let count = graph.type(root.value).shape.elementCount.evaluated(arguments) else { return nil }
      cost.written += count * graph.type(root.value).dtype.size
    }
    cost.read = views.values.reduce(0, +)
    return cost
  }

  /// Elements of an input in memory; what repeats counts once.
  private func stored(_ view: MemoryView, _ arguments: [Int]) -> Int? {
    var count = 1
    for (dim, stride) in zip(view.shape.dims, view.strides) where !stride.isKnown(0) {
      guard let extent = dim.evaluated(arguments) else { return nil }
      count *= extent
    }
    return count
  }
}
