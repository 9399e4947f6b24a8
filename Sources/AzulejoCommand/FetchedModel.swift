// The models that scripts/fetch-models brings, and where it puts them. Not a list of what can be run.
import Basics
import Foundation

/// Named as the script's arguments.
enum FetchedModel: String, CaseIterable {
  case smollm2, minilm

  static var folder: String {
    Knobs.current.models ?? (ProcessInfo.processInfo.environment["HOME"] ?? "") + "/.cache/azulejo/models"
  }

  /// Of a model that is a folder, the file with its weights.
  var weights: String {
    let name =
      switch self {
      case .smollm2: "SmolLM2-135M-Instruct.Q4_1.gguf"
      case .minilm: "all-MiniLM-L6-v2/model.safetensors"
      }
    return "\(Self.folder)/\(name)"
  }

  var isThere: Bool { FileManager.default.isReadableFile(atPath: weights) }
}
