// One phase of a kernel to one LLVM function: the instance loop, index values, and what is known at each place.
// Not a schedule: grid and tile extents come from the kernel; this decides strips, residence and order of evaluation.
// Surprise: nothing is computed where it stands in the kernel unless it has to be; stores, reductions, products and loops
// are the roots, and they evaluate what they need, box by box (`eval`).
//
// Files: +Plan (roots, demands, residence), +Evaluate (values on a box), +Access (addresses, guards, faults), +Homes
// (instance memory), +Walk (loops over tiles), +Store, +Reduce, +ArgReduce, +Scan, +Sort, +Dot, +Loop, +Device.
import CLLVM
import Scalars
import Targets
import TensorTypes
import TileIR

/// Where a value is kept once computed.
enum Home {
  case scalar(IR)
  /// Element strides per axis; one axis has stride 1.
  case memory(address: IR, strides: [IR], inner: Int)
}

final class Lowering {
  struct MemoKey: Hashable {
    var value: TileValue
    var box: Box
  }

  let kernel: Kernel
  let e: Emitter
  let options: CodegenOptions
  var facts: IndexFacts
  var plan = Plan()
  /// Elements per vector.
  let lanes: Int

  // Of the function being emitted.
  var phase = 0
  var buffers: [IR] = []
  var arguments: [IR] = []
  var arena: IR
  var fault: IR
  var instance: IR
  var entryBlock: LLVMBasicBlockRef!
  var prologueBlock: LLVMBasicBlockRef!
  /// Readable memory for accesses that a predicate turns off.
  var nowhere: IR
  var streamed = false

  // What holds at the present place; undone when a scope ends.
  var memo: [MemoKey: [IR]] = [:]
  var indices: [TileValue: IR] = [:]
  private var memoLog: [MemoKey] = []
  private var indexLog: [TileValue] = []
  private var marks: [(memo: Int, indices: Int)] = []
  /// Values over launch arguments, computed once per call.
  var invariantIndices: [Int: IR] = [:]
  var invariantDims: [Dim: IR] = [:]
  var homes: [TileValue: Home] = [:]
  /// Values that their first root writes to their home in passing.
  var pending: Set<TileValue> = []
  var depth = 0
  /// Stores already emitted with an earlier one of their group.
  var stored: Set<TileValue> = []
  /// The stores being emitted are aligned to whole vectors.
  var isStreaming = false
  /// The stage being emitted, where instances are pipelined.
  var pipelineStage: Int?
  /// Stores go to `aside` unless `isValid`.
  var diverted: (isValid: IR, aside: IR)?
  /// Counts the roots' walks; with it, how many of them load a value.
  var pass = 0
  var passes: [TileValue: Set<Int>] = [:]

  // Instance memory, in bytes over launch arguments.
  var arenaTop: Dim = 0
  var arenaPeaks: [Dim] = []

  init(_ kernel: Kernel, _ emitter: Emitter, _ options: CodegenOptions) {
    self.kernel = kernel
    var options = options
    options.prefetch = options.prefetch && emitter.target.hasPrefetch
    options.streamingStores = options.streamingStores && emitter.target.hasStreamingStores
    self.options = options
    e = emitter
    lanes = emitter.target.lanes
    facts = IndexFacts(kernel)
    let none = emitter.index(0)
    arena = none
    fault = none
    instance = none
    nowhere = none
    emitter.enterScope = { [unowned self] in open() }
    emitter.leaveScope = { [unowned self] in close() }
  }

  func fail(_ what: String) { e.unsupported = e.unsupported ?? what }

  // MARK: Scopes

  func open() {
    marks.append((memoLog.count, indexLog.count))
    depth += 1
  }
  func close() {
    depth -= 1
    let mark = marks.removeLast()
    for key in memoLog[mark.memo...] { memo[key] = nil }
    for key in indexLog[mark.indices...] { indices[key] = nil }
    memoLog.removeSubrange(mark.memo...)
    indexLog.removeSubrange(mark.indices...)
  }
  func remember(_ key: MemoKey, _ values: [IR]) {
    if memo.updateValue(values, forKey: key) == nil { memoLog.append(key) }
  }
  func remember(_ value: TileValue, _ ir: IR) {
    if indices.updateValue(ir, forKey: value) == nil { indexLog.append(value) }
  }

