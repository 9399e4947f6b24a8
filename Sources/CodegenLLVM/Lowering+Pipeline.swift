// Instances in a pipeline: where every instance walks one row several times (statistics, then the result), one loop walks
// neighbouring rows at once, each in another stage. Memory is then read and written evenly instead of in bursts between
// which it idles. Not a change of results: every row's sums are split as in the plain loop, so a launch may mix both.
// Surprise: before the first row has reached the last stage, results are written to a place nobody reads.
import CLLVM
import Scalars
import TensorTypes
import TileIR

/// The walks of an instance: stage s needs the reductions of the stages before it.
struct Stages {
  /// The axis walked, the only one.
  var axis: Int
  var shape: [Extent]
  /// Reductions by the stage that walks their operands.
  var reductions: [[TileValue]]
  /// Stores of whole rows and of single elements, all in the last stage.
  var stores: [TileValue] = []
  var scalarStores: [TileValue] = []
  /// For every value the first stage that can compute it.
  var level: [TileValue: Int]
  /// Values that one stage writes to instance memory and the next one reads.
  var passing: [TileValue: Int] = [:]

  var count: Int { reductions.count }
  var last: Int { count - 1 }
}

extension Lowering {
  /// Vectors that every stage does in one trip.
  private static let pipelineWidth = 4
  /// Rows below which filling the pipeline costs too much.
  private static let fewestRows = 12

  // MARK: Whether

  /// An extent that is walked by a loop, not written out as a few vectors.
  func isLong(_ extent: Extent) -> Bool { facts.constant(extent).map { $0 >= 8 * Self.pipelineWidth * lanes } ?? true }

  /// nil: some operation does not fit.
  func stages(of region: Region) -> Stages? {
    guard options.streamingStores, options.prefetch, walkCanMask else { return nil }
    var level: [TileValue: Int] = [:]
    var reduced: [(value: TileValue, stage: Int, operand: TileValue, axes: [Int])] = []
    var stores: [(value: TileValue, access: Access, content: TileValue, mode: StoreMode)] = []
    for value in region.operations {
      let node = kernel[value]
      let deepest = node.operation.operands.compactMap { level[$0] }.max() ?? 0
      level[value] = deepest
      switch node.operation {
      case .load(let access, _):
        guard access.axes.allSatisfy({ !$0.guarded && $0.indirect == nil }) else { return nil }
      case .map(let instruction, _):
        // Rows that are none must not report a fault.
        if instruction == .divide || instruction == .remainder, node.dtype?.isFloating != true { return nil }
      case .convert, .bitcast, .broadcast: break
      case .reduce(_, let axes, let operand):
        guard plan.isScalar(value) else { return nil }
        reduced.append((value, deepest, operand, axes))
        level[value] = deepest + 1
        continue
      case .store(let access, let content, let mode):
        guard access.axes.allSatisfy({ !$0.guarded && $0.indirect == nil }) else { return nil }
        stores.append((value, access, content, mode))
        continue
      default:
        guard [.index, .source].contains(node.operation.kind) else { return nil }
        continue
      }
      if plan.residence(of: value) == .memory { return nil }
    }
    // A row is read again after rows before it have been written.
    let read = region.operations.compactMap { value in
      if case .load(let access, _) = kernel[value].operation { access.buffer } else { nil }
    }
    if stores.contains(where: { read.contains($0.access.buffer) }) { return nil }
    let rows = stores.filter { !plan.isScalar($0.content) }
    guard let first = rows.first, let last = rows.compactMap({ level[$0.content] }).max(), (1...3).contains(last) else {
      return nil
    }
    let shape = kernel[first.content].shape
    let walked = shape.indices.filter { shape[$0] != .constant(1) }
    guard walked.count == 1, let axis = walked.first, isLong(shape[axis]) else { return nil }
    var stages = Stages(
      axis: axis, shape: shape, reductions: [[TileValue]](repeating: [], count: last + 1), level: level)
    for root in reduced {
      guard root.stage < last, kernel[root.operand].shape == shape, root.axes.contains(axis),
        vectorAxis([root.operand], shape) == axis, !gathers([root.operand], along: axis)
      else { return nil }
      stages.reductions[root.stage].append(root.value)
    }
    for root in rows {
      guard kernel[root.content].shape == shape, root.mode == .streaming, isContiguous(root.access, axis),
        vectorAxis([root.content], shape, to: [root.access]) == axis, !gathers([root.content], along: axis),
        root.access.axes.last.flatMap({ facts.constant($0.start) }) == 0
      else { return nil }
      stages.stores.append(root.value)
    }
    for root in stores where plan.isScalar(root.content) {
      guard root.mode == .plain else { return nil }
      stages.scalarStores.append(root.value)
    }
    return findPassing(&stages) ? stages : nil
  }

