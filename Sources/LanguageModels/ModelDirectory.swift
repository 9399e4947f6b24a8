// A directory that holds a model in several files, as Hugging Face and Sentence Transformers lay them out.
// Not a downloader. Surprise: only config.json, tokenizer.json and the weights must be there; the rest has defaults.
import Basics
import Formats
import Tokenizers

/// A model's directory.
struct ModelDirectory {
  let path: String

  init(_ path: String) throws(Diagnostic) {
    self.path = path
    do {
      _ = try MappedFile(path: path)
    } catch {
      // A directory cannot be mapped: that is the good case here.
      guard error.message.hasSuffix("is a directory, expected a file") else { throw error }
      return
    }
    throw Diagnostic(
      .file, "\(path): is a file, a directory with config.json, model.safetensors and tokenizer.json is needed",
      remedy: "name the directory; a single .gguf file is for `generate`")
  }

  func file(_ name: String) -> String { "\(path)/\(name)" }

  func json(_ name: String) throws(Diagnostic) -> JSON {
    let file = try MappedFile(path: file(name))
    do {
      return try file.bytes.withUnsafeBytes { try JSON(parsing: $0) }
    } catch let error as Diagnostic {
      throw mistake(name, error.message)
    } catch {
      throw mistake(name, "\(error)")
    }
  }

  /// nil if there is no such file.
  func optionalJSON(_ name: String) throws(Diagnostic) -> JSON? {
    do {
      return try json(name)
    } catch  where MappedFile.isMissing(error) {
      return nil
    }
  }

  func mistake(_ name: String, _ what: String) -> Diagnostic {
    Diagnostic(.format, "\(file(name)): \(what)", remedy: "check that the directory holds a model of the BERT family")
  }

  func settings(_ name: String) throws(Diagnostic) -> ModelSettings {
    try ModelSettings(json(name), place: file(name))
  }

  /// The settings in a file that need not be there: none then.
  func optionalSettings(_ name: String) throws(Diagnostic) -> ModelSettings {
    try ModelSettings(optionalJSON(name) ?? .object([]), place: file(name))
  }

  /// The tensors of model.safetensors in the folder `prefix` ("" or with a slash at the end).
  func tensors(_ prefix: String = "", named start: String = "") throws(Diagnostic) -> ModelTensors {
    do {
      return ModelTensors(.safetensors(try SafetensorsFile(path: file(prefix + "model.safetensors"))), prefix: start)
    } catch  where MappedFile.isMissing(error) {
      for (name, what, remedy) in Self.otherWeights where (try? MappedFile(path: file(prefix + name))) != nil {
        throw Diagnostic(
          .format, "\(file(prefix))model.safetensors: no such file; there is \(name), \(what)", remedy: remedy)
      }
      throw error
    }
  }

  /// Where weights are if they are not in model.safetensors.
  private static let otherWeights = [
    (
      "model.safetensors.index.json", "weights in several files, which are not supported",
      "save the model again with a max_shard_size that all of it fits"
    ), ("pytorch_model.bin", "a Python pickle, which can run code", "save the model again as safetensors"),
    ("adapter_config.json", "an adapter without its model", "merge the adapter into its model and save that"),
  ]

  func tokenizer() throws(Diagnostic) -> Tokenizer {
    do {
      return try Tokenizer(json: json("tokenizer.json"))
    } catch {
      var located = error
      if error.kind == .format { located.message = "\(path)/\(error.message)" }
      throw located
    }
  }
}
