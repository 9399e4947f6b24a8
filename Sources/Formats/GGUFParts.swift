// A GGUF model that was split into several files: all parts found beside the one that was opened, and checked.
// Not a merger on disk. Surprise: any part may be opened; the metadata is the first one's.

import Basics

/// The headers of a model's files in their order: one, unless the file says that it is a part.
struct GGUFParts {
  let headers: [GGUFHeader]

  private static let keys = (number: "split.no", count: "split.count", tensors: "split.tensors.count")

  init(_ file: MappedFile) throws(Diagnostic) {
    let opened = try Self.header(file)
    let isPart = [Self.keys.number, Self.keys.count, Self.keys.tensors].contains { opened.metadata[$0] != nil }
    let (number, count) = isPart ? try Self.place(of: opened) : (0, 1)
    guard count > 1 else {
      headers = [opened]
      if isPart { try checkTensors() }
      return
    }
    let suffix = Self.suffix(number, count)
    guard file.path.hasSuffix(suffix) else {
      throw file.malformed(
        "is part \(number + 1) of \(count) of a model: the others are looked for by name, which must end in '\(suffix)'",
        remedy: "give the parts the names they were made with, all in one folder")
    }
    let stem = file.path.dropLast(suffix.count)
    var parts: [GGUFHeader] = []
    for index in 0..<count {
      guard index != number else {
        parts.append(opened)
        continue
      }
      let path = stem + Self.suffix(index, count)
      let part: GGUFHeader
      do {
        part = try Self.header(MappedFile(path: String(path)))
      } catch {
        var located = error
        located.message =
          "\(file.path): is part \(number + 1) of \(count), part \(index + 1) cannot be read: \(error.message)"
        if error.kind == .file { located.remedy = "put all \(count) parts into one folder" }
        throw located
      }
      guard try Self.place(of: part) == (index, count) else {
        throw part.file.malformed("does not say that it is part \(index + 1) of \(count), as its name does")
      }
      parts.append(part)
    }
    headers = parts
    for part in parts.dropFirst() { try checkMetadata(of: part) }
    try checkTensors()
  }

  /// The metadata is the first part's: a later one may repeat it, but not say anything else.
  private func checkMetadata(of part: GGUFHeader) throws(Diagnostic) {
    let first = headers[0]
    // Each part has its own number, and its own place of tensors.
    for key in part.keys where key != Self.keys.number && key != "general.alignment" {
      guard let value = part.metadata[key], first.metadata[key].map({ value.isSame(as: $0) }) ?? false else {
        throw part.file.malformed(
          "says something else in its metadata '\(key)' than the first part, \(first.file.path)",
          remedy: "the first part's metadata is the model's: use the parts of one model, as they were split")
      }
    }
  }

  private static func header(_ file: MappedFile) throws(Diagnostic) -> GGUFHeader {
    var header = GGUFHeader(file)
    try header.read()
    return header
  }

  /// Which part a file says it is, from 0, of how many.
  private static func place(of header: GGUFHeader) throws(Diagnostic) -> (Int, Int) {
    func integer(_ key: String) -> Int? { header.metadata[key]?.integer }
    // Five digits in a file's name.
    guard let count = integer(keys.count), (0...99_999).contains(count) else {
      throw header.file.malformed("'\(keys.count)' is missing or no number of parts")
    }
    if count <= 1, header.metadata[keys.number] == nil { return (0, 1) }
    guard let number = integer(keys.number), (0..<max(1, count)).contains(number) else {
      throw header.file.malformed("'\(keys.number)' is missing or not in 0..<\(max(1, count)), the parts of the model")
    }
    return (number, max(1, count))
  }

  /// "-00001-of-00003.gguf".
  private static func suffix(_ index: Int, _ count: Int) -> String {
    func digits(_ value: Int) -> String { String(repeating: "0", count: 5 - "\(value)".count) + "\(value)" }
    return "-\(digits(index + 1))-of-\(digits(count)).gguf"
  }

  private func checkTensors() throws(Diagnostic) {
    var owners: [String: String] = [:]
    for header in headers {
      for tensor in header.tensors {
        if let owner = owners.updateValue(header.file.path, forKey: tensor.name) {
          throw header.file.malformed("tensor '\(tensor.name)' is in \(owner) too")
        }
      }
    }
    guard let value = headers[0].metadata[Self.keys.tensors] else { return }
    guard let claimed = value.integer else {
      throw headers[0].file.malformed("'\(Self.keys.tensors)' is no number of tensors")
    }
    guard claimed != owners.count else { return }
    let holders = headers.count == 1 ? "holds" : "its \(headers.count) parts hold"
    throw headers[0].file.malformed("\(holders) \(owners.count) tensors, \(claimed) were promised")
  }
}
