// The families of pre-tokenizers that GGUF files name in `tokenizer.ggml.pre`: their patterns, and what goes with them.
// Not the cutting. Surprise: one name stands for more than a pattern: whether a beginning is put before a text by default,
// and whether a word that is a token is taken whole.

import Basics

/// What the name of a family stands for.
struct PretokenizerFamily: Sendable {
  var names: [String]
  var patterns: [String]
  /// A word that is a token as a whole is taken as it is.
  var takesWholeWords = false
  /// A beginning is put before a text where the file does not say.
  var addsBeginning = false

  func rules() throws(Diagnostic) -> [SplitRule] {
    var rules: [SplitRule] = []
    for pattern in patterns { rules.append(try SplitRule(pattern: pattern)) }
    return rules
  }

  /// The family called `name`.
  ///
  /// - Throws: a Diagnostic that lists the known names.
  static func named(_ name: String) throws(Diagnostic) -> PretokenizerFamily {
    if let family = all.first(where: { $0.names.contains(name) }) { return family }
    let names = all.flatMap(\.names).filter { !$0.isEmpty }.sorted().joined(separator: ", ")
    throw Diagnostic(
      .format, "unknown pre-tokenizer '\(name)': this text would be cut wrongly",
      remedy: "use a model whose tokenizer.ggml.pre is one of: \(names)")
  }

  private static let gpt2 = SplitRule.gpt2.pattern
  private static let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
  private static let signs = ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"##
  private static let (upper, lower) = (#"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#, #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#)
  /// DeepSeek 3's last pattern: marks belong to words, symbols to signs.
  private static let markedWords =
    signs + #"[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  private static let kana = #"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+"#
  private static let ideographs = #"[\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+"#
  private static let lists = #" ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{0964}\x{06D4}\x{060C})]+"#

  /// As Llama 3's, with other numbers or line ends.
  private static func words(_ numbers: String, lines: String = #"\s*[\r\n]+"#, tail: String = #"[\r\n]*"#) -> String {
    contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|"# + numbers + #"| ?[^\s\p{L}\p{N}]+"# + tail + "|" + lines
      + #"|\s+(?!\S)|\s+"#
  }

  static let all: [PretokenizerFamily] = [
    .init(
      names: [
        "", "gpt-2", "gpt2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v1-en", "jina-v2-es", "jina-v2-de",
        "jina-v2-code", "roberta-bpe", "mpt", "olmo", "jais", "mellum", "modern-bert", "exaone4", "a.x-4.0", "trillion",
        "granite-docling",
      ], patterns: [gpt2]),
    // What files without a name are cut by.
    .init(names: ["default"], patterns: [#"[\p{P}\$\+<=>\^~\|]+"#, gpt2, #"\p{N}+"#, "[0-9][0-9][0-9]"]),
    .init(
      names: [
        "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2",
      ], patterns: [SplitRule.eachNumber.pattern, gpt2]),
    .init(
      names: [
        "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano",
      ],
      patterns: [SplitRule.words(digits: 3).pattern], takesWholeWords: true, addsBeginning: true),
    .init(names: ["dbrx", "smaug-bpe", "chatglm-bpe"], patterns: [SplitRule.words(digits: 3).pattern]),
    .init(names: ["glm4", "glm5"], patterns: [SplitRule.words(digits: 3).pattern], takesWholeWords: true),
    .init(
      names: [
        "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "stablelm2", "megrez", "hunyuan", "solar-open", "grok-2",
      ], patterns: [SplitRule.words(digits: 1).pattern]),
    .init(
      names: ["qwen35"],
      patterns: [
        contractions
          + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
      ]),
    .init(
      names: ["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"],
      patterns: [SplitRule.casedWords(digits: 3, contractions: true).pattern]),
    .init(
      names: ["granite-embed-multi-97m"], patterns: [SplitRule.casedWords(digits: 3, contractions: true).pattern],
      takesWholeWords: true),
    .init(
      names: ["tekken"], patterns: [SplitRule.casedWords(digits: 1, contractions: false).pattern],
      takesWholeWords: true, addsBeginning: true),
    .init(
      names: ["tiny_aya", "cohere2moe"],
      patterns: [#"\d{1,3}(?=(?:\d{3})*\b)"#, SplitRule.casedWords(digits: 3, contractions: true).pattern]),
    .init(
      names: ["falcon"],
      patterns: [#"[\p{P}\$\+<=>\^~\|`]+"#, gpt2, "[0-9][0-9][0-9]"]),
    .init(
      names: ["deepseek-llm"],
      patterns: [
        #"[\r\n]"#, #"\s?"# + cased + "+",
        #"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+"#,
        #"\s+$"#, ideographs, #"\p{N}+"#,
      ]),
    .init(
      names: ["deepseek-coder"], patterns: [#"[\r\n]"#, #"\s?\p{L}+"#, #"\s?\p{P}+"#, ideographs, #"\p{N}"#]),
    .init(
      names: ["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"], patterns: [#"\p{N}{1,3}"#, kana, markedWords]),
    .init(
      names: ["youtu"],
      patterns: [
        #"[\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+|[\x{FF01}\x{2026}\x{201C}\x{201D}\x{2018}\x{2019}\x{2014}\x{FF1A}\x{FF1B}\x{FF0C}\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+|[\x{3105}-\x{312F}]+|"#
          + kana,
        #"[^\r\n\p{L}\p{N}]?\#(upper)*\#(lower)+\#(contractions)?|[^\r\n\p{L}\p{N}]?\#(upper)+\#(lower)*\#(contractions)?|"#
          + #"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
      ], takesWholeWords: true),
    .init(names: ["poro-chat", "bloom", "gpt3-finnish"], patterns: [lists]),
    .init(names: ["viking"], patterns: [lists, #"\p{N}"#]),
    .init(
      names: ["bailingmoe", "bailingmoe2", "llada-moe"],
      patterns: [
        #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#
      ]),
    .init(
      names: ["seed-coder"],
      patterns: [
        contractions
          + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"#
      ]),
    .init(
      names: ["exaone-moe"],
      patterns: [
        contractions
          + #"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"#
      ]),
    .init(
      names: ["minicpm5"], patterns: [#"\p{N}{1,3}"#, words(#"\p{N}+"#)], takesWholeWords: true),
    .init(
      names: ["jais-2"],
      patterns: [
        contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"#
          + [512, 256, 128, 64, 32, 16, 8, 4].map { #"\s{\#($0)}(?!\S)|"# }.joined() + #"\s{1,2}(?!\S)|\s{1}"#
      ]),
    .init(
      names: ["chameleon"],
      patterns: [
        "<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", #"([\t\n]|    |  )"#, #"\p{N}"#,
        #"[\p{P}!-/:-@\[-`{-~]"#, gpt2,
      ], addsBeginning: true),
    .init(names: ["laguna"], patterns: [#"[^\n]+|[\n]+"#, SplitRule.words(digits: 1).pattern]),
    .init(
      names: ["ufakzeka"],
      patterns: [#"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#]),
  ]

  /// Letters that have a case, as DeepSeek's first tokenizer lists them.
  private static let cased =
    #"[\x{41}-\x{5A}\x{61}-\x{7A}\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}"#
    + #"\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}"#
    + #"\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}"#
    + #"\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}"#
    + #"\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}"#
    + #"\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}"#
    + #"\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}"#
    + #"\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}"#
    + #"\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}"#
    + #"\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}"#
    + #"\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}"#
    + #"\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}"#
    + #"\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}"#
    + #"\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}"#
    + #"\x{1E900}-\x{1E943}]"#
}
