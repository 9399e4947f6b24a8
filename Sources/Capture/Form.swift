// What a plan depends on beside the leaves of its arguments: dynamic types of members, cases of enums, and stored members
// that `visit` leaves out. Not the leaves. Surprise: it is a list of plain words that is compared as a whole; what the words
// mean is only written down (`Notes`) while a function is captured.
import Tensors

/// The structure and the plain content of trees, in the order of a visit.
struct Form: Sendable {
  private(set) var words: ContiguousArray<UInt> = []
  private(set) var values: [ComparableValue] = []
  /// nil on calls, which only compare.
  var notes: Notes?

  /// What the words mean, and what cannot be a word.
  struct Notes: Sendable {
    /// Names of the members around the one that is read.
    var path: [String] = []
    fileprivate(set) var texts: [String] = []
    fileprivate(set) var valueTexts: [String] = []
    /// Those that are more than the type of a member.
    fileprivate(set) var facts: [String] = []
    fileprivate(set) var refusals: [Refusal] = []
    /// Tensors in members that no visit showed, and whose they are.
    fileprivate(set) var tensors: [HiddenTensor] = []
    /// Keeps what words point to, so that nothing else gets its address.
    fileprivate(set) var kept: [ComparableValue] = []
    /// The type whose stored members are read, and where it stands in `path`.
    private(set) var owner = ""
    private var depth = 0

    /// Reads members of `type` from here on.
    mutating func enter(_ type: Any.Type) { (owner, depth) = ("\(type)", path.count) }
    /// From the owner on.
    fileprivate var member: [String] { Array(path.dropFirst(depth)) }
  }

  /// A member whose changes no call could see.
  struct Refusal: Sendable {
    var owner: String
    var path: [String]
    var reason: String
  }

  mutating func add(_ word: UInt, _ text: @autoclosure () -> String) {
    words.append(word)
    guard let notes else { return }
    let text = "\(notes.name) \(text())"
    self.notes?.texts.append(text)
    self.notes?.facts.append(text)
  }

  mutating func add(type: Any.Type, _ text: @autoclosure () -> String) {
    words.append(Self.word(type))
    if let notes { self.notes?.texts.append("\(notes.name) \(text())") }
  }

  mutating func add(_ value: AnyHashable, _ saying: @autoclosure () -> String? = nil) {
    // As ExactText: the type's own comparison takes é as one scalar for é as two.
    let string =
      value.base as? String ?? (value.base as? Substring).map { String($0) }
      ?? (value.base as? Character).map { String($0) }
    values.append(ComparableValue(string.map { AnyHashable(ExactText($0)) } ?? value))
    guard let notes else { return }
    let text = "\(notes.name) \(saying() ?? "is \(value)")"
    self.notes?.valueTexts.append(text)
    self.notes?.facts.append(text)
  }

  /// `value` is in a member that no visit showed.
  mutating func add(tensor: Tensor) {
    guard let notes else { return }
    self.notes?.tensors.append(HiddenTensor(tensor: tensor, owner: notes.owner, path: notes.member))
  }

  /// No plan has such a word: the call is captured, and that is told.
  mutating func refuse(_ reason: @autoclosure () -> String) {
    words.append(.max)
    guard let notes else { return }
    self.notes?.texts.append("\(notes.name) cannot be compared")
    self.notes?.refusals.append(Refusal(owner: notes.owner, path: notes.member, reason: reason()))
  }

  mutating func keep(_ value: @autoclosure () -> Any) {
    if notes != nil { notes?.kept.append(ComparableValue(kept: value())) }
  }

  /// Reads a member called `name`.
  mutating func inside<R>(_ name: String, _ body: (inout Form) -> R) -> R {
    if notes == nil { return body(&self) }
    notes?.path.append(name)
    defer { notes?.path.removeLast() }
    return body(&self)
  }

  /// What a call asks.
  func fits(_ other: Form) -> Bool { words == other.words && values == other.values }

  /// The first thing that is otherwise in `other`, with what it is now; nil: nothing. Both have notes.
  func change(to other: Form) -> String? {
    if fits(other) { return nil }
    for (i, word) in other.words.enumerated() where i >= words.count || words[i] != word {
      return other.notes?.texts[i] ?? "the structure is another"
    }
    for (i, value) in other.values.enumerated() where i >= values.count || values[i] != value {
      return other.notes?.valueTexts[i] ?? "a value is another"
    }
    return "there are fewer members"
  }

  /// Cases and plain members, for reports.
  var facts: [String] { notes?.facts ?? [] }

  /// Equal, in memory of its own.
  var copied: Form {
    var made = self
    made.words = ContiguousArray(words.map { $0 })
    made.values = values.map { $0 }
    return made
  }

  /// In words that another process can compare.
  var description: [String] { (notes?.texts ?? []) + (notes?.valueTexts ?? []) }
}

extension Form.Notes {
  fileprivate var name: String { path.isEmpty ? "the argument" : "'\(path.joined(separator: "."))'" }
}

// @unchecked Sendable: immutable, and taken out of a Tree, whose stored members are Sendable.
struct ComparableValue: @unchecked Sendable, Hashable {
  private let value: AnyHashable?
  private let kept: Any?

  init(_ value: AnyHashable) { (self.value, kept) = (value, nil) }
  /// Only held.
  init(kept: Any) { (value, self.kept) = (nil, kept) }

  static func == (a: Self, b: Self) -> Bool { a.value == b.value }
  func hash(into hasher: inout Hasher) { hasher.combine(value) }
}
