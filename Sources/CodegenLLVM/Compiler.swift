// The way of a kernel through LLVM: made, verified, optimised, emitted as an object. Each stage can be asked for as text.
// Not a cache: every call compiles. Surprise: a context and a target machine live for one compile of one thread; LLVM itself
// is loaded by the first compile of a process, and `exit` waits for compiles that are under way.
import Basics
import CLLVM
import Targets
import TensorTypes
import TileIR

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

package enum LLVMCompiler {
  /// The passes over what `PhaseEmitter` makes. `default<O3>` takes twice as long and gains nothing here. Addresses become pointers that move
  /// along where that is worth a third of the time for code: in products, whose loops wait for arithmetic.
  static func passes(_ kernel: Kernel) -> String {
    let isProduct = kernel.nodes.contains { if case .dot = $0.operation { true } else { false } }
    return "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,loop-mssa(licm),early-cse,dce"
      + (isProduct ? ",loop(loop-reduce))" : ")")
  }

  /// Changes whenever the code made from a kernel may: part of every cache key. A test knows the sources it stands for.
  package static let version = "llvm19 lowering 27"

  /// - Parameter code: LLVM IR that defines the kernel's functions, instead of what is made of it.
  package static func compile(
    _ kernel: Kernel, for target: TargetDescription, options: CodegenOptions = CodegenOptions(), code: String? = nil
  ) throws(Diagnostic) -> CompiledKernel {
    guard !target.architecture.isDevice else {
      throw Diagnostic(
        .compiler,
        "kernel \(kernel.name): \(target.name) is a device, whose code is no function over a range of instances",
        remedy: "use deviceCode(of:for:)")
    }
    func optimised() throws(Diagnostic) -> CompileSession {
      let session = try CompileSession(kernel, target, options)
      if let code { try session.replace(code) } else { try session.optimise() }
      if let text = try Stage.replacement(.llvm, kernel: kernel.stageName, { session.text }) {
        try session.replace(text)
      }
      return session
    }
    // Emitting changes a module: the assembly has a session of its own.
    try Stage.show(.asm, kernel: kernel.stageName) { () throws(Diagnostic) in
      String(decoding: try optimised().emitted(LLVMAssemblyFile), as: UTF8.self)
    }
    let session = try optimised()
    return CompiledKernel(
      object: try session.emitted(LLVMObjectFile), phases: session.phaseSymbols, arenaSymbol: session.arenaSymbol)
  }

  /// Code for a device without a driver of ours: a check that the tile IR assumes no processor (see DeviceKernel).
  package static func deviceCode(of kernel: Kernel, for target: TargetDescription) throws(Diagnostic) -> DeviceKernel {
    guard let invocations = target.invocations else {
      throw Diagnostic(
        .compiler, "kernel \(kernel.name): \(target.name) is a processor, which has no invocations",
        remedy: "use compile(_:for:)")
    }
    let session = try CompileSession(kernel, target, CodegenOptions())
    try session.optimise()
    return DeviceKernel(
      code: try session.emitted(invocations.isText ? LLVMAssemblyFile : LLVMObjectFile), entries: session.phaseSymbols,
      instanceMemory: session.instanceMemory)
  }

  /// LLVM IR, as it is made or after the passes.
  package static func llvmIR(
    _ kernel: Kernel, for target: TargetDescription, options: CodegenOptions = CodegenOptions(), optimised: Bool = true
  ) throws(Diagnostic) -> String {
    let session = try CompileSession(kernel, target, options)
    if optimised { try session.optimise() }
    return session.text
  }

  package static func assembly(
    _ kernel: Kernel, for target: TargetDescription, options: CodegenOptions = CodegenOptions()
  ) throws(Diagnostic) -> String {
    let session = try CompileSession(kernel, target, options)
    try session.optimise()
    return String(decoding: try session.emitted(LLVMAssemblyFile), as: UTF8.self)
  }

  /// Loads libLLVM, or says what to install. `AZULEJO_LLVM` names a library to use instead of the usual places.
  package static func load() throws(Diagnostic) {
    try enter()
    defer { azulejo_llvm_leave() }
    var message = [CChar](repeating: 0, count: 512)
    var isThere: Int32 = 0
    if azulejo_llvm_load(getenv("AZULEJO_LLVM"), &message, message.count, &isThere) != 0 {
      let text = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      throw Diagnostic(
        .compiler, "kernels cannot be compiled: \(text)",
        remedy: isThere != 0
          ? "the library is there: give the process more memory if that is what is missing, or set AZULEJO_LLVM to another "
            + "libLLVM 19"
          : "apt-get install libllvm19 (macOS: brew install llvm@19), or set AZULEJO_LLVM to the library's path")
    }
    makeReady
  }

  /// Until `azulejo_llvm_leave` the process does not end.
  fileprivate static func enter() throws(Diagnostic) {
    guard azulejo_llvm_enter() == 0 else {
      throw Diagnostic(
        .compiler, "no kernel can be compiled while the process ends",
        remedy: "run the function once before exit, or do nothing with tensors in an exit handler")
    }
  }

  /// Targets, and whatever LLVM makes when it first emits: exit destroys it, and must wait for us before.
  private static let makeReady: Void = {
    initialiseTargets()
    emitNothing()
    azulejo_llvm_guard_exit()
  }()

  private static func emitNothing() {
    let host = TargetDescription.host
    let context: LLVMContextRef = LLVMContextCreate()
    let module: LLVMModuleRef = LLVMModuleCreateWithNameInContext("nothing", context)
    let builder = LLVMCreateBuilderInContext(context)
    let type = LLVMFunctionType(LLVMVoidTypeInContext(context), nil, 0, 0)
    LLVMPositionBuilderAtEnd(
      builder, LLVMAppendBasicBlockInContext(context, LLVMAddFunction(module, "nothing", type), ""))
    LLVMBuildRetVoid(builder)
    LLVMDisposeBuilder(builder)
    defer {
      LLVMDisposeModule(module)
      LLVMContextDispose(context)
    }
    var found: LLVMTargetRef?
    var message: UnsafeMutablePointer<CChar>?
    defer { LLVMDisposeMessage(message) }
    guard LLVMGetTargetFromTriple(host.triple, &found, &message) == 0 else { return }
    let machine = LLVMCreateTargetMachine(
      found, host.triple, host.processor, host.featureList, LLVMCodeGenLevelLess, LLVMRelocPIC, LLVMCodeModelSmall)
    defer { LLVMDisposeTargetMachine(machine) }
    let options = LLVMCreatePassBuilderOptions()
    if let error = LLVMRunPasses(module, "function(instcombine)", machine, options) {
      LLVMDisposeErrorMessage(LLVMGetErrorMessage(error))
    }
    LLVMDisposePassBuilderOptions(options)
    var buffer: LLVMMemoryBufferRef?
    LLVMTargetMachineEmitToMemoryBuffer(machine, module, LLVMObjectFile, &message, &buffer)
    LLVMDisposeMemoryBuffer(buffer)
  }

  private static func initialiseTargets() {
    if azulejo_has_LLVMInitializeX86Target() != 0 {
      LLVMInitializeX86TargetInfo()
      LLVMInitializeX86Target()
      LLVMInitializeX86TargetMC()
      LLVMInitializeX86AsmPrinter()
    }
    if azulejo_has_LLVMInitializeAArch64Target() != 0 {
      LLVMInitializeAArch64TargetInfo()
      LLVMInitializeAArch64Target()
      LLVMInitializeAArch64TargetMC()
      LLVMInitializeAArch64AsmPrinter()
    }
    if azulejo_has_LLVMInitializeNVPTXTarget() != 0 {
      LLVMInitializeNVPTXTargetInfo()
      LLVMInitializeNVPTXTarget()
      LLVMInitializeNVPTXTargetMC()
      LLVMInitializeNVPTXAsmPrinter()
    }
    if azulejo_has_LLVMInitializeAMDGPUTarget() != 0 {
      LLVMInitializeAMDGPUTargetInfo()
      LLVMInitializeAMDGPUTarget()
      LLVMInitializeAMDGPUTargetMC()
      LLVMInitializeAMDGPUAsmPrinter()
    }
  }
}

