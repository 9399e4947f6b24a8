// Executables by the kernel they were made from: in this process, then on disk, then from the code generator.
// Not a cache of tensors or plans. Surprise: two programs that come to the same tile IR share one executable.
import Backends
import Basics
import Execution
import Synchronization
import TileIR

final class KernelCache: Sendable {
  private let backend: Backend
  private let loaded = Mutex<[String: any Executable]>([:])

  init(_ backend: Backend) {
    self.backend = backend
  }

  func executable(_ kernel: Kernel) throws(Diagnostic) -> any Executable {
    var hash = StableHash()
    hash.combine(backend.key)
    let text = kernel.text
    hash.combine(text)
    let key = hash.description
    if let known = loaded.withLock({ $0[key] }) { return known }
    Log.write(.tile, text)
    let made = try backend.driver.load(try image(kernel, key))
    loaded.withLock { $0[key] = made }
    return made
  }

  private func image(_ kernel: Kernel, _ key: String) throws(Diagnostic) -> ExecutableImage {
    try backend.image(kernel)
  }
}
