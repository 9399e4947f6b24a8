// What a well-formed kernel is, as numbered constraints, and the check of all of them.
// Not a test of values: bounds, races and reads of unwritten memory are found by running (`TileInterpreter`).
// Surprise: two extents are equal if they are *written* alike (`min(64, K - k0)` twice); nothing is proved.
//
// T1  A value is defined before its use: global, earlier in the region, or earlier in a region around it. A node is
//     listed in at most one region. Global are constants, launch arguments, and unlisted arithmetic on these.
// T2  Index operands, extents and loop counts are index values; tile operands are tiles.
// T3  A node has the dtype that its operation gives.
// T4  A node has the shape that its operation gives; pointwise operands have one shape.
// T5  Axis numbers are inside the rank and occur once.
// T6  An access has one map per axis of its buffer.
// T7  An indirect tile is i64, its extents are the tile's or 1, and its coordinate has no guard (a bad index faults).
// T8  Elements have the buffer's dtype; only a load from a launch buffer of u8 may reinterpret.
// T9  Inputs are not stored to.
// T10 Scratch is read, or accumulated into, only in a phase after one that stores to it.
// T11 Grids, buffer extents and strides are global.
// T12 A loop's region has a counter and the carried tiles as arguments; yields, carried and initial tiles have one type.
// T13 The results of a loop follow it directly, one per carried tile, in order.
// T14 Launch buffers come before scratch and have one stride per axis; scratch is row-major or in panels of width >= 1.
// T15 Names of buffers are unique, and so are those of arguments.
// T16 A program id's axis is one of the phase's grid; a launch argument's number is one of the kernel's.
// T17 A phase's region has no arguments and no yields.
// T18 The first phase of a kernel is beside none.
import Basics
import Scalars
import TensorTypes

extension Kernel {
  /// The kernel itself, or the first constraint it breaks.
  @discardableResult
  package func verified() throws(Diagnostic) -> Kernel {
    var verifier = KernelVerifier(kernel: self)
    try verifier.run()
    return self
  }

  /// The same number as written: one value, one constant, or the same arithmetic on such.
  func areSame(_ a: Extent, _ b: Extent) -> Bool {
    switch (a, b) {
    case (.constant(let x), .constant(let y)): return x == y
    case (.constant(let x), .value(let y)), (.value(let y), .constant(let x)): return self[y].operation == .index(x)
    case (.value(let x), .value(let y)):
      var steps = 1000
      return areSame(x, y, &steps)
    }
  }

  private func areSame(_ a: TileValue, _ b: TileValue, _ steps: inout Int) -> Bool {
    if a == b { return true }
    steps -= 1
    guard steps > 0 else { return false }
    if case .indexBinary(let f, let a1, let a2) = self[a].operation,
      case .indexBinary(let g, let b1, let b2) = self[b].operation
    {
      return f == g && areSame(a1, b1, &steps) && areSame(a2, b2, &steps)
    }
    return self[a].operation.kind == .index && self[a].operation == self[b].operation
  }

  func areSame(_ a: [Extent], _ b: [Extent]) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { areSame($0, $1) }
  }
}

private struct KernelVerifier {
  let kernel: Kernel
  /// Usable at the point reached.
  var isDefined: [Bool] = []
  var isListed: [Bool] = []
  var stored: Set<Int> = []
  var storedEarlier: Set<Int> = []
  var grid = 0
  var place = ""

  init(kernel: Kernel) { self.kernel = kernel }

  mutating func run() throws(Diagnostic) {
    isListed = Array(repeating: false, count: kernel.nodes.count)
    isDefined = isListed
    place = "kernel \(kernel.name)"
    try checkNames()
    for phase in kernel.phases { try list(phase.body) }
    defineGlobals()
    try checkBuffers()
    for (number, phase) in kernel.phases.enumerated() {
      place = "kernel \(kernel.name), phase \(number)"
      for extent in phase.grid { try checkGlobal(extent, "a grid extent") }
      try require(phase.body.arguments.isEmpty && phase.body.yields.isEmpty, 17, "the region has arguments or yields")
      grid = phase.grid.count
      if !phase.isBeside { storedEarlier.formUnion(stored) }
      try require(number > 0 || !phase.isBeside, 18, "the first phase is beside none")
      try check(phase.body)
    }
  }

  func require(_ holds: Bool, _ constraint: Int, _ message: @autoclosure () -> String) throws(Diagnostic) {
    if !holds { throw Diagnostic(.compiler, "tile IR (T\(constraint)): \(place): \(message())") }
  }

