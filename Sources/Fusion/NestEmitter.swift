// Writes one value of a nest as tile operations: demand-driven, from a root down to loads, index maps composed on the way.
// Not a scheduler: grid, tile extents and phases come from the form's own file. Surprise: a value's tile has extent 1 on
// every axis it does not depend on, so a bias row is loaded once and repeated where it meets the matrix.
import Basics
import GraphIR
import Scalars
import TensorTypes
import TileIR

/// Where on one axis of a value the current tile is: `start + scale * t[tileAxis]`.
struct Coordinate: Hashable {
  var start: TileValue
  var tileAxis: Int?
  var scale = 1
  /// The coordinate may lie outside the axis: loads are guarded.
  var guarded = false
  /// Added to the coordinate, element by element.
  var indirect: TileValue?
}

extension AxisMap {
  init(_ at: Coordinate) {
    self.init(at.start, tileAxis: at.tileAxis, scale: at.scale, guarded: at.guarded, indirect: at.indirect)
  }
}

struct NestEmitter: ~Copyable {
  let graph: Graph
  /// The nest that is being written.
  var nest: LoopNest
  /// The graph is one nest: its kernel is named as the graph is.
  let hasOwnName: Bool
  let context: SchedulingContext
  var builder: KernelBuilder
  /// Extents of the tile that is being written.
  var tile: [Extent] = []
  /// Anchors already computed in this region, at the nest's own coordinates.
  var bound: [Value: TileValue] = [:]
  private(set) var buffers: [MemoryView] = []
  private var bufferNumbers: [BufferKey: Int] = [:]
  private var memo: [MemoKey: TileValue] = [:]
  private let arguments: [TileValue]

  private struct BufferKey: Hashable {
    var view: MemoryView
    var role: Buffer.Role
  }
  private struct MemoKey: Hashable {
    var value: Value
    var coordinates: [Coordinate]
  }

  init(_ graph: Graph, _ nest: LoopNest, _ context: SchedulingContext, name: String, hasOwnName: Bool) {
    self.graph = graph
    self.nest = nest
    self.hasOwnName = hasOwnName
    self.context = context
    var builder = KernelBuilder(name: name)
    arguments = graph.arguments.map { builder.argument($0) }
    self.builder = builder
  }

  consuming func finish() -> Kernel { builder.finish() }

  /// Where a root's elements are, given where the nest's axes are.
  mutating func place(_ root: LoopNest.Root, _ domain: [Coordinate]) -> [Coordinate] {
    let zero = builder.index(0)
    return root.axes.map { $0 < 0 ? Coordinate(start: zero) : domain[$0] }
  }

  /// Evaluates and stores all results of the nest.
  mutating func storeRoots(_ domain: [Coordinate]) throws(Diagnostic) {
    for root in nest.roots {
      let at = place(root, domain)
      // A number fills its whole target.
      let value = try emit(root.value, graph.type(root.value).shape.rank == 0 ? [] : at)
      store(root, value, at)
    }
  }

  /// A new region or another tile: nothing computed so far may be used.
  mutating func forget() {
    memo = [:]
    bound = [:]
  }

  // MARK: Index values

  mutating func index(_ dim: Dim) -> TileValue {
    switch dim.expression {
    case nil: builder.index(dim.knownValue ?? 0)
    case .symbol(let id)?: arguments[id]
    case .failed?: builder.index(0)
    case .binary(let operation, let a, let b)?: builder.index(operation, index(a), index(b))
    }
  }

  mutating func extent(_ dim: Dim) -> Extent { dim.knownValue.map { .constant($0) } ?? .value(index(dim)) }

  // MARK: Buffers

  /// The launch buffer over `view`, declared at first use.
  mutating func buffer(_ view: MemoryView, _ role: Buffer.Role) -> Int {
    let key = BufferKey(view: view, role: role)
    if let known = bufferNumbers[key] { return known }
    let shape = view.shape.dims.map { index($0) }
    let steps = view.strides.map { index($0) }
    let number = builder.buffer(bufferName(view, role), view.type.dtype, shape, strides: steps, role: role)
    buffers.append(view)
    bufferNumbers[key] = number
    return number
  }

  /// Kernels of single operations keep the names of their operands; in a larger graph equal kernels must be equal text.
  private func bufferName(_ view: MemoryView, _ role: Buffer.Role) -> String {
    if hasOwnName {
      switch view.source {
      case .parameter(let i):
        let name = graph.parameters[i].name
        if role == .input, !bufferNumbers.keys.contains(where: { $0.view.source == view.source }) { return name }
      case .output(let i):
        if !bufferNumbers.keys.contains(where: { $0.view.source == view.source }) { return "out\(i)" }
      case .temporary: break
      }
    }
    return "\(role == .input ? "i" : "o")\(buffers.count)"
  }

  // MARK: Tiles

  /// Extents of a tile at `coordinates`: 1 on axes that no coordinate walks.
  func naturalShape(_ coordinates: [Coordinate]) -> [Extent] {
    var shape = [Extent](repeating: .constant(1), count: tile.count)
    for coordinate in coordinates {
      if let axis = coordinate.tileAxis { shape[axis] = tile[axis] }
      if let indirect = coordinate.indirect {
        for (axis, extent) in builder.shape(indirect).enumerated() where extent != .constant(1) { shape[axis] = extent }
      }
    }
    return shape
  }

