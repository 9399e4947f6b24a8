// Temporaries in one block: none that are alive together overlap, and known cases take no byte too many.
import Fusion
import RandomGraphs
import TensorTypes
import Testing

private func plan(_ blocks: [(bytes: Dim, first: Int, last: Int)]) -> MemoryPlan {
  MemoryPlan(blocks: blocks.map { .init(bytes: $0.bytes, first: $0.first, last: $0.last) })
}

@Test(arguments: 0..<100) func temporaries_alive_together_never_overlap(_ seed: Int) throws {
  var random = SeededGenerator(seed: seed)
  let blocks = (0..<random.below(40) + 1).map { _ -> (bytes: Dim, first: Int, last: Int) in
    let first = random.below(20)
    let bytes = random.below(3) == 0 ? Dim.symbol(0) * Dim(random.below(7)) : Dim(random.below(5000))
    return (bytes, first, first + random.below(6))
  }
  let made = plan(blocks)
  let extent = random.below(300)
  let (offsets, total) = try #require(made.offsets([extent]))
  for (i, a) in blocks.enumerated() {
    let end = try offsets[i] + #require(a.bytes.evaluated([extent]))
    #expect(offsets[i] % MemoryPlan.alignment == 0 && end <= total)
    for (j, b) in blocks.enumerated() where j < i && a.first <= b.last && b.first <= a.last {
      let other = try offsets[j] + #require(b.bytes.evaluated([extent]))
      #expect(end <= offsets[j] || other <= offsets[i], "\(i) and \(j)")
    }
  }
  #expect(try total >= #require(made.lowerBound([extent])))
}

@Test func a_chain_needs_room_for_two() throws {
  let made = plan((0..<10).map { (Dim(1024), $0, $0 + 1) })
  let (_, total) = try #require(made.offsets([Int]()))
  #expect(total == 2 * (1024 + MemoryPlan.alignment))
  #expect(total == made.lowerBound([Int]()))
}

@Test func two_small_ones_fit_where_a_large_one_was() throws {
  let made = plan([(4096, 0, 1), (2000, 2, 4), (1900, 3, 5), (Dim.symbol(0), 0, 5)])
  let (_, total) = try #require(made.offsets([100]))
  #expect(total == made.lowerBound([100]))
}

@Test func a_size_without_a_value_is_no_plan() {
  #expect(plan([(Dim.symbol(3), 0, 1)]).offsets([1]) == nil)
}