  // MARK: Kernel

  func checkNames() throws(Diagnostic) {
    for (kind, names) in [("argument", kernel.arguments), ("buffer", kernel.buffers.map(\.name))] {
      var seen: Set<String> = []
      for name in names { try require(seen.insert(name).inserted, 15, "two \(kind)s are named \(name)") }
    }
  }

  /// Marks what regions list, so that the rest can be recognised as global.
  mutating func list(_ region: Region) throws(Diagnostic) {
    for value in region.arguments + region.operations {
      try require(isListed.indices.contains(Int(value.id)), 1, "node \(value.id) does not exist")
      try require(!isListed[Int(value.id)], 1, "\(named(value)) is listed twice")
      isListed[Int(value.id)] = true
      if case .loop(_, _, let body) = kernel[value].operation { try list(body) }
    }
  }

  mutating func defineGlobals() {
    for (id, node) in kernel.nodes.enumerated() where !isListed[id] && node.dtype == nil && node.shape.isEmpty {
      if case .index = node.operation { isDefined[id] = true }
      if case .argument(let i) = node.operation { isDefined[id] = kernel.arguments.indices.contains(i) }
      if case .indexBinary(_, let a, let b) = node.operation {
        isDefined[id] = [a, b].allSatisfy { $0.id >= 0 && $0.id < id && isDefined[Int($0.id)] }
      }
    }
  }

  func checkGlobal(_ value: TileValue, _ what: @autoclosure () -> String) throws(Diagnostic) {
    let isGlobal = isDefined.indices.contains(Int(value.id)) && isDefined[Int(value.id)] && !isListed[Int(value.id)]
    try require(isGlobal, 11, "\(what()) is not made of launch arguments and constants")
  }

  func checkBuffers() throws(Diagnostic) {
    var isScratchSeen = false
    for buffer in kernel.buffers {
      for extent in buffer.shape { try checkGlobal(extent, "an extent of buffer \(buffer.name)") }
      let isScratch = buffer.role == .scratch
      try require(isScratch || !isScratchSeen, 14, "launch buffer \(buffer.name) is declared after scratch")
      isScratchSeen = isScratchSeen || isScratch
      switch buffer.layout {
      case .strided(let strides):
        try require(!isScratch, 14, "scratch \(buffer.name) has strides")
        try require(
          strides.count == buffer.shape.count, 14,
          "buffer \(buffer.name) has \(buffer.shape.count) axes and \(strides.count) strides")
        for stride in strides { try checkGlobal(stride, "a stride of buffer \(buffer.name)") }
      case .rowMajor(let pad):
        try require(isScratch && pad >= 0, 14, "buffer \(buffer.name): rowMajor(\(pad)) needs scratch and pad >= 0")
      case .panels(let width, let pad):
        try require(
          isScratch && pad >= 0 && width >= 1 && !buffer.shape.isEmpty, 14,
          "buffer \(buffer.name): panels(\(width), \(pad)) needs scratch, a column axis, width >= 1 and pad >= 0")
      }
    }
  }

  // MARK: Regions

  mutating func check(_ region: Region) throws(Diagnostic) {
    for value in region.arguments { isDefined[Int(value.id)] = true }
    var next = 0
    while next < region.operations.count {
      let value = region.operations[next]
      next += 1
      try check(value)
      isDefined[Int(value.id)] = true
      guard case .loop(_, let initial, _) = kernel[value].operation else { continue }
      for i in initial.indices {
        let result = next < region.operations.count ? region.operations[next] : value
        try require(
          kernel[result].operation == .result(value, i), 13, "\(named(value)) is not followed by its result \(i)")
        try checkExtents(result)
        try requireType(result, kernel[initial[i]].dtype, kernel[initial[i]].shape)
        isDefined[Int(result.id)] = true
        next += 1
      }
    }
    for value in region.yields { try requireTile(value, "a yield") }
    for value in region.arguments + region.operations { isDefined[Int(value.id)] = false }
  }

  func named(_ value: TileValue) -> String {
    guard kernel.nodes.indices.contains(Int(value.id)) else { return "node \(value.id)" }
    return kernel.statement(of: value).map { "'\($0)'" } ?? "\(kernel[value].operation.spelling) (node \(value.id))"
  }
  func text(_ dtype: DType?) -> String { dtype.map { "\($0)" } ?? "no dtype" }
  func text(_ shape: [Extent]) -> String {
    let extents = shape.map { extent in
      switch extent {
      case .constant(let n): "\(n)"
      case .value(let value): kernel.expressionText(value)
      }
    }
    return "[\(extents.joined(separator: ", "))]"
  }

