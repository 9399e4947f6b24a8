// The compiler as a whole: what it needs, what it leaves open, which targets it knows.
import Basics
import CodegenLLVM
import Foundation
import Scalars
import Synchronization
import Targets
import TensorTypes
import Testing
import TileIR

private let headers = "/usr/lib/llvm-19/include"

@Test(.enabled(if: FileManager.default.fileExists(atPath: headers + "/llvm-c/Core.h")))
func our_declarations_are_those_of_llvm() throws {
  let include = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Sources/CLLVM/include").path
  let source = """
    #include <llvm-c/Analysis.h>
    #include <llvm-c/Core.h>
    #include <llvm-c/Error.h>
    #include <llvm-c/IRReader.h>
    #include <llvm-c/Target.h>
    #include <llvm-c/TargetMachine.h>
    #include <llvm-c/Transforms/PassBuilder.h>
    #define C(name, value) _Static_assert(name == value, #name);
    #define ENUM(type, cases) cases _Static_assert(sizeof(type) == 4, #type);
    #include "LLVMConstants.h"
    #define X(result, name, parameters, arguments) \\
      _Static_assert(__builtin_types_compatible_p(__typeof__(&name), result (*) parameters), #name);
    #define OPTIONAL X
    #include "LLVMFunctions.h"
    """
  let file = FileManager.default.temporaryDirectory.appending(path: "azulejo-\(UUID().uuidString).c")
  defer { try? FileManager.default.removeItem(at: file) }
  try source.write(to: file, atomically: true, encoding: .utf8)
  let compiler = try #require(
    ["/usr/bin/clang", "/usr/bin/gcc", "/usr/bin/cc"].first { FileManager.default.isExecutableFile(atPath: $0) })
  let process = Process()
  process.executableURL = URL(filePath: compiler)
  process.arguments = ["-fsyntax-only", "-I", include, "-I", headers, file.path]
  let pipe = Pipe()
  process.standardError = pipe
  try process.run()
  let output = pipe.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  #expect(process.terminationStatus == 0, "\(String(decoding: output, as: UTF8.self))")
}

private func softmax() -> Kernel {
  let made = wholeTile("softmax", [3, 100], [.f32]) { b, x in
    let largest = b.reduce(.maximum, [1], x[0])
    let e = b.map(.exp, [b.map(.subtract, [x[0], b.broadcast(largest, b.shape(x[0]))])])
    let sum = b.reduce(.sum, [1], e)
    return [b.map(.divide, [e, b.broadcast(sum, b.shape(e))])]
  }
  return made.kernel
}

@Test(arguments: TargetDescription.presets)
func every_preset_compiles_to_an_object(_ target: TargetDescription) throws {
  let compiled = try LLVMCompiler.compile(softmax(), for: target)
  #expect(compiled.object.starts(with: [0x7f, 0x45, 0x4c, 0x46]))
  #expect(try LLVMCompiler.assembly(softmax(), for: target).contains(compiled.phases[0]))
  #expect(try LLVMCompiler.llvmIR(softmax(), for: target).contains("define void @\(compiled.phases[0])"))
}

@Test func equal_kernels_give_equal_bytes() throws {
  for target in [TargetDescription.x86Version4, .x86Baseline, .arm64] {
    #expect(try LLVMCompiler.compile(softmax(), for: target) == LLVMCompiler.compile(softmax(), for: target))
  }
}

/// `exit` destroys LLVM's globals: it waits for what is being compiled. (While the library itself is being loaded, some
/// milliseconds of the first compile, it cannot be made to wait.)
@Test(arguments: 0..<10)
func a_process_may_end_while_others_compile(_ step: Int) async {
  await #expect(processExitsWith: .exitCode(7)) { [step] in
    try LLVMCompiler.load()
    let release = Mutex(false)
    for number in 0..<3 {
      Thread.detachNewThread {
        while !release.withLock({ $0 }) {}
        while true { _ = try? LLVMCompiler.compile(softmax(), for: number == 0 ? .x86Baseline : .host) }
      }
    }
    release.withLock { $0 = true }
    usleep(UInt32(step * 3000))
    exit(7)
  }
}

