// Whether nests are what they say: loops as their form wants them, results on those loops, and the invariant of all of
// them: a nest reads only memory that nests before it wrote.
// Not a check of kernels (`Schedule.verified`). Surprise: where a result overwrites what it reads is no mistake here; that
// every element is read before it is written is decided by element, where donations are placed.
import Basics
import GraphIR
import TensorTypes

extension LoopNests {
  /// The nests themselves, or the first rule that they break. `donations`: what launches put in the memory of parameters.
  func verified(_ graph: Graph, donations: [Donation]) throws(Diagnostic) -> LoopNests {
    var written = Set(graph.parameters.indices.map { Schedule.BufferSource.parameter($0) })
    written.formUnion(donations.map { .output($0.output) })
    for (number, nest) in nests.enumerated() {
      func require(_ holds: Bool, _ what: @autoclosure () -> String) throws(Diagnostic) {
        if !holds { throw Diagnostic(.compiler, "nest \(number) of \(graph.name): \(what())") }
      }
      if let mistake = nest.mistake(graph) { try require(false, mistake) }
      for (value, view) in nest.inputs.sorted(by: { $0.key.id < $1.key.id }) {
        try require(
          written.contains(view.source), "reads %\(value.id) from \(view.source), which no nest before it wrote")
      }
      written.formUnion(nest.roots.map(\.target.source))
    }
    return self
  }
}

extension LoopNest {
  /// What is wrong with the nest by itself; nil: nothing.
  func mistake(_ graph: Graph) -> String? {
    let body = Set(body(graph))
    if let anchor = form.anchors.first(where: { !body.contains($0) || inputs[$0] != nil }) {
      return "does not compute %\(anchor.id), which decides its loops"
    }
    if !form.fits(axes, graph) { return "has the loops \(axes.map(\.text)), which its form does not" }
    for (value, view) in inputs where view.type != graph.type(value) {
      return "reads %\(value.id) as \(view.type), which is \(graph.type(value))"
    }
    return roots.lazy.compactMap { mistake($0, graph) }.first
  }

  private func mistake(_ root: Root, _ graph: Graph) -> String? {
    let shape = root.target.shape
    // A border is one number all along its range.
    let isBorder = root.box != nil && graph.type(root.value) == TensorType(root.target.type.dtype, [])
    if root.target.type != graph.type(root.value), !isBorder {
      return "writes %\(root.value.id), which is \(graph.type(root.value)), as \(root.target.type)"
    }
    if let box = root.box, box.counts != shape.dims {
      return "writes %\(root.value.id) of \(shape) into a range of \(Shape(box.counts))"
    }
    // A scatter's result has memory before its loops run over the updates.
    if case .scatter(root.value) = form { return nil }
    let walked = root.axes.filter { $0 >= 0 }
    let fits = root.axes.count == shape.rank && Set(walked).count == walked.count
    let follows = zip(root.axes, shape.dims).allSatisfy { axis, extent in
      axis < 0 ? extent.isKnown(1) : axes.indices.contains(axis) && axes[axis].extent == extent
    }
    return fits && follows ? nil : "writes %\(root.value.id) of \(shape) along the loops \(root.axes)"
  }
}

extension LoopNest.Axis {
  fileprivate var text: String { reduced ? "\(extent) reduced" : "\(extent)" }
}
