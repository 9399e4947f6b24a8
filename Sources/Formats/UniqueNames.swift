// Names of which each may come once: of tensors, metadata, members of an archive.
// Surprise: a Swift string equals another that looks the same ("é" is one code point or two), so where names are keys two
// such names cannot stand beside each other, though a file may well hold both.

struct UniqueNames {
  private var names: Set<String> = []

  /// Adds a name; if it has come before, what is to be said about it, as in "tensor 'a' comes twice".
  mutating func problem(adding name: String) -> String? {
    let (isNew, earlier) = names.insert(name)
    if isNew { return nil }
    if earlier.utf8.elementsEqual(name.utf8) { return "comes twice" }
    return "comes twice, in two spellings that look the same (\(Self.codes(earlier)) and \(Self.codes(name)))"
  }

  private static func codes(_ name: String) -> String {
    let codes = name.unicodeScalars.lazy.filter { !$0.isASCII }.prefix(4)
    return codes.map { "U+" + String($0.value, radix: 16, uppercase: true) }.joined(separator: " ")
  }
}
