// Reads the text form of a graph. Not a verifier: it builds what is written, and `verified()` judges it.
// Surprise: any input gives a graph or an error with line and column; nesting is limited, so that no input can
// exhaust the stack.
import Basics
import Scalars
import TensorTypes

extension Graph {
  /// The graph that `description` prints as `text`. Errors say line:column.
  package init(text: String) throws(Diagnostic) {
    var parser = GraphParser(text)
    self = try parser.graph()
    try parser.expectEnd()
  }
}

struct GraphParser {
  private let bytes: [UInt8]
  private var position = 0
  private var depth = 0
  /// Graphs in calls and parentheses in extents nest at most this deep.
  private static let deepest = 64

  init(_ text: String) { bytes = Array(text.utf8) }

  // MARK: Graph

  mutating func graph() throws(Diagnostic) -> Graph {
    try enter()
    defer { depth -= 1 }
    try expect(word: "graph")
    var graph = Graph(name: try name())
    try expect("(")
    var leading = 0
    try declarations(&graph, &leading)
    try expect("{")
    while !accept(word: "return") { graph.nodes.append(try node(graph.nodes.count)) }
    if peek() == UInt8(ascii: "%") { graph.outputs = try values() }
    try expect("}")
    return graph
  }

  private mutating func declarations(_ graph: inout Graph, _ leading: inout Int) throws(Diagnostic) {
    var first = true
    while peek() != UInt8(ascii: ")") && peek() != UInt8(ascii: ";") {
      if !first { try expect(",") }
      first = false
      let hasValue = peek() == UInt8(ascii: "%")
      if hasValue {
        let start = position
        let id = try value().id
        if Int(id) != leading || leading != graph.parameters.count { throw failure("the value %\(leading)", at: start) }
      }
      let name = try name()
      try expect(":")
      let type = try type()
      let strides = accept(word: "strides") ? try assigned { parser throws(Diagnostic) in try parser.dims() } : nil
      graph.parameters.append(Parameter(name: name, type: type, strides: strides))
      if hasValue {
        graph.nodes.append(GraphNode(.parameter(leading), [], type))
        leading += 1
      }
    }
    if accept(";") {
      repeat {
        try expect(word: "s\(graph.arguments.count)")
        graph.arguments.append(try name())
      } while accept(",")
    }
    try expect(")")
  }

  private mutating func node(_ index: Int) throws(Diagnostic) -> GraphNode {
    let start = position
    let id = try value().id
    if Int(id) != index { throw failure("the value %\(index)", at: start) }
    try expect(":")
    let type = try type()
    try expect("=")
    skipSpace()
    let place = position
    let name = try name()
    guard let sample = Primitive.named(name) else { throw failure("the name of a primitive", at: place) }
    let payload = try payload(like: sample.payload)
    guard let primitive = sample.with(payload) else { throw failure("a payload of \(name)", at: place) }
    return GraphNode(primitive, operandFollows() ? try values() : [], type)
  }

  /// A value that is not the next node's: those are followed by a colon.
  private mutating func operandFollows() -> Bool {
    guard peek() == UInt8(ascii: "%") else { return false }
    let start = position
    defer { position = start }
    position += 1
    return (try? integer()) == nil || peek() != UInt8(ascii: ":")
  }

  private mutating func payload(like sample: Payload) throws(Diagnostic) -> Payload {
    var fields: [PayloadField] = []
    for (name, field) in sample.fields {
      try key(name)
      fields.append(try self.field(like: field))
    }
    return sample.with(fields)
  }

