// The reference machine of tile kernels, and their sanitizer: what a kernel computes, element by element, and what it does
// wrong. Not fast: instances run one after the other, in order, each operation over its whole tile.
// Surprise: every element of a tile is computed, also those a guard keeps from being stored, so an integer division in a
// masked lane faults unless the divisor's load has a fill other than 0.
//
// Tiles are flat arrays of 64-bit words, row-major: a Double's bits for floats, an Int64 for integers and bool. What one
// element becomes is said by `ScalarReference` alone.
import Basics
import Scalars
import TensorTypes

package struct TileInterpreter: Sendable {
  /// What an element did that the user's data is to blame for; the access or division did nothing.
  package struct Fault: Sendable, Hashable {
    package enum Kind: Int, Sendable, Hashable {
      case index = 1
      case division = 2
    }
    package var kind: Kind
    package var phase: Int
    /// Linear number in the grid, axis 0 fastest.
    package var instance: Int
    /// The index that was outside `0 ..< extent`; both 0 for a division.
    package var index: Int
    package var extent: Int

    package init(kind: Kind, phase: Int, instance: Int, index: Int = 0, extent: Int = 0) {
      self.kind = kind
      self.phase = phase
      self.instance = instance
      self.index = index
      self.extent = extent
    }
  }

  /// What the kernel is to blame for.
  package struct Finding: Sendable, Hashable, CustomStringConvertible {
    package enum Kind: String, Sendable, Hashable {
      /// A coordinate without guard outside its extent.
      case outOfBounds = "out of bounds"
      /// A valid coordinate, but the memory given for the buffer does not reach so far.
      case outOfMemory = "outside the buffer's memory"
      /// A read of an element of scratch or of an output that nothing wrote.
      case unwritten = "read of an unwritten element"
      /// Two instances of a phase meet in an element, and one writes it.
      case race
      /// The same, by an accumulating store: defined only on backends with atomics.
      case accumulationRace = "accumulation race"
      /// Index arithmetic overflowed or divided by zero; it gave 0.
      case indexOverflow = "index overflow"
    }
    package var kind: Kind
    package var phase: Int
    package var instance: Int
    /// The first operation and element that did it.
    package var operation: TileValue
    /// Its line in the kernel's text.
    package var statement: String
    package var buffer: String?
    package var coordinates: [Int]
    /// The extent, the instance or the byte that explains it.
    package var detail: String
    /// How many elements did it in this operation.
    package var count: Int

    package var description: String {
      let place = buffer.map { ", \($0)\(coordinates)" } ?? ""
      return "\(kind.rawValue): phase \(phase), instance \(instance), '\(statement)'\(place): \(detail)"
        + (count > 1 ? " (and \(count - 1) more)" : "")
    }
  }

  package struct Statistics: Sendable, Hashable {
    package var instances = 0
    /// Tile elements of loads and stores, and those of them that guards excluded.
    package var accessedLanes = 0
    package var maskedLanes = 0
  }

  package struct Outcome: Sendable, Hashable {
    /// The first fault of the first phase that had one; later phases did not run.
    package var fault: Fault?
    /// One per kind and operation, in order of appearance.
    package var findings: [Finding] = []
    package var statistics = Statistics()
  }

  package let kernel: Kernel
  let interpreted: InterpretedKernel

  /// - Throws: the constraint that the kernel breaks.
  package init(_ kernel: Kernel) throws(Diagnostic) {
    self.kernel = try kernel.verified()
    interpreted = InterpretedKernel(kernel)
  }

  /// Runs all phases. Accesses outside the given memory are never made, whatever the kernel says.
  /// - Parameters:
  ///   - buffers: memory of the launch buffers (scratch is made here), alive during the call.
  ///   - origins: bytes from the start of each memory to the buffer's element 0; nil: all 0.
  ///   - arguments: launch arguments.
  ///   - sanitize: also track races and unwritten elements, at about twice the time.
  /// - Throws: if the launch does not fit the kernel, or needs more memory than there may be.
  package func run(
    buffers: [UnsafeMutableRawBufferPointer], origins: [Int]? = nil, arguments: [Int], sanitize: Bool = true
  ) throws(Diagnostic) -> Outcome {
    let launched = kernel.buffers.filter { $0.role != .scratch }.count
    guard buffers.count == launched, arguments.count == kernel.arguments.count else {
      throw Diagnostic(
        .argument,
        "\(kernel.name) takes \(launched) buffers and \(kernel.arguments.count) arguments, "
          + "not \(buffers.count) and \(arguments.count)")
    }
    let machine = TileMachine(
      nodeCount: kernel.nodes.count, gridRank: kernel.phases.map(\.grid.count).max() ?? 0)
    try evaluateGlobals(machine, arguments)
    let memory = try TileMemory(
      kernel, machine, buffers: buffers, origins: origins ?? Array(repeating: 0, count: launched),
      arguments: arguments, sanitize: sanitize)
    machine.memory = memory
    for (number, phase) in kernel.phases.enumerated() {
      try run(number, phase, machine)
      // The phases behind would read what this one did not write.
      if machine.outcome.fault != nil { break }
    }
    for key in machine.findingOrder {
      guard var finding = machine.findings[key] else { continue }
      finding.statement = kernel.statement(of: finding.operation) ?? "node \(finding.operation.id)"
      machine.outcome.findings.append(finding)
    }
    return machine.outcome
  }

  /// The bytes, counted from element 0, that coordinates inside a launch buffer's extents can address.
  /// - Throws: if the extents or strides overflow.
  package func byteRange(ofBuffer number: Int, arguments: [Int]) throws(Diagnostic) -> Range<Int> {
    let buffer = kernel.buffers[number]
    guard case .strided(let strides) = buffer.layout else {
      throw Diagnostic(.argument, "\(kernel.name): \(buffer.name) is no launch buffer")
    }
    func overflow() -> Diagnostic {
      Diagnostic(.argument, "\(kernel.name): extents and strides of \(buffer.name) overflow for \(arguments)")
    }
    var (low, high) = (0, buffer.dtype.size)
    var isEmpty = false
    for (value, step) in zip(buffer.shape, strides) {
      guard let extent = kernel.evaluatedIndex(value, arguments: arguments),
        let stride = kernel.evaluatedIndex(step, arguments: arguments)
      else { throw overflow() }
      if extent <= 0 {
        isEmpty = true
        continue
      }
      let elements = DimOperation.multiply.apply(extent - 1, stride)
      guard let reach = elements.flatMap({ DimOperation.multiply.apply($0, buffer.dtype.size) }),
        let lower = DimOperation.add.apply(low, min(0, reach)), let upper = DimOperation.add.apply(high, max(0, reach))
      else { throw overflow() }
      (low, high) = (lower, upper)
    }
    return isEmpty ? 0..<0 : low..<high
  }

  private func evaluateGlobals(_ machine: TileMachine, _ arguments: [Int]) throws(Diagnostic) {
    machine.arguments = arguments
    // Operands have smaller numbers, so one pass in order is enough.
    var isKnown = Array(repeating: false, count: kernel.nodes.count)
    for id in kernel.nodes.indices where interpreted.isUsedGlobal[id] {
      let value = machine.value(kernel.nodes[id].indexForm) { operand in
        isKnown[Int(operand.id)] ? machine.index[Int(operand.id)] : nil
      }
      isKnown[id] = value != nil
      machine.index[id] = value ?? 0
      if value == nil {
        throw Diagnostic(
          .argument,
          "\(kernel.name): \(kernel.expressionText(TileValue(id))) overflows or divides by zero for arguments \(arguments)"
        )
      }
    }
  }

  private func run(_ number: Int, _ phase: Phase, _ machine: TileMachine) throws(Diagnostic) {
    let grid = phase.grid.map { max(0, machine.index[Int($0.id)]) }
    var count = 1
    for extent in grid {
      guard let product = DimOperation.multiply.apply(count, extent) else {
        throw Diagnostic(.argument, "\(kernel.name): phase \(number) has too many instances: \(grid)")
      }
      count = product
    }
    if !phase.isBeside { machine.endStage() }
    machine.beginPhase(number)
    let steps = interpreted.phases[number]
    for instance in 0..<count {
      var rest = instance
      for (axis, extent) in grid.enumerated() {
        machine.programID[axis] = rest % extent
        rest /= extent
      }
      machine.instance = instance
      for step in steps { try step(machine) }
    }
    machine.outcome.statistics.instances += count
    machine.stageInstances += count
  }
}
