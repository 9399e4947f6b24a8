// Opens a weight file by what it starts with, never by its extension.
// Not a converter. Surprise: wrong files are recognised too (web pages, Git LFS pointers, older formats), because that
// is what people actually hand in.

import Basics

/// A file of named tensors in one of the formats that hold model weights.
public enum WeightFile: Sendable {
  /// A GGUF model.
  case gguf(GGUFFile)
  /// A safetensors file.
  case safetensors(SafetensorsFile)

  /// Maps the file at `path` and recognises its format by its first bytes.
  ///
  /// - Throws: A `.file` ``Basics/Diagnostic`` if it cannot be mapped; a `.format` one if it is neither format (the
  ///   message quotes what it starts with) or its header is damaged.
  public static func open(_ path: String) throws(Diagnostic) -> WeightFile {
    let file = try MappedFile(path: path)
    let opening = Opening(file)
    switch opening.kind {
    case .gguf: return .gguf(try GGUFFile(file: file))
    case .safetensors: return .safetensors(try SafetensorsFile(file: file))
    case .other(let name, let remedy):
      throw Diagnostic(
        .format, "\(path): is not a GGUF or safetensors file: \(name)starts with \(opening.description)",
        remedy: remedy)
    }
  }

  /// The mapped file.
  public var file: MappedFile {
    switch self {
    case .gguf(let gguf): gguf.file
    case .safetensors(let safetensors): safetensors.file
    }
  }

  /// All tensors, in the order of the file.
  public var tensors: [StoredTensor] {
    switch self {
    case .gguf(let gguf): gguf.tensors
    case .safetensors(let safetensors): safetensors.tensors
    }
  }

  /// The tensor called `name`.
  ///
  /// - Throws: A `.format` ``Basics/Diagnostic`` if there is none.
  public func tensor(_ name: String) throws(Diagnostic) -> StoredTensor {
    switch self {
    case .gguf(let gguf): try gguf.tensor(name)
    case .safetensors(let safetensors): try safetensors.tensor(name)
    }
  }
}

/// The first bytes of a file: what they say about its format, and how to show them.
struct Opening: CustomStringConvertible {
  enum Kind: Equatable {
    case gguf, safetensors
    /// What it looks like ("a web page, "; empty if unknown) and what to do.
    case other(name: String, remedy: String)
  }

  private let bytes: [UInt8]
  let kind: Kind

  init(_ file: MappedFile) {
    let bytes = file.bytes.withUnsafeBytes { [UInt8]($0.prefix(64)) }
    self.bytes = bytes
    func starts(_ text: String) -> Bool { bytes.starts(with: text.utf8) }
    func startsIgnoringCase(_ text: String) -> Bool {
      bytes.map { $0 | 0x20 }.starts(with: text.utf8.map { $0 | 0x20 })
    }

    let remedy = "give a .gguf or .safetensors file"
    if starts("GGUF") {
      kind = .gguf
    } else if bytes.count > 8, bytes[8] == UInt8(ascii: "{"), bytes[4..<8].allSatisfy({ $0 == 0 }) {
      kind = .safetensors
    } else if starts("version https://git-lfs") {
      kind = .other(name: "a Git LFS pointer, ", remedy: "fetch the file it points to: git lfs pull")
    } else if startsIgnoringCase("<!doctype html") || startsIgnoringCase("<html") {
      kind = .other(name: "a web page, ", remedy: "the download went wrong: fetch the file itself")
    } else if starts("PK\u{3}\u{4}") {
      kind = .other(name: "a zip archive, ", remedy: "\(remedy); PyTorch checkpoints must be converted")
    } else if bytes.starts(with: [0x93]), bytes.dropFirst().starts(with: "NUMPY".utf8) {
      kind = .other(name: "a NumPy array, ", remedy: remedy)
    } else if bytes.starts(with: [0x80, 0x02]) {
      kind = .other(name: "a Python pickle, ", remedy: "\(remedy); pickles are never loaded: they can run code")
    } else if bytes.starts(with: [0x89]), bytes.dropFirst().starts(with: "HDF".utf8) {
      kind = .other(name: "an HDF5 file, ", remedy: remedy)
    } else if ["lmgg", "fmgg", "tjgg", "algg"].contains(where: { starts($0) }) {
      kind = .other(name: "a model from before GGUF, ", remedy: "convert it to GGUF")
    } else {
      kind = .other(name: "", remedy: remedy)
    }
  }

  /// Printable openings as quoted text, others as hexadecimal bytes.
  var description: String {
    let head = bytes.prefix(24)
    let isText = head.allSatisfy { (0x20..<0x7f).contains($0) || $0 == 0x0a || $0 == 0x0d || $0 == 0x09 }
    if isText { return String(decoding: head, as: UTF8.self).debugDescription }
    return bytes.prefix(8).map { byte in
      (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }.joined(separator: " ")
  }
}
