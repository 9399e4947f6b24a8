// Hostile chat templates: whatever they say, there is a text or an error, soon, in bounded memory and a small stack.
// Real templates are cut up and put together otherwise, and the ways to be endless are tried one by one.

import Basics
import Dispatch
import Foundation
import Testing

@testable import Tokenizers

@Suite struct TemplateFuzzTests {
  /// More samples than the test runs, for a longer look: AZULEJO_TEMPLATE_SAMPLES=100000.
  private static let samples =
    ProcessInfo.processInfo.environment["AZULEJO_TEMPLATE_SAMPLES"].flatMap { Int($0) } ?? 1500

  @Test func cut_up_templates_end_with_a_text_or_an_error() throws {
    let cases = try RecordedCases.json("chat_template_cases.json")
    let variables = try RecordedCases.variables(cases["random_variables"])
    var sources = try #require(cases["families"]?.array).compactMap { $0["template"]?.string }
    sources += try #require(cases["expressions"]?.array).compactMap { $0["template"]?.string }
    sources += try #require(cases["random"]?.array).prefix(300).compactMap { $0[0]?.string }
    var mutator = TemplateMutator(sources, seed: 1)
    var made: [String] = []
    for _ in 0..<Self.samples { made.append(mutator.next()) }
    let (templates, slowest) = (made, Longest())
    try onSmallStack {
      var texts = 0
      for template in templates {
        let begin = ContinuousClock.now
        if (try? ChatTemplate(template).text(variables, budget: TemplateBudget(work: 100_000_000))) != nil {
          texts += 1
        }
        slowest.note(ContinuousClock.now - begin, template)
      }
      #expect(texts > templates.count / 50, "only \(texts) of \(templates.count) give a text: the mutator is too wild")
    }
    #expect(slowest.time < .seconds(10), "\(slowest.time) for \(slowest.template)")
  }

  /// Everything that could be nested, repeated or doubled for ever.
  private static let endless: [String] = {
    let many = 2_000
    func nested(_ begin: String, _ end: String = "") -> String {
      String(repeating: begin, count: many) + end + String(repeating: end, count: many)
    }
    let chains = ["+ 1", "- 1", "* 1", "** 1", "and 1", "or 1", "if 1", "if 1 else 1", "is defined"]
      .map { "{{ 1" + String(repeating: " \($0)", count: many) + " }}" }
    let postfixes = [".a", "[0]", "()", "|e", "|map('e')"].map { "{{ a" + String(repeating: $0, count: many) + " }}" }
    let brackets = ["(", "[", "{1:", "not ", "-", "+", "a(", "a[", "a|e(", "1 if ", "1 if 1 else "]
      .map { "{{ " + String(repeating: $0, count: many) + "1 }}" }
    let blocks = [
      "{% if 1 %}", "{% for a in [1] %}", "{% with %}", "{% set x %}", "{% macro m() %}", "{% filter e %}",
      "{% call m() %}", "{% generation %}", "{% if 0 %}{% else %}", "{% for a in [] %}{% else %}",
    ].map { nested($0) }
    let growing = "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(99999) %}"
    let loops = [
      "{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}", "{% set ns.x = {'a': ns.x} %}{% endfor %}{{ ns.x }}",
      "{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ ns.x }}", "{% set ns.x = ns.x + ns.x %}{% endfor %}",
      "{% set ns.x = ns.x ~ ns.x %}{% endfor %}", "{% set ns.x = ns.x|map('int') %}{% endfor %}{{ ns.x|list }}",
      "{% for j in range(99999) %}{% endfor %}{% endfor %}", "{{ ns.x|replace('', ns.x|string * 9999) }}{% endfor %}",
      "{% set ns.x = ns.x|tojson(indent=9999) %}{% endfor %}",
      "{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}",
    ].map { growing + $0 }
    let doubled =
      "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(90) %}"
      + "{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}"
    let graphs = [
      "{{ ns.x }}", "{{ ns.x == ns.y }}", "{{ ns.x < ns.y }}", "{{ ns.x|tojson }}", "{{ ns.x|string|length }}",
    ]
    .map { doubled + $0 }
    let calls = [
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{% macro m(x) %}{{ m([x]) }}{% endmacro %}{{ m(1) }}",
      "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
      "{% macro m(a=m()) %}{% endmacro %}{{ m() }}",
      "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{{ caller }}{% endmacro %}{{ m() }}",
      "{% set ns = namespace(x=1) %}{% set ns.x = [ns] %}{{ ns.x == [ns] }}{{ ns.x }}",
    ]
    let large = [
      "{{ range(999999999999) }}", "{{ 'x' * 999999999999 }}", "{{ [1] * 999999999999 }}", "{{ '%999999999s' % 1 }}",
      "{{ '{:999999999}'.format(1) }}", "{{ '%.999999999f' % 1.5 }}", "{{ '%*d' % (9223372036854775807, 1) }}",
      "{{ 'a'.center(9223372036854775807) }}", "{{ 'a'.zfill(9223372036854775807) }}",
      "{{ [1]|batch(9223372036854775807, 1)|list }}",
      "{{ [1]|slice(9223372036854775807)|list }}", "{{ ('\\t' * 99999).expandtabs(99999) }}",
      "{{ 9223372036854775807 + 1 }}",
      "{{ 9223372036854775807 * 2 }}", "{{ -9223372036854775807 - 2 }}", "{{ (-9223372036854775807 - 1) // -1 }}",
      "{{ -(-9223372036854775807 - 1) }}", "{{ (-9223372036854775807 - 1)|abs }}", "{{ 2 ** 9223372036854775807 }}",
      "{{ 10.0 ** 400 }}", "{{ 1e300|int }}", "{{ 1e300|filesizeformat }}", "{{ [1][::0] }}", "{{ '%c' % 55296 }}",
      "{{ 1 // 0 }}",
      "{{ 1 % 0 }}", "{{ 0 ** -1 }}", "{{ {'index0': -1}.cycle('a', 'b') }}", "{{ '\\ud800' }}",
    ]
    return chains + postfixes + brackets + blocks + loops + graphs + calls + large
  }()

