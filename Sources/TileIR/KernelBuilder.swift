// The only writer of a Kernel: each method appends one operation and gives its value.
// Not a checker: `Kernel.verified()` reports what is wrong; the builder infers dtypes and shapes.
// Surprise: index arithmetic on constants folds, and equal constants are one node.
import Scalars
import TensorTypes

package struct KernelBuilder: ~Copyable {
  package private(set) var kernel: Kernel
  private var open: [[TileValue]] = [[]]
  private var constants: [Int: TileValue] = [:]

  package init(name: String) { kernel = Kernel(name: name) }

  package consuming func finish() -> Kernel { kernel }

  @discardableResult
  private mutating func append(_ operation: TileOperation, _ dtype: DType? = nil, _ shape: [Extent] = []) -> TileValue {
    kernel.nodes.append(TileNode(operation: operation, dtype: dtype, shape: shape))
    let value = TileValue(kernel.nodes.count - 1)
    open[open.count - 1].append(value)
    return value
  }

  /// Values in no region's list of operations: global ones, and arguments of regions.
  private mutating func appendUnlisted(
    _ operation: TileOperation, _ dtype: DType? = nil, _ shape: [Extent] = []
  ) -> TileValue {
    kernel.nodes.append(TileNode(operation: operation, dtype: dtype, shape: shape))
    return TileValue(kernel.nodes.count - 1)
  }

  package func dtype(_ value: TileValue) -> DType { kernel[value].dtype ?? .i64 }
  package func shape(_ value: TileValue) -> [Extent] { kernel[value].shape }

  // MARK: Declarations

  /// A 64-bit launch argument, numbered in order of declaration.
  package mutating func argument(_ name: String) -> TileValue {
    kernel.arguments.append(name)
    return appendUnlisted(.argument(kernel.arguments.count - 1))
  }

  /// A buffer of the launch; declare all before any scratch.
  package mutating func buffer(
    _ name: String, _ dtype: DType, _ shape: [TileValue], strides: [TileValue], role: Buffer.Role
  ) -> Int {
    kernel.buffers.append(Buffer(name: name, dtype: dtype, shape: shape, layout: .strided(strides), role: role))
    return kernel.buffers.count - 1
  }

  package mutating func scratch(_ name: String, _ dtype: DType, _ shape: [TileValue], _ layout: BufferLayout) -> Int {
    // Several nests of one kernel name their scratch alike.
    let isTaken = kernel.buffers.contains { $0.name == name }
    let name = isTaken ? "\(name)_\(kernel.buffers.count)" : name
    kernel.buffers.append(Buffer(name: name, dtype: dtype, shape: shape, layout: layout, role: .scratch))
    return kernel.buffers.count - 1
  }

  package mutating func phase(_ grid: [TileValue], _ body: (inout KernelBuilder, [TileValue]) -> Void) {
    let ids = openPhase(grid)
    body(&self, ids)
    closePhase(grid)
  }

  /// Begins a phase and gives the coordinates of an instance; `closePhase` ends it. For writers that cannot lend the builder.
  package mutating func openPhase(_ grid: [TileValue]) -> [TileValue] {
    open.append([])
    return grid.indices.map { append(.programID($0)) }
  }

  package mutating func closePhase(_ grid: [TileValue]) {
    kernel.phases.append(Phase(grid: grid, body: Region(operations: open.removeLast())))
  }

  /// The phases so far in a new order: those of one stage run beside each other, stages after each other.
  package mutating func arrange(_ stages: [[Int]]) {
    let phases = kernel.phases
    kernel.phases = stages.flatMap { stage in
      stage.enumerated().map { position, number in
        Phase(grid: phases[number].grid, body: phases[number].body, isBeside: position > 0)
      }
    }
  }

  package var phaseCount: Int { kernel.phases.count }

  /// Begins a loop and gives its counter and carried tiles; `closeLoop` ends it.
  package mutating func openLoop(_ initial: [TileValue]) -> (counter: TileValue, carried: [TileValue]) {
    open.append([])
    let counter = appendUnlisted(.regionArgument)
    return (counter, initial.map { appendUnlisted(.regionArgument, kernel[$0].dtype, kernel[$0].shape) })
  }

  package mutating func closeLoop(
    _ count: TileValue, _ initial: [TileValue], counter: TileValue, carried: [TileValue], yields: [TileValue]
  ) -> [TileValue] {
    let region = Region(arguments: [counter] + carried, operations: open.removeLast(), yields: yields)
    let loop = append(.loop(count: count, initial: initial, region))
    return initial.indices.map { append(.result(loop, $0), kernel[initial[$0]].dtype, kernel[initial[$0]].shape) }
  }

  // MARK: Index values

  package mutating func index(_ value: Int) -> TileValue {
    if let known = constants[value] { return known }
    let made = appendUnlisted(.index(value))
    constants[value] = made
    return made
  }

  package func constantIndex(_ value: TileValue) -> Int? {
    if case .index(let constant) = kernel[value].operation { return constant }
    return nil
  }

  package mutating func index(_ operation: DimOperation, _ a: TileValue, _ b: TileValue) -> TileValue {
    let x = constantIndex(a)
    let y = constantIndex(b)
    if let x, let y, let folded = operation.apply(x, y) { return index(folded) }
    switch operation {
    case .add:
      if x == 0 { return b }
      if y == 0 { return a }
    case .subtract: if y == 0 { return a }
    case .multiply:
      if x == 0 || y == 0 { return index(0) }
      if x == 1 { return b }
      if y == 1 { return a }
    case .floorDivide, .ceilDivide: if y == 1 { return a }
    case .modulo: if y == 1 { return index(0) }
    case .minimum, .maximum: if a == b { return a }
    }
    // Expressions over arguments only are made while no phase is open and belong to every region.
    if open.count == 1 { return appendUnlisted(.indexBinary(operation, a, b)) }
    return append(.indexBinary(operation, a, b))
  }

  package mutating func index(_ operation: DimOperation, _ a: TileValue, _ b: Int) -> TileValue {
    let b = index(b)
    return index(operation, a, b)
  }

  // MARK: Tiles

  package mutating func splat(_ constant: ScalarConstant, _ shape: [Extent]) -> TileValue {
    append(.splat(constant), constant.dtype, shape)
  }
  package mutating func splatArgument(_ argument: Int, _ dtype: DType, _ shape: [Extent]) -> TileValue {
    append(.splatArgument(argument), dtype, shape)
  }
  package mutating func coordinates(start: TileValue, axis: Int?, scale: Int = 1, _ shape: [Extent]) -> TileValue {
    append(.coordinates(start: start, axis: axis, scale: scale), .i64, shape)
  }
  package mutating func load(_ access: Access, _ shape: [Extent], fill: ScalarConstant? = nil) -> TileValue {
    let dtype = access.reinterpreted ?? kernel.buffers[access.buffer].dtype
    return append(.load(access, fill: fill ?? ScalarConstant(dtype, integer: 0)), dtype, shape)
  }
  package mutating func store(_ access: Access, _ value: TileValue, _ mode: StoreMode = .plain) {
    append(.store(access, value, mode))
  }
  package mutating func map(_ instruction: ScalarInstruction, _ operands: [TileValue]) -> TileValue {
    let dtype = instruction.resultDType(operands.map { self.dtype($0) })
    return append(.map(instruction, operands), dtype, shape(operands[0]))
  }
  package mutating func convert(_ value: TileValue, to dtype: DType) -> TileValue {
    self.dtype(value) == dtype ? value : append(.convert(value), dtype, shape(value))
  }
  package mutating func bitcast(_ value: TileValue, to dtype: DType) -> TileValue {
    append(.bitcast(value), dtype, shape(value))
  }
  package mutating func broadcast(_ value: TileValue, _ extents: [Extent]) -> TileValue {
    shape(value) == extents ? value : append(.broadcast(value), dtype(value), extents)
  }
  package mutating func transpose(_ value: TileValue, _ permutation: [Int]) -> TileValue {
    let extents = shape(value)
    return append(.transpose(value, permutation: permutation), dtype(value), permutation.map { extents[$0] })
  }
  package mutating func reduce(_ monoid: Monoid, _ axes: [Int], _ value: TileValue) -> TileValue {
    append(.reduce(monoid, axes: axes, value), dtype(value), reducing(value, axes))
  }
  package mutating func argReduce(_ monoid: ArgMonoid, _ axis: Int, _ value: TileValue) -> TileValue {
    append(.argReduce(monoid, axis: axis, value), .i64, reducing(value, [axis]))
  }
  package mutating func scan(_ monoid: Monoid, _ axis: Int, _ value: TileValue) -> TileValue {
    append(.scan(monoid, axis: axis, value), dtype(value), shape(value))
  }
  package mutating func argScan(_ monoid: ArgMonoid, _ axis: Int, _ value: TileValue) -> TileValue {
    append(.argScan(monoid, axis: axis, value), .i64, shape(value))
  }
  package mutating func sortOrder(_ axis: Int, descending: Bool, _ value: TileValue) -> TileValue {
    append(.sortOrder(axis: axis, descending: descending, value), .i64, shape(value))
  }
  package mutating func dot(_ accumulator: TileValue, _ a: TileValue, _ b: TileValue) -> TileValue {
    append(.dot(accumulator: accumulator, a, b), dtype(accumulator), shape(accumulator))
  }

  /// A counted loop with carried tiles; `body` gets the counter and the carried tiles and returns the next ones.
  package mutating func loop(
    _ count: TileValue, _ initial: [TileValue],
    _ body: (inout KernelBuilder, TileValue, [TileValue]) -> [TileValue]
  ) -> [TileValue] {
    let (counter, carried) = openLoop(initial)
    let yields = body(&self, counter, carried)
    return closeLoop(count, initial, counter: counter, carried: carried, yields: yields)
  }

  private func reducing(_ value: TileValue, _ axes: [Int]) -> [Extent] {
    var extents = shape(value)
    for axis in axes { extents[axis] = .constant(1) }
    return extents
  }
}
