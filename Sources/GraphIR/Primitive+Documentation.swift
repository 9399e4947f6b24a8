// The page `Documentation/Primitives.md`, made from the records; a test compares the two.
// Not DocC of the Swift API. Surprise: it says how a primitive looks in text, since that is what dumps show.
import Scalars
import TensorTypes

extension Primitive {
  /// The whole page.
  package static var documentation: String {
    var text = """
      # Primitives

      Made from the records in `Sources/GraphIR` (`Primitive+Definition*.swift`): edit those, then run
      `AZULEJO_WRITE_DOCUMENTATION=1 swift test --filter primitives_page_is_current`.

      The closed vocabulary of graphs, \(samples.count) primitives. Primitives never broadcast and never promote:
      operands of pointwise ones have one shape and one dtype. Half floats are computed in f32 and rounded once. A broken
      constraint is quoted by its number, with both values: `reshape (C2): [2, 3] has 6 elements, [7] has 7`.

      """
    for room in Room.allCases {
      text +=
        "\n## \(room.rawValue)\n\n| text form | lowering | elements | meaning and constraints |\n|---|---|---|---|\n"
      for sample in samples where sample.definition.lowering.room == room { text += sample.documentationRow }
    }
    return text
  }

  private var documentationRow: String {
    let definition = definition
    let attributes: String
    if case .graph = payload {
      attributes = " graph=..."
    } else {
      attributes = payload.text
    }
    let constraints = definition.constraints.enumerated().map { "C\($0 + 1): \($1)." }.joined(separator: " ")
    let cells = [
      "`\(definition.name)\(attributes)`", definition.lowering.description, definition.dtypes.description,
      definition.meaning + (constraints.isEmpty ? "" : "<br>\(constraints)"),
    ]
    return "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |\n"
  }
}

/// The chapters of the page, by what a lowering does.
private enum Room: String, CaseIterable {
  case leaves = "Leaves"
  case pointwise = "Pointwise"
  case reindexing = "Reindexing: the same elements elsewhere"
  case across = "Across elements"
  case doors = "Doors"
}

extension Lowering: CustomStringConvertible {
  /// One word, and the monoid where there is one.
  package var description: String {
    switch self {
    case .leaf: "leaf"
    case .pointwise: "pointwise"
    case .reindex: "reindex"
    case .reduction(let monoid): "reduction (\(monoid.rawValue))"
    case .argReduction(let monoid): "reduction (\(monoid.rawValue))"
    case .scan(let monoid): "scan (\(monoid.rawValue))"
    case .argScan(let monoid): "scan (\(monoid.rawValue))"
    case .sort: "sort"
    case .contraction: "contraction"
    case .gather: "gather"
    case .scatter(let monoid): "scatter (\(monoid?.rawValue ?? "replace"))"
    case .assign: "range write"
    case .call: "call"
    }
  }

  fileprivate var room: Room {
    switch kind {
    case .leaf: .leaves
    case .pointwise: .pointwise
    case .reindex: .reindexing
    case .rows, .contraction, .gather, .scatter, .assign: .across
    case .call: .doors
    }
  }
}
