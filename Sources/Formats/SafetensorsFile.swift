// Reads safetensors files: a JSON header, then tensor bytes that are used in place.
// Not tolerant: every byte of data must belong to exactly one tensor, as the format demands. Surprise: the format does
// not align tensors, so an entry may be readable but not usable in place (`StoredTensor.isAligned`).

import Basics

/// A safetensors file, mapped.
///
///     let file = try SafetensorsFile(path: "model.safetensors")
///     let weight = try file.tensor("embeddings.word_embeddings.weight")
public struct SafetensorsFile: Sendable {
  /// Headers are at most this long: the format's own limit.
  public static let maximumHeaderBytes = 100_000_000
  static let maximumRank = 64

  /// The mapped file.
  public let file: MappedFile
  /// The `__metadata__` entry: free text by key.
  public let metadata: [String: String]
  /// Tensors in the order of their bytes.
  public let tensors: [StoredTensor]
  private let tensorIndex: [String: Int]

  /// Maps and checks the file at `path`. Tensor bytes are not touched.
  ///
  /// - Throws: A `.file` ``Basics/Diagnostic`` if it cannot be mapped, a `.format` one if its header is damaged.
  public init(path: String) throws(Diagnostic) { try self.init(file: MappedFile(path: path)) }

  /// Checks an already mapped file.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if its header is damaged.
  public init(file: MappedFile) throws(Diagnostic) {
    var cursor = ByteCursor(file)
    let headerCount: UInt64 = try cursor.read("the header length")
    guard headerCount <= UInt64(Self.maximumHeaderBytes) else {
      throw file.malformed("claims a header of \(headerCount) bytes, at most \(Self.maximumHeaderBytes) are allowed")
    }
    let json = try cursor.take(headerCount, "the header")
    let header = try SafetensorsHeader(json)
    let tensors = try header.tensors(in: file, from: cursor.offset)
    self.file = file
    self.metadata = header.metadata
    self.tensors = tensors
    self.tensorIndex = Dictionary(uniqueKeysWithValues: tensors.enumerated().map { ($1.name, $0) })
  }

  /// Whether the file has a tensor called `name`.
  public func contains(_ name: String) -> Bool { tensorIndex[name] != nil }

  /// The tensor called `name`.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if there is none.
  public func tensor(_ name: String) throws(Diagnostic) -> StoredTensor {
    guard let index = tensorIndex[name] else { throw StoredTensor.missing(name, among: tensors, in: file) }
    return tensors[index]
  }
}

extension SafetensorsFile: CustomStringConvertible {
  /// One line: path and counts.
  public var description: String {
    "\(file.path): safetensors, \(metadata.count) metadata entries, \(tensors.count) tensors"
  }
}
