// Matrix products and their relatives, and layers that are products.
import Basics
import Tensors

extension ConformanceArguments {
  func number(_ place: Int, _ name: String, else fallback: Int) throws(Diagnostic) -> Number {
    switch value(place, name) {
    case .integer(let value)?: .integer(Int64(value))
    case .bool(let value)?: .bool(value)
    case nil: .integer(Int64(fallback))
    default: .floating(try double(place, name, else: Double(fallback)))
    }
  }
  fileprivate var beta: Number { get throws(Diagnostic) { try number(-1, "beta", else: 1) } }
  fileprivate var alpha: Number { get throws(Diagnostic) { try number(-1, "alpha", else: 1) } }
}

extension ConformanceTable {
  mutating func addProducts() {
    tolerance = .products
    defer { tolerance = .elements }
    binary("matmul") { $0.matmul($1) }
    binary("__rmatmul__") { $1.matmul($0) }
    binary("mm") { $0.mm($1) }
    binary("bmm") { $0.bmm($1) }
    binary("mv") { $0.mv($1) }
    binary("dot", "vdot") { $0.dot($1) }
    binary("outer") { $0.outer($1) }
    binary("inner") { $0.inner($1) }
    binary("kron") { $0.kron($1) }
    tensor("tensordot") { a throws(Diagnostic) in
      guard case .list(let pairs)? = a.value(2, "dims"), pairs.count == 2 else {
        return try a.tensor(0).tensorDot(a.tensor(1), axes: a.int(2, "dims", else: 2))
      }
      let both = ConformanceArguments(places: pairs, names: [:])
      return try a.tensor(0).tensorDot(a.tensor(1), axes: both.ints(0) ?? [], both.ints(1) ?? [])
    }
    tensor("einsum") { a throws(Diagnostic) in
      guard let equation = a.string(1, "equation") else { throw Diagnostic(.argument, "einsum without an equation") }
      return .einsum(equation, try a.tensors(0))
    }
    tensor("addmm") { a throws(Diagnostic) in
      try a.tensor(0).addmm(a.tensor(1), a.tensor(2), beta: a.beta, alpha: a.alpha)
    }
    tensor("addmv") { a throws(Diagnostic) in
      try a.tensor(0).addmv(a.tensor(1), a.tensor(2), beta: a.beta, alpha: a.alpha)
    }
    tensor("addr") { a throws(Diagnostic) in
      try a.tensor(0).addr(a.tensor(1), a.tensor(2), beta: a.beta, alpha: a.alpha)
    }
    tensor("addbmm") { a throws(Diagnostic) in
      try a.tensor(0).addbmm(a.tensor(1), a.tensor(2), beta: a.beta, alpha: a.alpha)
    }
    tensor("baddbmm") { a throws(Diagnostic) in
      try a.tensor(0).baddbmm(a.tensor(1), a.tensor(2), beta: a.beta, alpha: a.alpha)
    }
    tensor("nn.functional.linear") { a throws(Diagnostic) in
      try a.tensor(0).linear(weight: a.tensor(1, "weight"), bias: a.optionalTensor(2, "bias"))
    }
    tensor("nn.functional.bilinear") { a throws(Diagnostic) in
      try a.tensor(0).bilinear(a.tensor(1), weight: a.tensor(2, "weight"), bias: a.optionalTensor(3, "bias"))
    }
  }
}
