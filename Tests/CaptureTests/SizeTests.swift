import Basics
import Capture
import TensorTypes
import Tensors
import Testing

/// Sizes inside `compile`: what is read, asked and compared is a guard.
@Suite struct SizeTests {
  private static let sizes = [5, 12, 7, 0, 1, 2, 3, 8, 33]

  private static func ones(_ count: Int, of extent: Int) -> [Float] {
    (0..<extent).map { $0 < count ? 1 : 0 }
  }

  /// A size that was a number of another closure's graph, or of another process', is none of this one's.
  @Test(arguments: [[5, 12, 7], [12, 5], [1, 2, 3, 0], [33, 1]])
  func a_range_written_up_to_a_dim_is_as_long_as_it_says(sizes: [Int]) throws {
    for order in [sizes, sizes.reversed()] {
      let f = compile { (x: Tensor, n: Dim) in
        var y = x
        y[0..<n] = Tensor(Float(1))
        return y
      }
      for size in order { #expect(try f(Tensor.zeros(40), Dim(size)).array() == Self.ones(size, of: 40)) }
    }
  }

  private struct Cache: Tree {
    var k: Tensor
    var n: Dim
    mutating func visit(_ v: inout Visitor) {
      v("k", &k)
      v("n", &n)
    }
  }

  @Test(arguments: [0, 1, 2, 3, 5]) func a_state_is_written_up_to_its_own_dim(first: Int) throws {
    let f = compile(updating: Cache.self) { (c: inout Cache, row: Tensor) in
      c.k[0..<c.n] = row
      c.n += 1
    }
    var cache = Cache(k: Tensor.zeros(8, 2), n: Dim(first))
    var eager = cache
    for i in 0..<3 {
      let row = Tensor([Float(i), 7])
      try f(&cache, row)
      eager.k[0..<eager.n] = row
      eager.n += 1
      #expect(try cache.k.array(as: Float.self) == eager.k.array(as: Float.self))
      #expect(cache.n == eager.n)
    }
  }

  @Test func an_index_outside_the_axis_is_an_error_and_never_memory() throws {
    let read = compile { (x: Tensor, i: Dim) in x[i] }
    let write = compile { (x: Tensor, i: Dim) in
      var y = x
      y[i] = Tensor(Float(9))
      return y
    }
    let narrow = compile { (x: Tensor, i: Dim) in x.narrowed(0, start: i, count: 2) }
    let x = Tensor([10, 11, 12, 13, 14, 15, 16, 17] as [Float])
    for i in [3, -1, 7, -8, 0, -9, 8, 1_000_000, -1_000_000, .max, .min, 4] {
      if (-8..<8).contains(i) {
        #expect(try read(x, Dim(i)).item() == Float(10 + (i + 8) % 8))
        var wanted = x
        wanted[i] = Tensor(Float(9))
        #expect(try write(x, Dim(i)).array(as: Float.self) == wanted.array())
      } else {
        for call in [{ try read(x, Dim(i)) }, { try write(x, Dim(i)) }, { try narrow(x, Dim(i)) }] {
          let error = #expect(throws: Diagnostic.self) { try call() }
          // Beyond what any extent can be, the call itself refuses the number.
          let kind: Diagnostic.Kind = abs(Double(i)) > 0x1p40 ? .memory : .index
          #expect(error?.kind == kind, "\(i): \(error.map { "\($0)" } ?? "")")
        }
      }
      let eager = x.narrowed(0, start: i, count: 2)
      if eager.failure == nil { #expect(try narrow(x, Dim(i)).array(as: Float.self) == eager.array()) }
    }
  }

  @Test func an_index_that_is_computed_from_an_extent_stays_inside() throws {
    let f = compile(dynamic: .all) { (x: Tensor) in x[x.shape[0] - 5] }
    for count in [8, 12, 5, 6, 4, 3, 2, 33] {
      let x = Tensor((0..<count).map { Float($0) })
      let eager = x[x.shape[0] - 5]
      if eager.failure == nil {
        #expect(try f(x).item(as: Float.self) == eager.item())
      } else {
        #expect(throws: Diagnostic.self) { try f(x) }
      }
    }
  }

  /// Ranks, dtypes and structures that change from call to call.
  @Test func a_later_call_of_another_rank_or_dtype_gets_a_plan_of_its_own() throws {
    let f = compile(maxRecompiles: 64) { (x: Tensor, y: Tensor) in (x.sum(), y.sum()) }
    let shapes: [[Dim]] = [[3], [2, 2], [4], [], [2, 1, 3], [0], [1], [5, 0]]
    for (i, a) in shapes.enumerated() {
      let b = shapes[(i * 3 + 1) % shapes.count]
      for dtype in i % 2 == 0 ? [DType.f32, .i32] : [.f32] {
        let (x, y) = (Tensor.ones(a, dtype: dtype), Tensor.ones(b))
        let (p, q) = try f(x, y)
        #expect(try p.item(as: Double.self) == x.sum().item(as: Double.self))
        #expect(try q.item(as: Double.self) == y.sum().item(as: Double.self))
      }
    }
    let g = compile(maxRecompiles: 30) { (list: [Tensor]) in list.map { $0.sum() } }
    for counts in [[3], [3, 4], [], [4, 3], [2, 2, 2]] {
      #expect(try g(counts.map { Tensor.ones($0) }).count == counts.count)
    }
  }

  // MARK: Comparing

  /// What a function says about two shapes.
  private static func questions(_ a: TensorShape, _ b: TensorShape) -> [Bool] {
    let (x, y) = (a[0], b[0])
    var three = false
    switch x {
    case 3: three = true
    default: break
    }
    return [
      a == b, a != b, a.dims == b.dims, a.dims == [3, 4], a.dims != [3, 4], a.dims.contains(4),
      a.dims.firstIndex(of: 4) == 1, three, (x, y) == (3, 4), Set([x, y]).count == 1, Set(a.dims + b.dims).count == 2,
      [x: 1, 100: 2][y] == 1, Set([a, b]).count == 1, x == y, x == 3, x < y, 3 == x, x != y,
    ]
  }

  @Test func every_way_to_compare_shapes_is_a_guard() throws {
    for dynamic in [DynamicShapes.automatic, .all] {
      let f = compile(dynamic: dynamic, maxRecompiles: 64) { (x: Tensor, y: Tensor) in
        (Self.questions(x.shape, y.shape), x.sum() + y.sum())
      }
      let shapes: [(Int, Int)] = [(3, 4), (4, 3), (3, 3), (5, 4), (5, 6), (4, 4), (2, 9), (3, 4)]
      for a in shapes {
        for b in shapes {
          let (x, y) = (Tensor.ones(a.0, a.1), Tensor.ones(b.0, b.1))
          #expect(try f(x, y).0 == Self.questions(x.shape, y.shape), "\(a) \(b)")
        }
      }
    }
  }

  @Test func the_shape_of_a_constant_is_compared_by_value() throws {
    let c = Tensor.ones(3, 4)
    for dynamic in [DynamicShapes.automatic, .all] {
      let f = compile(dynamic: dynamic) { (x: Tensor) in x.shape == c.shape ? x + c : x * 100 }
      for (rows, columns) in [(3, 4), (5, 4), (3, 4), (4, 3), (7, 4)] {
        let wanted: Float = rows == 3 && columns == 4 ? 2 : 100
        #expect(try f(Tensor.ones(rows, columns)).max().item() == wanted)
      }
    }
  }
}
