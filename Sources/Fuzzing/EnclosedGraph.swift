// A graph in reference semantics with an enclosure beside every element: what all correct machines give.
// Not a second interpreter: values, and where elements come from, are `Primitive.evaluated`'s; only what rounds has a rule
// here. Surprise: reindexing runs the reference on numbered elements, so it needs no rule at all.
import Basics
import GraphIR
import Scalars
import TensorTypes

package struct EnclosedTensor: Sendable {
  package var reference: ReferenceTensor
  /// One for each element.
  package var enclosures: [Enclosure]
  /// Of a product of half floats: its sums before they were rounded.
  fileprivate var sums: [Enclosure] = []

  init(exactly reference: ReferenceTensor) {
    self.reference = reference
    enclosures = reference.elements.map { Enclosure($0) }
  }
  init(_ reference: ReferenceTensor, _ enclosures: [Enclosure]) {
    self.reference = reference
    self.enclosures = enclosures
  }

  /// The elements may as well be in `others`.
  fileprivate mutating func allow(_ others: [Enclosure]) {
    for (i, other) in others.enumerated() { enclosures[i] = enclosures[i].joined(other) }
  }
}

package struct EnclosedGraph {
  private let graph: Graph

  package init(_ graph: Graph) throws(Diagnostic) { self.graph = try graph.inlined() }

  /// The outputs for exact parameters. Throws what the reference throws, and where the reference leaves its enclosure.
  package func run(_ parameters: [ReferenceTensor], _ arguments: [UInt64]) throws(Diagnostic) -> [EnclosedTensor] {
    let symbols = arguments.map { Int(truncatingIfNeeded: $0) }
    var values: [EnclosedTensor] = []
    values.reserveCapacity(graph.nodes.count)
    for (index, node) in graph.nodes.enumerated() {
      let made: EnclosedTensor
      switch node.primitive {
      case .parameter(let number): made = EnclosedTensor(exactly: parameters[number])
      case .scalar(let argument):
        let element = ScalarReference.value(bits: arguments[argument], node.type.dtype)
        made = EnclosedTensor(exactly: ReferenceTensor(node.type.dtype, [], [element]))
      case _:
        var operands = node.operands.map { values[Int($0.id)] }
        if case .contraction = node.primitive.definition.lowering {
          for (i, operand) in node.operands.enumerated() { operands[i].allow(wider(operand, values)) }
        }
        made = try EnclosedNode(node, operands, symbols).enclosed()
        for (element, enclosure) in zip(made.reference.elements, made.enclosures) where !enclosure.contains(element) {
          throw Diagnostic(
            .compiler, "%\(index) (\(node.primitive.name)): the reference gives \(element), not \(enclosure)")
        }
      }
      values.append(made)
    }
    return graph.outputs.map { values[Int($0.id)] }
  }

  /// An operand of a product before it was rounded to a half float: attention does not round its weights.
  private func wider(_ value: Value, _ values: [EnclosedTensor]) -> [Enclosure] {
    let node = graph[value]
    guard case .convert(let dtype) = node.primitive, dtype != dtype.computeDType,
      graph.type(node.operands[0]).dtype == dtype.computeDType
    else { return [] }
    return values[Int(node.operands[0].id)].enclosures
  }
}

/// One node and the operands it is evaluated on.
private struct EnclosedNode {
  let node: GraphNode
  let operands: [EnclosedTensor]
  let symbols: [Int]
  let dtype: DType
  let extents: [Int]
  let reference: ReferenceTensor

  init(_ node: GraphNode, _ operands: [EnclosedTensor], _ symbols: [Int]) throws(Diagnostic) {
    self.node = node
    self.operands = operands
    self.symbols = symbols
    dtype = node.type.dtype
    var extents: [Int] = []
    for dim in node.type.shape.dims {
      guard let extent = dim.evaluated(symbols), extent >= 0 else {
        throw Diagnostic(.shape, "the extent \(dim) has no value at \(symbols)")
      }
      extents.append(extent)
    }
    self.extents = extents
    reference = try node.primitive.evaluated(operands.map(\.reference), type: dtype, extents, symbols: symbols)
    if reference.extents != extents || reference.elements.count != extents.reduce(1, *) {
      throw Diagnostic(.shape, "the result has the extents \(reference.extents), its type says \(extents)")
    }
  }

