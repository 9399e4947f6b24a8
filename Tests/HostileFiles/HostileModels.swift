// Models as their files: a small Llama in one GGUF, a small BERT as a folder, tokenizers; drawn valid and then damaged.
// Not models that say anything. Surprise: most of them load, and are run on a few tokens.

import Basics
import RandomGraphs

enum HostileModels {
  /// A Llama of one layer: width 32, 2 heads, 1 key head, 40 tokens, with a tokenizer.
  static func llama(_ random: inout SeededGenerator) -> [UInt8] {
    let (width, heads, keys, inner, vocabulary) = (32, 2, 1, 64, 40)
    let keyWidth = keys * width / heads
    var tensors: [(name: String, shape: [Int])] = [
      ("token_embd.weight", [vocabulary, width]), ("output_norm.weight", [width]),
      ("blk.0.attn_norm.weight", [width]), ("blk.0.ffn_norm.weight", [width]),
      ("blk.0.attn_q.weight", [width, width]), ("blk.0.attn_k.weight", [keyWidth, width]),
      ("blk.0.attn_v.weight", [keyWidth, width]), ("blk.0.attn_output.weight", [width, width]),
      ("blk.0.ffn_gate.weight", [inner, width]), ("blk.0.ffn_up.weight", [inner, width]),
      ("blk.0.ffn_down.weight", [width, inner]),
    ]
    if random.once(in: 12) { tensors.remove(at: random.below(tensors.count)) }
    if random.once(in: 4) {
      let place = random.below(tensors.count)
      let axis = random.below(tensors[place].shape.count)
      tensors[place].shape[axis] = random.pick([0, 1, 16, 31, 33, 64])
    }
    if random.once(in: 6) { tensors.append((random.pick(["rope_freqs.weight", "blk.0.attn_q.bias", "x"]), [width])) }
    let integers: [(String, Int)] = [
      ("block_count", 1), ("embedding_length", width), ("attention.head_count", heads),
      ("attention.head_count_kv", keys), ("context_length", 16), ("attention.key_length", width / heads),
      ("rope.dimension_count", width / heads), ("feed_forward_length", inner), ("vocab_size", vocabulary),
    ].filter { _ in !random.once(in: 90) }
    let reals: [(String, Float)] = [("attention.layer_norm_rms_epsilon", 1e-5), ("rope.freq_base", 10000)]
    var sketch = Sketch()
    HostileWeights.preamble(&sketch, tensors: tensors.count, metadata: 8 + integers.count + reals.count)
    let architecture = random.once(in: 5) ? "qwen2" : "llama"
    text(&sketch, "general.architecture", random.once(in: 30) ? random.word() : architecture)
    for (key, number) in integers {
      integer(&sketch, "\(architecture).\(key)", random.once(in: 40) ? Int(random.hostileNumber()) : number)
    }
    for (key, number) in reals {
      sketch.add("\(architecture).\(key)")
      sketch.add(UInt32(6))
      sketch.add(random.once(in: 40) ? random.pick([.nan, .infinity, 0, -1, 1e-38]) : number)
    }
    tokenizer(&sketch, vocabulary, &random)
    var offset = 0
    for tensor in tensors {
      let type: UInt32 =
        random.once(in: 90) ? UInt32(random.below(43)) : tensor.shape.count == 2 && random.once(in: 3) ? 8 : 0
      HostileWeights.directory(&sketch, tensor.name, tensor.shape, type, offset)
      offset += (tensor.shape.reduce(4, *) + 31) / 32 * 32
    }
    sketch.pad(to: 32)
    sketch.add(raw: (0..<offset).map { $0 % 4 == 3 ? 0x3d : UInt8(truncatingIfNeeded: $0 &* 13) })
    return random.once(in: 2) ? Mutation.apply(sketch, &random) : sketch.bytes
  }

  private static func text(_ sketch: inout Sketch, _ key: String, _ value: String) {
    sketch.add(key)
    sketch.add(UInt32(8))
    sketch.add(value)
  }
  private static func integer(_ sketch: inout Sketch, _ key: String, _ value: Int) {
    sketch.add(key)
    sketch.add(UInt32(10))
    sketch.add(UInt64(bitPattern: Int64(value)))
  }

