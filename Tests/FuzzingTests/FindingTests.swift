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

@Test func a_smaller_half_float_needs_no_library() throws {
  try expectAgreement(
    """
    case seed=171506760 values=whole calls=[]
    graph random171506760(%0 p1: f32[1, 1], v16_3: bool[1]) {
      %1: i64[1] = argreduce monoid=argmax axis=1 %0
      %2: bool[1] = parameter n=1
      %3: f16[1] = convert dtype=f16 %1
      %4: f16[1] = sigmoid %3
      %5: f16[1] = convert dtype=f16 %2
      %6: f16[1] = reciprocal %5
      %7: f16[1] = minimum %6, %4
      return %7
    }
    """)
}

@Test func what_rows_give_is_not_read_across_them_in_their_kernel() throws {
  try expectAgreement(
    """
    case seed=926404267 values=whole calls=[]
    graph random926404267(%0 p1: i8[2, 2]) {
      %1: i64[2] = argreduce monoid=argmin axis=1 %0
      %2: i8[2] = reduce monoid=or axes=[1] %0
      %3: i8[2, 1] = reshape shape=[2, 1] %2
      %4: i8[2, 2] = broadcast shape=[2, 2] %3
      %5: f64[2, 2] = convert dtype=f64 %4
      %6: u8[2, 2] = convert dtype=u8 %5
      %7: u8[2] = convert dtype=u8 %1
      %8: u8[2, 2] = broadcast shape=[2, 2] %7
      %9: u8[2, 2] = xor %6, %8
      return %9
    }
    """)
}

@Test func half_floats_summed_over_two_axes_agree() throws {
  try expectAgreement(
    """
    case seed=1535195831 values=whole calls=[]
    graph random1535195831(%0 p2: bf16[2, 2, 2, 2], %1 v17_15: bf16[2, 2, 2, 2]) {
      %2: bf16[2, 2, 2, 2] = contraction batch=[] contracted=[2:0, 3:1] %0, %1
      return %2
    }
    """)
}

@Test func two_parameters_change_places() throws {
  try expectAgreement(
    """
    case seed=1566301468 values=whole calls=[] donated=[0:0,1:1]
    graph random1566301468(%0 p0: f32[1], %1 p1: f32[1]) {
      return %1, %0
    }
    """)
}

@Test func what_is_asked_for_ahead_is_asked_for_once() throws {
  try expectAgreement(
    """
    case seed=127975118 values=mixed calls=[3]
    graph random127975118(%0 p0: i16[s0, s0, 17] strides=[(s0 * 17), -17, 1]; s0 n0) {
      %1: i64[s0, s0] = argreduce monoid=argmax axis=2 %0
      %2: i16[s0, s0, 17] = power %0, %0
      %3: i64[s0] = argreduce monoid=argmin axis=1 %1
      %4: i16[s0, s0] = convert dtype=i16 %1
      %5: i16[s0, 17] = contraction batch=[0:0] contracted=[1:1] %2, %4
      %6: f16[s0, s0, 17] = convert dtype=f16 %0
      %7: f16[s0, s0] = reduce monoid=maximum axes=[2] %6
      %8: f16[s0, s0, 1] = reshape shape=[s0, s0, 1] %7
      %9: f16[s0, s0, 17] = broadcast shape=[s0, s0, 17] %8
      %10: f16[s0, s0, 17] = subtract %6, %9
      %11: f16[s0, s0, 17] = exp %10
      %12: f16[s0, s0] = reduce monoid=sum axes=[2] %11
      %13: f16[s0, s0, 1] = reshape shape=[s0, s0, 1] %12
      %14: f16[s0, s0, 17] = broadcast shape=[s0, s0, 17] %13
      %15: f16[s0, s0, 17] = divide %11, %14
      return %15, %3, %5
    }
    """)
}