  func requireDefined(_ value: TileValue, _ what: @autoclosure () -> String) throws(Diagnostic) {
    let isKnown = isDefined.indices.contains(Int(value.id)) && isDefined[Int(value.id)]
    try require(isKnown, 1, "\(what()) is \(named(value)), which is not defined here")
  }
  func requireIndex(_ value: TileValue, _ what: @autoclosure () -> String) throws(Diagnostic) {
    try requireDefined(value, what())
    try require(kernel[value].indexForm != nil, 2, "\(what()) is \(named(value)), no index value")
  }
  func requireTile(_ value: TileValue, _ what: @autoclosure () -> String) throws(Diagnostic) {
    try requireDefined(value, what())
    try require(kernel[value].dtype != nil, 2, "\(what()) is \(named(value)), no tile")
  }
  func requireOperand(_ tile: TileValue, of value: TileValue) throws(Diagnostic) {
    try requireTile(tile, "an operand of \(named(value))")
  }
  func requireType(_ value: TileValue, _ dtype: DType?, _ shape: [Extent]) throws(Diagnostic) {
    let node = kernel[value]
    try require(dtype != nil, 3, "\(named(value)) is not defined on its operands' dtypes")
    try require(
      node.dtype == dtype, 3, "\(named(value)) has \(text(node.dtype)), its operation gives \(text(dtype))")
    try require(
      kernel.areSame(node.shape, shape), 4,
      "\(named(value)) has shape \(text(node.shape)), its operation gives \(text(shape))")
  }
  func requireAxis(_ axis: Int, _ rank: Int, _ value: TileValue) throws(Diagnostic) {
    try require(axis >= 0 && axis < rank, 5, "\(named(value)): axis \(axis) of a tile with \(rank) axes")
  }

  func checkExtents(_ value: TileValue) throws(Diagnostic) {
    for extent in kernel[value].shape {
      switch extent {
      case .constant(let n): try require(n >= 0, 4, "\(named(value)) has the extent \(n)")
      case .value(let index): try requireIndex(index, "an extent of \(named(value))")
      }
    }
  }

  mutating func check(_ value: TileValue) throws(Diagnostic) {
    let node = kernel[value]
    try checkExtents(value)
    try require(
      node.operation.canBeTile || (node.dtype == nil && node.shape.isEmpty), 3,
      "\(named(value)) is no tile but has a tile's type")
    switch node.operation {
    case .programID(let axis):
      try require(axis >= 0 && axis < grid, 16, "program id \(axis) in a grid of \(grid) axes")
    case .argument, .index:
      try require(false, 1, "\(named(value)) is global and cannot be listed")
    case .indexBinary(_, let a, let b):
      for index in [a, b] { try requireIndex(index, "an operand of \(named(value))") }
    case .splat(let constant):
      try requireType(value, constant.dtype, node.shape)
    case .splatArgument(let number):
      try require(kernel.arguments.indices.contains(number), 16, "launch argument \(number) does not exist")
      try requireType(value, node.dtype, node.shape)
    case .coordinates(let start, let axis, _):
      try requireIndex(start, "an operand of \(named(value))")
      if let axis { try requireAxis(axis, node.shape.count, value) }
      try requireType(value, .i64, node.shape)
    case .load(let access, let fill): try checkLoad(access, fill, value)
    case .store(let access, let stored, let mode):
      try requireOperand(stored, of: value)
      try checkStore(access, stored, mode, value)
    case .map(let instruction, let operands):
      for tile in operands { try requireOperand(tile, of: value) }
      let dtype = instruction.resultDType(operands.compactMap { kernel[$0].dtype })
      for tile in operands { try requireSame(kernel[tile].shape, node.shape, value) }
      try requireType(value, dtype, node.shape)
    case .convert(let tile):
      try requireOperand(tile, of: value)
      try requireType(value, node.dtype, kernel[tile].shape)
    case .bitcast(let tile): try checkBitcast(value, tile)
    case .broadcast(let tile): try checkBroadcast(value, tile)
    case .transpose(let tile, let permutation): try checkTranspose(value, tile, permutation)
    case .reduce(let monoid, let axes, let tile):
      try checkAcross(value, tile, axes, combines: monoid, keepsExtents: false)
    case .argReduce(_, let axis, let tile): try checkAcross(value, tile, [axis], keepsExtents: false)
    case .scan(let monoid, let axis, let tile): try checkAcross(value, tile, [axis], combines: monoid)
    case .argScan(_, let axis, let tile), .sortOrder(let axis, _, let tile): try checkAcross(value, tile, [axis])
    case .dot(let accumulator, let a, let b):
      for tile in [accumulator, a, b] { try requireOperand(tile, of: value) }
      try checkDot(value, accumulator, a, b)
    case .loop(let count, let initial, let region):
      try requireIndex(count, "the count of \(named(value))")
      for tile in initial { try requireTile(tile, "an initial tile of \(named(value))") }
      try checkLoop(value, initial, region)
    case .result(let loop, let i):
      try require(false, 13, "\(named(value)): result \(i) does not follow \(named(loop))")
    case .regionArgument:
      try require(false, 12, "\(named(value)) is listed as an operation")
    }
  }

