// Kernels stay while somebody uses them or they are among the latest; the table itself stays small.
import Basics
import Engine
import Execution
import TensorTypes
import Testing

private final class Stub: Executable {
  let image = ExecutableImage(
    name: "stub", format: .nothing, code: [], phases: [], arenaSymbol: nil, scratch: [], bufferCount: 0,
    argumentCount: 0)
  func run(
    buffers: UnsafePointer<UnsafeMutableRawPointer?>, arguments: UnsafePointer<Int64>, work: Int
  ) throws(Diagnostic) -> Fault? { nil }
}

@Suite struct LoadedKernelsTests {
  @Test func a_kernel_in_use_stays_and_one_without_users_goes() {
    var kernels = LoadedKernels(latest: 4)
    let used = Stub()
    kernels.add(used, "used")
    for i in 0..<1000 { kernels.add(Stub(), "\(i)") }
    #expect(kernels.executable("used") === used)
    #expect(kernels.executable("3") == nil)
    #expect(kernels.executable("999") != nil, "the latest stay: a function made anew finds its kernels")
    #expect(kernels.count <= 40)
  }
}
