// A kernel as steps: one closure per operation, made once, run for every instance. What an operation means is here and in
// `InterpretedKernel+Access` and `InterpretedKernel+Across`; what an instruction does to an element is `ScalarReference`'s.
// Surprise: a loop's carried tiles are copied at each trip; nothing is done in place.
import Basics
import Scalars
import TensorTypes

typealias MachineStep = @Sendable (TileMachine) throws(Diagnostic) -> Void

struct InterpretedKernel: Sendable {
  private(set) var phases: [[MachineStep]] = []
  /// Nodes in no region: constants, arguments and arithmetic on them.
  private(set) var isGlobal: [Bool]
  private(set) var isUsedGlobal: [Bool]
  private let kernel: Kernel

  /// - Parameter kernel: a verified one.
  init(_ kernel: Kernel) {
    self.kernel = kernel
    isGlobal = kernel.nodes.map { $0.operation.kind == .index }
    isUsedGlobal = Array(repeating: false, count: kernel.nodes.count)
    for phase in kernel.phases { unmark(phase.body) }
    for buffer in kernel.buffers {
      for value in buffer.shape { use(value) }
      if case .strided(let strides) = buffer.layout { for value in strides { use(value) } }
    }
    for phase in kernel.phases {
      for value in phase.grid { use(value) }
      phases.append(steps(phase.body))
    }
  }

  private mutating func unmark(_ region: Region) {
    for value in region.operations {
      isGlobal[Int(value.id)] = false
      if case .loop(_, _, let body) = kernel[value].operation { unmark(body) }
    }
  }

  private mutating func use(_ value: TileValue) {
    let id = Int(value.id)
    guard isGlobal[id], !isUsedGlobal[id] else { return }
    isUsedGlobal[id] = true
    for operand in kernel[value].operation.operands { use(operand) }
  }

  private mutating func steps(_ region: Region) -> [MachineStep] {
    var steps: [MachineStep] = []
    for (position, value) in region.operations.enumerated() {
      let node = kernel[value]
      for operand in node.operation.operands { use(operand) }
      for case .value(let extent) in node.shape { use(extent) }
      if case .loop(let count, let initial, let body) = node.operation {
        // A loop's results are the operations right after it.
        let results = region.operations[(position + 1)...].prefix(initial.count)
        steps.append(loop(Int(count.id), initial, body, results: results.map { Int($0.id) }))
      } else if let step = step(value, node) {
        steps.append(step)
      }
    }
    return steps
  }

  private func dtype(_ value: TileValue) -> DType { kernel[value].dtype ?? .i64 }

  // MARK: Operations

