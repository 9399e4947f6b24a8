// A recommendation model (DLRM): dense features and 26 embeddings, all pairs multiplied, two perceptrons.
// Surprise: the tables take 1.9 GB and a step reads 14 MB of them.
import Tensors

struct DLRM {
  static let (batch, width) = (2048, 64)
  static let rows = [Int](repeating: 100_000, count: 25) + [5_000_000]
  static let vectors = rows.count + 1
  static let bottomSizes = [13, 512, 256, 64]
  static let topSizes = [64 + vectors * (vectors - 1) / 2, 512, 256, 1]

  struct Linear {
    var weight: Tensor, bias: Tensor
    func callAsFunction(_ x: Tensor) -> Tensor { x.matmul(weight) + bias }
  }

  var bottom: [Linear], top: [Linear], tables: [Tensor]

  init(_ source: ParameterSource) rethrows {
    func layers(_ name: String, _ sizes: [Int]) throws -> [Linear] {
      try (0..<sizes.count - 1).map { i in
        let (inner, outer) = (sizes[i], sizes[i + 1])
        return Linear(
          weight: try source(.normal("\(name)\(i)", inner, outer, scale: (2 / Double(inner + outer)).squareRoot())),
          bias: try source(.constant(0, outer)))
      }
    }
    // `rethrows` asks that only the argument throws: it is the only one here.
    bottom = try layers("bot", Self.bottomSizes)
    top = try layers("top", Self.topSizes)
    tables = try Self.rows.enumerated().map { i, count in
      try source(.uniform("tab\(i)", count, Self.width, from: -0.5, to: 0.5))
    }
  }

  /// - Parameters:
  ///   - dense: [batch, 13].
  ///   - indices: for each table [batch].
  ///   - pairs: which of all products of two vectors are below the diagonal.
  func callAsFunction(_ dense: Tensor, _ indices: [Tensor], pairs: Tensor) -> Tensor {
    var x = dense
    for layer in bottom { x = layer(x).relu() }
    let looked = zip(tables, indices).map { table, index in table.embedding(index) }
    let all = Tensor.stacked([x] + looked, axis: 1)
    let products = all.matmul(all.transposed(1, 2)).reshaped(Self.batch, Self.vectors * Self.vectors)
    x = Tensor.concatenated([x, products.selecting(pairs, axis: 1)], axis: 1)
    for (number, layer) in top.enumerated() {
      x = layer(x)
      if number < top.count - 1 { x = x.relu() }
    }
    return x[..., 0]
  }
}

extension Workload {
  static let dlrm: Workload = {
    func weights(_ sizes: [Int]) -> Int { zip(sizes, sizes.dropFirst()).map(*).reduce(0, +) }
    let arithmetic = weights(DLRM.bottomSizes) + weights(DLRM.topSizes) + DLRM.vectors * DLRM.vectors * DLRM.width
    return model(
      "dlrm_fwd", "DLRM forward, batch 2048, 26 one-hot tables x64 (1.92 GB)",
      read: DLRM.batch * DLRM.rows.count * DLRM.width * 4, written: DLRM.batch * 4, flops: 2 * DLRM.batch * arithmetic,
      tolerance: 2e-3,
      inputs: [.normal("dense", DLRM.batch, 13)]
        + DLRM.rows.enumerated().map { .integers("idx\($0)", DLRM.batch, below: $1) },
      build: { try DLRM($0) }
    ) { model, rest in
      let pairs = (1..<DLRM.vectors).flatMap { row in (0..<row).map { row * DLRM.vectors + $0 } }
      return model(rest[rest.startIndex], Array(rest.dropFirst()), pairs: Tensor(pairs))
    }
  }()
}
