// Reads GGUF version 2 and 3: metadata, tensor directory, and tensors in place.
// Not a model loader and not a writer. Surprise: GGUF lists a shape's innermost axis first; `shape` here is outermost
// first, so a matrix of `n` outputs and `k` inputs has shape [n, k] as in PyTorch.

import Basics

/// A GGUF model file, mapped. A model that was split is joined: opening any `...-00001-of-0000N.gguf` opens all parts.
///
///     let file = try GGUFFile(path: "model.gguf")
///     let layers = try file.integer("llama.block_count")
///     let weight = try file.tensor("blk.0.attn_q.weight")   // shape, encoding, bytes in place
public struct GGUFFile: Sendable {
  /// The mapped file; the first part of a split model.
  public let file: MappedFile
  /// 2 or 3.
  public let version: UInt32
  /// All tensor data starts at a multiple of this many bytes from ``dataOffset``.
  public let alignment: Int
  /// Where tensor data begins in the file.
  public let dataOffset: Int
  /// Metadata keys in the order of the file.
  public let keys: [String]
  /// Metadata by key.
  public let metadata: [String: GGUFValue]
  /// Tensors in the order of the file.
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
    let parts = try GGUFParts(file).headers
    let header = parts[0]
    self.file = header.file
    self.version = header.version
    self.alignment = header.alignment
    self.dataOffset = header.dataOffset
    self.keys = header.keys
    self.metadata = header.metadata
    let tensors = parts.count == 1 ? header.tensors : parts.flatMap(\.tensors)
    self.tensors = tensors
    self.tensorIndex =
      parts.count == 1
      ? header.tensorIndex : Dictionary(uniqueKeysWithValues: tensors.enumerated().map { ($1.name, $0) })
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

  // MARK: Metadata

  /// The integer at `key`, of whatever integer type.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if the key is missing or of another type.
  public func integer(_ key: String) throws(Diagnostic) -> Int { try value(key, "an integer") { $0.integer } }

  /// The number at `key`, of whatever integer or float type.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if the key is missing or of another type.
  public func number(_ key: String) throws(Diagnostic) -> Double { try value(key, "a number") { $0.number } }

  /// The text at `key`.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if the key is missing or of another type.
  public func string(_ key: String) throws(Diagnostic) -> String { try value(key, "a string") { $0.string } }

  /// The bool at `key`.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if the key is missing or of another type.
  public func bool(_ key: String) throws(Diagnostic) -> Bool { try value(key, "a bool") { $0.bool } }

  /// The array at `key`.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if the key is missing or of another type.
  public func array(_ key: String) throws(Diagnostic) -> GGUFArray { try value(key, "an array") { $0.array } }

  private func value<Result>(
    _ key: String, _ wanted: String, _ convert: (GGUFValue) -> Result?
  ) throws(Diagnostic) -> Result {
    guard let value = metadata[key] else {
      throw file.malformed("metadata key '\(key)' is missing, \(wanted) was expected", remedy: "use a complete model")
    }
    guard let result = convert(value) else {
      throw file.malformed("metadata key '\(key)' is of type \(value.type), \(wanted) was expected")
    }
    return result
  }
}

extension StoredTensor {
  static func missing(_ name: String, among tensors: [StoredTensor], in file: MappedFile) -> Diagnostic {
    let some = tensors.prefix(3).map { "'\($0.name)'" }.joined(separator: ", ")
    return file.malformed(
      "has no tensor '\(name)'; it has \(tensors.count)" + (tensors.isEmpty ? "" : ": \(some)..."),
      remedy: "check that the file holds the model you want")
  }
}

extension GGUFFile: CustomStringConvertible {
  /// One line: path, version and counts.
  public var description: String {
    "\(file.path): GGUF \(version), \(keys.count) metadata entries, \(tensors.count) tensors"
  }
}