  private func step(_ value: TileValue, _ node: TileNode) -> MachineStep? {
    let id = Int(value.id)
    let shape = node.shape
    let dtype = node.dtype ?? .i64
    switch node.operation {
    case .argument, .index, .loop, .result, .regionArgument: return nil
    case .programID, .indexBinary: return Self.indexStep(value, node)
    case .splat(let constant): return Self.fill(id, shape, word(constant.value))
    case .splatArgument(let i):
      return { machine throws(Diagnostic) in
        try machine.prepare(id, shape)
        let bits = UInt64(bitPattern: Int64(machine.arguments[i]))
        let element = word(ScalarReference.value(bits: bits, dtype))
        machine.tiles[id].words.update(repeating: element, count: machine.tiles[id].count)
      }
    case .coordinates(let start, let axis, let scale): return Self.coordinates(id, shape, Int(start.id), axis, scale)
    case .load(let access, let fill): return Self.loadStep(value, node, access, fill)
    case .store(let access, let stored, let mode):
      return Self.storeStep(value, access, stored, mode, kernel.buffers[access.buffer].dtype)
    case .map(let instruction, let operands):
      return Self.map(id, shape, instruction, self.dtype(operands[operands.count - 1]), operands.map { Int($0.id) })
    case .convert(let a): return Self.convert(id, shape, Int(a.id), self.dtype(a), dtype)
    case .bitcast(let a):
      let (source, from) = (Int(a.id), self.dtype(a))
      return { machine throws(Diagnostic) in
        try machine.prepare(id, shape)
        let (input, output) = (machine.tiles[source].words, machine.tiles[id].words)
        for i in 0..<machine.tiles[id].count {
          let bits = ScalarReference.bits(of: scalar(input[i], from), from)
          output[i] = word(ScalarReference.value(bits: bits, dtype))
        }
      }
    case .broadcast(let a): return Self.broadcast(id, shape, Int(a.id))
    case .transpose(let a, let permutation): return Self.transpose(id, shape, Int(a.id), permutation)
    case .reduce(let monoid, let axes, let a): return Self.reduce(id, shape, monoid, dtype, axes, Int(a.id))
    case .argReduce(let monoid, let axis, let a):
      return Self.argReduce(id, shape, monoid, self.dtype(a), axis, Int(a.id))
    case .scan(let monoid, let axis, let a): return Self.scan(id, shape, monoid, dtype, axis, Int(a.id))
    case .argScan(let monoid, let axis, let a): return Self.argScan(id, shape, monoid, self.dtype(a), axis, Int(a.id))
    case .sortOrder(let axis, let descending, let a):
      return Self.sortOrder(id, shape, self.dtype(a), axis, descending, Int(a.id))
    case .dot(let accumulator, let a, let b):
      return Self.dot(
        id, shape, dtype, accumulator: Int(accumulator.id), a: Int(a.id), self.dtype(a), b: Int(b.id), self.dtype(b))
    }
  }

  private static func indexStep(_ value: TileValue, _ node: TileNode) -> MachineStep {
    let form = node.indexForm
    return { machine in
      let result = machine.value(form) { machine.index[Int($0.id)] }
      machine.index[Int(value.id)] = result ?? 0
      guard result == nil else { return }
      let operands = node.operation.operands.map { "\(machine.index[Int($0.id)])" }
      machine.find(.indexOverflow, value, detail: operands.joined(separator: " \(node.operation.spelling) "))
    }
  }

  private static func fill(_ id: Int, _ shape: [Extent], _ element: UInt64) -> MachineStep {
    { machine throws(Diagnostic) in
      try machine.prepare(id, shape)
      machine.tiles[id].words.update(repeating: element, count: machine.tiles[id].count)
    }
  }

  private static func coordinates(_ id: Int, _ shape: [Extent], _ start: Int, _ axis: Int?, _ scale: Int) -> MachineStep
  {
    { machine throws(Diagnostic) in
      try machine.prepare(id, shape)
      let output = machine.tiles[id].words
      let first = machine.index[start]
      var inner = 1
      var extent = 1
      if let axis {
        inner = machine.strides(id)[axis]
        extent = max(1, machine.tiles[id].extents[axis])
      }
      let step = axis == nil ? 0 : scale
      for i in 0..<machine.tiles[id].count {
        output[i] = UInt64(bitPattern: Int64(first &+ step &* (i / max(inner, 1) % extent)))
      }
    }
  }

  private static func map(
    _ id: Int, _ shape: [Extent], _ instruction: ScalarInstruction, _ dtype: DType, _ operands: [Int]
  ) -> MachineStep {
    // Absent operands read the first one; the instruction ignores them.
    let (a, b, c) = (operands[0], operands[operands.count > 1 ? 1 : 0], operands[operands.count > 2 ? 2 : 0])
    return { machine throws(Diagnostic) in
      try machine.prepare(id, shape)
      let (x, y, z) = (machine.tiles[a].words, machine.tiles[b].words, machine.tiles[c].words)
      let output = machine.tiles[id].words
      let count = machine.tiles[id].count
      if instruction == .select {
        for i in 0..<count { output[i] = x[i] != 0 ? y[i] : z[i] }
      } else if !dtype.isFloating {
        for i in 0..<count {
          let result = ScalarReference.evaluate(
            instruction, dtype, Int64(bitPattern: x[i]), Int64(bitPattern: y[i]), Int64(bitPattern: z[i]))
          if result == nil { machine.fault(.division) }
          output[i] = UInt64(bitPattern: result ?? 0)
        }
      } else {
        let isComparison = instruction.class == .comparison
        for i in 0..<count {
          let result = ScalarReference.evaluate(
            instruction, dtype, Double(bitPattern: x[i]), Double(bitPattern: y[i]), Double(bitPattern: z[i]))
          output[i] = isComparison ? (result == 0 ? 0 : 1) : result.bitPattern
        }
      }
    }
  }

