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
    hash.combine(Int(ExecutableImage.version))
    let text = kernel.text
    hash.combine(text)
    let key = hash.description
    if let known = loaded.withLock({ $0[key] }) { return known }
    let made = if let found = stored(key, kernel.name) { found } else { try fresh(kernel, key) }
    loaded.withLock { $0[key] = made }
    return made
  }

  /// From the disk; anything wrong with it only means to make it again.
  private func stored(_ key: String, _ name: String) -> (any Executable)? {
    guard backend.isWorthCaching, let bytes = ObjectCache.shared.read(key) else { return nil }
    do {
      return try backend.driver.load(try ExecutableImage(serialised: bytes))
    } catch {
      Log.write(.cache, "\(name) is made again: \(error.message)")
      return nil
    }
  }

  private func fresh(_ kernel: Kernel, _ key: String) throws(Diagnostic) -> any Executable {
    let image = try backend.image(try replaced(kernel))
    let executable = try backend.driver.load(image)
    if backend.isWorthCaching { ObjectCache.shared.write(key, image.serialised()) }
    return executable
  }

  /// The kernel, or what AZULEJO_OVERRIDE has in its place.
  private func replaced(_ kernel: Kernel) throws(Diagnostic) -> Kernel {
    guard let text = try Stage.replacement(.tile, kernel: kernel.stageName, { kernel.text }) else { return kernel }
    return try Kernel(text: text)
  }
}
