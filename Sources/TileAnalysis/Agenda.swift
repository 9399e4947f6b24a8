// What a back end does for a phase, in order, and what is therefore kept at each item. A function of the kernel: no code and
// no addresses.
// Surprise: what a value costs and how a tile is walked depends on the item (`reached`), since what was computed before is
// read and not computed again.
import TileIR

/// Something to make code for. Items are numbered in the order in which that is done, those of a loop among them.
package struct AgendaItem {
  package enum Work {
    /// An index value where it stands in the kernel.
    case index(TileValue)
    /// Computes a value and keeps it: one element in a register, else in memory.
    case keep(TileValue, inRegister: Bool)
    /// Gives a value memory, to which the first reduction over it writes it in passing.
    case reserve(TileValue)
    /// Writes a reserved value by itself: the next reduction does not pass over what is wanted of it.
    case write(TileValue)
    /// A reduction, scan or sort order, which is kept; reserved values are then written.
    case across(TileValue, writing: [TileValue])
    case stores([StoreTarget])
    /// Carried tiles begin as initial values; results of the loop are what they end as.
    case loop(TileValue, [AgendaItem])
    /// Computes a yield into the carried tile that it replaces.
    case carry(yield: TileValue, into: TileValue)
  }

  package var number: Int
  package var work: Work
}

/// When a value is kept, in numbers of items.
struct Holding {
  /// In memory: the axis along which neighbours are neighbours.
  var inner: Int?
  /// It has memory and is not there yet.
  var reserved: Range<Int>
  /// The first item that finds it there.
  var kept: Int
}

/// A value that is kept somewhere.
package struct Held {
  /// In memory: the axis along which neighbours are neighbours.
  package var inner: Int?
  /// It has a place, to which the first walk that needs it still writes it.
  package var isPending: Bool
}

extension PhaseFacts {
  /// What a question about a phase is asked for.
  package enum Moment {
    case item(Int)
    /// A stage of a pipeline, which has no items: every instance under way is at another one.
    case stage(Int, Stages)
  }

  /// Whether and how a value is kept at the moment reached.
  package func held(_ value: TileValue) -> Held? {
    switch reached {
    case .item(let number):
      guard let holding = holdings[value] else { return nil }
      if number >= holding.kept { return Held(inner: holding.inner, isPending: false) }
      return holding.reserved.contains(number) ? Held(inner: holding.inner, isPending: true) : nil
    case .stage(let stage, let stages):
      if let first = stages.passing[value] { return Held(inner: inner(value), isPending: first == stage) }
      guard residences[value] == .scalar || kernel[value].operation.kind == .across, let level = stages.level[value],
        level <= stage
      else { return nil }
      return Held(inner: nil, isPending: false)
    }
  }

  /// Read from where it is, not computed.
  package func isHeld(_ value: TileValue) -> Bool { held(value).map { !$0.isPending } ?? false }

  // MARK: The order of work

  /// - Returns: the items of a region, after which `reached` stands.
  mutating func items(_ region: Region) -> [AgendaItem] {
    var items: [AgendaItem] = []
    var stored: Set<TileValue> = []
    for value in region.operations {
      switch kernel[value].operation {
      case .programID, .regionArgument, .result, .splat, .splatArgument, .coordinates: continue
      case .argument, .index, .indexBinary: items.append(item(.index(value)))
      case .load, .map, .convert, .bitcast, .broadcast, .transpose: items += place(value)
      case .store:
        if stored.contains(value) { continue }
        let group = storeGroup(startingAt: value, in: region)
        stored.formUnion(group.map(\.store))
        for target in group where reads(target.value, target) { items.append(keep(target.value)) }
        items.append(item(.stores(group)))
      case .reduce(_, let axes, let operand): items += reduction(value, axes, operand)
      case .argReduce:
        items.append(item(.across(value, writing: [])))
        hold(value, inRegister: kernel.isScalar(value))
      case .scan, .argScan, .sortOrder:
        items.append(item(.across(value, writing: [])))
        hold(value, inRegister: false)
      case .dot:
        // One whose only use is to be a loop's next carried tile is computed into that tile.
        if !uses.isYieldedOnly(value) { items.append(keep(value)) }
      case .loop(_, _, let body): items.append(loop(value, body))
      }
    }
    return items
  }

  /// The next item; `reached` is then the one behind it.
  private mutating func item(_ work: AgendaItem.Work) -> AgendaItem {
    let number = next
    reached = .item(number + 1)
    return AgendaItem(number: number, work: work)
  }

  private var next: Int { if case .item(let number) = reached { number } else { 0 } }

  private mutating func hold(_ value: TileValue, inRegister: Bool) {
    if holdings[value] != nil { return }
    holdings[value] = Holding(inner: inRegister ? nil : inner(value), reserved: 0..<0, kept: next)
  }

