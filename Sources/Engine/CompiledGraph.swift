// A whole graph made ready to run: kernels in order, memory between them. What a compiled function replays.
// Not a capture and not a cache. Surprise: it is made for symbols, so one serves every size its guards allow; what the
// sizes decide (offsets, the arena) is worked out once for each and kept for the next call.
import Basics
import Execution
import Fusion
import GraphIR
import Synchronization
import TensorTypes
import TileIR

package final class CompiledGraph: Sendable {
  struct Step: Sendable {
    let executable: any Executable
    /// Where its buffers are in `slots`.
    let buffers: Range<Int>
    /// Bytes moved, or flops / 8 if that is more.
    let work: DimProgram
  }
  /// A launch buffer: a base address (parameters, then outputs, then temporaries) and bytes behind it.
  struct Slot: Sendable {
    let base: Int
    let offset: DimProgram
  }
  /// What the sizes decide.
  final class Binding: Sendable {
    let arguments: [Int64]
    let offsets: [Int]
    let work: [Int]
    let temporaries: [Int]
    let arenaBytes: Int
    let outputs: [[Int]]
    init(
      _ arguments: [Int64], offsets: [Int], work: [Int], temporaries: [Int], arenaBytes: Int, outputs: [[Int]]
    ) {
      self.arguments = arguments
      self.offsets = offsets
      self.work = work
      self.temporaries = temporaries
      self.arenaBytes = arenaBytes
      self.outputs = outputs
    }
  }

  package let graph: Graph
  package let schedule: Schedule
  package let plan: MemoryPlan
  let steps: [Step]
  private let slots: [Slot]
  private let outputDims: [[DimProgram]]
  private let driver: any Driver
  /// Donated outputs of which something is written before the last kernel that may fault is done.
  package let outputsBeforeFaults: Set<Int>
  /// A kernel may find a wrong index or divisor.
  package let mayFault: Bool
  private let bound = Mutex<Binding?>(nil)

  init(
    _ graph: Graph, _ schedule: Schedule, _ executables: [any Executable], _ driver: any Driver,
    donations: [Int: Int]
  ) throws(Diagnostic) {
    mayFault = schedule.mayFault
    outputsBeforeFaults = schedule.outputsBeforeFaults(donations)
    self.graph = graph
    self.schedule = schedule
    self.driver = driver
    plan = schedule.memoryPlan
    let count = graph.arguments.count
    let (parameters, outputs) = (graph.parameters.count, graph.outputs.count)
    var steps: [Step] = []
    var slots: [Slot] = []
    for (step, executable) in zip(schedule.steps, executables) {
      let parts = step.nests.map { Self.work($0, schedule.graph) }
      let first = slots.count
      for (source, offset) in zip(step.buffers, step.offsets) {
        let base =
          switch source {
          case .parameter(let i): i
          case .output(let i): parameters + i
          case .temporary(let i): parameters + outputs + i
          }
        slots.append(Slot(base: base, offset: try DimProgram(offset, argumentCount: count)))
      }
      let work = try DimProgram(parts.reduce(0, +), argumentCount: count)
      steps.append(Step(executable: executable, buffers: first..<slots.count, work: work))
    }
    self.steps = steps
    self.slots = slots
    var outputDims: [[DimProgram]] = []
    for output in graph.outputs {
      var dims: [DimProgram] = []
      for dim in graph.type(output).shape.dims { dims.append(try DimProgram(dim, argumentCount: count)) }
      outputDims.append(dims)
    }
    self.outputDims = outputDims
  }

  private static func work(_ nest: LoopNest, _ graph: Graph) -> Dim {
    var bytes: Dim = 0
    for value in nest.inputs.keys.sorted(by: { $0.id < $1.id }) {
      let type = graph.type(value)
      bytes += type.shape.elementCount * type.dtype.size
    }
    for root in nest.roots {
      let type = graph.type(root.value)
      bytes += type.shape.elementCount * type.dtype.size
    }
    guard case .contraction(let value) = nest.form, case .contraction(let axes) = graph[value].primitive else {
      return bytes
    }
    let left = graph.type(graph[value].operands[0]).shape
    let inner = axes.contracted.reduce(Dim(1)) { $0 * left[$1.left] }
    return bytes.maximum(graph.type(value).shape.elementCount * inner / 4)
  }

  /// The extents of output `index` for these arguments.
  package func extents(_ index: Int, _ arguments: [Int64]) throws(Diagnostic) -> [Int] {
    var extents: [Int] = []
    for program in outputDims[index] {
      guard let extent = program.value(arguments), extent >= 0 else {
        throw Diagnostic(.shape, "\(graph.name): an extent of result \(index) is negative or too large")
      }
      extents.append(extent)
    }
    return extents
  }

  /// Bytes of the arena that a call with these arguments takes.
  package func arenaBytes(_ arguments: [Int64]) throws(Diagnostic) -> Int { try binding(arguments).arenaBytes }

  /// The extents of each output for these arguments.
  package func outputExtents(_ arguments: [Int64]) throws(Diagnostic) -> [[Int]] { try binding(arguments).outputs }

  private func binding(_ arguments: [Int64]) throws(Diagnostic) -> Binding {
    if let known = bound.withLock({ $0 }), known.arguments == arguments { return known }
    var places: [Int] = []
    places.reserveCapacity(slots.count)
    for slot in slots {
      guard let offset = slot.offset.constant ?? slot.offset.value(arguments) else {
        throw Diagnostic(.memory, "\(graph.name): the place of a buffer overflows")
      }
      places.append(offset)
    }
    guard let (offsets, total) = plan.offsets(arguments.map { Int($0) }) else {
      throw Diagnostic(.memory, "\(graph.name): the temporaries' sizes overflow at the sizes \(arguments)")
    }
    var outputs: [[Int]] = []
    for i in outputDims.indices { outputs.append(try extents(i, arguments)) }
    let made = Binding(
      arguments, offsets: places, work: steps.map { $0.work.constant ?? $0.work.value(arguments) ?? .max },
      temporaries: offsets, arenaBytes: total, outputs: outputs)
    bound.withLock { $0 = made }
    return made
  }

  /// Launches may take bare addresses: they are done when `run` returns, and nobody wants to know their storages.
  package var runsOnAddresses: Bool { driver.isSynchronous && !LaunchLog.isOn }
  package var temporaryCount: Int { plan.blocks.count }

  /// Runs the kernels. `outputs[i]` has the extents of output i, in row-major order.
  package func run(
    _ parameters: [TensorView], _ arguments: [Int64], into outputs: [TensorView]
  ) throws(Diagnostic) {
    if runsOnAddresses {
      var bases = ContiguousArray(parameters.map { Optional($0.base) })
      try run(parametersAt: &bases, arguments, into: outputs)
      return withExtendedLifetime(parameters) {}
    }
    let binding = try binding(arguments)
    try runObserved(binding, parameters, arguments, outputs, try arena(binding))
  }

  private func arena(_ binding: Binding) throws(Diagnostic) -> Storage? {
    binding.arenaBytes > 0 ? try driver.allocate(byteCount: binding.arenaBytes) : nil
  }

  /// As `run` where `runsOnAddresses`; the caller keeps the parameters alive. What is appended to `bases` is of no use later.
  package func run(
    parametersAt bases: inout ContiguousArray<UnsafeMutableRawPointer?>, _ arguments: [Int64],
    into outputs: [TensorView]
  ) throws(Diagnostic) {
    let binding = try binding(arguments)
    let arena = try arena(binding)
    for view in outputs { bases.append(view.base) }
    if let arena { for offset in binding.temporaries { bases.append(arena.address + offset) } }
    var addresses: ContiguousArray<UnsafeMutableRawPointer?> = []
    addresses.reserveCapacity(slots.count)
    for (slot, offset) in zip(slots, binding.offsets) { addresses.append(bases[slot.base].map { $0 + offset }) }
    var failure: (fault: Fault, step: Int)?
    var thrown: Diagnostic?
    addresses.withUnsafeBufferPointer { addresses in
      arguments.withUnsafeBufferPointer { arguments in
        // A graph without arguments has an empty array, whose address nobody reads.
        let values = arguments.baseAddress ?? UnsafePointer(bitPattern: 8).unsafelyUnwrapped
        for (number, step) in steps.enumerated() {
          guard let first = addresses.baseAddress else { break }
          do throws(Diagnostic) {
            let fault = try step.executable.run(
              buffers: first + step.buffers.lowerBound, arguments: values, work: binding.work[number])
            if let fault {
              failure = (fault, number)
              return
            }
          } catch {
            thrown = error
            return
          }
        }
      }
    }
    withExtendedLifetime((outputs, arena)) {}
    if let thrown { throw thrown }
    if let failure { throw failure.fault.diagnostic(kernel: steps[failure.step].executable.image.name) }
  }

  /// As `run` where launches are queued, or somebody counts them.
  private func runObserved(
    _ binding: Binding, _ parameters: [TensorView], _ arguments: [Int64], _ outputs: [TensorView], _ arena: Storage?
  ) throws(Diagnostic) {
    var bases = parameters.map { BufferReference($0.storage, offset: $0.offset) }
    bases += outputs.map { BufferReference($0.storage, offset: $0.offset) }
    if let arena { bases += binding.temporaries.map { BufferReference(arena, offset: $0) } }
    for (number, step) in steps.enumerated() {
      let references = step.buffers.map { i in
        BufferReference(bases[slots[i].base].storage, offset: bases[slots[i].base].offset + binding.offsets[i])
      }
      let started = monotonicNanoseconds()
      let launch = Launch(
        step.executable, buffers: references, arguments: arguments, work: binding.work[number])
      let fault = try driver.wait(driver.submit(LaunchSequence([launch]))).first
      if let fault { throw fault.diagnostic(kernel: step.executable.image.name) }
      guard LaunchLog.isOn else { continue }
      LaunchLog.add(
        LaunchRecord(
          schedule.steps[number].nests, of: schedule.graph, program: graph.name, kernel: step.executable.image.name,
          arguments: arguments, sources: schedule.steps[number].buffers, buffers: references,
          refusals: schedule.refusals, seconds: Double(monotonicNanoseconds() - started) * 1e-9))
    }
  }
}

