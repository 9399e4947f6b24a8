// Writes safetensors files, whole or not at all.
// Not for quantised tensors: the format has no such dtypes. Surprise: tensors are laid out by falling element size, so
// that every one of them is aligned for use in place.

import Basics
import TensorTypes

/// Writes tensors into a safetensors file.
///
///     try SafetensorsWriter.write(
///       [OutgoingTensor("weight", .f32, [2, 2], elements: [1, 2, 3, 4] as [Float])], to: "model.safetensors")
public enum SafetensorsWriter {
  /// Writes `tensors` to `path`, replacing a file there only once the new one is complete on disk.
  ///
  /// The same input gives the same bytes.
  /// - Throws: A `.argument` ``Basics/Diagnostic`` for names that come twice or bytes that do not fit a shape; a `.file`
  ///   one if the file cannot be written or the disk is full. Nothing at `path` has changed then.
  public static func write(
    _ tensors: [OutgoingTensor], metadata: [String: String] = [:], to path: String
  ) throws(Diagnostic) {
    try OutgoingTensor.checkNames(tensors, writing: path)
    guard !tensors.contains(where: { $0.name == SafetensorsHeader.metadataKey }) else {
      throw Diagnostic(.argument, "\(path): a tensor is called '\(SafetensorsHeader.metadataKey)'", remedy: "rename it")
    }
    let ordered = tensors.sorted { ($1.dtype.size, $0.name) < ($0.dtype.size, $1.name) }
    let header = try header(of: ordered, metadata, path)

    var file = try AtomicFile(path: path)
    try file.write(withUnsafeBytes(of: UInt64(header.count).littleEndian) { [UInt8]($0) })
    try file.write(header)
    for tensor in ordered {
      try tensor.deliver(writing: path) { bytes throws(Diagnostic) in try file.write(bytes) }
    }
    try file.commit()
  }

  /// The JSON header, padded with spaces so that the data after it starts at a multiple of 8.
  private static func header(
    of tensors: [OutgoingTensor], _ metadata: [String: String], _ path: String
  ) throws(Diagnostic) -> [UInt8] {
    var fields: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
      fields.append("\(quoted(SafetensorsHeader.metadataKey)):{\(pairs.joined(separator: ","))}")
    }
    var position = 0
    for tensor in tensors {
      let (end, overflow) = position.addingReportingOverflow(try tensor.byteCount(writing: path))
      guard !overflow else { throw Diagnostic(.argument, "\(path): the tensors have too many bytes for a file") }
      let shape = tensor.shape.map { "\($0)" }.joined(separator: ",")
      fields.append(
        "\(quoted(tensor.name)):{\"dtype\":\"\(tensor.dtype.safetensorsName)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(position),\(end)]}")
      position = end
    }
    var header = [UInt8]("{\(fields.joined(separator: ","))}".utf8)
    while header.count % 8 != 0 { header.append(UInt8(ascii: " ")) }
    guard header.count <= SafetensorsFile.maximumHeaderBytes else {
      throw Diagnostic(
        .argument,
        "\(path): the header has \(header.count) bytes, at most \(SafetensorsFile.maximumHeaderBytes) are allowed")
    }
    return header
  }

  private static func quoted(_ text: String) -> String { JSON.string(text).description }
}
