// What a fuzzed case came to. Not an error: a finding is the fuzzer's result.

/// The ways in which a case is run, beside the reference.
package enum Way: String, CaseIterable, Sendable {
  /// The whole graph fused, planned and replayed.
  case compiled
  /// The same driver, a kernel for each operation.
  case separate
  /// On tensors, as a user calls operations.
  case eager
  /// The same function given to `compile`; a program's calls one after the other.
  case captured
  /// A program with every extent as a symbol, its calls in reverse.
  case symbolic
  /// What each pass makes of the graph, run by the reference.
  case passes
  /// The reference itself, against its own error model.
  case reference
}

package struct Finding: Sendable, Hashable, CustomStringConvertible {
  package enum Kind: String, Sendable {
    /// An element that no correct machine gives.
    case differs
    /// A write outside a buffer, or into memory that is only read.
    case overrun
    /// An error where the reference has none.
    case throwing
    /// The process died.
    case crash
    /// The process did not answer in time.
    case hang
  }
  package var kind: Kind
  package var way: Way?
  /// With positions and both values.
  package var text: String

  package init(_ kind: Kind, _ way: Way?, _ text: String) {
    self.kind = kind
    self.way = way
    self.text = text
  }

  package var description: String { "\(way.map { "\($0.rawValue) " } ?? "")\(kind.rawValue): \(text)" }

  /// Whether `other` may be the same mistake on another graph.
  func isAlike(_ other: Finding) -> Bool { kind == other.kind && way == other.way }
}

package enum Outcome: Sendable, Hashable {
  case agrees
  /// The reference refuses every call: an empty axis, sizes that do not fit.
  case skipped(String)
  case finding(Finding)

  package var finding: Finding? { if case .finding(let finding) = self { finding } else { nil } }
}
