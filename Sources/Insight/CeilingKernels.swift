// Kernels that do nothing but move bytes or multiply, written in the tile IR and compiled like all others.
// Not a benchmark of the compiler: streams are long, sums are many, so that memory or the multipliers are the limit.
// Surprise: products of bf16 and int8 are LLVM IR by hand, since the tile IR has no operation for their instructions yet.
import CodegenLLVM
import Scalars
import Targets
import TensorTypes
import TileIR

enum CeilingKernels {
  /// Elements of f32 that an instance moves.
  static let block = 1 << 14

  /// out0 ... = x0 + x1 + ..., or with nothing written the sums of blocks. Arguments: the elements of a stream.
  static func stream(_ mix: MachineCard.Mix, pastCaches: Bool) -> Kernel {
    var b = KernelBuilder(name: "ceiling_r\(mix.read)w\(mix.written)\(pastCaches ? "" : "_cached")")
    let n = b.argument("n")
    let one = b.index(1)
    let grid = b.index(.floorDivide, n, block)
    let sources = (0..<mix.read).map { b.buffer("x\($0)", .f32, [n], strides: [one], role: .input) }
    let targets = (0..<mix.written).map { b.buffer("y\($0)", .f32, [n], strides: [one], role: .output) }
    let sums = mix.written == 0 ? b.buffer("sums", .f32, [grid], strides: [one], role: .output) : nil
    b.phase([grid]) { b, id in
      let start = b.index(.multiply, id[0], block)
      let shape: [Extent] = [.constant(block)]
      let at = [AxisMap(start, tileAxis: 0)]
      var total = mix.read == 0 ? b.splat(ScalarConstant(.f32, 1), shape) : nil
      for source in sources {
        let x = b.load(Access(source, at), shape)
        total = total.map { b.map(.add, [$0, x]) } ?? x
      }
      guard let total else { return }
      for target in targets { b.store(Access(target, at), total, pastCaches ? .streaming : .plain) }
      if let sums { b.store(Access(sums, [AxisMap(id[0], tileAxis: 0)]), b.reduce(.sum, [0], total)) }
    }
    return b.finish()
  }

  /// Each of `threads` instances sums its own part of x again and again. Arguments: elements of a part, rounds.
  static func resident(threads: Int) -> Kernel {
    var b = KernelBuilder(name: "ceiling_resident\(threads)")
    let (n, rounds) = (b.argument("n"), b.argument("rounds"))
    let one = b.index(1)
    let count = b.index(threads)
    let x = b.buffer("x", .f32, [b.index(.multiply, n, threads)], strides: [one], role: .input)
    let y = b.buffer("y", .f32, [b.index(threads)], strides: [one], role: .output)
    b.phase([count]) { b, id in
      let zero = b.splat(ScalarConstant(.f32, 0), [.constant(1)])
      let start = b.index(.multiply, id[0], n)
      let sums = b.loop(rounds, [zero]) { b, counter, carried in
        // The place moves a little, so that no compiler may read once for all rounds.
        let shift = b.index(.multiply, b.index(.modulo, counter, 2), 16)
        let at = b.index(.add, start, shift)
        let part = b.load(
          Access(x, [AxisMap(at, tileAxis: 0)]), [.value(b.index(.subtract, n, 16))])
        return [b.map(.add, [carried[0], b.reduce(.sum, [0], part)])]
      }
      b.store(Access(y, [AxisMap(id[0], tileAxis: 0)]), sums[0])
    }
    return b.finish()
  }

  /// Vectors of sums that are in flight: the latency of a multiply-add times two units, with room.
  private static let chains = 24

  /// Multiply-adds in registers. Argument: rounds. Gives the operations of one round of one instance.
  static func multiplyAdd(_ target: TargetDescription, threads: Int) -> (kernel: Kernel, operations: Int) {
    var b = KernelBuilder(name: "ceiling_fma\(threads)")
    let rounds = b.argument("rounds")
    let lanes = target.lanes
    let y = b.buffer("y", .f32, [b.index(threads * lanes * 4)], strides: [b.index(1)], role: .output)
    let grid = b.index(threads)
    b.phase([grid]) { b, id in
      let shape: [Extent] = [.constant(lanes * 4)]
      let x = b.splat(ScalarConstant(.f32, 0.999), shape)
      let c = b.splat(ScalarConstant(.f32, 0.001), shape)
      let starts = (0..<chains / 4).map { b.splat(ScalarConstant(.f32, Double($0)), shape) }
      let sums = b.loop(rounds, starts) { b, _, carried in carried.map { b.map(.multiplyAdd, [$0, x, c]) } }
      var total = sums[0]
      for sum in sums.dropFirst() { total = b.map(.add, [total, sum]) }
      b.store(Access(y, [AxisMap(b.index(.multiply, id[0], lanes * 4), tileAxis: 0)]), total)
    }
    return (b.finish(), 2 * lanes * chains)
  }

