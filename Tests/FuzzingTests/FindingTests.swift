// Cases that the fuzzer found and reduced, kept so that they stay solved. Not cases of our own.
import Testing

@Test func outer_products_with_two_column_axes_agree() throws {
  try expectAgreement(
    """
    case seed=9700238 values=whole calls=[]
    graph random9700238(p4: f32[2, 2], v30_14: f32[2]) {
      %0: f32[2] = parameter n=1
      %1: f32[2, 2] = parameter n=0
      %2: f32[2, 2, 2] = contraction batch=[] contracted=[] %0, %1
      return %2
    }
    """)
}

@Test func products_of_integers_with_two_column_axes_agree() throws {
  try expectAgreement(
    """
    case seed=285900143 values=whole calls=[]
    graph random285900143(p4: i8[2, 2, 2], v24_12: i8[2, 2]) {
      %0: i8[2, 2] = parameter n=1
      %1: i8[2, 2, 2] = parameter n=0
      %2: i8[2, 2, 2] = contraction batch=[] contracted=[0:0] %0, %1
      return %2
    }
    """)
}

@Test func products_of_integers_summed_over_two_axes_agree() throws {
  try expectAgreement(
    """
    case seed=112711284 values=whole calls=[]
    graph random112711284(%0 p2: i8[2, 2, 2], %1 p3: i8[2, 2, 2]) {
      %2: i8[2, 2] = contraction batch=[] contracted=[1:0, 2:1] %0, %1
      return %2
    }
    """)
}

@Test func a_transpose_is_written_over_what_it_transposes() throws {
  try expectAgreement(
    """
    case seed=1481365015 values=whole calls=[] donated=[0:0]
    graph random1481365015(%0 p2: f32[2, 2]) {
      %1: f32[2, 2] = permute permutation=[1, 0] %0
      return %1
    }
    """)
}
