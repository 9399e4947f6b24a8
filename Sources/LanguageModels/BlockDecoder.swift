// The graph that decodes packed blocks: bytes and half floats in, f32 elements out, run by run.
// Not a kernel: it is fused into whatever reads the elements. Surprise: half floats come as a second view of the same
// bytes, since every block's size is even.
import Basics
import Formats
import GraphIR
import Scalars
import TensorTypes

struct BlockDecoder {
  let format: QuantizedFormat.Linear
  let runs: BlockRuns

  init(_ format: QuantizedFormat.Linear, elements: Int) {
    self.format = format
    runs = BlockRuns(format, elements: elements)
  }

  /// One value f32[lead.., blocks, length] per run.
  /// - Parameters:
  ///   - bytes: u8[lead.., blocks, blockBytes].
  ///   - scale: f16[lead.., blocks]; `minimum` likewise, if the format has one.
  func decode(
    _ builder: inout GraphBuilder, bytes: Value, scale: Value, minimum: Value?
  ) throws(Diagnostic) -> [Value] {
    let shape = runShape(builder, bytes)
    let d = try spread(&builder, scale, shape)
    let m = try minimum.map { value throws(Diagnostic) in try spread(&builder, value, shape) }
    var results: [Value] = []
    for run in runs.runs {
      let value = try integer(&builder, run.quant, bytes, shape)
      var factor = d
      if let group = run.scale {
        factor = try builder.append(.multiply, d, integer(&builder, group, bytes, shape))
      }
      guard var offset = m else {
        results.append(try builder.append(.multiply, factor, value))
        continue
      }
      if let group = run.minimum {
        offset = try builder.append(.multiply, offset, integer(&builder, group, bytes, shape))
      }
      if format.subtractsMinimum { offset = try builder.append(.negate, offset) }
      results.append(try builder.append(.multiplyAdd, factor, value, offset))
    }
    return results
  }

  /// The products of a block's elements with `x` (one value per run), summed over the runs: f32[lead.., blocks, length].
  /// A scale that all runs share is multiplied once, after the sum.
  func productsWithBlock(
    _ builder: inout GraphBuilder, bytes: Value, scale: Value, minimum: Value?, _ x: [Value]
  ) throws(Diagnostic) -> Value {
    let isShared = runs.runs.allSatisfy { $0.scale == nil && $0.minimum == nil }
    let shape = runShape(builder, bytes)
    let factors =
      isShared
      ? try runs.runs.map { run throws(Diagnostic) in try integer(&builder, run.quant, bytes, shape) }
      : try decode(&builder, bytes: bytes, scale: scale, minimum: minimum)
    var sum: Value?
    var plain: Value?
    for (factor, x) in zip(factors, x) {
      sum =
        if let before = sum { try builder.append(.multiplyAdd, factor, x, before) } else {
          try builder.append(.multiply, factor, x)
        }
      plain = try plain.map { before throws(Diagnostic) in try builder.append(.add, before, x) } ?? x
    }
    guard var sum, let plain else { throw Diagnostic(.format, "a block format has no elements") }
    if isShared {
      sum = try builder.append(.multiply, spread(&builder, scale, shape), sum)
      if let minimum {
        var offset = try spread(&builder, minimum, shape)
        if format.subtractsMinimum { offset = try builder.append(.negate, offset) }
        sum = try builder.append(.multiplyAdd, offset, plain, sum)
      }
    }
    return sum
  }

  private func runShape(_ builder: GraphBuilder, _ bytes: Value) -> Shape {
    var shape = builder.shape(bytes)
    shape[shape.rank - 1] = Dim(runs.length)
    return shape
  }

  /// f16[.., blocks] as f32 repeated over a run. Repeated first: vectors of half floats convert in one instruction.
  private func spread(_ builder: inout GraphBuilder, _ half: Value, _ shape: Shape) throws(Diagnostic) -> Value {
    let repeated = try builder.restoring(half, [shape.rank - 1], shape)
    return try builder.convert(repeated, to: .f32)
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
    guard var whole = joined else { throw Diagnostic(.format, "a block format has an integer without bits") }
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
