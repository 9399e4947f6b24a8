// What a back end asks about a phase before and while it makes code: users, demands, residences, index values; and, in the
// files beside this one, what is done in which order and how tiles may be walked. Not code, and of no back end.
// Surprise: some answers depend on how far the work is (`reached`): a value that is held somewhere is no longer computed
// where it is needed.
import Targets
import TensorTypes
import TileIR

package struct PhaseFacts {
  package let kernel: Kernel
  package let body: Region
  package let index: IndexFacts
  package let uses: Uses
  package let residences: Residences
  package let demands: Demands
  package let target: TargetDescription
  package private(set) var agenda: [AgendaItem] = []
  /// Of the values that are kept somewhere, from when on.
  var holdings: [TileValue: Holding] = [:]
  /// What is asked about: the item that code is made for.
  package var reached = Moment.item(0)

  package init(_ kernel: Kernel, phase: Int, target: TargetDescription) {
    self.kernel = kernel
    self.target = target
    body = kernel.phases[phase].body
    index = IndexFacts(kernel, grid: kernel.phases[phase].grid)
    uses = Uses(kernel, body)
    residences = Residences(kernel, body, uses)
    demands = Demands(kernel, body, index)
    agenda = items(body)
    reached = .item(0)
  }

  /// Elements per vector.
  package var lanes: Int { target.lanes }
  /// Tails are masked where masking exists at all; dtypes that it lacks are read lane by lane in that one vector.
  package var canMask: Bool { !target.maskedElementSizes.isEmpty }
}

extension PhaseFacts: CustomStringConvertible {
  /// One line for each tile: where it is kept, how often it is used, and what is wanted of it; then one for each item.
  package var description: String {
    (lines(body, indent: "") + agenda.map(\.description)).joined(separator: "\n")
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
