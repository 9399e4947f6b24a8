// What config.json of a BERT model says: every setting read and bounded, or refused by name.
// Not the weights. Surprise: settings of training and of heads are let pass by a list, because transformers writes dozens
// of them; whatever is on neither list is an error.
import Basics
import Tensors

/// What `config.json` of a BERT model says.
public struct BertConfiguration: Sendable {
  public var layers: Int
  /// Elements of a token's embedding.
  public var width: Int
  public var heads: Int
  /// Longest text, in tokens, special ones included.
  public var context: Int
  public var epsilon: Double
  /// Elements between the two products of a layer's feed-forward part.
  public var inner: Int
  /// Rows of the tables: tokens, positions, kinds of text.
  var vocabulary: Int
  var positions: Int
  var types: Int
  var activation: Activation

  init(_ directory: ModelDirectory) throws(Diagnostic) {
    let settings = try directory.settings("config.json")
    try settings.refuse("model_type", "other models than 'bert' are") { $0.asText == "bert" }
    layers = try settings.integer("num_hidden_layers")
    width = try settings.integer("hidden_size")
    heads = try settings.integer("num_attention_heads")
    inner = try settings.integer("intermediate_size")
    positions = try settings.integer("max_position_embeddings", in: Setting.length)
    context = positions
    vocabulary = try settings.integer("vocab_size", in: Setting.length)
    types = try settings.integer("type_vocab_size", standard: 2)
    epsilon = try settings.number("layer_norm_eps", in: 0...1, standard: 1e-12)
    guard width % heads == 0 else {
      throw settings.mistake("a width of \(width) does not divide into \(heads) heads")
    }
    activation = try Activation(settings, "hidden_act", Activation.byConfigurationName, standard: "gelu")
    try settings.refuse("position_embedding_type", "other positions than 'absolute' ones are") {
      $0.asText == "absolute"
    }
    for key in ["is_decoder", "add_cross_attention", "is_encoder_decoder"] {
      try settings.refuse(key, "decoders are") { $0.asFlag == false }
    }
    try settings.refuse("pruned_heads", "pruned heads are") { ($0 as? JSON)?.members?.isEmpty ?? false }
    try settings.refuse("embedding_size", "embeddings of another width are") { [width] in $0.asInteger == width }
    try settings.refuse("auto_map", "models with code of their own are") { _ in false }
    try settings.refuseUnread("a BERT encoder", except: Self.isInformation)
  }

  /// Settings of training, of heads, of generation and of the library: no state depends on them.
  private static func isInformation(_ key: String) -> Bool {
    let prefixes = ["_", "pooler_", "output_", "id2label", "label2id", "num_labels", "task_specific_params"]
    return information.contains(key) || prefixes.contains(where: key.hasPrefix) || key.hasSuffix("_token_id")
  }

  private static let information: Set<String> = [
    "architectures", "attention_probs_dropout_prob", "chunk_size_feed_forward", "classifier_dropout", "directionality",
    "dtype", "finetuning_task", "gradient_checkpointing", "hidden_dropout_prob", "initializer_range", "problem_type",
    "return_dict", "tie_word_embeddings", "torch_dtype", "torchscript", "transformers_version", "use_cache", "name",
  ]

  /// What is between the two products of the feed-forward part, or after a Dense module.
  enum Activation: String, Sendable, Hashable {
    case gelu, geluTanh, quickGelu, relu, relu6, squaredRelu, silu, mish, tanh, sigmoid, leakyRelu, elu, selu, softPlus,
      softSign, identity

    /// transformers' names (ACT2FN).
    static let byConfigurationName: [String: Activation] = [
      "gelu": .gelu, "gelu_python": .gelu, "gelu_new": .geluTanh, "gelu_pytorch_tanh": .geluTanh,
      "gelu_fast": .geluTanh, "gelu_python_tanh": .geluTanh, "gelu_accurate": .geluTanh, "quick_gelu": .quickGelu,
      "relu": .relu, "relu6": .relu6, "relu2": .squaredRelu, "silu": .silu, "swish": .silu, "mish": .mish,
      "tanh": .tanh, "sigmoid": .sigmoid, "leaky_relu": .leakyRelu, "linear": .identity,
    ]

    /// PyTorch's classes, as modules name them, with the parameters they have by default.
    static let byClass: [String: Activation] = [
      "torch.nn.modules.linear.Identity": .identity, "torch.nn.modules.activation.Tanh": .tanh,
      "torch.nn.modules.activation.Sigmoid": .sigmoid, "torch.nn.modules.activation.ReLU": .relu,
      "torch.nn.modules.activation.ReLU6": .relu6, "torch.nn.modules.activation.GELU": .gelu,
      "torch.nn.modules.activation.SiLU": .silu, "torch.nn.modules.activation.Mish": .mish,
      "torch.nn.modules.activation.ELU": .elu, "torch.nn.modules.activation.SELU": .selu,
      "torch.nn.modules.activation.LeakyReLU": .leakyRelu, "torch.nn.modules.activation.Softplus": .softPlus,
      "torch.nn.modules.activation.Softsign": .softSign,
    ]

    init(
      _ settings: ModelSettings, _ key: String, _ names: [String: Activation], standard: String
    ) throws(Diagnostic) {
      let name = try settings.text(key, standard: standard)
      guard let activation = names[name] else {
        throw settings.mistake(
          "the setting '\(key)' is \(Setting.quoted(name)), which is not supported",
          remedy: "supported are \(names.keys.sorted().joined(separator: ", "))")
      }
      self = activation
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
      switch self {
      case .gelu: x.gelu()
      case .geluTanh: x.gelu(approximate: .tanh)
      case .quickGelu: x * (x * 1.702).sigmoid()
      case .relu: x.relu()
      case .relu6: x.relu6()
      case .squaredRelu: x.relu() * x.relu()
      case .silu: x.silu()
      case .mish: x.mish()
      case .tanh: x.tanh()
      case .sigmoid: x.sigmoid()
      case .leakyRelu: x.leakyRelu()
      case .elu: x.elu()
      case .selu: x.selu()
      case .softPlus: x.softPlus()
      case .softSign: x.softSign()
      case .identity: x
      }
    }
  }
}
