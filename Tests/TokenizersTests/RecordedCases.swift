// The recorded texts and ids of Tests/Oracle/tokenizer_cases.json, and the fetched models where they are.

import Basics
import Foundation
import Formats
import Testing

@testable import Tokenizers

enum RecordedCases {
  static let all = Result { try json("tokenizer_cases.json") }
  /// Families of pre-tokenizers, SentencePiece models and tokenizer.json files with every kind of step.
  static let models = Result { try json("tokenizer_models.json") }

  /// Drawn combinations of steps around small models.
  static let steps = Result { try json("tokenizer_steps.json") }

  /// Regular expressions, and how texts are cut at their matches.
  static let patterns = Result { try json("tokenizer_patterns.json") }

  /// A file of Tests/Oracle.
  static func json(_ name: String) throws -> JSON {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return try JSON(parsing: [UInt8](Data(contentsOf: folder.appendingPathComponent("Oracle/\(name)"))))
  }

  /// The variables of templates, by name.
  static func variables(_ value: JSON?) throws -> [String: JSON] {
    Dictionary(uniqueKeysWithValues: try #require(value?.members).map { ($0.key, $0.value) })
  }

  static func value(_ key: String) throws -> JSON { try #require(try all.get()[key]) }

  static func texts() throws -> [String] { try strings(value("texts")) }

  static func strings(_ value: JSON) throws -> [String] { try #require(value.array).map { try #require($0.string) } }

  static func ids(_ value: JSON) throws -> [Int32] { try #require(value.array).map { Int32(try #require($0.int)) } }

  static func idLists(_ value: JSON) throws -> [[Int32]] { try #require(value.array).map(ids) }

  static func small(_ key: String) throws -> Tokenizer {
    try Tokenizer(json: try #require(try value(key)["tokenizer"]))
  }
}

/// Files that scripts/fetch-models puts in place; tests that need them are skipped without.
enum FetchedModels {
  static let folder: String = {
    let environment = ProcessInfo.processInfo.environment
    return environment["AZULEJO_MODELS"] ?? (environment["HOME"] ?? "") + "/.cache/azulejo/models"
  }()

  static let smollm2 = folder + "/SmolLM2-135M-Instruct.Q4_1.gguf"
  static let minilm = folder + "/all-MiniLM-L6-v2/tokenizer.json"

  static func has(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

  static func smollm2Tokenizer() throws -> Tokenizer {
    let file = try GGUFFile(path: smollm2)
    return try Tokenizer(
      tokens: try file.array("tokenizer.ggml.tokens").strings(),
      merges: try file.array("tokenizer.ggml.merges").strings(),
      kinds: try file.array("tokenizer.ggml.token_type").integers().map(Int32.init),
      pretokenizer: try file.string("tokenizer.ggml.pre"),
      beginning: Int32(try file.integer("tokenizer.ggml.bos_token_id")),
      end: Int32(try file.integer("tokenizer.ggml.eos_token_id")),
      addsBeginning: try file.bool("tokenizer.ggml.add_bos_token"))
  }
}
