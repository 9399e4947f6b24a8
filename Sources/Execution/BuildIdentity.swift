// Which build of this library runs: what is kept on disk and depends on our own passes is for one build only.
// Not a version number that somebody must remember to raise. Surprise: it is the linker's build id of the image that this
// code is in, read from its header in memory; without one, the image's size and time.
import CHost

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

package enum BuildIdentity {
  /// Equal in all processes of one build, different after any change of the code.
  package static let current = made()

  private static func made() -> String {
    var name: UnsafePointer<CChar>?
    guard let base = azulejo_image(#dsohandle, &name) else { return "unknown" }
    #if os(Linux)
      if let id = buildID(base) { return id }
    #endif
    // The name of the program itself is what it was called by, which need not be a path.
    var information = stat()
    for path in [name.map { String(cString: $0) } ?? "", "/proc/self/exe"] where stat(path, &information) == 0 {
      #if canImport(Glibc)
        let time = information.st_mtim
      #else
        let time = information.st_mtimespec
      #endif
      return "\(information.st_size) \(time.tv_sec) \(time.tv_nsec)"
    }
    return "unknown"
  }

  #if os(Linux)
    /// The NT_GNU_BUILD_ID note of the ELF image that is loaded at `base`; the loader has checked the headers.
    private static func buildID(_ base: UnsafeRawPointer) -> String? {
      func word(_ offset: Int) -> Int { Int(base.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
      func long(_ offset: Int) -> Int { Int(base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
      func half(_ offset: Int) -> Int { Int(base.loadUnaligned(fromByteOffset: offset, as: UInt16.self)) }
      guard word(0) == 0x464c_457f, half(54) == 56 else { return nil }
      let headers = (0..<half(56)).map { long(32) + 56 * $0 }
      // Addresses in the headers count from the first loaded segment's page.
      guard let first = headers.first(where: { word($0) == 1 }) else { return nil }
      let bias = long(first + 16) - long(first + 8)
      for header in headers where word(header) == 4 {  // PT_NOTE
        var note = long(header + 16) - bias
        let end = note + long(header + 40)
        while note + 12 <= end {
          let (nameBytes, bytes) = (word(note), word(note + 4))
          let start = note + 12 + (nameBytes + 3) / 4 * 4
          guard start + bytes <= end else { break }
          if word(note + 8) == 3, nameBytes == 4, word(note + 12) == 0x0055_4e47 {  // "GNU"
            return (start..<start + bytes).map { place in
              let digits = String(base.load(fromByteOffset: place, as: UInt8.self), radix: 16)
              return digits.count == 1 ? "0" + digits : digits
            }.joined()
          }
          note = start + (bytes + 3) / 4 * 4
        }
      }
      return nil
    }
  #endif
}
