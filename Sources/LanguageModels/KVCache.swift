// Keys and values of the tokens so far: buffers of a fixed capacity and a length that grows.
// Not part of the model. Surprise: a copy of a cache is O(1); the first write after it copies the written buffer.
import Basics
import Engine
import Tensors
import TensorTypes

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What a model remembers of one text.
public struct KVCache: Sendable {
  struct Layer: Sendable {
    var keys: Tensor
    var values: Tensor

    /// Writes new rows in place and gives all rows so far.
    mutating func append(_ k: Tensor, _ v: Tensor, at start: Int) throws(Diagnostic) -> (Tensor, Tensor) {
      let count = try k.view.extents[0]
      func write(_ buffer: inout Tensor, _ rows: Tensor) throws(Diagnostic) -> Tensor {
        try buffer.makeUnique()
        try Tensor.copy(rows.view, into: buffer.view.sliced(0, start: start, count: count))
        return Tensor(try buffer.view.sliced(0, start: 0, count: start + count))
      }
      return (try write(&keys, k), try write(&values, v))
    }
  }

  var layers: [Layer]
  /// Tokens held.
  public internal(set) var length: Dim = 0
  /// Tokens that fit.
  public let capacity: Int
  private let cosine: Tensor
  private let sine: Tensor

  /// An empty cache for `model`.
  ///
  /// - Parameter capacity: tokens it can hold; at most the model's context.
  /// - Throws: a Diagnostic for a capacity outside 1...context, or too little memory.
  public init(_ model: Llama, capacity: Int) throws(Diagnostic) {
    let c = model.configuration
    guard capacity > 0, capacity <= c.context else {
      throw Diagnostic(
        .argument, "a cache of \(capacity) tokens is not within 1...\(c.context), the model's context",
        remedy: "shorten the prompt or ask for fewer tokens")
    }
    self.capacity = capacity
    let engine = try Engine.current
    layers = []
    for _ in 0..<c.layers {
      let extents = [capacity, c.keyHeads, c.headWidth]
      layers.append(
        Layer(keys: Tensor(try engine.allocate(.f32, extents)), values: Tensor(try engine.allocate(.f32, extents))))
    }
    // Angles in Double: at position 8000 a Float angle is off by 5e-4.
    let half = c.headWidth / 2
    let frequencies = (0..<half).map { pow(c.rotaryBase, -2 * Double($0) / Double(c.headWidth)) }
    var cosines: [Float] = []
    var sines: [Float] = []
    cosines.reserveCapacity(capacity * half)
    sines.reserveCapacity(capacity * half)
    for position in 0..<capacity {
      for frequency in frequencies {
        let angle = Double(position) * frequency
        cosines.append(Float(cos(angle)))
        sines.append(Float(sin(angle)))
      }
    }
    cosine = Tensor(cosines, shape: [capacity, half])
    sine = Tensor(sines, shape: [capacity, half])
  }

  /// Rotation tables of `count` positions from `start`.
  func rotary(_ start: Int, _ count: Int) throws(Diagnostic) -> (Tensor, Tensor) {
    (
      Tensor(try cosine.view.sliced(0, start: start, count: count)),
      Tensor(try sine.view.sliced(0, start: start, count: count))
    )
  }
}
