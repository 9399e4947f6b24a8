// A weight matrix that stays packed in the model's file: its products decode it inside the product's kernel.
// Not a dtype: it is bytes plus the graph that decodes them. Only for linear formats: those that look their elements up
// are decoded when a model is loaded. Surprise: the memory is the mapped file itself.
import Basics
import Engine
import Formats
import GraphIR
import Execution
import Tensors
import TensorTypes

/// A packed matrix [rows, columns], rows contiguous.
struct QuantizedWeight: Sendable {
  let format: QuantizedFormat
  let rows: Int
  let columns: Int
  private let linear: QuantizedFormat.Linear
  private let storage: Storage
  private let programs: Programs

  init(_ stored: StoredTensor, _ format: QuantizedFormat, _ linear: QuantizedFormat.Linear) throws(Diagnostic) {
    guard stored.shape.count == 2, stored.shape[1] % format.blockElements == 0 else {
      throw Diagnostic(
        .format,
        "\(stored.name): \(format) packs rows of whole blocks of \(format.blockElements), shape is \(stored.shape)")
    }
    self.format = format
    self.linear = linear
    rows = stored.shape[0]
    columns = stored.shape[1]
    storage = try stored.borrowed()
    programs = Programs.of(format, linear)
  }

  var byteCount: Int { rows * blocks * format.blockBytes }

  private var blocks: Int { columns / format.blockElements }

  private var bytes: TensorView {
    TensorView(storage, .u8, extents: [rows, blocks, format.blockBytes])
  }

  /// The half floats at byte `offset` of each block.
  private func halves(_ offset: Int) -> TensorView {
    let step = format.blockBytes / 2
    return TensorView(storage, offset: offset, .f16, extents: [rows, blocks], strides: [blocks * step, step])
  }

  private var factors: [Operand] {
    [.tensor(halves(linear.scale.offset))] + (linear.minimum.map { [.tensor(halves($0.offset))] } ?? [])
  }

  /// x [tokens, columns] times the transposed weight: [tokens, rows].
  func applied(to x: Tensor) throws(Diagnostic) -> Tensor {
    let view = try x.contiguous().view
    guard view.rank == 2, view.dim(1) == columns, view.dtype == .f32 else {
      throw Diagnostic(
        .shape, "linear: \(view.dtype)\(view.hints) does not meet a weight [\(rows), \(columns)] in f32")
    }
    let engine = try Engine.current
    let tokens = view.dim(0)
    let runs = try x.reshaped(dims: [tokens, Dim(blocks), Dim(programs.count), Dim(programs.length)]).view
    if tokens.isKnown(1) {
      let operands = [.tensor(bytes)] + factors + [.tensor(runs.removing(0))]
      let row = try engine.run(programs.vector, operands, [.fresh(.f32, [rows])])
      return try Tensor(row[0]).reshaped(to: [1, rows])
    }
    // The weight is the left operand, so that it is decoded along its own rows; the result is written transposed.
    let result = try engine.allocate(.f32, [view.hints[0], rows])
    let transposed = result.permuted([1, 0])
    _ = try engine.run(programs.matrix, [.tensor(bytes)] + factors + [.tensor(runs)], [.existing(transposed)])
    return Tensor(result)
  }

  /// Rows `indices` (i64 [n]) decoded: [n, columns].
  func decodedRows(_ indices: Tensor) throws(Diagnostic) -> Tensor {
    let view = try indices.view
    let count = Shape(view.dims).elementCount
    let extents = [view.hints.reduce(1, *), blocks, programs.count, programs.length]
    let result = try Engine.current.allocate(.f32, extents, dims: [count] + extents.dropFirst().map { Dim($0) })
    for (number, program) in programs.gathers.enumerated() {
      let first = number * Programs.gatheredRuns
      let runs = (first..<min(first + Programs.gatheredRuns, programs.count)).map { run in
        Destination.existing(result.sliced(2, start: run, count: 1).removing(2))
      }
      _ = try Engine.current.run(program, [.tensor(bytes)] + factors + [.tensor(view)], runs)
    }
    return try Tensor(result).reshaped(dims: [count, Dim(columns)])
  }