  private mutating func keep(_ value: TileValue, inRegister: Bool = false) -> AgendaItem {
    let item = item(.keep(value, inRegister: inRegister))
    hold(value, inRegister: inRegister)
    return item
  }

  private func inner(_ value: TileValue) -> Int { innerAxis(kernel[value].shape) }

  private mutating func place(_ value: TileValue) -> [AgendaItem] {
    switch residences[value] {
    case .virtual: return []
    case .scalar: return [keep(value, inRegister: true)]
    case .memory: return [keep(value)]
    case .inPassing:
      let item = item(.reserve(value))
      holdings[value] = Holding(inner: inner(value), reserved: next..<Int.max, kept: .max)
      return [item]
    }
  }

  /// Reserved values are written by the first reduction that passes over all that is wanted of them, else before it.
  private mutating func reduction(_ value: TileValue, _ axes: [Int], _ operand: TileValue) -> [AgendaItem] {
    let wanted = demands[value].enumerated().map { axes.contains($0.offset) ? 0 : $0.element }
    let reserved = reservedBelow(operand)
    var items: [AgendaItem] = []
    for value in reserved where demands[value] != wanted {
      items.append(item(.write(value)))
      settle(value, reservedUntil: next - 1)
    }
    let passing = reserved.filter { demands[$0] == wanted }
    items.append(item(.across(value, writing: passing)))
    for value in passing { settle(value, reservedUntil: next) }
    hold(value, inRegister: kernel.isScalar(value))
    return items
  }

  private mutating func settle(_ value: TileValue, reservedUntil end: Int) {
    guard let start = holdings[value]?.reserved.lowerBound else { return }
    let now = next
    holdings[value]?.reserved = start..<end
    holdings[value]?.kept = now
  }

  private func reservedBelow(_ operand: TileValue) -> [TileValue] {
    var found: [TileValue] = []
    var seen: Set<TileValue> = []
    var stack = [operand]
    while let value = stack.popLast() {
      guard seen.insert(value).inserted, !isHeld(value) else { continue }
      if held(value) != nil { found.append(value) }
      guard [.elementwise, .movement].contains(kernel[value].operation.kind) else { continue }
      stack += kernel[value].operation.operands
    }
    return found.sorted { $0.id < $1.id }
  }

  private mutating func loop(_ value: TileValue, _ body: Region) -> AgendaItem {
    let carried = body.arguments.dropFirst()
    let number = next
    reached = .item(number + 1)
    for argument in carried { hold(argument, inRegister: false) }
    let items = items(body) + yields(body.yields, Array(carried))
    for result in uses.results[value] ?? [] { hold(result, inRegister: false) }
    return AgendaItem(number: number, work: .loop(value, items))
  }

  /// Every yield into its tile in place: after everything that reads what it replaces, so that only a cycle needs a copy.
  private mutating func yields(_ values: [TileValue], _ carried: [TileValue]) -> [AgendaItem] {
    var items: [AgendaItem] = []
    var waiting = carried.indices.filter { values[$0] != carried[$0] }
    var reads = values.map { carriedBelow($0, Set(carried)) }
    for i in waiting where readsAcross(values[i], carried[i]) {
      items.append(keep(values[i]))
      reads[i] = []
    }
    while !waiting.isEmpty {
      let free = waiting.first { i in !waiting.contains { $0 != i && reads[$0].contains(carried[i]) } }
      if let free {
        items.append(item(.carry(yield: values[free], into: carried[free])))
        waiting.removeAll { $0 == free }
      } else {
        // A carried tile that is a yield itself is copied; later reads come from the copy.
        items.append(keep(values[waiting[0]]))
        reads[waiting[0]] = []
      }
    }
    return items
  }
}

extension AgendaItem: CustomStringConvertible {
  package var description: String { lines("").joined(separator: "\n") }

  /// One line, and one for each item in a loop.
  private func lines(_ indent: String) -> [String] {
    func named(_ values: [TileValue]) -> String { values.map { "%\($0.id)" }.joined(separator: ", ") }
    let text: String
    var inside: [AgendaItem] = []
    switch work {
    case .index(let value): text = "index %\(value.id)"
    case .keep(let value, let inRegister): text = "keep %\(value.id)\(inRegister ? " in a register" : "")"
    case .reserve(let value): text = "reserve %\(value.id)"
    case .write(let value): text = "write %\(value.id)"
    case .across(let value, let writing):
      text = "across %\(value.id)" + (writing.isEmpty ? "" : ", writing \(named(writing))")
    case .stores(let group): text = "store \(named(group.map(\.value)))"
    case .carry(let yield, let argument): text = "carry %\(yield.id) into %\(argument.id)"
    case .loop(let value, let items):
      text = "loop %\(value.id)"
      inside = items
    }
    return ["\(indent)\(number) \(text)"] + inside.flatMap { $0.lines(indent + "  ") }
  }
}
