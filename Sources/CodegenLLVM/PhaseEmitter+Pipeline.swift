// Instances in a pipeline: where every instance walks one row several times (statistics, then the result), one loop walks
// neighbouring rows at once, each in another stage. Memory is then read and written evenly instead of in bursts between
// which it idles. Not a change of results: every row's sums are split as in the plain loop, so a launch may mix both.
// Surprise: before the first row has reached the last stage, results are written to a place nobody reads.
import CLLVM
import Scalars
import TensorTypes
import TileAnalysis
import TileIR

extension PhaseEmitter {
  /// Rows below which filling the pipeline costs too much.
  private static let fewestRows = 12

  /// Many rows of whole groups of vectors, written past the caches to aligned underWay; the rows under way fit the second
  /// cache.
  func canPipeline(_ stages: Stages, from first: IR, to end: IR) -> IR {
    var isFitting = isLarge(writing: stages.stores)
    let extent = extent(stages.shape[stages.axis])
    isFitting = e.and(
      isFitting,
      e.compare(LLVMIntEQ, e.and(extent, e.index(Stages.width * lanes - 1)), e.index(0)))
    let longest = e.target.cache.level2 / (8 * (stages.count + 1))
    isFitting = e.and(isFitting, e.compare(LLVMIntULE, e.indexSubtract(extent, e.index(1)), e.index(longest)))
    for root in stages.stores {
      guard case .store(let access, _, _) = kernel[root].operation else { continue }
      let size = kernel.buffers[access.buffer].dtype.size
      let mask = e.index(streamAlignment(kernel.buffers[access.buffer].dtype) - 1)
      var bits = e.cast(LLVMPtrToInt, frame.buffers[access.buffer], e.i64)
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
  private struct RowUnderWay {
    var moment: PhaseFacts.Moment
    var number: IR
    var isValid: IR
    var coordinates: [IR]
    /// Reductions of earlier stages, and what is computed from them once per row.
    var scalars: [TileValue: IR]
  }

  func emitPipelined(_ stages: Stages, _ grid: [IR], from first: IR, to end: IR) {
    let top = memory.top
    var rooms: [TileValue: Home] = [:]
    for value in stages.passing.keys.sorted(by: { $0.id < $1.id }) { rooms[value] = allocate(value) }
    let aside = e.slot(bytes: Stages.width * lanes * 8, in: frame.entry)
    // What a row brings along from stage to stage: the reductions so far.
    let known = (0..<stages.count).map { stage in stages.reductions[..<stage].flatMap { $0 } }
    let start = known.flatMap { $0.map { e.constant(ScalarConstant(kernel[$0].dtype ?? .f32, 0), 1) } }
    _ = e.loop(from: first, to: e.indexAdd(end, e.index(stages.last)), start) { trip, carried in
      var position = 0
      var underWay: [RowUnderWay] = []
      for stage in 0..<stages.count {
        let number = e.indexSubtract(trip, e.index(stage))
        let inside = e.indexMinimum(e.indexMaximum(number, first), e.indexSubtract(end, e.index(1)))
        var row = RowUnderWay(
          moment: .stage(stage, stages), number: inside, isValid: e.compare(LLVMIntEQ, number, inside),
          coordinates: programCoordinates(grid, inside), scalars: [:])
        for value in known[stage] {
          row.scalars[value] = carried[position]
          position += 1
        }
        evaluateScalars(&row, stages, stage)
        underWay.append(row)
      }
      let results = walkRows(stages, underWay, rooms, aside)
      let final = underWay[stages.last]
      e.when(final.isValid) {
        within(final) {
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
          let made = stages.reductions[stage - 1].contains(value) ? results[value] : underWay[stage - 1].scalars[value]
          return made ?? start[0]
        }
      }
    }
    memory.top = top
    homes = [:]
    loadingWalks = [:]
  }

  /// What follows from the reductions of earlier stages, once per row.
  private func evaluateScalars(_ row: inout RowUnderWay, _ stages: Stages, _ stage: Int) {
    var made: [TileValue: IR] = [:]
    within(row) {
      for value in facts.body.operations where facts.residences[value] == .scalar {
        guard let level = stages.level[value], level <= stage else { continue }
        let scalar = eval(value, .single(kernel[value].shape.count))[0]
        homes[value] = .scalar(scalar)
        made[value] = scalar
      }
    }
    row.scalars.merge(made) { $1 }
  }

  /// Evaluates for one row: its program IDs, its scalars.
  private func within(_ row: RowUnderWay, _ body: () -> Void) {
    open()
    let outer = (instance: frame.instance, moment: facts.reached)
    frame.instance = row.number
    facts.reached = row.moment
    bindProgramIDs(row.coordinates)
    for (value, scalar) in row.scalars { homes[value] = .scalar(scalar) }
    body()
    homes = [:]
    frame.instance = outer.instance
    facts.reached = outer.moment
    close()
  }

  /// A reduction of one stage, on its way.
  private struct RowReduction {
    var stage: Int
    var value: TileValue
    var reduction: Reduction
    var vectors: Int
    var stretch: Stretch?
    var start: [IR]
  }

  private func rowReductions(_ stages: Stages, within: (Int, () -> Void) -> Void) -> [RowReduction] {
    var rows: [RowReduction] = []
    for stage in 0..<stages.count {
      within(stage) {
        for value in stages.reductions[stage] {
          guard case .reduce(let monoid, _, let operand) = kernel[value].operation else { continue }
          let reduction = Reduction(
            phase: self, operand: operand, monoid: monoid, dtype: kernel[operand].dtype ?? .f32)
          let split = split(reduction)
          let start = reduction.start(split.sums, lanes)
          rows.append(
            RowReduction(
              stage: stage, value: value, reduction: reduction, vectors: split.vectors,
              stretch: stretch(reduction, start), start: start))
        }
      }
    }
    return rows
  }

  /// All rows under way, one stage each; gives the reductions that are finished.
  private func walkRows(
    _ stages: Stages, _ underWay: [RowUnderWay], _ rooms: [TileValue: Home], _ aside: IR
  ) -> [TileValue: IR] {
    func within(_ stage: Int, _ body: () -> Void) {
      self.within(underWay[stage]) {
        homes.merge(rooms) { $1 }
        body()
      }
    }
    let rows = rowReductions(stages, within: within)
    let start = rows.map(\.start)
    func walked(from: IR, to: IR, _ start: [[IR]]) -> [[IR]] {
      let width = Stages.width * lanes
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
          walking = WalkState(number: walking.number + 1, stage: stage)
          within(stage) {
            if stage == stages.last { storeRows(stages, underWay[stage].isValid, aside, box(0, Stages.width)) }
            for (i, row) in rows.enumerated() where row.stage == stage {
              for from in stride(from: 0, to: Stages.width, by: row.vectors) {
                next[i] = row.reduction.accumulated(next[i], box(from, row.vectors))
              }
            }
          }
          walking.stage = nil
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
    walking.isStreaming = true
    for content in contents {
      store(
        content.access, kernel[content.value].shape, content.registers, content.mode, box,
        unless: Diversion(isValid: isValid, aside: aside))
    }
    walking.isStreaming = false
  }
}
