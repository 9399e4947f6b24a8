// The regular expressions that cut texts, read into small programs: classes, groups, alternatives, repetitions, looks ahead.
// Not a general engine: no captures, no looks behind, nothing that depends on what was matched before. Surprise: because
// of that, a place that failed once fails always, and all matches of a text take time linear in it (`SplitMatcher`).
// `^` and `$` are those of lines, as in the library that tokenizers use (Oniguruma with Ruby's syntax).

import Basics

/// A pattern ready to match.
struct SplitPattern: Sendable, Hashable {
  /// Where the pattern goes on; alternatives are tried in order.
  enum Instruction: Sendable, Hashable {
    case one(ScalarSet)
    case fork(Int, Int)
    case jump(Int)
    /// What follows must match the program, or must not.
    case look(Int, isNegative: Bool)
    /// The program's first match, never given back.
    case atomic(Int)
    /// Of the text, or of a line in it.
    case atStart(ofLine: Bool)
    case atEnd(ofLine: Bool)
    case atBoundary(isNegative: Bool)
    case accept

    /// Whether a match remembers that it failed from here on: where it could otherwise come again.
    var isRemembered: Bool {
      switch self {
      case .fork, .look, .atomic: true
      case .one, .jump, .atStart, .atEnd, .atBoundary, .accept: false
      }
    }
  }

  let source: String
  /// The first is the pattern itself, the others are looks and atomic groups in it.
  private(set) var programs: [[Instruction]] = []

  /// - Throws: a Diagnostic that quotes the pattern and says what in it is not supported.
  init(_ source: String) throws(Diagnostic) {
    self.source = source
    guard source.utf8.count <= Self.longest else { throw mistake("it has \(source.utf8.count) bytes") }
    var parser = PatternParser(source)
    let node = try parser.pattern()
    programs = [[]]
    try compile(node, into: 0)
    programs[0].append(.accept)
    number()
    guard remembered <= Self.mostRemembered, innerRemembered <= Self.mostInnerRemembered else {
      throw mistake("it has too many choices, \(remembered), of them \(innerRemembered) in looks and atomic groups")
    }
  }

  /// Places whose failures a match remembers, one bit for each position of the text.
  private(set) var remembered = 0
  /// Of these, those of looks and atomic groups.
  private(set) var innerRemembered = 0
  /// For each instruction, how many remembered ones stand before it.
  private(set) var numbers: [[Int]] = []

  private mutating func number() {
    for (index, program) in programs.enumerated() {
      var places: [Int] = []
      for instruction in program {
        places.append(remembered)
        guard instruction.isRemembered else { continue }
        remembered += 1
        if index > 0 { innerRemembered += 1 }
      }
      numbers.append(places)
    }
  }

  private static let (mostRemembered, mostInnerRemembered) = (2000, 64)

  /// Whether a match may be empty in some text.
  var mayBeEmpty: Bool { mayBeEmpty(0) }

  private func mayBeEmpty(_ program: Int) -> Bool {
    var places = [0]
    var seen: Set<Int> = []
    while let place = places.popLast() {
      guard seen.insert(place).inserted else { continue }
      switch programs[program][place] {
      case .accept: return true
      case .one: break
      case .fork(let first, let second): places += [first, second]
      case .jump(let target): places.append(target)
      case .look, .atStart, .atEnd, .atBoundary: places.append(place + 1)
      case .atomic(let inner): if mayBeEmpty(inner) { places.append(place + 1) }
      }
    }
    return false
  }

  // MARK: - Compiling

  // Twice as many as instructions that were ever needed: each part counts, and so does what it becomes.
  private static let longest = 40_000
  /// Instructions of all programs, and parts that became none: what is repeated may be empty.
  private var written = 0

  private func mistake(_ what: String) -> Diagnostic { PatternParser.mistake(source, what) }

  /// Counts an instruction, or a part that becomes none.
  private mutating func count() throws(Diagnostic) {
    written += 1
    guard written <= Self.longest else { throw mistake("it is too long when its repetitions are written out") }
  }

  private mutating func add(_ instruction: Instruction, _ program: Int) throws(Diagnostic) {
    try count()
    programs[program].append(instruction)
  }

  private mutating func inner(_ node: PatternNode) throws(Diagnostic) -> Int {
    let index = programs.count
    programs.append([])
    try compile(node, into: index)
    try add(.accept, index)
    return index
  }

