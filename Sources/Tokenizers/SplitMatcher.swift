// Runs a pattern over a text. Not recursive but for looks ahead: what is still to be tried is a list.
// Surprise: a place of the program that failed at a place of the text is remembered, so that no pattern takes more than
// the product of both, however its repetitions nest.

/// One pattern on one piece of a text.
struct SplitMatcher {
  private let programs: [[SplitPattern.Instruction]]
  private let scalars: ArraySlice<UInt32>
  private let width: Int
  /// Where each program's places begin in `failed`.
  private let firstPlace: [Int]
  private var failed: [UInt64]

  /// - Parameter scalars: the piece; its ends are the text's ends for `^`, `$`, `\b` and looks ahead.
  init(_ pattern: SplitPattern, _ scalars: ArraySlice<UInt32>) {
    programs = pattern.programs
    self.scalars = scalars
    width = scalars.count + 1
    var places = 0
    var first: [Int] = []
    for program in programs {
      first.append(places)
      places += program.count
    }
    firstPlace = first
    failed = [UInt64](repeating: 0, count: (places * width + 63) / 64)
  }

  /// The end of the match at `start`; nil if there is none.
  mutating func match(at start: Int) -> Int? { run(0, from: start) }

  /// What may still be tried.
  private struct Choice {
    var place: Int
    var position: Int
  }

  /// Whether it is the first time at this place; it counts as failed from now on.
  private mutating func enter(_ program: Int, _ place: Int, _ position: Int, _ entered: inout [Int]) -> Bool {
    let bit = (firstPlace[program] + place) * width + (position - scalars.startIndex)
    guard failed[bit >> 6] >> UInt64(bit & 63) & 1 == 0 else { return false }
    failed[bit >> 6] |= 1 << UInt64(bit & 63)
    entered.append(bit)
    return true
  }

  private mutating func run(_ program: Int, from start: Int) -> Int? {
    let code = programs[program]
    var entered: [Int] = []
    var choices: [Choice] = []
    var (place, position) = (0, start)
    while true {
      var goesOn = true
      switch code[place] {
      case .accept:
        // What led here did not fail.
        for bit in entered { failed[bit >> 6] &= ~(1 << UInt64(bit & 63)) }
        return position
      case .one(let set):
        if position < scalars.endIndex, set.contains(scalars[position]) {
          (place, position) = (place + 1, position + 1)
        } else {
          goesOn = false
        }
      case .fork(let first, let second):
        goesOn = enter(program, place, position, &entered)
        if goesOn {
          choices.append(Choice(place: second, position: position))
          place = first
        }
      case .jump(let target): place = target
      case .look(let inner, let isNegative):
        goesOn = (run(inner, from: position) != nil) != isNegative
        place += 1
      case .atomic(let inner):
        if let end = run(inner, from: position) {
          (place, position) = (place + 1, end)
        } else {
          goesOn = false
        }
      case .atStart(let isLine):
        goesOn = position == scalars.startIndex || isLine && scalars[position - 1] == 0x0A
        place += 1
      case .atEnd(let isLine):
        goesOn = position == scalars.endIndex || isLine && scalars[position] == 0x0A
        place += 1
      case .atBoundary(let isNegative):
        goesOn = isBoundary(position) != isNegative
        place += 1
      }
      if goesOn { continue }
      guard let last = choices.popLast() else { return nil }
      (place, position) = (last.place, last.position)
    }
  }

  private func isBoundary(_ position: Int) -> Bool {
    func isWord(_ index: Int) -> Bool {
      guard scalars.indices.contains(index) else { return false }
      return Unicode.Scalar(scalars[index])?.isWordPartOfPattern ?? false
    }
    return isWord(position - 1) != isWord(position)
  }
}
