// Runs one case in every way and holds each element against its enclosure.
// Not isolated: a crash or a hang of a kernel is this process's. Surprise: buffers are poisoned and stand between canaries,
// so that a kernel which forgets an element or writes one too many is seen even where the values would agree.
import Basics
import Capture
import Engine
import Fusion
import GraphIR
import RandomGraphs
import Scalars
import Tensors
import TensorTypes

package struct CaseRun {
  let sample: GraphCase
  let engine: Engine
  private let passes: [GraphPass]

  /// On the device of this process.
  /// - Parameter passes: those that the way `passes` looks behind.
  package init(_ sample: GraphCase, passes: [GraphPass] = GraphPass.all) throws(Diagnostic) {
    self.sample = sample
    self.passes = passes
    engine = try Engine.current
  }

  /// The first finding of any way.
  package func outcome(_ ways: [Way] = Way.allCases) -> Outcome {
    let expected: [Int: [EnclosedTensor]]
    var refusal = "no calls"
    do throws(Diagnostic) {
      var made: [Int: [EnclosedTensor]] = [:]
      let enclosed = try EnclosedGraph(sample.graph)
      for number in sample.calls.indices {
        guard let parameters = try? parameterValues(number) else { continue }
        do throws(Diagnostic) { made[number] = try enclosed.run(parameters, sample.arguments(number)) } catch {
          if error.kind == .compiler { throw error }
          refusal = error.message
        }
      }
      expected = made
    } catch { return .finding(Finding(.differs, .reference, error.message)) }
    if expected.isEmpty { return .skipped(refusal) }
    for way in ways {
      do throws(Diagnostic) {
        if let finding = try finding(way, expected) { return .finding(finding) }
      } catch { return .finding(Finding(.throwing, way, "\(error)")) }
    }
    return .agrees
  }

  private func parameterValues(_ number: Int) throws(Diagnostic) -> [ReferenceTensor] {
    var made: [ReferenceTensor] = []
    for (memory, parameter) in zip(try sample.memory(number), sample.graph.parameters) {
      made.append(
        try ReferenceTensor(
          parameter.type.dtype, memory.extents, bytes: memory.bytes, strides: memory.strides, offset: memory.offset))
    }
    return made
  }

  private func finding(_ way: Way, _ expected: [Int: [EnclosedTensor]]) throws(Diagnostic) -> Finding? {
    switch way {
    case .compiled, .separate:
      let fuses = way == .compiled
      let compiled = try engine.compile(sample.graph, donations: fuses ? sample.donations : [:], fuses: fuses)
      for number in sample.calls.indices {
        guard let wanted = expected[number] else { continue }
        let launch = try GraphLaunch(self, number, donates: fuses)
        let arguments = sample.calls[number].map { Int64($0) }
        for (i, tensor) in wanted.enumerated() {
          let extents = try compiled.extents(i, arguments)
          if extents != tensor.reference.extents {
            return Finding(.differs, way, "output \(i) has the extents \(extents), not \(tensor.reference.extents)")
          }
        }
        try launch.allocate(wanted.map(\.reference))
        try compiled.run(launch.parameters.map(\.view), arguments, into: launch.outputs.map(\.view))
        if let finding = try launch.finding(way, wanted) { return finding }
      }
      return nil
    case .eager, .captured: return try onTensors(way, expected)
    case .passes: return try behindPasses(expected)
    case .symbolic, .reference: return nil
    }
  }

  /// The first pass behind which the graph is none, or means something else.
  private func behindPasses(_ expected: [Int: [EnclosedTensor]]) throws(Diagnostic) -> Finding? {
    var graph = sample.graph
    for pass in passes {
      let next = try pass.checked(graph)
      defer { graph = next }
      if next == graph { continue }
      let interpreter = GraphInterpreter(next)
      for (number, wanted) in expected.sorted(by: { $0.key < $1.key }) {
        let actual = try interpreter.run(values: try parameterValues(number), arguments: sample.arguments(number))
        for (i, tensor) in wanted.enumerated() {
          if actual[i].extents != tensor.reference.extents {
            return Finding(
              .differs, .passes,
              "behind the pass '\(pass.name)' output \(i) has the extents \(actual[i].extents), not "
                + "\(tensor.reference.extents)")
          }
          if var finding = difference(.passes, call: sample.calls[number], output: i, actual[i], tensor) {
            finding.text = "behind the pass '\(pass.name)' \(finding.text)"
            return finding
          }
        }
      }
    }
    return nil
  }

  /// Extents are numbers here, so that one call says as much as all.
  private func onTensors(_ way: Way, _ expected: [Int: [EnclosedTensor]]) throws(Diagnostic) -> Finding? {
    guard let number = expected.keys.min(), let wanted = expected[number], let function = TensorGraph(sample, number)
    else { return nil }
    let launch = try GraphLaunch(self, number, donates: false)
    let inputs = launch.parameters.map { Tensor($0.view) }
    let results: [Tensor]
    do {
      switch way {
      case .captured:
        let compiled = compile(mode: .whole, dynamic: .fixed) { (tensors: [Tensor]) in try function(tensors) }
        results = try compiled(inputs)
      case .eager, .compiled, .separate, .symbolic, .passes, .reference: results = try function(inputs)
      }
      for (i, result) in zip(function.outputs, results) {
        let view = try result.contiguousCopy().view
        let bytes = UnsafeRawBufferPointer(start: view.base, count: view.elementCount * view.dtype.size)
        let actual = try ReferenceTensor(
          view.dtype, view.extents, bytes: Array(bytes), strides: view.strides, offset: 0)
        if let finding = difference(way, call: sample.calls[number], output: i, actual, wanted[i]) { return finding }
      }
    } catch let mistake as Diagnostic { throw mistake } catch {
      throw Diagnostic(.compiler, "\(error)")
    }
    return try launch.finding(way, [])
  }
}

