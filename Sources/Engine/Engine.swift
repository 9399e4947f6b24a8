// Runs programs on tensors: finds the prepared launch of a signature, or makes it: graph, fusion, tile IR, code.
// Not an op library: it knows no operation. Surprise: a hit builds no graph and allocates nothing but the results.
import Backends
import Basics
import Fusion
import GraphIR
import Execution
import Synchronization
import Targets
import TensorTypes

package final class Engine: Sendable {
  package let backend: Backend
  let kernels: KernelCache
  /// What constants alone decide and captures asked for.
  let constantPieces = Mutex<[StableHash: CompiledPiece]>([:])

  /// Where kernels and plans are kept.
  let cache: ObjectCache

  package init(_ backend: Backend, cache: ObjectCache = .shared) {
    self.backend = backend
    self.cache = cache
    kernels = KernelCache(backend, cache)
  }

  /// The engine of the device that this process' tensors live on.
  package static var current: Engine {
    get throws(Diagnostic) { try shared.get() }
  }
  private static let shared: Result<Engine, Diagnostic> = Result { () throws(Diagnostic) in
    let chosen = choice.withLock { choice in
      choice.isFinal = true
      return choice
    }
    return Engine(try Backend.make(chosen.kind, for: chosen.target))
  }
  private static let choice = Mutex<(kind: DeviceKind, target: TargetDescription, isFinal: Bool)>(
    (Knobs.current.device, .host, false))

  /// Makes `kind` the device of this process instead of AZULEJO_DEVICE's.
  /// - Parameter target: what kernels are made for; see `Backend.make`.
  /// - Throws: a Diagnostic once a tensor was made on another device.
  package static func choose(_ kind: DeviceKind, for target: TargetDescription = .host) throws(Diagnostic) {
    let isLate = choice.withLock { choice in
      if choice.isFinal { return choice.kind != kind || choice.target != target }
      (choice.kind, choice.target) = (kind, target)
      return false
    }
    if isLate {
      throw Diagnostic(
        .device, "the device cannot become \(kind.rawValue): this process has tensors on another one",
        remedy: "choose the device before the first tensor is made")
    }
  }

  /// Seconds this thread spent on making launches ready: graphs, fusion, code, or finding it on disk. What others do beside
  /// it is no part of its calls' time. Only differences count: a thread may go on from one that is gone.
  package static var preparationSeconds: Double {
    preparation.withLock { $0[ThreadPool.callerNumber] ?? .zero } / .seconds(1)
  }
  private static let preparation = Mutex<[UInt: Duration]>([:])

  /// Time that went into making something ready to be launched.
  package static func notePreparation(_ time: Duration) {
    preparation.withLock { $0[ThreadPool.callerNumber, default: .zero] += time }
  }

  /// Where an operation writes its result: memory, or while a function is captured a tensor without a value.
  /// `dims`: the extents as a capture knows them, where they are not numbers.
  package func allocate(
    _ dtype: DType, _ extents: [Int], dims: @autoclosure () -> [Dim]? = nil
  ) throws(Diagnostic) -> TensorView {
    if let trace = Trace.current { return try trace.undefined(dtype, extents, dims() ?? extents.map { Dim($0) }) }
    return try memory(dtype, extents)
  }

  /// The same in the shape of `other`.
  package func allocate(_ dtype: DType, like other: TensorView) throws(Diagnostic) -> TensorView {
    try allocate(dtype, other.hints, dims: other.dims)
  }

  /// Memory for the host to fill, also while a function is captured.
  package func memory(_ dtype: DType, _ extents: [Int]) throws(Diagnostic) -> TensorView {
    TensorView(try memory(byteCount: Self.byteCount(dtype, extents)), dtype, extents: extents)
  }

  /// The device's memory, for the host to fill.
  package func memory(byteCount: Int) throws(Diagnostic) -> Storage {
    try backend.driver.allocate(byteCount: byteCount)
  }

  /// Bytes of a tensor without gaps.
  package static func byteCount(_ dtype: DType, _ extents: [Int]) throws(Diagnostic) -> Int {
    guard let count = CheckedSize.elements(extents) else {
      throw Diagnostic(
        .memory, "a tensor of shape \(extents) and dtype \(dtype) has no size a machine can address",
        remedy: "check the extents that were multiplied")
    }
    return count * dtype.size
  }

  /// Launches `program`. Operands whose axes have one label have one extent there.
  package func run(
    _ program: Program, _ operands: [Operand], _ destinations: [Destination]
  ) throws(Diagnostic) -> [TensorView] {
    if let trace = Trace.recording(operands, destinations) { return try trace.record(program, operands, destinations) }
    var results: [TensorView] = []
    results.reserveCapacity(destinations.count)
    var isEmpty = true
    for destination in destinations {
      let view: TensorView
      switch destination {
      case .existing(let existing): view = existing
      case .fresh(let dtype, let extents): view = try allocate(dtype, extents)
      }
      if view.elementCount > 0 { isEmpty = false }
      results.append(view)
    }
    if isEmpty {
      // What is wrong for a thousand elements is wrong for none.
      _ = try LaunchTemplate(program, operands, results)
      return results
    }
    var signature = Signature()
    for (i, operand) in operands.enumerated() {
      switch operand {
      case .tensor(let view): signature.append(view) { program.smallLabels.contains(program.label(i, $0)) }
      case .scalar(let scalar): signature.append(scalar: scalar.dtype)
      }
    }
    var written = 0
    for view in results {
      signature.append(view) { _ in false }
      written += view.elementCount * view.dtype.size
    }
    // What the last-level cache can still hold is worth keeping there for the next operation.
    let isLarge = written > backend.target.cache.streamedBytes
    signature.append(isLarge ? 1 : 0, bits: 1)
    guard !signature.overflows else {
      throw Diagnostic(.argument, "\(program.name): too many operands or axes for one launch")
    }
    let prepared: Prepared
    if let known = program.prepared.withLock({ $0[signature] }) {
      prepared = known
    } else {
      let started = ContinuousClock.now
      prepared = try prepare(program, operands, results, isLarge: isLarge)
      Self.notePreparation(ContinuousClock.now - started)
      program.prepared.withLock { $0[signature] = prepared }
    }
    try prepared.launch(operands, results)
    return results
  }

  private func prepare(
    _ program: Program, _ operands: [Operand], _ results: [TensorView], isLarge: Bool
  ) throws(Diagnostic) -> Prepared {
    let template = try LaunchTemplate(program, operands, results)
    try Stage.show(.graph, kernel: program.name) { template.graph.description }
    let context = SchedulingContext(
      target: backend.target, outputStrides: template.outputStrides, bounds: template.bounds, streamsOutputs: isLarge)
    let schedule = try Fuser.schedule(template.graph, context)
    try Stage.show(.fusion, kernel: program.name) { schedule.text() }
    let code = try compile(.init(graph: schedule.graph, schedule: schedule))
    guard code.launchCount > 0 else { throw Diagnostic(.compiler, "\(program.name) computes nothing") }
    if !isLarge, backend.driver.isSynchronous, let quick = QuickLaunch(code, operands, results) {
      _ = program.quick.storeIfNil(quick)
    }
    return Prepared(template.recipe, code)
  }
}
