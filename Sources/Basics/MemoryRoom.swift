// Whether the process may still take some memory: asked before work that dies without it, such as symbolising addresses.
// Not an allocator and no promise: others may take the room at any time. Surprise: a limit on address space shows only when
// one asks for some, so the room is asked for, never touched, and given back.

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

package enum MemoryRoom {
  /// Whether `bytes` more would fit the process' limits, its control group's and the machine.
  package static func has(_ bytes: Int) -> Bool {
    guard let asked = mmap(nil, max(bytes, 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0),
      asked != MAP_FAILED
    else { return false }
    munmap(asked, max(bytes, 1))
    if let limit = number(in: "/sys/fs/cgroup/memory.max"), let used = number(in: "/sys/fs/cgroup/memory.current"),
      limit - used < bytes
    {
      return false
    }
    guard let available = number(in: "/proc/meminfo", after: "MemAvailable:") else { return true }
    return available >= bytes / 1024
  }

  /// The number at the start of the file, or behind `label`; nil: there is none, as where there is no limit.
  private static func number(in path: String, after label: String? = nil) -> Int? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var block = [UInt8](repeating: 0, count: 4096)
    let count = fread(&block, 1, block.count, file)
    let text = String(decoding: block[..<count], as: UTF8.self)
    guard let label else { return Int(text.prefix { $0.isNumber }) }
    let line = text.split(separator: "\n").first { $0.hasPrefix(label) }
    return line.flatMap { Int($0.dropFirst(label.count).drop { $0 == " " }.prefix { $0.isNumber }) }
  }
}
