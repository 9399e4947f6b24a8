// What comes after the encoder in a Sentence Transformers directory: pooling, dense layers, norms, in the order of
// modules.json. Not the encoder. Surprise: modules and settings that are not known here are errors; one left out would
// give an embedding that looks right and is not.
import Basics
import Formats
import Tensors
import TensorTypes

/// The way from the tokens' states to one embedding.
struct SentenceModules: Sendable {
  /// How the tokens' states become one embedding.
  enum Pooling: String, Sendable, Hashable, CaseIterable {
    case firstToken = "cls"
    case maximum = "max"
    case mean = "mean"
    /// The sum divided by the square root of the number of tokens.
    case meanOfRoot = "mean_sqrt_len_tokens"
    /// Tokens weigh by their position, from 1.
    case weightedMean = "weightedmean"
    case lastToken = "lasttoken"

    /// The older way to ask for it, each a truth value.
    var olderKey: String {
      switch self {
      case .firstToken: "pooling_mode_cls_token"
      case .maximum: "pooling_mode_max_tokens"
      case .mean: "pooling_mode_mean_tokens"
      case .meanOfRoot: "pooling_mode_mean_sqrt_len_tokens"
      case .weightedMean: "pooling_mode_weightedmean_tokens"
      case .lastToken: "pooling_mode_lasttoken"
      }
    }
  }

  struct Dense: Sendable {
    var weight: LinearWeight
    var bias: Tensor?
    var activation: BertConfiguration.Activation
    /// Added to the result: the input itself, or its product with a matrix.
    var residual: Residual?
    enum Residual: Sendable {
      case input
      case product(LinearWeight)
    }
  }

  enum Module: Sendable {
    case dense(Dense)
    case layerNorm(weight: Tensor, bias: Tensor)
    case unitLength
  }

  /// The results are joined in this order.
  var pooling: [Pooling] = [.mean]
  /// Whether the tokens of a prompt are pooled too.
  var poolsPrompt = true
  var modules: [Module] = []
  /// Elements of the embedding.
  private(set) var width: Int

  /// - Parameter encoderWidth: elements of a token's state.
  init(_ directory: ModelDirectory, encoderWidth: Int) throws(Diagnostic) {
    width = encoderWidth
    guard let list = try directory.optionalJSON("modules.json") else { return }
    guard let entries = list.array else { throw directory.mistake("modules.json", "holds no list of modules") }
    var names: [String] = []
    for entry in entries {
      let (name, path) = try Self.place(of: entry, directory)
      names.append(name)
      guard names.first == "Transformer", (name == "Pooling") == (names.count == 2) else {
        throw directory.mistake("modules.json", "the order \(names) is not supported: first Transformer, then Pooling")
      }
      let prefix = path.isEmpty ? "" : "\(path)/"
      switch name {
      case "Transformer": break
      case "Pooling": try readPooling(directory.settings(prefix + "config.json"))
      case "Dense": try readDense(directory, prefix)
      case "LayerNorm": try readLayerNorm(directory, prefix)
      case "Normalize":
        if let json = try directory.optionalJSON(prefix + "config.json") {
          let settings = try ModelSettings(json, place: directory.file(prefix + "config.json"))
          try Self.requireSentences(settings)
          try settings.refuseUnread("the module Normalize") { _ in false }
        }
        modules.append(.unitLength)
      case "Dropout": break
      default: throw directory.mistake("modules.json", "the module \(Setting.quoted(name)) is not supported")
      }
    }
    guard names.count >= 2 else {
      throw directory.mistake("modules.json", "there is no Pooling module: states of tokens are not one embedding")
    }
  }

  /// The path of the module Transformer, where the encoder's files are.
  static func encoderPath(_ directory: ModelDirectory) throws(Diagnostic) -> String {
    guard let entry = try directory.optionalJSON("modules.json")?.array?.first else { return "" }
    return try place(of: entry, directory).path
  }

  private static func place(
    of entry: JSON, _ directory: ModelDirectory
  ) throws(Diagnostic) -> (name: String, path: String) {
    let type = entry["type"]?.string ?? "?"
    let parts = type.split(separator: ".")
    guard parts.first == "sentence_transformers", let name = parts.last else {
      throw directory.mistake("modules.json", "the module \(Setting.quoted(type)) is not one of Sentence Transformers")
    }
    if let more = entry["kwargs"]?.array, !more.isEmpty {
      throw directory.mistake("modules.json", "arguments of the module \(Setting.quoted(type)) are not supported")
    }
    let path = entry["path"]?.string ?? ""
    guard !path.hasPrefix("/"), !path.split(separator: "/").contains("..") else {
      throw directory.mistake("modules.json", "the path \(Setting.quoted(path)) leaves the directory")
    }
    return (String(name), path)
  }

  // MARK: Reading modules

