// What a GGUF file of the Llama family says about its model: every setting read and bounded, or refused by name.
// Not the weights. Surprise: settings of other families (experts, soft caps, windows) are accepted where they ask for
// nothing, because converters write them.
import Basics
import Formats
import Tensors
import TensorTypes

/// What a Llama file says about itself.
public struct LlamaConfiguration: Sendable {
  /// Number of layers.
  public var layers: Int
  /// Elements of a token's embedding.
  public var width: Int
  public var heads: Int
  /// Heads of keys and values; query heads share them evenly.
  public var keyHeads: Int
  public var headWidth: Int
  /// Longest text, in tokens.
  public var context: Int
  public var epsilon: Double
  public var rotaryBase: Double
  /// Elements of a head that are rotated; the others know no position.
  public var rotaryWidth: Int
  var rotaryLayout: RotaryLayout
  var scaling: RotaryFrequencies.Scaling
  /// Inner elements of each layer's feed-forward part; nil: as its tensors have them.
  var inner: [Int]?
  /// Tokens in the embedding; nil: as the tensor has them.
  var vocabulary: Int?

  static let architectures: [String: RotaryLayout] = ["llama": .interleaved, "qwen2": .halves]

  init(_ file: GGUFFile) throws(Diagnostic) {
    let name = try file.string("general.architecture")
    guard let layout = Self.architectures[name] else {
      throw Diagnostic(
        .format, "\(file.file.path): the architecture \(Setting.quoted(name)) is not supported",
        remedy: "supported are \(Self.architectures.keys.sorted().joined(separator: ", "))")
    }
    try Self.checkGeneral(file)
    let settings = ModelSettings(file, prefix: "\(name).")
    if let experts = settings.value("\(name).expert_count")?.asInteger, experts > 0 {
      throw settings.mistake(
        "is a mixture of \(experts) experts (\(name).expert_count), which is not supported",
        remedy: "use a model without experts")
    }
    func key(_ suffix: String) -> String { "\(name).\(suffix)" }
    layers = try settings.integer(key("block_count"))
    width = try settings.integer(key("embedding_length"))
    heads = try settings.uniformInteger(key("attention.head_count"), layers: layers)
    keyHeads = try settings.uniformInteger(key("attention.head_count_kv"), layers: layers, standard: heads)
    context = try settings.integer(key("context_length"), in: Setting.length)
    epsilon = try settings.number(key("attention.layer_norm_rms_epsilon"), in: 0...1)
    guard heads % keyHeads == 0 else {
      throw settings.mistake("\(heads) heads cannot share \(keyHeads) heads of keys and values evenly")
    }
    if !settings.has(key("attention.key_length")), width % heads != 0 {
      throw settings.mistake("a width of \(width) does not divide into \(heads) heads")
    }
    headWidth = try settings.integer(key("attention.key_length"), standard: max(1, width / heads))
    let valueWidth = try settings.integer(key("attention.value_length"), standard: headWidth)
    guard valueWidth == headWidth else {
      throw settings.mistake(
        "'\(key("attention.value_length"))' is \(valueWidth), '\(key("attention.key_length"))' is \(headWidth): values"
          + " of another width than the keys are not supported", remedy: "use a model where both are the same")
    }
    rotaryWidth = try settings.integer(key("rope.dimension_count"), standard: headWidth)
    guard rotaryWidth <= headWidth, rotaryWidth % 2 == 0 else {
      throw settings.mistake(
        "\(rotaryWidth) elements of heads of width \(headWidth) cannot be rotated in pairs"
          + " ('\(key("rope.dimension_count"))')")
    }
    rotaryLayout = layout
    rotaryBase = try settings.number(key("rope.freq_base"), in: 1...1e30, standard: 10000)
    scaling = try Self.scaling(settings, name, context: context, base: rotaryBase)
    inner = try Self.innerWidths(settings, key("feed_forward_length"), layers: layers)
    vocabulary =
      settings.has(key("vocab_size")) ? try settings.integer(key("vocab_size"), in: Setting.length) : nil
    // Everything the model computes from these numbers: a layer's matrices, and a cache of the whole context.
    guard CheckedSize.bytes([heads, headWidth, width], .f32) != nil,
      CheckedSize.bytes([layers, 2, context, keyHeads, headWidth], .f32) != nil
    else {
      throw settings.mistake(
        "\(layers) layers of \(heads) heads of width \(headWidth), width \(width) and context \(context) have more"
          + " bytes than a machine can address")
    }
    try Self.refuseOthers(settings, name, self)
    try settings.refuseUnread("a model of the architecture '\(name)'") { $0 == key("rope.scaling.finetuned") }
  }

  /// What concerns the whole file.
  private static func checkGeneral(_ file: GGUFFile) throws(Diagnostic) {
    let settings = ModelSettings(file, prefix: "general.")
    try settings.refuse("general.type", "files that are not a whole model are") { $0.asText == "model" }
    let isPacked = file.tensors.contains { if case .quantized = $0.encoding { true } else { false } }
    if isPacked {
      try settings.refuse("general.quantization_version", "other layouts of blocks than version 2 are") {
        $0.asInteger == 2
      }
    }
  }

