// Axes taken apart again, whatever is done to the one that a reshape made of them. Not what it is good for: that is in
// PassTests. Surprise: whether a pass takes them apart is its own affair; only another meaning is wrong.
import Basics
import GraphIR
import RandomGraphs
import Scalars
import TensorTypes
import Testing

@testable import Fusion

/// Ways in which two or three axes become one, in front of an axis of 4.
private enum Join: CaseIterable {
  case wholeAgain, eachAgain, moved, computed, three, transposed

  func make(_ b: inout GraphBuilder) throws(Diagnostic) -> Value {
    switch self {
    case .wholeAgain:
      let x = b.parameter("x", TensorType(.f32, [3, 4]))
      return try b.append(.reshape([6, 4]), b.broadcast(x, [2, 3, 4]))
    case .eachAgain:
      let x = b.parameter("x", TensorType(.f32, [2, 1, 4]))
      return try b.append(.reshape([6, 4]), b.broadcast(x, [2, 3, 4]))
    case .moved:
      let x = b.parameter("x", TensorType(.f32, [3, 2, 4]))
      return try b.append(.reshape([6, 4]), b.append(.permute([1, 0, 2]), x))
    case .computed:
      let x = b.parameter("x", TensorType(.f32, [2, 3, 4]))
      let y = b.parameter("y", TensorType(.f32, [3, 4]))
      return try b.append(.reshape([6, 4]), b.append(.add, x, b.broadcast(y, [2, 3, 4])))
    case .three:
      let x = b.parameter("x", TensorType(.f32, [2, 1, 3, 4]))
      return try b.append(.reshape([12, 4]), b.broadcast(x, [2, 2, 3, 4]))
    case .transposed:
      let x = b.parameter("x", TensorType(.f32, [4, 2, 1]))
      return try b.append(.permute([1, 0]), b.append(.reshape([4, 6]), b.broadcast(x, [4, 2, 3])))
    }
  }
}

/// What is done to the joined axis, the first of [n, 4].
private enum Step {
  case cut(start: Int, count: Int, step: Int)
  case turned, allTurned, padded, windows, joined, joinedAcross, moved, sum, rows, running, numbered
  case apart, apartOtherwise, flat

  /// Every way to cut or turn an axis, whole ones among them, and the rest.
  static var all: [Step] {
    var all: [Step] = [
      .turned, .allTurned, .padded, .windows, .joined, .joinedAcross, .moved, .sum, .rows, .running, .numbered,
      .apart, .apartOtherwise, .flat,
    ]
    for step in [-6, -3, -2, -1, 1, 2, 3, 6] {
      for start in [0, 1, 2, 5] {
        for count in 1...6 where (0..<6).contains(start + (count - 1) * step) {
          all.append(.cut(start: start, count: count, step: step))
        }
      }
    }
    return all
  }

  func make(_ v: Value, _ n: Int, _ b: inout GraphBuilder) throws(Diagnostic) -> Value {
    switch self {
    case .cut(let start, let count, let step):
      return try b.append(.slice(starts: [Dim(start), 0], counts: [Dim(count), 4], steps: [step, 1]), v)
    case .turned: return try b.append(.slice(starts: [Dim(n - 1), 0], counts: [Dim(n), 4], steps: [-1, 1]), v)
    case .allTurned: return try b.append(.slice(starts: [Dim(n - 1), 3], counts: [Dim(n), 4], steps: [-1, -1]), v)
    case .padded: return try b.append(.pad(low: [1, 0], high: [0, 2]), v, b.filled(ScalarConstant(.f32, 7), []))
    case .windows: return try b.append(.windows(axis: 0, size: 2, step: 1, dilation: 2), v)
    case .joined: return try b.append(.concatenate(axis: 0), v, v)
    case .joinedAcross: return try b.append(.concatenate(axis: 1), v, v)
    case .moved: return try b.append(.permute([1, 0]), v)
    case .sum: return try b.append(.reduce(.sum, axes: [0]), v)
    case .rows: return try b.append(.reduce(.maximum, axes: [1]), v)
    case .running: return try b.append(.scan(.sum, axis: 0), v)
    case .numbered:
      let numbers = try b.append(.iota(axis: 0, [Dim(n), 4]), [])
      return try b.append(.multiply, v, b.convert(numbers, to: .f32))
    case .apart: return try b.append(.reshape([2, Dim(n / 2), 4]), v)
    case .apartOtherwise: return try b.append(.reshape([Dim(n / 2), 2, 4]), v)
    case .flat: return try b.append(.reshape([Dim(n * 4)]), v)
    }
  }
}

@Suite struct SplitAxesTests {
  @Test(arguments: Join.allCases) private func what_is_done_to_a_joined_axis_keeps_its_meaning(join: Join) throws {
    for step in Step.all {
      // Computed before it, behind it, and both.
      for computed in 1...3 {
        var b = GraphBuilder(name: "joined")
        var value = try join.make(&b)
        let extent = try #require(b.shape(value)[0].knownValue)
        if computed & 1 != 0 { value = try b.append(.negate, value) }
        value = try step.make(value, extent, &b)
        if computed & 2 != 0 { value = try b.append(.exp2, value) }
        let graph = b.finish([value])
        let sample = GraphCase(graph, values: .whole)
        var apart = sample
        apart.graph = try graph.withSplitAxes().verified()
        #expect(
          try apart.reference(0).map(\.bytes) == sample.reference(0).map(\.bytes),
          "\(join), \(step)\n\(graph)\n\(apart.graph)")
      }
    }
  }
}
