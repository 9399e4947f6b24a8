// Programs launched end to end: graph, fusion, tile IR, code, driver.
import Engine
import Execution
import Foundation
import GraphIR
import Scalars
import TensorTypes
import Tensors
import Testing

private let add = PointwiseOperation(.add, .promoted)
private let exp = PointwiseOperation(.exp, .floating)
private let total = RowOperation(.sum)

@Test(arguments: [0, 1, 7, 16, 33, 4097, 100_000])
func sums_of_vectors_are_exact(count: Int) throws {
  let a = Tensor((0..<count).map { Float($0) })
  let b = Tensor((0..<count).map { Float($0) * 2 })
  let result: [Float] = try add([.tensor(a), .tensor(b)]).array()
  #expect(result == (0..<count).map { Float($0) * 3 })
}

@Test func a_row_broadcasts_over_a_transposed_matrix() throws {
  let a = Tensor((0..<12).map { Float($0) }, shape: [3, 4]).transposed()
  let b = Tensor([100, 200, 300] as [Float])
  let result: [Float] = try add([.tensor(a), .tensor(b)]).array()
  #expect(result == [100, 204, 308, 101, 205, 309, 102, 206, 310, 103, 207, 311])
}

@Test func a_scalar_lifts_integers_to_floats() throws {
  let a = Tensor([1, 2, 3] as [Int32])
  let result = try add([.tensor(a), .scalar(.floating(0.5))])
  #expect(result.dtype == .f32)
  #expect(try result.array() as [Float] == [1.5, 2.5, 3.5])
}

@Test func exp_is_within_two_units_of_libm() throws {
  let values = (-100...100).map { Float($0) * 0.37 }
  let result: [Float] = try exp([.tensor(Tensor(values))]).array()
  for (x, y) in zip(values, result) {
    let exact = Foundation.exp(Double(x))
    #expect(abs(Double(y) - exact) <= 2.5e-7 * exact)
  }
}

@Test(arguments: [[0], [1], [0, 1]])
func sums_over_axes_equal_plain_loops(axes: [Int]) throws {
  for (rows, columns) in [(1, 1), (3, 5), (17, 40), (70, 300)] {
    let x = Tensor((0..<rows * columns).map { Float($0 % 13) }, shape: [rows, columns])
    let result: [Float] = try total([.tensor(x)], domain: [rows, columns], axes: axes, compute: nil, [.reduced(.f32)])[
      0
    ]
    .array()
    var expected = [Float](repeating: 0, count: axes == [0] ? columns : axes == [1] ? rows : 1)
    for r in 0..<rows {
      for c in 0..<columns { expected[axes == [0] ? c : axes == [1] ? r : 0] += Float((r * columns + c) % 13) }
    }
    #expect(result == expected, "\(rows)x\(columns) over \(axes)")
  }
}