  /// Emits before the instance loop.
  func inPrologue(_ body: () -> IR) -> IR {
    let here = e.currentBlock
    e.position(prologueBlock)
    let value = body()
    e.position(here)
    return value
  }

  // MARK: A phase

  /// Fills `function` with phase `number`; parameters as in `CompiledKernel`.
  func emitPhase(_ number: Int, into function: LLVMValueRef) {
    phase = number
    let body = kernel.phases[number]
    facts.grid = body.grid
    memo = [:]
    indices = [:]
    memoLog = []
    indexLog = []
    invariantIndices = [:]
    invariantDims = [:]
    homes = [:]
    pending = []
    passes = [:]
    arenaTop = 0
    streamed = false
    plan = Plan(kernel, facts, body.body)

    entryBlock = e.begin(function)
    prologueBlock = e.block("prologue")
    LLVMBuildBr(e.builder, prologueBlock)
    e.position(prologueBlock)
    nowhere = e.slot(bytes: max(64, lanes * 8), in: entryBlock)
    if let invocations = e.target.invocations {
      emitInvocation(body, function, invocations)
      return
    }
    buffers = kernel.buffers.indices.map { e.loadPointer(LLVMGetParam(function, 0), $0) }
    arguments = kernel.arguments.indices.map { e.loadIndex(LLVMGetParam(function, 1), $0) }
    arena = LLVMGetParam(function, 4)
    fault = LLVMGetParam(function, 5)

    let start = e.block("start")
    e.position(start)
    let grid = body.grid.map { index($0) }
    let (first, end): (IR, IR) = (LLVMGetParam(function, 2), LLVMGetParam(function, 3))
    func oneByOne() {
      e.loop(from: first, to: end) { number, _ in
        instance = number
        bindProgramIDs(body.body, programCoordinates(grid, number))
        lower(body.body)
        return []
      }
    }
    if let stages = stages(of: body.body) {
      e.branch(canPipeline(stages, from: first, to: end)) {
        lowerPipelined(body.body, stages, grid, from: first, to: end)
      } else: {
        oneByOne()
      }
    } else {
      oneByOne()
    }
    if streamed { LLVMBuildFence(e.builder, LLVMAtomicOrderingSequentiallyConsistent, 0, "") }
    LLVMBuildRetVoid(e.builder)
    e.position(prologueBlock)
    LLVMBuildBr(e.builder, start)
  }

  func programCoordinates(_ grid: [IR], _ number: IR) -> [IR] {
    var rest = number
    var coordinates: [IR] = []
    for (axis, extent) in grid.enumerated() {
      if axis == grid.count - 1 {
        coordinates.append(rest)
      } else if e.constantIndex(extent) == 1 {
        coordinates.append(e.index(0))
      } else {
        coordinates.append(e.binary(LLVMURem, rest, extent))
        rest = e.binary(LLVMUDiv, rest, extent)
      }
    }
    return coordinates
  }

  func bindProgramIDs(_ region: Region, _ coordinates: [IR]) {
    for value in region.operations {
      if case .programID(let axis) = kernel[value].operation {
        remember(value, axis < coordinates.count ? coordinates[axis] : e.index(0))
      }
    }
  }

  /// Fills `function` with the arena's size in bytes: the largest of all phases.
  func emitArenaSize(into function: LLVMValueRef) {
    let entry = e.begin(function)
    entryBlock = entry
    prologueBlock = entry
    invariantDims = [:]
    arguments = kernel.arguments.indices.map { e.loadIndex(LLVMGetParam(function, 0), $0) }
    var largest = e.index(64)
    for peak in arenaPeaks { largest = e.indexMaximum(largest, emit(peak)) }
    LLVMBuildRet(e.builder, largest)
  }

  // MARK: Index values

  func index(_ value: TileValue) -> IR {
    if let known = indices[value] { return known }
    if facts.dependsOnArgumentsOnly(value) {
      let identity = facts.identity(value)
      if let known = invariantIndices[identity] { return known }
      let made = inPrologue { emitIndex(value) }
      invariantIndices[identity] = made
      return made
    }
    let made = emitIndex(value)
    remember(value, made)
    return made
  }

