// Normalisation layers.
import Basics
import TensorTypes
import Tensors

extension ConformanceTable {
  mutating func addNorms() {
    addNormsOfSamples("nn.functional.")
    addBatchNorms("nn.functional.")
    addLengths("nn.functional.")
  }

  private mutating func addNormsOfSamples(_ f: String) {
    tensor(f + "layer_norm") { a throws(Diagnostic) in
      try a.tensor(0).layerNorm(
        a.dims(1, "normalized_shape"), weight: a.optionalTensor(2, "weight"), bias: a.optionalTensor(3, "bias"),
        eps: a.double(4, "eps", else: 1e-5))
    }
    tensors("native_layer_norm") { a throws(Diagnostic) in
      let made = try a.tensor(0).layerNormAndStatistics(
        a.dims(1), weight: a.optionalTensor(2), bias: a.optionalTensor(3), eps: a.double(4, else: 1e-5))
      return [made.output, made.mean, made.inverseDeviation]
    }
    tensor(f + "rms_norm") { a throws(Diagnostic) in
      try a.tensor(0).rmsNorm(
        a.dims(1, "normalized_shape"), weight: a.optionalTensor(2, "weight"), eps: a.double(3, "eps"))
    }
    tensor(f + "group_norm") { a throws(Diagnostic) in
      try a.tensor(0).groupNorm(
        a.int(1, "num_groups", else: 1), weight: a.optionalTensor(2, "weight"), bias: a.optionalTensor(3, "bias"),
        eps: a.double(4, "eps", else: 1e-5))
    }
    tensors("native_group_norm") { a throws(Diagnostic) in
      let made = try a.tensor(0).groupNormAndStatistics(
        a.required(6), weight: a.optionalTensor(1), bias: a.optionalTensor(2), eps: a.double(7, else: 1e-5))
      return [made.output, made.mean, made.inverseDeviation]
    }
    tensor(f + "instance_norm") { a throws(Diagnostic) in
      try a.tensor(0).instanceNorm(
        weight: a.optionalTensor(3, "weight"), bias: a.optionalTensor(4, "bias"),
        runningMean: a.optionalTensor(1, "running_mean"), runningVariance: a.optionalTensor(2, "running_var"),
        usesInputStatistics: a.bool(5, "use_input_stats", else: true), eps: a.double(7, "eps", else: 1e-5))
    }
    tensor(f + "local_response_norm") { a throws(Diagnostic) in
      try a.tensor(0).localResponseNorm(
        a.required(1, "size"), alpha: a.double(2, "alpha", else: 1e-4), beta: a.double(3, "beta", else: 0.75),
        k: a.double(4, "k", else: 1))
    }
  }

  private mutating func addBatchNorms(_ f: String) {
    tensor(f + "batch_norm") { a throws(Diagnostic) in
      try a.tensor(0).batchNorm(
        runningMean: a.optionalTensor(1, "running_mean"), runningVariance: a.optionalTensor(2, "running_var"),
        weight: a.optionalTensor(3, "weight"), bias: a.optionalTensor(4, "bias"), training: a.bool(5, "training"),
        momentum: a.double(6, "momentum", else: 0.1), eps: a.double(7, "eps", else: 1e-5)
      ).output
    }
    tensors("native_batch_norm", "_native_batch_norm_legit") { a throws(Diagnostic) in
      let made = try a.tensor(0).batchNorm(
        runningMean: a.optionalTensor(3), runningVariance: a.optionalTensor(4), weight: a.optionalTensor(1),
        bias: a.optionalTensor(2), training: a.bool(5), momentum: a.double(6, else: 0.1), eps: a.double(7, else: 1e-5))
      return [made.output, made.mean, made.inverseDeviation]
    }
    tensors("_batch_norm_with_update") { a throws(Diagnostic) in
      let made = try a.tensor(0).batchNorm(
        runningMean: a.optionalTensor(3), runningVariance: a.optionalTensor(4), weight: a.optionalTensor(1),
        bias: a.optionalTensor(2), training: true, momentum: a.double(5, else: 0.1), eps: a.double(6, else: 1e-5))
      if let failure = made.output.failure { throw failure }
      // The last is memory that other implementations keep for their gradient.
      return [made.output, made.mean, made.inverseDeviation, .zeros([0], dtype: .u8)]
    }
  }

  /// Rows divided by their length, and how far two are apart.
  private mutating func addLengths(_ f: String) {
    tensor(f + "normalize") { a throws(Diagnostic) in
      try a.tensor(0).normalized(
        p: a.double(1, "p", else: 2), axis: a.int(2, "dim", else: 1), eps: a.double(3, "eps", else: 1e-12))
    }
    tensor(f + "cosine_similarity") { a throws(Diagnostic) in
      try a.tensor(0).cosineSimilarity(
        a.tensor(1), axis: a.int(2, "dim", else: 1), eps: a.double(3, "eps", else: 1e-8))
    }
    tensor(f + "pairwise_distance") { a throws(Diagnostic) in
      try a.tensor(0).pairwiseDistance(
        a.tensor(1), p: a.double(2, "p", else: 2), eps: a.double(3, "eps", else: 1e-6), keepDims: a.bool(4, "keepdim"))
    }
  }
}
