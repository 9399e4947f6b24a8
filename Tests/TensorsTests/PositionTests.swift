// What knows positions of tokens: rotary turns and causal attention over a cache, eager and compiled.
// Not attention in general, which is in WindowTests. Surprise: how many tokens came before is an extent, so that one plan
// serves a whole text.
import Basics
import Capture
import Foundation
import Tensors
import TensorTypes
import Testing

@Suite struct RotaryTests {
  /// x [tokens, heads, width] turned by angle (t + 1) · 0.3 / (i + 1), in double.
  private func expected(_ x: [Double], _ shape: [Int], pairs: Int, _ layout: RotaryLayout) -> [Double] {
    let (heads, width) = (shape[1], shape[2])
    var result = x
    for t in 0..<shape[0] {
      for h in 0..<heads {
        for i in 0..<pairs {
          let angle = Double(t + 1) * 0.3 / Double(i + 1)
          let row = (t * heads + h) * width
          let (a, b) = layout == .halves ? (row + i, row + pairs + i) : (row + 2 * i, row + 2 * i + 1)
          result[a] = x[a] * cos(angle) - x[b] * sin(angle)
          result[b] = x[a] * sin(angle) + x[b] * cos(angle)
        }
      }
    }
    return result
  }

  private func tables(_ tokens: Int, _ pairs: Int) -> (cosines: Tensor, sines: Tensor) {
    var angles: [Double] = []
    for t in 0..<tokens {
      for i in 0..<pairs { angles.append(Double(t + 1) * 0.3 / Double(i + 1)) }
    }
    func table(_ f: (Double) -> Double) -> Tensor {
      Tensor(angles.map { Float(f($0)) }).reshaped(Dim(tokens), 1, Dim(pairs))
    }
    return (table { cos($0) }, table { sin($0) })
  }

  @Test(arguments: [RotaryLayout.interleaved, .halves], [6, 4])
  func pairs_are_turned_and_what_is_behind_them_stays(layout: RotaryLayout, turnedWidth: Int) throws {
    let pairs = turnedWidth / 2
    let compiled = compile { (x: Tensor, cosines: Tensor, sines: Tensor) in
      x.rotated(cosines: cosines, sines: sines, layout: layout)
    }
    for shape in [[5, 3, 6], [1, 3, 6], [0, 3, 6], [2, 1, 6]] {
      let (cosines, sines) = tables(shape[0], pairs)
      let x = pattern(shape) / 4
      let wanted = Tensor(expected(try x.array(as: Double.self), shape, pairs: pairs, layout))
        .reshaped(shape.map { Dim($0) }).converted(to: .f32)
      #expect(try isNear(x.rotated(cosines: cosines, sines: sines, layout: layout), wanted, 1e-6))
      #expect(try isNear(compiled(x, cosines, sines), wanted, 1e-6))
      // Heads first, as attention takes them: the tables repeat along the first axis.
      let byHead = x.transposed(0, 1).rotated(
        cosines: cosines.squeezed([1]), sines: sines.squeezed([1]), layout: layout)
      #expect(try isNear(byHead.transposed(0, 1), wanted, 1e-6))
    }
  }

  @Test func half_floats_are_turned_in_f32_and_rounded_once() throws {
    let (cosines, sines) = tables(3, 4)
    let (c, s) = (cosines.converted(to: .f16), sines.converted(to: .f16))
    let x = pattern([3, 2, 8]).converted(to: .f16)
    let wide = x.converted(to: .f32).rotated(
      cosines: c.converted(to: .f32), sines: s.converted(to: .f32), layout: .halves)
    #expect(try x.rotated(cosines: c, sines: s, layout: .halves).isEqual(to: wide.converted(to: .f16)))
    #expect(x.rotated(cosines: cosines, sines: sines, layout: .halves).dtype == .f32)
  }

