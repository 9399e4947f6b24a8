// Tokenizers in the metadata of GGUF files: families, their settings, and the names of what is refused.
import Basics
import Formats
import TestSupport
import Testing
import Tokenizers

@testable import LanguageModels

@Suite struct GGUFTokenizerTests {
  private static let tokens = ["<unk>", "<s>", "</s>", "a", "b", "ab", "\u{2581}", "\u{2581}a", "x", "y"]

  /// A file with the vocabulary above and these settings beside.
  private func tokenizer(
    _ family: String, _ settings: [(String, RewrittenModel.Value)] = []
  ) throws -> Result<Tokenizer, Diagnostic> {
    var file = RewrittenModel()
    file.set("tokenizer.ggml.model", .text(family))
    file.set("tokenizer.ggml.tokens", .texts(Self.tokens))
    file.set("tokenizer.ggml.token_type", .integers([2, 3, 3, 1, 1, 1, 1, 1, 1, 1]))
    if family == "gpt2" {
      file.set("tokenizer.ggml.merges", .texts(["a b"]))
      file.set("tokenizer.ggml.pre", .text("gpt-2"))
    } else {
      file.set("tokenizer.ggml.scores", .numbers((0..<10).map { -Float($0) }))
    }
    for (key, value) in settings { file.set("tokenizer.ggml.\(key)", value) }
    let scratch = try ScratchFolder()
    let opened = try GGUFFile(path: try scratch.write(file.bytes(), "model.gguf"))
    do throws(Diagnostic) { return .success(try Tokenizer(opened)) } catch { return .failure(error) }
  }

  private func refusal(_ family: String, _ settings: [(String, RewrittenModel.Value)] = []) throws -> String {
    switch try tokenizer(family, settings) {
    case .success: return ""
    case .failure(let error):
      #expect(error.remedy != nil)
      return error.message
    }
  }

  @Test func every_family_cuts_in_its_own_way() throws {
    #expect(try tokenizer("gpt2").get().encode("ab") == [5])
    #expect(try tokenizer("llama").get().encode("ab") == [1, 6, 5])
    #expect(try tokenizer("llama", [("add_space_prefix", .flag(false))]).get().encode("ab") == [1, 5])
    let settings = [("eos_token_id", RewrittenModel.Value.integer(2)), ("add_space_prefix", .flag(true))]
    #expect(try tokenizer("t5", settings).get().encode("ab") == [6, 5, 2])
  }

  @Test func every_end_that_the_file_names_ends_a_generation() throws {
    for family in ["gpt2", "llama", "t5"] {
      for key in ["eos", "eot", "eom"] {
        let ends = try tokenizer(family, [("\(key)_token_id", .integer(8))]).get().endOfGeneration
        #expect(ends.contains(8) && !ends.contains(9), "\(family) \(key)")
      }
      #expect(try refusal(family, [("eot_token_id", .integer(10))]).contains("10"))
      #expect(try refusal(family, [("eos_token_id", .long(1 << 62))]).contains("eos_token_id"))
    }
  }

  @Test func unknown_families_and_settings_are_refused_by_name() throws {
    #expect(try refusal("rwkv").contains("'rwkv'"))
    #expect(try refusal("gpt2", [("pre", .text("martian"))]).contains("'martian'"))
    #expect(try refusal("llama", [("pre", .text("gemma4"))]).contains("tokenizer.ggml.pre"))
    for family in ["gpt2", "llama", "t5"] {
      #expect(try refusal(family, [("suppress_tokens", .integers([1]))]).contains("suppress_tokens"))
      #expect(try refusal(family, [("add_bos_token", .integer(1))]).contains("add_bos_token"))
      #expect(try refusal(family, [("padding_token_id", .integer(0))]) == "")
    }
    #expect(try refusal("gpt2", [("add_space_prefix", .flag(true))]).contains("add_space_prefix"))
    #expect(try refusal("llama", [("scores", .numbers([1]))]).contains("scores"))
  }
}
