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
    } catch  where error.kind == .file && error.message.hasSuffix("no such file") {
      return nil
    }
  }

  func mistake(_ name: String, _ what: String) -> Diagnostic {
    Diagnostic(.format, "\(file(name)): \(what)", remedy: "check that the directory holds a model of the BERT family")
  }

  func tokenizer() throws(Diagnostic) -> Tokenizer {
    do {
      return try Tokenizer(json: json("tokenizer.json"))
    } catch {
      var located = error
      if error.kind == .format { located.message = "\(path)/\(error.message)" }
      throw located
    }
  }

  /// How modules.json and 1_Pooling ask for one embedding; the mean of all tokens without them.
  func pooling() throws(Diagnostic) -> (BertEncoder.Pooling, normalizes: Bool) {
    guard let modules = try optionalJSON("modules.json")?.array else { return (.mean, false) }
    var pooling = BertEncoder.Pooling.mean
    var normalizes = false
    for module in modules {
      let type = module["type"]?.string ?? "?"
      switch type.split(separator: ".").last {
      case "Transformer": break
      case "Normalize": normalizes = true
      case "Pooling":
        let name = (module["path"]?.string ?? "1_Pooling") + "/config.json"
        let modes = try json(name).members?.filter { $0.key.hasPrefix("pooling_mode_") && $0.value.bool == true } ?? []
        switch modes.map(\.key) {
        case ["pooling_mode_mean_tokens"]: pooling = .mean
        case ["pooling_mode_cls_token"]: pooling = .firstToken
        case let other: throw mistake(name, "\(other) is not supported: pooling is the mean or the first token")
        }
      default: throw mistake("modules.json", "the module '\(type)' is not supported")
      }
    }
    return (pooling, normalizes)
  }
}
