// What a product's operands are: read in place, whole register boxes, panels. Not the product's code.
// Surprise: memory of products is readable beyond its extents, so the last box computes more than is read.
import Scalars
import TensorTypes
import TileIR

extension PhaseFacts {
  /// Rows and vectors of columns of one box.
  package func registerBox(_ dtype: DType) -> (rows: Int, vectors: Int) {
    let box = target.registerBox
    let vectors = max(1, box.columns / lanes)
    return dtype.size <= 4 ? (box.rows, vectors) : (box.rows, max(1, vectors / 2))
  }

  package func isZero(_ value: TileValue) -> Bool {
    guard held(value) == nil, case .splat(let constant) = kernel[value].operation else { return false }
    return constant.bits == 0
  }

  /// Rows come in whole boxes, all of which may be read: a shorter range still ends inside the tile.
  package func isWholeBoxes(_ value: TileValue, _ dtype: DType) -> Bool {
    let row = kernel[value].shape.count - 2
    guard let rows = index.constant(kernel[value].shape[row]) else { return false }
    return rows % rowsPerBox(kernel[value].shape[row], dtype) == 0
  }

  /// Equal boxes: 16 rows are two boxes of 8, not 14 and 2.
  package func rowsPerBox(_ extent: Extent, _ dtype: DType) -> Int {
    let most = registerBox(dtype).rows
    guard let bound = index.upper(extent)?.knownValue else { return most }
    let boxes = max(1, (bound + most - 1) / most)
    return max(1, (bound + boxes - 1) / boxes)
  }

  /// Memory with whole register boxes behind its extents, or values that need no memory.
  package func isPadded(_ value: TileValue) -> Bool {
    if let home = held(value) {
      return home.inner.map { uses.isProductRelated(value) && $0 == kernel[value].shape.count - 1 } ?? true
    }
    return kernel[value].operation.kind == .source
  }

  /// Can be evaluated where the sums start, in whole boxes: row values of whole boxes and padded memory.
  package func isReadableBeyond(_ value: TileValue, _ dtype: DType) -> Bool {
    if isPadded(value) { return true }
    guard held(value) == nil else { return isWholeBoxes(value, dtype) && kernel.isRowValue(value) }
    switch kernel[value].operation {
    case .map(let instruction, let operands):
      return !instruction.isCostly && operands.allSatisfy { isReadableBeyond($0, dtype) }
    case .convert(let a), .broadcast(let a): return isReadableBeyond(a, dtype)
    default: return false
    }
  }

  package func isPanel(_ value: TileValue) -> Bool {
    guard case .load(let access, _) = kernel[value].operation, held(value) == nil,
      case .panels(let width, _) = kernel.buffers[access.buffer].layout, let last = access.axes.last,
      last.tileAxis == kernel[value].shape.count - 1, last.scale == 1, !access.axes.contains(where: \.guarded),
      access.axes.dropLast().allSatisfy({ $0.tileAxis == kernel[value].shape.count - 2 || $0.tileAxis == nil })
    else { return false }
    let columns = registerBox(kernel[value].dtype ?? .f32).vectors * lanes
    return width % columns == 0 && index.divisor(last.start) % columns == 0
  }

  /// Row starts a known number of bytes apart, or few rows: one pointer serves them all.
  package func isDirectLeft(_ value: TileValue, _ dtype: DType) -> Bool {
    guard held(value) == nil, kernel[value].dtype == dtype, let access = plainLoad(value) else { return false }
    let row = kernel[value].shape.count - 2
    if case .constant(let rows) = kernel[value].shape[row], rows <= 4 { return true }
    guard let axis = access.axes.firstIndex(where: { $0.tileAxis == row }) else { return true }
    switch kernel.buffers[access.buffer].layout {
    case .strided(let strides): return index.constant(strides[axis]) != nil
    case .rowMajor:
      return kernel.buffers[access.buffer].shape[axis...].dropFirst().allSatisfy { index.constant($0) != nil }
    case .panels(let width, _):
      // Inside one panel the rows are a constant distance apart.
      guard let last = access.axes.last, last.tileAxis == row + 1,
        let bound = index.upper(kernel[value].shape[row + 1])?.knownValue
      else { return false }
      return bound <= width && index.divisor(last.start) % width == 0
    }
  }

  /// Vectors along the columns. Every element is read once per block of rows: with one block, anything may be inline.
  package func isDirectRight(_ value: TileValue, _ dtype: DType, _ once: Bool) -> Bool {
    let column = kernel[value].shape.count - 1
    guard held(value) == nil, vectorAxis([value], kernel[value].shape) == column else { return false }
    if once { return true }
    guard kernel[value].dtype == dtype, let access = plainLoad(value), let last = access.axes.last else { return false }
    guard last.tileAxis == column, last.scale == 1 else { return false }
    return stride(access, access.axes.count - 1) == 1
  }

  private func plainLoad(_ value: TileValue) -> Access? {
    guard case .load(let access, _) = kernel[value].operation,
      access.axes.allSatisfy({ $0.indirect == nil && !$0.guarded })
    else { return nil }
    return access
  }
}
