// Outputs with memory of their own: written by the nests that have them, named where they are in memory, or copied.
// Not outputs over parameters (`Partition+Donated`). Surprise: most outputs are written by the time this runs; that a
// temporary is an output's memory is a name that it gets, and nothing before here depends on it.
import GraphIR
import TensorTypes

extension Partition {
  /// The outputs that have memory of their own.
  private var ownOutputs: [Int] {
    let donated = Set(context.donations.map(\.output))
    return graph.outputs.indices.filter { !donated.contains($0) }
  }

  /// Strides of output `i` in memory.
  private func outputView(_ i: Int) -> MemoryView {
    let strides = i < context.outputStrides.count ? context.outputStrides[i] : nil
    return MemoryView(.output(i), graph.type(graph.outputs[i]), strides: strides)
  }

  mutating func placeOutputs() {
    // Memory that was made for a value is that value's output, also where another output is a view of it.
    let open = ownOutputs.filter { !name($0) { $0 == $1 } }
    for i in open {
      let value = graph.outputs[i]
      if memory[value] == nil {
        write(value, outputView(i))
      } else if !name(i, where: { $0.hasAsManyElements(as: $1) }) {
        appendPointwise(value, outputView(i))
      }
    }
  }

  /// Names the temporary that an output is in, if it is the whole of it as the output wants it; one temporary is one output.
  private mutating func name(_ i: Int, where fits: (_ temporary: Shape, _ output: Shape) -> Bool) -> Bool {
    guard let view = memory[graph.outputs[i]], case .temporary(let t) = view.source, names[t] == nil,
      view.offset.isKnown(0), view.isRowMajor, outputView(i).isRowMajor,
      temporaries[t].dtype == view.type.dtype, fits(temporaries[t].shape, view.shape)
    else { return false }
    names[t] = .output(i)
    return true
  }

  /// Writes a value that is in registers, or in none, to `target`.
  mutating func write(_ value: Value, _ target: MemoryView) {
    let home = places[value].nest
    if home >= 0 {
      if nests[home].roots.count < LoopNest.mostRoots, let axes = resolved(places[value].axes, shape(value), home) {
        return addRoot(value, target, axes, to: home)
      }
      leaveNest(value)
    }
    // Results over one shape share a pass.
    if let last = nests.last, case .pointwise = last.form, last.roots.count < LoopNest.mostRoots,
      last.axes.map(\.extent) == shape(value).dims, newest(value) < nests.count - 1, memory[value] == nil
    {
      nests[nests.count - 1].roots.append(.init(value: value, target: target, axes: Array(last.axes.indices)))
    } else {
      appendPointwise(value, target)
    }
    if memory[value] == nil {
      made[value] = nests.count - 1
      memory[value] = target
    }
  }
}
