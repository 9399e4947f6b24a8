// Reports: verdicts from a known machine card, JSON, the page as a browser shows it.
// Surprise: the browser's tests are skipped where no Chromium is installed (scripts/setup browser installs it).
import Basics
import Capture
@testable import Engine
import Foundation
import Targets
import Tensors
import Testing

@testable import Formats
@testable import Insight

enum Sample {
  /// 50 GB/s from memory, 500 GB/s from a last cache of 32 MB, 500 Gflop/s.
  static let card = MachineCard(
    processor: "sample", threads: 2, read: 50e9, copy: 45e9, mixes: [.init(read: 1, written: 1): 50e9], level2: 1000e9,
    level3: 500e9, level3Bytes: 32_000_000, f32: 500e9, bf16: 1000e9, int8: nil)

  static let kernels = [
    Report.Kernel(
      "gelu<&>", operations: ["multiply", "add ×2", "tanh"],
      refusals: [.init("add", reason: "is read in another order by its consumer", bytes: 67_108_864)],
      flops: 200_000_000, read: 50_000_000, written: 50_000_000, eagerBytes: 300_000_000, seconds: 4e-3,
      place: "Model.swift:12"),
    Report.Kernel(
      "product", operations: ["contraction"], flops: 10_000_000_000, read: 20_000_000, written: 20_000_000,
      seconds: 40e-3, sources: [0]),
    Report.Kernel("tiny", operations: ["add"], flops: 100, read: 800, written: 400, seconds: 3e-6, sources: [0, 1]),
  ]

  static var report: Report {
    var report = Report(
      "sample <program>", mode: "compiled",
      segments: [.init("one", kernels: kernels), .init("two", kernels: [kernels[2], kernels[2]])],
      guards: [.init("x.shape[0] >= 2", cause: "Model.swift:20", seconds: 3e-8)],
      breaks: [
        .init(
          "item", reason: "a value is read", place: "Model.swift:31", suggestion: "use select",
          values: ["true", "false"])
      ], recompiles: [.init("axis 0 of argument 1 changed", place: "main.swift:3", seconds: 0.2)],
      notes: ["1 copy of 4 kB"], card: card)
    (report.eagerKernels, report.eagerBytes) = (9, 900_000_000)
    (report.seconds, report.compileSeconds) = (45e-3, 0.4)
    (report.plannedPeak, report.measuredPeak) = (1 << 20, 1 << 20)
    return report
  }
}

@Suite struct ReportTests {
  @Test func verdicts_follow_from_bytes_flops_and_the_card() throws {
    let card = Sample.card
    #expect(Sample.kernels.map { card.bound($0) } == [.bandwidth, .compute, .overhead])
    // 100 MB at 50 GB/s; 10 Gflop at 500 Gflop/s.
    #expect(Sample.kernels.prefix(2).map { card.seconds($0) } == [2e-3, 20e-3])
    #expect(Sample.kernels.prefix(2).map { card.share($0) } == [0.5, 0.5])
  }

  @Test func what_fits_half_the_last_cache_is_held_against_it() {
    let kernel = Report.Kernel("k", flops: 0, read: 10_000_000, written: 5_000_000)
    #expect(Sample.card.seconds(kernel) == 15e6 / 500e9)
    #expect(Sample.card.share(kernel) == nil)
  }

  @Test func the_verdict_names_what_most_of_the_time_is_bound_by() {
    let text = Sample.report.verdict
    #expect(text.contains("5 kernels") && text.contains("instead of 9"))
    #expect(text.contains("bound by compute"))
  }

  @Test func json_says_what_the_report_says() throws {
    let report = Sample.report
    let json = try JSON(parsing: "\(report.json)")
    let kernels = (json["segments"]?.array ?? []).flatMap { $0["kernels"]?.array ?? [] }
    #expect(kernels.map { $0["name"]?.string } == report.kernels.map(\.name))
    #expect(kernels.map { $0["read"]?.int } == report.kernels.map(\.read))
    #expect(kernels.map { $0["bound"]?.string } == report.kernels.map { Sample.card.bound($0).rawValue })
    #expect(kernels.map { $0["sources"]?.array?.compactMap(\.int) } == report.kernels.map(\.sources))
    #expect(kernels[0]["refusals"]?.array?.first?["bytes"]?.int == 67_108_864)
    #expect(json["guards"]?.array?.first?["seconds"]?.double == 3e-8)
    #expect(json["breaks"]?.array?.first?["values"]?.array?.compactMap(\.string) == ["true", "false"])
    #expect(json["recompiles"]?.array?.first?["place"]?.string == "main.swift:3")
    #expect(json["notes"]?.array?.compactMap(\.string) == report.notes)
    #expect(json["eager_kernels"]?.int == 9 && json["bytes"]?.int == report.bytes)
    #expect(json["card"].flatMap { MachineCard(json: $0) } == Sample.card)
  }

  @Test func lines_put_equal_kernels_together() {
    let lines = Sample.report.lines
    #expect(lines.filter { $0.hasPrefix("tiny") }.count == 1)
    #expect(lines.contains { $0.hasPrefix("tiny") && $0.contains(" 3 ") })
    #expect(lines.contains { $0.contains("add: is read in another order") })
  }

