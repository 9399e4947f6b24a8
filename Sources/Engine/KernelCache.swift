// Executables by the kernel they were made from: in this process, then on disk, then from the code generator.
// Not a cache of tensors or plans. Surprise: two programs that come to the same tile IR share one executable.
import Backends
import Basics
import Execution
import Synchronization
import TileIR

final class KernelCache: Sendable {
  private let backend: Backend
  private let cache: ObjectCache
  private let loaded = Mutex(LoadedKernels())

  init(_ backend: Backend, _ cache: ObjectCache) {
    self.cache = cache
    self.backend = backend
  }

  /// The kernel's executable and the key that finds it again.
  func executable(_ kernel: Kernel) throws(Diagnostic) -> (key: String, executable: any Executable) {
    var hash = StableHash()
    hash.combine(backend.key)
    hash.combine(Int(ExecutableImage.version))
    hash.combine(kernel.text)
    let key = hash.description
    if let found = known(key, kernel.name) { return (key, found) }
    let made = try fresh(kernel, key)
    loaded.withLock { $0.add(made, key) }
    return (key, made)
  }

  /// As `executable` for each of different kernels. Those that are new are made on all threads: a model's first start is
  /// little else.
  func executables(_ kernels: [Kernel]) throws(Diagnostic) -> [(key: String, executable: any Executable)] {
    typealias Made = Result<(key: String, executable: any Executable), Diagnostic>
    let made = Mutex([Made?](repeating: nil, count: kernels.count))
    ThreadPool.shared.run(count: kernels.count, grain: 1) { range in
      for i in range {
        let result = Made { () throws(Diagnostic) in try executable(kernels[i]) }
        made.withLock { $0[i] = result }
      }
    }
    var all: [(key: String, executable: any Executable)] = []
    // The first failure in order, whichever thread met it.
    for result in made.withLock({ $0 }).compactMap({ $0 }) { all.append(try result.get()) }
    return all
  }

  /// What was made for `key` earlier, here or by another process.
  func known(_ key: String, _ name: String) -> (any Executable)? {
    if let known = loaded.withLock({ $0.executable(key) }) { return known }
    guard let found = stored(key, name) else { return nil }
    loaded.withLock { $0.add(found, key) }
    return found
  }

  /// From the disk; anything wrong with it only means to make it again.
  private func stored(_ key: String, _ name: String) -> (any Executable)? {
    guard backend.isWorthCaching, let bytes = cache.read(key) else { return nil }
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
    if backend.isWorthCaching { cache.write(key, image.serialised()) }
    return executable
  }

  /// The kernel, or what AZULEJO_OVERRIDE has in its place.
  private func replaced(_ kernel: Kernel) throws(Diagnostic) -> Kernel {
    guard let text = try Stage.replacement(.tile, kernel: kernel.stageName, { kernel.text }) else { return kernel }
    return try Kernel(text: text)
  }
}
