// The page `Documentation/Primitives.md`, made from the records; a test compares the two.
// Not DocC of the Swift API. Surprise: it says how a primitive looks in text, since that is what dumps show.
import Scalars
import TensorTypes

extension Primitive {
  /// The whole page.
  package static var documentation: String {
    var text = """
      # Primitives

      Made from the records in `Sources/GraphIR` (`Primitive+*.swift`, `Pointwise+*.swift`): edit those, then run
      `AZULEJO_WRITE_DOCUMENTATION=1 swift test --filter primitives_page_is_current`.

      The closed vocabulary of graphs, \(samples.count) primitives. Primitives never broadcast and never promote:
      operands of pointwise ones have one shape and one dtype. Half floats are computed in f32 and rounded once. A broken
      constraint is quoted by its number, with both values: `reshape (C2): [2, 3] has 6 elements, [7] has 7`.

      """
    for family in Lowering.Family.allCases {
      text +=
        "\n## \(family.rawValue)\n\n| text form | lowering | elements | meaning and constraints |\n|---|---|---|---|\n"
      for sample in samples where sample.definition.lowering.family == family { text += sample.documentationRow }
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
