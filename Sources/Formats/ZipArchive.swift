// The directory of a zip file, checked, and its entries' bytes: stored ones in place, deflated ones inflated.
// Not a general unzipper: no encryption, no other methods, no extraction to disk. Surprise: sizes come from the central
// directory only, and entries may share no byte, which is what the worst zip bombs do.

import Basics

struct ZipArchive: Sendable {
  struct Entry: Sendable {
    enum Method: Sendable { case stored, deflated }
    let name: String
    let method: Method
    /// The bytes in the file, compressed or not.
    let bytes: MappedBytes
    /// Size after inflating.
    let count: Int
    let crc: UInt32
  }

  let entries: [Entry]

  init(file: MappedFile) throws(Diagnostic) {
    entries = try ZipDirectory(file).entries()
  }
}

/// Where the central directory lies, and how its records are read.
private struct ZipDirectory {
  private static let recordSignature: UInt32 = 0x0201_4b50
  private static let localSignature: UInt32 = 0x0403_4b50
  private static let endSignature: UInt32 = 0x0605_4b50
  private static let end64Signature: UInt32 = 0x0606_4b50
  private static let locator64Signature: UInt32 = 0x0706_4b50
  private static let recordBytes = 46
  private static let localBytes = 30
  private static let endBytes = 22
  private static let locator64Bytes = 20
  private static let end64Bytes = 56

  private struct Record {
    let name: String
    let rawName: [UInt8]
    let flags: UInt16
    let method: UInt16
    let crc: UInt32
    let compressed: Int
    let count: Int
    let offset: Int
  }

  private let file: MappedFile
  private var start = 0
  private var end = 0
  private var count: UInt64 = 0

  init(_ file: MappedFile) throws(Diagnostic) {
    self.file = file
    try locate()
  }

  /// Finds the end record, which only a comment of up to 65,535 bytes may follow.
  private mutating func locate() throws(Diagnostic) {
    let last = file.count - Self.endBytes
    let first = max(last - 65_535, 0)
    var position = last
    while position >= first {
      if try file.load(UInt32.self, at: position) == Self.endSignature,
        Int(try file.load(UInt16.self, at: position + 20)) == last - position
      {
        break
      }
      position -= 1
    }
    guard position >= first else {
      throw malformed("has no zip end record: it is truncated or not a zip file")
    }
    let disks = (try file.load(UInt16.self, at: position + 4), try file.load(UInt16.self, at: position + 6))
    count = UInt64(try file.load(UInt16.self, at: position + 10))
    var size = UInt64(try file.load(UInt32.self, at: position + 12))
    var offset = UInt64(try file.load(UInt32.self, at: position + 16))
    var limit = position
    let locator = position - Self.locator64Bytes
    if locator >= 0, try file.load(UInt32.self, at: locator) == Self.locator64Signature {
      let start = try file.load(UInt64.self, at: locator + 8)
      guard locator >= Self.end64Bytes, start <= UInt64(locator - Self.end64Bytes),
        try file.load(UInt32.self, at: Int(start)) == Self.end64Signature
      else { throw malformed("has no zip64 end record at \(start)") }
      count = try file.load(UInt64.self, at: Int(start) + 32)
      size = try file.load(UInt64.self, at: Int(start) + 40)
      offset = try file.load(UInt64.self, at: Int(start) + 48)
      limit = Int(start)
    } else if disks != (0, 0) {
      throw malformed("is a part of a split zip file")
    }
    guard offset <= UInt64(limit), size <= UInt64(limit) - offset else {
      throw malformed("claims a zip directory of \(size) bytes at \(offset), before byte \(limit)")
    }
    guard count <= size / UInt64(Self.recordBytes) else {
      throw malformed("claims \(count) zip entries in a directory of \(size) bytes")
    }
    self.start = Int(offset)
    self.end = Int(offset + size)
  }

  func entries() throws(Diagnostic) -> [ZipArchive.Entry] {
    var position = start
    var entries: [ZipArchive.Entry] = []
    var names = UniqueNames()
    var claimed: [Range<Int>] = []
    for _ in 0..<count {
      let record = try record(at: &position)
      if let problem = names.problem(adding: record.name) { throw malformed("zip entry '\(record.name)' \(problem)") }
      let entry = try entry(of: record)
      // From the local header on: an entry owns its header too.
      claimed.append(record.offset..<entry.bytes.range.upperBound)
      entries.append(entry)
    }
    guard position == end else {
      throw malformed("the zip directory ends at \(position), \(end) was claimed")
    }
    claimed.sort { $0.lowerBound < $1.lowerBound }
    for (before, after) in zip(claimed, claimed.dropFirst()) where after.lowerBound < before.upperBound {
      throw malformed("zip entries overlap: one ends at \(before.upperBound), the next starts at \(after.lowerBound)")
    }
    return entries
  }

