// A report as one self-contained page: styles and pictures inside, nothing fetched, no script.
// Surprise: it is read by people and by tests; every table has an id and every verdict a class.
import Targets

extension Report {
  /// The page, complete.
  package var html: String {
    var parts = [
      "<!DOCTYPE html>", "<html lang=\"en\"><head><meta charset=\"utf-8\">", "<title>\(escaped(title))</title>",
      "<style>\(Self.style)</style></head><body>", "<h1>\(escaped(title)) <small>\(escaped(mode))</small></h1>",
      "<p id=\"verdict\">\(escaped(verdict))</p>", summary,
    ]
    if let card {
      parts += ["<h2>Roofline</h2>", RooflinePlot(kernels: kernels, card: card).svg]
    } else {
      parts.append("<p>This machine is not calibrated: run <code>azulejo calibrate</code> for shares and verdicts.</p>")
    }
    parts += ["<h2>Kernels</h2>", kernelTable]
    for segment in segments where !segment.kernels.isEmpty {
      parts += ["<h2>Graph: \(escaped(segment.name))</h2>", GraphPicture(segment, card: card).svg]
    }
    parts += [
      section(
        "Guards", "guards", ["condition", "cause", "check"],
        guards.map {
          [$0.condition, $0.cause, $0.seconds.map { Quantity.seconds($0) } ?? ""]
        }),
      section(
        "Breaks", "breaks", ["id", "where", "why", "suggestion", "values"],
        breaks.map {
          [$0.id, $0.place, $0.reason, $0.suggestion, $0.values.joined(separator: ", ")]
        }),
      section(
        "Recompiles", "recompiles", ["why", "where", "time"],
        recompiles.map {
          [$0.reason, $0.place, Quantity.seconds($0.seconds)]
        }), section("Notes", "notes", ["note"], notes.map { [$0] }),
    ]
    parts.append("</body></html>")
    return parts.joined(separator: "\n") + "\n"
  }

  /// One sentence: how many kernels and bytes, and what limits most of the time.
  package var verdict: String {
    var text = "\(Quantity.count(kernels.count, "kernel")), \(Quantity.bytes(bytes))"
    if let eagerBytes, let eagerKernels {
      text += " instead of \(eagerKernels) and \(Quantity.bytes(eagerBytes))"
    }
    guard let card else { return text }
    var spent: [Bound: Double] = [:]
    for kernel in kernels { spent[card.bound(kernel), default: 0] += kernel.seconds ?? card.seconds(kernel) }
    let total = spent.values.reduce(0, +)
    if total > 0, let most = Bound.allCases.max(by: { spent[$0, default: 0] < spent[$1, default: 0] }) {
      text += "; \(Quantity.percent(spent[most, default: 0] / total)) of the time is bound by \(most.rawValue)"
    }
    if let seconds {
      let least = kernels.reduce(0) { $0 + card.seconds($1) }
      text += "; \(Quantity.percent(least / seconds)) of this machine's ceiling"
    }
    return text
  }

  private var summary: String {
    var rows = [
      ["kernels", "\(kernels.count)", eagerKernels.map { "\($0)" } ?? ""],
      ["bytes", Quantity.bytes(bytes), eagerBytes.map { Quantity.bytes($0) } ?? ""],
      ["floating operations", Quantity.operations(Double(flops)), ""],
    ]
    if let seconds { rows.append(["time of a call", Quantity.seconds(seconds), ""]) }
    if let compileSeconds { rows.append(["time to make the code", Quantity.seconds(compileSeconds), ""]) }
    if let plannedPeak {
      rows.append(["peak memory, planned", Quantity.bytes(plannedPeak), ""])
    }
    if let measuredPeak { rows.append(["peak memory, counted", Quantity.bytes(measuredPeak), ""]) }
    return Self.table("summary", ["", mode, "one by one"], rows.map { $0.map(escaped) })
  }

  private var kernelTable: String {
    let rows = kernels.enumerated().map { row(of: $1, number: $0) }
    var head = ["#", "kernel", "put together", "not put together, and why", "flops", "bytes"]
    if comparesKernels { head.append("one by one") }
    head += ["flops/byte", "time", "of the ceiling", "bound by"]
    return Self.table("kernels", head, rows)
  }

  /// Whether any kernel says what its operations move one by one.
  private var comparesKernels: Bool { kernels.contains { $0.eagerBytes != nil } }

