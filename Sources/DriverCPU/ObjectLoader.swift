// Maps an ELF object file into memory and links it: what a warm start runs instead of LLVM.
// Not a general linker: one object, no symbol from outside, the relocations that kernels have. Surprise: all sections are
// one mapping, executable and never writable after loading; the bytes are checked as if they came from an enemy.
import Basics
import CHost

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Machine code ready to be called; unmapped when the last reference goes.
// Sendable: the mapping is immutable once `init` has returned.
package final class ObjectLoader: @unchecked Sendable {
  private let base: UnsafeMutableRawPointer
  private let size: Int
  private let symbols: [String: Int]

  /// Links the object's code into this process. It stays while the result is held.
  package static func load(_ bytes: [UInt8], name: String) throws(Diagnostic) -> ObjectLoader {
    do {
      return try ObjectLoader(bytes)
    } catch {
      var named = error
      named.message = "\(name): \(error.message)"
      throw named
    }
  }

  /// Links `bytes`, an ELF64 relocatable object for this machine. Throws if it is damaged or needs what we lack.
  private init(_ bytes: [UInt8]) throws(Diagnostic) {
    let image = try ObjectImage(bytes)
    let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))
    size = (max(image.size, 1) + pageSize - 1) / pageSize * pageSize
    guard let mapping = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0), mapping != MAP_FAILED
    else { throw Diagnostic(.memory, "no memory for \(size) bytes of machine code") }
    base = mapping
    symbols = image.symbols
    // From here on a throw runs `deinit`, which unmaps: once, since another thread may get the addresses next.
    try image.place(at: mapping)
    if mprotect(mapping, size, PROT_READ | PROT_EXEC) != 0 {
      throw Diagnostic(
        .memory, "this system refuses to make memory executable",
        remedy: "allow it (SELinux: execmem), or run with the interpreter device")
    }
    azulejo_clear_instruction_cache(mapping, mapping + size)
  }

  deinit { munmap(base, size) }

  /// The address of an exported function, or nil.
  package func address(of symbol: String) -> UnsafeRawPointer? { symbols[symbol].map { UnsafeRawPointer(base + $0) } }
}

/// A parsed object: where its sections go, and what must be patched.
private struct ObjectImage {
  struct Section {
    var kind: UInt32
    var flags: UInt64
    var offset: Int
    var size: Int
    var link: Int
    var info: Int
    var alignment: Int
    /// Place in the mapping; nil: not loaded.
    var place: Int?
  }

  private let bytes: [UInt8]
  private var sections: [Section] = []
  private let machine: UInt16
  private(set) var size = 0
  private(set) var symbols: [String: Int] = [:]

  private static let damaged = Diagnostic(
    .cache, "an object file is damaged", remedy: "clear the kernel cache: azulejo cache clear")

  init(_ bytes: [UInt8]) throws(Diagnostic) {
    self.bytes = bytes
    #if arch(x86_64)
      let expected: UInt16 = 62
    #else
      let expected: UInt16 = 183
    #endif
    guard bytes.count >= 64, bytes[0..<6].elementsEqual([0x7f, 0x45, 0x4c, 0x46, 2, 1]) else { throw Self.damaged }
    machine = UInt16(bytes[18]) | UInt16(bytes[19]) << 8
    guard machine == expected else {
      throw Diagnostic(.cache, "an object file is for processor \(machine), this one is \(expected)")
    }
    let start = try integer(40, 8)
    let entry = try integer(58, 2)
    let count = try integer(60, 2)
    guard entry == 64, start <= bytes.count - count * entry else { throw Self.damaged }
    for i in 0..<count { try addSection(start + i * entry) }
    try collectSymbols()
  }

  private func integer(_ offset: Int, _ width: Int) throws(Diagnostic) -> Int {
    guard offset >= 0, offset <= bytes.count - width else { throw Self.damaged }
    var value: UInt64 = 0
    for i in 0..<width { value |= UInt64(bytes[offset + i]) << UInt64(8 * i) }
    guard let result = Int(exactly: value) else { throw Self.damaged }
    return result
  }

  private func signed(_ offset: Int) throws(Diagnostic) -> Int {
    guard offset >= 0, offset <= bytes.count - 8 else { throw Self.damaged }
    var value: UInt64 = 0
    for i in 0..<8 { value |= UInt64(bytes[offset + i]) << UInt64(8 * i) }
    return Int(Int64(bitPattern: value))
  }

  private mutating func addSection(_ at: Int) throws(Diagnostic) {
    var section = Section(
      kind: UInt32(try integer(at + 4, 4)), flags: UInt64(try integer(at + 8, 8)), offset: try integer(at + 24, 8),
      size: try integer(at + 32, 8), link: try integer(at + 40, 4), info: try integer(at + 44, 4),
      alignment: max(1, try integer(at + 48, 8)))
    let isEmpty = section.kind == 8  // SHT_NOBITS
    guard section.alignment <= 4096, section.size < 1 << 26,
      isEmpty || section.kind == 0 || section.offset <= bytes.count - section.size
    else { throw Self.damaged }
    if section.flags & 2 != 0, section.kind == 1 || isEmpty {  // SHF_ALLOC
      let place = (size + section.alignment - 1) / section.alignment * section.alignment
      section.place = place
      size = place + section.size
      guard size < 1 << 26 else { throw Self.damaged }
    }
    sections.append(section)
  }