  @Test func arrows_go_from_the_last_writer_to_its_readers() {
    func record(_ name: String, reads: [UInt], writes: [UInt]) -> LaunchRecord {
      LaunchRecord(kernel: name, reads: reads, writes: writes)
    }
    let launches = [
      record("a", reads: [1], writes: [2]), record("b", reads: [2], writes: [3]),
      record("c", reads: [2, 3], writes: [2]),
      record("d", reads: [2, 2], writes: [4]),
    ]
    #expect(Report.kernels(launches, .f32).map(\.sources) == [[], [0], [0, 1], [2]])
  }

  @Test func equal_refusals_are_one_with_their_bytes_added() {
    func refused(_ bytes: Int, _ operation: String = "reshape") -> RefusedFusion {
      RefusedFusion(operation: operation, reason: "r", bytes: bytes)
    }
    #expect(
      Report.together([refused(1), refused(2), refused(3, "add"), refused(4)]) == [
        .init("reshape ×3", reason: "r", bytes: 7), .init("add", reason: "r", bytes: 3),
      ])
  }

  @Test func equal_layers_refusals_are_one_line_and_the_most_bytes_come_first() {
    func kernel(_ name: String, _ what: String, _ bytes: Int) -> Report.Kernel {
      .init(name, refusals: [.init(what, reason: "r", bytes: bytes)], flops: 0, read: 0, written: 0)
    }
    let kernels = [kernel("rows", "add", 100), kernel("product", "exp", 3000), kernel("rows", "add", 100)]
    let lines = Report("layers", mode: "compiled", segments: [.init("one", kernels: kernels)]).lines
    #expect(lines.suffix(3) == ["not put together", "  product: exp: r, 3.0 kB", "  rows: add: r, 2 times, 200 B"])
  }

  @Test func the_page_fetches_nothing_and_escapes_names() {
    let html = Sample.report.html
    #expect(
      !html.contains("http://") || html.replacing("http://www.w3.org/2000/svg", with: "").contains("http") == false)
    #expect(!html.contains("<script") && !html.contains("src="))
    #expect(html.contains("gelu&lt;&amp;&gt;") && !html.contains("gelu<"))
  }

  @Test func breaks_and_recompiles_of_a_compiled_function_are_told() throws {
    let function = compile { (x: Tensor, scale: Int) in
      if try (x.sum() > 3).item(as: Bool.self) { return x * Float(scale) }
      return x
    }
    for scale in [2, 3] { _ = try function(Tensor.ones(4), scale) }
    let report = Report("test", mode: "compiled", segments: []).adding(function.explain())
    #expect(report.breaks.contains { $0.place.contains("ReportTests.swift") && $0.suggestion.contains("select") })
    #expect(report.recompiles.count == 1)
    #expect(report.recompiles.allSatisfy { $0.place.contains("ReportTests.swift") && $0.seconds > 0 })
    #expect(report.html.contains("ReportTests.swift"))
  }

  @Test func a_report_without_a_card_says_what_to_do() {
    var report = Sample.report
    report.card = nil
    #expect(report.html.contains("azulejo calibrate"))
    #expect(!report.html.contains("id=\"roofline\""))
  }

  @Test func a_long_program_is_cut_and_says_so() {
    let many = (0..<300).map { Report.Kernel("k\($0)", flops: 1, read: 4, written: 4, sources: $0 > 0 ? [$0 - 1] : []) }
    let picture = GraphPicture(.init("long", kernels: many), card: nil).svg
    #expect(picture.contains("60 kernels more, not drawn"))
    #expect(picture.components(separatedBy: "class=\"node\"").count - 1 == GraphPicture.longest)
    #expect(picture.components(separatedBy: "class=\"arrow\"").count - 1 == GraphPicture.longest - 1)
  }

  @Test func a_source_that_does_not_come_before_draws_no_arrow() {
    let kernels = [Report.Kernel("k", flops: 1, read: 4, written: 4, sources: [0, 5, -1])]
    #expect(!GraphPicture(.init("odd", kernels: kernels), card: nil).svg.contains("class=\"arrow\""))
  }
}

/// A headless browser, if this machine has one.
enum Browser {
  static let path = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }
  static let isThere = path != nil

  static func run(_ folder: URL, _ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(filePath: try #require(path))
    process.arguments =
      [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        "--force-device-scale-factor=1", "--user-data-dir=\(folder.path)/profile",
      ] + arguments
    let output = folder.appending(path: "output.txt")
    try Data().write(to: output)
    process.standardOutput = try FileHandle(forWritingTo: output)
    process.standardError = FileHandle.nullDevice
    process.standardInput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    return String(decoding: try Data(contentsOf: output), as: UTF8.self)
  }
}

