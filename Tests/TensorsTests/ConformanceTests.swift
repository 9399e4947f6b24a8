import Conformance
import Foundation
import TestSupport
import Testing

@Suite struct ConformanceTests {
  static let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Oracle/pytorch_ops.json").path

  static let more = path.replacing("pytorch_ops.json", with: "pytorch_ops_more.json")

  @Test func core_cases_agree_with_the_record() throws {
    let report = try ConformanceRunner(path: Self.path).run(tier: .core)
    let failed = report.lines.filter { if case .failed = $0.outcome { true } else { false } }
    #expect(failed.map { "\($0.conformanceCase.op) #\($0.conformanceCase.number): \($0.outcome)" } == [])
    #expect(report.total.passed >= 1022)
  }

  /// Other shapes, dtypes and values of the same operators (Tests/Oracle/make_operator_cases.py): a sample.
  @Test(.needs(.time)) func further_core_cases_agree_with_the_record() throws {
    let runner = try ConformanceRunner(path: Self.more)
    for (mode, every) in [(ConformanceMode.eager, 4), (.compiled, 40)] {
      let report = runner.run(tier: .core, mode: mode, every: every)
      let failed = report.lines.filter { if case .failed = $0.outcome { true } else { false } }
      // 99 of 100: what differs is printed.
      #expect(
        failed.count * 100 <= report.lines.count,
        "\(failed.map { "\($0.conformanceCase.op) #\($0.conformanceCase.number): \($0.outcome)" })")
      #expect(report.total.unsupported * 100 <= report.lines.count)
    }
  }

  /// A sample: `azulejo conformance --mode dynamic` runs all of them.
  @Test func cases_compiled_for_any_extent_agree_with_the_record() throws {
    let report = try ConformanceRunner(path: Self.path).run(tier: .core, mode: .dynamic, every: 9)
    let failed = report.lines.filter { if case .failed = $0.outcome { true } else { false } }
    #expect(failed.map { "\($0.conformanceCase.op) #\($0.conformanceCase.number)" } == [])
    #expect(report.lines.count { if case .symbolic? = $0.sizes { true } else { false } } >= 55)
  }

  /// A sample: `azulejo conformance --mode sizes` runs all of them.
  @Test(.needs(.time)) func cases_at_many_sizes_agree_with_eager() throws {
    let counts = try ConformanceRunner(path: Self.path).sweep(tier: .core, every: 97)
    #expect(counts.differences == [])
    #expect(counts.calls > 500)
  }

  /// A sample: `azulejo conformance --mode constants` runs all of them, on every kind of constant.
  @Test(.needs(.time)) func compiled_operations_on_constants_equal_eager_ones() throws {
    let report = try ConformanceRunner(path: Self.path).run(tier: .core, mode: .constants, every: 14)
    let failed = report.lines.filter { if case .failed = $0.outcome { true } else { false } }
    #expect(failed.map { "\($0.conformanceCase.op) #\($0.conformanceCase.number): \($0.outcome)" } == [])
    #expect(report.byOperation.count >= 64)
  }

  /// A sample: `azulejo conformance --mode failed` runs all of them.
  @Test func the_first_mistake_comes_out_of_every_operation() throws {
    let report = try ConformanceRunner(path: Self.path).run(mode: .failed, every: 7)
    let failed = report.lines.filter { if case .failed = $0.outcome { true } else { false } }
    #expect(failed.map { "\($0.conformanceCase.op) #\($0.conformanceCase.number): \($0.outcome)" } == [])
    #expect(report.total.passed >= 150)
  }
}