  private static func convert(_ id: Int, _ shape: [Extent], _ source: Int, _ from: DType, _ to: DType) -> MachineStep {
    { machine throws(Diagnostic) in
      try machine.prepare(id, shape)
      converted(machine.tiles[source].words, machine.tiles[id].words, machine.tiles[id].count, from, to)
    }
  }

  static func converted(_ input: Words, _ output: Words, _ count: Int, _ from: DType, _ to: DType) {
    for i in 0..<count { output[i] = word(ScalarReference.convert(scalar(input[i], from), from: from, to: to)) }
  }

  // MARK: Loops

  private mutating func loop(_ count: Int, _ initial: [TileValue], _ region: Region, results: [Int]) -> MachineStep {
    let body = steps(region)
    for value in region.yields { use(value) }
    let counter = Int(region.arguments[0].id)
    let carried = region.arguments.dropFirst().map { Int($0.id) }
    let shapes = region.arguments.dropFirst().map { kernel[$0].shape }
    let starts = initial.map { Int($0.id) }
    let yields = region.yields.map { Int($0.id) }
    // A yield that is another carried tile would be overwritten before it is read.
    let needsStaging = zip(yields, carried).contains { $0 != $1 && carried.contains($0) }
    return { machine throws(Diagnostic) in
      for i in carried.indices {
        try machine.prepare(carried[i], shapes[i])
        machine.copy(starts[i], to: carried[i])
      }
      let trips = machine.index[count]
      var trip = 0
      while trip < trips {
        machine.index[counter] = trip
        for step in body { try step(machine) }
        if needsStaging {
          let staged = yields.map { yield in
            Array(UnsafeBufferPointer(start: machine.tiles[yield].words, count: machine.tiles[yield].count))
          }
          for (i, words) in staged.enumerated() {
            for (j, element) in words.prefix(machine.tiles[carried[i]].count).enumerated() {
              machine.tiles[carried[i]].words[j] = element
            }
          }
        } else {
          for i in carried.indices where yields[i] != carried[i] { machine.copy(yields[i], to: carried[i]) }
        }
        trip += 1
      }
      for i in results.indices {
        try machine.prepare(results[i], shapes[i])
        machine.copy(carried[i], to: results[i])
      }
    }
  }
}

// MARK: Words

/// An element as the machine holds it.
@inline(__always)
func word(_ value: ScalarValue) -> UInt64 {
  switch value {
  case .float(let x): x.bitPattern
  case .integer(let x): UInt64(bitPattern: x)
  }
}

@inline(__always)
func scalar(_ word: UInt64, _ dtype: DType) -> ScalarValue {
  dtype.isFloating ? .float(Double(bitPattern: word)) : .integer(Int64(bitPattern: word))
}

/// Two elements under a monoid.
func combined(_ monoid: Monoid, _ dtype: DType, _ a: UInt64, _ b: UInt64) -> UInt64 {
  guard let instruction = monoid.instruction else {
    return word(monoid.combined(scalar(a, dtype), scalar(b, dtype), dtype))
  }
  if dtype.isFloating {
    return ScalarReference.evaluate(instruction, dtype, Double(bitPattern: a), Double(bitPattern: b)).bitPattern
  }
  let result = ScalarReference.evaluate(instruction, dtype, Int64(bitPattern: a), Int64(bitPattern: b))
  return UInt64(bitPattern: result ?? 0)
}