@Suite(.enabled(if: Browser.isThere)) struct ReportPageTests {
  private static func inFolder(_ body: (URL, URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "report-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let page = folder.appending(path: "report.html")
    try Data(Sample.report.html.utf8).write(to: page)
    try body(folder, page)
  }

  @Test func the_document_has_every_kernel_guard_and_break() throws {
    try Self.inFolder { folder, page in
      let document = try Browser.run(folder, ["--dump-dom", page.absoluteString])
      func section(_ id: String) -> Substring {
        guard let start = document.range(of: "id=\"\(id)\""),
          let end = document.range(of: "</table>", range: start.upperBound..<document.endIndex)
        else { return "" }
        return document[start.upperBound..<end.lowerBound]
      }
      // A head and five kernels; a head and one of each of the others.
      #expect(section("kernels").components(separatedBy: "<tr>").count - 1 == 6)
      for id in ["guards", "breaks", "recompiles", "notes"] {
        #expect(section(id).components(separatedBy: "<tr>").count - 1 == 2, "\(id)")
      }
      #expect(section("kernels").contains("gelu&lt;&amp;&gt;") && section("kernels").contains("Model.swift:12"))
      #expect(document.components(separatedBy: "class=\"kernel\"").count - 1 == 5)
      #expect(document.components(separatedBy: "class=\"node\"").count - 1 == 5)
      #expect(document.components(separatedBy: "class=\"arrow\"").count - 1 == 4)
    }
  }

  @Test func the_screenshot_shows_the_roofline_in_its_colours() throws {
    try Self.inFolder { folder, page in
      let file = folder.appending(path: "page.png")
      _ = try Browser.run(
        folder, ["--screenshot=\(file.path)", "--window-size=1200,1600", page.absoluteString])
      let picture = try PNGPicture([UInt8](Data(contentsOf: file)))
      #expect(picture.width == 1200 && picture.height == 1600)
      func count(_ red: Int, _ green: Int, _ blue: Int) -> Int {
        picture.pixels.count { abs($0.0 - red) + abs($0.1 - green) + abs($0.2 - blue) <= 6 }
      }
      // Paper, the memory roof, the arithmetic roof, text.
      #expect(count(255, 255, 255) > 200_000)
      #expect(count(0x1f, 0x6f, 0xeb) > 500)
      #expect(count(0xd1, 0x24, 0x2f) > 500)
      #expect(count(0x1c, 0x27, 0x33) > 200)
      // Not one colour: a failed page is blank.
      #expect(Set(picture.pixels.map { $0.0 << 16 | $0.1 << 8 | $0.2 }).count > 50)
    }
  }
}

/// An 8-bit RGB or RGBA picture without interlacing, which is what browsers write.
struct PNGPicture {
  let width: Int
  let height: Int
  let pixels: [(Int, Int, Int)]

  init(_ bytes: [UInt8]) throws {
    try #require(bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]))
    func word(_ at: Int) -> Int { bytes[at..<at + 4].reduce(0) { $0 << 8 | Int($1) } }
    var position = 8
    var packed: [UInt8] = []
    var header: [UInt8] = []
    while position + 12 <= bytes.count {
      let count = word(position)
      let kind = String(decoding: bytes[position + 4..<position + 8], as: UTF8.self)
      let body = bytes[position + 8..<position + 8 + count]
      if kind == "IHDR" { header = Array(body) }
      if kind == "IDAT" { packed += body }
      position += 12 + count
    }
    try #require(header.count == 13 && header[8] == 8 && (header[9] == 2 || header[9] == 6) && header[12] == 0)
    width = header[0..<4].reduce(0) { $0 << 8 | Int($1) }
    height = header[4..<8].reduce(0) { $0 << 8 | Int($1) }
    let channels = header[9] == 2 ? 3 : 4
    let stride = width * channels
    var rows = [UInt8](repeating: 0, count: (stride + 1) * height)
    // A zlib stream: two bytes, raw deflate, four bytes.
    let problem = packed.withUnsafeBytes { source in
      rows.withUnsafeMutableBytes {
        Deflate.inflate(UnsafeRawBufferPointer(rebasing: source[2..<source.count - 4]), into: $0, isWhole: true)
      }
    }
    try #require(problem == nil)
    var above = [UInt8](repeating: 0, count: stride)
    var pixels: [(Int, Int, Int)] = []
    pixels.reserveCapacity(width * height)
    for y in 0..<height {
      let start = y * (stride + 1)
      let filter = rows[start]
      var line = Array(rows[start + 1...start + stride])
      for i in 0..<stride {
        let left = i >= channels ? Int(line[i - channels]) : 0
        let corner = i >= channels ? Int(above[i - channels]) : 0
        let top = Int(above[i])
        let guess: Int
        switch filter {
        case 1: guess = left
        case 2: guess = top
        case 3: guess = (left + top) / 2
        case 4:
          let sum = left + top - corner
          let (a, b, c) = (abs(sum - left), abs(sum - top), abs(sum - corner))
          guess = a <= b && a <= c ? left : b <= c ? top : corner
        case _: guess = 0
        }
        line[i] = line[i] &+ UInt8(truncatingIfNeeded: guess)
      }
      for x in 0..<width {
        pixels.append((Int(line[x * channels]), Int(line[x * channels + 1]), Int(line[x * channels + 2])))
      }
      above = line
    }
    self.pixels = pixels
  }
}