  private static func innerWidths(
    _ settings: ModelSettings, _ key: String, layers: Int
  ) throws(Diagnostic) -> [Int]? {
    guard let value = settings.value(key) else { return nil }
    if let list = value.asIntegers {
      guard list.count == layers, list.allSatisfy(Setting.count.contains) else {
        throw settings.mistake("the setting '\(key)' is \(value.shown), one positive integer per layer was expected")
      }
      return list
    }
    return [Int](repeating: try settings.integer(key), count: layers)
  }

  private static func scaling(
    _ settings: ModelSettings, _ name: String, context: Int, base: Double
  ) throws(Diagnostic) -> RotaryFrequencies.Scaling {
    func key(_ suffix: String) -> String { "\(name).rope.scaling.\(suffix)" }
    func number(_ suffix: String, _ range: ClosedRange<Double>, _ standard: Double) throws(Diagnostic) -> Double {
      try settings.number(key(suffix), in: range, standard: standard)
    }
    var scaling = RotaryFrequencies.Scaling()
    // A factor without a type is linear, as files had it before there were types.
    let type = try settings.text(key("type"), standard: "linear")
    guard let kind = RotaryFrequencies.Scaling.Kind(rawValue: type) else {
      throw settings.mistake(
        "the setting '\(key("type"))' is \(Setting.quoted(type)), which is not supported",
        remedy: "supported are \(RotaryFrequencies.Scaling.Kind.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    scaling.kind = kind
    let old = try settings.number("\(name).rope.scale_linear", in: 0...1e6, standard: 0)
    scaling.factor = try number("factor", 0...1e6, old)
    // 0 is how writers say that there is none.
    if scaling.factor == 0 { scaling.factor = 1 }
    scaling.originalContext = try settings.integer(
      key("original_context_length"), in: Setting.length, standard: context)
    scaling.attention = try number("attn_factor", 1e-6...1e6, 1)
    // What only YaRN asks for means nothing to the others, and is refused with the settings that nobody read.
    guard kind == .yarn else { return scaling }
    scaling.logMultiplier = try number("yarn_log_multiplier", 0...1e3, 0)
    let extrapolation = try number("yarn_ext_factor", -1...1e3, -1)
    scaling.extrapolation = extrapolation < 0 ? 1 : extrapolation
    // Converters copy transformers' `attention_factor` here, which is the whole magnitude; `attn_factor` multiplies it.
    if settings.has(key("yarn_attn_factor")) {
      let magnitude = try number("yarn_attn_factor", -1...1e6, 1)
      if magnitude > 0 { scaling.magnitude = magnitude }
    }
    scaling.fastTurns = try number("yarn_beta_fast", 1e-6...1e9, 32)
    scaling.slowTurns = try number("yarn_beta_slow", 1e-6...1e9, 1)
    if base <= 1 {
      throw settings.mistake("the setting '\(name).rope.freq_base' is \(base), YaRN needs more than 1")
    }
    return scaling
  }

  /// What other models of these architectures may ask for, and this one does not do.
  private static func refuseOthers(
    _ settings: ModelSettings, _ name: String, _ c: LlamaConfiguration
  ) throws(Diagnostic) {
    func isOff(_ value: any SettingValue) -> Bool { value.asNumber == 0 || value.asFlag == false }
    func isOne(_ value: any SettingValue) -> Bool { value.asNumber == 0 || value.asNumber == 1 }
    let rules: [(suffix: String, meaning: String, isNeutral: (any SettingValue) -> Bool)] = [
      ("expert_count", "mixtures of experts are", isOff), ("expert_used_count", "mixtures of experts are", isOff),
      ("expert_shared_count", "mixtures of experts are", isOff),
      ("use_parallel_residual", "attention and feed-forward side by side are", isOff),
      ("attention.causal", "models that look ahead are", { $0.asFlag == true }),
      ("attention.clamp_kqv", "clamped projections are", isOff),
      ("attention.max_alibi_bias", "attention biased by distance is", isOff),
      (
        "attention.sliding_window", "a window shorter than the context is",
        { window in
          isOff(window) || (window.asInteger ?? 0) >= c.context
        }
      ),
      (
        "attention.scale", "another scale of scores than 1 / sqrt(width) is",
        { value in
          guard let scale = value.asNumber, scale != 0 else { return isOff(value) }
          return abs(scale * Double(c.headWidth).squareRoot() - 1) < 1e-6
        }
      ), ("attn_logit_softcapping", "capped scores are", isOff),
      ("final_logit_softcapping", "capped logits are", isOff),
      ("logit_scale", "scaled logits are", isOne), ("embedding_scale", "scaled embeddings are", isOne),
      ("residual_scale", "scaled residuals are", isOne),
      ("embedding_length_out", "another width of the output is", { $0.asInteger == c.width }),
      ("pooling_type", "pooling in a language model is", isOff),
      ("tensor_data_layout", "other layouts of the heads are", { $0.asText == "Meta AI original pth" }),
    ]
    for rule in rules { try settings.refuse("\(name).\(rule.suffix)", rule.meaning, unless: rule.isNeutral) }
  }
}
