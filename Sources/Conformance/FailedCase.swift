// A recorded case with a failed tensor in place of each of its tensors in turn: the first mistake must come out of every
// result, eagerly and compiled. Not held against the record. Surprise: inside a compiled function the failed tensor is made by
// a mistake there, as users make it.
import Basics
import Capture
import RandomGraphs
import Tensors

struct FailedCase {
  let operation: ConformanceOperation
  let arguments: ConformanceArguments
  /// Of the case: what its changed arguments are drawn by.
  let number: Int

  /// Throws at the first tensor whose mistake gets lost.
  func run() throws {
    for position in arguments.tensors.indices {
      let broken = Self.mistake()
      let wrong = arguments.replacing(position, by: broken)
      do {
        try check(try? operation.run(wrong), broken, "eager")
        try checkThrown(broken) { _ = try operation.run(wrong).requireNoFailure() }
        try checkCompiled(position, broken)
      } catch { throw Diagnostic(.compiler, "tensor \(position) failed: \(error)") }
      try checkBeside(position, broken)
    }
  }

  /// As many changes of other arguments for each tensor.
  private static let changes = 4

  /// Beside another argument that is wrong too the tensor's mistake is the first: what would be right may depend on it.
  private func checkBeside(_ position: Int, _ broken: Tensor) throws {
    var asking = arguments
    let asked = AskedArguments()
    asking.asked = asked
    _ = try? operation.run(asking)
    for change in 0..<Self.changes {
      var hostile = HostileArguments(random: SeededGenerator(seed: change, name: "\(number) \(position)"))
      let changed = hostile.mutated(arguments, asked: asked.all)
      guard position < changed.tensors.count, changed.failure == nil else { continue }
      let wrong = changed.replacing(position, by: broken)
      do { try check(try? operation.run(wrong), broken, "eager") } catch {
        throw Diagnostic(.compiler, "tensor \(position) failed, \(hostile.changes.joined(separator: "; ")): \(error)")
      }
    }
  }

  /// A mistake like that of a user.
  private static func mistake() -> Tensor { Tensor.zeros(3, 2).matmul(Tensor.zeros(5, 7)) }

  private func checkCompiled(_ position: Int, _ broken: Tensor) throws {
    let (operation, arguments) = (operation, arguments)
    let inside = compile { (x: Tensor) in
      let made = Tensor.zeros(3, 2).matmul(Tensor.zeros(5, 7))
      return try operation.run(arguments.replacing(position, by: made))
    }
    try checkThrown(broken) { _ = try inside(Tensor.ones(2)) }
    let given = compile { (arguments: ConformanceArguments) in try operation.run(arguments) }
    try checkThrown(broken) { _ = try given(arguments.replacing(position, by: broken)) }
  }

  /// Every tensor of a result that did not throw has the mistake.
  private func check(_ value: ConformanceValue?, _ broken: Tensor, _ mode: String) throws {
    var lost: String?
    _ = value?.mapTensors { tensor in
      if tensor.failure?.message != broken.failure?.message { lost = tensor.failure?.message ?? "a good tensor" }
      return tensor
    }
    if let lost { throw Diagnostic(.compiler, "\(mode): the mistake became: \(lost)") }
  }

  private func checkThrown(_ broken: Tensor, _ body: () throws -> Void) throws {
    do { try body() } catch let found as Diagnostic {
      if found.message == broken.failure?.message { return }
      throw Diagnostic(.compiler, "the mistake became: \(found.message)")
    }
    throw Diagnostic(.compiler, "the mistake got lost")
  }
}

extension ConformanceValue {
  fileprivate func requireNoFailure() throws -> ConformanceValue {
    if let failure { throw failure }
    return self
  }
}

extension ConformanceArguments {
  /// With another tensor number `position`.
  fileprivate func replacing(_ position: Int, by tensor: Tensor) -> ConformanceArguments {
    var next = -1
    return mapTensors {
      next += 1
      return next == position ? tensor : $0
    }
  }
}