  private func record(at position: inout Int) throws(Diagnostic) -> Record {
    var cursor = ByteCursor(file, at: position)
    let signature: UInt32 = try cursor.read("a zip directory record")
    guard signature == Self.recordSignature else { throw malformed("has no zip directory record at \(position)") }
    let fixed = position
    let flags = try file.load(UInt16.self, at: fixed + 8)
    let method = try file.load(UInt16.self, at: fixed + 10)
    let crc = try file.load(UInt32.self, at: fixed + 16)
    let sizes = (
      compressed: try file.load(UInt32.self, at: fixed + 20), count: try file.load(UInt32.self, at: fixed + 24)
    )
    let nameBytes = Int(try file.load(UInt16.self, at: fixed + 28))
    let extraBytes = Int(try file.load(UInt16.self, at: fixed + 30))
    let commentBytes = Int(try file.load(UInt16.self, at: fixed + 32))
    let offset = try file.load(UInt32.self, at: fixed + 42)
    let nameStart = fixed + Self.recordBytes
    let next = nameStart + nameBytes + extraBytes + commentBytes
    guard next <= end else { throw malformed("the zip directory record at \(position) leaves the directory") }
    let rawName = try file.bytes(in: nameStart..<nameStart + nameBytes).copied(as: UInt8.self)
    let name = String(decoding: rawName, as: UTF8.self)
    let wide = try wideSizes(
      in: nameStart + nameBytes..<nameStart + nameBytes + extraBytes, sizes, offset, of: name)
    position = next
    return Record(
      name: name, rawName: rawName, flags: flags, method: method, crc: crc, compressed: wide.compressed,
      count: wide.count, offset: wide.offset)
  }

  /// 32-bit fields that are all ones stand in a zip64 extra field, in this order and only these.
  private func wideSizes(
    in extra: Range<Int>, _ sizes: (compressed: UInt32, count: UInt32), _ offset: UInt32, of name: String
  ) throws(Diagnostic) -> (compressed: Int, count: Int, offset: Int) {
    var wide = (compressed: UInt64(sizes.compressed), count: UInt64(sizes.count), offset: UInt64(offset))
    var position = extra.lowerBound
    while position + 4 <= extra.upperBound {
      let kind = try file.load(UInt16.self, at: position)
      let end = position + 4 + Int(try file.load(UInt16.self, at: position + 2))
      guard end <= extra.upperBound else { throw malformed("zip entry '\(name)': an extra field leaves its record") }
      if kind == 1 {
        var field = position + 4
        func next() throws(Diagnostic) -> UInt64 {
          guard field + 8 <= end else { throw malformed("zip entry '\(name)': its zip64 field is too short") }
          defer { field += 8 }
          return try file.load(UInt64.self, at: field)
        }
        if sizes.count == .max { wide.count = try next() }
        if sizes.compressed == .max { wide.compressed = try next() }
        if offset == .max { wide.offset = try next() }
      }
      position = end
    }
    guard let compressed = Int(exactly: wide.compressed), let count = Int(exactly: wide.count),
      let start = Int(exactly: wide.offset)
    else { throw malformed("zip entry '\(name)': sizes \(wide) are too large") }
    return (compressed, count, start)
  }

  private func entry(of record: Record) throws(Diagnostic) -> ZipArchive.Entry {
    guard record.flags & 1 == 0 else {
      throw malformed("zip entry '\(record.name)' is encrypted", remedy: "save it without a password")
    }
    let method: ZipArchive.Entry.Method
    switch record.method {
    case 0: method = .stored
    case 8: method = .deflated
    default:
      throw malformed(
        "zip entry '\(record.name)' uses compression method \(record.method), 0 and 8 are supported",
        remedy: "save it with numpy.savez or numpy.savez_compressed")
    }
    guard record.offset <= start - Self.localBytes,
      try file.load(UInt32.self, at: record.offset) == Self.localSignature
    else { throw malformed("zip entry '\(record.name)' has no header at \(record.offset)") }
    let nameStart = record.offset + Self.localBytes
    let nameBytes = Int(try file.load(UInt16.self, at: record.offset + 26))
    let extraBytes = Int(try file.load(UInt16.self, at: record.offset + 28))
    let dataStart = nameStart + nameBytes + extraBytes
    guard dataStart <= start, record.compressed <= start - dataStart else {
      throw malformed(
        "zip entry '\(record.name)' needs \(record.compressed) bytes at \(dataStart), before byte \(start)")
    }
    guard try file.bytes(in: nameStart..<nameStart + nameBytes).copied(as: UInt8.self) == record.rawName else {
      throw malformed("zip entry '\(record.name)' has another name in its own header")
    }
    switch method {
    case .stored:
      guard record.compressed == record.count else {
        throw malformed("stored zip entry '\(record.name)' claims \(record.count) bytes in \(record.compressed)")
      }
    case .deflated:
      guard record.count / Deflate.maximumRatio <= record.compressed else {
        throw malformed("zip entry '\(record.name)' claims \(record.count) bytes from \(record.compressed)")
      }
    }
    return ZipArchive.Entry(
      name: record.name, method: method, bytes: try file.bytes(in: dataStart..<dataStart + record.compressed),
      count: record.count, crc: record.crc)
  }

  private func malformed(_ what: String, remedy: String? = ByteCursor.fetchAgain) -> Diagnostic {
    file.malformed(what, remedy: remedy)
  }
}
