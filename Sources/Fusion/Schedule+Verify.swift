// Whether a schedule is one: kernels that are right, a source for each of their buffers, nothing read before it is written.
// Not a check of values (the fuzzer does that). Surprise: an output in a parameter's memory may be read first, and may
// never be written: it is what the parameter was.
import Basics
import GraphIR
import TileIR

extension Schedule {
  /// The schedule itself, or what is wrong with the first step that breaks a rule.
  @discardableResult
  package func verified(donations: [Donation] = []) throws(Diagnostic) -> Schedule {
    try graph.verified()
    let donated = Set(donations.map { BufferSource.output($0.output) })
    var written: Set<BufferSource> = []
    var known: Set<Kernel> = []
    for (number, step) in steps.enumerated() {
      func require(_ holds: Bool, _ what: @autoclosure () -> String) throws(Diagnostic) {
        if holds { return }
        throw Diagnostic(.compiler, "schedule \(graph.name), step \(number) (\(step.kernel.name)): \(what())")
      }
      if known.insert(step.kernel).inserted {
        do throws(Diagnostic) { _ = try step.kernel.verified() } catch { try require(false, error.message) }
      }
      let buffers = step.kernel.buffers.filter { $0.role != .scratch }
      try require(
        buffers.count == step.buffers.count && buffers.count == step.offsets.count,
        "\(buffers.count) buffers, \(step.buffers.count) sources and \(step.offsets.count) offsets")
      try require(
        step.kernel.arguments.count == graph.arguments.count,
        "takes \(step.kernel.arguments.count) arguments, the graph has \(graph.arguments.count)")
      let sources = zip(buffers, step.buffers)
      for (buffer, source) in sources {
        try require(exists(source), "\(buffer.name) is \(source), which does not exist")
      }
      // A later phase reads what an earlier one of its kernel wrote.
      for (buffer, source) in sources where buffer.role == .output { written.insert(source) }
      for (buffer, source) in sources where buffer.role == .input {
        if case .parameter = source { continue }
        try require(
          written.contains(source) || donated.contains(source),
          "\(buffer.name) is \(source), which no step before has written")
      }
    }
    for i in graph.outputs.indices where !written.contains(.output(i)) && !donated.contains(.output(i)) {
      throw Diagnostic(.compiler, "schedule \(graph.name): no step writes output \(i)")
    }
    return self
  }

  private func exists(_ source: BufferSource) -> Bool {
    switch source {
    case .parameter(let i): graph.parameters.indices.contains(i)
    case .output(let i): graph.outputs.indices.contains(i)
    case .temporary(let i): temporaries.indices.contains(i)
    }
  }
}