  /// A product that the processor does several at a time in one 512-bit instruction.
  enum WideProduct: Sendable {
    case bf16, int8

    var feature: String {
      switch self {
      case .bf16: "avx512bf16"
      case .int8: "avx512vnni"
      }
    }
    /// Products in one instruction.
    var products: Int {
      switch self {
      case .bf16: 32
      case .int8: 64
      }
    }
    fileprivate var intrinsic: String {
      switch self {
      case .bf16: "llvm.x86.avx512bf16.dpbf16ps.512"
      case .int8: "llvm.x86.avx512.vpdpbusd.512"
      }
    }
    fileprivate var sums: String {
      switch self {
      case .bf16: "<16 x float>"
      case .int8: "<16 x i32>"
      }
    }
    fileprivate var factors: String {
      switch self {
      case .bf16: "<32 x bfloat>"
      case .int8: "<16 x i32>"
      }
    }
  }

  /// As `multiplyAdd`, with a kernel whose code is LLVM IR; nil where the processor has no such instruction.
  static func product(
    _ product: WideProduct, _ target: TargetDescription, threads: Int
  ) -> (kernel: Kernel, code: String, operations: Int)? {
    guard target.features.contains(product.feature) else { return nil }
    var b = KernelBuilder(name: "ceiling_\(product)_\(threads)")
    _ = b.argument("rounds")
    let lanes = 16
    let one = b.index(1)
    _ = b.buffer("x", .f32, [b.index(lanes)], strides: [one], role: .input)
    let y = b.buffer("y", .f32, [b.index(threads * lanes)], strides: [one], role: .output)
    let grid = b.index(threads)
    // The body only declares what is written; the code is below.
    b.phase([grid]) { b, id in
      let start = b.index(.multiply, id[0], lanes)
      b.store(Access(y, [AxisMap(start, tileAxis: 0)]), b.splat(ScalarConstant(.f32, 0), [.constant(lanes)]))
    }
    return (b.finish(), code(product, target, threads), 2 * product.products * chains)
  }

  private static func code(_ product: WideProduct, _ target: TargetDescription, _ threads: Int) -> String {
    let name = "k_ceiling_\(product)_\(threads)"
    let (sums, factors) = (product.sums, product.factors)
    var lines = [
      "target triple = \"\(target.triple)\"",
      "declare \(sums) @\(product.intrinsic)(\(sums), \(factors), \(factors))",
      "define i64 @\(name)_arena(ptr %words) { ret i64 0 }",
      "define void @\(name)_p0(ptr %buffers, ptr %words, i64 %begin, i64 %end, ptr %arena, ptr %fault) #0 {",
      "entry:", "  %rounds = load i64, ptr %words", "  %x = load ptr, ptr %buffers",
      "  %place = getelementptr ptr, ptr %buffers, i64 1", "  %y = load ptr, ptr %place",
      "  %f = load \(factors), ptr %x, align 4", "  br label %instance",
      "instance:", "  %id = phi i64 [ %begin, %entry ], [ %next, %done ]", "  br label %round",
      "round:", "  %i = phi i64 [ 0, %instance ], [ %more, %round ]",
    ]
    for k in 0..<chains { lines.append("  %a\(k) = phi \(sums) [ zeroinitializer, %instance ], [ %b\(k), %round ]") }
    for k in 0..<chains {
      lines.append(
        "  %b\(k) = call \(sums) @\(product.intrinsic)(\(sums) %a\(k), \(factors) %f, \(factors) %f)")
    }
    lines += [
      "  %more = add i64 %i, 1", "  %again = icmp ult i64 %more, %rounds", "  br i1 %again, label %round, label %done",
      "done:",
    ]
    let add = product == .bf16 ? "fadd" : "add"
    for k in 1..<chains {
      lines.append("  %s\(k) = \(add) \(sums) \(k == 1 ? "%b0" : "%s\(k - 1)"), %b\(k)")
    }
    lines += [
      "  %offset = mul i64 %id, 64", "  %out = getelementptr i8, ptr %y, i64 %offset",
      "  store \(sums) %s\(chains - 1), ptr %out, align 4", "  %next = add i64 %id, 1",
      "  %left = icmp ult i64 %next, %end", "  br i1 %left, label %instance, label %end_of_phase",
      "end_of_phase:", "  ret void", "}",
      "attributes #0 = { nounwind \"target-cpu\"=\"\(target.processor)\" \"target-features\"=\"\(target.featureList)\" }",
    ]
    return lines.joined(separator: "\n") + "\n"
  }
}
