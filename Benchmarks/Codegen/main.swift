// Speed of generated kernels against this machine's ceilings, measured in the same run, turn by turn.
// Not a test: figures wander on shared machines, ratios less. Surprise: the ceilings are tile kernels too.
//
//   CodegenBenchmark [rows|product|attention|compile] [threads]
import Basics
import CodegenLLVM
import DriverCPU
import Foundation
import Scalars
import Targets
import TensorTypes
import TileIR

let what = CommandLine.arguments.dropFirst().first ?? "all"
let threads = CommandLine.arguments.dropFirst(2).first.flatMap { Int($0) } ?? 1
let target = CommandLine.arguments.dropFirst(3).first.flatMap { TargetDescription.preset($0) } ?? .host

func measureProducts() throws {
  let peak = try Runner(fmaPeakKernel(target), target)
  let flopsOfPeak = 2.0 * 2 * 24 * Double(target.lanes) * 1_000_000
  for size in [1024, 2048, 1000, 512] {
    let product = try Runner(productKernel(target, gelu: false), target)
    let fused = try Runner(productKernel(target, gelu: true), target)
    let n = size * size
    let a = floats(n, 1), b = floats(n, 2), c = floats(n, 3), bias = floats(size, 4)
    let sink = floats(4096, 5)
    var times: [[Double]] = [[], [], []]
    for _ in 0..<(size > 1500 ? 5 : 15) {
      times[0].append(peak.run([sink], [1_000_000], threads: threads))
      times[1].append(product.run([a, b, bias, c], [size, size, size], threads: threads))
      times[2].append(fused.run([a, b, bias, c], [size, size, size], threads: threads))
    }
    let ceiling = flopsOfPeak / median(times[0])
    let flops = 2 * pow(Double(size), 3)
    for (name, t) in [("product", times[1]), ("product+bias+gelu", times[2])] {
      print(
        "\(name) \(size): \(rounded(flops / median(t) / 1e9)) GFLOP/s, \(rounded(100 * flops / median(t) / ceiling)) % of "
          + "the FMA peak (best \(rounded(100 * flops / t.min()! / (flopsOfPeak / times[0].min()!)))), peak \(rounded(ceiling / 1e9)); compile \(rounded((name == "product" ? product : fused).compileSeconds * 1e3)) ms"
      )
    }
    for p in [a, b, c, bias, sink] { p.deallocate() }
  }
}

func measureRows() throws {
  let copy = try Runner(pointwiseKernel(copyOnly: true), target)
  let gelu = try Runner(pointwiseKernel(copyOnly: false), target)
  let narrow = try Runner(pointwiseKernel(copyOnly: false, rows: 16, columns: 1024), target)
  let softmax = try Runner(softmaxKernel(), target)
  let norm = try Runner(layerNormKernel(), target)
  let columns = try Runner(columnSumKernel(), target)
  for (m, n) in [(8192, 4096), (32768, 1024), (8191, 4093), (512, 1024)] {
    let x = floats(m * n, 1), w = floats(n, 2), b = floats(n, 3), y = floats(m * n, 4)
    var times: [[Double]] = [[], [], [], [], [], []]
    for _ in 0..<9 {
      times[0].append(copy.run([x, w, b, y], [m, n], threads: threads))
      times[1].append(gelu.run([x, w, b, y], [m, n], threads: threads))
      times[5].append(narrow.run([x, w, b, y], [m, n], threads: threads))
      times[2].append(softmax.run([x, y], [m, n], threads: threads))
      times[3].append(norm.run([x, w, b, y], [m, n], threads: threads))
      times[4].append(columns.run([x, y], [m, n], threads: threads))
    }
    let bytes = Double(m * n * 8)
    func rate(_ t: [Double], _ bytes: Double) -> String { "\(rounded(bytes / median(t) / 1e9)) GB/s" }
    print(
      "\(m)x\(n): copy \(rate(times[0], bytes)); gelu \(rate(times[1], bytes)) = \(rounded(100 * median(times[0]) / median(times[1]))) % (blocks 16x1024: \(rate(times[5], bytes)));"
        + " softmax \(rate(times[2], bytes)) = \(rounded(100 * median(times[0]) / median(times[2]))) %;"
        + " layernorm \(rate(times[3], bytes)) = \(rounded(100 * median(times[0]) / median(times[3]))) %;"
        + " column sums \(rate(times[4], bytes / 2))")
    for p in [x, w, b, y] { p.deallocate() }
  }
  for r in [copy, gelu, softmax, norm, columns] {
    print("compile \(r.name): \(rounded(r.compileSeconds * 1e3)) ms, \(r.objectBytes) bytes")
  }
}

if what == "product" || what == "all" { try measureProducts() }
if what == "rows" || what == "all" { try measureRows() }
if what == "attention" { try measureAttention() }
if what == "dump" {
  let kernel =
    switch CommandLine.arguments[4] {
    case "softmax": softmaxKernel()
    case "gelu": pointwiseKernel(copyOnly: false)
    case "columns": columnSumKernel()
    case "norm": layerNormKernel()
    case "peak": fmaPeakKernel(target)
    case "attention":
      try attentionKernel(attentionGraph(heads: 12, shared: 1, queries: nil, width: 64, isCausal: true), target)
    case "full":
      try attentionKernel(attentionGraph(heads: 12, shared: 1, queries: nil, width: 64, isCausal: false), target)
    case "decode":
      try attentionKernel(attentionGraph(heads: 3, shared: 3, queries: 1, width: 64, isCausal: false), target)
    default: productKernel(target, gelu: true)
    }
  print(
    try CommandLine.arguments.count > 5
      ? LLVMCompiler.llvmIR(kernel, for: target) : LLVMCompiler.assembly(kernel, for: target))
}
// CodegenBenchmark run THREADS FILE.tile ARGUMENT...: random bytes in the inputs; bytes of all buffers over the time.
if what == "run" {
  let kernel = try Kernel(text: String(contentsOfFile: CommandLine.arguments[3], encoding: .utf8))
  let values = CommandLine.arguments.dropFirst(4).compactMap { Int($0) }
  if values.isEmpty { print(try LLVMCompiler.assembly(kernel, for: .host)) }
  let runner = try Runner(kernel, .host)
  var total = 0
  let buffers = kernel.buffers.filter { $0.role != .scratch }.map { buffer in
    let count = buffer.shape.reduce(1) { $0 * (kernel.evaluatedIndex($1, arguments: values) ?? 1) }
    total += count * buffer.dtype.size
    return floats(count * buffer.dtype.size / 4 + 64, 3)
  }
  let times = (0..<200).map { _ in runner.run(buffers, values, threads: threads) }
  print(
    "\(kernel.name): \(rounded(median(times) * 1e6)) us (best \(rounded(times.min()! * 1e6))), "
      + "\(rounded(Double(total) / median(times) / 1e9)) GB/s, compile \(rounded(runner.compileSeconds * 1e3)) ms")
}
if what == "compile" {
  for _ in 0..<30 { _ = try LLVMCompiler.compile(productKernel(target, gelu: true), for: target) }
}
