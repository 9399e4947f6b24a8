// `azulejo embed`: sentence embeddings of a BERT encoder.
import ArgumentParser
import Basics
import LanguageModels
import Tensors

struct EmbedCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "embed", abstract: "Turn texts into embeddings with a BERT encoder.",
    discussion: """
      The model is a directory with config.json, model.safetensors and tokenizer.json. Without --json each embedding is
      a line of numbers.

      Examples:
        azulejo embed --model all-MiniLM-L6-v2 --text "That is a happy person"
        azulejo embed --model all-MiniLM-L6-v2 --text "one" --text "two" --json
      """)

  @Option(help: ArgumentHelp("The model's directory.", valueName: "dir"))
  var model: String
  @Option(
    parsing: .unconditionalSingleValue, help: ArgumentHelp("A text; may be given several times.", valueName: "text"))
  var text: [String] = []
  @Option(
    help: ArgumentHelp(
      "What kind of text it is, by a name of the model's own prompts; its usual kind if left out.",
      valueName: "name"))
  var prompt: String?
  @OptionGroup var device: DeviceOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard !text.isEmpty else { throw ValidationError("give at least one --text") }
  }

  func run() throws {
    try device.choose()
    Console.progress("loading \(model)")
    let encoder = try BertEncoder(directory: model)
    var embeddings: [JSON] = []
    for (i, text) in text.enumerated() {
      Console.progress("text \(i + 1) of \(self.text.count)")
      let embedding = try encoder(text, prompt: prompt).array(as: Float.self)
      if output.json {
        embeddings.append(.array(embedding.map { .number(Double($0)) }))
      } else {
        Console.progress("")
        guard Console.print(embedding.map(\.description).joined(separator: " ")) else { return }
      }
    }
    Console.progress("")
    output.finish([("embeddings", .array(embeddings))])
  }
}
