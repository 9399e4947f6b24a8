// Chat prompts: a conversation written the way a model was trained to read it, by the template in the model's own file.
// Not a list of model families: the template's Jinja is run, so default system texts and odd spacing come from the file.
// Surprise: a template may refuse a conversation (two user turns in a row); that is its author's message.

import Basics

/// One turn of a conversation.
public struct ChatMessage: Sendable, Hashable {
  /// "system", "user" or "assistant".
  public var role: String
  public var content: String

  public init(role: String, content: String) {
    self.role = role
    self.content = content
  }

  public static func system(_ content: String) -> ChatMessage { .init(role: "system", content: content) }
  public static func user(_ content: String) -> ChatMessage { .init(role: "user", content: content) }
  public static func assistant(_ content: String) -> ChatMessage { .init(role: "assistant", content: content) }
}

/// A model's chat template, ready to write prompts.
///
/// The common families (ChatML, Llama 2 and 3, Mistral, Zephyr, Gemma, Phi 3, Command R and the like) are small Jinja
/// programs; the parts of Jinja that such programs use are understood, anything else is an error that names it.
public struct ChatTemplate: Sendable, Hashable {
  private let program: Parsed

  /// What a template's text says.
  struct Parsed: Sendable, Hashable {
    var statements: [TemplateStatement]
    var scopes: TemplateScopes
  }

  /// Parses a template.
  /// - Parameter source: `tokenizer.chat_template` of a GGUF file, `chat_template` of a tokenizer_config.json.
  /// - Throws: ``Diagnostic`` of kind `format` for templates that use what is not supported; its remedy is `--raw`.
  public init(_ source: String) throws(Diagnostic) {
    guard source.utf8.count <= Self.longestSource else {
      throw Self.mistake("a text of \(source.utf8.count) bytes is no template", line: 1)
    }
    let (statements, scopes) = try TemplateParser.template(of: source)
    try TemplateNameCheck.check(statements)
    program = Parsed(statements: statements, scopes: try TemplateScopes(of: statements, count: scopes))
  }

  private static let longestSource = 1 << 20

  /// The prompt for a conversation, special tokens written out: encode it with `parsingSpecialTokens`.
  /// - Parameters:
  ///   - messages: the turns, oldest first.
  ///   - addingGenerationPrompt: end with the beginning of the assistant's answer.
  ///   - beginning: the text of the token that begins a text, which templates call `bos_token`.
  ///   - end: the text of the token that ends a text, `eos_token`.
  ///   - variables: further values for templates that ask for them, such as `["enable_thinking": false]`.
  /// - Throws: ``Diagnostic`` when the template refuses the conversation, when it uses what is not supported, or when
  ///   the last user's text does not reach the prompt.
  public func prompt(
    for messages: [ChatMessage], addingGenerationPrompt: Bool = true, beginning: String = "", end: String = "",
    variables: [String: JSON] = [:]
  ) throws(Diagnostic) -> String {
    var names: [String: JSON] = [
      "messages": .array(
        messages.map { .object([.init("role", .string($0.role)), .init("content", .string($0.content))]) }),
      "add_generation_prompt": .bool(addingGenerationPrompt), "bos_token": .string(beginning),
      "eos_token": .string(end), "tools": .null, "documents": .null,
    ]
    names.merge(variables) { $1 }
    let prompt = try text(names)
    // A template made for other names would drop the question without a word.
    if let question = messages.last(where: { $0.role == "user" })?.content {
      let words = PythonText.stripped(question)
      guard PythonText.find(Array(words.utf8), in: Array(prompt.utf8), from: 0) != nil else {
        throw Self.mistake("the user's text does not appear in the prompt it makes", line: nil)
      }
    }
    return prompt
  }

  /// What the template writes with these variables and no others.
  func text(_ variables: [String: JSON], budget: TemplateBudget = TemplateBudget()) throws(Diagnostic) -> String {
    try TemplateEvaluator(program, variables, budget: budget).run()
  }

  /// The error for a model without a template.
  public static var absent: Diagnostic {
    Diagnostic(.format, "the model has no chat template", remedy: "send the prompt as it is with --raw")
  }

  static func mistake(_ what: String, line: Int?) -> Diagnostic {
    let place = line.map { ", line \($0)" } ?? ""
    return Diagnostic(
      .format, "the model's chat template is not understood\(place): \(what)",
      remedy: "send the prompt as it is with --raw")
  }
}

extension Tokenizer {
  /// The ids of a conversation: the template's prompt, special tokens recognised, the model's beginning put before it
  /// where the file asks for one and the template has not written it already.
  public func encode(
    _ messages: [ChatMessage], template: ChatTemplate, addingGenerationPrompt: Bool = true,
    variables: [String: JSON] = [:]
  ) throws(Diagnostic) -> [Int32] {
    let prompt = try template.prompt(
      for: messages, addingGenerationPrompt: addingGenerationPrompt, beginning: beginning.map(text(of:)) ?? "",
      end: end.map(text(of:)) ?? "", variables: variables)
    let ids = encode(prompt, addingSpecialTokens: false, parsingSpecialTokens: true)
    return prefix.isEmpty || ids.starts(with: prefix) ? ids : prefix + ids
  }

  /// A token's text as the vocabulary writes it: "<|im_start|>".
  public func text(of id: Int32) -> String {
    id >= 0 && Int(id) < count ? String(decoding: tokens.text(id), as: UTF8.self) : ""
  }
}
