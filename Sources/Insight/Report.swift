// What became of a program: its kernels and what each costs, what was put together and what was not and why, the guards,
// breaks and recompiles. Plain data; whoever runs the program fills it in.
// Not a trace. Surprise: verdicts are not stored; they follow from a kernel's bytes, flops and time and the machine card.
import Targets

/// An account of a program on this machine.
package struct Report: Sendable, Hashable {
  /// A value that was not put into its consumer's kernel.
  package struct Refusal: Sendable, Hashable {
    /// The value or the operation.
    package var what: String
    package var reason: String
    /// Bytes that would not have moved.
    package var bytes: Int

    package init(_ what: String, reason: String, bytes: Int) {
      self.what = what
      self.reason = reason
      self.bytes = bytes
    }
  }

  package struct Kernel: Sendable, Hashable {
    package var name: String
    /// The operations inside, in order.
    package var operations: [String]
    package var refusals: [Refusal]
    package var flops: Int
    /// Bytes from memory and to it.
    package var read: Int
    package var written: Int
    /// Bytes that the same operations move one by one.
    package var eagerBytes: Int?
    /// Seconds of one launch, if it was timed.
    package var seconds: Double?
    /// What its arithmetic is held against.
    package var peak: Workload.Peak
    /// Kernels of the same segment whose results it reads.
    package var sources: [Int]
    /// The lines of the user's code that its operations come from.
    package var place: String?

    package init(
      _ name: String, operations: [String] = [], refusals: [Refusal] = [], flops: Int, read: Int, written: Int,
      eagerBytes: Int? = nil, seconds: Double? = nil, peak: Workload.Peak = .f32, sources: [Int] = [],
      place: String? = nil
    ) {
      self.name = name
      self.operations = operations
      self.refusals = refusals
      self.flops = flops
      self.read = read
      self.written = written
      self.eagerBytes = eagerBytes
      self.seconds = seconds
      self.peak = peak
      self.sources = sources
      self.place = place
    }

    package var bytes: Int { Report.sum(read, written) }
    /// Floating operations for each byte.
    package var intensity: Double { bytes > 0 ? Double(flops) / Double(bytes) : .infinity }
  }

  /// The kernels between two breaks.
  package struct Segment: Sendable, Hashable {
    package var name: String
    package var kernels: [Kernel]
    package init(_ name: String, kernels: [Kernel]) {
      self.name = name
      self.kernels = kernels
    }
  }

  /// A fact that a plan relies on.
  package struct Guard: Sendable, Hashable {
    package var condition: String
    /// What asked for it: a place in the user's code, or an argument.
    package var cause: String
    /// Seconds of one check, if known.
    package var seconds: Double?
    package init(_ condition: String, cause: String, seconds: Double? = nil) {
      self.condition = condition
      self.cause = cause
      self.seconds = seconds
    }
  }

  /// A place where a value left the program, or where its text was skipped.
  package struct Break: Sendable, Hashable {
    package var id: String
    package var reason: String
    package var place: String
    package var suggestion: String
    /// Values that were handed out, as text.
    package var values: [String]
    package init(_ id: String, reason: String, place: String, suggestion: String, values: [String] = []) {
      self.id = id
      self.reason = reason
      self.place = place
      self.suggestion = suggestion
      self.values = values
    }
  }

  /// A plan made because none fitted.
  package struct Recompile: Sendable, Hashable {
    package var reason: String
    package var place: String
    package var seconds: Double
    package init(_ reason: String, place: String, seconds: Double) {
      self.reason = reason
      self.place = place
      self.seconds = seconds
    }
  }

  package var title: String
  /// "eager" or "compiled".
  package var mode: String
  package var segments: [Segment]
  package var guards: [Guard]
  package var breaks: [Break]
  package var recompiles: [Recompile]
  /// Anything else worth a line: copies made, prints skipped.
  package var notes: [String]
  /// The same program run eagerly: launches and bytes.
  package var eagerKernels: Int?
  package var eagerBytes: Int?
  /// Seconds of a whole call, if it was timed, and of making its code.
  package var seconds: Double?
  package var compileSeconds: Double?
  /// Bytes at the peak: as planned, and as the allocator counted.
  package var plannedPeak: Int?
  package var measuredPeak: Int?
  package var card: MachineCard?

  package init(
    _ title: String, mode: String, segments: [Segment], guards: [Guard] = [], breaks: [Break] = [],
    recompiles: [Recompile] = [], notes: [String] = [], card: MachineCard? = nil
  ) {
    self.title = title
    self.mode = mode
    self.segments = segments
    self.guards = guards
    self.breaks = breaks
    self.recompiles = recompiles
    self.notes = notes
    self.card = card
  }

  package var kernels: [Kernel] { segments.flatMap(\.kernels) }
  package var bytes: Int { kernels.reduce(0) { Self.sum($0, $1.bytes) } }
  package var flops: Int { kernels.reduce(0) { Self.sum($0, $1.flops) } }

  /// Saturates: what a report's file says may be anything.
  static func sum(_ a: Int, _ b: Int) -> Int {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : sum
  }
}

/// What limits a kernel.
package enum Bound: String, Sendable, CaseIterable {
  case bandwidth, compute
  /// The machine needs less time for the work than a launch costs.
  case overhead
}

extension MachineCard {
  /// Seconds a launch costs besides its work: what makes a kernel too small to judge.
  static let launchSeconds = 2e-6

  /// Operations per second that `peak` is held against; f32's where the processor has no better instruction.
  package func operations(_ peak: Workload.Peak) -> Double {
    switch peak {
    case .f32: f32
    case .bf16: bf16 ?? f32
    case .int8: int8 ?? f32
    }
  }

  /// The least seconds this machine needs for `kernel`: memory or arithmetic, whichever is longer.
  ///
  /// Bytes that fit half of the last cache are held against that cache: the kernel before may have left them there.
  package func seconds(_ kernel: Report.Kernel) -> Double {
    max(memorySeconds(kernel), Double(kernel.flops) / operations(kernel.peak))
  }

  private func memorySeconds(_ kernel: Report.Kernel) -> Double {
    let bandwidth =
      kernel.bytes <= level3Bytes / 2 ? level3 : self.bandwidth(read: kernel.read, written: kernel.written)
    return Double(kernel.bytes) / bandwidth
  }

  /// The share of what this machine can do that the kernel reached; nil without a time.
  package func share(_ kernel: Report.Kernel) -> Double? { kernel.seconds.map { seconds(kernel) / $0 } }

  package func bound(_ kernel: Report.Kernel) -> Bound {
    let least = seconds(kernel)
    if least < Self.launchSeconds { return .overhead }
    return memorySeconds(kernel) >= least ? .bandwidth : .compute
  }
}
