// Sizes, counts and offsets that no tensor has: an error or a right value, and nothing of that size is allocated.
// Not a sweep of all functions, which `azulejo hostile` makes in child processes. Surprise: what would be a crash ends
// these tests, so each kind is here that once was one.
import Basics
import Foundation
import TensorTypes
import Tensors
import TestSupport
import Testing

private let numbers = [
  0, -1, 1, 2, 1 << 31, (1 << 31) - 1, 1 << 32, 1 << 56, (1 << 56) + 1, 1 << 60, 1 << 62, .max, .max - 1, .min,
  .min + 1,
]

@Suite struct HostileArgumentTests {
  private let x = Tensor.arange(24, dtype: .f32).reshaped(2, 3, 4)
  private let image = Tensor.arange(36, dtype: .f32).reshaped(1, 1, 6, 6)

  /// A value, or an error that says something; both are read.
  private func isFine(_ tensor: Tensor) -> Bool {
    guard let failure = tensor.failure else { return tensor.elementCount.knownValue != nil }
    return failure.kind != .compiler && !failure.message.isEmpty
  }

  @Test(.needs(.speed, .time), arguments: numbers) func shapes_of_any_number_have_a_size_or_an_error(_ n: Int) throws {
    for shape in [[n], [0, n], [n, 0], [n, n], [0, n, n], [n, n, 0], [1, n, 1]] {
      for tensor in [
        Tensor.zeros(shape.map { Dim($0) }, dtype: .u8), Tensor(Float(1)).expanded(shape.map { Dim($0) }),
        x.reshaped(shape.map { Dim($0) }), Tensor([Float](), shape: shape),
      ] where shape.allSatisfy({ $0 < 1 << 30 || $0 > 1 << 36 }) {
        #expect(isFine(tensor), "\(shape)")
        if tensor.failure == nil {
          #expect(tensor.shape.dims.map(\.knownValue) == shape.map { Optional($0) } || n == -1)
        }
      }
    }
  }

  @Test func an_empty_tensor_beyond_all_addresses_is_an_error() {
    #expect(Tensor.zeros(0, Int.max, Int.max).failure?.kind == .memory)
    #expect(Tensor.zeros([0, Dim(1 << 40)]).shape == TensorShape([0, 1 << 40]))
  }

