// Writes npz files, whole or not at all: a zip archive of npy arrays that numpy.load reads.
// Not a general zipper. Surprise: entries are padded so that stored arrays lie aligned for use in place, and dates are
// constant, so that the same arrays give the same bytes.

import Basics

/// Writes arrays into an npz file.
public enum NpzWriter {
  /// Writes `arrays` to `path`, replacing a file there only once the new one is complete on disk.
  ///
  /// - Parameter compressed: Deflates the arrays; they are then smaller, and cannot be used in place when read.
  /// - Throws: A `.dtype` ``Basics/Diagnostic`` for bf16, which NumPy does not have; an `.argument` one for names that
  ///   come twice or bytes that do not fit a shape; a `.file` one if the file cannot be written or the disk is full.
  ///   Nothing at `path` has changed then.
  public static func write(_ arrays: [OutgoingTensor], compressed: Bool = false, to path: String) throws(Diagnostic) {
    try write(arrays, compressed: compressed, to: path, wideLimit: UInt64(UInt32.max))
  }

  /// `wideLimit`: sizes and offsets from here on take zip64 fields; tests lower it.
  package static func write(
    _ arrays: [OutgoingTensor], compressed: Bool, to path: String, wideLimit: UInt64
  ) throws(Diagnostic) {
    try OutgoingTensor.checkNames(arrays, writing: path)
    var headers: [[UInt8]] = []
    for array in arrays {
      _ = try array.byteCount(writing: path)
      guard array.name.utf8.count + 4 <= Int(UInt16.max) else {
        throw Diagnostic(.argument, "\(path): an array's name has \(array.name.utf8.count) bytes, a zip allows 65531")
      }
      headers.append(try NpyHeader.bytes(array.dtype, array.shape, name: "\(path)[\(array.name)]"))
    }
    var zip = ZipOutput(try AtomicFile(path: path), wideLimit: wideLimit)
    for (array, header) in Swift.zip(arrays, headers) { try zip.add(array, header, compressed: compressed) }
    try zip.finish()
  }
}

/// The zip file as it grows: local headers are filled in after their data, the directory comes last.
private struct ZipOutput: ~Copyable {
  private struct Record {
    let name: [UInt8]
    let method: UInt16
    let offset: UInt64
    var crc: UInt32 = 0
    var compressed: UInt64 = 0
    var count: UInt64 = 0
  }

  private static let localBytes = 30
  private static let dataAlignment = 64
  /// Version 4.5 of the zip format: the first with zip64.
  private static let version: UInt16 = 45
  /// Made on Unix, where names are UTF-8 and files have permissions: a plain file that its owner may write.
  private static let maker: UInt16 = 3 << 8 | version
  private static let permissions: UInt32 = 0o100644 << 16
  private static let utf8Names: UInt16 = 0x0800
  /// 1980-01-01 00:00, the first date a zip can say.
  private static let date: UInt16 = 0x0021
  /// The extra field that Android's zipalign pads with: ignored by readers.
  private static let paddingKind: UInt16 = 0xd935

  private var file: AtomicFile
  private let wideLimit: UInt64
  private var records: [Record] = []

  init(_ file: consuming AtomicFile, wideLimit: UInt64) {
    self.file = file
    self.wideLimit = wideLimit
  }