  /// The programs of a format, made once.
  private struct Programs: Sendable {
    let count: Int
    let length: Int
    let vector: Program
    let matrix: Program
    /// Each writes `gatheredRuns` runs: a launch has room for so many destinations.
    let gathers: [Program]
    static let gatheredRuns = 4

    private static let all = Dictionary(
      uniqueKeysWithValues: QuantizedFormat.all.compactMap { format in
        format.linear.map { (format.name, Programs(format, $0)) }
      })
    static func of(_ format: QuantizedFormat, _ linear: QuantizedFormat.Linear) -> Programs {
      all[format.name] ?? Programs(format, linear)
    }

    // Labels: 0 rows, 1 blocks, 2 bytes of a block, 3 runs, 4 elements of a run, 5 tokens.
    init(_ format: QuantizedFormat, _ linear: QuantizedFormat.Linear) {
      let decoder = BlockDecoder(linear, elements: format.blockElements)
      let (count, length) = (decoder.runs.runs.count, decoder.runs.length)
      self.count = count
      self.length = length
      let weight: [[Int]] = [[0, 1, 2], [0, 1]] + (linear.minimum == nil ? [] : [[0, 1]])
      let fixed: Set<Int> = [2, 3, 4]
      @Sendable func parts(_ builder: inout GraphBuilder, _ values: [Value]) throws(Diagnostic) -> [Value] {
        try decoder.decode(
          &builder, bytes: values[0], scale: values[1], minimum: linear.minimum == nil ? nil : values[2])
      }

      vector = Program("\(format) vector product", axes: weight + [[1, 3, 4]], fixedLabels: fixed) {
        builder, values throws(Diagnostic) in
        let (bytes, x) = (builder.shape(values[0]), values[values.count - 1])
        let shape = Shape([bytes[0], bytes[1], Dim(length)])
        var pieces: [Value] = []
        for run in 0..<count {
          let piece = try builder.append(
            .slice(starts: [0, Dim(run), 0], counts: [shape[1], 1, Dim(length)], steps: [1, 1, 1]), x)
          let flat = try builder.append(.reshape([shape[1], Dim(length)]), piece)
          pieces.append(try builder.broadcast(flat, shape))
        }
        let products = try decoder.productsWithBlock(
          &builder, bytes: values[0], scale: values[1], minimum: linear.minimum == nil ? nil : values[2], pieces)
        return [try builder.append(.reduce(.sum, axes: [1, 2]), products)]
      }

      matrix = Program("\(format) matrix product", axes: weight + [[5, 1, 3, 4]], fixedLabels: fixed) {
        builder, values throws(Diagnostic) in
        let x = values[values.count - 1]
        var pieces: [Value] = []
        for part in try parts(&builder, values) {
          let shape = builder.shape(part)
          pieces.append(try builder.append(.reshape([shape[0], shape[1], 1, Dim(length)]), part))
        }
        let joined = try builder.append(.concatenate(axis: 2), pieces)
        let axes = ContractionAxes(contracted: [.init(1, 1), .init(2, 2), .init(3, 3)])
        return [try builder.append(.contraction(axes), joined, x)]
      }

      gathers = stride(from: 0, to: count, by: Self.gatheredRuns).map { first in
        Program("\(format) rows \(first)", axes: weight + [[5]], fixedLabels: fixed) {
          builder, values throws(Diagnostic) in
          let indices = values[values.count - 1]
          var gathered: [Value] = []
          for source in values.dropLast() { gathered.append(try builder.slices(of: source, at: indices, axis: 0)) }
          return Array(try parts(&builder, gathered)[first..<min(first + Self.gatheredRuns, count)])
        }
      }
    }
  }
}