/// The first element that is outside its enclosure.
func difference(_ way: Way, call: [Int], output: Int, _ actual: ReferenceTensor, _ wanted: EnclosedTensor) -> Finding? {
  guard
    let place = actual.elements.indices.first(where: { !wanted.enclosures[$0].contains(actual.elements[$0]) })
  else { return nil }
  var position: [Int] = []
  var rest = place
  for extent in actual.extents.reversed() {
    position.insert(rest % extent, at: 0)
    rest /= extent
  }
  let count = actual.elements.indices.count { !wanted.enclosures[$0].contains(actual.elements[$0]) }
  return Finding(
    .differs, way,
    "output \(output) \(actual.dtype)\(actual.extents) at \(position) is \(actual.elements[place].text), the reference "
      + "gives \(wanted.reference.elements[place].text), possible is \(wanted.enclosures[place]); "
      + "\(count) of \(actual.elements.count) elements differ; call \(call)")
}

extension ScalarValue {
  var text: String {
    switch self {
    case .integer(let x): "\(x)"
    case .float(let x): "\(x)"
    }
  }
}

/// The memory of one call.
private final class GraphLaunch {
  let sample: GraphCase
  let number: Int
  let donates: Bool
  let parameters: [GuardedMemory]
  private(set) var outputs: [GuardedMemory] = []
  private let contents: [GraphCase.Memory]

  init(_ run: CaseRun, _ number: Int, donates: Bool) throws(Diagnostic) {
    sample = run.sample
    self.number = number
    self.donates = donates
    contents = try sample.memory(number)
    var made: [GuardedMemory] = []
    for (memory, parameter) in zip(contents, sample.graph.parameters) {
      made.append(try GuardedMemory(memory, parameter.type.dtype, run.engine))
    }
    parameters = made
    engine = run.engine
  }
  private let engine: Engine

  /// Memory for results like `references`.
  func allocate(_ references: [ReferenceTensor]) throws(Diagnostic) {
    outputs = []
    for (i, reference) in references.enumerated() {
      if donates, let parameter = sample.donations[i] {
        outputs.append(parameters[parameter])
      } else {
        outputs.append(try GuardedMemory(poisoned: reference.dtype, reference.extents, engine))
      }
    }
  }

  func finding(_ way: Way, _ wanted: [EnclosedTensor]) throws(Diagnostic) -> Finding? {
    for (i, output) in outputs.enumerated() {
      if let place = output.violation { return Finding(.overrun, way, "around output \(i), at byte \(place)") }
      let actual = try output.value()
      if let finding = difference(way, call: sample.calls[number], output: i, actual, wanted[i]) { return finding }
    }
    let donated = donates ? Set(sample.donations.values) : []
    for (i, parameter) in parameters.enumerated() {
      if let place = parameter.violation { return Finding(.overrun, way, "around parameter \(i), at byte \(place)") }
      if !donated.contains(i), let place = parameter.change(from: contents[i].bytes) {
        return Finding(.overrun, way, "parameter \(i) is written, at byte \(place)")
      }
    }
    return nil
  }
}