  private func emitIndex(_ value: TileValue) -> IR {
    switch kernel[value].indexForm {
    case .constant(let constant): return e.index(constant)
    case .argument(let i): return arguments[i]
    case .binary(let operation, let a, let b):
      return emit(operation, index(a), index(b), nonNegative: (facts.lower(a) ?? -1) >= 0)
    case .programID, .counter, nil:
      fail("a tile used as an index value")
      return e.index(0)
    }
  }

  /// Division rounds as DimOperation says; a divisor of zero, which no valid launch has, counts as one.
  private func emit(_ operation: DimOperation, _ a: IR, _ b: IR, nonNegative: Bool) -> IR {
    switch operation {
    case .add: return e.indexAdd(a, b)
    case .subtract: return e.indexSubtract(a, b)
    case .multiply: return e.indexMultiply(a, b)
    case .minimum: return e.indexMinimum(a, b)
    case .maximum: return e.indexMaximum(a, b)
    case .floorDivide, .modulo, .ceilDivide: break
    }
    let isPositive = (e.constantIndex(b) ?? 0) > 0
    let divisor = isPositive ? b : e.select(e.compare(LLVMIntEQ, b, e.index(0)), e.index(1), b)
    if operation == .ceilDivide {
      if isPositive, nonNegative {
        return e.binary(LLVMUDiv, e.indexAdd(a, e.index((e.constantIndex(b) ?? 1) - 1)), divisor)
      }
      // ceil(a / b) = -floor(-a / b)
      return LLVMBuildNeg(
        e.builder, emit(.floorDivide, LLVMBuildNeg(e.builder, a, ""), divisor, nonNegative: false), "")
    }
    if isPositive, nonNegative { return e.binary(operation == .modulo ? LLVMURem : LLVMUDiv, a, divisor) }
    let quotient = e.binary(LLVMSDiv, a, divisor)
    let remainder = e.indexSubtract(a, e.indexMultiply(quotient, divisor))
    let differ = e.compare(LLVMIntSLT, e.binary(LLVMXor, remainder, divisor), e.index(0))
    let isOff = e.and(differ, e.compare(LLVMIntNE, remainder, e.index(0)))
    return operation == .modulo
      ? e.select(isOff, e.indexAdd(remainder, divisor), remainder)
      : e.select(isOff, e.indexSubtract(quotient, e.index(1)), quotient)
  }

  /// A size over launch arguments.
  func emit(_ dim: Dim) -> IR {
    if let constant = dim.knownValue { return e.index(constant) }
    if let known = invariantDims[dim] { return known }
    let made: IR
    switch dim.expression {
    case .symbol(let id)?: made = arguments[id]
    case .binary(let operation, let a, let b)?:
      let x = emit(a)
      let y = emit(b)
      made = inPrologue { emit(operation, x, y, nonNegative: false) }
    case .failed?, nil: made = e.index(0)
    }
    invariantDims[dim] = made
    return made
  }

  func extent(_ extent: Extent) -> IR {
    switch extent {
    case .constant(let n): e.index(n)
    case .value(let value): index(value)
    }
  }

  // MARK: Regions

  func lower(_ region: Region) {
    for value in region.operations {
      switch kernel[value].operation {
      case .programID, .regionArgument, .result, .splat, .splatArgument, .coordinates: continue
      case .argument, .index, .indexBinary: _ = index(value)
      case .load, .map, .convert, .bitcast, .broadcast, .transpose: place(value)
      case .store: storeGroup(startingAt: value, in: region)
      case .reduce(let monoid, let axes, let operand): reduce(value, monoid, axes, operand)
      case .argReduce(let monoid, let axis, let operand): argReduce(value, monoid, axis, operand)
      case .scan(let monoid, let axis, let operand): scan(value, monoid, axis, operand)
      case .argScan(let monoid, let axis, let operand): argScan(value, monoid, axis, operand)
      case .sortOrder(let axis, let descending, let operand): sortOrder(value, axis, descending, operand)
      case .dot: placeDot(value)
      case .loop(let count, let initial, let body): loop(value, count, initial, body)
      }
    }
  }

  /// Decides where a value without loops of its own is kept.
  private func place(_ value: TileValue) {
    switch plan.residence(of: value) {
    case .virtual: return
    case .scalar: homes[value] = .scalar(eval(value, .single(kernel[value].shape.count))[0])
    case .memory: materialise(value)
    case .inPassing:
      homes[value] = allocate(value)
      pending.insert(value)
    }
  }
}
