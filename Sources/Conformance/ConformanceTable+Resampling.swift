// Padding, resampling, shuffling, attention and embeddings.
import Basics
import Tensors

extension ConformanceTable {
  mutating func addResampling() {
    addPadding()
    addInterpolation()
    addAttention()
  }

  private mutating func addPadding() {
    tensor("nn.functional.pad", "constant_pad_nd") { a throws(Diagnostic) in
      let modes: [String: PaddingMode] = ["reflect": .reflect, "replicate": .replicate, "circular": .circular]
      // `constant_pad_nd` has its value where `pad` has the mode.
      let name = a.string(2, "mode")
      let value = try name == nil && a.places.count > 2 ? a.double(2, else: 0) : a.double(3, "value", else: 0)
      return try a.tensor(0).padded(a.ints(1, "pad") ?? [], mode: modes[name ?? ""] ?? .constant, value: value)
    }
  }

  private mutating func addInterpolation() {
    let f = "nn.functional."
    let modes: [String: InterpolationMode] = [
      "nearest": .nearest, "nearest-exact": .nearestExact, "linear": .linear, "bilinear": .linear, "trilinear": .linear,
      "bicubic": .cubic, "area": .area,
    ]
    @Sendable func resample(
      _ a: ConformanceArguments, _ mode: InterpolationMode, _ alignsCorners: Bool
    ) throws(Diagnostic) -> Tensor {
      if let size = try a.ints(1, "size") {
        return try a.tensor(0).interpolated(size: PerAxis(size), mode: mode, alignsCorners: alignsCorners)
      }
      var scales: [Double] = []
      if case .list(let values)? = a.value(2, "scale_factor") {
        let each = ConformanceArguments(places: values, names: [:])
        for i in values.indices { scales.append(try each.double(i, else: 1)) }
      } else {
        scales = [try a.double(2, "scale_factor", else: 1)]
      }
      return try a.tensor(0).interpolated(
        scale: scales, mode: mode, alignsCorners: alignsCorners, recomputesScale: a.bool(5, "recompute_scale_factor"))
    }
    // Sums of up to 64 weighted neighbours, which may cancel.
    tolerance = .products
    defer { tolerance = .elements }
    tensor(f + "interpolate") { a throws(Diagnostic) in
      guard let mode = modes[a.string(3, "mode") ?? "nearest"] else {
        throw Diagnostic(.argument, "interpolation mode \(a.string(3, "mode") ?? "")")
      }
      return try resample(a, mode, a.bool(4, "align_corners"))
    }
    tensor(f + "upsample_bilinear") { a throws(Diagnostic) in try resample(a, .linear, true) }
    tensor(f + "upsample_nearest") { a throws(Diagnostic) in try resample(a, .nearest, false) }
    tensor(f + "pixel_shuffle") { a throws(Diagnostic) in
      try a.tensor(0).pixelShuffled(a.required(1, "upscale_factor"))
    }
    tensor(f + "pixel_unshuffle") { a throws(Diagnostic) in
      try a.tensor(0).pixelUnshuffled(a.required(1, "downscale_factor"))
    }
    tensor(f + "channel_shuffle") { a throws(Diagnostic) in try a.tensor(0).channelShuffled(a.required(1, "groups")) }
  }

  private mutating func addAttention() {
    let f = "nn.functional."
    // It rescales rows of the table in place: no function of ours writes into its argument.
    exclude(f + "embedding") { a throws(Diagnostic) in a.value(-1, "max_norm") != nil }
    tensor(f + "embedding") { a throws(Diagnostic) in try a.tensor(0).embedding(a.tensor(1)) }
    tensor(f + "embedding_bag") { a throws(Diagnostic) in
      let modes: [String: EmbeddingBagMode] = ["sum": .sum, "max": .max]
      return try a.tensor(0).embeddingBag(
        a.tensor(1), offsets: a.optionalTensor(2, "offsets"), mode: modes[a.string(6, "mode") ?? ""] ?? .mean,
        weights: a.optionalTensor(-1, "per_sample_weights"), includesLastOffset: a.bool(-1, "include_last_offset"),
        paddingIndex: a.int(-1, "padding_idx"))
    }
    tolerance = .products
    defer { tolerance = .elements }
    // Dropped weights are random: another system's numbers are not ours.
    exclude(f + "scaled_dot_product_attention") { a throws(Diagnostic) in try a.double(4, "dropout_p", else: 0) > 0 }
    tensor(f + "scaled_dot_product_attention") { a throws(Diagnostic) in
      .scaledDotProductAttention(
        try a.tensor(0), try a.tensor(1, "key"), try a.tensor(2, "value"), mask: a.optionalTensor(3, "attn_mask"),
        isCausal: a.bool(5, "is_causal"), scale: try a.double(6, "scale"), groupsQueries: a.bool(7, "enable_gqa"))
    }
  }
}