  func union(_ shapes: [[Extent]]) -> [Extent] {
    var result = [Extent](repeating: .constant(1), count: tile.count)
    for shape in shapes {
      for (axis, extent) in shape.enumerated() where extent != .constant(1) { result[axis] = extent }
    }
    return result
  }

  mutating func emit(_ value: Value, _ coordinates: [Coordinate]) throws(Diagnostic) -> TileValue {
    if let anchor = bound[value] { return anchor }
    let key = MemoKey(value: value, coordinates: coordinates)
    if let known = memo[key] { return known }
    let made: TileValue
    if let view = nest.inputs[value] {
      made = load(view, coordinates)
    } else {
      made = try compute(value, coordinates)
    }
    memo[key] = made
    return made
  }

  private mutating func load(_ view: MemoryView, _ coordinates: [Coordinate]) -> TileValue {
    let number = buffer(view, .input)
    var used = coordinates
    for axis in used.indices where view.strides[axis].isKnown(0) || view.shape[axis].isKnown(1) {
      // An axis that stands still is read at 0: its coordinate does not matter.
      if !used[axis].guarded, used[axis].indirect == nil { used[axis] = Coordinate(start: builder.index(0)) }
    }
    return builder.load(Access(number, used.map { AxisMap($0) }), naturalShape(used))
  }

  private mutating func compute(_ value: Value, _ coordinates: [Coordinate]) throws(Diagnostic) -> TileValue {
    let node = graph[value]
    switch node.primitive.definition.lowering {
    case .leaf: return leaf(node, coordinates)
    case .pointwise:
      var operands: [TileValue] = []
      for operand in node.operands { operands.append(try emit(operand, coordinates)) }
      // What no element needs is no fault: a tile that repeats is computed once even for none.
      if graph.mayFault(value) { operands = counted(operands, coordinates) }
      return try pointwise(node, operands)
    case .reindex: return try reindex(node, coordinates)
    case .gather:
      guard case .gather(let axis) = node.primitive else { break }
      let indices = try emit(node.operands[1], coordinates)
      var moved = coordinates
      moved[axis] = Coordinate(start: builder.index(0), indirect: indices)
      return try emit(node.operands[0], moved)
    default: break
    }
    throw Diagnostic(
      .compiler,
      "fusion: %\(value.id) (\(node.primitive.definition.name)) is needed in a kernel that does not compute it")
  }

  private mutating func leaf(_ node: GraphNode, _ coordinates: [Coordinate]) -> TileValue {
    let ones = [Extent](repeating: .constant(1), count: tile.count)
    switch node.primitive {
    case .constant(let constant): return builder.splat(constant, ones)
    case .scalar(let argument): return builder.splatArgument(argument, node.type.dtype, ones)
    case .iota(let axis, _):
      let at = coordinates[axis]
      return builder.coordinates(start: at.start, axis: at.tileAxis, scale: at.scale, naturalShape([at]))
    case let primitive: preconditionFailure("\(primitive.definition.name) is no leaf of a kernel")
    }
  }

  /// The primitive's formula on tiles, which are repeated to their common extents first.
  mutating func pointwise(_ node: GraphNode, _ operands: [TileValue]) throws(Diagnostic) -> TileValue {
    let dtypes = node.operands.map { graph.type($0).dtype }
    guard let program = node.primitive.scalarProgram(operandDTypes: dtypes) else {
      throw Diagnostic(.dtype, "\(node.primitive.definition.name) is not defined on \(dtypes)")
    }
    return apply(program, operands)
  }

  mutating func apply(_ program: ScalarProgram, _ operands: [TileValue]) -> TileValue {
    var values: [TileValue] = []
    for step in program.nodes {
      switch step.operation {
      case .input(let i): values.append(operands[i])
      case .constant(let constant):
        values.append(builder.splat(constant, [Extent](repeating: .constant(1), count: tile.count)))
      case .convert(let i): values.append(builder.convert(values[i], to: step.dtype))
      case .bitcast(let i): values.append(builder.bitcast(values[i], to: step.dtype))
      case .apply(let instruction, let inputs): values.append(map(instruction, inputs.map { values[$0] }))
      }
    }
    return values[values.count - 1]
  }

  mutating func map(_ instruction: ScalarInstruction, _ operands: [TileValue]) -> TileValue {
    let shape = union(operands.map { builder.shape($0) })
    var repeated: [TileValue] = []
    for operand in operands { repeated.append(repeating(operand, shape)) }
    return builder.map(instruction, repeated)
  }

  /// The operands of one element for each element of the value, along axes on which all of them repeat and that may be empty.
  private mutating func counted(_ operands: [TileValue], _ coordinates: [Coordinate]) -> [TileValue] {
    var shape = union(operands.map { builder.shape($0) })
    let whole = naturalShape(coordinates)
    var repeats = false
    for axis in shape.indices where shape[axis] == .constant(1) && whole[axis] != .constant(1) {
      if case .constant(let extent) = whole[axis], extent > 0 { continue }
      shape[axis] = whole[axis]
      repeats = true
    }
    return repeats ? operands.map { repeating($0, shape) } : operands
  }

  /// A splat is remade in the wanted shape, so that constants stay constants.
  mutating func repeating(_ value: TileValue, _ shape: [Extent]) -> TileValue {
    if builder.shape(value) == shape { return value }
    if case .splat(let constant) = builder.kernel[value].operation { return builder.splat(constant, shape) }
    if case .splatArgument(let argument) = builder.kernel[value].operation {
      return builder.splatArgument(argument, builder.dtype(value), shape)
    }
    return builder.broadcast(value, shape)
  }
}