  private var symbolTable: Section? { sections.first { $0.kind == 2 } }

  private mutating func collectSymbols() throws(Diagnostic) {
    guard let table = symbolTable else { return }
    guard table.link < sections.count else { throw Self.damaged }
    let names = sections[table.link]
    for i in 0..<(table.size / 24) {
      let at = table.offset + i * 24
      let isGlobal = try integer(at + 4, 1) >> 4 != 0
      guard isGlobal, try integer(at + 6, 2) != 0 else { continue }
      symbols[try text(names, try integer(at, 4))] = try symbolPlace(i)
    }
  }

  private func text(_ table: Section, _ offset: Int) throws(Diagnostic) -> String {
    guard table.kind == 3, offset < table.size else { throw Self.damaged }  // SHT_STRTAB
    let start = table.offset + offset
    let end = bytes[start..<(table.offset + table.size)].firstIndex(of: 0) ?? start
    return String(decoding: bytes[start..<end], as: UTF8.self)
  }

  /// Offset of a symbol in the mapping.
  private func symbolPlace(_ index: Int) throws(Diagnostic) -> Int {
    guard let table = symbolTable, index >= 0, index < table.size / 24 else { throw Self.damaged }
    let at = table.offset + index * 24
    let section = try integer(at + 6, 2)
    guard section != 0 else {
      let name = table.link < sections.count ? try text(sections[table.link], try integer(at, 4)) : ""
      throw Diagnostic(.compiler, "a kernel calls \(name), which is not in its object file")
    }
    guard section < sections.count, let place = sections[section].place else { throw Self.damaged }
    let offset = try integer(at + 8, 8)
    guard offset <= sections[section].size else { throw Self.damaged }
    return place + offset
  }

  // MARK: Placing

  /// Copies the sections and patches them.
  func place(at base: UnsafeMutableRawPointer) throws(Diagnostic) {
    for section in sections where section.kind == 1 {
      guard let place = section.place else { continue }
      bytes.withUnsafeBytes { source in
        (base + place).copyMemory(
          from: source.baseAddress.map { $0 + section.offset } ?? UnsafeRawPointer(base), byteCount: section.size)
      }
    }
    for section in sections where section.kind == 4 {  // SHT_RELA
      guard section.info < sections.count else { throw Self.damaged }
      let target = sections[section.info]
      guard let place = target.place else { continue }
      for i in 0..<(section.size / 24) {
        let at = section.offset + i * 24
        let offset = try integer(at, 8)
        let kind = try integer(at + 8, 4)
        let symbol = try integer(at + 12, 4)
        let addend = try signed(at + 16)
        let width = kind == (machine == 62 ? 1 : 257) ? 8 : 4
        guard offset <= target.size - width else { throw Self.damaged }
        let value = Int(bitPattern: base) + (try symbolPlace(symbol)) &+ addend
        try patch(base + place + offset, kind, value)
      }
    }
  }

  private func patch(_ address: UnsafeMutableRawPointer, _ kind: Int, _ value: Int) throws(Diagnostic) {
    let here = Int(bitPattern: address)
    func word() -> UInt32 { address.loadUnaligned(as: UInt32.self) }
    func put(_ word: UInt32) { address.storeBytes(of: word, as: UInt32.self) }
    let relative = value &- here
    switch (machine, kind) {
    case (62, 1), (183, 257): address.storeBytes(of: Int64(value), as: Int64.self)  // 64-bit address
    case (62, 2), (62, 4), (183, 261):  // PC32, PLT32, PREL32
      guard let short = Int32(exactly: relative) else { throw Self.damaged }
      put(UInt32(bitPattern: short))
    case (183, 282), (183, 283):  // JUMP26, CALL26
      guard relative & 3 == 0, (-(1 << 27)..<1 << 27).contains(relative) else { throw Self.damaged }
      put(word() & 0xfc00_0000 | UInt32(truncatingIfNeeded: relative >> 2) & 0x03ff_ffff)
    case (183, 275):  // ADR_PREL_PG_HI21
      let pages = (value >> 12) - (here >> 12)
      let bits = UInt32(truncatingIfNeeded: pages)
      put(word() & 0x9f00_001f | (bits & 3) << 29 | (bits >> 2 & 0x7ffff) << 5)
    case (183, 277), (183, 278): putPageOffset(address, value, shift: 0)  // ADD, LDST8
    case (183, 284): putPageOffset(address, value, shift: 1)
    case (183, 285): putPageOffset(address, value, shift: 2)
    case (183, 286): putPageOffset(address, value, shift: 3)
    case (183, 299): putPageOffset(address, value, shift: 4)
    case _: throw Diagnostic(.compiler, "an object file has relocation \(kind), which the loader does not know")
    }
  }

  private func putPageOffset(_ address: UnsafeMutableRawPointer, _ value: Int, shift: Int) {
    let word = address.loadUnaligned(as: UInt32.self)
    let bits = UInt32(truncatingIfNeeded: (value & 0xfff) >> shift)
    address.storeBytes(of: word & 0xffc0_03ff | bits << 10, as: UInt32.self)
  }
}
