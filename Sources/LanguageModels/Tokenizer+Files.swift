// Where tokenizers and chat templates lie in model files: the keys of GGUF, the tokenizer.json of a folder.
// Not the tokenizers themselves. Surprise: a GGUF vocabulary of another family (sentence pieces) is refused by name.

import Basics
import Formats
import Tokenizers

extension Tokenizer {
  /// The tokenizer inside a GGUF file.
  /// - Throws: ``Diagnostic`` of kind `format` for vocabularies that are not byte-level BPE, and for damaged ones.
  public init(_ file: GGUFFile) throws(Diagnostic) {
    let family = try file.string("tokenizer.ggml.model")
    guard family == "gpt2" else {
      throw Diagnostic(
        .format, "\(file.file.path): its tokenizer is of the family '\(family)'",
        remedy: "use a model whose tokenizer.ggml.model is 'gpt2' (byte-level BPE)")
    }
    func id(_ key: String) throws(Diagnostic) -> Int32? {
      guard file.metadata[key] != nil else { return nil }
      // Out of range becomes -1, which no vocabulary has.
      return Int32(exactly: try file.integer(key)) ?? -1
    }
    func flag(_ key: String) throws(Diagnostic) -> Bool? { file.metadata[key] == nil ? nil : try file.bool(key) }
    let kinds = "tokenizer.ggml.token_type"
    try self.init(
      tokens: try file.array("tokenizer.ggml.tokens").strings(),
      merges: try file.array("tokenizer.ggml.merges").strings(),
      kinds: file.metadata[kinds] == nil ? [] : try file.array(kinds).integers().map { Int32(clamping: $0) },
      pretokenizer: file.metadata["tokenizer.ggml.pre"]?.string ?? "",
      beginning: try id("tokenizer.ggml.bos_token_id"), end: try id("tokenizer.ggml.eos_token_id"),
      addsBeginning: try flag("tokenizer.ggml.add_bos_token"), addsEnd: try flag("tokenizer.ggml.add_eos_token"))
  }

  /// The tokenizer of a tokenizer.json file.
  /// - Throws: ``Diagnostic`` of kind `file` or `format`.
  public init(path: String) throws(Diagnostic) {
    let file = try MappedFile(path: path)
    let json: Result<JSON, Diagnostic> = file.bytes.withUnsafeBytes { bytes in
      do throws(Diagnostic) { return .success(try JSON(parsing: bytes)) } catch {
        return .failure(Diagnostic(error.kind, "\(path): \(error.message)", remedy: error.remedy))
      }
    }
    try self.init(json: try json.get())
  }
}

extension ChatTemplate {
  /// The chat template inside a GGUF file.
  /// - Throws: ``ChatTemplate/absent`` where there is none; a ``Diagnostic`` that names `--raw` for one that is not
  ///   understood.
  public init(_ file: GGUFFile) throws(Diagnostic) {
    guard let source = file.metadata["tokenizer.chat_template"]?.string else { throw Self.absent }
    try self.init(source)
  }
}
