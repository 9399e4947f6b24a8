// Sizes computed from sizes: what has a value eagerly has the same one in a plan, and what has none is the same mistake, also
// where the normal form of an expression does not divide any more. Not the operations that sizes go to.
// Surprise: the first call decides nothing: every order of the sizes is tried.
import Basics
import Capture
import TensorTypes
import Tensors
import Testing

@Suite struct DimArithmeticTests {
  private typealias Formula = @Sendable (Dim, Dim) -> Dim
  private static let formulas: [(name: String, make: Formula)] = [
    ("n / n", { n, _ in n / n }), ("n % n", { n, _ in n % n }), ("n / m", { $0 / $1 }), ("n % m", { $0 % $1 }),
    ("ceil n / n", { n, _ in n.ceilDivided(by: n) }), ("ceil n / m", { $0.ceilDivided(by: $1) }),
    ("n * m / m", { $0 * $1 / $1 }), ("(n / m) * 0", { $0 / $1 * 0 }), ("n / m - n / m", { $0 / $1 - $0 / $1 }),
    ("n * 4 / (m - 3)", { $0 * 4 / ($1 - 3) }), ("n / 0", { n, _ in n / 0 }),
    ("min(n / m, 2)", { ($0 / $1).minimum(2) }),
    ("n - m", { $0 - $1 }), ("max(0 - n, m % 3)", { (0 - $0).maximum($1 % 3) }),
    ("n^6", { n, m in n * n * n * n * n * n + m }), ("n * 2^62", { n, m in n * Dim(1 << 62) - m }),
  ]
  private static let sizes = [(5, 2), (0, 3), (2, 0), (3, 3), (0, 0), (33, 5), (1, 12), (8, 1), (3000, 2)]

  /// The value, and what is asked about it.
  @Sendable private static func asked(_ x: Tensor, _ dim: Dim, _ other: Dim) -> (Tensor, Dim) {
    let answers = [dim == other, dim != other, dim < other, dim <= other, dim > 2, dim != 0]
    let number = answers.enumerated().reduce(0) { $0 + ($1.element ? 1 << $1.offset : 0) }
    return (x * number, dim)
  }

  @Test(arguments: 0..<16) func a_size_computed_from_sizes_is_what_it_is_eagerly(number: Int) throws {
    let (name, make) = Self.formulas[number]
    let x = Tensor.ones(2)
    for sizes in [Self.sizes, Self.sizes.reversed()] {
      let f = compile(maxRecompiles: 64) { (x: Tensor, n: Dim, m: Dim) in Self.asked(x, make(n, m), m) }
      for (n, m) in sizes {
        let wanted = Self.asked(x, make(Dim(n), Dim(m)), Dim(m))
        let mistake = { () -> String? in
          do { _ = try wanted.1.value } catch { return (error as? Diagnostic)?.message }
          return nil
        }()
        do {
          let found = try f(x, Dim(n), Dim(m))
          #expect(mistake == nil, "\(name) of \(n), \(m)")
          #expect(try found.0.array(as: Int.self) == wanted.0.array(as: Int.self), "\(name) of \(n), \(m)")
          #expect(found.1 == wanted.1, "\(name) of \(n), \(m)")
        } catch {
          #expect((error as? Diagnostic)?.message == mistake, "\(name) of \(n), \(m): \(error)")
        }
      }
    }
  }

  /// A mistake that is compared is neither equal nor different, in a plan as well.
  @Test func a_size_without_a_value_takes_the_branch_that_it_takes_eagerly() throws {
    @Sendable func body(_ x: Tensor, _ n: Dim, _ m: Dim) -> Tensor {
      var y = x
      if n / m != 1 { y = y + 1 }
      if n / m == 1 { y = y + 2 }
      if m % m < 1 { y = y + 4 }
      if n * n * n * n > 5 { y = y + 8 }
      return y
    }
    let x = Tensor.zeros(1)
    for sizes in [Self.sizes + [(1 << 40, 7)], [(1 << 40, 7)] + Self.sizes.reversed()] {
      let f = compile(maxRecompiles: 64) { (x: Tensor, n: Dim, m: Dim) in body(x, n, m) }
      for (n, m) in sizes {
        #expect(
          try f(x, Dim(n), Dim(m)).item(as: Float.self) == body(x, Dim(n), Dim(m)).item(as: Float.self), "\(n), \(m)")
      }
    }
  }

  // MARK: No elements

  /// With as many elements as `n` says; `n` 0 is a size like another, or refused as eagerly.
  private static let operations: [(name: String, run: @Sendable (Tensor, Dim) throws -> Tensor)] = [
    ("reshaped(n, -1)", { x, n in x[0..<n].reshaped(n, -1) }),
    ("reshaped(-1, n)", { x, n in x[0..<n].reshaped(-1, n) }),
    ("layerNorm", { x, n in x[0..<n].transposed().layerNorm([n]) }),
    ("rmsNorm", { x, n in x[0..<n].transposed().rmsNorm([n]) }),
    ("windows(size: n)", { x, n in x.windows(0, size: try n.value, step: 1) }),
    ("windows of a part", { x, n in x[0..<n].windows(0, size: 0, step: 2) }),
    ("mean", { x, n in x[0..<n].mean(0) }), ("variance", { x, n in x[0..<n].variance(0) }),
    ("sum / n", { x, n in x[0..<n].sum(0) / Tensor(n) }),
    ("embeddedDiagonal", { x, n in x.transposed()[.all, 0..<n].embeddedDiagonal() }),
    (
      "scattering on a diagonal",
      { x, n in Tensor.zeros([n, n]).scattering(x.flattened()[0..<n], onDiagonal: 0) }
    ),
    (
      "uniform",
      { x, n in
        var random = RandomGenerator(seed: 2)
        _ = random.uniform([n])
        return random.uniform([3]) + x[0]
      }
    ),
  ]

  @Test(arguments: [[0, 3, 0, 5], [3, 0, 5, 1], [2, 4, 0, 3]]) func no_elements_are_a_size_like_another(sizes: [Int])
    throws
  {
    let x = Tensor.arange(18, dtype: .f32).reshaped(6, 3)
    for (name, run) in Self.operations {
      for fuses in [true, false] {
        let f = compile(maxRecompiles: 64, fuses: fuses) { (x: Tensor, n: Dim) in try run(x, n) }
        for n in sizes {
          let wanted = try run(x, Dim(n))
          do {
            let found = try f(x, Dim(n))
            #expect(found.shape == wanted.shape, "\(name), n = \(n)")
            let (a, b) = (try found.array(as: Float.self), try wanted.array(as: Float.self))
            #expect(
              zip(a, b).allSatisfy { abs($0 - $1) < 1e-4 || $0.isNaN && $1.isNaN }, "\(name), n = \(n): \(a), \(b)")
          } catch {
            #expect(wanted.failure != nil, "\(name), n = \(n): \(error)")
          }
        }
      }
    }
  }
}