  // MARK: Operations

  func requireSame(_ a: [Extent], _ b: [Extent], _ value: TileValue) throws(Diagnostic) {
    try require(kernel.areSame(a, b), 4, "\(named(value)): shapes \(text(a)) and \(text(b)) differ")
  }

  /// - Parameters:
  ///   - monoid: nil: the result is positions.
  ///   - keepsExtents: else those of `axes` are 1 in the result.
  func checkAcross(
    _ value: TileValue, _ tile: TileValue, _ axes: [Int], combines monoid: Monoid? = nil, keepsExtents: Bool = true
  ) throws(Diagnostic) {
    try requireOperand(tile, of: value)
    var shape = kernel[tile].shape
    for axis in axes { try requireAxis(axis, shape.count, value) }
    try require(Set(axes).count == axes.count, 5, "\(named(value)): an axis occurs twice in \(axes)")
    if !keepsExtents { for axis in axes { shape[axis] = .constant(1) } }
    try requireType(value, monoid.map { combined($0, tile) } ?? .i64, shape)
  }

  func checkBitcast(_ value: TileValue, _ tile: TileValue) throws(Diagnostic) {
    try requireOperand(tile, of: value)
    let (from, to) = (kernel[tile].dtype, kernel[value].dtype)
    try requireType(value, to, kernel[tile].shape)
    try require(
      from?.size == to?.size, 3, "\(named(value)) from \(text(from)) to \(text(to)), which differ in size")
  }

  func checkBroadcast(_ value: TileValue, _ tile: TileValue) throws(Diagnostic) {
    try requireOperand(tile, of: value)
    let (from, to) = (kernel[tile].shape, kernel[value].shape)
    try require(
      areRepeatable(from, to), 4,
      "\(named(value)) from \(text(from)) to \(text(to)): an extent is neither 1 nor the result's")
    try requireType(value, kernel[tile].dtype, to)
  }

  func checkTranspose(_ value: TileValue, _ tile: TileValue, _ permutation: [Int]) throws(Diagnostic) {
    try requireOperand(tile, of: value)
    let shape = kernel[tile].shape
    try require(
      permutation.sorted() == Array(shape.indices), 5, "\(named(value)): \(permutation) is no order of its axes")
    try requireType(value, kernel[tile].dtype, permutation.map { shape[$0] })
  }

  /// Whether each extent is 1 or the other's.
  func areRepeatable(_ from: [Extent], _ to: [Extent]) -> Bool {
    from.count == to.count
      && zip(from, to).allSatisfy { kernel.areSame($0, .constant(1)) || kernel.areSame($0, $1) }
  }

  func checkLoad(_ access: Access, _ fill: ScalarConstant, _ value: TileValue) throws(Diagnostic) {
    let shape = kernel[value].shape
    try check(access, shape, value, isStore: false)
    let dtype = access.reinterpreted ?? kernel.buffers[access.buffer].dtype
    try requireType(value, dtype, shape)
    try require(fill.dtype == dtype, 8, "\(named(value)): fill \(fill) of a tile of \(dtype)")
  }

  func combined(_ monoid: Monoid, _ tile: TileValue) -> DType? {
    guard let dtype = kernel[tile].dtype else { return nil }
    return monoid.isDefined(on: dtype) ? dtype : monoid.instruction?.resultDType([dtype, dtype])
  }

