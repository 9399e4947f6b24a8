// JSON documents of readers, mutated as trees: members missing, doubled, of another type, numbers out of any range.
// Not the parser's own tests. Surprise: the text is changed too, now and then, after the tree.

import Basics
import RandomGraphs

enum HostileJSON {
  /// The text of `document` after some changes.
  static func mutated(_ document: JSON, _ random: inout SeededGenerator) -> [UInt8] {
    var tree = document
    for _ in 0..<random.pick([0, 1, 1, 1, 2, 3]) {
      var left = random.below(max(size(tree), 1))
      tree = changed(tree, &left, &random)
    }
    var bytes = Array(tree.description.utf8)
    if random.once(in: 6), !bytes.isEmpty { Mutation.change(&bytes, &random) }
    return bytes
  }

  /// Any value, of few levels.
  static func any(_ random: inout SeededGenerator, depth: Int = 0) -> JSON {
    switch random.below(depth > 4 ? 7 : 9) {
    case 0: .null
    case 1: .bool(random.once(in: 2))
    case 2, 3: .integer(Int(random.hostileNumber()))
    case 4: .number(random.pick([0.5, -0.0, 1e300, -1e300, 1e-300, 1e19, 0.1, 3e38]))
    case 5, 6: .string(random.word())
    case 7: .array((0..<random.below(5)).map { _ in any(&random, depth: depth + 1) })
    default: .object((0..<random.below(5)).map { _ in .init(random.word(), any(&random, depth: depth + 1)) })
    }
  }

  private static func size(_ value: JSON) -> Int {
    switch value {
    case .array(let elements): 1 + elements.reduce(0) { $0 + size($1) }
    case .object(let members): 1 + members.reduce(0) { $0 + size($1.value) }
    case .null, .bool, .integer, .number, .string: 1
    }
  }

  /// The tree with the value that comes `left` values later changed.
  private static func changed(_ value: JSON, _ left: inout Int, _ random: inout SeededGenerator) -> JSON {
    if left == 0 {
      left = -1
      return replacement(value, &random)
    }
    left -= 1
    switch value {
    case .array(var elements):
      for index in elements.indices where left >= 0 { elements[index] = changed(elements[index], &left, &random) }
      return .array(elements)
    case .object(var members):
      for index in members.indices where left >= 0 {
        members[index].value = changed(members[index].value, &left, &random)
      }
      return .object(members)
    case .null, .bool, .integer, .number, .string: return value
    }
  }

  private static func replacement(_ value: JSON, _ random: inout SeededGenerator) -> JSON {
    switch value {
    case .array(var elements) where !elements.isEmpty && !random.once(in: 4):
      let place = random.below(elements.count)
      switch random.below(4) {
      case 0: elements.remove(at: place)
      case 1: elements.append(elements[place])
      case 2: elements.insert(any(&random), at: place)
      default: elements.swapAt(place, random.below(elements.count))
      }
      return .array(elements)
    case .object(var members) where !members.isEmpty && !random.once(in: 4):
      let place = random.below(members.count)
      switch random.below(4) {
      case 0: members.remove(at: place)
      case 1: members.append(members[place])
      case 2: members.append(.init(random.word(), any(&random)))
      default: members[place].key = random.once(in: 2) ? random.word() : members[random.below(members.count)].key
      }
      return .object(members)
    case .integer where !random.once(in: 4): return .integer(Int(random.hostileNumber()))
    case .string(let text) where !random.once(in: 3):
      return .string(random.once(in: 2) ? random.word() : String(text.dropLast()) + random.word())
    case .array, .object, .null, .bool, .integer, .number, .string: return any(&random)
    }
  }
}