/// One module on its way; owns its LLVM context.
private final class CompileSession {
  let kernel: Kernel
  let phaseSymbols: [String]
  let arenaSymbol: String
  /// Bytes of instance memory, by phase and place: the largest counts.
  private(set) var instanceMemory: [Dim] = []
  private let context: LLVMContextRef
  private var module: LLVMModuleRef
  private var machine: LLVMTargetMachineRef?
  private let failures = Failures()

  /// Errors that LLVM reports through the context's handler.
  final class Failures {
    var messages: [String] = []
  }

  init(_ kernel: Kernel, _ target: TargetDescription, _ options: CodegenOptions) throws(Diagnostic) {
    try LLVMCompiler.load()
    try LLVMCompiler.enter()
    self.kernel = kernel
    let name = Self.symbol(kernel.name)
    phaseSymbols = kernel.phases.indices.map { "\(name)_p\($0)" }
    arenaSymbol = "\(name)_arena"
    context = LLVMContextCreate()
    module = LLVMModuleCreateWithNameInContext(name, context)
    LLVMContextSetDiagnosticHandler(
      context,
      { info, data in
        guard let info, let data, LLVMGetDiagInfoSeverity(info) == LLVMDSError else { return }
        let text = LLVMGetDiagInfoDescription(info)
        Unmanaged<Failures>.fromOpaque(data).takeUnretainedValue().messages.append(
          text.map { String(cString: $0) } ?? "")
        LLVMDisposeMessage(text)
      }, Unmanaged.passUnretained(failures).toOpaque())
    try makeMachine(target)
    try fill(target, options)
  }