  /// Seven entries: family, pre-tokenizer, tokens, kinds, merges, two special ids.
  private static func tokenizer(_ sketch: inout Sketch, _ count: Int, _ random: inout SeededGenerator) {
    text(&sketch, "tokenizer.ggml.model", random.once(in: 12) ? random.pick(["llama", "bert", "t5", "x"]) : "gpt2")
    text(
      &sketch, "tokenizer.ggml.pre", random.pick(["smollm", "gpt-2", "llama-bpe", "qwen2", "tekken", random.word()]))
    func strings(_ key: String, _ values: [String]) {
      sketch.add(key)
      sketch.add(UInt32(9))
      sketch.add(UInt32(8))
      sketch.add(UInt64(values.count))
      for value in values { sketch.add(value) }
    }
    var letters: [String] = []
    for index in 0..<(random.once(in: 6) ? random.below(60) : count) {
      if index < 26 {
        letters.append(String(UnicodeScalar(UInt8(97 + index))))
      } else if index < 28 {
        letters.append(["ab", "bc"][index - 26])
      } else {
        letters.append(random.once(in: 99) ? random.word() : "a\(index)")
      }
    }
    strings("tokenizer.ggml.tokens", letters)
    sketch.add("tokenizer.ggml.token_type")
    sketch.add(UInt32(9))
    sketch.add(UInt32(5))
    sketch.add(UInt64(letters.count))
    for index in letters.indices { sketch.add(Int32(index > 36 ? 3 : 1)) }
    strings("tokenizer.ggml.merges", ["a b", "b c"] + (random.once(in: 5) ? [random.word()] : []))
    integer(&sketch, "tokenizer.ggml.bos_token_id", random.once(in: 6) ? Int(random.hostileNumber()) : 37)
    integer(&sketch, "tokenizer.ggml.eos_token_id", random.once(in: 6) ? Int(random.hostileNumber()) : 38)
  }

  // MARK: tokenizer.json

  /// Word pieces, byte pairs, or SentencePiece's unigrams.
  static func tokenizerJSON(_ random: inout SeededGenerator, vocabulary: Int = 40, family: Int? = nil) -> JSON {
    func word(_ index: Int) -> String {
      if index < 26 { return String(UnicodeScalar(UInt8(97 + index))) }
      return index < 36 ? "##\(index - 26)" : index == 36 ? "ab" : index == 37 ? "cd" : "w\(index)"
    }
    var added: [JSON] = []
    for (index, text) in ["[UNK]", "[CLS]", "[SEP]", "[PAD]"].enumerated() {
      var members: [JSON.Member] = [
        .init("id", .integer(vocabulary + index)), .init("content", .string(text)), .init("special", true),
      ]
      for key in ["lstrip", "rstrip", "single_word", "normalized"] {
        members.append(.init(key, .bool(random.once(in: 30))))
      }
      added.append(.object(members))
    }
    var ids = (0..<vocabulary).map { JSON.Member(word($0), .integer($0)) }
    ids.append(.init("[UNK]", .integer(vocabulary)))
    let scores: [JSON] = (0..<vocabulary).map { .array([.string(word($0)), .number(-Double($0))]) }
    let parts: [(key: String, text: String)]
    var model: [JSON.Member]
    switch family ?? random.below(3) {
    case 0:
      parts = wordPieceParts
      model = [.init("vocab", .object(ids))]
    case 1:
      parts = bytePairParts
      model = [.init("vocab", .object(ids))]
    default:
      parts = unigramParts
      model = [.init("vocab", .array(scores))]
    }
    var members: [JSON.Member] = [.init("version", "1.0"), .init("added_tokens", .array(added))]
    for (key, text) in parts {
      guard let value = try? JSON(parsing: text) else { continue }
      if key == "model" { model = (value.members ?? []) + model } else { members.append(.init(key, value)) }
    }
    members.append(.init("model", .object(model)))
    return .object(members)
  }