  func enclosed() throws(Diagnostic) -> EnclosedTensor {
    var made = EnclosedTensor(reference, try enclosures())
    switch node.primitive.definition.lowering {
    // Attention keeps its scores wide: a sum that is converted at once may not have been rounded in between.
    case .pointwise where isWidening: made.allow(operands[0].sums)
    case .contraction where dtype != dtype.computeDType: made.sums = contracted(dtype.computeDType)
    default: break
    }
    return made
  }

  private var isWidening: Bool {
    guard case .convert(let dtype) = node.primitive else { return false }
    return dtype == operands[0].reference.dtype.computeDType
  }

  private func enclosures() throws(Diagnostic) -> [Enclosure] {
    let lowering = node.primitive.definition.lowering
    if lowering.movesOnly { return try moved() }
    switch lowering {
    case .leaf: return reference.elements.map { Enclosure($0) }
    case .pointwise: return try pointwise()
    case .scatter(let monoid?): return scattered(monoid)
    case .reduction(let monoid): return lines().map { monoid.enclosure($0, dtype) }
    case .scan(let monoid):
      return eachLine { line, _ in line.indices.map { monoid.enclosure(Array(line[...$0]), dtype) } }
    case .argReduction(let monoid): return winners(monoid)
    case .argScan(let monoid): return scannedWinners(monoid)
    case .sort: return sorted()
    case .contraction: return contracted(dtype)
    default: throw Diagnostic(.compiler, "\(node.primitive.name): nothing says what rounds in it")
    }
  }

  private func pointwise() throws(Diagnostic) -> [Enclosure] {
    guard let program = node.primitive.scalarProgram(operandDTypes: operands.map(\.reference.dtype)) else {
      throw Diagnostic(.dtype, "\(node.primitive.name) is not defined on its operands")
    }
    return reference.elements.indices.map { i in program.enclosure(operands.map { $0.enclosures[i] }) }
  }

  /// The primitive on the numbers of the elements that it moves, then each number's enclosure. Where an index may be
  /// another one, anything may be there: at its own element, or at all if it says where to write.
  private func moved() throws(Diagnostic) -> [Enclosure] {
    let indices = node.primitive.indexedAxis == nil ? nil : 1
    var numbered: [ReferenceTensor] = []
    var all: [Enclosure] = []
    for (place, source) in operands.enumerated() {
      if place == indices {
        numbered.append(source.reference)
        continue
      }
      let numbers = source.enclosures.indices.map { ScalarValue.integer(Int64(all.count + $0)) }
      numbered.append(ReferenceTensor(.i64, source.reference.extents, numbers))
      all += source.enclosures
    }
    let places = try node.primitive.evaluated(numbered, type: .i64, extents, symbols: symbols)
    let moved = places.elements.map { all[Int($0.integerValue)] }
    guard let indices else { return moved }
    let areKnown = operands[indices].enclosures.map(\.isExact)
    if node.primitive.definition.lowering.readsThroughIndices {
      return zip(moved, areKnown).map { $1 ? $0 : .unknown }
    }
    return areKnown.allSatisfy(\.self) ? moved : moved.map { _ in .unknown }
  }

  private func scattered(_ monoid: Monoid) -> [Enclosure] {
    let (base, indices, updates) = (operands[0], operands[1], operands[2])
    guard let axis = node.primitive.indexedAxis, indices.enclosures.allSatisfy(\.isExact) else {
      return reference.elements.map { _ in .unknown }
    }
    var lists = base.enclosures.map { [$0] }
    let places = indices.reference.places(axis, of: base.reference.extents[axis])
    for (place, update) in zip(places, updates.enclosures) { lists[place].append(update) }
    // Nothing happens to elements that no index names.
    return lists.map { $0.count == 1 ? $0[0] : monoid.enclosure($0, dtype, roundsEach: true) }
  }

