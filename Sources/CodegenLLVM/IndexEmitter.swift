// Index values and sizes as code: computed once per call where they follow from launch arguments, else where they are
// needed. Not facts about them (IndexFacts). Surprise: what is known of values decides the code, so that a division by a
// positive constant is one instruction.
import CLLVM
import TensorTypes
import TileAnalysis
import TileIR

final class IndexEmitter {
  private let e: Emitter
  private let kernel: Kernel
  private let facts: IndexFacts
  private let arguments: [IR]
  /// Runs once per call, before all else.
  private let prologue: LLVMBasicBlockRef
  /// What holds at the present place.
  var scope = Scoped<TileValue, IR>()
  private var invariants: [Int: IR] = [:]
  private var dims: [Dim: IR] = [:]

  init(_ e: Emitter, _ kernel: Kernel, _ facts: IndexFacts, arguments: [IR], prologue: LLVMBasicBlockRef) {
    self.e = e
    self.kernel = kernel
    self.facts = facts
    self.arguments = arguments
    self.prologue = prologue
  }

  /// Emits before the instance loop.
  func inPrologue(_ body: () -> IR) -> IR {
    let here = e.currentBlock
    e.position(prologue)
    let value = body()
    e.position(here)
    return value
  }

  func index(_ value: TileValue) -> IR {
    if let known = scope[value] { return known }
    if facts.dependsOnArgumentsOnly(value) {
      let identity = facts.identity(value)
      if let known = invariants[identity] { return known }
      let made = inPrologue { emitted(value) }
      invariants[identity] = made
      return made
    }
    let made = emitted(value)
    scope.remember(made, for: value)
    return made
  }

  private func emitted(_ value: TileValue) -> IR {
    switch kernel[value].indexForm {
    case .constant(let constant): return e.index(constant)
    case .argument(let i): return arguments[i]
    case .binary(let operation, let a, let b):
      return e.index(operation, index(a), index(b), nonNegative: (facts.lower(a) ?? -1) >= 0)
    case .programID, .counter, nil:
      e.fail("a tile used as an index value")
      return e.index(0)
    }
  }

  /// A size over launch arguments.
  func size(_ dim: Dim) -> IR {
    if let constant = dim.knownValue { return e.index(constant) }
    if let known = dims[dim] { return known }
    let made: IR
    switch dim.expression {
    case .symbol(let id)?: made = arguments[id]
    case .binary(let operation, let a, let b)?:
      let x = size(a)
      let y = size(b)
      made = inPrologue { e.index(operation, x, y, nonNegative: false) }
    case .failed?, nil: made = e.index(0)
    }
    dims[dim] = made
    return made
  }
}

extension Emitter {
  /// Fills `function` with the arena's size in bytes: the largest of all `peaks`.
  func emitArenaSize(_ kernel: Kernel, _ peaks: [Dim], into function: LLVMValueRef) {
    let entry = begin(function)
    let arguments = kernel.arguments.indices.map { loadIndex(LLVMGetParam(function, 0), $0) }
    let indices = IndexEmitter(self, kernel, IndexFacts(kernel, grid: []), arguments: arguments, prologue: entry)
    LLVMBuildRet(builder, peaks.reduce(index(64)) { indexMaximum($0, indices.size($1)) })
  }

  /// Division rounds as DimOperation says; a divisor of zero, which no valid launch has, counts as one.
  func index(_ operation: DimOperation, _ a: IR, _ b: IR, nonNegative: Bool) -> IR {
    switch operation {
    case .add: return indexAdd(a, b)
    case .subtract: return indexSubtract(a, b)
    case .multiply: return indexMultiply(a, b)
    case .minimum: return indexMinimum(a, b)
    case .maximum: return indexMaximum(a, b)
    case .floorDivide, .modulo, .ceilDivide: break
    }
    let isPositive = (constantIndex(b) ?? 0) > 0
    let divisor = isPositive ? b : select(compare(LLVMIntEQ, b, index(0)), index(1), b)
    if operation == .ceilDivide {
      if isPositive, nonNegative {
        return binary(LLVMUDiv, indexAdd(a, index((constantIndex(b) ?? 1) - 1)), divisor)
      }
      // ceil(a / b) = -floor(-a / b)
      return LLVMBuildNeg(
        builder, index(.floorDivide, LLVMBuildNeg(builder, a, ""), divisor, nonNegative: false), "")
    }
    if isPositive, nonNegative { return binary(operation == .modulo ? LLVMURem : LLVMUDiv, a, divisor) }
    let quotient = binary(LLVMSDiv, a, divisor)
    let remainder = indexSubtract(a, indexMultiply(quotient, divisor))
    let differ = compare(LLVMIntSLT, binary(LLVMXor, remainder, divisor), index(0))
    let isOff = and(differ, compare(LLVMIntNE, remainder, index(0)))
    return operation == .modulo
      ? select(isOff, indexAdd(remainder, divisor), remainder)
      : select(isOff, indexSubtract(quotient, index(1)), quotient)
  }
}
