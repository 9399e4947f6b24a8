// The tensors of a model's file, handed out one by one in the shapes that the configuration implies.
// Not a dictionary: it knows what was asked for. Surprise: a tensor that nobody asked for is an error in the end, and so
// is one that would broadcast: a norm of 32 elements is no norm of 64.
import Basics
import Formats
import Tensors
import TensorTypes

/// The tensors of one file.
final class ModelTensors {
  private let file: WeightFile
  /// What all names begin with; left out where they are asked for.
  private let prefix: String
  private let byName: [String: StoredTensor]
  private var read: Set<String> = []

  init(_ file: WeightFile, prefix: String = "") {
    self.file = file
    self.prefix = prefix
    byName = Dictionary(file.tensors.map { ($0.name, $0) }) { first, _ in first }
  }

  func contains(_ name: String) -> Bool { byName[prefix + name] != nil }

  /// A tensor of the given shape; nil stands for any extent of at least 1.
  func stored(_ name: String, _ shape: [Int?]) throws(Diagnostic) -> StoredTensor {
    let stored = try file.tensor(prefix + name)
    read.insert(prefix + name)
    let fits = zip(stored.shape, shape).allSatisfy { extent, wanted in wanted.map { $0 == extent } ?? (extent > 0) }
    guard stored.shape.count == shape.count, fits else {
      let wanted = shape.map { $0.map(String.init) ?? "?" }.joined(separator: ", ")
      throw mistake(stored, "the model's settings ask for the shape [\(wanted)]")
    }
    switch stored.encoding {
    case .dense(let dtype) where !dtype.isFloating: throw mistake(stored, "weights are floating-point numbers")
    case .dense, .quantized, .unsupported: return stored
    }
  }

  /// A matrix that multiplies.
  func matrix(_ name: String, _ rows: Int?, _ columns: Int?) throws(Diagnostic) -> LinearWeight {
    try LinearWeight(stored(name, [rows, columns]))
  }

  /// A tensor that is added or multiplied element by element, in f32.
  func dense(_ name: String, _ shape: [Int?]) throws(Diagnostic) -> Tensor {
    let stored = try stored(name, shape)
    if case .dense(.f32) = stored.encoding { return try stored.tensor() }
    return Tensor(try stored.floats(), shape: stored.shape)
  }

  func vector(_ name: String, _ count: Int) throws(Diagnostic) -> Tensor { try dense(name, [count]) }

  func vectorIfPresent(_ name: String, _ count: Int) throws(Diagnostic) -> Tensor? {
    contains(name) ? try vector(name, count) : nil
  }

  func mistake(_ stored: StoredTensor, _ what: String) -> Diagnostic {
    Diagnostic(
      .format, "\(file.file.path): the tensor \(stored): \(what)",
      remedy: "check that tensors and settings belong to one model; fetch it again")
  }

  /// Refuses the tensors that nobody asked for, but for those that no result depends on.
  func refuseUnread(_ whose: String, except isUnneeded: (StoredTensor) throws(Diagnostic) -> Bool) throws(Diagnostic) {
    var ignored: [StoredTensor] = []
    for tensor in file.tensors where !read.contains(tensor.name) {
      if try !isUnneeded(tensor) { ignored.append(tensor) }
    }
    guard let first = ignored.first else { return }
    let more = ignored.dropFirst().prefix(3).map { Setting.quoted($0.name) }.joined(separator: ", ")
    throw Diagnostic(
      .format,
      "\(file.file.path): \(whose) does not use the tensor \(Setting.quoted(first.name)) \(first.shape)"
        + (more.isEmpty ? "" : ", nor \(ignored.count - 1) more: \(more)" + (ignored.count > 4 ? ", ..." : "")),
      remedy: "it would be ignored and the results be wrong: use a model of a supported architecture without it")
  }
}
