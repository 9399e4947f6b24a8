// What a weight file holds: tensors by name, and the free text beside them.
// Not a file. Surprise: it behaves as the dictionary of its tensors; the metadata comes along when it is saved again.
import Tensors

/// Tensors by name with a file's metadata.
///
///     var weights = try Tensor.load("model.safetensors")
///     weights["bias"] = Tensor.zeros(64)
///     try Tensor.save(weights, to: "model.safetensors")   // keeps the metadata
@dynamicMemberLookup
public struct NamedTensors: Sendable {
  /// The tensors.
  public var tensors: [String: Tensor]
  /// Free text by key: the `__metadata__` of a safetensors file, empty for others.
  public var metadata: [String: String]

  /// No tensors.
  public init() { self.init([:]) }

  /// Tensors and the text beside them.
  public init(_ tensors: [String: Tensor], metadata: [String: String] = [:]) {
    self.tensors = tensors
    self.metadata = metadata
  }

  /// The tensor called `name`; nil if there is none.
  public subscript(name: String) -> Tensor? {
    get { tensors[name] }
    set { tensors[name] = newValue }
  }

  /// What the dictionary of the tensors says: `keys`, `values`, `count`, `isEmpty`...
  public subscript<Member>(dynamicMember member: KeyPath<[String: Tensor], Member>) -> Member {
    tensors[keyPath: member]
  }
}

extension NamedTensors: Sequence {
  /// The names and tensors, in no order.
  public func makeIterator() -> Dictionary<String, Tensor>.Iterator { tensors.makeIterator() }
}

extension NamedTensors: ExpressibleByDictionaryLiteral {
  /// Tensors without metadata.
  public init(dictionaryLiteral elements: (String, Tensor)...) {
    self.init(Dictionary(elements) { $1 })
  }
}
