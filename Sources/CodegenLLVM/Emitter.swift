// Typed instructions: LLVM's builder in the vocabulary of elements (dtype, lanes), with loops and branches as closures.
// Nothing here knows tiles (PhaseEmitter does). Surprise: in registers bool is i1, f16 and bf16 are their 16 bits (i16);
// lanes 1 is a scalar, not a vector of one.
import CLLVM
import Scalars
import Targets
import TensorTypes

typealias IR = LLVMValueRef

final class Emitter {
  let context: LLVMContextRef
  let module: LLVMModuleRef
  let builder: LLVMBuilderRef
  let target: TargetDescription
  private(set) var function: LLVMValueRef
  /// Called where code that may not run, or may run again, begins and ends: what is emitted between dominates nothing after.
  var enterScope: () -> Void = {}
  var leaveScope: () -> Void = {}
  /// The first thing this backend cannot emit; the code made after it is meaningless.
  private(set) var unsupported: String?
  /// Functions of the module that phases call.
  var helpers: [String: (value: LLVMValueRef, type: LLVMTypeRef)] = [:]
  /// What the magnitudes made so far are those of.
  private var magnitudes: [IR: IR] = [:]
  private var intrinsics: [String: (function: LLVMValueRef, type: LLVMTypeRef)] = [:]

  let i1, i8, i16, i32, i64, pointer: LLVMTypeRef
  let f16, f32, f64: LLVMTypeRef

  init(context: LLVMContextRef, module: LLVMModuleRef, target: TargetDescription, function: LLVMValueRef) {
    self.context = context
    self.module = module
    self.target = target
    self.function = function
    builder = LLVMCreateBuilderInContext(context)
    i1 = LLVMIntTypeInContext(context, 1)
    i8 = LLVMIntTypeInContext(context, 8)
    i16 = LLVMIntTypeInContext(context, 16)
    i32 = LLVMIntTypeInContext(context, 32)
    i64 = LLVMIntTypeInContext(context, 64)
    f16 = LLVMHalfTypeInContext(context)
    f32 = LLVMFloatTypeInContext(context)
    f64 = LLVMDoubleTypeInContext(context)
    pointer = LLVMPointerTypeInContext(context, 0)
  }

  deinit { LLVMDisposeBuilder(builder) }

  func fail(_ what: String) { unsupported = unsupported ?? what }

  // MARK: Types

  func scalarType(_ dtype: DType) -> LLVMTypeRef {
    switch dtype {
    case .bool: i1
    case .u8, .i8, .f8e4m3fn, .f8e5m2: i8
    case .i16, .u16, .f16, .bf16: i16
    case .i32, .u32: i32
    case .i64, .u64: i64
    case .f32: f32
    case .f64: f64
    }
  }
  func type(_ dtype: DType, _ lanes: Int) -> LLVMTypeRef { vector(scalarType(dtype), lanes) }
  func vector(_ scalar: LLVMTypeRef, _ lanes: Int) -> LLVMTypeRef {
    lanes == 1 ? scalar : LLVMVectorType(scalar, UInt32(lanes))
  }
  func lanes(_ value: IR) -> Int {
    let type = LLVMTypeOf(value)
    return LLVMGetTypeKind(type) == LLVMVectorTypeKind ? Int(LLVMGetVectorSize(type)) : 1
  }
  /// The integer type as wide as `dtype`'s register.
  func bitsType(_ dtype: DType, _ lanes: Int) -> LLVMTypeRef {
    vector(LLVMIntTypeInContext(context, UInt32(dtype.size * 8)), lanes)
  }

  // MARK: Constants

  func index(_ value: Int) -> IR { LLVMConstInt(i64, UInt64(bitPattern: Int64(value)), 1) }
  func word(_ value: Int) -> IR { LLVMConstInt(i32, UInt64(bitPattern: Int64(value)), 1) }
  func flag(_ value: Bool, _ lanes: Int = 1) -> IR { repeated(LLVMConstInt(i1, value ? 1 : 0, 0), lanes) }
  func constantIndex(_ value: IR) -> Int? { LLVMIsAConstantInt(value).map { Int(LLVMConstIntGetSExtValue($0)) } }