  @Test func tables_that_do_not_fit_fail_with_all_shapes() {
    let x = pattern([4, 2, 6])
    func message(_ cosines: [Int], _ sines: [Int], of x: Tensor) -> String {
      x.rotated(cosines: pattern(cosines), sines: pattern(sines), layout: .halves).failure?.message ?? "none"
    }
    let pairs: [([Int], [Int])] = [
      ([4, 1, 4], [4, 1, 4]), ([4, 1, 3], [4, 1, 2]), ([3, 1, 3], [4, 1, 3]), ([2, 4, 1, 3], [3]),
    ]
    for (cosines, sines) in pairs {
      let text = message(cosines, sines, of: x)
      #expect(text.contains("\(cosines) and sines \(sines) do not fit [4, 2, 6]"), "\(text)")
    }
    #expect(message([1], [1], of: Tensor(1.0)).contains("do not fit []"))
  }
}

@Suite struct CausalAttentionTests {
  /// With the mask written out.
  private func masked(_ q: Tensor, _ k: Tensor, _ v: Tensor, start: Int) -> Tensor {
    let (queries, keys) = (q.shape[1], k.shape[1])
    let seen = Tensor.arange(keys).unsqueezed(0) <= (Tensor.arange(queries) + start).unsqueezed(1)
    return Tensor.scaledDotProductAttention(q, k, v, mask: seen, groupsQueries: true)
  }

  @Test(arguments: [1, 4], [0, 3, 6, 9])
  func queries_behind_others_see_the_keys_before_them(queries: Int, start: Int) throws {
    let (q, k, v) = (pattern([6, queries, 8]), pattern([2, 7, 8], seed: 2), pattern([2, 7, 5], seed: 3))
    let made = Tensor.scaledDotProductAttention(q, k, v, isCausal: true, start: Dim(start), groupsQueries: true)
    #expect(try isNear(made, masked(q, k, v, start: start)))
  }

  @Test(arguments: [1, 3]) func a_cache_of_any_length_is_one_plan(queries: Int) throws {
    let attention = compile { (q: Tensor, k: Tensor, v: Tensor, past: Tensor) in
      Tensor.scaledDotProductAttention(
        q.transposed(0, 1), k.transposed(0, 1), v.transposed(0, 1), isCausal: true, start: past.shape[0],
        groupsQueries: true
      ).transposed(0, 1).reshaped(Dim(queries), -1)
    }
    for past in [4, 2, 9, 40] {
      let keys = past + queries
      let (q, k, v) = (
        pattern([queries, 6, 8]), pattern([keys, 2, 8], seed: 2), pattern([keys, 2, 5], seed: 3)
      )
      let wanted = masked(q.transposed(0, 1), k.transposed(0, 1), v.transposed(0, 1), start: past)
      let merged = wanted.transposed(0, 1).reshaped(Dim(queries), 30)
      #expect(try isNear(attention(q, k, v, pattern([past])), merged), "\(past)")
    }
  }

  @Test func heads_that_lie_side_by_side_in_the_query_do_so_in_the_result() throws {
    let q = pattern([4, 6, 8]).transposed(0, 1)
    let (k, v) = (pattern([2, 7, 8], seed: 2), pattern([2, 7, 5], seed: 3))
    let made = Tensor.scaledDotProductAttention(q, k, v, groupsQueries: true)
    #expect(try isNear(made, Tensor.scaledDotProductAttention(q.contiguous(), k, v, groupsQueries: true)))
    #expect(try made.transposed(0, 1).view.isContiguous)
    let batched = Tensor.scaledDotProductAttention(q.unsqueezed(0), k[[0, 0, 0, 1, 1, 1]], v[[0, 0, 0, 1, 1, 1]])
    #expect(try isNear(batched[0], made))
    #expect(try batched.transposed(1, 2).view.isContiguous)
  }

  @Test func a_start_without_a_causal_mask_or_before_the_first_key_fails() {
    let q = pattern([2, 4])
    let uncausal = Tensor.scaledDotProductAttention(q, q, q, start: 2).failure?.message
    #expect(uncausal?.contains("start at 2, and isCausal is false") == true, "\(uncausal ?? "none")")
    let early = Tensor.scaledDotProductAttention(q, q, q, isCausal: true, start: -1).failure?.message
    #expect(early?.contains("start at -1") == true, "\(early ?? "none")")
  }
}
