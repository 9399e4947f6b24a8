// Files that scripts/fetch-models puts in place, and the results recorded for them. Tests that need them are skipped
// without, and say so.
import Basics
import Foundation
import Formats
import Testing

enum FetchedModels {
  static let folder: String = {
    let environment = ProcessInfo.processInfo.environment
    return environment["AZULEJO_MODELS"] ?? (environment["HOME"] ?? "") + "/.cache/azulejo/models"
  }()

  static let smollm2 = folder + "/SmolLM2-135M-Instruct.Q4_1.gguf"
  static let minilm = folder + "/all-MiniLM-L6-v2"

  static let hasSmollm2 = FileManager.default.fileExists(atPath: smollm2)
  static let hasMinilm = FileManager.default.fileExists(atPath: minilm + "/model.safetensors")
}

enum Recorded {
  static func path(_ name: String) -> String {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return tests.appendingPathComponent("Oracle/\(name)").path
  }

  static func json(_ name: String) throws -> JSON {
    try JSON(parsing: [UInt8](Data(contentsOf: URL(fileURLWithPath: path(name)))))
  }
}
