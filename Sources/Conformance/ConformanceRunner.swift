// Runs recorded cases and compares: passed, failed with a reason, or unsupported by name.
// Not a test by itself: the command line and a test both use it. Surprise: a case that throws has failed;
// nothing here stops the others.
import Basics
import Capture
import Formats
import TensorTypes
import Tensors

/// How the operations of cases are run.
package enum ConformanceMode: String, Sendable, CaseIterable {
  case eager
  /// Captured by `compile` and replayed.
  case compiled
  /// As `compiled`, with every extent a symbol from the first call, and replayed at smaller sizes too.
  case dynamic
  /// Captured by `compile` with constants of every kind in place of the tensors, and compared with eager.
  case constants
  /// With a failed tensor in place of each tensor in turn, eagerly and compiled.
  case failed
}

/// What became of one case.
package enum ConformanceOutcome: Sendable, Hashable {
  case passed
  case failed(String)
  case unsupported
}

/// The outcome of many cases.
package struct ConformanceReport: Sendable {
  package struct Line: Sendable {
    package let conformanceCase: ConformanceCase
    package let outcome: ConformanceOutcome
    /// In `.dynamic` mode; nil: nothing was captured.
    package var sizes: ConformanceSizes?
  }
  package struct Counts: Sendable, Hashable {
    package var passed = 0
    package var failed = 0
    package var unsupported = 0
    mutating func add(_ outcome: ConformanceOutcome) {
      switch outcome {
      case .passed: passed += 1
      case .failed: failed += 1
      case .unsupported: unsupported += 1
      }
    }
    var json: JSON {
      .object([
        .init("passed", .integer(passed)), .init("failed", .integer(failed)),
        .init("unsupported", .integer(unsupported)),
      ])
    }
  }

  package private(set) var lines: [Line] = []
  package private(set) var total = Counts()
  package private(set) var byOperation: [String: Counts] = [:]
  /// Passed cases whose extents are all symbols, and those with extents that had to be numbers.
  package private(set) var symbolic = 0, fixed = 0

  mutating func add(_ line: Line) {
    lines.append(line)
    total.add(line.outcome)
    byOperation[line.conformanceCase.op, default: Counts()].add(line.outcome)
    guard case .passed = line.outcome else { return }
    switch line.sizes {
    case .symbolic?: symbolic += 1
    case .fixed?: fixed += 1
    case .some(.none), nil: break
    }
  }

  /// `passed`, `failed`, `unsupported`, `by_op`.
  package var json: JSON {
    let operations = byOperation.sorted { $0.key < $1.key }.map { JSON.Member($0.key, $0.value.json) }
    return .object([
      .init("passed", .integer(total.passed)), .init("failed", .integer(total.failed)),
      .init("unsupported", .integer(total.unsupported)), .init("by_op", .object(operations)),
    ])
  }
}

