// Unicode normal forms D and C for the scalars of a text: what BERT (accents) and Qwen (NFC) do before tokenizing.
// Surprise: written here because the standard library offers no public one, and loading Foundation for it costs
// more of a warm start than the whole vocabulary does.

enum CanonicalForm {
  private struct Tables {
    var decompositions: [UInt32: (UInt32, UInt32)] = [:]
    var compositions: [UInt64: UInt32] = [:]

    init(parsing text: StaticString) {
      decompositions.reserveCapacity(2100)
      compositions.reserveCapacity(1000)
      var numbers: (UInt32, UInt32, UInt32) = (0, 0, 0)
      var field = 0
      var composes = false
      func digit(_ byte: UInt8) -> UInt32 { UInt32(byte < 0x41 ? byte - 0x30 : byte - 0x37) }
      func finish(_ tables: inout Tables) {
        tables.decompositions[numbers.0] = (numbers.1, numbers.2)
        if composes { tables.compositions[UInt64(numbers.1) << 32 | UInt64(numbers.2)] = numbers.0 }
        (numbers, field, composes) = ((0, 0, 0), 0, false)
      }
      for byte in UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount) {
        switch (byte, field) {
        case (UInt8(ascii: " "), _): finish(&self)
        case (UInt8(ascii: "="), _), (UInt8(ascii: ","), _): field += 1
        case (UInt8(ascii: "+"), _): composes = true
        case (_, 0): numbers.0 = numbers.0 << 4 | digit(byte)
        case (_, 1): numbers.1 = numbers.1 << 4 | digit(byte)
        case (_, _): numbers.2 = numbers.2 << 4 | digit(byte)
        }
      }
      finish(&self)
    }
  }

  private static let tables = Tables(parsing: mappings)

  /// Scalars below this one are their own decomposition (but see Latin-1, which begins at U+00C0) and compose nothing.
  private static let firstDecomposable: UInt32 = 0xC0
  private static let firstCombining: UInt32 = 0x300

  /// Hangul syllables: base, counts of leading consonants' followers (Unicode chapter 3.12).
  private static let (syllables, leads, vowels, tails): (UInt32, UInt32, UInt32, UInt32) = (
    0xAC00, 0x1100, 0x1161, 0x11A7
  )
  private static let (leadCount, vowelCount, tailCount): (UInt32, UInt32, UInt32) = (19, 21, 28)

  /// Normal form D.
  static func decomposed(_ scalars: some Sequence<UInt32>) -> [UInt32] {
    var result: [UInt32] = []
    for scalar in scalars {
      if scalar < firstDecomposable { result.append(scalar) } else { decompose(scalar, into: &result) }
    }
    reorder(&result)
    return result
  }

  private static func decompose(_ scalar: UInt32, into result: inout [UInt32]) {
    if scalar >= syllables, scalar < syllables + leadCount * vowelCount * tailCount {
      let index = scalar - syllables
      result.append(leads + index / (vowelCount * tailCount))
      result.append(vowels + index % (vowelCount * tailCount) / tailCount)
      if index % tailCount > 0 { result.append(tails + index % tailCount) }
    } else if let (first, second) = tables.decompositions[scalar] {
      decompose(first, into: &result)
      if second != 0 { decompose(second, into: &result) }
    } else {
      result.append(scalar)
    }
  }

  private static func combiningClass(_ scalar: UInt32) -> UInt8 {
    guard scalar >= firstCombining else { return 0 }
    return Unicode.Scalar(scalar)?.properties.canonicalCombiningClass.rawValue ?? 0
  }

  /// Each run of combining scalars is sorted by class; equal classes keep their order.
  private static func reorder(_ scalars: inout [UInt32]) {
    var start = 0
    while start < scalars.count {
      guard combiningClass(scalars[start]) != 0 else {
        start += 1
        continue
      }
      var end = start + 1
      while end < scalars.count, combiningClass(scalars[end]) != 0 { end += 1 }
      if end - start > 1 {
        let run = scalars[start..<end].enumerated().map { (combiningClass($1), $0, $1) }
        for (offset, entry) in run.sorted(by: { ($0.0, $0.1) < ($1.0, $1.1) }).enumerated() {
          scalars[start + offset] = entry.2
        }
      }
      start = end
    }
  }

  /// Normal form C.
  static func composed(_ text: [UInt32]) -> [UInt32] {
    guard text.contains(where: { $0 >= firstCombining }) else { return text }
    let scalars = decomposed(text)
    var result: [UInt32] = []
    var starter: Int?
    var lastClass: UInt8 = 0
    for scalar in scalars {
      let combining = combiningClass(scalar)
      // Blocked when something of the same or a higher class stands between the two.
      if let at = starter, lastClass == 0 ? result.count == at + 1 : lastClass < combining,
        let whole = composition(result[at], scalar)
      {
        result[at] = whole
        continue
      }
      if combining == 0 { starter = result.count }
      lastClass = combining
      result.append(scalar)
    }
    return result
  }

  private static func composition(_ first: UInt32, _ second: UInt32) -> UInt32? {
    if first >= leads, first < leads + leadCount, second >= vowels, second < vowels + vowelCount {
      return syllables + ((first - leads) * vowelCount + second - vowels) * tailCount
    }
    if first >= syllables, first < syllables + leadCount * vowelCount * tailCount,
      (first - syllables) % tailCount == 0, second > tails, second < tails + tailCount
    {
      return first + second - tails
    }
    return tables.compositions[UInt64(first) << 32 | UInt64(second)]
  }
}
