// A second process: its captures find their plans, and what the first one saw when it captured twice.
// Surprise: every test is a pair of child processes on one cache directory; the parent has a cache of its own.
import Basics
import Capture
import Foundation
import Synchronization
import Tensors
import TensorTypes
import TestSupport
import Testing

/// How often a function ran.
private final class Counter: Sendable {
  private let count = Atomic<Int>(0)
  var value: Int { count.load(ordering: .relaxed) }
  func increment() { count.add(1, ordering: .relaxed) }
}

/// Runs `body` in this process on the cache at `path`, which must be chosen before anything else happens.
private func onCache(_ path: String, _ body: () throws -> Bool) -> Never {
  setenv("AZULEJO_CACHE", path, 1)
  do {
    exit(try body() ? EXIT_SUCCESS : EXIT_FAILURE)
  } catch {
    FileHandle.standardError.write(Data("\(error)\n".utf8))
    exit(EXIT_FAILURE)
  }
}

private func scratch() throws -> String {
  let path = NSTemporaryDirectory() + "azulejo-warm-\(UUID().uuidString)"
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  return path
}

private func rows(_ count: Int) -> Tensor {
  Tensor((0..<count * 8).map { Float($0 % 13) * 0.25 - 1 }, shape: [count, 8])
}

/// Captures a function of any number of rows at `sizes`; says how often it ran and whether each plan was on disk.
private func captures(_ sizes: [Int]) throws -> (runs: Int, stored: [Bool], text: String) {
  let runs = Counter()
  let f = compile(dynamic: .axes(["0": [0]])) { (x: Tensor) in
    runs.increment()
    return (x * 2 - 1).softmax() + x.sum(0, keepDims: true)
  }
  for size in sizes {
    let x = rows(size)
    let wanted = try ((x * 2 - 1).softmax() + x.sum(0, keepDims: true)).array(as: Float.self)
    guard try f(x).array(as: Float.self) == wanted else { throw Diagnostic(.numerics, "\(size) rows are wrong") }
  }
  let explanation = f.explain()
  return (runs.value, explanation.captures.map(\.wasStored), "\(explanation)")
}

/// Whether a range up to a `Dim` is as long as it says, at all of `sizes` in turn.
private func writesRanges(_ sizes: [Int]) throws -> Bool {
  let f = compile { (x: Tensor, n: Dim) in
    var y = x
    y[0..<n] = Tensor(Float(1))
    return (y, x[0..<n].median(), y[y > 0].sum())
  }
  return try sizes.allSatisfy { size in
    let (y, median, sum) = try f(Tensor.zeros(40), Dim(size))
    return try y.array(as: Float.self) == (0..<40).map { $0 < size ? 1 : 0 } && median.item(as: Float.self) == 0
      && sum.item(as: Float.self) == Float(size)
  }
}

/// Whether a fault that constants alone decide is told as such, at this file's line.
private func tellsFaultOfConstants() throws -> Bool {
  let (numbers, zeros) = (Tensor([4, 5, 6] as [Int]), Tensor([1, 0, 2] as [Int]))
  // Many kernels before the fault, which folding would take out of the plan.
  let f = compile(fuses: false) { (x: Tensor) in x + (numbers * 2 + 1).floorDivided(by: zeros * 3) }
  do { _ = try f(Tensor.ones(3)) } catch let mistake as Diagnostic {
    return mistake.kind == .numerics && mistake.place?.file.hasSuffix("WarmStartTests.swift") == true
  }
  return false
}

@Suite(.needs(.keptPlans)) struct WarmStartTests {
  /// Such a plan is not split into what is constant and the rest; one from the disk is explained as it was made.
  @Test func a_fault_of_constants_is_told_by_a_plan_from_the_disk_too() async throws {
    let path = try scratch()
    defer { try? FileManager.default.removeItem(atPath: path) }
    for _ in 0..<2 {
      await #expect(processExitsWith: .success) { [path = path as String] in
        onCache(path) { try tellsFaultOfConstants() }
      }
    }
  }

  /// What one process found out about its sizes is nothing that another one may conclude from.
  @Test func sizes_of_another_process_are_not_taken_for_those_of_this_one() async throws {
    let path = try scratch()
    defer { try? FileManager.default.removeItem(atPath: path) }
    await #expect(processExitsWith: .success) { [path = path as String] in
      onCache(path) { try writesRanges([5, 12, 7, 1, 33]) }
    }
    await #expect(processExitsWith: .success) { [path = path as String] in
      onCache(path) { try writesRanges([5, 12, 7, 1, 33]) && writesRanges([12, 5]) && writesRanges([3, 2]) }
    }
  }

  @Test func a_second_process_captures_once_and_finds_the_plan() async throws {
    let path = try scratch()
    defer { try? FileManager.default.removeItem(atPath: path) }
    await #expect(processExitsWith: .success) { [path = path as String] in
      onCache(path) {
        let first = try captures([5, 9])
        return first.runs == 2 && first.stored == [false] && first.text.contains("plan made")
      }
    }
    await #expect(processExitsWith: .success) { [path = path as String] in
      onCache(path) {
        // Another size than the first process had: the plan is the same.
        let second = try captures([7, 2, 40])
        return second.runs == 1 && second.stored == [true] && second.text.contains("plan found on disk")
          && second.text.contains("kernel(s)")
      }
    }
  }

  @Test func a_function_that_differs_is_refused_in_every_process() async throws {
    let path = try scratch()
    defer { try? FileManager.default.removeItem(atPath: path) }
    for _ in 0..<2 {
      await #expect(processExitsWith: .success) { [path = path as String] in
        onCache(path) {
          let runs = Counter()
          let f = compile { (x: Tensor) in
            runs.increment()
            return runs.value % 2 == 0 ? x * 2 : x + 2
          }
          do {
            _ = try f(rows(3))
            return false
          } catch let error as Diagnostic {
            return error.message.contains("something else when it was captured again")
          }
        }
      }
    }
  }

  @Test func another_closure_at_the_same_place_is_captured_twice() async throws {
    let path = try scratch()
    defer { try? FileManager.default.removeItem(atPath: path) }
    for (factor, runs) in [(3, 2), (3, 1), (4, 2), (4, 1)] {
      await #expect(processExitsWith: .success) {
        [path = path as String, factor = factor as Int, wanted = runs as Int] in
        onCache(path) {
          let runs = Counter()
          let f = compile { (x: Tensor) in
            runs.increment()
            return x * Float(factor)
          }
          let result = try f(rows(3)).array(as: Float.self)
          return try runs.value == wanted && result == (rows(3) * Float(factor)).array(as: Float.self)
        }
      }
    }
  }

  @Test func segments_between_breaks_are_found_too() async throws {
    let path = try scratch()
    defer { try? FileManager.default.removeItem(atPath: path) }
    for isStored in [false, true] {
      await #expect(processExitsWith: .success) { [path = path as String, isStored = isStored as Bool] in
        onCache(path) {
          let f = compile { (x: Tensor) -> Tensor in
            let doubled = x * 2
            return try (doubled.max() > 1).item(as: Bool.self) ? doubled - 1 : doubled + 1
          }
          _ = try f(rows(3))
          return f.explain().captures.map(\.wasStored) == [isStored] && f.segmentCount == 2
        }
      }
    }
  }
}