  @Test(arguments: numbers) func places_in_views_are_inside_or_an_error(_ n: Int) {
    let views = [
      x[n], x[.all, n], x[..., n], x[Swift.min(n, 0)...], x[..<n], x[0..<Swift.max(n, 0)], x[Swift.min(n, 2)...2],
      x[...n], x[.slice(n, nil)], x[.slice(nil, n)], x[.slice(0, nil, by: n)], x[.slice(n, n, by: n)],
      x[stride(from: 0, to: n, by: 1)], x[stride(from: n, through: 0, by: n > 0 ? -n : 7)], x[[n]],
      x.narrowed(1, start: n, count: 1), x.narrowed(1, start: 0, count: n), x.diagonal(offset: n),
      x.windows(2, size: n, step: 1),
      x.windows(2, size: 2, step: n), x.transposed(n, 0), x.permuted([0, 1, n]), x.squeezed([n]), x.unsqueezed(n),
      x.flattened(0, n), x.unflattened(1, [n, 3]), x.unflattened(1, [-1, n]), x.unflattened(n, [3]),
    ]
    for view in views { #expect(isFine(view)) }
  }

  @Test(arguments: numbers) func offsets_and_shifts_reach_as_far_as_a_tensor(_ n: Int) throws {
    let m = x[0]
    let far = n.magnitude >= 4
    let rows = try m.array(as: Double.self)
    if far {
      #expect(try m.lowerTriangle(n).array(as: Double.self) == (n > 0 ? rows : rows.map { _ in 0 }))
      #expect(try m.upperTriangle(n).array(as: Double.self) == (n < 0 ? rows : rows.map { _ in 0 }))
    }
    let cut = Int(((n % 4) + 4) % 4)
    let expected = (0..<3).flatMap { row in (0..<4).map { rows[row * 4 + ($0 - cut + 4) % 4] } }
    #expect(try m.rolled([n], axes: [1]).array(as: Double.self) == expected)
    #expect(try m.rotated(turns: n).array(as: Double.self) == m.rotated(turns: n % 4).array(as: Double.self))
    for tensor in [m[0].embeddedDiagonal(offset: n), m[0].diag(n), m.scattering(m[0], onDiagonal: n)] {
      #expect(isFine(tensor))
    }
  }

  @Test(arguments: numbers.filter { !($0 > 1 << 30 && $0 < 1 << 40) }) func windows_of_any_size_fit_or_are_refused(
    _ n: Int
  ) {
    let weight = Tensor.ones(1, 1, 2, 2)
    let results = [
      image.maxPool2d(PerAxis(n)), image.maxPool2d(2, stride: PerAxis(n)), image.maxPool2d(2, dilation: PerAxis(n)),
      image.maxPool2d(PerAxis(n), padding: PerAxis(n)), image.avgPool2d(PerAxis(n), ceilMode: true),
      image.avgPool2d(2, stride: PerAxis(n)), image.avgPool2d(2, divisor: n), image.adaptiveAvgPool2d(n, 1),
      image.adaptiveMaxPool2d(n, n).values, image.conv2d(weight, stride: PerAxis(n)),
      image.conv2d(weight, padding: .amounts([n])), image.conv2d(weight, dilation: PerAxis(n)),
      image.conv2d(weight, groups: n), image.convTranspose2d(weight, stride: PerAxis(n)),
      image.convTranspose2d(weight, padding: PerAxis(n)), image.convTranspose2d(weight, dilation: PerAxis(n)),
      image.unfoldedWindows(PerAxis(n)), image.unfoldedWindows(2, dilation: PerAxis(n), padding: PerAxis(n)),
      x[0].folded(PerAxis(n), kernel: PerAxis(n)), image.padded([n, 1]), image.padded([n, n]),
      image.padded([1, n], mode: .replicate),
      image.padded([n, 1], mode: .reflect), image.padded([n, n], mode: .circular), image.pixelShuffled(n),
      image.pixelUnshuffled(n), image.channelShuffled(n), image.localResponseNorm(n),
      image.interpolated(size: PerAxis(n)), image.interpolated(size: PerAxis(n), mode: .cubic),
    ]
    for (i, tensor) in results.enumerated() { #expect(isFine(tensor), "\(i)") }
  }

  @Test(arguments: [0, -0.0, 1e-300, -1, .nan, .infinity, -.infinity, 1e18, 1e30, 1e300, .leastNonzeroMagnitude])
  func scales_and_steps_of_any_number_are_sizes_or_errors(_ s: Double) {
    for mode in [InterpolationMode.nearest, .nearestExact, .linear, .cubic, .area] {
      for recomputes in [false, true] {
        #expect(isFine(image.interpolated(scale: [s], mode: mode, recomputesScale: recomputes)))
      }
    }
    for tensor in [
      Tensor.arange(s), Tensor.arange(from: 0.0, to: 10.0, by: s), Tensor.linspace(0, s, count: 3),
      x.rounded(decimals: s > 0 ? .max : .min), x[0].quantile(s, 0), x.histogram(bins: 4, low: 0, high: s),
    ] { #expect(isFine(tensor)) }
  }

  @Test(arguments: numbers.filter { !($0 > 1 << 30 && $0 < 1 << 40) }) func repeats_and_pieces_fit_or_are_refused(
    _ n: Int
  ) {
    for tensor in [
      x.repeated([n, 1, 1]), x.repeated([n, n, n]), x.tiled([n]), x.repeatingElements(n, axis: 0),
      x.repeatingElements(n),
      x.repeatingElements(counts: Tensor([1, n]), axis: 0),
      Tensor([Float(1), 2, 3]).repeatingElements(counts: Tensor([1, n, 1])),
      Tensor(Float(1)).repeatingElements(n, axis: 0), Tensor([1, n]).binCounts(),
      Tensor([1]).binCounts(minimumLength: n),
      Tensor.eye(n), Tensor.eye(1, n), x.kthSmallest(n).values, x.top(n).values, x.differences(n),
    ] { #expect(isFine(tensor)) }
    for list in [
      x.split(every: n), x.split(into: n), x.chunks(n), x.split(sizes: [n, n]), x.split(at: [n]), x.unbound(n),
    ] {
      #expect(list.allSatisfy(isFine))
    }
  }

  @Test func a_product_of_views_beyond_all_addresses_is_an_error() {
    let row = Tensor(Float(1)).expanded([1, Dim(1 << 40)])
    let column = Tensor(Float(1)).expanded([Dim(1 << 40), 1])
    #expect((row + column).failure?.kind == .memory)
    #expect(row.kron(column).failure != nil)
    #expect(Tensor.broadcasting([row, column]).allSatisfy { $0.failure?.kind == .memory })
    #expect(row.repeated([1 << 40, 1]).failure != nil)
  }

  /// A function that nobody calls with hostile arguments is named here.
  @Test func every_public_function_is_called_with_hostile_arguments() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    func text(_ folder: String) throws -> String {
      let files = try FileManager.default.contentsOfDirectory(
        at: root.appending(path: "Sources/\(folder)"), includingPropertiesForKeys: nil)
      return try files.filter { $0.pathExtension == "swift" }.sorted { $0.path < $1.path }
        .map { try String(contentsOf: $0, encoding: .utf8) }.joined()
    }
    let declared = try text("Tensors").matches(of: /public (?:static |mutating )*func ([A-Za-z][A-Za-z0-9]*)/)
    let names = Set(declared.map { String($0.1) })
    #expect(names.count > 250)
    let calls = Set(try text("Conformance").matches(of: /\.([A-Za-z][A-Za-z0-9]*)/).map { String($0.1) })
    // What takes no number, or nothing that a call could have wrong.
    let others: Set = [
      "hash", "makeIterator", "callAsFunction", "item", "array", "print", "seed", "equal", "notEqual", "less",
      "lessOrEqual",
    ]
    #expect(names.subtracting(calls).subtracting(others).sorted() == [])
  }
}