  func repeated(_ scalar: IR, _ lanes: Int) -> IR {
    if lanes == 1 { return scalar }
    var elements = [LLVMValueRef?](repeating: scalar, count: lanes)
    return LLVMConstVector(&elements, UInt32(lanes))
  }
  func constants(_ values: [Int], _ scalar: LLVMTypeRef) -> IR {
    var elements: [LLVMValueRef?] = values.map { LLVMConstInt(scalar, UInt64(bitPattern: Int64($0)), 1) }
    return elements.count == 1 ? elements[0]! : LLVMConstVector(&elements, UInt32(elements.count))
  }
  func integer(_ value: Int64, _ dtype: DType, _ lanes: Int) -> IR {
    repeated(LLVMConstInt(scalarType(dtype), UInt64(bitPattern: value), 1), lanes)
  }
  func real(_ value: Double, _ dtype: DType, _ lanes: Int) -> IR {
    repeated(LLVMConstReal(scalarType(dtype), value), lanes)
  }
  /// 0.0 or -0.0 in all lanes.
  private func isZero(_ value: IR) -> Bool {
    if LLVMIsConstant(value) == 0 { return false }
    let type = LLVMTypeOf(value)
    let scalar = LLVMGetTypeKind(type) == LLVMVectorTypeKind ? LLVMGetElementType(type)! : type!
    // Equal constants are one.
    return [0.0, -0.0].contains { repeated(LLVMConstReal(scalar, $0), lanes(value)) == value }
  }
  /// An integer as wide as `like`.
  func integer(_ value: Int64, like: IR) -> IR {
    let type = LLVMTypeOf(like)
    let scalar = LLVMGetTypeKind(type) == LLVMVectorTypeKind ? LLVMGetElementType(type)! : type!
    return repeated(LLVMConstInt(scalar, UInt64(bitPattern: value), 1), lanes(like))
  }
  func constant(_ value: ScalarConstant, _ lanes: Int) -> IR {
    switch value.dtype {
    case .f32: real(Double(Float(value.doubleValue)), .f32, lanes)
    case .f64: real(value.doubleValue, .f64, lanes)
    case .f16: integer(Int64(Float16(value.doubleValue).bitPattern), .f16, lanes)
    case .bf16: integer(Int64(Self.brainBits(Float(value.doubleValue))), .bf16, lanes)
    case .bool: flag(value.integerValue != 0, lanes)
    case .f8e4m3fn, .f8e5m2: integer(Int64(ScalarReference.bits(of: value.value, value.dtype)), value.dtype, lanes)
    case .u8, .i8, .i16, .i32, .i64, .u16, .u32, .u64: integer(value.integerValue, value.dtype, lanes)
    }
  }
  static func brainBits(_ value: Float) -> UInt16 {
    if value.isNaN { return 0x7fc0 }
    let bits = value.bitPattern
    return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16)
  }

  // MARK: Instructions

  func binary(_ opcode: LLVMOpcode, _ a: IR, _ b: IR) -> IR { LLVMBuildBinOp(builder, opcode, a, b, "") }
  func add(_ a: IR, _ b: IR) -> IR { binary(LLVMAdd, a, b) }
  func and(_ a: IR, _ b: IR) -> IR { binary(LLVMAnd, a, b) }
  func or(_ a: IR, _ b: IR) -> IR { binary(LLVMOr, a, b) }
  func and(_ a: IR?, _ b: IR) -> IR { a.map { and($0, b) } ?? b }
  func not(_ a: IR) -> IR { LLVMBuildNot(builder, a, "") }
  func compare(_ predicate: LLVMIntPredicate, _ a: IR, _ b: IR) -> IR { LLVMBuildICmp(builder, predicate, a, b, "") }
  /// |x| > 0 is asked as x ≠ 0: where the answer chooses |x| itself, LLVM 19's instcombine joins it with another question
  /// about x as if it were x > 0, and max(|-3|, 0) is 0 (findings/llvm-magnitude-above-zero.sh).
  func compare(_ predicate: LLVMRealPredicate, _ a: IR, _ b: IR) -> IR {
    if predicate == LLVMRealOGT, let x = magnitudes[a], isZero(b) {
      return LLVMBuildFCmp(builder, LLVMRealONE, x, b, "")
    }
    if predicate == LLVMRealOLT, let x = magnitudes[b], isZero(a) {
      return LLVMBuildFCmp(builder, LLVMRealONE, x, a, "")
    }
    return LLVMBuildFCmp(builder, predicate, a, b, "")
  }
  /// |x|.
  func magnitude(_ x: IR) -> IR {
    let made = call("llvm.fabs", x)
    magnitudes[made] = x
    return made
  }
  func select(_ condition: IR, _ a: IR, _ b: IR) -> IR { LLVMBuildSelect(builder, condition, a, b, "") }
  func cast(_ opcode: LLVMOpcode, _ a: IR, _ scalar: LLVMTypeRef) -> IR {
    let wanted = vector(scalar, lanes(a))
    return LLVMTypeOf(a) == wanted ? a : LLVMBuildCast(builder, opcode, a, wanted, "")
  }

  // Index arithmetic: never overflows in a valid program.
  func indexAdd(_ a: IR, _ b: IR) -> IR {
    if constantIndex(a) == 0 { return b }
    if constantIndex(b) == 0 { return a }
    return LLVMBuildNSWAdd(builder, a, b, "")
  }
  func indexSubtract(_ a: IR, _ b: IR) -> IR { constantIndex(b) == 0 ? a : LLVMBuildNSWSub(builder, a, b, "") }
  func indexMultiply(_ a: IR, _ b: IR) -> IR {
    if constantIndex(a) == 0 || constantIndex(b) == 1 { return a }
    if constantIndex(b) == 0 || constantIndex(a) == 1 { return b }
    return LLVMBuildNSWMul(builder, a, b, "")
  }
  func indexMinimum(_ a: IR, _ b: IR) -> IR {
    if let x = constantIndex(a), let y = constantIndex(b) { return index(min(x, y)) }
    return a == b ? a : select(compare(LLVMIntSLT, a, b), a, b)
  }
  func indexMaximum(_ a: IR, _ b: IR) -> IR {
    if let x = constantIndex(a), let y = constantIndex(b) { return index(max(x, y)) }
    return a == b ? a : select(compare(LLVMIntSGT, a, b), a, b)
  }

  func splat(_ scalar: IR, _ lanes: Int) -> IR {
    if lanes == 1 { return scalar }
    if LLVMIsConstant(scalar) != 0 { return repeated(scalar, lanes) }
    let type = vector(LLVMTypeOf(scalar), lanes)
    let first: IR = LLVMBuildInsertElement(builder, LLVMGetPoison(type), scalar, word(0), "")
    return LLVMBuildShuffleVector(builder, first, LLVMGetPoison(type), LLVMConstNull(vector(i32, lanes)), "")
  }
  func extract(_ value: IR, _ lane: Int) -> IR {
    lanes(value) == 1 ? value : LLVMBuildExtractElement(builder, value, word(lane), "")
  }
  func insert(_ value: IR, _ element: IR, _ lane: Int) -> IR {
    LLVMBuildInsertElement(builder, value, element, word(lane), "")
  }
  func shuffle(_ a: IR, _ b: IR, _ order: [Int]) -> IR {
    LLVMBuildShuffleVector(builder, a, b, constants(order, i32), "")
  }
  /// Whether any lane is set.
  func any(_ mask: IR) -> IR {
    let count = lanes(mask)
    if count == 1 { return mask }
    let bits: IR = LLVMBuildCast(builder, LLVMBitCast, mask, LLVMIntTypeInContext(context, UInt32(count)), "")
    return compare(LLVMIntNE, bits, LLVMConstNull(LLVMTypeOf(bits)))
  }

  func call(_ name: String, _ overloads: [LLVMTypeRef], _ arguments: [IR]) -> IR {
    var types: [LLVMTypeRef?] = overloads
    let key = overloads.reduce(name) { "\($0) \($1)" }
    let entry: (function: LLVMValueRef, type: LLVMTypeRef)
    if let known = intrinsics[key] {
      entry = known
    } else {
      let id = LLVMLookupIntrinsicID(name, name.utf8.count)
      entry = (
        LLVMGetIntrinsicDeclaration(module, id, &types, types.count),
        LLVMIntrinsicGetType(context, id, &types, types.count)
      )
      intrinsics[key] = entry
    }
    var values: [LLVMValueRef?] = arguments
    return LLVMBuildCall2(builder, entry.type, entry.function, &values, UInt32(values.count), "")
  }
  /// An intrinsic on values of one type.
  func call(_ name: String, _ arguments: IR...) -> IR { call(name, [LLVMTypeOf(arguments[0])], arguments) }

  // MARK: Memory

  /// A pointer into any memory: devices name theirs, processors have one.
  func generic(_ address: IR) -> IR {
    LLVMTypeOf(address) == pointer ? address : LLVMBuildCast(builder, LLVMAddrSpaceCast, address, pointer, "")
  }
  /// `base + bytes`.
  func offset(_ base: IR, bytes: IR) -> IR {
    if constantIndex(bytes) == 0 { return base }
    var indices: [LLVMValueRef?] = [bytes]
    return LLVMBuildGEP2(builder, i8, base, &indices, 1, "")
  }
  func loadIndex(_ base: IR, _ position: Int) -> IR { plainLoad(i64, offset(base, bytes: index(position * 8)), 8) }
  func loadPointer(_ base: IR, _ position: Int) -> IR {
    plainLoad(pointer, offset(base, bytes: index(position * 8)), 8)
  }
  func plainLoad(_ type: LLVMTypeRef, _ address: IR, _ alignment: Int) -> IR {
    let load: IR = LLVMBuildLoad2(builder, type, address, "")
    LLVMSetAlignment(load, UInt32(alignment))
    return load
  }
  @discardableResult func plainStore(_ value: IR, _ address: IR, _ alignment: Int) -> IR {
    let store: IR = LLVMBuildStore(builder, value, address)
    LLVMSetAlignment(store, UInt32(alignment))
    return store
  }
  /// In memory bool is a byte.
  func memoryType(_ dtype: DType, _ lanes: Int) -> LLVMTypeRef {
    vector(dtype == .bool ? i8 : scalarType(dtype), lanes)
  }
  func fromMemory(_ value: IR, _ dtype: DType) -> IR {
    dtype == .bool ? compare(LLVMIntNE, value, LLVMConstNull(LLVMTypeOf(value))) : value
  }
  func toMemory(_ value: IR, _ dtype: DType) -> IR { dtype == .bool ? cast(LLVMZExt, value, i8) : value }

  func load(_ dtype: DType, _ lanes: Int, _ address: IR, aligned: Bool = true) -> IR {
    fromMemory(plainLoad(memoryType(dtype, lanes), address, aligned ? dtype.size : 1), dtype)
  }
  func maskedLoad(_ dtype: DType, _ address: IR, _ mask: IR, aligned: Bool = true) -> IR {
    let type = memoryType(dtype, lanes(mask))
    let alignment = word(aligned ? dtype.size : 1)
    return fromMemory(
      call("llvm.masked.load", [type, pointer], [address, alignment, mask, LLVMConstNull(type)]), dtype)
  }
  @discardableResult func store(_ value: IR, _ dtype: DType, _ address: IR) -> IR {
    plainStore(toMemory(value, dtype), address, dtype.size)
  }
  func maskedStore(_ value: IR, _ dtype: DType, _ address: IR, _ mask: IR) {
    let stored = toMemory(value, dtype)
    _ = call("llvm.masked.store", [LLVMTypeOf(stored), pointer], [stored, address, word(dtype.size), mask])
  }

  // MARK: Control

  func block(_ name: String) -> LLVMBasicBlockRef { LLVMAppendBasicBlockInContext(context, function, name) }
  func position(_ block: LLVMBasicBlockRef) { LLVMPositionBuilderAtEnd(builder, block) }
  var currentBlock: LLVMBasicBlockRef { LLVMGetInsertBlock(builder) }

  func phi(_ incoming: [(IR, LLVMBasicBlockRef)]) -> IR {
    let node: IR = LLVMBuildPhi(builder, LLVMTypeOf(incoming[0].0), "")
    addIncoming(node, incoming)
    return node
  }
  func addIncoming(_ node: IR, _ incoming: [(IR, LLVMBasicBlockRef)]) {
    var values: [LLVMValueRef?] = incoming.map { $0.0 }
    var blocks: [LLVMBasicBlockRef?] = incoming.map { $0.1 }
    LLVMAddIncoming(node, &values, &blocks, UInt32(values.count))
  }

  /// `for i = from; i < to; i += step`, carrying values; the test is at the end, so invariant loads may leave the loop.
  @discardableResult
  func loop(from: IR, to: IR, step: Int = 1, _ carried: [IR] = [], _ body: (IR, [IR]) -> [IR]) -> [IR] {
    if let first = constantIndex(from), let end = constantIndex(to) {
      if first >= end { return carried }
      if first + step >= end { return body(from, carried) }
    }
    let before = currentBlock
    let inside = block("loop")
    let after = block("after")
    // Asked as the test at the end is, both would become one block: a loop with its test at the top and a jump more a trip.
    let isEntered =
      constantIndex(from) == nil
      ? compare(LLVMIntSGT, binary(LLVMSub, to, from), index(0)) : compare(LLVMIntSLT, from, to)
    LLVMBuildCondBr(builder, isEntered, inside, after)
    position(inside)
    let counter: IR = LLVMBuildPhi(builder, i64, "")
    let phis: [IR] = carried.map { LLVMBuildPhi(builder, LLVMTypeOf($0), "") }
    enterScope()
    let next = body(counter, phis)
    leaveScope()
    let following = LLVMBuildNSWAdd(builder, counter, index(step), "")!
    let latch = currentBlock
    LLVMBuildCondBr(builder, compare(LLVMIntSLT, following, to), inside, after)
    addIncoming(counter, [(from, before), (following, latch)])
    for (i, node) in phis.enumerated() { addIncoming(node, [(carried[i], before), (next[i], latch)]) }
    position(after)
    return carried.indices.map { phi([(carried[$0], before), (next[$0], latch)]) }
  }

  /// `while condition { body }` on carried values.
  func whileLoop(_ carried: [IR], _ condition: ([IR]) -> IR, _ body: ([IR]) -> [IR]) -> [IR] {
    let before = currentBlock
    let head = block("while")
    let inside = block("do")
    let after = block("done")
    LLVMBuildBr(builder, head)
    position(head)
    let phis: [IR] = carried.map { LLVMBuildPhi(builder, LLVMTypeOf($0), "") }
    enterScope()
    LLVMBuildCondBr(builder, condition(phis), inside, after)
    position(inside)
    let next = body(phis)
    leaveScope()
    let latch = currentBlock
    LLVMBuildBr(builder, head)
    for (i, node) in phis.enumerated() { addIncoming(node, [(carried[i], before), (next[i], latch)]) }
    position(after)
    return phis
  }

  func when(_ condition: IR, _ body: () -> Void) {
    if let known = LLVMIsAConstantInt(condition) {
      if LLVMConstIntGetSExtValue(known) != 0 { body() }
      return
    }
    let inside = block("then")
    let after = block("join")
    LLVMBuildCondBr(builder, condition, inside, after)
    position(inside)
    enterScope()
    body()
    leaveScope()
    LLVMBuildBr(builder, after)
    position(after)
  }

  /// Both ways, joined.
  func branch(_ condition: IR, _ whenTrue: () -> Void, else whenFalse: () -> Void) {
    if let known = LLVMIsAConstantInt(condition) {
      return LLVMConstIntGetSExtValue(known) != 0 ? whenTrue() : whenFalse()
    }
    let inside = block("then")
    let otherwise = block("else")
    let after = block("join")
    LLVMBuildCondBr(builder, condition, inside, otherwise)
    position(inside)
    enterScope()
    whenTrue()
    leaveScope()
    LLVMBuildBr(builder, after)
    position(otherwise)
    enterScope()
    whenFalse()
    leaveScope()
    LLVMBuildBr(builder, after)
    position(after)
  }

  /// A stack slot of the function, made in its entry block.
  func slot(bytes: Int, in entry: LLVMBasicBlockRef) -> IR {
    let here = currentBlock
    if let first = LLVMGetFirstInstruction(entry) {
      LLVMPositionBuilderBefore(builder, first)
    } else {
      position(entry)
    }
    let made: IR = LLVMBuildAlloca(builder, LLVMArrayType2(i8, UInt64(bytes)), "")
    LLVMSetAlignment(made, 64)
    let address = generic(made)
    position(here)
    return address
  }

  /// Continues in another function.
  func begin(_ function: LLVMValueRef) -> LLVMBasicBlockRef {
    self.function = function
    let entry = block("entry")
    position(entry)
    return entry
  }

  /// Goes on where `begin` left off.
  func resume(_ function: LLVMValueRef, at block: LLVMBasicBlockRef) {
    self.function = function
    position(block)
  }
}
