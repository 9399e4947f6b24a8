// A report as JSON, for other programs: nothing here reads it. Surprise: what follows from the rest, as verdicts and
// shares, is written too.
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
}
