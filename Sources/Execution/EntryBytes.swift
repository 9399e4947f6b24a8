// How entries of the cache are written and read: numbers, texts and extents as bytes.
// Not a public file format. Surprise: reading trusts nothing; every count is checked against the bytes that are left
// before memory is taken, and whatever comes of it is a value or an error.
import Basics
import TensorTypes

private let operations = DimOperation.allCases

/// Appends parts of an entry.
package struct EntryWriter {
  package private(set) var bytes: [UInt8] = []
  package init() {}

  package mutating func append(byte: UInt8) { bytes.append(byte) }
  package mutating func append(_ word: UInt32) { withUnsafeBytes(of: word.littleEndian) { bytes += $0 } }
  package mutating func append(number: Int) {
    // Most numbers are small: one byte, or a mark and eight.
    if (0..<255).contains(number) { return bytes.append(UInt8(number)) }
    bytes.append(255)
    withUnsafeBytes(of: Int64(number).littleEndian) { bytes += $0 }
  }
  package mutating func append(count: Int) { append(number: count) }
  package mutating func append(_ text: String) {
    append(count: text.utf8.count)
    bytes += text.utf8
  }
  package mutating func append(_ block: [UInt8]) {
    append(count: block.count)
    bytes += block
  }
  package mutating func append(_ numbers: [Int]) {
    append(count: numbers.count)
    for number in numbers { append(number: number) }
  }
  package mutating func append(_ dims: [Dim]) {
    append(count: dims.count)
    for dim in dims { append(dim) }
  }
  package mutating func append(_ dim: Dim) {
    switch dim.expression {
    // A failed Dim is in nothing that was ever loaded; 0 keeps its grid empty.
    case nil, .failed?:
      append(byte: 0)
      append(number: dim.knownValue ?? 0)
    case .symbol(let id)?:
      append(byte: 1)
      append(number: id)
    case .binary(let operation, let a, let b)?:
      append(byte: 2)
      append(byte: UInt8(operations.firstIndex(of: operation) ?? 0))
      append(a)
      append(b)
    }
  }
}

/// Takes an entry apart.
package struct EntryReader {
  private let bytes: [UInt8]
  private let subject: String
  private var position = 0
  // Deeper expressions than any kernel has would only overflow the stack.
  private static let deepest = 200

  /// - Parameter subject: what the entry is, for messages: "a compiled kernel".
  package init(_ bytes: [UInt8], of subject: String) {
    self.bytes = bytes
    self.subject = subject
  }

  package var isAtEnd: Bool { position == bytes.count }

  package func broken(_ what: String) -> Diagnostic {
    Diagnostic(.cache, "\(subject) cannot be read: it has \(what)", remedy: "run `azulejo cache clear`")
  }

  private mutating func take(_ count: Int) throws(Diagnostic) -> ArraySlice<UInt8> {
    guard count >= 0, count <= bytes.count - position else { throw broken("fewer bytes than it says") }
    defer { position += count }
    return bytes[position..<position + count]
  }
  package mutating func byte() throws(Diagnostic) -> UInt8 {
    guard position < bytes.count else { throw broken("fewer bytes than it says") }
    defer { position += 1 }
    return bytes[position]
  }
  package mutating func word() throws(Diagnostic) -> UInt32 {
    var result: UInt32 = 0
    for shift in stride(from: UInt32(0), to: 32, by: 8) { result |= UInt32(try byte()) << shift }
    return result
  }
  package mutating func number() throws(Diagnostic) -> Int {
    let first = try byte()
    guard first == 255 else { return Int(first) }
    guard bytes.count - position >= 8 else { throw broken("fewer bytes than it says") }
    defer { position += 8 }
    let word = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: position, as: Int64.self) }
    return Int(Int64(littleEndian: word))
  }
  /// A number of things of at least one byte each.
  package mutating func count() throws(Diagnostic) -> Int {
    let count = try number()
    guard count >= 0, count <= bytes.count - position else { throw broken("the count \(count)") }
    return count
  }
  /// A number in `range`.
  package mutating func number(in range: Range<Int>) throws(Diagnostic) -> Int {
    let number = try number()
    guard range.contains(number) else { throw broken("\(number) where only \(range) can be") }
    return number
  }
  package mutating func numbers(in range: Range<Int>) throws(Diagnostic) -> [Int] {
    var numbers: [Int] = []
    for _ in 0..<(try count()) { numbers.append(try number(in: range)) }
    return numbers
  }
  package mutating func text() throws(Diagnostic) -> String { String(decoding: try take(try count()), as: UTF8.self) }
  package mutating func block() throws(Diagnostic) -> [UInt8] { Array(try take(try count())) }
  package mutating func dims() throws(Diagnostic) -> [Dim] {
    var dims: [Dim] = []
    for _ in 0..<(try count()) { dims.append(try dim()) }
    return dims
  }
  package mutating func dim() throws(Diagnostic) -> Dim { try dim(depth: 0) }

  private mutating func dim(depth: Int) throws(Diagnostic) -> Dim {
    guard depth < Self.deepest else { throw broken("an expression nested too deep") }
    switch try byte() {
    case 0: return Dim(try number())
    case 1:
      let id = try number()
      guard id >= 0 else { throw broken("the symbol \(id)") }
      return .symbol(id)
    case 2:
      let operation = Int(try byte())
      guard operation < operations.count else { throw broken("the operation \(operation)") }
      let a = try dim(depth: depth + 1)
      return Dim.combined(operations[operation], a, try dim(depth: depth + 1))
    case let tag: throw broken("the tag \(tag)")
    }
  }
}
