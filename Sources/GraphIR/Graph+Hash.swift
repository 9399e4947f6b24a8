// Hashes of graphs that are equal in every process: keys of caches and of common subexpressions.
// Not `Hashable`'s hash. Surprise: names of graphs, parameters and arguments do not count, for they change no code.
import Basics
import Scalars
import TensorTypes

extension Graph {
  /// Equal for graphs that differ in names only.
  public var structuralHash: StableHash {
    var hash = StableHash()
    hash.combine(arguments.count)
    hash.combine(parameters.count)
    for parameter in parameters {
      hash.combine(parameter.type)
      hash.combine(parameter.strides)
    }
    hash.combine(nodes.count)
    for node in nodes { hash.combine(node.structuralHash) }
    for output in outputs { hash.combine(Int(output.id)) }
    return hash
  }
}

extension StableHash {
  package mutating func combine(_ dims: [Dim]) {
    combine(dims.count)
    for dim in dims { combine(dim) }
  }

  package mutating func combine(_ dim: Dim) {
    switch dim.expression {
    case nil:
      combine(byte: 0)
      combine(dim.knownValue ?? 0)
    case .symbol(let id)?:
      combine(byte: 1)
      combine(id)
    case .binary(let operation, let a, let b)?:
      combine(byte: 2)
      combine(operation.rawValue)
      combine(a)
      combine(b)
    case .failed(let diagnostic)?:
      combine(byte: 3)
      combine(diagnostic.message)
    }
  }

  package mutating func combine(_ type: TensorType) {
    combine(byte: type.dtype.rawValue)
    combine(type.shape.dims)
  }

  package mutating func combine(_ numbers: [Int]) {
    combine(numbers.count)
    for number in numbers { combine(number) }
  }

  package mutating func combine(_ primitive: Primitive) {
    let (definition, payload) = primitive.entry
    combine(definition.name)
    switch payload {
    case .none: break
    case .number(let number), .axis(let number): combine(number)
    case .constant(let constant):
      combine(byte: constant.dtype.rawValue)
      combine(constant.bits)
    case .iota(let axis, let shape):
      combine(axis)
      combine(shape.dims)
    case .dtype(let dtype): combine(byte: dtype.rawValue)
    case .shape(let shape), .repeated(let shape): combine(shape.dims)
    case .permutation(let permutation): combine(permutation)
    case .slice(let starts, let counts, let steps):
      combine(starts)
      combine(counts)
      combine(steps)
    case .pad(let low, let high):
      combine(low)
      combine(high)
    case .windows(let axis, let size, let step, let dilation): combine([axis, size, step, dilation])
    case .reduce(let monoid, let axes):
      combine(monoid.rawValue)
      combine(axes)
    case .argAxis(let monoid, let axis):
      combine(monoid.rawValue)
      combine(axis)
    case .scan(let monoid, let axis):
      combine(monoid.rawValue)
      combine(axis)
    case .sort(let axis, let descending):
      combine(axis)
      combine(byte: descending ? 1 : 0)
    case .contraction(let axes):
      combine(axes.batch.flatMap { [$0.left, $0.right] })
      combine(axes.contracted.flatMap { [$0.left, $0.right] })
    case .scatter(let axis, let monoid):
      combine(axis)
      combine(monoid?.rawValue ?? "")
    case .assign(let starts, let steps):
      combine(starts)
      combine(steps)
    case .graph(let reference): combine(reference.structuralHash)
    }
  }
}
