import Basics
import Tensors
import TensorTypes
import Testing

/// Small whole numbers, so that sums of products are exact in f32.
func pattern(_ shape: [Int], seed: Int = 1) -> Tensor {
  let count = shape.reduce(1, *)
  let elements = (0..<count).map { Float(($0 * 7 + seed * 13) % 11) - 5 }
  return Tensor(elements).reshaped(shape.map { Dim($0) })
}

/// [m, k] x [k, n] by loops.
func naiveProduct(_ a: [Float], _ b: [Float], _ m: Int, _ k: Int, _ n: Int) -> [Float] {
  var result = [Float](repeating: 0, count: m * n)
  for i in 0..<m {
    for j in 0..<n { result[i * n + j] = (0..<k).reduce(0) { $0 + a[i * k + $1] * b[$1 * n + j] } }
  }
  return result
}

@Suite struct ProductTests {
  @Test(arguments: [[1, 1, 1], [3, 5, 2], [1, 70, 65], [70, 65, 1], [33, 129, 67], [5, 1, 9]])
  func product_of_matrices_equals_loops(_ sizes: [Int]) throws {
    let (m, k, n) = (sizes[0], sizes[1], sizes[2])
    let (a, b) = (pattern([m, k]), pattern([k, n], seed: 2))
    let expected = naiveProduct(try a.array(), try b.array(), m, k, n)
    #expect(try a.matmul(b).array(as: Float.self) == expected)
    // The same elements through transposed views.
    let (at, bt) = (a.transposed().contiguous().transposed(), b.transposed().contiguous().transposed())
    #expect(try at.matmul(bt).array(as: Float.self) == expected)
    #expect(try a.linear(weight: b.transposed()).array(as: Float.self) == expected)
  }

  @Test func integers_multiply_exactly() throws {
    let a = pattern([4, 6]).converted(to: .i32)
    let b = pattern([6, 3], seed: 3).converted(to: .i32)
    let product = a.matmul(b)
    #expect(product.dtype == .i32)
    let expected = naiveProduct(try a.array(), try b.array(), 4, 6, 3)
    #expect(try product.array(as: Float.self) == expected)
  }

  @Test func stacks_broadcast_against_one_matrix_and_against_each_other() throws {
    let a = pattern([2, 3, 4, 5])
    let one = pattern([5, 6], seed: 2)
    let stack = pattern([3, 5, 6], seed: 3)
    let (byOne, byStack) = (a.matmul(one), a.matmul(stack))
    #expect(byOne.shape == pattern([2, 3, 4, 6]).shape)
    let whole = try a.array(as: Float.self)
    let stacked = try stack.array(as: Float.self)
    var (first, second): ([Float], [Float]) = ([], [])
    for i in 0..<6 {
      let matrix = Array(whole[(i * 20)..<(i * 20 + 20)])
      first += naiveProduct(matrix, try one.array(), 4, 5, 6)
      second += naiveProduct(matrix, Array(stacked[((i % 3) * 30)..<((i % 3) * 30 + 30)]), 4, 5, 6)
    }
    #expect(try byOne.array(as: Float.self) == first)
    #expect(try byStack.array(as: Float.self) == second)
  }

  @Test func no_inner_elements_give_zeros() throws {
    #expect(try pattern([2, 0]).matmul(pattern([0, 3])).array(as: Float.self) == [0, 0, 0, 0, 0, 0])
  }

  @Test func half_floats_are_rounded_once() throws {
    // 2048 + 1 has no f16, so sums rounded on the way would stay at 2048.
    let ones = Tensor.ones([1, 4096], dtype: .f16)
    #expect(try ones.matmul(Tensor.ones([4096, 2], dtype: .f16)).array(as: Float.self) == [4096, 4096])
  }

  @Test func einsum_names_diagonals_ellipses_and_three_operands() throws {
    let a = pattern([3, 3])
    let elements = try a.array(as: Float.self)
    #expect(try Tensor.einsum("ii->i", a).array() == [elements[0], elements[4], elements[8]])
    let (x, y, z) = (pattern([2, 3]), pattern([3, 4], seed: 2), pattern([4, 2], seed: 3))
    let chain = x.matmul(y).matmul(z)
    #expect(try Tensor.einsum("ab,bc,cd->ad", x, y, z).array(as: Float.self) == chain.array(as: Float.self))
    #expect(try Tensor.einsum("ij,jk", x, y).array(as: Float.self) == x.matmul(y).array(as: Float.self))
    let stack = pattern([5, 2, 3])
    #expect(
      try Tensor.einsum("...ij,jk->...ik", stack, y).array(as: Float.self) == stack.matmul(y).array(as: Float.self))
  }

  @Test func operands_that_do_not_meet_fail_with_both_shapes() {
    let product = pattern([2, 3]).matmul(pattern([4, 5]))
    let line: UInt = #line - 1
    #expect(product.failure?.message.contains("[2, 3] and [4, 5]") == true)
    #expect(product.failure?.message.contains("3 and 4") == true)
    #expect(product.failure?.location?.line == line)
    #expect(Tensor.einsum("ij,k->i", pattern([2, 3])).failure?.kind == .argument)
    #expect(Tensor.einsum("i->j", pattern([2])).failure?.kind == .argument)
  }
}