  private mutating func compile(_ node: PatternNode, into program: Int) throws(Diagnostic) {
    try count()
    switch node {
    case .set(let set): try add(.one(set), program)
    case .sequence(let nodes): for node in nodes { try compile(node, into: program) }
    case .start(let isLine): try add(.atStart(ofLine: isLine), program)
    case .end(let isLine): try add(.atEnd(ofLine: isLine), program)
    case .boundary(let isNegative): try add(.atBoundary(isNegative: isNegative), program)
    case .look(let node, let isNegative): try add(.look(inner(node), isNegative: isNegative), program)
    case .atomic(let node): try add(.atomic(inner(node)), program)
    case .alternatives(let nodes):
      var exits: [Int] = []
      for (index, node) in nodes.enumerated() {
        guard index < nodes.count - 1 else {
          try compile(node, into: program)
          break
        }
        let fork = programs[program].count
        try add(.fork(fork + 1, 0), program)
        try compile(node, into: program)
        exits.append(programs[program].count)
        try add(.jump(0), program)
        programs[program][fork] = .fork(fork + 1, programs[program].count)
      }
      for exit in exits { programs[program][exit] = .jump(programs[program].count) }
    case .repeated(let node, let least, let most, let isLazy):
      try compileRepetition(node, least, most, isLazy: isLazy, into: program)
    }
  }

  private mutating func compileRepetition(
    _ node: PatternNode, _ least: Int, _ most: Int?, isLazy: Bool, into program: Int
  ) throws(Diagnostic) {
    for _ in 0..<least { try compile(node, into: program) }
    func fork(_ inside: Int, _ outside: Int) -> Instruction { isLazy ? .fork(outside, inside) : .fork(inside, outside) }
    guard let most else {
      let start = programs[program].count
      try add(.jump(0), program)
      try compile(node, into: program)
      try add(.jump(start), program)
      programs[program][start] = fork(start + 1, programs[program].count)
      return
    }
    var forks: [Int] = []
    for _ in least..<max(least, most) {
      forks.append(programs[program].count)
      try add(.jump(0), program)
      try compile(node, into: program)
    }
    for at in forks { programs[program][at] = fork(at + 1, programs[program].count) }
  }

  static func == (a: SplitPattern, b: SplitPattern) -> Bool { a.source == b.source }
  func hash(into hasher: inout Hasher) { hasher.combine(source) }
}

/// A pattern as it is written.
indirect enum PatternNode {
  case set(ScalarSet)
  case sequence([PatternNode])
  case alternatives([PatternNode])
  case repeated(PatternNode, Int, Int?, isLazy: Bool)
  case look(PatternNode, isNegative: Bool)
  case atomic(PatternNode)
  case start(ofLine: Bool)
  case end(ofLine: Bool)
  case boundary(isNegative: Bool)
}

/// Reads a pattern.
struct PatternParser {
  private let source: String
  private let scalars: [Unicode.Scalar]
  private var position = 0
  private var foldsCase = false
  private var depth = 0

  init(_ source: String) {
    self.source = source
    scalars = Array(source.unicodeScalars)
  }

  static func mistake(_ source: String, _ what: String) -> Diagnostic {
    Diagnostic(
      .format, "the pattern '\(source.prefix(200))' cannot be used: \(what)",
      remedy: "this text would be cut wrongly: use a model whose tokenizer has another pattern")
  }

  private func mistake(_ what: String) -> Diagnostic { Self.mistake(source, "\(what) at scalar \(position)") }

  private var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

  private mutating func take(_ text: String) -> Bool {
    let wanted = Array(text.unicodeScalars)
    guard scalars[position...].starts(with: wanted) else { return false }
    position += wanted.count
    return true
  }

  mutating func pattern() throws(Diagnostic) -> PatternNode {
    let node = try alternatives()
    guard position == scalars.count else { throw mistake("a bracket is closed that was not opened") }
    return node
  }

  private mutating func alternatives() throws(Diagnostic) -> PatternNode {
    depth += 1
    guard depth < 50 else { throw mistake("groups nest too deeply") }
    defer { depth -= 1 }
    let outer = foldsCase
    defer { foldsCase = outer }
    var all = [try sequence()]
    while take("|") { all.append(try sequence()) }
    return all.count == 1 ? all[0] : .alternatives(all)
  }

