// A whole graph made ready to run: kernels in order, memory between them. What a compiled function replays.
// Not a capture and not a cache. Surprise: it is made for symbols, so one serves every size its guards allow.
import Basics
import Execution
import Fusion
import GraphIR
import Synchronization
import TensorTypes

package final class CompiledGraph: Sendable {
  package struct Step: Sendable {
    let executable: any Executable
    let buffers: [Schedule.BufferSource]
    /// Bytes before each buffer's first element; nil: none anywhere.
    let offsets: [DimProgram]?
    /// Bytes moved, or flops / 8 if that is more.
    let work: DimProgram
  }
  package let graph: Graph
  package let schedule: Schedule
  let steps: [Step]
  private let memory: MemoryPlan
  /// Where temporaries are for the arguments of the last run.
  private let arranged = Mutex<Arrangement?>(nil)

  private struct Arrangement: Sendable {
    var arguments: [Int64]
    var offsets: [Int]
    var total: Int
  }
  private let outputDims: [[DimProgram]]
  private let driver: any Driver

  init(
    _ graph: Graph, _ schedule: Schedule, _ executables: [any Executable], _ driver: any Driver
  ) throws(Diagnostic) {
    self.graph = graph
    self.schedule = schedule
    self.driver = driver
    let count = graph.arguments.count
    var steps: [Step] = []
    for (step, executable) in zip(schedule.steps, executables) {
      let parts = step.nests.map { Self.work($0, schedule.graph) }
      let work = try DimProgram(parts.reduce(0, +), argumentCount: count)
      var offsets: [DimProgram]?
      if !step.offsets.allSatisfy({ $0.isKnown(0) }) {
        var programs: [DimProgram] = []
        for offset in step.offsets { programs.append(try DimProgram(offset, argumentCount: count)) }
        offsets = programs
      }
      steps.append(Step(executable: executable, buffers: step.buffers, offsets: offsets, work: work))
    }
    self.steps = steps
    memory = schedule.memoryPlan
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

  /// Bytes that the temporaries of a run take.
  package func arenaBytes(_ arguments: [Int64]) throws(Diagnostic) -> Int { try arrangement(arguments).total }

  private func arrangement(_ arguments: [Int64]) throws(Diagnostic) -> Arrangement {
    if let known = arranged.withLock({ $0 }), known.arguments == arguments { return known }
    guard let (offsets, total) = memory.offsets(arguments.map { Int($0) }) else {
      throw Diagnostic(.memory, "\(graph.name): its temporaries have no size a machine can address")
    }
    let made = Arrangement(arguments: arguments, offsets: offsets, total: total)
    arranged.withLock { $0 = made }
    return made
  }

  /// Runs the kernels. `outputs[i]` has the extents of output i, in row-major order.
  package func run(
    _ parameters: [TensorView], _ arguments: [Int64], into outputs: [TensorView]
  ) throws(Diagnostic) {
    let arrangement = try arrangement(arguments)
    let arena = try Storage(byteCount: max(arrangement.total, 1))
    for (number, step) in steps.enumerated() {
      var references = step.buffers.map { source -> BufferReference in
        switch source {
        case .parameter(let i): BufferReference(parameters[i].storage, offset: parameters[i].offset)
        case .output(let i): BufferReference(outputs[i].storage, offset: outputs[i].offset)
        case .temporary(let i): BufferReference(arena, offset: arrangement.offsets[i])
        }
      }
      if let offsets = step.offsets {
        for (i, program) in offsets.enumerated() {
          guard let bytes = program.value(arguments) else {
            throw Diagnostic(.memory, "\(graph.name): the place of a buffer overflows")
          }
          references[i].offset += bytes
        }
      }
      let work = step.work.value(arguments) ?? .max
      let fault: Fault?
      let isObserved = LaunchLog.isOn
      let started = isObserved ? monotonicNanoseconds() : 0
      if driver.isSynchronous {
        var addresses = references.map { Optional($0.address) }
        fault = try step.executable.run(buffers: &addresses, arguments: arguments, work: work)
      } else {
        let launch = Launch(step.executable, buffers: references, arguments: arguments, work: work)
        fault = try driver.wait(driver.submit(LaunchSequence([launch]))).first
      }
      if let fault { throw fault.diagnostic(kernel: step.executable.image.name) }
      if isObserved {
        LaunchLog.add(
          LaunchRecord(
            schedule.steps[number].nests, of: schedule.graph, program: graph.name, kernel: step.executable.image.name,
            arguments: arguments, sources: step.buffers, buffers: references,
            refusals: schedule.refusals, seconds: Double(monotonicNanoseconds() - started) * 1e-9))
      }
    }
  }
}

extension Engine {
  /// Schedules and compiles a graph whose symbols are its launch arguments. `donations`: output -> the parameter whose
  /// memory it is written into.
  package func compile(_ graph: Graph, donations: [Int: Int] = [:]) throws(Diagnostic) -> CompiledGraph {
    try Stage.show(.graph, kernel: graph.name) { graph.description }
    let graph = try graph.optimized()
    let given = donations.sorted { $0.key < $1.key }.map { Donation(output: $0.key, parameter: $0.value) }
    // Whether a result is large is known per launch, by the kernel itself; only known small results rule it out.
    let mayBeLarge = graph.outputs.contains { output in
      let type = graph.type(output)
      return (type.shape.elementCount * type.dtype.size).knownValue.map { $0 > backend.target.cache.streamedBytes }
        ?? true
    }
    let context = SchedulingContext(target: backend.target, streamsOutputs: mayBeLarge, donations: given)
    let schedule = try Fuser.schedule(graph, context)
    try Stage.show(.fusion, kernel: graph.name) { schedule.text() }
    var executables: [any Executable] = []
    for step in schedule.steps { executables.append(try kernels.executable(step.kernel)) }
    return try CompiledGraph(graph, schedule, executables, backend.driver)
  }
}
