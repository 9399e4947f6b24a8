// Memory that is written while something still reads it: each case here once gave wrong elements or no kernel.
import Basics
import Fusion
import GraphIR
import Scalars
import TensorTypes
import Testing

/// The kernels of `text` on whole numbers, against the reference.
private func check(_ text: String, arguments: [UInt64] = [], donations: [Donation] = []) throws {
  let graph = try Graph(text: text).verified()
  let symbols = arguments.map { Int(truncatingIfNeeded: $0) }
  let parameters = try graph.parameters.enumerated().map { number, parameter in
    let count = try #require(parameter.type.shape.elementCount.evaluated(symbols))
    let elements = (0..<count).map { Double(($0 * 7 + number) % 11 - 4) }
    let dtype = parameter.type.dtype
    return Memory(
      ReferenceTensor(dtype, [count], elements.map { dtype.isFloating ? .float($0) : .integer(Int64($0)) }).bytes)
  }
  let sample = AgreementCase(graph: graph, parameters: parameters, arguments: arguments)
  #expect(try sample.disagreement(donations: donations) == nil)
}

@Test func a_base_that_is_its_own_update_elsewhere_is_copied() throws {
  try check(
    """
    graph g(%0 x: f32[6, 2]) {
      %1: f32[6, 2] = negate %0
      %2: f32[6, 2] = assign starts=[5, 0] steps=[-1, 1] %1, %1
      return %2
    }
    """)
}

@Test func an_update_that_an_earlier_nest_has_is_written_after_the_base_is_copied() throws {
  try check(
    """
    graph g(%0 x: f32[5]) {
      %1: f32[5] = scan monoid=minimum axis=0 %0
      %2: f32[5] = assign starts=[0] steps=[1] %0, %1
      return %2
    }
    """)
}

@Test(arguments: ["scan monoid=maximum axis=1", "negate"])
func rows_of_a_donated_parameter_are_kept_until_all_of_them_are_read(_ operation: String) throws {
  try check(
    """
    graph g(%0 x: f32[3, 4]) {
      %1: f32[3, 4] = \(operation) %0
      %2: f32[3] = reduce monoid=maximum axes=[1] %1
      %3: f32[3, 1] = reshape shape=[3, 1] %2
      %4: f32[3, 4] = broadcast shape=[3, 4] %3
      return %4
    }
    """, donations: [Donation(output: 0, parameter: 0)])
}

@Test func a_product_is_not_written_over_its_own_operand() throws {
  try check(
    """
    graph g(%0 x: f32[3, 3], %1 y: f32[3, 3]) {
      %2: f32[3, 3] = contraction batch=[] contracted=[1:0] %0, %1
      return %2
    }
    """, donations: [Donation(output: 0, parameter: 1)])
}

@Test func a_base_that_is_another_shape_of_a_value_read_later_is_copied() throws {
  try check(
    """
    graph g(%0 x: f32[4, 3], %1 y: f32[12]) {
      %2: f32[4] = reduce monoid=sum axes=[1] %0
      %3: f32[2, 2] = reshape shape=[2, 2] %2
      %4: f32[1, 2] = slice starts=[1, 0] counts=[1, 2] steps=[1, 1] %3
      %5: f32[1, 2] = exp2 %4
      %6: f32[2, 2] = assign starts=[0, 0] steps=[1, 1] %3, %5
      %7: f32[4] = scan monoid=sum axis=0 %2
      return %7, %6
    }
    """)
}

@Test func a_version_that_is_copied_on_the_way_leaves_the_output_to_the_last_one() throws {
  try check(
    """
    graph g(%0 x: f32[3, 3], %1 y: f32[2, 1]) {
      %2: f32[3, 3] = assign starts=[1, 2] steps=[1, 1] %0, %1
      %3: f32[3, 3] = negate %2
      %4: f32[3, 3] = assign starts=[0, 2] steps=[1, -1] %2, %3
      %5: f32[1, 3] = slice starts=[1, 0] counts=[1, 3] steps=[1, 1] %2
      return %4, %5
    }
    """)
}

@Test func a_base_that_is_an_output_itself_is_no_version_of_its_copy() throws {
  try check(
    """
    graph g(%0 x: f32[4], %1 y: f32[2]) {
      %2: f32[4] = assign starts=[0] steps=[1] %0, %0
      %3: f32[4] = assign starts=[1] steps=[-1] %2, %1
      return %3, %0
    }
    """)
}
