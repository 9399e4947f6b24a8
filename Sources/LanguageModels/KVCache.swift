// Keys and values of the tokens so far: buffers of a fixed capacity and a length that grows.
// Not part of the model. Surprise: a copy of a cache is O(1); the first write after it copies everything.
import Basics
import Capture
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
  /// [layers, keys and values, capacity, key heads, width]: one block, because many would each be rounded up.
  private(set) var memory: Tensor
  /// Tokens held.
  public internal(set) var length: Dim = 0
  /// Tokens that fit, as a capture knows them.
  var room: Dim { memory.shape[2] }
  /// Tokens that fit.
  public var capacity: Int { memory.body.view.extent(2) }
  private var cosine: Tensor
  private var sine: Tensor

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
    memory = Tensor(try Engine.current.memory(.f32, [c.layers, 2, capacity, c.keyHeads, c.headWidth]))
    // Angles in Double: at position 8000 a Float angle is off by 5e-4.
    let (angles, magnitude) = (model.rotary.angles, model.rotary.magnitude)
    let half = angles.count
    var cosines: [Float] = []
    var sines: [Float] = []
    cosines.reserveCapacity(capacity * half)
    sines.reserveCapacity(capacity * half)
    for position in 0..<capacity {
      for angle in angles {
        cosines.append(Float(cos(Double(position) * angle) * magnitude))
        sines.append(Float(sin(Double(position) * angle) * magnitude))
      }
    }
    cosine = Tensor(cosines, shape: [capacity, half])
    sine = Tensor(sines, shape: [capacity, half])
  }

  /// Its tensors: keys and values, cosines, sines.
  package var tensors: [Tensor] { [memory, cosine, sine] }

  /// A cache of `length` tokens in the tensors of another one.
  package init(_ tensors: [Tensor], length: Dim) {
    (memory, cosine, sine) = (tensors[0], tensors[1], tensors[2])
    self.length = length
  }

  /// Writes a layer's new rows [tokens, key heads, width] in place, and gives all its rows so far.
  mutating func append(_ keys: Tensor, _ values: Tensor, layer: Int) throws(Diagnostic) -> (Tensor, Tensor) {
    try memory.makeUnique()
    let start = try length.sizeHint
    let all = try memory.view
    func write(_ new: Tensor, _ part: Int) throws(Diagnostic) -> Tensor {
      let rows = all.sliced(0, start: layer, count: 1).removing(0).sliced(0, start: part, count: 1).removing(0)
      let view = try new.view
      let (count, dim) = (view.hints[0], new.shape[0])
      try Tensor.copy(view, into: rows.sliced(0, start: start, count: count, dims: (length, dim)))
      return Tensor(rows.sliced(0, start: 0, count: start + count, dims: (0, length + dim)))
    }
    return (try write(keys, 0), try write(values, 1))
  }

  /// The angles of some positions, as ``Tensor/rotated(cosines:sines:layout:file:line:)`` takes them for all heads: [tokens, 1, pairs].
  struct Positions {
    var cosines: Tensor
    var sines: Tensor
  }

  /// Those of the next `count` tokens.
  func positions(_ count: Dim) -> Positions {
    let rows = length..<(length + count)
    return Positions(cosines: cosine[rows, .newAxis], sines: sine[rows, .newAxis])
  }
}

extension KVCache: Tree {
  public mutating func visit(_ v: inout Visitor) {
    v("memory", &memory, .state)
    v("length", &length)
    v("cosine", &cosine, .state)
    v("sine", &sine, .state)
  }
}