  private mutating func readPooling(_ settings: ModelSettings) throws(Diagnostic) {
    for key in ["word_embedding_dimension", "embedding_dimension"] {
      let given = try settings.integer(key, standard: width)
      guard given == width else {
        throw settings.mistake("the setting '\(key)' is \(given), the encoder's states have \(width) elements")
      }
    }
    poolsPrompt = try settings.flag("include_prompt", standard: true)
    var modes: [Pooling] = []
    for mode in Pooling.allCases where try settings.flag(mode.olderKey, standard: false) { modes.append(mode) }
    if let value = settings.value("pooling_mode") {
      let names = value.asText.map { [$0] } ?? (value as? JSON)?.array?.map { $0.string ?? $0.shown } ?? [value.shown]
      modes = []
      for name in names {
        guard let mode = Pooling(rawValue: name) else {
          throw settings.mistake(
            "the setting 'pooling_mode' asks for \(Setting.quoted(name)), which is not supported",
            remedy: "supported are \(Pooling.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        modes.append(mode)
      }
    }
    pooling = modes.isEmpty ? [.mean] : modes
    width *= pooling.count
    try settings.refuseUnread("the module Pooling") { _ in false }
  }

  /// Modules may work on other things than the embedding; not here.
  private static func requireSentences(_ settings: ModelSettings) throws(Diagnostic) {
    for key in ["module_input_name", "module_output_name"] {
      try settings.refuse(key, "modules that work on something else than the embedding are") {
        $0.asText == "sentence_embedding"
      }
    }
  }

  private mutating func readDense(_ directory: ModelDirectory, _ prefix: String) throws(Diagnostic) {
    let settings = try directory.settings(prefix + "config.json")
    try Self.requireSentences(settings)
    let given = try settings.integer("in_features")
    guard given == width else {
      throw settings.mistake("the setting 'in_features' is \(given), \(width) elements come in")
    }
    let rows = try settings.integer("out_features")
    let hasBias = try settings.flag("bias", standard: true)
    let isResidual = try settings.flag("use_residual", standard: false)
    let activation = try BertConfiguration.Activation(
      settings, "activation_function", BertConfiguration.Activation.byClass,
      standard: "torch.nn.modules.activation.Tanh")
    try settings.refuseUnread("the module Dense") { _ in false }
    let tensors = try directory.tensors(prefix)
    var dense = Dense(
      weight: try tensors.matrix("linear.weight", rows, width),
      bias: hasBias ? try tensors.vector("linear.bias", rows) : nil, activation: activation)
    if isResidual {
      dense.residual = rows == width ? .input : .product(try tensors.matrix("residual.weight", rows, width))
    }
    try tensors.refuseUnread("the module Dense") { _ in false }
    modules.append(.dense(dense))
    width = rows
  }

  private mutating func readLayerNorm(_ directory: ModelDirectory, _ prefix: String) throws(Diagnostic) {
    let settings = try directory.settings(prefix + "config.json")
    let dimension = try settings.integer("dimension")
    guard dimension == width else {
      throw settings.mistake("the setting 'dimension' is \(dimension), \(width) elements come in")
    }
    try settings.refuseUnread("the module LayerNorm") { _ in false }
    let tensors = try directory.tensors(prefix)
    modules.append(
      .layerNorm(weight: try tensors.vector("norm.weight", width), bias: try tensors.vector("norm.bias", width)))
    try tensors.refuseUnread("the module LayerNorm") { _ in false }
  }

  // MARK: Running

  /// The embedding [width] of the states [tokens, width]; the first `prompt` of them are a prompt's.
  func callAsFunction(_ states: Tensor, prompt: Int) throws(Diagnostic) -> Tensor {
    var parts: [Tensor] = []
    for mode in pooling { parts.append(try Self.pooled(states, mode, skipping: poolsPrompt ? 0 : prompt)) }
    var x = parts.count == 1 ? parts[0] : Tensor.concatenated(parts, axis: 0)
    for module in modules {
      switch module {
      case .unitLength: x = x.normalized(axis: 0)
      case .layerNorm(let weight, let bias):
        x = x.layerNorm(weight.shape.dims, weight: weight, bias: bias)
      case .dense(let dense):
        let row = try x.reshaped(to: [1, x.view.extents[0]])
        var product = dense.weight(row)
        if let bias = dense.bias { product = product + bias }
        product = dense.activation(product)
        switch dense.residual {
        case nil: break
        case .input: product = product + row
        case .product(let weight): product = product + weight(row)
        }
        x = try product.reshaped(to: [-1])
      }
    }
    return x
  }

  private static func pooled(_ states: Tensor, _ mode: Pooling, skipping: Int) throws(Diagnostic) -> Tensor {
    let (size, count) = (try states.view.extents[0], states.shape[0])
    func row(_ start: Int, _ dim: Dim) throws(Diagnostic) -> Tensor {
      try Tensor(states.view.sliced(0, start: start, count: 1, dims: (dim, 1))).reshaped(to: [-1])
    }
    let rows =
      skipping == 0
      ? states
      : Tensor(
        try states.view.sliced(0, start: skipping, count: size - skipping, dims: (Dim(skipping), count - skipping)))
    switch mode {
    case .firstToken: return try row(skipping, Dim(skipping))
    case .lastToken: return try row(size - 1, count - 1)
    case .maximum: return rows.max(0)
    case .mean: return rows.mean(0)
    case .meanOfRoot: return rows.sum(0) / Tensor.ones([count - skipping]).sum().sqrt()
    case .weightedMean:
      let weights = (Tensor.arange(count - skipping, dtype: .f32) + Double(skipping + 1)).unsqueezed(1)
      return (rows * weights).sum(0) / weights.sum()
    }
  }
}
