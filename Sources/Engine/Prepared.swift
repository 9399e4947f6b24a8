// A launch made ready: executables, and how to find each argument and buffer in the operands at hand.
// Not tied to extents. Surprise: arguments and addresses live on the stack for the time of the launch.
import Basics
import Fusion
import Execution
import GraphIR
import TensorTypes

final class Prepared: Sendable {
  struct Step: Sendable {
    let executable: any Executable
    let buffers: [Schedule.BufferSource]
    /// Bytes before each buffer's first element; nil: none anywhere.
    let offsets: [DimProgram]?
    let nests: [LoopNest]
  }
  /// What the steps compute, for accounts of launches.
  private let graph: Graph
  private let refusals: [Refusal]
  let name: String
  private let recipe: [LaunchTemplate.ArgumentSource]
  private let steps: [Step]
  /// Bytes of each temporary.
  private let temporaries: [DimProgram]

  /// What `Engine.runQuick` needs; meaningless unless `isQuick` said yes.
  let quickDType: DType
  let quickResult: DType
  let quickOrder: (QuickSource, QuickSource, QuickSource)
  let quickExecutable: any Executable

  init(
    name: String, graph: Graph, refusals: [Refusal], recipe: [LaunchTemplate.ArgumentSource], steps: [Step],
    temporaries: [DimProgram],
    dtype: DType, result: DType
  ) {
    self.name = name
    self.graph = graph
    self.refusals = refusals
    self.recipe = recipe
    self.steps = steps
    self.temporaries = temporaries
    quickDType = dtype
    quickResult = result
    quickExecutable = steps[0].executable
    let order = steps[0].buffers.map { source -> QuickSource in
      switch source {
      case .parameter(let i): i == 0 ? .first : .second
      case .output, .temporary: .result
      }
    }
    quickOrder = order.count == 3 ? (order[0], order[1], order[2]) : (.first, .second, .result)
  }

  func launch(_ operands: [Operand], _ results: [TensorView], on driver: any Driver) throws(Diagnostic) {
    var work = 0
    var points = 1
    let arguments = recipe.map { source -> Int64 in
      switch source {
      case .extent(let i, let axis):
        guard case .tensor(let view) = operands[i] else { return 0 }
        points &*= view.hints[axis]
        return Int64(view.hints[axis])
      case .stride(let i, let axis):
        guard case .tensor(let view) = operands[i] else { return 0 }
        return Int64(view.strides[axis])
      case .scalar(let i):
        guard case .scalar(let scalar) = operands[i] else { return 0 }
        return scalar.bits
      case .resultExtent(let i, let axis): return Int64(results[i].hints[axis])
      case .resultStride(let i, let axis): return Int64(results[i].strides[axis])
      }
    }
    var parameters: [(storage: Storage, offset: Int)] = []
    parameters.reserveCapacity(operands.count)
    for case .tensor(let view) in operands {
      parameters.append((view.storage, view.offset))
      work += view.elementCount * view.dtype.size
    }
    for view in results { work += view.elementCount * view.dtype.size }
    // A product's time is in its points (labels multiplied), not in its bytes.
    work = max(work, points / 4)
    let storages = try temporaryStorages(arguments, driver)
    for step in steps {
      var references = step.buffers.map { source -> BufferReference in
        switch source {
        case .parameter(let i): BufferReference(parameters[i].storage, offset: parameters[i].offset)
        case .output(let i): BufferReference(results[i].storage, offset: results[i].offset)
        case .temporary(let i): BufferReference(storages[i])
        }
      }
      if let offsets = step.offsets {
        for (i, program) in offsets.enumerated() {
          guard let bytes = program.value(arguments) else {
            throw Diagnostic(.memory, "\(name): the place of a buffer overflows")
          }
          references[i] = BufferReference(references[i].storage, offset: references[i].offset + bytes)
        }
      }
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
      if let fault { throw fault.diagnostic(kernel: name) }
      if isObserved {
        LaunchLog.add(
          LaunchRecord(
            step.nests, of: graph, program: name, image: step.executable.image, arguments: arguments,
            sources: step.buffers, buffers: references, refusals: refusals,
            seconds: Double(monotonicNanoseconds() - started) * 1e-9))
      }
    }
  }

  private func temporaryStorages(_ arguments: [Int64], _ driver: any Driver) throws(Diagnostic) -> [Storage] {
    var storages: [Storage] = []
    for program in temporaries {
      guard let bytes = program.value(arguments) else {
        throw Diagnostic(.memory, "\(name): a temporary's size overflows")
      }
      storages.append(try driver.allocate(byteCount: bytes))
    }
    return storages
  }
}