  private mutating func sequence() throws(Diagnostic) -> PatternNode {
    var nodes: [PatternNode] = []
    while let scalar = next, scalar != "|", scalar != ")" {
      if take("(?i)") {
        foldsCase = true
        continue
      }
      nodes.append(try repetition(of: item()))
    }
    return nodes.count == 1 ? nodes[0] : .sequence(nodes)
  }

  private mutating func repetition(of item: PatternNode) throws(Diagnostic) -> PatternNode {
    var node = item
    var nested = 0
    while let scalar = next {
      let least: Int
      let most: Int?
      switch scalar {
      case "*": (least, most) = (0, nil)
      case "+": (least, most) = (1, nil)
      case "?": (least, most) = (0, 1)
      case "{":
        guard let bounds = bounds() else { return node }
        (least, most) = bounds
        position -= 1
      default: return node
      }
      position += 1
      // "a?+*": each suffix repeats what the one before it made.
      nested += 1
      guard nested < 20 else { throw mistake("repetitions nest too deeply") }
      guard least <= 1000, most ?? 0 <= 1000, most ?? least >= least else { throw mistake("too many repetitions") }
      if take("?") {
        node = .repeated(node, least, most, isLazy: true)
      } else if scalar != "{", take("+") {
        node = .atomic(.repeated(node, least, most, isLazy: false))
      } else {
        node = .repeated(node, least, most, isLazy: false)
      }
    }
    return node
  }

  /// `{2}`, `{2,}`, `{2,3}`; nil, and nothing read, where a brace is only a brace.
  private mutating func bounds() -> (Int, Int?)? {
    let start = position
    position += 1
    func number(_ parser: inout PatternParser) -> Int? {
      var value: Int?
      while let scalar = parser.next, let digit = scalar.properties.numericType == .decimal ? Int(String(scalar)) : nil
      {
        guard (value ?? 0) < 100_000 else { return nil }
        value = (value ?? 0) * 10 + digit
        parser.position += 1
      }
      return value
    }
    guard let least = number(&self) else {
      position = start
      return nil
    }
    if take("}") { return (least, least) }
    guard take(",") else {
      position = start
      return nil
    }
    let most = number(&self)
    guard take("}") else {
      position = start
      return nil
    }
    return (least, most)
  }

  private mutating func item() throws(Diagnostic) -> PatternNode {
    guard let scalar = next else { throw mistake("it ends too early") }
    switch scalar {
    case "(": return try group()
    case "[": return .set(try bracket())
    case ".":
      position += 1
      var set = ScalarSet()
      set.insert(0x0A...0x0A)
      return .set(set.inverted())
    case "^":
      position += 1
      return .start(ofLine: true)
    case "$":
      position += 1
      return .end(ofLine: true)
    case "*", "+", "?": throw mistake("nothing stands before '\(scalar)'")
    case "\\":
      position += 1
      if take("b") { return .boundary(isNegative: false) }
      if take("B") { return .boundary(isNegative: true) }
      if take("A") { return .start(ofLine: false) }
      if take("z") { return .end(ofLine: false) }
      return .set(try escape())
    default:
      position += 1
      return .set(literal(scalar.value))
    }
  }

  private func literal(_ value: UInt32) -> ScalarSet {
    var set = ScalarSet()
    set.insert(value...value)
    return foldsCase ? set.foldingCase() : set
  }

  private mutating func group() throws(Diagnostic) -> PatternNode {
    position += 1
    let outer = foldsCase
    defer { foldsCase = outer }
    let close: (PatternNode) -> PatternNode
    if take("?:") {
      close = { $0 }
    } else if take("?i:") {
      foldsCase = true
      close = { $0 }
    } else if take("?=") {
      close = { .look($0, isNegative: false) }
    } else if take("?!") {
      close = { .look($0, isNegative: true) }
    } else if take("?>") {
      close = { .atomic($0) }
    } else if next == "?" {
      throw mistake("this kind of group is not supported")
    } else {
      close = { $0 }
    }
    let node = try alternatives()
    guard take(")") else { throw mistake("a bracket is not closed") }
    return close(node)
  }

  // MARK: - Sets

