// Hashes of graphs that are equal in every process: keys of caches and of common subexpressions.
// Not `Hashable`'s hash. Surprise: names of graphs, parameters and arguments do not count, for they change no code.
import Basics
import Scalars
import TensorTypes

extension Graph {
  /// Equal for graphs that differ in names only.
  package var structuralHash: StableHash {
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
    payload.forEachField { combine($1) }
  }

  private mutating func combine(_ field: PayloadField) {
    switch field {
    case .integer(let number): combine(number)
    case .integers(let numbers): combine(numbers)
    case .extents(let dims): combine(dims)
    case .flag(let flag): combine(byte: flag ? 1 : 0)
    case .dtype(let dtype): combine(byte: dtype.rawValue)
    case .constant(let constant):
      combine(byte: constant.dtype.rawValue)
      combine(constant.bits)
    case .monoid(let monoid): combine(monoid.rawValue)
    case .combine(let monoid): combine(monoid?.rawValue ?? "")
    case .winner(let monoid): combine(monoid.rawValue)
    case .pairs(let pairs): combine(pairs.flatMap { [$0.left, $0.right] })
    case .graph(let reference): combine(reference.structuralHash)
    }
  }
}