extension Engine {
  /// Schedules and compiles a graph whose symbols are its launch arguments. `donations`: output -> the parameter whose
  /// memory it is written into.
  package func compile(_ graph: Graph, donations: [Int: Int] = [:], fuses: Bool = true) throws(Diagnostic)
    -> CompiledGraph
  {
    try Stage.show(.graph, kernel: graph.name) { graph.description }
    let graph = try graph.optimized()
    let given = donations.sorted { $0.key < $1.key }.map { Donation(output: $0.key, parameter: $0.value) }
    // Whether a result is large is known per launch, by the kernel itself; only known small results rule it out.
    let mayBeLarge = graph.outputs.contains { output in
      let type = graph.type(output)
      return (type.shape.elementCount * type.dtype.size).knownValue.map { $0 > backend.target.cache.streamedBytes }
        ?? true
    }
    var context = SchedulingContext(target: backend.target, streamsOutputs: mayBeLarge, donations: given)
    context.fuses = fuses
    let schedule = try Fuser.schedule(graph, context)
    try Stage.show(.fusion, kernel: graph.name) { schedule.text() }
    // Equal layers have equal kernels: each is looked up once.
    var known: [Kernel: any Executable] = [:]
    var executables: [any Executable] = []
    for step in schedule.steps {
      let executable = if let found = known[step.kernel] { found } else { try kernels.executable(step.kernel) }
      known[step.kernel] = executable
      executables.append(executable)
    }
    return try CompiledGraph(graph, schedule, executables, backend.driver, donations: donations)
  }
}
