// A quantised block as runs of elements that decode alike: the bridge from a format's description to a graph.
// Not a decoder per format. Surprise: the runs are found by evaluating the format's own index maps, so a new format
// in the catalogue needs nothing here.
import Formats

/// A block cut into `count` runs of `length` consecutive elements.
struct BlockRuns: Sendable {
  /// How one index map behaves in a run: `base`, `base + 1`, ... or `base` for all elements.
  struct Index: Sendable, Hashable {
    var base: Int
    var advances: Bool
  }
  struct Slice: Sendable {
    var byte: Index
    var shift: Index
    var bits: Int
    var position: Int
  }
  /// An integer's slices in one run.
  struct Integer: Sendable {
    var slices: [Slice]
    var isSigned: Bool
    var bias: Int
  }
  struct Run: Sendable {
    var quant: Integer
    /// The group's integer; nil: the half float alone.
    var scale: Integer?
    var minimum: Integer?
  }
  let length: Int
  let runs: [Run]

  init(_ format: QuantizedFormat.Linear, elements: Int) {
    var length = format.scale.groupElements
    if let minimum = format.minimum { length = min(length, minimum.groupElements) }
    while length > 1, !Self.isRegular(format, length, elements) { length /= 2 }
    self.length = length
    runs = stride(from: 0, to: elements, by: length).map { start in
      Run(
        quant: Self.integer(format.quant, start, length),
        scale: format.scale.group.map { Self.integer($0, start, length) },
        minimum: format.minimum?.group.map { Self.integer($0, start, length) })
    }
  }

  private static func isRegular(_ format: QuantizedFormat.Linear, _ length: Int, _ elements: Int) -> Bool {
    let maps = format.quant.slices.flatMap { [$0.byte, $0.shift] }
    return stride(from: 0, to: elements, by: length).allSatisfy { start in
      maps.allSatisfy { map in
        let step = length > 1 ? map(start + 1) - map(start) : 0
        return (0...1).contains(step) && (0..<length).allSatisfy { map(start + $0) == map(start) + $0 * step }
      }
    }
  }

  private static func integer(_ packed: QuantizedFormat.PackedInteger, _ start: Int, _ length: Int) -> Integer {
    func index(_ map: QuantizedFormat.IndexMap) -> Index {
      Index(base: map(start), advances: length > 1 && map(start + 1) != map(start))
    }
    return Integer(
      slices: packed.slices.map {
        Slice(byte: index($0.byte), shift: index($0.shift), bits: $0.bits, position: $0.position)
      }, isSigned: packed.isSigned, bias: packed.bias)
  }
}
