// A whole graph made ready to run: kernels in order, memory between them. What an eager operation launches and a compiled
// function replays: there is no other executor. Not a capture and not a cache. Surprise: it is made for symbols, so one
// serves every size its guards allow; what the sizes decide (offsets, the arena) is worked out once and kept for the next
// call.
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
    let work: CompiledDim
  }
  /// A launch buffer: a base address (parameters, then outputs, then temporaries) and bytes behind it.
  struct Slot: Sendable {
    let base: Int
    let offset: CompiledDim
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
  /// What the kernels compute, for reports.
  package struct Account: Sendable {
    package var graph: Graph
    package var schedule: Schedule
  }

  package let name: String
  /// dtype and extents of each output.
  package let outputs: [TensorType]
  package let record: PlanRecord
  package var argumentCount: Int { record.argumentCount }
  package var launchCount: Int { record.steps.count }
  package let plan: MemoryPlan
  let steps: [Step]
  private let slots: [Slot]
  private let outputDims: [[CompiledDim]]
  private let driver: any Driver
  /// Donated outputs of which something is written before the last kernel that may fault is done.
  package var outputsBeforeFaults: Set<Int> { record.outputsBeforeFaults }
  /// A kernel may find a wrong index or divisor.
  package var mayFault: Bool { record.mayFault }
  private let bound = Mutex<Binding?>(nil)
  private let known: Mutex<Account?>
  private let account: @Sendable () throws(Diagnostic) -> Account
  /// Where the nodes were written; `GraphNode.origin` counts them.
  let origins: [Diagnostic.Origin]

  /// - Parameters:
  ///   - executables: one for each of the record's kernels.
  ///   - account: makes the account of a graph that was found on disk, when somebody asks.
  init(
    _ record: PlanRecord, _ executables: [any Executable], _ driver: any Driver, origins: [Diagnostic.Origin],
    known: Account? = nil, account: @escaping @Sendable () throws(Diagnostic) -> Account
  ) throws(Diagnostic) {
    name = record.name
    outputs = record.outputs
    self.record = record
    self.driver = driver
    self.origins = origins
    self.known = Mutex(known)
    self.account = account
    plan = record.memoryPlan
    let count = record.argumentCount
    var slots: [Slot] = []
    slots.reserveCapacity(record.slots.count)
    for slot in record.slots {
      slots.append(Slot(base: slot.base, offset: try CompiledDim(slot.offset, argumentCount: count)))
    }
    self.slots = slots
    var steps: [Step] = []
    steps.reserveCapacity(record.steps.count)
    for step in record.steps {
      let executable = executables[step.kernel]
      guard executable.image.bufferCount == step.buffers.count, executable.image.argumentCount == count else {
        throw Diagnostic(.cache, "\(record.name): the kernel \(executable.image.name) takes other buffers")
      }
      steps.append(
        Step(executable: executable, buffers: step.buffers, work: try CompiledDim(step.work, argumentCount: count)))
    }
    self.steps = steps
    var outputDims: [[CompiledDim]] = []
    for output in record.outputs {
      var dims: [CompiledDim] = []
      for dim in output.shape.dims { dims.append(try CompiledDim(dim, argumentCount: count)) }
      outputDims.append(dims)
    }
    self.outputDims = outputDims
  }

  /// The graph after the passes and its schedule. Made again from what was captured if the plan came from the disk.
  package func accounted() throws(Diagnostic) -> Account {
    if let made = known.withLock({ $0 }) { return made }
    let made = try account()
    known.withLock { $0 = made }
    return made
  }

  /// Where the operations of step `number` were written, in their order.
  package func origins(ofStep number: Int) throws(Diagnostic) -> [Diagnostic.Origin] {
    let account = try accounted()
    var seen: Set<Int32> = []
    return account.schedule.steps[number].nests.flatMap { $0.body(account.graph) }.compactMap { value in
      let origin = account.graph[value].origin
      guard origins.indices.contains(Int(origin)), seen.insert(origin).inserted else { return nil }
      return origins[Int(origin)]
    }
  }

  /// The extents of output `index` for these arguments.
  package func extents(_ index: Int, _ arguments: [Int64]) throws(Diagnostic) -> [Int] {
    var extents: [Int] = []
    for program in outputDims[index] {
      guard let extent = program.value(arguments), extent >= 0 else {
        throw Diagnostic(.shape, "\(name): an extent of result \(index) is negative or too large")
      }
      extents.append(extent)
    }
    return extents
  }

  /// The extents of each output for these arguments.
  package func outputExtents(_ arguments: [Int64]) throws(Diagnostic) -> [[Int]] { try binding(arguments).outputs }

  /// What a run takes from the allocator besides its results: temporaries, and the scratch of its largest kernel.
  package func workingBytes(_ given: [Int64]) throws(Diagnostic) -> Int {
    let arguments = Array(given.prefix(argumentCount))
    var scratch = 0
    for step in steps {
      let needed = step.executable.scratchBytes(arguments) ?? 0
      if needed > 0 { scratch = max(scratch, try Allocator.bytes(for: needed)) }
    }
    let arena = try binding(arguments).arenaBytes
    return scratch + (arena > 0 ? try Allocator.bytes(for: arena) : 0)
  }

  /// Symbols from `first` on decide how much a run takes.
  package func sizesDepend(onSymbolsFrom first: Int) -> Bool {
    let sizes =
      plan.blocks.map(\.bytes) + outputs.flatMap(\.shape.dims) + steps.flatMap(\.executable.image.scratch)
    return sizes.contains { $0.symbols.contains { $0 >= first } }
  }

  private func binding(_ arguments: [Int64]) throws(Diagnostic) -> Binding {
    if let known = bound.withLock({ $0 }), known.arguments == arguments { return known }
    var places: [Int] = []
    places.reserveCapacity(slots.count)
    for slot in slots {
      guard let offset = slot.offset.constant ?? slot.offset.value(arguments) else {
        throw Diagnostic(.memory, "\(name): the place of a buffer overflows")
      }
      places.append(offset)
    }
    guard let (offsets, total) = plan.offsets(arguments.map { Int($0) }) else {
      throw Diagnostic(.memory, "\(name): the temporaries' sizes overflow at the sizes \(arguments)")
    }
    var outputs: [[Int]] = []
    for i in outputDims.indices { outputs.append(try extents(i, arguments)) }
    let made = Binding(
      arguments, offsets: places, work: steps.map { $0.work.constant ?? $0.work.value(arguments) ?? .max },
      temporaries: offsets, arenaBytes: total, outputs: outputs)
    bound.withLock { $0 = made }
    return made
  }

  /// The executable and the bases of its buffers, where there is one launch whose buffers begin at them.
  var onlyLaunch: (executable: any Executable, bases: [Int])? {
    guard steps.count == 1, slots.allSatisfy({ $0.offset.constant == 0 }) else { return nil }
    return (steps[0].executable, slots.map(\.base))
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
    if let failure { throw explained(failure.fault, step: failure.step, arguments) }
  }

  /// As `run` where launches are queued, or somebody counts them.
  private func runObserved(
    _ binding: Binding, _ parameters: [TensorView], _ arguments: [Int64], _ outputs: [TensorView], _ arena: Storage?
  ) throws(Diagnostic) {
    var bases = parameters.map { BufferReference($0.storage, offset: $0.offset) }
    bases += outputs.map { BufferReference($0.storage, offset: $0.offset) }
    if let arena { bases += binding.temporaries.map { BufferReference(arena, offset: $0) } }
    let launches = steps.enumerated().map { number, step in
      let references = step.buffers.map { i in
        BufferReference(bases[slots[i].base].storage, offset: bases[slots[i].base].offset + binding.offsets[i])
      }
      return Launch(step.executable, buffers: references, arguments: arguments, work: binding.work[number])
    }
    let account = LaunchLog.isOn ? try accounted() : nil
    if account == nil, !mayFault {
      let fault = try driver.wait(driver.submit(LaunchSequence(launches))).first
      if let fault { throw explained(fault, step: fault.launch, arguments) }
      return
    }
    // Behind a fault nothing may run, so that a kernel is waited for before the next one is queued.
    for (number, launch) in launches.enumerated() {
      let started = monotonicNanoseconds()
      let fault = try driver.wait(driver.submit(LaunchSequence([launch]))).first
      if let fault { throw explained(fault, step: number, arguments) }
      guard let account, LaunchLog.isOn else { continue }
      let schedule = account.schedule
      var launched = LaunchRecord(
        schedule.steps[number].nests, of: schedule.graph, image: launch.executable.image,
        arguments: arguments, sources: schedule.steps[number].buffers, buffers: launch.buffers,
        refusals: schedule.refusals, seconds: Double(monotonicNanoseconds() - started) * 1e-9)
      launched.origins = try origins(ofStep: number)
      LaunchLog.add(launched)
    }
  }
}