  private func row(of kernel: Kernel, number: Int) -> [String] {
    let refused = kernel.refusals.map { refusal -> String in
      let text = "\(refusal.what): \(refusal.reason) (\(Quantity.bytes(refusal.bytes)))"
      return "<div class=\"refusal\">\(escaped(text))</div>"
    }
    var name = "<b>\(escaped(kernel.name))</b>"
    if let place = kernel.place { name += "<br><small>\(escaped(place))</small>" }
    var cells = ["\(number)", name, escaped(kernel.operations.joined(separator: " · ")), refused.joined()]
    cells.append(Quantity.operations(Double(kernel.flops)))
    cells.append(Quantity.bytes(kernel.bytes))
    if comparesKernels { cells.append(kernel.eagerBytes.map { Quantity.bytes($0) } ?? "") }
    cells.append(kernel.bytes > 0 ? Quantity.short(kernel.intensity) : "")
    cells.append(kernel.seconds.map { Quantity.seconds($0) } ?? "")
    cells.append(card?.share(kernel).map { Quantity.percent($0) } ?? "")
    let bound = card?.bound(kernel).rawValue
    cells.append(bound.map { "<span class=\"\($0)\">\($0)</span>" } ?? "")
    return cells
  }

  private func section(_ title: String, _ id: String, _ head: [String], _ rows: [[String]]) -> String {
    let body = rows.isEmpty ? "<p id=\"\(id)\">None.</p>" : Self.table(id, head, rows.map { $0.map(escaped) })
    return "<h2>\(title)</h2>\n\(body)"
  }

  private static func table(_ id: String, _ head: [String], _ rows: [[String]]) -> String {
    func line(_ cells: [String], _ tag: String) -> String {
      "<tr>" + cells.map { "<\(tag)>\($0)</\(tag)>" }.joined() + "</tr>"
    }
    let body = rows.map { line($0, "td") }.joined(separator: "\n")
    return "<table id=\"\(id)\"><thead>\(line(head, "th"))</thead>\n<tbody>\n\(body)\n</tbody></table>"
  }

  private static let style = """
    body { font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1160px; padding: 0 1em; color: #1c2733;
      background: #fff }
    h1 small { font-weight: normal; color: #5a6b7b } h2 { margin-top: 1.6em; border-bottom: 2px solid #1f6feb }
    table { border-collapse: collapse; font-size: 13px } th { text-align: left; background: #eef3fa }
    th, td { border: 1px solid #d4dde8; padding: 3px 8px; vertical-align: top }
    tbody tr:nth-child(even) { background: #f8fafc } svg { max-width: 100%; height: auto }
    #kernels td:nth-child(n+5) { white-space: nowrap; text-align: right }
    .refusal { color: #7a4a00 } .picture { overflow: auto; max-height: 900px; border: 1px solid #d4dde8 }
    #verdict { font-size: 16px } span.bandwidth { color: \(Bound.bandwidth.color) }
    span.compute { color: \(Bound.compute.color) } span.overhead { color: \(Bound.overhead.color) }
    """
}

extension Bound {
  /// In pictures and tables alike.
  var color: String {
    switch self {
    case .bandwidth: "#1f6feb"
    case .compute: "#d1242f"
    case .overhead: "#8250df"
    }
  }
}

/// Text for HTML and SVG.
func escaped(_ text: String) -> String {
  var result = ""
  for character in text {
    switch character {
    case "<": result += "&lt;"
    case ">": result += "&gt;"
    case "&": result += "&amp;"
    case "\"": result += "&quot;"
    case _: result.append(character)
    }
  }
  return result
}

/// Numbers with units, three digits.
enum Quantity {
  static func short(_ value: Double) -> String {
    guard value.isFinite else { return "∞" }
    if value == 0 { return "0" }
    let size = abs(value)
    let digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let rounded = (value * scale).rounded() / scale
    return digits == 0 ? Int(exactly: rounded).map(String.init) ?? "\(rounded)" : "\(rounded)"
  }

  private static func scaled(_ value: Double, _ units: [String]) -> String {
    var value = value
    var unit = 0
    while value >= 999.5, unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    return "\(short(value)) \(units[unit])"
  }

  static func bytes(_ count: Int) -> String { scaled(Double(count), ["B", "kB", "MB", "GB", "TB"]) }
  static func operations(_ count: Double) -> String {
    scaled(count, ["flop", "kflop", "Mflop", "Gflop", "Tflop", "Pflop"])
  }
  static func rate(_ perSecond: Double) -> String {
    scaled(perSecond, ["flop/s", "kflop/s", "Mflop/s", "Gflop/s", "Tflop/s"])
  }
  static func seconds(_ value: Double) -> String { scaled(value * 1e9, ["ns", "µs", "ms", "s"]) }
  static func percent(_ share: Double) -> String { "\(short(share * 100)) %" }
  static func count(_ count: Int, _ noun: String) -> String { count == 1 ? "1 \(noun)" : "\(count) \(noun)s" }
}