  private mutating func field(like sample: PayloadField) throws(Diagnostic) -> PayloadField {
    switch sample {
    case .integer: return .integer(try integer())
    case .integers: return .integers(try list { parser throws(Diagnostic) in try parser.integer() })
    case .extents: return .extents(try dims())
    case .flag:
      if accept(word: "true") { return .flag(true) }
      try expect(word: "false")
      return .flag(false)
    case .dtype: return .dtype(try dtype())
    case .constant: return .constant(try constant())
    case .monoid: return .monoid(try choice("a monoid"))
    case .combine: return .combine(accept(word: "none") ? nil : try choice("a monoid or none"))
    case .winner: return .winner(try choice("argmax or argmin"))
    case .pairs:
      return .pairs(
        try list { parser throws(Diagnostic) in
          let left = try parser.integer()
          try parser.expect(":")
          return ContractionAxes.Pair(left, try parser.integer())
        })
    case .graph: return .graph(GraphReference(try graph()))
    }
  }

  // MARK: Parts of payloads

  private mutating func key(_ key: String) throws(Diagnostic) {
    try expect(word: key)
    try expect("=")
  }

  private mutating func assigned<T>(_ read: (inout GraphParser) throws(Diagnostic) -> T) throws(Diagnostic) -> T {
    try expect("=")
    return try read(&self)
  }

  private mutating func choice<T: RawRepresentable<String>>(_ wanted: String) throws(Diagnostic) -> T {
    skipSpace()
    let start = position
    guard let made = T(rawValue: try self.name()) else { throw failure(wanted, at: start) }
    return made
  }

  private mutating func list<T>(_ element: (inout GraphParser) throws(Diagnostic) -> T) throws(Diagnostic) -> [T] {
    try expect("[")
    var elements: [T] = []
    if accept("]") { return elements }
    repeat { elements.append(try element(&self)) } while accept(",")
    try expect("]")
    return elements
  }

  // MARK: Values and types

  private mutating func values() throws(Diagnostic) -> [Value] {
    var values: [Value] = []
    repeat { values.append(try value()) } while accept(",")
    return values
  }

  private mutating func value() throws(Diagnostic) -> Value {
    try expect("%")
    let start = position
    let number = try integer()
    if number < 0 || number > Int(Int32.max) { throw failure("the number of a value", at: start) }
    return Value(number)
  }

  private mutating func type() throws(Diagnostic) -> TensorType {
    let dtype = try dtype()
    return TensorType(dtype, Shape(try dims()))
  }

  private mutating func dtype() throws(Diagnostic) -> DType {
    skipSpace()
    let start = position
    guard let dtype = DType(try name()) else { throw failure("a dtype", at: start) }
    return dtype
  }

  private mutating func dims() throws(Diagnostic) -> [Dim] {
    try list { parser throws(Diagnostic) in try parser.dim() }
  }

  private mutating func dim() throws(Diagnostic) -> Dim {
    try enter()
    defer { depth -= 1 }
    if accept("(") {
      let left = try dim()
      skipSpace()
      guard position < bytes.count,
        let operation = DimOperation(rawValue: String(UnicodeScalar(bytes[position])))
      else { throw failure("+, -, *, / or %", at: position) }
      position += 1
      let right = try dim()
      try expect(")")
      return Dim.combined(operation, left, right)
    }
    for operation in [DimOperation.minimum, .maximum, .ceilDivide] where accept(word: operation.rawValue) {
      try expect("(")
      let left = try dim()
      try expect(",")
      let right = try dim()
      try expect(")")
      return Dim.combined(operation, left, right)
    }
    if peek() == UInt8(ascii: "s") {
      let start = position
      position += 1
      let digits = position
      while position < bytes.count, bytes[position] >= UInt8(ascii: "0"), bytes[position] <= UInt8(ascii: "9") {
        position += 1
      }
      guard let id = Int(String(decoding: bytes[digits..<position], as: UTF8.self)), id <= Int(Int32.max) else {
        throw failure("an extent", at: start)
      }
      return Dim.symbol(id)
    }
    return Dim(try integer("an extent"))
  }

