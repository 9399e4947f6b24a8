// One call that opens arbitrary bytes as a file of some format and reads everything in it.
// Used by FuzzTests with seeded mutations, and by libFuzzer through `LLVMFuzzerTestOneInput` (see the end).

import Basics
import Formats

/// A file format that is fuzzed; the raw value is the first byte of a libFuzzer input.
public enum FuzzedFormat: UInt8, CaseIterable, Sendable {
  case gguf, safetensors, npy, npz

  /// Reads all of `bytes`, which end at an inaccessible page. Returns the error of a refused file, nil for a valid one.
  public func fuzzOnce(_ bytes: [UInt8]) -> Diagnostic? {
    do throws(Diagnostic) {
      let file = try MappedFile(guarding: bytes, named: "fuzzed")
      switch self {
      case .gguf: try readAll(GGUFFile(file: file))
      case .safetensors: try readAll(SafetensorsFile(file: file).tensors)
      case .npy: readAll(try NpyArray(file: file))
      case .npz:
        let archive = try NpzFile(file: file, inflationLimit: 1 << 24)
        for name in archive.names { readAll(try archive.array(name)) }
      }
      return nil
    } catch {
      return error
    }
  }

  private func readAll(_ file: GGUFFile) throws(Diagnostic) {
    for key in file.keys {
      if let array = file.metadata[key]?.array { try readAll(array) }
    }
    try readAll(file.tensors)
  }

  private func readAll(_ array: GGUFArray) throws(Diagnostic) {
    for value in try array.values() {
      if let inner = value.array { try readAll(inner) }
    }
  }

  private func readAll(_ tensors: [StoredTensor]) throws(Diagnostic) {
    for tensor in tensors {
      if case .unsupported = tensor.encoding { continue }
      let count = try tensor.floats().count
      precondition(count == tensor.elementCount, "\(tensor)")
    }
  }

  private func readAll(_ array: NpyArray) { precondition(array.floats().count == array.elementCount, "\(array)") }
}

/// libFuzzer's entry: the first byte chooses the format, the rest is the file. Built and run by `scripts/fuzz-formats`.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTestOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let bytes = UnsafeBufferPointer(start: data, count: count)
  guard let first = bytes.first else { return 0 }
  let formats = FuzzedFormat.allCases
  _ = formats[Int(first) % formats.count].fuzzOnce([UInt8](bytes.dropFirst()))
  return 0
}
