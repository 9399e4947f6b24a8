// Executables by the kernel they were made from: in this process, then on disk, then from the code generator.
// Not a cache of tensors or plans. Surprise: two programs that come to the same tile IR share one executable.
import Backends
import Basics
import Runtime
import Synchronization
import TileIR

final class KernelCache: Sendable {
  private let backend: Backend
  private let disk: ObjectCache?
  private let loaded = Mutex<[String: any Executable]>([:])

  init(_ backend: Backend) {
    self.backend = backend
    disk = backend.isWorthCaching ? ObjectCache.standard : nil
  }

  func executable(_ kernel: Kernel) throws(Diagnostic) -> any Executable {
    var hash = StableHash()
    hash.combine(backend.key)
    let text = kernel.text
    hash.combine(text)
    let key = hash.description
    if let known = loaded.withLock({ $0[key] }) { return known }
    Log.emit(.tile) { text }
    let made = try backend.driver.load(try image(kernel, key))
    loaded.withLock { $0[key] = made }
    return made
  }

  private func image(_ kernel: Kernel, _ key: String) throws(Diagnostic) -> ExecutableImage {
    if let bytes = disk?.read(key), let image = try? ExecutableImage(bytes: bytes) { return image }
    let image = try backend.image(kernel)
    disk?.write(key, image.bytes)
    return image
  }
}
