import Basics
import Capture
import Tensors
import TensorTypes
import Testing

/// Whether all elements are near: sums of a few dozen f32 products.
func isNear(_ a: Tensor, _ b: Tensor, _ tolerance: Double = 1e-5) throws -> Bool {
  try a.isAllClose(to: b, relative: tolerance, absolute: tolerance, equalNaN: true)
}

@Suite struct ActivationTests {
  @Test func softmax_sums_to_one_on_every_axis_and_survives_large_scores() throws {
    let x = pattern([3, 4, 5]) * 1000
    for axis in -3..<3 { #expect(try isNear(x.softmax(axis).sum(axis), .ones(like: x.sum(axis)))) }
    #expect(try isNear(x.logSoftmax(1).exp(), x.softmax(1)))
  }

  @Test func softmax_of_all_minus_infinity_row_is_nan() throws {
    let x = Tensor.full([2], -Float.infinity)
    #expect(try x.softmax(0).isNaN().all().item() == true)
  }

  @Test func activations_keep_nan_and_half_floats() throws {
    let x = Tensor([Float.nan, -1, 2]).converted(to: .f16)
    for y in [x.relu(), x.gelu(), x.silu(), x.softShrink(), x.hardSwish(), x.leakyRelu()] {
      #expect(y.dtype == .f16)
      #expect(try y.isNaN().array(as: Bool.self) == [true, false, false])
    }
  }

  @Test func swiglu_is_silu_times_another_tensor_and_broadcasts() throws {
    let (x, y) = (pattern([3, 5]) * 8, pattern([5], seed: 2).converted(to: .f16))
    let wide = (x: x.converted(to: .f64), y: y.converted(to: .f64))
    let expected = (wide.x / ((-wide.x).exp() + 1) * wide.y).converted(to: .f32)
    #expect(try isNear(x.swiglu(y), expected, 1e-6))
    #expect(try isNear(compile { (x: Tensor, y: Tensor) in x.swiglu(y) }(x, y), expected, 1e-6))
    #expect(y.swiglu(x).dtype == .f32)
    #expect(x.swiglu(pattern([4])).failure?.message.contains("[3, 5] and [4]") == true)
  }

  @Test func glu_of_an_odd_axis_fails() {
    #expect(pattern([2, 3]).glu().failure?.message.contains("[2, 3] cannot be halved") == true)
  }
}

@Suite struct NormTests {
  @Test func norms_have_mean_0_and_variance_1_over_their_axes() throws {
    let x = pattern([4, 6, 5])
    let layer = x.layerNorm([6, 5], eps: 0)
    #expect(try isNear(layer.mean(1, 2), .zeros([4])))
    #expect(try isNear(layer.variance(1, 2, correction: 0), .ones([4])))
    let group = x.groupNorm(3, eps: 0).reshaped(4, 3, 10)
    #expect(try isNear(group.variance(2, correction: 0), .ones([4, 3])))
    let batch = x.batchNorm(training: true, eps: 0).output
    #expect(try isNear(batch.mean(0, 2), .zeros([6])))
    #expect(try isNear(batch.variance(0, 2, correction: 0), .ones([6])))
  }

  @Test func batch_norm_moves_running_statistics_and_then_uses_them() throws {
    let x = pattern([4, 3, 5])
    let made = x.batchNorm(
      runningMean: .zeros([3]), runningVariance: .ones([3]), training: true, momentum: 1, eps: 1e-5)
    let (mean, variance) = (try #require(made.runningMean), try #require(made.runningVariance))
    #expect(try isNear(mean, x.mean(0, 2)))
    #expect(try isNear(variance, x.variance(0, 2)))
    let later = x.batchNorm(runningMean: mean, runningVariance: variance, eps: 0).output
    let column = { (t: Tensor) in t.reshaped(3, 1) }
    #expect(try isNear(later, (x - column(mean)) / column(variance.sqrt())))
  }

  @Test func a_weight_of_another_size_fails_with_both_sizes() {
    #expect(
      pattern([2, 3]).layerNorm([3], weight: pattern([2])).failure?.message.contains("[2] for the axes [3]") == true)
    #expect(pattern([2, 3]).groupNorm(2).failure?.message.contains("3 channels in 2 groups") == true)
  }
}

@Suite struct LossTests {
  @Test func cross_entropy_is_the_likelihood_of_log_softmax() throws {
    let x = pattern([4, 3, 5])
    let target = pattern([4, 5]).abs().converted(to: .i64) % 3
    let loss = x.crossEntropy(target, reduction: .none)
    let oneHot = (target.expandedDims(at: 1) .== Tensor.arange(3).reshaped(1, 3, 1)).converted(to: .f32)
    #expect(try isNear(loss, -(x.logSoftmax(1) * oneHot).sum(1)))
    #expect(try isNear(x.crossEntropy(oneHot), loss.mean()))
    #expect(try isNear(x.crossEntropy(target), loss.mean()))
  }

  @Test func ignored_targets_count_neither_in_sum_nor_in_mean() throws {
    let x = pattern([3, 4]).logSoftmax(1)
    let all = x.nllLoss(Tensor([1, 2, 3]), reduction: .none)
    let loss = x.nllLoss(Tensor([1, -7, 3]), ignoreIndex: -7)
    let elements = try all.array(as: Float.self)
    #expect(abs(try loss.item(as: Float.self) - (elements[0] + elements[2]) / 2) < 1e-6)
  }

  @Test func a_target_outside_the_classes_fails_the_tensor() throws {
    let loss = pattern([2, 3]).nllLoss(Tensor([0, 3]))
    #expect(throws: Diagnostic.self) { try loss.item(as: Float.self) }
    #expect(loss.failure?.kind == .index)
  }

  @Test func losses_reduce_in_three_ways() throws {
    let (x, y) = (pattern([2, 3]), pattern([2, 3], seed: 2))
    let each = x.mseLoss(y, reduction: .none)
    #expect(try isNear(each, (x - y).square()))
    #expect(try isNear(x.mseLoss(y, reduction: .sum), each.sum()))
    #expect(try isNear(x.mseLoss(y), each.mean()))
  }
}