/// Reads a file of recorded cases and the safetensors beside it.
package struct ConformanceRunner: Sendable {
  package let cases: [ConformanceCase]
  private let tensors: SafetensorsFile

  /// - Throws: a missing, damaged or foreign file.
  package init(path: String) throws(Diagnostic) {
    let file = try MappedFile(path: path)
    let json: JSON
    do { json = try JSON(parsing: file.bytes.withUnsafeBytes { Self.spellingOut(nonNumbers: $0) }) } catch {
      throw Diagnostic(.format, "\(path): \(error)", remedy: "give a file of recorded cases")
    }
    guard let records = json.array else {
      throw Diagnostic(.format, "\(path): recorded cases are a JSON array", remedy: "give a file of recorded cases")
    }
    var counts: [String: Int] = [:]
    var cases: [ConformanceCase] = []
    for record in records {
      let op = record["op"]?.string ?? ""
      cases.append(try ConformanceCase(record, number: counts[op, default: 0]))
      counts[op, default: 0] += 1
    }
    self.cases = cases
    let stem = path.hasSuffix(".json") ? String(path.dropLast(5)) : path
    tensors = try SafetensorsFile(path: stem + ".safetensors")
  }

  /// Python writes NaN and the infinities bare, which is no JSON: they become objects that `ConformanceValue` reads.
  private static func spellingOut(nonNumbers text: UnsafeRawBufferPointer) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    let words = ["-Infinity", "Infinity", "NaN"].map { (Array($0.utf8), Array("{\"number\":\"\($0)\"}".utf8)) }
    var isInString = false
    var i = 0
    while i < text.count {
      let byte = text[i]
      if byte == UInt8(ascii: "\\"), isInString {
        result += text[i..<Swift.min(i + 2, text.count)]
        i += 2
        continue
      }
      if byte == UInt8(ascii: "\"") { isInString.toggle() }
      if !isInString, let word = words.first(where: { text[i...].starts(with: $0.0) }) {
        result += word.1
        i += word.0.count
      } else {
        result.append(byte)
        i += 1
      }
    }
    return result
  }

  func arguments(of item: ConformanceCase) throws(Diagnostic) -> ConformanceArguments { try item.arguments(tensors) }

  /// Runs the cases of `tier` (nil: all) whose operator is `op` (nil: every one); of those, one in `every`.
  package func run(
    tier: ConformanceCase.Tier? = nil, op: String? = nil, mode: ConformanceMode = .eager, every: Int = 1,
    progress: (ConformanceReport.Line) -> Void = { _ in }
  ) -> ConformanceReport {
    var report = ConformanceReport()
    let chosen = cases.filter { (tier == nil || $0.tier == tier) && (op == nil || $0.op == op) }
    for (number, item) in chosen.enumerated() where number % every == 0 {
      var sizes: ConformanceSizes?
      let outcome = outcome(of: item, mode: mode, isSample: every > 1, sizes: &sizes)
      let line = ConformanceReport.Line(conformanceCase: item, outcome: outcome, sizes: sizes)
      report.add(line)
      progress(line)
    }
    return report
  }

  /// The cases that ``run(tier:op:mode:every:progress:)`` would run, at many sizes. `isThorough`: every size is the first
  /// one of a closure; else one for each way, in turn.
  package func sweep(
    tier: ConformanceCase.Tier? = nil, op: String? = nil, ways: [SizeWay] = SizeWay.allCases, every: Int = 1,
    isThorough: Bool = false, progress: (ConformanceCase, SweepCounts) -> Void = { _, _ in }
  ) -> SweepCounts {
    var total = SweepCounts()
    let chosen = cases.filter { (tier == nil || $0.tier == tier) && (op == nil || $0.op == op) }
    for (number, item) in chosen.enumerated() where number % every == 0 {
      guard let operation = ConformanceTable.shared.operation(item.op), let arguments = try? item.arguments(tensors),
        (try? ConformanceTable.shared.excludes(item.op, arguments)) == false
      else { continue }
      var counts = SweepCounts()
      for (place, sized) in SizedArguments.all(arguments).enumerated() {
        for (turn, way) in ways.enumerated() {
          let sizes = SizedArguments.sizes
          let first = sizes[(number / every + place * 3 + turn * 5) % sizes.count]
          SizeSweep(operation: operation, sized: sized, way: way).run(
            firsts: isThorough ? sizes : [first], into: &counts)
        }
      }
      total.calls += counts.calls
      total.refusals += counts.refusals
      total.plans += counts.plans
      total.differences += counts.differences.map { "\(item.op) #\(item.number): \($0)" }
      progress(item, counts)
    }
    return total
  }

  /// What becomes of one case.
  package func outcome(of item: ConformanceCase, mode: ConformanceMode) -> ConformanceOutcome {
    var sizes: ConformanceSizes?
    return outcome(of: item, mode: mode, isSample: false, sizes: &sizes)
  }

  private func outcome(
    of item: ConformanceCase, mode: ConformanceMode, isSample: Bool, sizes: inout ConformanceSizes?
  ) -> ConformanceOutcome {
    guard let operation = ConformanceTable.shared.operation(item.op) else { return .unsupported }
    do {
      let arguments = try item.arguments(tensors)
      if try ConformanceTable.shared.excludes(item.op, arguments) { return .unsupported }
      let result: ConformanceValue
      switch mode {
      case .eager: result = try operation.run(arguments)
      case .compiled:
        let f = compile { (arguments: ConformanceArguments) in try operation.run(arguments) }
        result = try f(arguments)
      case .constants:
        try ConstantCase(operation: operation, arguments: arguments, number: item.number).run(isSample: isSample)
        return .passed
      case .failed:
        try FailedCase(operation: operation, arguments: arguments, number: item.number).run()
        return .passed
      case .dynamic: (result, sizes) = try DynamicCase(operation: operation, arguments: arguments).run()
      }
      let expected = try item.expected(tensors)
      if let difference = try Comparison(operation.tolerance).difference(result, expected) {
        return .failed(difference)
      }
      return .passed
    } catch {
      return .failed("\(error)")
    }
  }
}

