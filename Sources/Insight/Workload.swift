// A program that is timed: its inputs by name, its function over tensors, and what it must cost at least.
// Not a mode of running it: eager, compiled and other systems run one definition. Surprise: what a step changes (a cache,
// an optimizer's moments) is `state`, passed `inout`, as compiled functions take it.
import Basics
import Engine
import Tensors
import TensorTypes

/// A program over tensors with inputs that any system can make again from their names.
package struct Workload: Sendable {
  /// One step: changes the state, gives the outputs that are checked.
  package typealias Function = @Sendable (_ state: inout [Tensor], _ inputs: [Tensor]) throws -> [Tensor]

  /// What the arithmetic is held against.
  package enum Peak: String, Sendable, CaseIterable { case f32, bf16, int8 }

  /// Bytes that a perfect program reads from memory and writes to it.
  package struct Traffic: Sendable, Hashable {
    package var read: Int
    package var written: Int
    package var total: Int { read + written }
  }

  package var name: String
  package var note: String
  package var traffic: Traffic
  package var flops: Int
  package var peak: Peak
  /// How far the outputs' fingerprints may be from another system's: see ``Fingerprint/isClose(to:tolerance:)``.
  package var tolerance: Double
  package var function: Function
  private var make: @Sendable () throws -> (state: [Tensor], inputs: [Tensor])

  package init(
    _ name: String, _ note: String, read: Int, written: Int, flops: Int, peak: Peak = .f32, tolerance: Double = 2e-3,
    make: @escaping @Sendable () throws -> (state: [Tensor], inputs: [Tensor]), function: @escaping Function
  ) {
    self.name = name
    self.note = note
    traffic = Traffic(read: read, written: written)
    self.flops = flops
    self.peak = peak
    self.tolerance = tolerance
    self.make = make
    self.function = function
  }

  /// A program without state.
  init(
    _ name: String, _ note: String, read: Int, written: Int, flops: Int, peak: Peak = .f32, tolerance: Double = 2e-3,
    inputs: [NamedArray], function: @escaping @Sendable ([Tensor]) throws -> [Tensor]
  ) {
    self.init(
      name, note, read: read, written: written, flops: flops, peak: peak, tolerance: tolerance,
      make: { ([], try inputs.map { try $0.tensor() }) }, function: { _, inputs in try function(inputs) })
  }

  /// Fresh state and inputs, equal at each call.
  /// - Throws: a Diagnostic if there is not so much memory.
  package func tensors() throws -> (state: [Tensor], inputs: [Tensor]) { try make() }

  /// Every workload, in the order they are listed.
  package static let all: [Workload] = pointwise + norms + products + attention + models

  /// - Throws: a Diagnostic that lists the names there are.
  package static func named(_ name: String) throws(Diagnostic) -> Workload {
    guard let found = all.first(where: { $0.name == name }) else {
      throw Diagnostic(
        .argument, "there is no workload '\(name)'",
        remedy: "the workloads are \(all.map(\.name).joined(separator: ", "))")
    }
    return found
  }
}

/// An array that its name, shape and distribution define: numpy's numbers, seeded with the checksum of the name.
package struct NamedArray: Sendable {
  package enum Distribution: Sendable {
    case normal(scale: Double)
    case uniform(Double, Double)
    case integers(below: Int)
    case constant(Float)
  }
  package var name: String
  package var shape: [Int]
  package var distribution: Distribution

  package static func normal(_ name: String, _ shape: Int..., scale: Double = 1) -> NamedArray {
    NamedArray(name: name, shape: shape, distribution: .normal(scale: scale))
  }
  package static func uniform(_ name: String, _ shape: Int..., from low: Double = 0, to high: Double = 1) -> NamedArray
  {
    NamedArray(name: name, shape: shape, distribution: .uniform(low, high))
  }
  package static func integers(_ name: String, _ shape: Int..., below bound: Int) -> NamedArray {
    NamedArray(name: name, shape: shape, distribution: .integers(below: bound))
  }
  package static func constant(_ value: Float, _ shape: Int...) -> NamedArray {
    NamedArray(name: "", shape: shape, distribution: .constant(value))
  }

  /// f32, or i64 for integers.
  package func tensor() throws(Diagnostic) -> Tensor {
    let count = shape.reduce(1, *)
    var generator = NumpyGenerator(name: name)
    switch distribution {
    case .normal(let scale):
      return try filled { generator.fillNormal($0, scale: scale) }
    case .uniform(let low, let high):
      return try filled { generator.fillUniform($0, low, high) }
    case .integers(let bound):
      return Tensor(generator.integers(count, below: bound), shape: shape)
    case .constant(let value):
      return try filled { $0.initialize(repeating: value) }
    }
  }

  /// Written where it stays: some arrays are a fifth of the memory there is.
  private func filled(_ fill: (UnsafeMutableBufferPointer<Float>) -> Void) throws(Diagnostic) -> Tensor {
    let view = try Engine.current.allocate(.f32, shape)
    let count = view.elementCount
    fill(UnsafeMutableBufferPointer(start: view.base.bindMemory(to: Float.self, capacity: count), count: count))
    return Tensor(view)
  }
}