  func check(_ access: Access, _ tile: [Extent], _ value: TileValue, isStore: Bool) throws(Diagnostic) {
    try require(
      kernel.buffers.indices.contains(access.buffer), 6, "\(named(value)): buffer \(access.buffer) does not exist")
    let buffer = kernel.buffers[access.buffer]
    func what() -> String { "\(named(value)) on \(buffer.name)" }
    try require(
      access.axes.count == buffer.shape.count, 6,
      "\(what()): \(access.axes.count) maps for \(buffer.shape.count) axes")
    for map in access.axes {
      try requireIndex(map.start, "the start of \(what())")
      if let axis = map.tileAxis { try requireAxis(axis, tile.count, value) }
      guard let indirect = map.indirect else { continue }
      try requireTile(indirect, "the index of \(what())")
      let node = kernel[indirect]
      try require(node.dtype == .i64, 7, "\(what()): an index of \(text(node.dtype)), not i64")
      try require(
        areRepeatable(node.shape, tile), 7,
        "\(what()): an index of shape \(text(node.shape)) for a tile of \(text(tile))")
      try require(!map.guarded, 7, "\(what()): a guard on an indirect coordinate")
    }
    if access.reinterpreted != nil {
      try require(
        !isStore && buffer.dtype == .u8 && buffer.role != .scratch, 8,
        "\(what()): only loads from launch buffers of u8 reinterpret")
    }
    if buffer.role == .scratch, !isStore {
      try require(
        storedEarlier.contains(access.buffer), 10, "\(what()): no earlier phase stores to this scratch")
    }
  }

  mutating func checkStore(
    _ access: Access, _ tile: TileValue, _ mode: StoreMode, _ value: TileValue
  ) throws(Diagnostic) {
    let node = kernel[tile]
    var readsToo = false
    if case .accumulate(let monoid) = mode {
      readsToo = true
      try require(combined(monoid, tile) != nil, 3, "\(named(value)): no \(monoid.rawValue) of \(text(node.dtype))")
    }
    // What is accumulated into is read as well.
    try check(access, node.shape, value, isStore: !readsToo)
    let buffer = kernel.buffers[access.buffer]
    try require(buffer.role != .input, 9, "\(named(value)): \(buffer.name) is an input")
    try require(access.reinterpreted == nil, 8, "\(named(value)): a store cannot reinterpret")
    try require(
      node.dtype == buffer.dtype, 8,
      "\(named(value)): a tile of \(text(node.dtype)) for \(buffer.name) of \(buffer.dtype)")
    stored.insert(access.buffer)
  }

  func checkDot(
    _ value: TileValue, _ accumulator: TileValue, _ a: TileValue, _ b: TileValue
  ) throws(Diagnostic) {
    let node = kernel[accumulator]
    let (shape, left, right) = (node.shape, kernel[a].shape, kernel[b].shape)
    let rank = shape.count
    try require(
      rank >= 2 && left.count == rank && right.count == rank, 4,
      "\(named(value)): shapes \(text(shape)), \(text(left)), \(text(right)) need one rank of at least 2")
    let leading = [shape, left, right].allSatisfy {
      $0.dropLast(2).allSatisfy { kernel.areSame($0, .constant(1)) }
    }
    try require(
      leading && kernel.areSame(left[rank - 2], shape[rank - 2]) && kernel.areSame(right[rank - 1], shape[rank - 1])
        && kernel.areSame(left[rank - 1], right[rank - 2]), 4,
      "\(named(value)): \(text(left)) . \(text(right)) does not give \(text(shape))")
    try require(node.dtype != .bool, 3, "\(named(value)): no product accumulates in bool")
    try requireType(value, node.dtype, shape)
  }

  mutating func checkLoop(_ value: TileValue, _ initial: [TileValue], _ region: Region) throws(Diagnostic) {
    try require(
      region.arguments.count == initial.count + 1 && region.yields.count == initial.count, 12,
      "\(named(value)): \(initial.count) carried tiles, \(region.arguments.count) arguments, \(region.yields.count) yields"
    )
    for argument in region.arguments {
      try require(kernel[argument].operation == .regionArgument, 12, "\(named(argument)) is no region argument")
      try checkExtents(argument)
    }
    try require(kernel[region.arguments[0]].dtype == nil, 12, "\(named(value)): the counter is no index value")
    try check(region)
    for (i, tile) in initial.enumerated() {
      for other in [region.arguments[i + 1], region.yields[i]] {
        let (x, y) = (kernel[tile], kernel[other])
        try require(
          x.dtype == y.dtype && kernel.areSame(x.shape, y.shape), 12,
          "\(named(value)): carried tile \(i) starts as \(text(x.dtype))\(text(x.shape)), "
            + "\(named(other)) is \(text(y.dtype))\(text(y.shape))")
      }
    }
  }
}

extension TileOperation {
  /// Whether a node of this operation may have a dtype and a shape.
  var canBeTile: Bool {
    if case .loop = self { return false }
    return kind != .index && kind != .store
  }
}