  @Test func endless_deep_and_huge_templates_end_in_an_error_on_a_small_stack() throws {
    try onSmallStack {
      for source in Self.endless {
        #expect(throws: Diagnostic.self, "\(source.prefix(90))") {
          try ChatTemplate(source).text(["a": 1], budget: TemplateBudget(work: 20_000_000))
        }
      }
    }
  }

  @Test func the_templates_own_refusal_comes_out_of_macros_in_loops() {
    let source = "{% macro m() %}{{ raise_exception('no') }}{% endmacro %}"
    for depth in 0..<8 {
      let loops =
        String(repeating: "{% for i in [1] %}", count: depth) + "{{ m() }}"
        + String(repeating: "{% endfor %}", count: depth)
      let error = #expect(throws: Diagnostic.self) { try ChatTemplate(source + loops).prompt(for: [.user("x")]) }
      #expect(error?.kind == .argument && error?.message.contains("no") == true, "\(depth) loops")
    }
  }

  @Test func a_chain_of_objects_of_any_length_is_freed_on_a_small_stack() throws {
    try onSmallStack {
      for link in ["namespace(x=ns.x)", "ns.x|map('int')", "cycler(ns.x)"] {
        let source = "{% set ns = namespace(x=1) %}{% for i in range(20000) %}{% set ns.x = \(link) %}{% endfor %}done"
        let text = try? ChatTemplate(source).text([:])
        #expect(text == "done", "\(link)")
      }
    }
  }

  /// Runs `body` on a thread with 512 KiB of stack, as those of dispatch queues have.
  private func onSmallStack(_ body: @escaping @Sendable () throws -> Void) throws {
    let done = DispatchSemaphore(value: 0)
    let thread = Thread {
      do { try body() } catch { Issue.record(error) }
      done.signal()
    }
    thread.stackSize = 512 << 10
    thread.start()
    done.wait()
  }
}

/// The slowest of some templates.
private final class Longest: @unchecked Sendable {
  // Written by one thread, read when it has ended: the semaphore orders them.
  private(set) var time: Duration = .zero
  private(set) var template = ""

  func note(_ time: Duration, _ template: String) {
    if time > self.time { (self.time, self.template) = (time, template) }
  }
}

/// Makes templates of the pieces of others.
struct TemplateMutator {
  private let sources: [String]
  private let pieces: [String]
  private var state: UInt64

  init(_ sources: [String], seed: UInt64) {
    self.sources = sources
    state = seed
    var pieces: Set<String> = [
      "{{", "}}", "{%", "%}", "{{-", "-%}", "{#", "#}", "|", "(", ")", "[", "]", "{", "}", "'", "\"", "\\", "\n", ".",
      ",",
      "-9223372036854775808", "1e308", "0", "''", "none", "loop", "loop.cycle(1)", "caller()", "messages", "[messages]",
      "recursive", " is ", " not ", " in ", "{% endfor %}", "{% endif %}", "{% else %}", "{% endmacro %}", "é",
      "\u{1F600}", "\0",
    ]
    for source in sources {
      var piece = ""
      for scalar in source.unicodeScalars {
        let isWord = PythonText.isWordPart(scalar)
        if let last = piece.unicodeScalars.last, PythonText.isWordPart(last) != isWord || !isWord {
          pieces.insert(piece)
          piece = ""
        }
        piece.unicodeScalars.append(scalar)
      }
    }
    self.pieces = pieces.sorted()
  }

  /// SplitMix64 (Steele, Lea and Flood 2014).
  private mutating func number(below bound: Int) -> Int {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return Int((z ^ (z >> 31)) % UInt64(max(bound, 1)))
  }

  mutating func next() -> String {
    var scalars = Array(sources[number(below: sources.count)].unicodeScalars)
    for _ in 0...number(below: 6) {
      let start = number(below: scalars.count + 1)
      let end = min(scalars.count, start + number(below: 30))
      switch number(below: 6) {
      case 0: scalars.removeSubrange(start..<end)
      case 1: scalars.insert(contentsOf: pieces[number(below: pieces.count)].unicodeScalars, at: start)
      case 2: scalars.insert(contentsOf: scalars[start..<end], at: number(below: scalars.count + 1))
      case 3:
        let other = Array(sources[number(below: sources.count)].unicodeScalars)
        let from = number(below: other.count + 1)
        scalars.replaceSubrange(start..<end, with: other[from..<min(other.count, from + number(below: 120))])
      case 4: scalars.replaceSubrange(start..<end, with: pieces[number(below: pieces.count)].unicodeScalars)
      default:
        let part = Array(scalars[start..<end])
        for _ in 0..<number(below: 200) { scalars.insert(contentsOf: part, at: start) }
      }
    }
    return PythonText.string(scalars)
  }
}
