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

struct NestEmitter: ~Copyable {
  let graph: Graph
  let nest: LoopNest
  let context: SchedulingContext
  var builder: KernelBuilder
  /// Extents of the tile that is being written.
  var tile: [Extent] = []
  /// Anchors already computed in this region, at the nest's own coordinates.
  var bound: [Value: TileValue] = [:]
  private(set) var buffers: [Schedule.BufferSource] = []
  private var bufferNumbers: [BufferKey: Int] = [:]
  private var memo: [MemoKey: TileValue] = [:]
  private let arguments: [TileValue]

  private struct MemoKey: Hashable {
    var value: Value
    var coordinates: [Coordinate]
  }
  private struct BufferKey: Hashable {
    var source: Schedule.BufferSource
    var shape: Shape
  }

  init(_ graph: Graph, _ nest: LoopNest, _ context: SchedulingContext) {
    self.graph = graph
    self.nest = nest
    self.context = context
    var builder = KernelBuilder(name: nest.name)
    arguments = graph.arguments.map { builder.argument($0) }
    self.builder = builder
  }

  consuming func finish() -> Schedule.Step {
    Schedule.Step(nest: nest, kernel: builder.finish(), buffers: buffers)
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

  /// The launch buffer that holds `value`, declared at first use with the value's shape.
  mutating func buffer(_ value: Value, _ source: Schedule.BufferSource, _ role: Buffer.Role) -> Int {
    let type = graph.type(value)
    let key = BufferKey(source: source, shape: type.shape)
    if let known = bufferNumbers[key] { return known }
    let name: String
    var strides = type.shape.contiguousStrides
    switch source {
    case .parameter(let i):
      name = graph.parameters[i].name
      if graph.parameters[i].type.shape == type.shape { strides = graph.parameters[i].strides }
    case .output(let i):
      name = "out\(i)"
      if i < context.outputStrides.count, let given = context.outputStrides[i] { strides = given }
    case .temporary(let i): name = "t\(i)"
    }
    let shape = type.shape.dims.map { index($0) }
    let steps = strides.map { index($0) }
    let number = builder.buffer(name, type.dtype, shape, strides: steps, role: role)
    buffers.append(source)
    bufferNumbers[key] = number
    return number
  }

  /// Declares all launch buffers: scratch comes after them.
  mutating func declareBuffers() {
    for (value, source) in nest.inputs.sorted(by: { $0.key.id < $1.key.id }) { _ = buffer(value, source, .input) }
    for root in nest.roots { _ = buffer(root.value, root.target, .output) }
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
    if let source = nest.inputs[value] {
      made = load(value, source, coordinates)
    } else {
      made = try compute(value, coordinates)
    }
    memo[key] = made
    return made
  }

  private mutating func load(
    _ value: Value, _ source: Schedule.BufferSource, _ coordinates: [Coordinate], fill: ScalarConstant? = nil
  ) -> TileValue {
    let number = buffer(value, source, .input)
    var strides: [Dim]?
    if case .parameter(let i) = source, graph.parameters[i].type.shape == graph.type(value).shape {
      strides = graph.parameters[i].strides
    }
    var used = coordinates
    for axis in used.indices {
      // An axis that stands still is read at 0: its coordinate does not matter.
      let standsStill = strides?[axis].isKnown(0) ?? false
      if (standsStill && !used[axis].guarded) || graph.type(value).shape[axis].isKnown(1) {
        if !used[axis].guarded, used[axis].indirect == nil { used[axis] = Coordinate(start: builder.index(0)) }
      }
    }
    let axes = used.map {
      AxisMap($0.start, tileAxis: $0.tileAxis, scale: $0.scale, guarded: $0.guarded, indirect: $0.indirect)
    }
    return builder.load(Access(number, axes), naturalShape(used), fill: fill)
  }

  private mutating func compute(_ value: Value, _ coordinates: [Coordinate]) throws(Diagnostic) -> TileValue {
    let node = graph[value]
    switch node.primitive.definition.lowering {
    case .leaf: return leaf(node, coordinates)
    case .pointwise:
      var operands: [TileValue] = []
      for operand in node.operands { operands.append(try emit(operand, coordinates)) }
      return try pointwise(node, operands)
    case .reindex: return try reindex(node, coordinates)
    case .gather:
      guard case .gather(let axis) = node.primitive else { break }
      let indices = try emit(node.operands[1], coordinates)
      var moved = coordinates
      moved[axis] = Coordinate(start: builder.index(0), indirect: indices)
      return try emit(node.operands[0], moved)
    case .reduction, .argReduction, .scan, .argScan, .sort, .contraction, .scatter, .call: break
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
