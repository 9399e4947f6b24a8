// Reads npz files: zip archives of NumPy arrays.
// Not a cache: a deflated array is inflated each time it is asked for; stored ones are used in place. Surprise: the
// checksum of an array is compared when it is read, not when the file is opened.

import Basics

/// An npz file, mapped.
///
///     let file = try NpzFile(path: "cases.npz")
///     for name in file.names { print(try file.array(name)) }
public struct NpzFile: Sendable {
  /// What an array may have after inflating unless the caller says otherwise: 4 GiB, or what AZULEJO_MEMORY allows.
  public static var defaultInflationLimit: Int { min(1 << 32, Knobs.current.memory ?? .max) }

  /// The mapped file.
  public let file: MappedFile
  /// The arrays' names without ".npy", in the order of the file. Other entries are ignored.
  public let names: [String]
  private let entries: [String: ZipArchive.Entry]
  private let inflationLimit: Int

  /// Maps the file at `path` and checks its directory. Arrays are not touched.
  ///
  /// - Parameter inflationLimit: The most bytes a compressed array may inflate to.
  /// - Throws: A `.file` ``Basics/Diagnostic`` if it cannot be mapped, a `.format` one if its directory is damaged.
  public init(path: String, inflationLimit: Int = defaultInflationLimit) throws(Diagnostic) {
    try self.init(file: MappedFile(path: path), inflationLimit: inflationLimit)
  }

  /// Checks the directory of an already mapped file.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if its directory is damaged.
  public init(file: MappedFile, inflationLimit: Int = defaultInflationLimit) throws(Diagnostic) {
    let arrays = try ZipArchive(file: file).entries.filter { $0.name.hasSuffix(".npy") }
    self.file = file
    self.names = arrays.map { String($0.name.dropLast(4)) }
    self.entries = Dictionary(uniqueKeysWithValues: zip(names, arrays))
    self.inflationLimit = inflationLimit
  }

  /// The array called `name`; checks its checksum and, if it is compressed, inflates it.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if there is none, its bytes are damaged, it inflates to more than the
  ///   limit, or it holds anything but bools, integers and floats.
  public func array(_ name: String) throws(Diagnostic) -> NpyArray {
    guard let entry = entries[name] else {
      throw file.malformed(
        "has no array '\(name)'; it has \(names.prefix(5).joined(separator: ", "))", remedy: "check the name")
    }
    let label = "\(file.path)[\(name)]"
    switch entry.method {
    case .stored:
      try check(entry, entry.bytes.withUnsafeBytes { Deflate.crc32($0) }, label)
      return try NpyArray(mapped: entry.bytes, name: label)
    case .deflated:
      let bytes = try inflated(entry, label)
      try check(entry, bytes.withUnsafeBytes { Deflate.crc32($0) }, label)
      return try NpyArray(inflated: bytes, name: label)
    }
  }

  private func check(_ entry: ZipArchive.Entry, _ crc: UInt32, _ label: String) throws(Diagnostic) {
    guard crc == entry.crc else {
      throw NpyHeader.malformed(
        label, "is damaged: CRC-32 is \(String(crc, radix: 16)), expected \(String(entry.crc, radix: 16))")
    }
  }

  /// Inflates the header first, so that a lying size costs no memory.
  private func inflated(_ entry: ZipArchive.Entry, _ label: String) throws(Diagnostic) -> [UInt8] {
    guard entry.count <= inflationLimit else {
      throw NpyHeader.malformed(
        label, "inflates to \(entry.count) bytes, the limit is \(inflationLimit)", remedy: "raise `inflationLimit`")
    }
    let preamble = try inflate(entry, min(entry.count, NpyHeader.preambleBytes), isWhole: false, label)
    let dictionary = try parse(preamble) { bytes throws(Diagnostic) in
      try NpyHeader.dictionary(bytes, name: label)
    }
    let headerCount = min(entry.count, dictionary.start + dictionary.count)
    let header = try parse(try inflate(entry, headerCount, isWhole: false, label)) { bytes throws(Diagnostic) in
      try NpyHeader(bytes, name: label)
    }
    guard header.byteCount == entry.count - header.dataOffset else {
      throw NpyHeader.malformed(
        label,
        "\(header.dtype) of shape \(header.shape) needs \(header.byteCount) bytes, "
          + "\(entry.count - header.dataOffset) are there")
    }
    return try inflate(entry, entry.count, isWhole: true, label)
  }

  private func parse<Result>(
    _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(Diagnostic) -> Result
  ) throws(Diagnostic) -> Result {
    try bytes.withUnsafeBufferPointer { buffer throws(Diagnostic) in try body(UnsafeRawBufferPointer(buffer)) }
  }

  private func inflate(
    _ entry: ZipArchive.Entry, _ count: Int, isWhole: Bool, _ label: String
  ) throws(Diagnostic) -> [UInt8] {
    var problem: String?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      problem = entry.bytes.withUnsafeBytes { input in
        let output = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
        return Deflate.inflate(input, into: output, isWhole: isWhole)
      }
      initialized = problem == nil ? count : 0
    }
    if let problem { throw NpyHeader.malformed(label, "its compressed data \(problem)") }
    return bytes
  }
}

extension NpzFile: CustomStringConvertible {
  /// One line: path and count.
  public var description: String { "\(file.path): npz, \(names.count) arrays" }
}
