import Scalars
import TensorTypes
import TileIR
extension Plan {
  func isProductRelated(_ value: TileValue) -> Bool { false }
}
extension Lowering {
  func registerBox(_ dtype: DType) -> (rows: Int, vectors: Int) { (1, 1) }
  func reduce(_ value: TileValue, _ monoid: Monoid, _ axes: [Int], _ operand: TileValue) { fail("reduce") }
  func argReduce(_ value: TileValue, _ monoid: ArgMonoid, _ axis: Int, _ operand: TileValue) { fail("argReduce") }
  func scan(_ value: TileValue, _ monoid: Monoid, _ axis: Int, _ operand: TileValue) { fail("scan") }
  func argScan(_ value: TileValue, _ monoid: ArgMonoid, _ axis: Int, _ operand: TileValue) { fail("scan") }
  func sortOrder(_ value: TileValue, _ axis: Int, _ descending: Bool, _ operand: TileValue) { fail("scan") }
  func placeDot(_ value: TileValue) { fail("dot") }
  func loop(_ value: TileValue, _ count: TileValue, _ initial: [TileValue], _ body: Region) { fail("loop") }
}
