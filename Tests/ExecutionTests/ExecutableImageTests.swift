// Images as bytes, Dims as programs: both must say the same as what they were made from, and survive any bytes.
import Basics
import Execution
import TensorTypes
import Testing

private struct Generator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ state >> 29
  }
}

/// An expression over the symbols 0..2.
private func expression(depth: Int, _ generator: inout Generator) -> Dim {
  if depth == 0 || Int.random(in: 0..<5, using: &generator) == 0 {
    return Bool.random(using: &generator)
      ? .symbol(Int.random(in: 0..<3, using: &generator)) : Dim(Int.random(in: -4...40, using: &generator))
  }
  // The generator is never empty-handed: allCases is not empty.
  let operation = DimOperation.allCases.randomElement(using: &generator) ?? .add
  let a = expression(depth: depth - 1, &generator)
  return Dim.combined(operation, a, expression(depth: depth - 1, &generator))
}

private func sample() -> ExecutableImage {
  let (m, n) = (Dim.symbol(0), Dim.symbol(1))
  return ExecutableImage(
    name: "matmul é", format: .object, code: [1, 2, 3, 0, 255],
    phases: [
      .init(symbol: "p0", grid: [n.ceilDivided(by: 64), 3]),
      .init(symbol: "p1", grid: [(m + 5) / 4, n.minimum(m), m % 7]),
    ],
    arenaSymbol: "arena", scratch: [m * n * 4, 64, n - 1], bufferCount: 3, argumentCount: 2,
    metadata: [.init("flops", "2*m*n"), .init("", "")])
}

@Suite struct ExecutableImageTests {
  @Test func an_image_is_read_back_as_it_was() throws {
    let image = sample()
    #expect(try ExecutableImage(serialised: image.serialised()) == image)
    var plain = image
    plain.arenaSymbol = nil
    plain.code = []
    plain.phases = []
    plain.scratch = []
    plain.metadata = []
    plain.format = .nothing
    #expect(try ExecutableImage(serialised: plain.serialised()) == plain)
  }

  @Test func equal_images_have_equal_bytes() {
    #expect(sample().serialised() == sample().serialised())
  }

  @Test func every_cut_image_is_an_error() {
    let bytes = sample().serialised()
    for count in 0..<bytes.count {
      #expect(throws: Diagnostic.self) { try ExecutableImage(serialised: Array(bytes[..<count])) }
    }
    #expect(throws: Diagnostic.self) { try ExecutableImage(serialised: bytes + [0]) }
  }

  // Any answer is fine but a crash or a huge allocation.
  @Test func damaged_images_are_read_or_refused() {
    let bytes = sample().serialised()
    var refused = 0
    for position in bytes.indices {
      for value in [0, 1, 0x7f, 0x80, 0xff] as [UInt8] {
        var damaged = bytes
        damaged[position] = value
        if (try? ExecutableImage(serialised: damaged)) == nil { refused += 1 }
      }
    }
    #expect(refused > bytes.count)
  }

  @Test func an_endless_expression_is_refused_before_the_stack_ends() {
    var bytes = sample().serialised()
    // The last scratch expression's tag, found from its bytes: binary, subtract.
    guard let place = bytes.firstIndex(of: 2) else { return }
    bytes.replaceSubrange(place..., with: [UInt8](repeating: 2, count: 1_000_000))
    #expect(throws: Diagnostic.self) { try ExecutableImage(serialised: bytes) }
  }

  @Test func a_program_computes_what_its_expression_says() throws {
    var generator = Generator(state: 42)
    for _ in 0..<3000 {
      let dim = expression(depth: 5, &generator)
      let arguments = (0..<3).map { _ in Int.random(in: -3...1000, using: &generator) }
      guard let program = try? CompiledDim(dim, argumentCount: 3) else {
        // A division by the number zero is in it.
        #expect(dim.evaluated(arguments) == nil, "\(dim)")
        continue
      }
      #expect(program.value(arguments.map { Int64($0) }) == dim.evaluated(arguments), "\(dim) of \(arguments)")
    }
  }

  @Test func a_program_reports_overflow_and_division_by_zero() throws {
    let s = Dim.symbol(0)
    #expect(try CompiledDim(s * s, argumentCount: 1).value([1 << 40]) == nil)
    #expect(try CompiledDim(s + 1, argumentCount: 1).value([.max]) == nil)
    #expect(try CompiledDim(7 / s, argumentCount: 1).value([0]) == nil)
    #expect(try CompiledDim(s, argumentCount: 1).value([-5]) == -5)
  }

  @Test func an_argument_that_a_launch_does_not_have_is_an_error() {
    #expect(throws: Diagnostic.self) { try CompiledDim(Dim.symbol(2) + 1, argumentCount: 2) }
    #expect(throws: Diagnostic(.shape, "bad")) { try CompiledDim(.failed(Diagnostic(.shape, "bad")), argumentCount: 2) }
  }
}
