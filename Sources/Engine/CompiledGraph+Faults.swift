// A fault of a kernel in the user's words: the index as it was given, the extent that it exceeds, the line that asked.
// Not how kernels report faults (`Fault`). Surprise: nothing is kept for it; the schedule is looked at, or made again if
// the plan came from the disk, when a fault has happened.
import Basics
import Execution
import Fusion
import GraphIR
import TensorTypes

extension CompiledGraph {
  /// What the fault of step `number` means at these arguments.
  func explained(_ fault: Fault, step number: Int, _ arguments: [Int64]) -> Diagnostic {
    var diagnostic = fault.diagnostic(kernel: name)
    guard let account = try? accounted() else { return diagnostic }
    let graph = account.graph
    let values = account.schedule.steps[number].nests.flatMap { nest in
      nest.body(graph).filter { nest.inputs[$0] == nil }
    }
    let numbers = arguments.map { Int($0) }
    let suspects = values.filter { graph.canFault($0, fault, numbers) }
    switch fault.kind {
    case .index: diagnostic = wrongIndex(fault, suspects.contains { graph.countsFromEnd($0) })
    case .divisionByZero:
      diagnostic = Diagnostic(.numerics, "an integer is divided by zero", remedy: diagnostic.remedy)
    }
    let origins = suspects.compactMap { value in
      let origin = Int(graph[value].origin)
      return self.origins.indices.contains(origin) ? self.origins[origin] : nil
    }
    diagnostic.origin = origins.first
    let places = Diagnostic.Origin.differentPlaces(of: origins)
    if places.count > 1 {
      diagnostic.message += " (in one of \(places.map { "\($0)" }.joined(separator: ", ")))"
    }
    return diagnostic
  }

  private func wrongIndex(_ fault: Fault, _ countsFromEnd: Bool) -> Diagnostic {
    var (index, extent, lowest) = (fault.index, fault.extent, 0)
    // Whoever counts from the end has added the extent to a negative index.
    // It may be any Int: then nothing was added to it.
    let (given, isLowest) = index.subtractingReportingOverflow(index < 0 ? extent : 0)
    if !isLowest, let wrong = OutsideIndex(given) {
      (index, extent, lowest) = (wrong.index, wrong.extent, -wrong.extent)
    } else if countsFromEnd {
      if !isLowest { index = given }
      lowest = -extent
    }
    return Diagnostic(
      .index, "index \(index) is outside \(lowest)..<\(extent), the extent being \(extent)",
      remedy: lowest < 0
        ? "check the index tensor; negative indices count from the end" : "check the index tensor")
  }
}

extension Graph {
  /// Whether `value` may have found such a fault.
  fileprivate func canFault(_ value: Value, _ fault: Fault, _ arguments: [Int]) -> Bool {
    let node = self[value]
    switch fault.kind {
    case .divisionByZero: return mayFault(value)
    case .index:
      guard let axis = node.primitive.indexedAxis else { return false }
      return type(node.operands[0]).shape[axis].evaluated(arguments) == fault.extent
    }
  }

  /// The indices that are its second operand are `i < 0 ? i + extent : i`.
  fileprivate func countsFromEnd(_ value: Value) -> Bool {
    func below(_ value: Value) -> Value {
      var value = value
      while case .reindex = self[value].primitive.definition.lowering, self[value].operands.count == 1 {
        value = self[value].operands[0]
      }
      return value
    }
    let node = self[below(self[value].operands[1])]
    guard node.primitive == .select, self[below(node.operands[0])].primitive == .less else { return false }
    return self[below(node.operands[1])].primitive == .add
  }
}

/// An index outside its axis, as a position on several axes at once: far below any position, whatever is added to it.
///
/// An index on one of several axes that are looked up together cannot stay what it is: the sum of all would look right.
package struct OutsideIndex {
  package let index: Int
  package let extent: Int

  /// Indices and extents beyond these are shown as these.
  package static let most = 0x1p30
  package static let radix = 0x1p31
  package static let base = -0x1p62

  /// nil: the position is no such mark.
  init?(_ position: Int) {
    let (base, radix) = (Int(Self.base), Int(Self.radix))
    guard position < base / 2 else { return nil }
    let code = position - base
    extent = ((code % radix) + radix) % radix
    index = (code - extent) / radix
  }
}
