// A report as JSON and back. Surprise: verdicts and shares are written for readers of the file and ignored on reading.
import Basics
import Targets

extension Report {
  package var json: JSON {
    func optional(_ value: Int?) -> JSON { value.map { .integer($0) } ?? .null }
    func optional(_ value: Double?) -> JSON { value.map { .number($0) } ?? .null }
    func list<T>(_ values: [T], _ make: (T) -> JSON) -> JSON { .array(values.map(make)) }
    return [
      "title": .string(title), "mode": .string(mode),
      "segments": list(segments) { segment in
        ["name": .string(segment.name), "kernels": list(segment.kernels) { $0.json(card) }]
      },
      "guards": list(guards) {
        ["condition": .string($0.condition), "cause": .string($0.cause), "seconds": optional($0.seconds)]
      },
      "breaks": list(breaks) {
        [
          "id": .string($0.id), "reason": .string($0.reason), "place": .string($0.place),
          "suggestion": .string($0.suggestion), "values": list($0.values) { .string($0) },
        ]
      },
      "recompiles": list(recompiles) {
        ["reason": .string($0.reason), "place": .string($0.place), "seconds": .number($0.seconds)]
      },
      "notes": list(notes) { .string($0) }, "kernels": .integer(kernels.count), "bytes": .integer(bytes),
      "flops": .integer(flops), "eager_kernels": optional(eagerKernels), "eager_bytes": optional(eagerBytes),
      "seconds": optional(seconds), "compile_seconds": optional(compileSeconds),
      "planned_peak": optional(plannedPeak), "measured_peak": optional(measuredPeak), "card": card?.json ?? .null,
    ]
  }

  /// - Throws: a Diagnostic that names the first member that is missing.
  package init(json: JSON) throws(Diagnostic) {
    let card = json["card"].flatMap { MachineCard(json: $0) }
    self.init(
      try json.text("title"), mode: try json.text("mode"),
      segments: try json.list("segments") { segment throws(Diagnostic) in
        Segment(
          try segment.text("name"),
          kernels: try segment.list("kernels") { kernel throws(Diagnostic) in try Kernel(json: kernel) })
      },
      guards: try json.list("guards") { entry throws(Diagnostic) in
        Guard(try entry.text("condition"), cause: try entry.text("cause"), seconds: entry["seconds"]?.double)
      },
      breaks: try json.list("breaks") { entry throws(Diagnostic) in
        Break(
          try entry.text("id"), reason: try entry.text("reason"), place: try entry.text("place"),
          suggestion: try entry.text("suggestion"), values: (entry["values"]?.array ?? []).compactMap(\.string))
      },
      recompiles: try json.list("recompiles") { entry throws(Diagnostic) in
        Recompile(try entry.text("reason"), place: try entry.text("place"), seconds: entry["seconds"]?.double ?? 0)
      }, notes: (json["notes"]?.array ?? []).compactMap(\.string), card: card)
    eagerKernels = json["eager_kernels"]?.int
    eagerBytes = json["eager_bytes"]?.int
    seconds = json["seconds"]?.double
    compileSeconds = json["compile_seconds"]?.double
    plannedPeak = json["planned_peak"]?.int
    measuredPeak = json["measured_peak"]?.int
  }
}

extension Report.Kernel {
  fileprivate func json(_ card: MachineCard?) -> JSON {
    [
      "name": .string(name), "operations": .array(operations.map { .string($0) }),
      "refusals": .array(
        refusals.map { ["what": .string($0.what), "reason": .string($0.reason), "bytes": .integer($0.bytes)] }),
      "flops": .integer(flops), "read": .integer(read), "written": .integer(written),
      "eager_bytes": eagerBytes.map { .integer($0) } ?? .null, "seconds": seconds.map { .number($0) } ?? .null,
      "peak": .string(peak.rawValue), "sources": .array(sources.map { .integer($0) }),
      "place": place.map { .string($0) } ?? .null,
      "share": card?.share(self).map { .number($0) } ?? .null,
      "bound": card.map { .string($0.bound(self).rawValue) } ?? .null,
    ]
  }

  fileprivate init(json: JSON) throws(Diagnostic) {
    self.init(
      try json.text("name"), operations: (json["operations"]?.array ?? []).compactMap(\.string),
      refusals: try json.list("refusals") { entry throws(Diagnostic) in
        Report.Refusal(try entry.text("what"), reason: try entry.text("reason"), bytes: try entry.count("bytes"))
      }, flops: try json.count("flops"), read: try json.count("read"), written: try json.count("written"),
      eagerBytes: json["eager_bytes"]?.int, seconds: json["seconds"]?.double,
      peak: json["peak"]?.string.flatMap { Workload.Peak(rawValue: $0) } ?? .f32,
      sources: (json["sources"]?.array ?? []).compactMap(\.int), place: json["place"]?.string)
  }
}

extension JSON {
  private func missing(_ key: String, _ kind: String) -> Diagnostic {
    Diagnostic(
      .format, "a report needs \(kind) '\(key)'", remedy: "give what a report's json is, of this version of Azulejo")
  }
  fileprivate func text(_ key: String) throws(Diagnostic) -> String {
    guard let text = self[key]?.string else { throw missing(key, "the text") }
    return text
  }
  fileprivate func count(_ key: String) throws(Diagnostic) -> Int {
    guard let count = self[key]?.int, count >= 0 else { throw missing(key, "the count") }
    return count
  }
  fileprivate func list<T>(_ key: String, _ make: (JSON) throws(Diagnostic) -> T) throws(Diagnostic) -> [T] {
    guard let elements = self[key]?.array else { throw missing(key, "the list") }
    var made: [T] = []
    for element in elements { made.append(try make(element)) }
    return made
  }
}
