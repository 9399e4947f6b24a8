// Rotary positions: pairs of elements turned by angles, all pairs in one launch.
// Not the angles: whoever calls chooses how fast each pair turns. Surprise: which elements are a pair differs between
// families of models, and a file does not say it.
import Basics
import Engine
import GraphIR
import TensorTypes

/// Which elements of a head turn together.
public enum RotaryLayout: Sendable, Hashable {
  /// Neighbours (2i, 2i + 1), as Llama files in GGUF are stored.
  case interleaved
  /// i and i + half of the turned width, as GPT-NeoX and Hugging Face store them.
  case halves
}

private enum Rotary {
  private static let programs = ProgramTable()

  /// Operands: the first and the second of each pair, cosines, sines.
  static func turned(_ compute: DType) -> Program {
    let name = "rotary \(compute)"
    return programs.program(name) {
      Program(name, operation: "rotary") { builder, operands throws(Diagnostic) in
        try Sheet.write(&builder, domain: builder.shape(operands[0])) { sheet throws(Diagnostic) in
          let x = operands.map { Term(sheet, $0).converted(to: compute) }
          return [x[0] * x[2] - x[1] * x[3], x[0] * x[3] + x[1] * x[2]].map(\.value)
        }
      }
    }
  }
}

extension Tensor {
  /// Pairs of the last axis turned by angles: rotary positions (Su 2021). PyTorch: none of its own.
  ///
  ///     // Queries [tokens, heads, width]; a row of the tables for each position.
  ///     let turned = queries.rotated(cosines: cosines.unsqueezed(1), sines: sines.unsqueezed(1), layout: .halves)
  ///
  /// A pair (a, b) becomes (a · cos - b · sin, a · sin + b · cos). The last axes of `cosines` and `sines` have one angle
  /// for each pair, their other axes repeat to this tensor's; elements after the pairs stay as they are.
  public func rotated(
    cosines: Tensor, sines: Tensor, layout: RotaryLayout, file: StaticString = #fileID, line: UInt = #line
  ) -> Tensor {
    Self.attempt(file, line, of: [self, cosines, sines]) { () throws(Diagnostic) in
      let (x, tables) = (try view, [try cosines.view, try sines.view])
      let axis = x.rank - 1
      let whole = x.dims
      func mistake(_ remedy: String) -> Diagnostic {
        Diagnostic(
          .shape, "rotated: cosines \(tables[0].hints) and sines \(tables[1].hints) do not fit \(x.hints)",
          remedy: remedy)
      }
      guard axis >= 0, tables.allSatisfy({ $0.rank > 0 && $0.rank <= x.rank }) else {
        throw mistake("the last axis has the pairs' elements, and that of the tables an angle for each pair")
      }
      let tableDims = tables.map(\.dims)
      let (pairs, half) = (tableDims[0][tables[0].rank - 1], tables[0].hints[tables[0].rank - 1])
      guard tableDims[1][tables[1].rank - 1] == pairs, pairs * 2 <= whole[axis] else {
        throw mistake("there are at most half as many angles as elements, and as many sines as cosines")
      }
      let (extents, dims) = (Array(x.hints.dropLast()) + [half], Array(whole.dropLast()) + [pairs])
      for table in tableDims {
        try broadcastInto(dims, table) { mistake("axes before the last must be equal or 1, aligned at the last") }
      }
      let dtype = try x.dtype.promoted(with: tables[0].dtype).promoted(with: tables[1].dtype).floatingResult
      try dtype.requireArithmetic("rotated")

      func pair(_ view: TensorView, _ which: Int) -> TensorView {
        switch layout {
        case .interleaved: view.sliced(axis, start: which, count: half, step: 2, dims: (Dim(which), pairs))
        case .halves: view.sliced(axis, start: which * half, count: half, dims: (pairs * Dim(which), pairs))
        }
      }
      func rest(_ view: TensorView) -> TensorView {
        let turned = pairs * 2
        return view.sliced(
          axis, start: 2 * half, count: x.hints[axis] - 2 * half, dims: (turned, whole[axis] - turned))
      }
      var operands = [Operand.tensor(pair(x, 0)), .tensor(pair(x, 1))]
      for table in tables { operands.append(.tensor(try table.expanded(to: extents))) }
      let hasRest = pairs * 2 < whole[axis]
      let program = Rotary.turned(dtype.computeDType)
      guard Trace.current == nil else {
        // Joined as values: whoever reads them may turn on the fly.
        let made = try Engine.current.runPointwise(program, operands, [.fresh(dtype, extents), .fresh(dtype, extents)])
        var parts = made.map { Tensor($0) }
        if layout == .interleaved {
          let both = Tensor.concatenated(made.map { Tensor($0.inserting(axis + 1)) }, axis: axis + 1)
          parts = [try both.reshaped(dims: whole.dropLast() + [pairs * 2])]
        }
        if hasRest { parts.append(Tensor(rest(x)).converted(to: dtype)) }
        return parts.count == 1 ? parts[0] : Tensor.concatenated(parts, axis: axis)
      }
      let result = try Engine.current.allocate(dtype, x.hints)
      _ = try Engine.current.runPointwise(program, operands, [.existing(pair(result, 0)), .existing(pair(result, 1))])
      if hasRest { try Tensor.copy(rest(x), into: rest(result)) }
      return Tensor(result)
    }
  }
}
