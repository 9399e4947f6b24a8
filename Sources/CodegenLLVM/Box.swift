// A rectangular part of a tile, small enough for registers: what one evaluation computes.
// Not a loop: extents are constants. Surprise: lanes may run along any axis, so a transposed value is the same box, permuted.
import TileAnalysis
import TileIR

/// A tile coordinate: `base + offset`, where the base (0 if nil) is known to be a multiple of `multiple`.
struct Coordinate: Hashable {
  var base: IR?
  var offset = 0
  var multiple = 0
  /// Loops around the base's definition: addresses add the outermost parts first.
  var depth = 0

  static var zero: Coordinate { Coordinate() }
  func advanced(by count: Int) -> Coordinate {
    var moved = self
    moved.offset += count
    return moved
  }
  /// A number that divides the coordinate; 0 for 0.
  var divisor: Int { IndexFacts.greatestDivisor(base == nil ? 0 : multiple, abs(offset)) }
}

struct Box: Hashable {
  var start: [Coordinate]
  /// Elements per axis; vectors on the vector axis.
  var count: [Int]
  var vectorAxis: Int?
  /// Lanes in use, where not all are.
  var mask: IR?
  /// Per axis, the guard that the walk has already ensured (0: none).
  var guards: [Int]

  static func single(_ rank: Int) -> Box {
    Box(
      start: [Coordinate](repeating: .zero, count: rank), count: [Int](repeating: 1, count: rank), vectorAxis: nil,
      mask: nil, guards: [Int](repeating: 0, count: rank))
  }

  var pointCount: Int { count.reduce(1, *) }

  /// Coordinates of every point relative to the start, row-major, in points (vectors on the vector axis).
  var points: [[Int]] {
    var all: [[Int]] = [[]]
    for n in count {
      if n == 1 {
        for i in all.indices { all[i].append(0) }
      } else {
        all = all.flatMap { prefix in (0..<n).map { prefix + [$0] } }
      }
    }
    return all
  }

  /// Position of a point in `points`.
  func position(_ point: [Int]) -> Int {
    var position = 0
    for (axis, n) in count.enumerated() { position = position * n + (n == 1 ? 0 : point[axis]) }
    return position
  }

  /// The box of a value that has extent 1 on `axes`.
  func collapsed(_ axes: [Int]) -> Box {
    var box = self
    for axis in axes {
      box.start[axis] = .zero
      box.count[axis] = 1
      box.guards[axis] = 0
      if vectorAxis == axis {
        box.vectorAxis = nil
        box.mask = nil
      }
    }
    return box
  }

  /// The operand's box of a transposition.
  func permuted(_ permutation: [Int]) -> Box {
    var box = self
    for (axis, source) in permutation.enumerated() {
      box.start[source] = start[axis]
      box.count[source] = count[axis]
      box.guards[source] = guards[axis]
      if vectorAxis == axis { box.vectorAxis = source }
    }
    return box
  }
}