/// Found by `azulejo fuzz --seed 31 --start 4680 --count 1`: 0 / 0 where the dividend is only about 0.
@Test func about_zero_by_zero_may_be_nan() throws {
  try expectAgreement(
    """
    case seed=1247158839 values=whole calls=[]
    graph random1247158839(%0 p1: f32[19, 1], %1 v10_4: f32[19, 1]) {
      %2: f32[19, 1] = exp %1
      %3: f32[19, 1] = subtract %2, %2
      %4: f32[19, 1] = floordivide %3, %0
      return %4
    }
    """)
}

/// Found by `azulejo fuzz --seed 77 --start 187 --count 1`: the index is wrong, and the mask made with it is asked for nothing.
@Test func an_index_for_no_elements_may_be_wrong() throws {
  try expectAgreement(
    """
    program seed=2042152565
      v7 = index_one a0 -1 1
      v8 = masked_fill a1 v7 2
      return v8
    call f32[2]:plain f32[]:plain
    call f32[]:plain f32[0]:plain
    """)
}

/// Found by `azulejo fuzz --seed 601 --start 3347 --count 1`: of all quotients only one is needed, whose divisor is not 0.
@Test func a_divisor_for_elements_that_are_not_taken_may_be_0() throws {
  try expectAgreement(
    """
    program seed=1268483494
      v0 = remainder a2 a0
      v3 = diagonal v0 -2
      return v3
    call f32[]:plain f32[]:plain f32[0,0]:plain
    call u16[9]:plain f32[]:plain u16[3,1]:plain
    """)
}

@Test func a_moved_result_is_not_written_over_what_its_nest_computes_again() throws {
  try expectAgreement(
    """
    case seed=1 values=whole calls=[] donated=[0:0]
    graph moved(%0 p: f32[3, 3, 3]) {
      %1: f32[3, 3, 3] = acos %0
      %2: f32[3, 3, 3] = permute permutation=[1, 2, 0] %1
      return %2, %1
    }
    """)
}

@Test func a_result_with_a_range_written_is_not_renamed_over_what_made_it() throws {
  try expectAgreement(
    """
    case seed=1186953879 values=whole calls=[] donated=[1:0]
    graph random1186953879(%0 p1: f32[7, 1, 7], p2: f32[7, 1, 1]) {
      %1: f32[7] = reduce monoid=maximum axes=[1, 2] %0
      %2: f32[7, 1, 1] = reshape shape=[7, 1, 1] %1
      %3: f32[7, 1, 7] = broadcast shape=[7, 1, 7] %2
      %4: f32[7, 1, 7] = divide %0, %3
      %5: f32[1, 7, 7] = permute permutation=[1, 0, 2] %4
      %6: f32[7, 7] = reshape shape=[7, 7] %5
      %7: f32[7, 1, 1] = parameter n=1
      %8: f32[7, 1, 7] = assign starts=[0, 0, 6] steps=[1, 2, 1] %4, %7
      %9: i64[7] = convert dtype=i64 %1
      %10: i64[1, 7] = broadcast shape=[1, 7] %9
      %11: f32[1, 7] = gather axis=0 %6, %10
      return %11, %8
    }
    """)
}

@Test func a_moved_parameter_is_kept_as_it_was_moved() throws {
  try expectAgreement(
    """
    case seed=2 values=whole calls=[] donated=[0:0]
    graph moved(%0 p: f32[3, 3, 3]) {
      %1: f32[9, 3] = reshape shape=[9, 3] %0
      %2: f32[3, 9] = permute permutation=[1, 0] %1
      %3: f32[3, 3, 3] = reshape shape=[3, 3, 3] %2
      return %3
    }
    """)
}

@Test func a_division_over_no_elements_behind_a_sort_is_no_fault() throws {
  try expectAgreement(
    """
    program seed=2147325501
      v0 = sort_values a0
      v1 = remainder v0 v0
      v3 = norm v1
      return v3
    call u32[0,2]:plain
    """)
}

@Test func the_order_of_one_element_is_no_question_of_a_wrong_index() throws {
  try expectAgreement(
    """
    program seed=400988121
      v1 = take_along_wrapped a0 a0 0
      v2 = matmul v1 v1
      v3 = argsort v2
      return v3
    call f32[2]:plain
    call f32[1]:plain
    """)
}
