// The tokenizer that a GGUF file carries in its metadata. Not a reader of tokenizer.json.
import Basics
import Formats
import Tokenizers

extension Tokenizer {
  /// The tokenizer in a GGUF file's metadata.
  ///
  /// - Throws: a Diagnostic if the file has none, or one of a family that is not supported.
  public init(_ file: GGUFFile) throws(Diagnostic) {
    let family = try file.string("tokenizer.ggml.model")
    guard family == "gpt2" else {
      throw Diagnostic(
        .format, "\(file.file.path): the tokenizer family '\(family)' is not supported",
        remedy: "use a model with a byte-level BPE tokenizer (family 'gpt2'): SmolLM, Llama 3, Qwen 2")
    }
    func id(_ key: String) -> Int32? { file.metadata["tokenizer.ggml.\(key)"]?.integer.flatMap { Int32(exactly: $0) } }
    var kinds: [Int32] = []
    if file.metadata["tokenizer.ggml.token_type"] != nil {
      kinds = try file.array("tokenizer.ggml.token_type").integers().map { Int32(truncatingIfNeeded: $0) }
    }
    try self.init(
      tokens: file.array("tokenizer.ggml.tokens").strings(), merges: file.array("tokenizer.ggml.merges").strings(),
      kinds: kinds, pretokenizer: file.metadata["tokenizer.ggml.pre"]?.string ?? "", beginning: id("bos_token_id"),
      end: id("eos_token_id"), addsBeginning: file.metadata["tokenizer.ggml.add_bos_token"]?.bool,
      addsEnd: file.metadata["tokenizer.ggml.add_eos_token"]?.bool)
  }
}
