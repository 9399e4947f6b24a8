import Basics
import Testing

@testable import Tokenizers

@Suite struct ChatTemplateTests {
  private static let cases = Result { try RecordedCases.json("chat_template_cases.json") }

  private func recorded(_ key: String) throws -> [JSON] { try #require(try Self.cases.get()[key]?.array) }

  private func conversations() throws -> [[ChatMessage]] {
    try recorded("conversations").map { conversation in
      try #require(conversation.array).map {
        ChatMessage(role: try #require($0["role"]?.string), content: try #require($0["content"]?.string))
      }
    }
  }

  @Test func prompts_of_the_common_families_equal_the_recorded_ones() throws {
    let conversations = try conversations()
    for family in try recorded("families") {
      let name = try #require(family["name"]?.string)
      let template = try ChatTemplate(try #require(family["template"]?.string))
      for (messages, prompts) in zip(conversations, try #require(family["prompts"]?.array)) {
        for (index, adding) in [true, false].enumerated() {
          let made = try? template.prompt(
            for: messages, addingGenerationPrompt: adding, beginning: "<s>", end: "</s>")
          #expect(made == prompts[index]?.string, "\(name): \(messages)")
        }
      }
    }
  }

  @Test func expressions_give_what_jinja_gives_and_refuse_what_it_refuses() throws {
    let variables = try #require(try Self.cases.get()["variables"]?.members)
    let names = Dictionary(uniqueKeysWithValues: variables.map { ($0.key, $0.value) })
    for expression in try recorded("expressions") {
      let source = try #require(expression["template"]?.string)
      let made = Result { try ChatTemplate(source).prompt(for: [], variables: names) }
      switch made {
      case .success(let text): #expect(text == expression["text"]?.string, "\(source)")
      case .failure(let error): #expect(expression["text"]?.isNull == true, "\(source): \(error)")
      }
    }
  }

  @Test func what_is_not_supported_is_named_with_its_line_and_raw_as_the_way_out() {
    for (source, name) in [
      ("\n\n{% include 'x' %}", "include"), ("{{ 1 }}\n{{ messages|nosuch }}", "nosuch"),
      ("{{ messages is weird }}", "weird"), ("{{ function(1) }}", "function"),
      ("{% autoescape true %}", "autoescape"), ("{{ 'a'.encode() }}", "encode"), ("{{ [1]|random }}", "random"),
    ] {
      let error = #expect(throws: Diagnostic.self) { try ChatTemplate(source).prompt(for: [.user("x")]) }
      #expect(error?.kind == .format)
      #expect(error?.message.contains(name) == true && error?.message.contains("line") == true, "\(source)")
      #expect(error?.remedy?.contains("--raw") == true)
    }
    #expect(ChatTemplate.absent.remedy?.contains("--raw") == true)
  }

  @Test func a_template_that_drops_the_question_is_refused() {
    let error = #expect(throws: Diagnostic.self) { try ChatTemplate("{{ bos_token }}Hello").prompt(for: [.user("x")]) }
    #expect(error?.remedy?.contains("--raw") == true)
  }

  @Test func the_templates_own_refusal_reaches_the_user() {
    let error = #expect(throws: Diagnostic.self) {
      try ChatTemplate("{{ raise_exception('one turn only') }}").prompt(for: [.user("x")])
    }
    #expect(error?.kind == .argument && error?.message.contains("one turn only") == true)
  }

  @Test(.enabled(if: FetchedModels.has(FetchedModels.smollm2), "needs the SmolLM2 GGUF: run scripts/fetch-models"))
  func smollm2_chat_ids_equal_those_of_the_recorded_run() throws {
    let tokenizer = try FetchedModels.smollm2Tokenizer()
    let source = try #require(
      try recorded("families").first { $0["name"]?.string == "smollm2" }?["template"]?.string)
    let ids = try tokenizer.encode([.user("What is the capital of France?")], template: ChatTemplate(source))
    // The ids of the run recorded in smollm2.json.
    let expected: [Int32] = [
      1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411, 407, 19712, 8182, 2, 198,
      1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198,
    ]
    #expect(ids == expected)
    #expect(tokenizer.encode("def fibonacci(n):\n    ") == [1604, 3987, 46477, 24, 94, 727, 2367])
    let raw = "Once upon a time, in a small village by the sea,"
    #expect(tokenizer.encode(raw) == [6403, 1980, 253, 655, 28, 281, 253, 1165, 6560, 411, 260, 3426, 28])
  }
}
