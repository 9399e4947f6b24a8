// Symbolic integers: folding keeps their value, and equal expressions are structurally equal.
import Basics
import TensorTypes
import Testing

private let s0 = Dim.symbol(0)
private let s1 = Dim.symbol(1)
private let s2 = Dim.symbol(2)

@Suite struct DimTests {
  @Test func equal_expressions_are_structurally_equal() {
    #expect((s0 + s1) - s0 == s1)
    #expect(s1 * s0 == s0 * s1)
    #expect(s2 * (s0 * 4) * 2 == s0 * s2 * 8)
    #expect(s1 + 3 + s0 + 4 == s0 + s1 + 7)
    #expect(s0 + s0 == s0 * 2)
    #expect(s0 - s0 == 0 && s0 * 3 - s0 * 2 == s0)
    #expect((s0 * 8 + 12) / 4 == s0 * 2 + 3)
    #expect((s0 * 8).ceilDivided(by: 4) == s0 * 2)
    #expect((s0 * 8 + 12) % 4 == 0)
    #expect(s0.minimum(s1) == s1.minimum(s0) && Dim(3).maximum(s0) == s0.maximum(3))
    #expect((s0 * s1 + s2) - s1 * s0 == s2)
    #expect(s0 / 4 + s0 / 4 == (s0 / 4) * 2)
    #expect((s0 + 1) * s1 != s0 + 1)
  }

  @Test func expressions_print_like_this() {
    #expect((4 + s0).description == "(s0 + 4)")
    #expect((s0 - 4).description == "(s0 - 4)")
    #expect((5 - s1 * 2 + s0).description == "((s0 - (s1 * 2)) + 5)")
    #expect((0 - s0).description == "(0 - s0)")
    #expect((s1 * 3 * s0).description == "((s0 * s1) * 3)")
    #expect(((s0 - 3) / 2 + 1).description == "(((s0 - 3) / 2) + 1)")
  }

  @Test func a_failed_extent_goes_through_arithmetic() {
    let failed = Dim.failed(Diagnostic(.shape, "no axis 3"))
    for dim in [failed * 0, s0 + failed, failed - failed, failed / failed, Dim(2).minimum(failed)] {
      #expect(throws: Diagnostic(.shape, "no axis 3")) { try dim.value }
    }
  }

  @Test func overflow_is_not_folded_away() {
    #expect((Dim(.max) + 1).evaluated([]) == nil)
    #expect(Dim.symbol(-1).evaluated([1, 2]) == nil && Dim.symbol(.max).evaluated([1, 2]) == nil)
    #expect((s0 * Dim(.max) * 2).evaluated([1]) == nil)
    #expect((s0 + Dim(.max) + 1).evaluated([0]) == nil)
    #expect((Dim(1) / 0).evaluated([]) == nil)
  }

  /// No pair of Ints stops the process, and what has a value has the right one.
  @Test(arguments: DimOperation.allCases) func every_pair_of_integers_has_a_value_or_none(operation: DimOperation) {
    let numbers = [Int.min, .min + 1, -(1 << 40), -3, -1, 0, 1, 2, 7, 1 << 31, 1 << 62, .max - 1, .max]
    for a in numbers {
      for b in numbers {
        let made = Dim.combined(operation, Dim(a), Dim(b))
        #expect(made.knownValue == operation.apply(a, b))
        guard operation == .modulo, let rest = made.knownValue else { continue }
        #expect(rest == 0 || (rest < 0) == (b < 0) && rest.magnitude < b.magnitude, "\(a) % \(b)")
        let (multiple, overflows) = a.subtractingReportingOverflow(rest)
        #expect(overflows || multiple % b == 0, "\(a) % \(b)")
      }
    }
  }

  /// A small generator: the test is the same in every run.
  private struct Random {
    var state: UInt64
    mutating func below(_ n: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % n
    }
  }

  @Test(arguments: 0..<200) func folding_keeps_the_value_and_is_done_once(seed: Int) {
    var random = Random(state: UInt64(seed) &* 7919 &+ 1)
    let symbols = [7, 12, 5]
    // Pairs of an expression and its value as plain arithmetic says.
    var pool: [(dim: Dim, value: Int)] = [(s0, 7), (s1, 12), (s2, 5), (2, 2), (-3, -3), (4, 4)]
    for _ in 0..<30 {
      let (a, b) = (pool[random.below(pool.count)], pool[random.below(pool.count)])
      let operation = DimOperation.allCases[random.below(DimOperation.allCases.count)]
      guard let value = operation.apply(a.value, b.value), abs(value) < 1 << 30 else { continue }
      let made = Dim.combined(operation, a.dim, b.dim)
      #expect(made.evaluated(symbols) == value, "\(a.dim) \(operation.rawValue) \(b.dim) became \(made)")
      #expect(made.substituting { Dim.symbol($0) } == made, "\(made) is folded again")
      #expect(made.substituting { Dim(symbols[$0]) } == Dim(value), "\(made)")
      if made.description.count < 200 { pool.append((made, value)) }
    }
  }
}
