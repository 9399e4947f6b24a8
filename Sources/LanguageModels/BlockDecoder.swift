// The graph that decodes packed blocks: bytes and half floats in, f32 elements out, run by run.
// Not a kernel: it is fused into whatever reads the elements. Surprise: half floats come as a second view of the same
// bytes, since every block's size is even.
import Basics
import Formats
import GraphIR
import Scalars
import TensorTypes

struct BlockDecoder {
  let format: QuantizedFormat
  let runs: BlockRuns

  init(_ format: QuantizedFormat) {
    self.format = format
    runs = BlockRuns(format)
  }

  /// One value f32[lead.., blocks, length] per run.
  /// - Parameters:
  ///   - bytes: u8[lead.., blocks, blockBytes].
  ///   - scale: f16[lead.., blocks]; `minimum` likewise, if the format has one.
  func decode(
    _ builder: inout GraphBuilder, bytes: Value, scale: Value, minimum: Value?
  ) throws(Diagnostic) -> [Value] {
    var shape = builder.shape(bytes)
    shape[shape.rank - 1] = Dim(runs.length)
    let d = try spread(&builder, scale, shape)
    var m: Value?
    if let minimum { m = try spread(&builder, minimum, shape) }
    var results: [Value] = []
    for run in runs.runs {
      var value = try integer(&builder, run.quant, bytes, shape)
      var factor = d
      if let group = run.scale {
        factor = try builder.append(.multiply, d, integer(&builder, group, bytes, shape))
      }
      value = try builder.append(.multiply, factor, value)
      if var offset = m {
        if let group = run.minimum {
          offset = try builder.append(.multiply, offset, integer(&builder, group, bytes, shape))
        }
        value = try builder.append(format.subtractsMinimum ? .subtract : .add, value, offset)
      }
      results.append(value)
    }
    return results
  }

  /// f16[.., blocks] as f32 repeated over a run.
  private func spread(_ builder: inout GraphBuilder, _ half: Value, _ shape: Shape) throws(Diagnostic) -> Value {
    let wide = try builder.convert(half, to: .f32)
    return try builder.restoring(wide, [shape.rank - 1], shape)
  }

  /// The integer's value in each element of a run, as f32.
  private func integer(
    _ builder: inout GraphBuilder, _ integer: BlockRuns.Integer, _ bytes: Value, _ shape: Shape
  ) throws(Diagnostic) -> Value {
    var joined: Value?
    for slice in integer.slices {
      let part = try bits(&builder, slice, bytes, shape)
      joined = try joined.map { before throws(Diagnostic) in try builder.append(.or, before, part) } ?? part
    }
    guard var whole = joined else { throw Diagnostic(.format, "\(format) has an integer without bits") }
    if integer.isSigned { whole = try builder.append(.bitcast(.i8), whole) }
    let number = try builder.convert(whole, to: .f32)
    if integer.bias == 0 { return number }
    let bias = try builder.filled(ScalarConstant(.f32, Double(integer.bias)), shape)
    return try builder.append(.subtract, number, bias)
  }

  /// `((byte >> shift) & mask) << position`, as u8.
  private func bits(
    _ builder: inout GraphBuilder, _ slice: BlockRuns.Slice, _ bytes: Value, _ shape: Shape
  ) throws(Diagnostic) -> Value {
    let last = shape.rank - 1
    var starts = [Dim](repeating: 0, count: shape.rank)
    var counts = shape.dims
    starts[last] = Dim(slice.byte.base)
    counts[last] = Dim(slice.byte.advances ? runs.length : 1)
    let steps = [Int](repeating: 1, count: shape.rank)
    let read = try builder.append(.slice(starts: starts, counts: counts, steps: steps), bytes)
    var value = try builder.broadcast(read, shape)
    if slice.shift.advances {
      let position = try builder.append(.iota(axis: last, shape))
      var amount = try builder.convert(position, to: .u8)
      if slice.shift.base != 0 {
        let base = try builder.filled(ScalarConstant(.u8, integer: Int64(slice.shift.base)), shape)
        amount = try builder.append(.add, amount, base)
      }
      value = try builder.append(.shiftRight, value, amount)
    } else if slice.shift.base != 0 {
      let amount = try builder.filled(ScalarConstant(.u8, integer: Int64(slice.shift.base)), shape)
      value = try builder.append(.shiftRight, value, amount)
    }
    // A mask that keeps all remaining bits is none.
    if slice.shift.advances || slice.bits + slice.shift.base < 8 {
      let mask = try builder.filled(ScalarConstant(.u8, integer: 1 << Int64(slice.bits) - 1), shape)
      value = try builder.append(.and, value, mask)
    }
    if slice.position != 0 {
      let amount = try builder.filled(ScalarConstant(.u8, integer: Int64(slice.position)), shape)
      value = try builder.append(.shiftLeft, value, amount)
    }
    return value
  }
}
