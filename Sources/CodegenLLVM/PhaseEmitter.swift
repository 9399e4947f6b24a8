// One phase of a kernel to one LLVM function: the instance loop, and code for what the phase's facts say (TileAnalysis).
// Not a schedule: grid and tile extents come from the kernel; nor a plan: residence, demands and how a tile is walked are
// asked of the facts.
// Surprise: nothing is computed where it stands in the kernel unless it has to be; stores, reductions, products and loops
// are the roots, and they evaluate what they need, box by box (`eval`).
//
// Files: +Evaluate (values on a box), +Access (addresses, guards, faults), +Homes (instance memory), +Walk (loops over
// tiles), +Store, +Reduce, +ArgReduce, +Scan, +Sort, +Dot, +Loop, +Transpose, +Pipeline, +Device.
import CLLVM
import Scalars
import Targets
import TensorTypes
import TileAnalysis
import TileIR

/// Where a value is kept once computed.
enum Home {
  case scalar(IR)
  /// Element strides per axis; one axis has stride 1.
  case memory(address: IR, strides: [IR], inner: Int)

  var inner: Int? { if case .memory(_, _, let inner) = self { inner } else { nil } }
}

/// Instance memory, in bytes over launch arguments.
struct InstanceMemory {
  var top: Dim = 0
  private(set) var peaks: [Dim] = []

  /// Where `bytes` begin.
  mutating func allocate(_ bytes: Dim) -> Dim {
    let start = top
    // A vector may be read past the last element.
    top = top + bytes + 64
    peaks.append(top)
    return start
  }
}

/// One walk of a root over its tile.
struct WalkState {
  var number = 0
  /// Its stores are aligned to whole vectors and bypass the caches.
  var isStreaming = false
  /// Its stage, where instances are pipelined.
  var stage: Int?
}

final class PhaseEmitter {
  struct MemoKey: Hashable {
    var value: TileValue
    var box: Box
  }

  let kernel: Kernel
  let e: Emitter
  let options: CodegenOptions
  var facts: PhaseFacts
  var frame: Frame
  let indices: IndexEmitter
  var memory = InstanceMemory()
  /// What has been computed at the present place.
  var memo = Scoped<MemoKey, [IR]>()
  /// Where values are that are kept, or will be; from when on, the facts say.
  var homes: [TileValue: Home] = [:]
  /// Where carried tiles are; a copy made for a yield is their home meanwhile.
  var carriedHomes: [TileValue: Home] = [:]
  var walking = WalkState()
  /// Which walks load a value.
  var loadingWalks: [TileValue: Set<Int>] = [:]

  /// Enters `function`, which `emit` then fills with phase `number`.
  init(_ kernel: Kernel, _ emitter: Emitter, _ options: CodegenOptions, phase number: Int, into function: LLVMValueRef)
  {
    self.kernel = kernel
    var options = options
    options.prefetch = options.prefetch && emitter.target.hasPrefetch
    options.streamingStores = options.streamingStores && emitter.target.hasStreamingStores
    self.options = options
    e = emitter
    facts = PhaseFacts(kernel, phase: number, target: emitter.target)
    frame = Frame(emitter, kernel, function)
    indices = IndexEmitter(emitter, kernel, facts.index, arguments: frame.arguments, prologue: frame.prologue)
    emitter.enterScope = { [unowned self] in open() }
    emitter.leaveScope = { [unowned self] in close() }
  }

  /// Elements per vector.
  var lanes: Int { facts.lanes }

  func open() {
    memo.open()
    indices.scope.open()
  }
  func close() {
    memo.close()
    indices.scope.close()
  }

  func index(_ value: TileValue) -> IR { indices.index(value) }
  func extent(_ extent: Extent) -> IR {
    switch extent {
    case .constant(let n): e.index(n)
    case .value(let value): index(value)
    }
  }

  // MARK: A phase

  func emit(_ phase: Phase, parameters function: LLVMValueRef) {
    let start = e.block("start")
    e.position(start)
    let grid = phase.grid.map { index($0) }
    if !e.target.architecture.isDevice {
      emitRange(grid, from: LLVMGetParam(function, 2), to: LLVMGetParam(function, 3))
    } else {
      emitInvocation(grid)
    }
    if frame.hasStreamed { LLVMBuildFence(e.builder, LLVMAtomicOrderingSequentiallyConsistent, 0, "") }
    LLVMBuildRetVoid(e.builder)
    e.position(frame.prologue)
    LLVMBuildBr(e.builder, start)
  }

  /// A range of instances, one after the other or in a pipeline.
  private func emitRange(_ grid: [IR], from first: IR, to end: IR) {
    func oneByOne() {
      e.loop(from: first, to: end) { number, _ in
        emitInstance(grid, number)
        return []
      }
    }
    if options.streamingStores, options.prefetch, let stages = facts.stages() {
      e.branch(canPipeline(stages, from: first, to: end)) {
        emitPipelined(stages, grid, from: first, to: end)
      } else: {
        oneByOne()
      }
    } else {
      oneByOne()
    }
  }

  func emitInstance(_ grid: [IR], _ number: IR) {
    frame.instance = number
    bindProgramIDs(programCoordinates(grid, number))
    emit(facts.agenda)
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

  func bindProgramIDs(_ coordinates: [IR]) {
    for value in facts.body.operations {
      if case .programID(let axis) = kernel[value].operation {
        indices.scope.remember(axis < coordinates.count ? coordinates[axis] : e.index(0), for: value)
      }
    }
  }

  // MARK: Work

  func emit(_ items: [AgendaItem]) {
    for item in items {
      facts.reached = .item(item.number)
      switch item.work {
      case .index(let value): _ = index(value)
      case .keep(let value, inRegister: true):
        homes[value] = .scalar(eval(value, .single(kernel[value].shape.count))[0])
      case .keep(let value, inRegister: false): keep(value)
      case .write(let value): write(value)
      case .reserve(let value): homes[value] = allocate(value)
      case .across(let value, _): across(value)
      case .stores(let group): stores(group)
      case .loop(let value, let items): loop(value, items)
      case .carry(let yield, let argument):
        if let home = carriedHomes[argument] { assign(yield, to: home, carried: argument) }
      }
    }
  }

  private func across(_ value: TileValue) {
    switch kernel[value].operation {
    case .reduce(let monoid, let axes, let operand): reduce(value, monoid, axes, operand)
    case .argReduce(let monoid, let axis, let operand): argReduce(value, monoid, axis, operand)
    case .scan(let monoid, let axis, let operand): scan(value, monoid, axis, operand)
    case .argScan(let monoid, let axis, let operand): argScan(value, monoid, axis, operand)
    case .sortOrder(let axis, let descending, let operand): sortOrder(value, axis, descending, operand)
    default: e.fail("an operation that is not across elements")
    }
  }
}
