// How deep, how long and how large a chat template may become: one account for its reading and its running.
// Templates come from strangers. Surprise: depth is also bounded by the stack that the calling thread really has left.

import Basics

struct TemplateBudget {
  /// What is left: every step of the evaluator costs, and so does every element and byte that a step looks at.
  private(set) var work: Int
  /// What may still be made: texts, and lists by their elements. What was given back does not come back.
  private(set) var bytes: Int
  private(set) var depth = 0
  private let deepest: Int
  private let stack = ThreadStack.current

  /// A unit of work is about a nanosecond. A conversation of a hundred turns takes a hundredth of it.
  init(work: Int = 2_000_000_000, bytes: Int = 1 << 28, deepest: Int = 200) {
    (self.work, self.bytes, self.deepest) = (work, bytes, deepest)
  }

  /// One level of nesting or one link of a chain; `leave` ends it.
  mutating func enter(_ line: Int) throws(Diagnostic) {
    depth += 1
    guard depth <= deepest else {
      throw ChatTemplate.mistake("nested deeper than \(deepest) levels", line: line)
    }
    guard stack.remaining > Self.stackReserve else {
      throw ChatTemplate.mistake("nested too deep for this thread's stack, at level \(depth)", line: line)
    }
  }

  mutating func leave() { depth -= 1 }

  /// More than one level of the evaluator takes, with all that it calls.
  private static let stackReserve = 96 << 10
  /// Of one step.
  private static let step = 1000
  /// Of one element of a list.
  static let element = 32
  /// Of one byte of a text that is read character by character.
  private static let character = 32

  mutating func step(_ line: Int) throws(Diagnostic) { try spend(Self.step, line) }

  /// Pays for looking at `amount` bytes.
  mutating func spend(_ amount: Int, _ line: Int) throws(Diagnostic) {
    work -= min(amount, work + 1)
    guard work >= 0 else { throw ChatTemplate.mistake("the template runs without end", line: line) }
  }

  /// Pays for reading `count` bytes character by character.
  mutating func read(_ count: Int, _ line: Int) throws(Diagnostic) {
    let (amount, overflow) = count.multipliedReportingOverflow(by: Self.character)
    try spend(overflow ? .max : amount, line)
  }

  /// Pays for making `amount` bytes, before they are made.
  mutating func make(_ amount: Int, _ line: Int) throws(Diagnostic) {
    bytes -= min(amount, bytes + 1)
    guard bytes >= 0 else { throw ChatTemplate.mistake("the template writes without end", line: line) }
    try spend(amount, line)
  }
}
