// What a machine was measured to do at best: the ceilings that kernels are held against. Plain data.
// Not a description of a processor (TargetDescription) and not a measurement (Insight). Surprise: bandwidth depends on how
// many streams are read and how many are written, so there is one figure for each mix.

/// Measured ceilings of this machine for a number of threads.
package struct MachineCard: Sendable, Hashable {
  /// Streams of memory read and written (past the caches) by one kernel.
  package struct Mix: Sendable, Hashable {
    package var read: Int
    package var written: Int
    package init(read: Int, written: Int) {
      self.read = read
      self.written = written
    }
  }

  /// The processor it was measured on: `TargetDescription.cacheKey`.
  package var processor: String
  package var threads: Int
  /// Bytes per second from and to memory; `copy` writes through the caches, all others past them.
  package var read: Double
  package var copy: Double
  package var mixes: [Mix: Double]
  /// Bytes per second read by all threads, each from its own level-2 cache or all from level 3.
  package var level2: Double
  package var level3: Double
  /// The size of the last cache.
  package var level3Bytes: Int
  /// Operations per second (a multiply-add is two); nil: no instruction of this processor that we can emit.
  package var f32: Double
  package var bf16: Double?
  package var int8: Double?

  package init(
    processor: String, threads: Int, read: Double, copy: Double, mixes: [Mix: Double], level2: Double, level3: Double,
    level3Bytes: Int, f32: Double, bf16: Double?, int8: Double?
  ) {
    self.processor = processor
    self.threads = threads
    self.read = read
    self.copy = copy
    self.mixes = mixes
    self.level2 = level2
    self.level3 = level3
    self.level3Bytes = level3Bytes
    self.f32 = f32
    self.bf16 = bf16
    self.int8 = int8
  }

  /// Bytes per second of the measured mix nearest in its share of writes.
  package func bandwidth(read: Int, written: Int) -> Double {
    let share = Double(written) / max(Double(read) + Double(written), 1)
    func distance(_ mix: Mix) -> Double { abs(Double(mix.written) / Double(mix.read + mix.written) - share) }
    let known = mixes.sorted { ($0.key.read, $0.key.written) < ($1.key.read, $1.key.written) }
    guard let nearest = known.min(by: { distance($0.key) < distance($1.key) }), distance(nearest.key) < share else {
      return self.read
    }
    return nearest.value
  }
}