extension Engine {
  /// Schedules and compiles a graph whose symbols are its launch arguments. `donations`: output -> the parameter whose
  /// memory it is written into.
  package func compile(
    _ graph: Graph, donations: [Int: Int] = [:], fuses: Bool = true, origins: [Diagnostic.Origin] = []
  ) throws(Diagnostic) -> CompiledGraph {
    try compile(account(of: graph, donations: donations, fuses: fuses), donations: donations, origins: origins)
  }

  /// Compiles the kernels of a schedule.
  func compile(
    _ account: CompiledGraph.Account, donations: [Int: Int] = [:], origins: [Diagnostic.Origin] = []
  ) throws(Diagnostic) -> CompiledGraph {
    // Equal layers have equal kernels: each is looked up once.
    var places: [Kernel: Int] = [:]
    var different: [Kernel] = []
    let steps = account.schedule.steps.map { step in
      if let place = places[step.kernel] { return place }
      places[step.kernel] = different.count
      different.append(step.kernel)
      return different.count - 1
    }
    let made = try kernels.executables(different)
    let record = PlanRecord(account, donations, keys: steps.map { made[$0].key })
    let executables = record.kernels.compactMap { key in made.first { $0.key == key }?.executable }
    return try CompiledGraph(
      record, executables, backend.driver, origins: origins, known: account,
      account: { () throws(Diagnostic) in account })
  }

  /// The graph after all passes and what Fusion makes of it: the same for the same graph, whenever it is asked.
  func account(of graph: Graph, donations: [Int: Int], fuses: Bool) throws(Diagnostic) -> CompiledGraph.Account {
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
    return .init(graph: graph, schedule: schedule)
  }
}