  mutating func add(_ array: OutgoingTensor, _ header: [UInt8], compressed: Bool) throws(Diagnostic) {
    let name = [UInt8]("\(array.name).npy".utf8)
    var record = Record(name: name, method: compressed ? 8 : 0, offset: UInt64(file.count))
    let extra = extraField(after: file.count + Self.localBytes + name.count)
    try file.write(localHeader(record, extra))
    let start = file.count

    var crc: UInt32 = 0
    var count: UInt64 = 0
    var compressor = compressed ? try Deflate.Compressor() : nil
    func put(_ bytes: UnsafeRawBufferPointer, isLast: Bool = false) throws(Diagnostic) {
      crc = Deflate.crc32(bytes, from: crc)
      count += UInt64(bytes.count)
      guard compressed else { return try file.write(bytes) }
      try compressor?.compress(bytes, isLast: isLast) { bytes throws(Diagnostic) in try file.write(bytes) }
    }
    try header.withUnsafeBufferPointer { bytes throws(Diagnostic) in try put(UnsafeRawBufferPointer(bytes)) }
    try array.deliver(writing: file.path) { bytes throws(Diagnostic) in try put(bytes) }
    try put(UnsafeRawBufferPointer(start: nil, count: 0), isLast: true)

    record.crc = crc
    record.count = count
    record.compressed = UInt64(file.count - start)
    try file.overwrite(localHeader(record, extra), at: Int(record.offset))
    records.append(record)
  }

  mutating func finish() throws(Diagnostic) {
    let start = UInt64(file.count)
    for record in records { try file.write(directoryRecord(record)) }
    let end = UInt64(file.count)
    let count = UInt64(records.count)
    if start >= wideLimit || end - start >= wideLimit || count >= min(wideLimit, 0xffff) {
      let disk: UInt32 = 0
      try file.write(
        joined(
          UInt32(0x0606_4b50), UInt64(44), Self.version, Self.version, disk, disk, count, count, end - start, start))
      try file.write(joined(UInt32(0x0706_4b50), disk, end, UInt32(1)))
    }
    let disk: UInt16 = 0, shortCount = UInt16(min(count, 0xffff)), commentBytes: UInt16 = 0
    try file.write(
      joined(
        UInt32(0x0605_4b50), disk, disk, shortCount, shortCount, narrow(end - start), narrow(start), commentBytes))
    try file.commit()
  }

  /// A zip64 field, whose place must be kept before the sizes are known, and padding up to an aligned data start.
  private func extraField(after position: Int) -> [UInt8] {
    let fixed = position + 20 + 4
    let padding = (Self.dataAlignment - fixed % Self.dataAlignment) % Self.dataAlignment
    return joined(UInt16(1), UInt16(16), UInt64(0), UInt64(0), Self.paddingKind, UInt16(padding))
      + [UInt8](repeating: 0, count: padding)
  }

  private func localHeader(_ record: Record, _ extra: [UInt8]) -> [UInt8] {
    let time: UInt16 = 0
    let fixed = joined(
      UInt32(0x0403_4b50), Self.version, Self.utf8Names, record.method, time, Self.date, record.crc, UInt32.max,
      UInt32.max, UInt16(record.name.count), UInt16(extra.count))
    return fixed + record.name + extra[..<4] + joined(record.count, record.compressed) + extra[20...]
  }

  private func directoryRecord(_ record: Record) -> [UInt8] {
    let wide = [record.count, record.compressed, record.offset].filter { $0 >= wideLimit }
    let extra = wide.isEmpty ? [] : joined(UInt16(1), UInt16(8 * wide.count)) + wide.flatMap { joined($0) }
    let time: UInt16 = 0, commentBytes: UInt16 = 0, disk: UInt16 = 0
    let internalAttributes: UInt16 = 0
    let fixed = joined(
      UInt32(0x0201_4b50), Self.maker, Self.version, Self.utf8Names, record.method, time, Self.date, record.crc,
      narrow(record.compressed), narrow(record.count), UInt16(record.name.count), UInt16(extra.count), commentBytes,
      disk, internalAttributes, Self.permissions, narrow(record.offset))
    return fixed + record.name + extra
  }

  /// All ones where the zip64 field has the value.
  private func narrow(_ value: UInt64) -> UInt32 { value >= wideLimit ? .max : UInt32(value) }

  private func joined(_ values: any FixedWidthInteger...) -> [UInt8] {
    values.flatMap { littleEndian($0) }
  }

  private func littleEndian<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { [UInt8]($0) }
  }
}