  private static let wordPieceParts = [
    (
      key: "normalizer",
      text: """
      {"type": "BertNormalizer", "lowercase": true, "clean_text": true, "handle_chinese_chars": true,
       "strip_accents": null}
      """
    ), (key: "pre_tokenizer", text: #"{"type": "BertPreTokenizer"}"#),
    (
      key: "model",
      text: """
      {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
       "max_input_chars_per_word": 100}
      """
    ),
    (
      key: "post_processor",
      text: """
      {"type": "TemplateProcessing", "pair": [],
       "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                  {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
       "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [41], "tokens": ["[CLS]"]},
                          "[SEP]": {"id": "[SEP]", "ids": [42], "tokens": ["[SEP]"]}}}
      """
    ),
  ]

  private static let bytePairParts = [
    (key: "normalizer", text: #"{"type": "NFC"}"#),
    (
      key: "pre_tokenizer",
      text: """
      {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": true},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]}
      """
    ), (key: "decoder", text: #"{"type": "ByteLevel"}"#),
    (
      key: "model",
      text: """
      {"type": "BPE", "merges": ["a b", ["c", "d"]], "byte_fallback": false, "ignore_merges": false}
      """
    ),
  ]

  private static let unigramParts = [
    (
      key: "normalizer",
      text: """
      {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
      """
    ),
    (
      key: "pre_tokenizer",
      text: #"{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}"#
    ), (key: "model", text: #"{"type": "Unigram", "unk_id": 0, "byte_fallback": true}"#),
  ]

  // MARK: A folder

  /// The files of a BERT of one layer, width 8.
  static func bert(_ random: inout SeededGenerator) -> [(name: String, bytes: [UInt8])] {
    let (width, inner, rows) = (8, 16, 44)
    var tensors: [(name: String, shape: [Int])] = [
      ("embeddings.word_embeddings.weight", [rows, width]), ("embeddings.position_embeddings.weight", [16, width]),
      ("embeddings.token_type_embeddings.weight", [2, width]),
    ]
    func affine(_ name: String, _ out: Int, _ size: Int) {
      tensors.append(("\(name).weight", [out, size]))
      tensors.append(("\(name).bias", [out]))
    }
    func norm(_ name: String) {
      tensors.append(("\(name).weight", [width]))
      tensors.append(("\(name).bias", [width]))
    }
    norm("embeddings.LayerNorm")
    for part in ["query", "key", "value"] { affine("encoder.layer.0.attention.self.\(part)", width, width) }
    affine("encoder.layer.0.attention.output.dense", width, width)
    norm("encoder.layer.0.attention.output.LayerNorm")
    affine("encoder.layer.0.intermediate.dense", inner, width)
    affine("encoder.layer.0.output.dense", width, inner)
    norm("encoder.layer.0.output.LayerNorm")
    if random.once(in: 3) {
      let place = random.below(tensors.count)
      let axis = random.below(tensors[place].shape.count)
      tensors[place].shape[axis] = random.pick([0, 1, 4, 7, 9, 16])
    }
    var configuration: JSON = [
      "model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute", "num_hidden_layers": 1,
      "hidden_size": .integer(width), "num_attention_heads": 2, "max_position_embeddings": 16,
      "intermediate_size": .integer(inner), "layer_norm_eps": 1e-12, "vocab_size": .integer(rows),
      "type_vocab_size": 2,
    ]
    if random.once(in: 3), case .object(var members) = configuration {
      let place = random.below(members.count)
      members[place].value = HostileJSON.any(&random, depth: 4)
      configuration = .object(members)
    }
    let modules = ["Transformer", "Pooling", "Normalize"].enumerated().map { index, name -> JSON in
      [
        "idx": .integer(index), "name": .string("\(index)"), "path": .string(["", "1_Pooling", "2_Normalize"][index]),
        "type": .string("sentence_transformers.models.\(name)"),
      ]
    }
    let pooling: JSON = [
      "word_embedding_dimension": .integer(width), "pooling_mode_cls_token": .bool(random.once(in: 9)),
      "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false,
    ]
    func maybe(_ document: JSON) -> [UInt8] {
      random.once(in: 10) ? HostileJSON.mutated(document, &random) : Array(document.description.utf8)
    }
    var generator = random
    let weights = HostileWeights.safetensors(tensors, &generator)
    _ = random.next()
    return [
      ("config.json", maybe(configuration)),
      ("tokenizer.json", maybe(tokenizerJSON(&random, family: random.once(in: 9) ? nil : 0))),
      ("modules.json", maybe(.array(modules))), ("1_Pooling/config.json", maybe(pooling)),
      ("sentence_bert_config.json", maybe(["max_seq_length": 12, "do_lower_case": false])),
      ("model.safetensors", weights),
    ]
  }
}
