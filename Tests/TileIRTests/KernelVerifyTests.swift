import Basics
import Scalars
import TensorTypes
import Testing

@testable import TileIR

@Suite struct KernelVerifyTests {
  @Test(arguments: SampleKernels.all) func samples_are_well_formed(_ kernel: Kernel) throws {
    #expect(try kernel.verified() == kernel)
  }

  /// One phase of these statements on the buffers x (input), y (output), i (i64 input), u (u8 input) and s (scratch).
  static func text(_ body: String, before: String = "") -> String {
    """
    kernel @k(N, M) {
      input x: f32[N, M] strides [M, 1]
      output y: f32[N, M] strides [M, 1]
      input i: i64[N] strides [1]
      input u: u8[N] strides [1]
      scratch s: f32[N] rowMajor(0)
      \(before)
      phase grid (N) {
        %0 = pid 0
        %1 = splat 1.0 : f32[1, M]
        \(body)
      }
    }
    """
  }

  @Test func the_frame_of_these_tests_is_well_formed() throws { _ = try Kernel(text: Self.text("")) }

  @Test(arguments: [
    (1, "for %2 < N { %3 = exp %1 : f32[1, M] } %4 = exp %3 : f32[1, M]"),
    (1, "%2, %3 = for %4 < N carried (%5 = %1, %6 = %1) { yield %5, %6 } %7 = exp %6 : f32[1, M]"),
    (2, "%2 = %1 + 1"),
    (2, "%2 = exp %0 : f32[1, M]"),
    (2, "%2 = splat 0.0 : f32[%1]"),
    (2, "for %2 < %1 { }"),
    (3, "%2 = exp %1 : f64[1, M]"),
    (3, "%2 = and %1, %1 : f32[1, M]"),
    (3, "%2 = splat 1 : i64[1, M] %3 = add %1, %2 : f32[1, M]"),
    (3, "%2 = lt %1, %1 : f32[1, M]"),
    (3, "%2 = bitcast %1 : f64[1, M]"),
    (3, "%2 = splat 1 : bool[2] %3 = reduce.sum %2 axes [0] : bool[1]"),
    (3, "%2 = splat 1 : bool[2, 2] %3 = dot %2, %2, acc %2 : bool[2, 2]"),
    (3, "%2 = load x[%0, t1] : f64[1, M]"),
    (3, "%2 = coordinates 0 : i32[1, M]"),
    (3, "%2 = reduce.argmax %1 axis 1 : i32[1, 1]"),
    (4, "%2 = exp %1 : f32[1, N]"),
    (4, "%2 = splat 1.0 : f32[M, 1] %3 = add %1, %2 : f32[1, M]"),
    (4, "%2 = reduce.sum %1 axes [1] : f32[1, M]"),
    (4, "%2 = broadcast %1 : f32[1, N]"),
    (4, "%2 = broadcast %1 : f32[4, 1, M]"),
    (4, "%2 = transpose %1 [1, 0] : f32[1, M]"),
    (4, "%2 = dot %1, %1, acc %1 : f32[1, M]"),
    (4, "%2 = splat 0.0 : f32[2] %3 = dot %2, %2, acc %2 : f32[2]"),
    (4, "%2 = splat 0.0 : f32[-1]"),
    (5, "%2 = reduce.sum %1 axes [2] : f32[1, M]"),
    (5, "%2 = reduce.sum %1 axes [1, 1] : f32[1, 1]"),
    (5, "%2 = scan.sum %1 axis -1 : f32[1, M]"),
    (5, "%2 = transpose %1 [0, 0] : f32[1, 1]"),
    (5, "%2 = load x[%0, t2] : f32[1, M]"),
    (5, "%2 = coordinates t2 : i64[1, M]"),
    (6, "%2 = load x[%0] : f32[1, M]"),
    (6, "store y[%0, t0, t1], %1"),
    (7, "%2 = load x[[%1], t1] : f32[1, M]"),
    (7, "%2 = splat 0 : i64[2, M] %3 = load x[[%2], t1] : f32[1, M]"),
    (7, "%2 = splat 0 : i64[1] %3 = load x[[%2], t1] : f32[1, M]"),
    (7, "%2 = splat 0 : i64[1, 1] %3 = load x[[%2]?, t1] : f32[1, M]"),
    (8, "%2 = splat 1.0 : f64[1, M] store y[%0, t1], %2"),
    (8, "%2 = load x[%0, t1] as f64 : f64[1, M]"),
    (8, "store y[%0, t1] as u8, %1"),
    (9, "store x[%0, t1], %1"),
    (10, "%2 = load s[t0] : f32[N]"),
    (10, "%2 = splat 1.0 : f32[N] store s[t0], %2 %3 = load s[t0] : f32[N]"),
    (10, "%2 = splat 1.0 : f32[N] store.accumulate.sum s[t0], %2"),
    (12, "%2 = for %3 < N carried (%4 = %1) { %5 = splat 0.0 : f32[1, N] yield %5 }"),
    (12, "%2 = for %3 < N carried (%4 = %1) { %5 = splat 0 : i32[1, M] yield %5 }"),
    (12, "%2 = for %3 < N carried (%4 = %1) { }"),
    (16, "%2 = pid 1"),
    (17, "yield %1"),
  ]) func a_broken_constraint_is_named(_ constraint: Int, _ body: String) {
    let error = #expect(throws: Diagnostic.self) { try Kernel(text: Self.text(body)) }
    #expect(
      error?.message.hasPrefix("tile IR (T\(constraint)): kernel k, phase 0: ") == true, "\(String(describing: error))")
  }

  @Test(arguments: [
    (14, "input z: f32[N] strides [1]"),
    (14, "output z: f32[N] rowMajor(0)"),
    (14, "scratch z: f32[N] strides [1]"),
    (14, "scratch z: f32[N] panels(0, 0)"),
    (14, "scratch z: f32[] panels(4, 0)"),
    (15, "scratch x: f32[N] rowMajor(0)"),
  ]) func a_wrong_buffer_is_named(_ constraint: Int, _ declaration: String) {
    let error = #expect(throws: Diagnostic.self) { try Kernel(text: Self.text("", before: declaration)) }
    #expect(error?.message.hasPrefix("tile IR (T\(constraint)): kernel k: ") == true, "\(String(describing: error))")
  }

  @Test func scratch_may_be_read_after_the_phase_that_stores_it() throws {
    let before = "phase grid (1) { %0 = splat 1.0 : f32[N] store s[t0], %0 }"
    _ = try Kernel(text: Self.text("%2 = load s[t0] : f32[N] store.accumulate.sum s[t0], %2", before: before))
  }

  @Test func extents_written_alike_are_equal() throws {
    _ = try Kernel(
      text: Self.text(
        """
        %2 = min(64, %0)  %3 = min(64, %0)
        %4 = splat 1.0 : f32[%2]  %5 = splat 2.0 : f32[%3]  %6 = add %4, %5 : f32[%2]
        """))
  }

  @Test func values_made_outside_every_region_are_not_defined() {
    var b = KernelBuilder(name: "k")
    let stray = b.full(1, [])
    b.phase([b.index(1)]) { b, _ in _ = b.map(.exp, [stray]) }
    let kernel = b.finish()
    let error = #expect(throws: Diagnostic.self) { try kernel.verified() }
    #expect(error?.message.contains("(T1)") == true)
  }

  @Test func grids_of_values_of_an_instance_are_refused() {
    var b = KernelBuilder(name: "k")
    var inner = TileValue(0)
    let n = b.argument("N")
    b.phase([n]) { b, pid in inner = b.index(.add, pid[0], 1) }
    b.phase([inner]) { _, _ in }
    let kernel = b.finish()
    let error = #expect(throws: Diagnostic.self) { try kernel.verified() }
    #expect(error?.message.contains("(T11)") == true)
  }

  @Test func node_numbers_out_of_range_are_refused() {
    var kernel = SampleKernels.softmax()
    kernel.phases[0].body.operations.append(TileValue(1 << 20))
    let listed = kernel
    #expect(throws: Diagnostic.self) { try listed.verified() }
    #expect(!listed.text.isEmpty)
    for bad in [-1, 1 << 20] {
      for id in SampleKernels.everything().nodes.indices {
        var broken = SampleKernels.everything()
        // Global arithmetic that nobody uses may be anything.
        if case .indexBinary = broken.nodes[id].operation { continue }
        guard let first = broken.nodes[id].operation.operands.first else { continue }
        if case .map(let instruction, let operands) = broken.nodes[id].operation {
          broken.nodes[id].operation = .map(instruction, operands.map { $0 == first ? TileValue(bad) : $0 })
        } else {
          broken.nodes[id].shape.append(.value(TileValue(bad)))
        }
        let kernel = broken
        #expect(throws: Diagnostic.self, "\(kernel.nodes[id])") { try kernel.verified() }
        #expect(!kernel.text.isEmpty)
      }
    }
  }
}