  deinit {
    LLVMDisposeModule(module)
    if let machine { LLVMDisposeTargetMachine(machine) }
    LLVMContextDispose(context)
    azulejo_llvm_leave()
  }

  /// A C identifier.
  private static func symbol(_ name: String) -> String {
    let letters = name.unicodeScalars.map { scalar -> Character in
      scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(Character(scalar)))
        ? Character(scalar) : "_"
    }
    return "k_" + String(letters)
  }

  private func failure(_ what: String) -> Diagnostic {
    Diagnostic(
      .compiler, "kernel \(kernel.name): \(what)",
      remedy: "this is a defect of the compiler, not of your program: please report it with AZULEJO_LOG=tile,llvm")
  }

  private func makeMachine(_ target: TargetDescription) throws(Diagnostic) {
    var found: LLVMTargetRef?
    var message: UnsafeMutablePointer<CChar>?
    guard LLVMGetTargetFromTriple(target.triple, &found, &message) == 0 else {
      let text = message.map { String(cString: $0) } ?? ""
      LLVMDisposeMessage(message)
      throw Diagnostic(
        .compiler, "this libLLVM makes no code for \(target.triple): \(text)",
        remedy: "install a libLLVM 19 that was built with this target (Debian's libllvm19 is)")
    }
    machine = LLVMCreateTargetMachine(
      found, target.triple, target.processor, target.featureList, LLVMCodeGenLevelLess, LLVMRelocPIC,
      LLVMCodeModelSmall)
    LLVMSetTarget(module, target.triple)
    let layout = LLVMCreateTargetDataLayout(machine)
    LLVMSetModuleDataLayout(module, layout)
    LLVMDisposeTargetData(layout)
  }

  /// The module's functions: one a phase, and the arena's size.
  private func fill(_ target: TargetDescription, _ options: CodegenOptions) throws(Diagnostic) {
    let first = addFunction(phaseSymbols.first ?? arenaSymbol, target)
    let emitter = Emitter(context: context, module: module, target: target, function: first)
    var peaks: [Dim] = []
    for (number, phase) in kernel.phases.enumerated() {
      let function = number == 0 ? first : addFunction(phaseSymbols[number], target)
      let made = PhaseEmitter(kernel, emitter, options, phase: number, into: function)
      made.emit(phase, parameters: function)
      peaks += made.memory.peaks
    }
    if !target.architecture.isDevice {
      emitter.emitArenaSize(kernel, peaks, into: kernel.phases.isEmpty ? first : addFunction(arenaSymbol, target))
    } else {
      instanceMemory = peaks
    }
    if let what = emitter.unsupported { throw failure("no CPU code for \(what)") }
    var message: UnsafeMutablePointer<CChar>?
    if LLVMVerifyModule(module, LLVMReturnStatusAction, &message) != 0 {
      let text = message.map { String(cString: $0) } ?? ""
      LLVMDisposeMessage(message)
      throw failure("it became invalid LLVM IR: \(text.prefix(2000))")
    }
    LLVMDisposeMessage(message)
  }

  /// An exported function with the parameters of a phase, or of the arena's size.
  private func addFunction(_ name: String, _ target: TargetDescription) -> LLVMValueRef {
    let pointer: LLVMTypeRef = LLVMPointerTypeInContext(context, 0)
    let i64: LLVMTypeRef = LLVMIntTypeInContext(context, 64)
    let isArena = name == arenaSymbol
    var parameters: [LLVMTypeRef?] = isArena ? [pointer] : [pointer, pointer, i64, i64, pointer, pointer]
    let result: LLVMTypeRef = isArena ? i64 : LLVMVoidTypeInContext(context)
    let type = LLVMFunctionType(result, &parameters, UInt32(parameters.count), 0)
    let function: LLVMValueRef
    if let invocations = target.invocations {
      function = DeviceKernel.addEntry(name, of: kernel, invocations, module, context)
    } else {
      function = LLVMAddFunction(module, name, type)
    }
    func attribute(_ key: String, _ value: String = "") {
      let made = LLVMCreateStringAttribute(
        context, key, UInt32(key.utf8.count), value, UInt32(value.utf8.count))
      LLVMAddAttributeAtIndex(function, azulejo_llvm_function_index, made)
    }
    attribute("target-cpu", target.processor)
    if !target.featureList.isEmpty { attribute("target-features", target.featureList) }
    attribute("prefer-vector-width", "\(target.vectorBits)")
    if let group = target.invocations?.fixedGroup {
      attribute("amdgpu-flat-work-group-size", "\(group),\(group)")
    }
    // No call to memcpy and the like may be made up: the object must stand alone.
    attribute("no-builtins")
    let nounwind = LLVMGetEnumAttributeKindForName("nounwind", 8)
    LLVMAddAttributeAtIndex(function, azulejo_llvm_function_index, LLVMCreateEnumAttribute(context, nounwind, 0))
    return function
  }

  // MARK: Stages

  func optimise() throws(Diagnostic) {
    let passOptions = LLVMCreatePassBuilderOptions()
    defer { LLVMDisposePassBuilderOptions(passOptions) }
    if let error = LLVMRunPasses(module, LLVMCompiler.passes(kernel), machine, passOptions) {
      let text = LLVMGetErrorMessage(error)
      defer { LLVMDisposeErrorMessage(text) }
      throw failure("LLVM's passes: \(text.map { String(cString: $0) } ?? "")")
    }
  }

  /// Takes LLVM IR from a person's hand; it must define the same functions.
  func replace(_ text: String) throws(Diagnostic) {
    var copy = text
    let buffer = copy.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) {
        LLVMCreateMemoryBufferWithMemoryRangeCopy($0.baseAddress, $0.count, "override")
      }
    }
    var parsed: LLVMModuleRef?
    var message: UnsafeMutablePointer<CChar>?
    defer { LLVMDisposeMessage(message) }
    guard LLVMParseIRInContext(context, buffer, &parsed, &message) == 0, let parsed else {
      throw Diagnostic(
        .compiler,
        "the LLVM IR that replaces \(kernel.stageName) is not valid: \(message.map { String(cString: $0) } ?? "")",
        remedy: "correct the file in AZULEJO_OVERRIDE, or remove it")
    }
    LLVMDisposeModule(module)
    module = parsed
    if LLVMVerifyModule(module, LLVMReturnStatusAction, &message) != 0 {
      throw Diagnostic(
        .compiler,
        "the LLVM IR that replaces \(kernel.stageName) is not valid: \(message.map { String(cString: $0) } ?? "")",
        remedy: "correct the file in AZULEJO_OVERRIDE, or remove it")
    }
  }

  var text: String {
    let message = LLVMPrintModuleToString(module)
    defer { LLVMDisposeMessage(message) }
    return message.map { String(cString: $0) } ?? ""
  }

  func emitted(_ kind: LLVMCodeGenFileType) throws(Diagnostic) -> [UInt8] {
    var buffer: LLVMMemoryBufferRef?
    var message: UnsafeMutablePointer<CChar>?
    guard LLVMTargetMachineEmitToMemoryBuffer(machine, module, kind, &message, &buffer) == 0, let buffer else {
      let text = message.map { String(cString: $0) } ?? ""
      LLVMDisposeMessage(message)
      throw failure("LLVM emits nothing: \(text)")
    }
    defer { LLVMDisposeMemoryBuffer(buffer) }
    // Emission reports success even after an error went to the handler.
    if let first = failures.messages.first { throw failure("LLVM: \(first)") }
    let start = UnsafeRawPointer(LLVMGetBufferStart(buffer))
    return [UInt8](UnsafeRawBufferPointer(start: start, count: LLVMGetBufferSize(buffer)))
  }
}
