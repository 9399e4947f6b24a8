// Which nests become one kernel: independent ones beside each other, small ones behind a barrier. Decides no memory.
// Surprise: nests are independent by what they do to memory, not by the graph: two range writes into one cache are, if
// their ranges cannot meet.
import GraphIR
import TensorTypes

/// Nests that become one kernel: stages with a barrier between them, in each stage nests that run beside each other.
struct NestGroup {
  var stages: [[Int]]
  var nests: [Int] { stages.flatMap { $0 } }
}

struct LaunchOrder {
  private(set) var groups: [NestGroup] = []

  /// More nests or results than these in one kernel make its code too long to be worth a launch.
  private static let mostNests = 12
  private static let mostResults = 3 * LoopNest.mostRoots

  init(_ nests: [LoopNest], _ context: SchedulingContext) {
    let needs = Self.dependencies(nests, context)
    let levels = Self.levels(nests, needs)
    var byLevel: [[Int]] = Array(repeating: [], count: (levels.max() ?? -1) + 1)
    for nest in nests.indices { byLevel[levels[nest]].append(nest) }
    let small = nests.map(Self.isSmall)
    func fit(_ group: [Int]) -> Bool {
      group.count <= Self.mostNests && group.reduce(0) { $0 + nests[$1].roots.count } <= Self.mostResults
    }
    for level in byLevel {
      var rest = level[...]
      while let first = rest.first {
        var stage = [first]
        while context.fuses, let next = rest.dropFirst(stage.count).first, fit(stage + [next]) { stage.append(next) }
        groups.append(NestGroup(stages: [stage]))
        rest = rest.dropFirst(stage.count)
      }
    }
    if context.fuses { join(small, fit) }
  }

  /// The nests that each nest must run after.
  private static func dependencies(_ nests: [LoopNest], _ context: SchedulingContext) -> [[Int]] {
    struct Access {
      var writers: [(nest: Int, box: ElementBox?)] = []
      var readers: [Int] = []
    }
    var memory: [Schedule.BufferSource: Access] = [:]
    let owners = Dictionary(
      context.donations.map { ($0.output, $0.parameter) }, uniquingKeysWith: { first, _ in first })
    func key(_ source: Schedule.BufferSource) -> Schedule.BufferSource {
      if case .output(let i) = source, let p = owners[i] { return .parameter(p) }
      return source
    }
    var result: [[Int]] = []
    for (number, nest) in nests.enumerated() {
      var needed: Set<Int> = []
      let reads = Set(nest.inputs.values.map { key($0.source) })
      for source in reads { needed.formUnion(memory[source, default: Access()].writers.map(\.nest)) }
      for root in nest.roots {
        let source = key(root.target.source)
        for writer in memory[source, default: Access()].writers {
          if let mine = root.box, let other = writer.box, mine.isDisjoint(from: other) { continue }
          needed.insert(writer.nest)
        }
        needed.formUnion(memory[source, default: Access()].readers)
      }
      needed.remove(number)
      result.append(needed.sorted())
      for source in reads { memory[source, default: Access()].readers.append(number) }
      for root in nest.roots {
        let source = key(root.target.source)
        if root.box == nil {
          memory[source] = Access(writers: [(number, nil)], readers: [])
        } else {
          memory[source, default: Access()].writers.append((number, root.box))
        }
      }
    }
    return result
  }

  /// As early as possible; what waits for nothing runs just before it is needed, so that its result does not wait.
  private static func levels(_ nests: [LoopNest], _ needs: [[Int]]) -> [Int] {
    var levels = Array(repeating: 0, count: nests.count)
    var latest = Array(repeating: Int.max, count: nests.count)
    for nest in nests.indices {
      levels[nest] = (needs[nest].map { levels[$0] }.max() ?? -1) + 1
      for before in needs[nest] { latest[before] = min(latest[before], levels[nest] - 1) }
    }
    for nest in nests.indices where needs[nest].isEmpty && latest[nest] != Int.max { levels[nest] = latest[nest] }
    return levels
  }

  /// Groups of small nests join the group before them, or else the one behind, with a barrier between.
  private mutating func join(_ small: [Bool], _ fit: ([Int]) -> Bool) {
    var joined: [NestGroup] = []
    for group in groups {
      guard let last = joined.last, fit(last.nests + group.nests) else {
        joined.append(group)
        continue
      }
      // At most one large stage, so that a kernel has one cost that dominates it.
      let largeStages = (last.stages + group.stages).count { stage in stage.contains { !small[$0] } }
      if largeStages <= 1 {
        joined[joined.count - 1].stages += group.stages
      } else {
        joined.append(group)
      }
    }
    groups = joined
  }

  private static func isSmall(_ nest: LoopNest) -> Bool {
    var bytes = 0
    for view in nest.inputs.values {
      guard let extents = view.shape.knownExtents else { return false }
      bytes += zip(extents, view.strides).reduce(view.type.dtype.size) { $1.1.isKnown(0) ? $0 : $0 * $1.0 }
    }
    for root in nest.roots {
      guard let extents = root.target.shape.knownExtents else { return false }
      bytes += extents.reduce(root.target.type.dtype.size, *)
    }
    // A launch of its own would cost more than it moves.
    return bytes <= FusionCost.launchBytes
  }
}