  /// A value in memory is there for one stage only: the next row's takes its place.
  private func findPassing(_ stages: inout Stages) -> Bool {
    var uses: [TileValue: Set<Int>] = [:]
    var seen: [Set<TileValue>] = Array(repeating: [], count: stages.last + 1)
    func visit(_ value: TileValue, _ stage: Int) {
      guard seen[stage].insert(value).inserted else { return }
      if plan.residence(of: value) == .inPassing { uses[value, default: []].insert(stage) }
      if plan.isPointwise(value) {
        for operand in kernel[value].operation.operands where kernel[operand].dtype != nil { visit(operand, stage) }
      }
    }
    for (stage, roots) in stages.reductions.enumerated() {
      for root in roots { for operand in kernel[root].operation.operands { visit(operand, stage) } }
    }
    for root in stages.stores {
      if case .store(_, let content, _) = kernel[root].operation { visit(content, stages.last) }
    }
    for (value, found) in uses {
      guard let first = found.min(), found == [first] || found == [first, first + 1] else { return false }
      stages.passing[value] = first
    }
    return true
  }

  /// Many rows of whole groups of vectors, written past the caches to aligned places; the rows under way fit the second
  /// cache.
  func canPipeline(_ stages: Stages, from first: IR, to end: IR) -> IR {
    var isFitting = isLarge(writing: stages.stores)
    let extent = extent(stages.shape[stages.axis])
    isFitting = e.and(
      isFitting,
      e.compare(LLVMIntEQ, e.and(extent, e.index(Self.pipelineWidth * lanes - 1)), e.index(0)))
    let longest = e.target.cache.level2 / (8 * (stages.count + 1))
    isFitting = e.and(isFitting, e.compare(LLVMIntULE, e.indexSubtract(extent, e.index(1)), e.index(longest)))
    for root in stages.stores {
      guard case .store(let access, _, _) = kernel[root].operation else { continue }
      let size = kernel.buffers[access.buffer].dtype.size
      let mask = e.index(streamAlignment(kernel.buffers[access.buffer].dtype) - 1)
      var bits = e.cast(LLVMPtrToInt, buffers[access.buffer], e.i64)
      for stride in strides(of: kernel.buffers[access.buffer]).dropLast() {
        bits = e.or(bits, e.indexMultiply(stride, e.index(size)))
      }
      isFitting = e.and(isFitting, e.compare(LLVMIntEQ, e.and(bits, mask), e.index(0)))
    }
    return e.and(
      isFitting, e.compare(LLVMIntSGE, e.indexSubtract(end, first), e.index(Self.fewestRows)))
  }

  // MARK: The loops

  /// One row on its way, at one stage.
  private struct Place {
    var number: IR
    var isValid: IR
    var coordinates: [IR]
    /// Reductions of earlier stages, and what is computed from them once per row.
    var scalars: [TileValue: IR]
  }

  func lowerPipelined(_ region: Region, _ stages: Stages, _ grid: [IR], from first: IR, to end: IR) {
    let top = arenaTop
    var rooms: [TileValue: Home] = [:]
    for value in stages.passing.keys.sorted(by: { $0.id < $1.id }) { rooms[value] = allocate(value) }
    let aside = e.slot(bytes: Self.pipelineWidth * lanes * 8, in: entryBlock)
    // What a row brings along from stage to stage: the reductions so far.
    let known = (0..<stages.count).map { stage in stages.reductions[..<stage].flatMap { $0 } }
    let start = known.flatMap { $0.map { e.constant(ScalarConstant(kernel[$0].dtype ?? .f32, 0), 1) } }
    _ = e.loop(from: first, to: e.indexAdd(end, e.index(stages.last)), start) { trip, carried in
      var position = 0
      var places: [Place] = []
      for stage in 0..<stages.count {
        let number = e.indexSubtract(trip, e.index(stage))
        let inside = e.indexMinimum(e.indexMaximum(number, first), e.indexSubtract(end, e.index(1)))
        var place = Place(
          number: inside, isValid: e.compare(LLVMIntEQ, number, inside), coordinates: programCoordinates(grid, inside),
          scalars: [:])
        for value in known[stage] {
          place.scalars[value] = carried[position]
          position += 1
        }
        within(place, region) {
          for value in region.operations where plan.residence(of: value) == .scalar {
            guard let level = stages.level[value], level <= stage else { continue }
            let made = eval(value, .single(kernel[value].shape.count))[0]
            homes[value] = .scalar(made)
            place.scalars[value] = made
          }
        }
        places.append(place)
      }
      let results = walkRows(region, stages, places, rooms, aside)
      let final = places[stages.last]
      e.when(final.isValid) {
        within(final, region) {
          for root in stages.scalarStores {
            guard case .store(let access, let content, let mode) = kernel[root].operation else { continue }
            let box = Box.single(kernel[content].shape.count)
            store(access, kernel[content].shape, eval(content, box), mode, box)
          }
        }
      }
      return known.enumerated().flatMap { stage, values in
        // Fresh from the stage before, or brought along by the row that was there.
        values.map { value in
          let made = stages.reductions[stage - 1].contains(value) ? results[value] : places[stage - 1].scalars[value]
          return made ?? start[0]
        }
      }
    }
    arenaTop = top
    homes = [:]
    pending = []
    passes = [:]
  }