  private mutating func constant() throws(Diagnostic) -> ScalarConstant {
    skipSpace()
    let start = position
    while position < bytes.count, bytes[position] != UInt8(ascii: ":"), !isSpace(bytes[position]) { position += 1 }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    try expect(":")
    let dtype = try dtype()
    if !dtype.isFloating {
      guard let value = Int64(text) else { throw failure("an integer", at: start) }
      return ScalarConstant(dtype, integer: value)
    }
    if text.hasPrefix("nan(0x"), text.hasSuffix(")") {
      guard let bits = UInt64(text.dropFirst(6).dropLast(), radix: 16) else { throw failure("a number", at: start) }
      return ScalarConstant(dtype, Double(bitPattern: bits))
    }
    guard let value = Double(text) else { throw failure("a number", at: start) }
    return ScalarConstant(dtype, value)
  }

  // MARK: Tokens

  private func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }

  private mutating func skipSpace() {
    while position < bytes.count, isSpace(bytes[position]) { position += 1 }
  }

  private mutating func peek() -> UInt8? {
    skipSpace()
    return position < bytes.count ? bytes[position] : nil
  }

  private mutating func accept(_ character: Character) -> Bool {
    guard let byte = character.asciiValue, peek() == byte else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ character: Character) throws(Diagnostic) {
    if !accept(character) { throw failure("'\(character)'", at: position) }
  }

  /// A whole word, not the start of a longer one.
  private mutating func accept(word: String) -> Bool {
    skipSpace()
    let end = position + word.utf8.count
    guard end <= bytes.count, bytes[position..<end].elementsEqual(word.utf8),
      end == bytes.count || !GraphText.isPlain(bytes[end])
    else { return false }
    position = end
    return true
  }

  private mutating func expect(word: String) throws(Diagnostic) {
    if !accept(word: word) { throw failure("'\(word)'", at: position) }
  }

  private mutating func name() throws(Diagnostic) -> String {
    if peek() == UInt8(ascii: "\"") { return try quoted() }
    let start = position
    while position < bytes.count, GraphText.isPlain(bytes[position]) { position += 1 }
    if position == start { throw failure("a name", at: start) }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  private mutating func quoted() throws(Diagnostic) -> String {
    let start = position
    position += 1
    var content: [UInt8] = []
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      if byte == UInt8(ascii: "\"") { return String(decoding: content, as: UTF8.self) }
      if byte == UInt8(ascii: "\\"), position < bytes.count {
        content.append(bytes[position] == UInt8(ascii: "n") ? 10 : bytes[position])
        position += 1
      } else {
        content.append(byte)
      }
    }
    throw failure("a closing quote", at: start)
  }

  private mutating func integer(_ wanted: String = "an integer") throws(Diagnostic) -> Int {
    skipSpace()
    let start = position
    if position < bytes.count, bytes[position] == UInt8(ascii: "-") { position += 1 }
    while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) { position += 1 }
    guard let value = Int(String(decoding: bytes[start..<position], as: UTF8.self)) else {
      throw failure(wanted, at: start)
    }
    return value
  }

  private mutating func enter() throws(Diagnostic) {
    depth += 1
    if depth > Self.deepest { throw failure("at most \(Self.deepest) levels of nesting", at: position) }
  }

  mutating func expectEnd() throws(Diagnostic) {
    if peek() != nil { throw failure("the end", at: position) }
  }

  private func failure(_ wanted: String, at place: Int) -> Diagnostic {
    let place = bytes[min(place, bytes.count)...].firstIndex { !isSpace($0) } ?? bytes.count
    let before = bytes[..<place]
    let line = before.count { $0 == 10 } + 1
    let column = before.count - (before.lastIndex(of: 10).map { $0 + 1 } ?? 0) + 1
    let found =
      place < bytes.count
      ? "'" + String(decoding: bytes[place...].prefix(16).prefix { !isSpace($0) }, as: UTF8.self) + "'" : "the end"
    return Diagnostic(.format, "graph text \(line):\(column): expected \(wanted), found \(found)")
  }
}