/// Compares results: dtype, shape, then elements.
struct Comparison {
  let tolerance: ConformanceTolerance

  init(_ tolerance: ConformanceTolerance) { self.tolerance = tolerance }

  /// nil: equal within the tolerance.
  func difference(_ result: ConformanceValue, _ expected: ConformanceValue) throws(Diagnostic) -> String? {
    switch (result, expected) {
    case (.list(let a), .list(let b)):
      guard a.count == b.count else { return "\(a.count) results, \(b.count) expected" }
      for (i, (x, y)) in zip(a, b).enumerated() {
        if let found = try difference(x, y) { return "result \(i): \(found)" }
      }
      return nil
    case (.tensor(let a), .tensor(let b)): return try difference(a, b)
    case (.list(let a), .tensor) where a.count == 1: return try difference(a[0], expected)
    case (.tensor(let a), .number), (.tensor(let a), .integer), (.tensor(let a), .bool):
      return try difference(.number(a.item(as: Double.self)), expected)
    case (.bool(let a), .bool(let b)): return a == b ? nil : "\(a), expected \(b)"
    case (.string(let a), .string(let b)): return a == b ? nil : "\(a), expected \(b)"
    case (.none, .none): return nil
    default:
      if let a = scalar(result), let b = scalar(expected) {
        return tolerance.accepts(a, b) ? nil : "\(a), expected \(b)"
      }
      return "\(result.summary), expected \(expected.summary)"
    }
  }

  private func scalar(_ value: ConformanceValue) -> Double? {
    switch value {
    case .integer(let value): Double(value)
    case .number(let value): value
    case .bool(let value): value ? 1 : 0
    case .tensor, .extent, .string, .none, .list, .text: nil
    }
  }

  private func difference(_ a: Tensor, _ b: Tensor) throws(Diagnostic) -> String? {
    if let failure = a.failure { throw failure }
    guard a.shape == b.shape else { return "shape \(a.shape), expected \(b.shape)" }
    guard a.dtype == b.dtype else { return "dtype \(a.dtype), expected \(b.dtype)" }
    if !a.dtype.isFloating {
      let (x, y) = (try a.array(as: Int.self), try b.array(as: Int.self))
      guard let i = x.indices.first(where: { x[$0] != y[$0] }) else { return nil }
      return "element \(i) is \(x[i]), expected \(y[i])"
    }
    let (x, y) = (try a.array(as: Double.self), try b.array(as: Double.self))
    let scale = a.dtype == .f16 || a.dtype == .bf16 ? 1000.0 : 1
    guard let i = x.indices.first(where: { !tolerance.accepts(x[$0], y[$0], scale: scale) }) else { return nil }
    return "element \(i) is \(x[i]), expected \(y[i])"
  }
}

/// How far a float may be from the record.
enum ConformanceTolerance: Sendable {
  /// Pointwise and reductions: 1e-5 relative, 1e-6 absolute.
  case elements
  /// Sums of many products: 1e-4 relative, 1e-5 absolute.
  case products

  func accepts(_ a: Double, _ b: Double, scale: Double = 1) -> Bool {
    if a == b || (a.isNaN && b.isNaN) { return true }
    let (relative, absolute) =
      switch self {
      case .elements: (1e-5, 1e-6)
      case .products: (1e-4, 1e-5)
      }
    return (a - b).magnitude <= scale * (absolute + relative * b.magnitude)
  }
}
