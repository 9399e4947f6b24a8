// Attention as Fusion tiles it: many queries against the FMA peak, one query against reading as many bytes.
// Surprise: flops of exponentials are not counted, and a causal attention counts only the half that it needs.
import CodegenLLVM
import Foundation
import Fusion
import GraphIR
import Scalars
import Targets
import TensorTypes
import TileIR

/// [key heads, query heads of one, queries, width] over a cache [keys, key heads, width].
func attentionGraph(heads: Int, shared: Int, queries: Int?, width: Int, isCausal: Bool) throws -> Graph {
  var b = GraphBuilder(name: "attention")
  let (t, s) = (queries.map { Dim($0) } ?? b.extent("t"), b.extent("s"))
  let (n, g, d) = (Dim(heads), Dim(shared), Dim(width))
  let q = b.parameter("q", TensorType(.f32, [n, g, t, d]))
  let keys = b.parameter("k", TensorType(.f32, [s, n, d]))
  let values = b.parameter("v", TensorType(.f32, [s, n, d]))
  let k = try b.append(.permute([1, 0, 2]), keys)
  let v = try b.append(.permute([1, 0, 2]), values)
  let shape: Shape = [n, g, t, s]
  let scores = try b.append(.contraction(ContractionAxes(batch: [.init(0, 0)], contracted: [.init(3, 2)])), q, k)
  let scale = try b.filled(ScalarConstant(.f32, 1 / Double(width).squareRoot()), shape)
  var x = try b.append(.multiply, scores, scale)
  if isCausal {
    let seen = try b.append(.lessOrEqual, b.append(.iota(axis: 3, shape)), b.append(.iota(axis: 2, shape)))
    x = try b.append(.select, seen, x, b.filled(ScalarConstant(.f32, -.infinity), shape))
  }
  let top = try b.append(.reduce(.maximum, axes: [3]), x)
  let e = try b.append(.exp, b.append(.subtract, x, b.restoring(top, [3], shape)))
  let sum = try b.append(.reduce(.sum, axes: [3]), e)
  let p = try b.append(.divide, e, b.restoring(sum, [3], shape))
  let y = try b.append(.contraction(ContractionAxes(batch: [.init(0, 0)], contracted: [.init(3, 1)])), p, v)
  return b.finish([y])
}

func attentionKernel(_ graph: Graph, _ target: TargetDescription) throws -> Kernel {
  try Fuser.schedule(graph, SchedulingContext(target: target)).steps[0].kernel
}

/// Reads `n` floats in blocks of 4096.
func readKernel() -> Kernel {
  var b = KernelBuilder(name: "read")
  let n = b.argument("n")
  let x = b.contiguous("x", [n], .input)
  let blocks = b.index(.floorDivide, n, 2048)
  let y = b.contiguous("y", [blocks], .output)
  b.phase([blocks]) { b, id in
    let start = b.index(.multiply, id[0], 2048)
    let v = b.load(Access(x, [AxisMap(start, tileAxis: 0)]), [.constant(2048)])
    b.store(Access(y, [AxisMap(id[0])]), b.reduce(.sum, [0], v))
  }
  return b.finish()
}

func measureAttention() throws {
  let peak = try Runner(fmaPeakKernel(target), target)
  let flopsOfPeak = 2.0 * 2 * 24 * Double(target.lanes) * 1_000_000
  let (h, d) = (12, 64)
  for t in [128, 512, 2048] {
    let full = try Runner(
      attentionKernel(attentionGraph(heads: h, shared: 1, queries: nil, width: d, isCausal: false), target), target)
    let causal = try Runner(
      attentionKernel(attentionGraph(heads: h, shared: 1, queries: nil, width: d, isCausal: true), target), target)
    let buffers = (0..<4).map { floats(h * t * d, UInt64($0)) }
    let sink = floats(4096, 5)
    var times: [[Double]] = [[], [], []]
    for _ in 0..<(t > 1000 ? 7 : 25) {
      times[0].append(peak.run([sink], [1_000_000], threads: threads))
      times[1].append(full.run(buffers, [t, t], threads: threads))
      times[2].append(causal.run(buffers, [t, t], threads: threads))
    }
    let flops = 4 * Double(h * t * t * d)
    for (name, time, flops) in [("full", times[1], flops), ("causal", times[2], flops / 2)] {
      let share = 100 * flops / median(time) / (flopsOfPeak / median(times[0]))
      let best = 100 * flops / time.min()! / (flopsOfPeak / times[0].min()!)
      print(
        "attention \(name) T \(t) D \(d) H \(h): \(rounded(median(time) * 1e3)) ms, "
          + "\(rounded(flops / median(time) / 1e9)) GFLOP/s, \(rounded(share)) % of the FMA peak (best \(rounded(best)))"
      )
    }
    for p in buffers + [sink] { p.deallocate() }
    if t == 2048 {
      print("compile \(rounded(full.compileSeconds * 1e3)) ms, \(rounded(causal.compileSeconds * 1e3)) ms")
    }
  }
  let (groups, shared) = (3, 3)
  let read = try Runner(readKernel(), target)
  let once = try Runner(
    attentionKernel(attentionGraph(heads: groups, shared: shared, queries: 1, width: d, isCausal: false), target),
    target)
  for t in [16, 64, 256, 1024, 4096, 65536] {
    let count = groups * t * d
    // Keys and values are neighbours, as one memory to read.
    let cache = floats(2 * count, 1), q = floats(groups * shared * d, 2), y = floats(groups * shared * d, 3)
    let sums = floats(2 * count / 2048 + 16, 4)
    var times: [[Double]] = [[], []]
    for _ in 0..<(t > 10000 ? 15 : 200) {
      times[0].append(read.run([cache, sums], [2 * count], threads: threads))
      times[1].append(once.run([q, cache, cache + count, y], [t], threads: threads))
    }
    let bytes = Double(2 * count * 4)
    print(
      "one query, \(groups * shared) heads of \(groups), \(t) keys: \(rounded(median(times[1]) * 1e6)) us, "
        + "\(rounded(bytes / median(times[1]) / 1e9)) GB/s, reading alone \(rounded(bytes / median(times[0]) / 1e9)) GB/s "
        + "= \(rounded(100 * median(times[0]) / median(times[1]))) % "
        + "(best \(rounded(100 * times[0].min()! / times[1].min()!)))")
    for p in [cache, q, y, sums] { p.deallocate() }
  }
  print("compile \(rounded(once.compileSeconds * 1e3)) ms")
}
