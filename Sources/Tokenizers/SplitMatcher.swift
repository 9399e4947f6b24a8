// Runs a pattern over a text. Not recursive but for looks ahead: what is still to be tried is a list.
// Surprise: a place of the program that failed at a place of the text is remembered, and so is where looks and atomic
// groups ended, so that all matches of a text together take no more than the product of both, however repetitions nest.

/// One pattern on one piece of a text.
struct SplitMatcher {
  private let programs: [[SplitPattern.Instruction]]
  private let scalars: ArraySlice<UInt32>
  /// Of each program's instructions: which of the remembered ones it is.
  private let numbers: [[Int]]
  private let rememberedCount: Int
  /// A bit for each remembered instruction and position, as far as matches have come.
  private var failed: [UInt64] = []
  /// Where inner programs end from a remembered instruction and position, counted from the beginning of the piece and 1
  /// more; 0: not known.
  private var ends: [UInt32] = []
  private let innerCount: Int

  /// - Parameter scalars: the piece; its ends are the text's ends for `^`, `$`, `\b` and looks ahead.
  init(_ pattern: SplitPattern, _ scalars: ArraySlice<UInt32>) {
    programs = pattern.programs
    self.scalars = scalars
    numbers = pattern.numbers
    rememberedCount = pattern.remembered
    innerCount = pattern.innerRemembered
  }

  /// The end of the match at `start`; nil if there is none.
  mutating func match(at start: Int) -> Int? { run(0, from: start) }

  /// All matches of the piece, one after the other, as Oniguruma's iterator finds them: a match may be empty, but not where
  /// the one before it ended; behind such a one the search goes on.
  mutating func matches() -> [Range<Int>] {
    var matches: [Range<Int>] = []
    var (from, start) = (scalars.startIndex, scalars.startIndex)
    while start <= scalars.endIndex, !scalars.isEmpty {
      guard let end = match(at: start) else {
        start += 1
        continue
      }
      if start == end, matches.last?.upperBound == end {
        from += 1
      } else {
        matches.append(start..<end)
        from = end
      }
      start = from
    }
    return matches
  }

  /// What may still be tried.
  private struct Choice {
    var place: Int
    var position: Int
    /// How many places had been entered: those that came later have failed when this one is tried.
    var entered: Int
  }

  private func bit(_ program: Int, _ place: Int, _ position: Int) -> Int {
    (position - scalars.startIndex) * rememberedCount + numbers[program][place]
  }

  /// Whether it has not failed here before; it counts as failed from now on.
  private mutating func enter(_ bit: Int) -> Bool {
    let word = bit >> 6
    if word >= failed.count { failed.append(contentsOf: repeatElement(0, count: word + 1 - failed.count)) }
    guard failed[word] >> UInt64(bit & 63) & 1 == 0 else { return false }
    failed[word] |= 1 << UInt64(bit & 63)
    return true
  }

  private mutating func forget(_ bits: some Sequence<Int>) {
    for bit in bits { failed[bit >> 6] &= ~(1 << UInt64(bit & 63)) }
  }

  /// The place of `ends` for a bit of an inner program.
  private func endPlace(_ bit: Int) -> Int {
    let (position, number) = bit.quotientAndRemainder(dividingBy: rememberedCount)
    return position * innerCount + number - (rememberedCount - innerCount)
  }

  private func end(_ bit: Int) -> Int? {
    let place = endPlace(bit)
    guard place < ends.count, ends[place] > 0 else { return nil }
    return scalars.startIndex + Int(ends[place]) - 1
  }

  private mutating func note(_ end: Int, _ bits: [Int]) {
    for bit in bits {
      let place = endPlace(bit)
      if place >= ends.count { ends.append(contentsOf: repeatElement(0, count: place + 1 - ends.count)) }
      ends[place] = UInt32(truncatingIfNeeded: end - scalars.startIndex + 1)
    }
  }

  /// What was entered on the way to where a match stands, and what failed only because the way leads in a circle there.
  private struct Way {
    var entered: [Int] = []
    /// They failed as long as the way is the one it is.
    var provisional: [Int] = []
    /// The first of `entered` that was come to again; until it is left, failures may be due to that.
    var circle = Int.max

    /// Notes that the way comes to a place that it came from, if it does: such places have the same position.
    mutating func close(at bit: Int, _ rememberedCount: Int) {
      var index = entered.count - 1
      while index >= 0, entered[index] / rememberedCount == bit / rememberedCount {
        if entered[index] == bit { return circle = min(circle, index) }
        index -= 1
      }
    }

    /// Goes back to where `count` had been entered: the others have failed.
    mutating func goBack(to count: Int) {
      if circle >= count {
        circle = .max
        provisional.removeAll(keepingCapacity: true)
      } else {
        provisional += entered[count...]
      }
      entered.removeLast(entered.count - count)
    }
  }

  private mutating func run(_ program: Int, from start: Int) -> Int? {
    let code = programs[program]
    var way = Way()
    var choices: [Choice] = []
    var (place, position) = (0, start)
    while true {
      var goesOn = true
      var known: Int?
      if code[place].isRemembered {
        let bit = bit(program, place, position)
        known = program == 0 ? nil : end(bit)
        if known == nil {
          goesOn = enter(bit)
          if goesOn { way.entered.append(bit) } else { way.close(at: bit, rememberedCount) }
        }
      }
      if goesOn, known == nil {
        if case .accept = code[place] {
          known = position
        } else {
          goesOn = advance(over: code[place], &place, &position, &choices, way.entered.count)
        }
      }
      if let end = known {
        // What led here did not fail; of an inner program it will end here again.
        forget(way.entered)
        forget(way.provisional)
        if program > 0, way.circle == .max { note(end, way.entered) }
        return end
      }
      if goesOn { continue }
      guard let last = choices.popLast() else { return nil }
      way.goBack(to: last.entered)
      (place, position) = (last.place, last.position)
    }
  }

  /// Whether an instruction lets the match go on, and where.
  @inline(__always)
  private mutating func advance(
    over instruction: SplitPattern.Instruction, _ place: inout Int, _ position: inout Int, _ choices: inout [Choice],
    _ entered: Int
  ) -> Bool {
    switch instruction {
    // Where a match ends it does not go on.
    case .accept: return false
    case .one(let set):
      guard position < scalars.endIndex, set.contains(scalars[position]) else { return false }
      position += 1
    case .fork(let first, let second):
      choices.append(Choice(place: second, position: position, entered: entered))
      place = first
      return true
    case .jump(let target):
      place = target
      return true
    case .look(let inner, let isNegative):
      if (run(inner, from: position) != nil) == isNegative { return false }
    case .atomic(let inner):
      guard let end = run(inner, from: position) else { return false }
      position = end
    case .atStart(let isLine):
      // No line begins behind the text's last line end.
      guard position == scalars.startIndex || isLine && position < scalars.endIndex && scalars[position - 1] == 0x0A
      else { return false }
    case .atEnd(let isLine):
      guard position == scalars.endIndex || isLine && scalars[position] == 0x0A else { return false }
    case .atBoundary(let isNegative):
      if isBoundary(position) == isNegative { return false }
    }
    place += 1
    return true
  }

  private func isBoundary(_ position: Int) -> Bool {
    func isWord(_ index: Int) -> Bool {
      guard scalars.indices.contains(index) else { return false }
      return Unicode.Scalar(scalars[index])?.isWordPartOfPattern ?? false
    }
    return isWord(position - 1) != isWord(position)
  }
}