  // MARK: Lines

  /// For each element of a reduction, the elements that it combines.
  private func lines() -> [[Enclosure]] {
    guard case .reduce(_, let axes) = node.primitive else { return [] }
    let source = operands[0]
    var strides = ReferenceTensor.contiguousStrides(extents)
    for axis in axes.sorted() { strides.insert(0, at: axis) }
    var lists = [[Enclosure]](repeating: [], count: reference.elements.count)
    for (i, place) in ReferenceTensor.offsets(source.reference.extents, strides: strides).enumerated() {
      lists[place].append(source.enclosures[i])
    }
    return lists
  }

  private var axis: Int {
    switch node.primitive {
    case .scan(_, let axis), .argReduce(_, let axis), .argScan(_, let axis), .sortOrder(let axis, _): axis
    case _: 0
    }
  }

  /// The lines of the operand along the axis, each turned into as many results; `body` gets the reference's too.
  private func eachLine(_ body: ([Enclosure], [ScalarValue]) -> [Enclosure]) -> [Enclosure] {
    let (outer, extent, inner) = operands[0].reference.line(axis)
    let isKept = extents == operands[0].reference.extents
    let length = isKept ? extent : 1
    var made = [Enclosure](repeating: .unknown, count: reference.elements.count)
    for o in 0..<outer {
      for i in 0..<inner where length > 0 && extent > 0 {
        let line = (0..<extent).map { operands[0].enclosures[(o * extent + $0) * inner + i] }
        let known = (0..<length).map { reference.elements[(o * length + $0) * inner + i] }
        for (k, enclosure) in body(line, known).enumerated() { made[(o * length + k) * inner + i] = enclosure }
      }
    }
    return made
  }

  /// Whether `line[best]` wins on every machine.
  private func isClear(_ best: Int, _ line: [Enclosure], _ monoid: ArgMonoid) -> Bool {
    if line.allSatisfy(\.isExact) { return true }
    guard case .float(let low, let high, false) = line[best] else { return false }
    return line.indices.allSatisfy { k in
      guard k != best else { return true }
      guard case .float(let a, let b, false) = line[k] else { return false }
      return monoid == .maximum ? b < low : high < a
    }
  }

  private func winners(_ monoid: ArgMonoid) -> [Enclosure] {
    eachLine { line, known in
      [isClear(Int(known[0].integerValue), line, monoid) ? Enclosure(known[0]) : .unknown]
    }
  }

  private func scannedWinners(_ monoid: ArgMonoid) -> [Enclosure] {
    eachLine { line, known in
      line.indices.map { k in
        isClear(Int(known[k].integerValue), Array(line[...k]), monoid) ? Enclosure(known[k]) : .unknown
      }
    }
  }

  private func sorted() -> [Enclosure] {
    eachLine { line, known in
      if line.allSatisfy(\.isExact) { return known.map { Enclosure($0) } }
      let ordered = known.map { line[Int($0.integerValue)] }
      let isClear = zip(ordered, ordered.dropFirst()).allSatisfy { x, y in
        if x.isExact && y.isExact { return true }
        guard case .float(let a, let b, false) = x, case .float(let c, let d, false) = y else { return false }
        return b < c || d < a
      }
      return known.map { isClear ? Enclosure($0) : .unknown }
    }
  }

  private func contracted(_ dtype: DType) -> [Enclosure] {
    guard case .contraction(let axes) = node.primitive else { return [] }
    let (left, right) = (operands[0], operands[1])
    var made: [Enclosure] = []
    made.reserveCapacity(reference.elements.count)
    axes.forEachSum(left.reference, right.reference) { first, second, terms in
      let products = terms.map { Enclosure.term(left.enclosures[first + $0], right.enclosures[second + $1], dtype) }
      made.append(Monoid.sum.enclosure(products, dtype))
    }
    return made
  }
}