@Test func the_thread_that_ends_the_process_gets_an_error_for_a_kernel() async {
  let result = await #expect(processExitsWith: .exitCode(0), observing: [\.standardErrorContent]) {
    // Registered before LLVM is loaded: LLVM is gone when this runs.
    atexit {
      do throws(Diagnostic) { _ = try LLVMCompiler.compile(softmax(), for: .host) } catch {
        FileHandle.standardError.write(Data("\(error)".utf8))
      }
    }
    try LLVMCompiler.load()
    exit(0)
  }
  let errors = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
  #expect(errors.contains("while the process ends"), "\(errors)")
}

/// Every instruction on every dtype stands alone.
@Test(arguments: [TargetDescription.x86Baseline, .x86Version3, .arm64])
func objects_call_nothing(_ target: TargetDescription) throws {
  for dtype in DType.allCases {
    let instructions = ScalarInstruction.allCases.filter {
      $0 != .select && $0.resultDType([DType](repeating: dtype, count: $0.operandCount)) != nil
    }
    let made = wholeTile("all_\(dtype)", [37], [dtype, dtype, dtype]) { b, x in
      instructions.map { b.map($0, Array(x.prefix($0.operandCount))) } + DType.allCases.map { b.convert(x[0], to: $0) }
    }
    expectNoCalls(made.kernel, target, "\(dtype)")
  }
}

/// LLVM knows conditional choices that are its own maximum and minimum, for which it has no code in every type.
@Test(arguments: [DType.f16, .bf16, .f32, .f64])
func what_follows_a_choice_calls_nothing(_ dtype: DType) throws {
  let wide = dtype.computeDType
  let instructions = ScalarInstruction.allCases.filter {
    $0 != .select && $0.resultDType([DType](repeating: wide, count: $0.operandCount)) == wide
  }
  for extents in [[], [1, 1], [37]] {
    for constant in [0, 1, Double.infinity] {
      for instruction in instructions {
        let made = wholeTile("chosen", extents, [dtype]) { b, x in
          let value = b.convert(x[0], to: wide)
          let limit = b.splat(ScalarConstant(wide, constant), b.shape(value))
          let isAbove = b.map(.less, [limit, value])
          let chosen = b.map(.select, [isAbove, x[0], b.splat(ScalarConstant(dtype, constant), b.shape(value))])
          let one = b.splat(ScalarConstant(wide, 1), b.shape(value))
          let operands = [b.convert(chosen, to: wide), one, one].prefix(instruction.operandCount)
          return [b.convert(b.map(instruction, Array(operands)), to: dtype)]
        }
        for target in [TargetDescription.x86Version4, .x86Version3] {
          expectNoCalls(made.kernel, target, "\(dtype)\(extents) above \(constant): \(instruction)")
        }
      }
    }
  }
}

/// A call to libm or compiler-rt would be an undefined symbol.
private func expectNoCalls(_ kernel: Kernel, _ target: TargetDescription, _ what: String) {
  do {
    let lines = try LLVMCompiler.assembly(kernel, for: target).split(separator: "\n")
    // Functions of the object itself may be called: those that huge angles go to.
    let own = Set(lines.filter { $0.hasSuffix(":") }.map { $0.dropLast() })
    for line in lines {
      let words = line.split { $0 == " " || $0 == "\t" }
      if words.count > 1, ["callq", "call", "bl"].contains(words[0]), !own.contains(words[1]) {
        Issue.record("\(what) \(target.name): \(line)")
        return
      }
    }
  } catch { Issue.record(error) }
}

@Test func the_host_is_one_of_its_own_targets() {
  #expect(TargetDescription.host.runsOnHost)
  #expect(!TargetDescription.host.cacheKey.isEmpty)
}

/// A value that is reached along two to the power of `depth` paths.
private func manyPaths(_ depth: Int, sums: Bool) throws -> Kernel {
  wholeTile("paths", [1, 8], [.f32]) { b, inputs in
    var x = b.map(.exp, [inputs[0]])
    for _ in 0..<depth { x = b.map(sums ? .add : .maximum, [x, x]) }
    return [b.reduce(.sum, [1], x), b.transpose(x, [1, 0])]
  }.kernel
}

@Test(arguments: [true, false]) func values_reached_along_very_many_paths_are_compiled_at_once(sums: Bool) throws {
  // Walked path by path it would not end.
  _ = try LLVMCompiler.compile(manyPaths(60, sums: sums), for: .host)
}
