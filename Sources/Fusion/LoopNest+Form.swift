// The forms of a loop nest, and all that each must say: what it computes by itself, which loops it has and which of them
// results have, what distinguishes it from its equals, how it is called, who tiles it. Not the tiling: a file NestEmitter+...
// for each form; nor what a nest costs, which its values say (`LoopNest+Cost`).
// Surprise: no question has a default, so that a new form is a case that the compiler asks for at every line of this file.
import Basics
import GraphIR

extension LoopNest {
  package enum Form: Sendable {
    /// Every element by itself.
    case pointwise
    /// Rows along the reduced axes; anchors are reductions, scans and sorts over the same axes, in order.
    case rows(anchors: [Value])
    /// Sums of products.
    case contraction(Value)
    /// Softmax of products with keys, times values, without the scores in memory.
    indirect case attention(AttentionPattern)
    /// Base copied, then updates combined in.
    case scatter(Value)
  }
}

extension LoopNest.Form {
  /// The values that the form computes by itself, from all of what it walks.
  var anchors: [Value] {
    switch self {
    case .pointwise: []
    case .rows(let anchors): anchors
    case .contraction(let value), .scatter(let value): [value]
    case .attention(let pattern): [pattern.mix]
    }
  }

  /// Whether `axes` are the loops of such a nest.
  func fits(_ axes: [LoopNest.Axis], _ graph: Graph) -> Bool {
    /// Loops over a value's shape, those along `reduced` being reduced.
    func walks(_ value: Value, reduced: [Int] = []) -> Bool {
      axes.map(\.extent) == graph.type(value).shape.dims && axes.indices.filter { axes[$0].reduced } == reduced
    }
    switch self {
    case .pointwise: return !axes.contains(where: \.reduced)
    case .rows(let anchors):
      return anchors.allSatisfy { walks(graph[$0].operands[0], reduced: graph.reducedAxes($0).sorted()) }
    case .contraction(let value): return walks(value)
    case .scatter(let value): return walks(graph[value].operands[2])
    // Those of the result, then the keys.
    case .attention(let pattern):
      let keys = graph.type(pattern.scores).shape[pattern.keyAxis]
      return axes.map(\.extent) == graph.type(pattern.mix).shape.dims + [keys]
        && axes.indices.filter { axes[$0].reduced } == [axes.count - 1]
    }
  }

  /// The axes of a nest of this form, `axes`, that what it writes may walk.
  func written(_ axes: [LoopNest.Axis]) -> [LoopNest.Axis] {
    switch self {
    case .pointwise, .rows, .contraction, .scatter: axes
    // The keys are gone from the result.
    case .attention: Array(axes.dropLast())
    }
  }

  /// The form's part of a kernel's identity: `places` numbers the nest's values.
  func combine(into hash: inout StableHash, _ places: [Value: Int]) {
    switch self {
    case .pointwise: hash.combine(byte: 0)
    case .rows(let anchors):
      hash.combine(byte: 1)
      hash.combine(anchors.map { places[$0] ?? -1 })
    case .contraction(let value):
      hash.combine(byte: 2)
      hash.combine(places[value] ?? -1)
    case .attention(let pattern):
      hash.combine(byte: 3)
      hash.combine([pattern.mix, pattern.scores, pattern.logits].map { places[$0] ?? -1 })
      hash.combine(pattern.maximum.map { places[$0] ?? -1 } ?? -2)
      hash.combine(pattern.sum.map { places[$0] ?? -1 } ?? -2)
      for factor in pattern.factors { hash.combine([places[factor.value] ?? -1, factor.divides ? 1 : 0]) }
    case .scatter(let value):
      hash.combine(byte: 4)
      hash.combine(places[value] ?? -1)
    }
  }

  /// The form's word in a kernel's name.
  func label(_ nest: LoopNest, _ graph: Graph) -> String {
    switch self {
    case .pointwise: nest.roots.contains { $0.box != nil } ? "write" : "map"
    case .rows(let anchors): anchors.count == 1 ? graph[anchors[0]].primitive.name : "rows\(anchors.count)"
    case .contraction(let value): nest.roots.contains { $0.value != value } ? "product_epilogue" : "product"
    case .attention: "attention"
    case .scatter: "scatter"
    }
  }
}

extension NestEmitter {
  /// Writes the phases of the nest, as its form wants them.
  mutating func writePhases() throws(Diagnostic) {
    switch nest.form {
    case .pointwise: try tilePointwise()
    case .rows(let anchors): try tileRows(anchors)
    case .contraction(let value): try tileContraction(value)
    case .attention(let pattern): try tileAttention(pattern)
    case .scatter(let value): try tileScatter(value)
    }
  }
}