  /// Evaluates for one row: its program IDs, its scalars.
  private func within(_ place: Place, _ region: Region, _ body: () -> Void) {
    open()
    let outer = instance
    instance = place.number
    bindProgramIDs(region, place.coordinates)
    for (value, scalar) in place.scalars { homes[value] = .scalar(scalar) }
    body()
    homes = [:]
    pending = []
    instance = outer
    close()
  }

  /// All rows under way, one stage each; gives the reductions that are finished.
  private func walkRows(
    _ region: Region, _ stages: Stages, _ places: [Place], _ rooms: [TileValue: Home], _ aside: IR
  ) -> [TileValue: IR] {
    func within(_ stage: Int, _ body: () -> Void) {
      self.within(places[stage], region) {
        for (value, room) in rooms {
          homes[value] = room
          if stages.passing[value] == stage { pending.insert(value) }
        }
        body()
      }
    }
    var rows: [(stage: Int, value: TileValue, reduction: Reduction, vectors: Int, stretch: Stretch?)] = []
    var start: [[IR]] = []
    for stage in 0..<stages.count {
      within(stage) {
        for value in stages.reductions[stage] {
          guard case .reduce(let monoid, _, let operand) = kernel[value].operation else { continue }
          let reduction = Reduction(
            lowering: self, operand: operand, monoid: monoid, dtype: kernel[operand].dtype ?? .f32)
          let split = split(reduction)
          start.append(reduction.start(split.sums, lanes))
          let stretch = stretch(reduction, start[start.count - 1])
          rows.append((stage, value, reduction, split.vectors, stretch))
        }
      }
    }
    func walked(from: IR, to: IR, _ start: [[IR]]) -> [[IR]] {
      let width = Self.pipelineWidth * lanes
      let sums = e.loop(from: from, to: to, step: width, start.flatMap { $0 }) { counter, carried in
        var next = split(carried, as: start)
        func box(_ from: Int, _ vectors: Int) -> Box {
          var box = Box.single(stages.shape.count)
          box.start[stages.axis] = coordinate(counter, multiple: width).advanced(by: from * lanes)
          box.count[stages.axis] = vectors
          box.vectorAxis = stages.axis
          return box
        }
        // Later stages first: what they read from instance memory is overwritten by the row behind.
        for stage in (0..<stages.count).reversed() {
          pass += 1
          pipelineStage = stage
          within(stage) {
            if stage == stages.last { storeRows(stages, places[stage].isValid, aside, box(0, Self.pipelineWidth)) }
            for (i, row) in rows.enumerated() where row.stage == stage {
              for from in stride(from: 0, to: Self.pipelineWidth, by: row.vectors) {
                next[i] = row.reduction.accumulated(next[i], box(from, row.vectors))
              }
            }
          }
          pipelineStage = nil
        }
        return next.flatMap { $0 }
      }
      return split(sums, as: start)
    }
    let results = inStretches(rows.map(\.stretch), to: extent(stages.shape[stages.axis]), start, walked)
    var finished: [TileValue: IR] = [:]
    for (row, sums) in zip(rows, results) {
      finished[row.value] = row.reduction.finished(sums, areTotals: row.stretch != nil)
    }
    return finished
  }

  /// Walks in stretches if there is one; accumulators without totals go through all of them.
  private func inStretches(
    _ stretches: [Stretch?], to end: IR, _ start: [[IR]], _ walked: (_ from: IR, _ to: IR, [[IR]]) -> [[IR]]
  ) -> [[IR]] {
    guard let length = stretches.lazy.compactMap({ $0?.length }).first else { return walked(e.index(0), end, start) }
    let carried = zip(stretches, start).map { $0?.totals ?? $1 }
    let results = e.loop(from: e.index(0), to: end, step: length, carried.flatMap { $0 }) { from, totals in
      let totals = split(totals, as: carried)
      let to = e.indexMinimum(e.indexAdd(from, e.index(length)), end)
      let sums = walked(from, to, zip(stretches, totals).map { $0?.start ?? $1 })
      return stretches.indices.flatMap { stretches[$0]?.poured(sums[$0], totals[$0]) ?? sums[$0] }
    }
    return split(results, as: carried)
  }

  /// In groups of the sizes of `groups`.
  private func split(_ values: [IR], as groups: [[IR]]) -> [[IR]] {
    var rest = values[...]
    return groups.map { group in
      defer { rest = rest.dropFirst(group.count) }
      return Array(rest.prefix(group.count))
    }
  }

  private func storeRows(_ stages: Stages, _ isValid: IR, _ aside: IR, _ box: Box) {
    var contents: [(access: Access, value: TileValue, registers: [IR], mode: StoreMode)] = []
    for root in stages.stores {
      guard case .store(let access, let content, let mode) = kernel[root].operation else { continue }
      contents.append((access, content, eval(content, box), mode))
    }
    isStreaming = true
    diverted = (isValid, aside)
    for content in contents {
      store(content.access, kernel[content.value].shape, content.registers, content.mode, box)
    }
    diverted = nil
    isStreaming = false
  }
}
