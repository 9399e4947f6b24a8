// What a back end asks about a phase before and while it makes code: users, demands, residences, index values; and, in the
// files beside this one, how tiles may be walked. Not code, and of no back end.
// Surprise: some answers depend on how far the code is: a value that is held somewhere is no longer computed where it is
// needed. The back end says what it holds.
import Targets
import TensorTypes
import TileIR

/// A value that is kept somewhere at the place that the code has reached.
package struct Held {
  /// In memory: the axis along which neighbours are neighbours.
  package var inner: Int?
  /// It has a place, to which the first walk that needs it still writes it.
  package var isPending: Bool

  package init(inner: Int?, isPending: Bool) {
    self.inner = inner
    self.isPending = isPending
  }
}

package struct PhaseFacts {
  package let kernel: Kernel
  package let body: Region
  package let index: IndexFacts
  package let uses: Uses
  package let residences: Residences
  package let demands: Demands
  package let target: TargetDescription
  /// Of the values that are kept somewhere, how.
  package var held: (TileValue) -> Held? = { _ in nil }

  package init(_ kernel: Kernel, phase: Int, target: TargetDescription) {
    self.kernel = kernel
    self.target = target
    body = kernel.phases[phase].body
    index = IndexFacts(kernel, grid: kernel.phases[phase].grid)
    uses = Uses(kernel, body)
    residences = Residences(kernel, body, uses)
    demands = Demands(kernel, body, index)
  }

  /// Elements per vector.
  package var lanes: Int { target.lanes }
  /// Tails are masked where masking exists at all; dtypes that it lacks are read lane by lane in that one vector.
  package var canMask: Bool { !target.maskedElementSizes.isEmpty }

  /// Read from where it is, not computed.
  package func isHeld(_ value: TileValue) -> Bool { held(value).map { !$0.isPending } ?? false }
}

extension PhaseFacts: CustomStringConvertible {
  /// One line for each tile: where it is kept, how often it is used, and what is wanted of it.
  package var description: String {
    lines(body, indent: "").joined(separator: "\n")
  }

  private func lines(_ region: Region, indent: String) -> [String] {
    var found: [String] = []
    for value in region.operations {
      if kernel[value].dtype != nil {
        let wanted = demands[value].map { $0 == 0 ? "all" : "guard \($0)" }.joined(separator: ", ")
        let users = uses.users[value]?.count ?? 0
        found.append("\(indent)%\(value.id) \(residences[value].rawValue), \(users) users, wanted [\(wanted)]")
      }
      if case .loop(_, _, let body) = kernel[value].operation { found += lines(body, indent: indent + "  ") }
    }
    return found
  }
}