  /// After a backslash.
  private mutating func escape() throws(Diagnostic) -> ScalarSet {
    guard let scalar = next else { throw mistake("it ends in a backslash") }
    position += 1
    switch scalar {
    case "s": return .spaces
    case "S": return ScalarSet.spaces.inverted()
    case "d": return .digits
    case "D": return ScalarSet.digits.inverted()
    case "w": return .word
    case "W": return ScalarSet.word.inverted()
    case "p", "P":
      let set = try property()
      return scalar == "P" ? set.inverted() : set
    case "n": return literal(0x0A)
    case "r": return literal(0x0D)
    case "t": return literal(0x09)
    case "f": return literal(0x0C)
    case "v": return literal(0x0B)
    case "0": return literal(0)
    case "x", "u": return literal(try number(digits: scalar == "x" ? 2 : 4))
    default:
      guard !scalar.properties.isAlphabetic, scalar.properties.numericType == nil else {
        throw mistake("'\\\(scalar)' is not supported")
      }
      return literal(scalar.value)
    }
  }

  private mutating func number(digits: Int) throws(Diagnostic) -> UInt32 {
    let isBraced = take("{")
    var text = ""
    while let scalar = next, isBraced ? scalar != "}" : text.count < digits {
      text.unicodeScalars.append(scalar)
      position += 1
    }
    guard !isBraced || take("}"), let value = UInt32(text, radix: 16), Unicode.Scalar(value) != nil else {
      throw mistake("'\(text)' is no number of a scalar")
    }
    return value
  }

  private mutating func property() throws(Diagnostic) -> ScalarSet {
    var name = ""
    if take("{") {
      while let scalar = next, scalar != "}" {
        name.unicodeScalars.append(scalar)
        position += 1
      }
      guard take("}") else { throw mistake("a brace is not closed") }
    } else if let scalar = next {
      name.unicodeScalars.append(scalar)
      position += 1
    }
    let isInverted = name.hasPrefix("^")
    guard let set = ScalarSet(property: isInverted ? String(name.dropFirst()) : name) else {
      throw mistake("the property '\(name)' is not known")
    }
    return isInverted ? set.inverted() : set
  }

  private mutating func bracket() throws(Diagnostic) -> ScalarSet {
    position += 1
    depth += 1
    guard depth < 50 else { throw mistake("sets nest too deeply") }
    defer { depth -= 1 }
    let isInverted = take("^")
    var set = ScalarSet()
    var (both, meetings) = (ScalarSet?.none, 0)
    var isFirst = true
    while let scalar = next, scalar != "]" || isFirst {
      isFirst = false
      if take("&&") {
        meetings += 1
        guard meetings < 20 else { throw mistake("too many sets meet") }
        both = try checked(both.map { $0.intersection(set) } ?? set)
        set = ScalarSet()
        continue
      }
      if scalar == "[", !isPOSIX {
        set.formUnion(try bracket())
        continue
      }
      if isPOSIX { throw mistake("names of sets in brackets are not supported") }
      guard let low = try member(into: &set) else { continue }
      guard next == "-", position + 1 < scalars.count, scalars[position + 1] != "]" else {
        set.formUnion(literal(low))
        continue
      }
      position += 1
      guard let high = try member(into: &set), high >= low else { throw mistake("a range goes backwards") }
      var range = ScalarSet()
      range.insert(low...high)
      set.formUnion(foldsCase ? range.foldingCase() : range)
    }
    guard take("]") else { throw mistake("a bracket is not closed") }
    if let both { set = both.intersection(set) }
    return try checked(isInverted ? set.inverted() : set)
  }

  /// A set that each scalar of a text can be held against.
  private func checked(_ set: ScalarSet) throws(Diagnostic) -> ScalarSet {
    guard set.weight <= 1000 else { throw mistake("a set has \(set.weight) parts") }
    return set
  }

  private var isPOSIX: Bool { next == "[" && position + 1 < scalars.count && scalars[position + 1] == ":" }

  /// One scalar of a set; nil where it was a whole set, which is then part of `set`.
  private mutating func member(into set: inout ScalarSet) throws(Diagnostic) -> UInt32? {
    guard let scalar = next else { throw mistake("it ends too early") }
    position += 1
    guard scalar == "\\" else { return scalar.value }
    let outer = foldsCase
    foldsCase = false
    defer { foldsCase = outer }
    if take("b") { return 8 }
    let escaped = try escape()
    if let single = escaped.single { return single }
    set.formUnion(escaped)
    return nil
  }
}
