// One hostile call: eager, then compiled, then whether everything is still in order. Runs in a process of its own, which it
// may take with it. Not a judge of values that no other way computes: eager and compiled must agree, that is all.
// Surprise: an error is as good as a value, as long as both ways have one.
import Basics
import Capture
import Foundation
import RandomGraphs
import TensorTypes
import Tensors

/// What became of a hostile call.
package enum HostileOutcome: Sendable, Hashable {
  /// Eager and compiled agree on a value.
  case value
  /// Both refuse.
  case refused(String)
  case finding(String)
}

/// Makes hostile calls by number. Equal seeds and numbers give equal calls.
package struct HostileRunner: Sendable {
  private let runner: ConformanceRunner
  private let cases: [ConformanceCase]
  private let seed: Int
  /// Bytes that the process may have beyond what tensors may have.
  private static let allowance = 600 << 20

  /// - Throws: as ``ConformanceRunner/init(path:)``.
  package init(path: String, op: String? = nil, seed: Int) throws(Diagnostic) {
    runner = try ConformanceRunner(path: path)
    let known = runner.cases.filter { $0.operation != nil && (op == nil || $0.op == op) }
    cases = known + HostileSamples.all.filter { op == nil || $0.name == op }.map { ConformanceCase(sample: $0) }
    self.seed = seed
    if cases.isEmpty { throw Diagnostic(.argument, "\(path) has no cases of '\(op ?? "any operator")'") }
  }

  /// The call with that number, as text.
  package func description(_ number: Int) -> String {
    guard let call = try? call(number) else { return "no call" }
    return "\(call.item.op) #\(call.item.number) \(call.way): " + call.changes.joined(separator: "; ")
  }

  /// Makes the call with that number.
  package func run(_ number: Int) -> HostileOutcome {
    MemoryUse.forgetPeak()
    let outcome: HostileOutcome
    do { outcome = try run(try call(number)) } catch { outcome = .finding("the case itself: \(error)") }
    if case .finding = outcome { return outcome }
    let limit = (Knobs.current.memory ?? .max / 2) + Self.allowance
    if let peak = MemoryUse.peak, peak > limit { return .finding("memory: \(peak >> 20) MB") }
    if let wrong = Self.sanity() { return .finding("afterwards: \(wrong)") }
    return outcome
  }

  // MARK: One call

  private enum Way: CaseIterable { case compiled, dynamic }

  private struct Call {
    var item: ConformanceCase
    var operation: ConformanceOperation
    var original: ConformanceArguments
    var arguments: ConformanceArguments
    var way: Way
    var changes: [String]
  }

  private func call(_ number: Int) throws(Diagnostic) -> Call {
    var random = SeededGenerator(seed: seed, name: "\(number)")
    let item = random.pick(cases)
    guard let operation = item.operation else { throw Diagnostic(.argument, "\(item.op) is not in the table") }
    let original = try runner.arguments(of: item)
    var asking = original
    let asked = AskedArguments()
    asking.asked = asked
    _ = try? operation.run(asking)
    let way = random.pick(Way.allCases)
    var hostile = HostileArguments(random: random)
    let arguments = hostile.mutated(original, asked: asked.all)
    return Call(
      item: item, operation: operation, original: original, arguments: arguments, way: way, changes: hostile.changes)
  }

  private func run(_ call: Call) throws -> HostileOutcome {
    let operation = call.operation
    let eager = Self.settled { try operation.run(call.arguments) }
    if let lost = Self.lost(eager, try? operation.run(call.arguments)) { return .finding("eager: \(lost)") }
    if case .failure(let refusal) = eager, refusal.kind == .compiler { return .finding("eager: \(refusal)") }
    if !call.item.mayBeCaptured { return Self.alone(eager) }
    let captured: Result<ConformanceValue, Diagnostic>
    switch call.way {
    case .compiled:
      let f = compile { (arguments: ConformanceArguments) in try operation.run(arguments) }
      captured = Self.settled { try f(call.arguments) }
    case .dynamic:
      let f = compile(dynamic: .all) { (arguments: ConformanceArguments) in try operation.run(arguments) }
      _ = try? f(call.original)
      captured = Self.settled { try f(call.arguments) }
    }
    if let lost = Self.lost(captured, nil) { return .finding("\(call.way): \(lost)") }
    switch (eager, captured) {
    case (.failure(let a), .failure): return .refused(a.message)
    case (.success, .failure(let error)) where call.arguments.failure?.message == error.message:
      // A compiled call throws for an argument that nothing reads, too.
      return .refused(error.message)
    case (.success, .failure(let error)):
      // The limit is on what is in use at once, of which a plan may need more or less.
      return error.kind == .memory ? .refused(error.message) : .finding("\(call.way) refuses: \(error)")
    case (.failure(let error), .success(let value)):
      return error.kind == .memory
        ? .refused(error.message) : .finding("\(call.way) gives \(value.summary), eager: \(error)")
    case (.success(let a), .success(let b)):
      guard let difference = try Comparison(operation.tolerance).difference(b, a) else { return .value }
      return .finding("\(call.way) differs: \(difference)")
    }
  }

  /// What a user would not learn from the mistake in `result`: where the call is, or that all of its results are wrong.
  private static func lost(_ result: Result<ConformanceValue, Diagnostic>, _ value: ConformanceValue?) -> String? {
    guard case .failure(let mistake) = result else { return nil }
    if mistake.namesLibrary { return "names the library's line: \(mistake)" }
    // Where none failed, it was the look at all of a very large one.
    guard let tensors = value?.tensors, tensors.contains(where: { $0.failure != nil }) else { return nil }
    let good = tensors.count { $0.failure == nil }
    return good > 0 ? "\(good) results are good beside a failed one: \(mistake)" : nil
  }

  private static func alone(_ eager: Result<ConformanceValue, Diagnostic>) -> HostileOutcome {
    switch eager {
    case .success: .value
    case .failure(let error): .refused(error.message)
    }
  }

  /// With every tensor looked at: the first mistake of any, and no more elements than can be compared.
  private static func settled(_ make: () throws -> ConformanceValue) -> Result<ConformanceValue, Diagnostic> {
    do {
      let value = try make()
      if let failure = value.failure { return .failure(failure) }
      return .success(try value.settled())
    } catch { return .failure(error as? Diagnostic ?? Diagnostic(.compiler, "\(error)")) }
  }

  /// What any process can compute.
  private static func sanity() -> String? {
    do {
      let x = Tensor.arange(24, dtype: .f32).reshaped(4, 6)
      let (total, product) = (
        try x.sum().item(as: Double.self), try x.matmul(x.transposed())[1, 2].item(as: Double.self)
      )
      if total != 276 || product != 757 { return "0 + ... + 23 is \(total), a product is \(product)" }
      return nil
    } catch { return "\(error)" }
  }
}

extension ConformanceValue {
  /// Tensors in memory of their own; of very large ones a part.
  fileprivate func settled() throws(Diagnostic) -> ConformanceValue {
    switch self {
    case .tensor(let tensor):
      let most = 1 << 20
      guard let count = tensor.elementCount.knownValue, count > most else { return self }
      let part = tensor.flattened()
      if let failure = part.failure { throw failure }
      return .tensor(part[0..<most])
    case .list(let values):
      var settled: [ConformanceValue] = []
      for value in values { settled.append(try value.settled()) }
      return .list(settled)
    case .integer, .extent, .number, .bool, .string, .none, .text: return self
    }
  }
}

/// The process' memory as the system sees it.
private enum MemoryUse {
  /// The most bytes in memory at once since `forgetPeak`; nil where the system does not tell.
  static var peak: Int? {
    guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") })
    else { return nil }
    return line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }.map { $0 << 10 }
  }

  static func forgetPeak() {
    guard let file = fopen("/proc/self/clear_refs", "w") else { return }
    fputs("5", file)
    fclose(file)
  }
}
