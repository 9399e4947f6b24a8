// Where in the user's code an operation was written: the return addresses of the stack, for operators, which have no
// `#line` parameters, and for operations that are captured. Not for eager operations that succeed.
// Surprise: addresses become lines only when somebody asks, which can take a second in a large debug build: Swift reads all
// symbols each time. So whoever wants many asks once, and what was found is kept.
import CHost
import Synchronization

#if canImport(Runtime)
  import Foundation
  import Runtime
#endif

extension Diagnostic {
  /// A place that is worked out only when somebody wants it. Equal to any other: it does not distinguish diagnostics.
  package struct Origin: Sendable, Hashable {
    /// Deep enough for the deepest of our own frames below an operation.
    private static let depth = 32
    private let callers: ArraySlice<UInt>

    /// The stack as it is now, for a tenth of a microsecond.
    @inline(never)
    package init() {
      var stack = [UInt](repeating: 0, count: Self.depth)
      let count = Int(azulejo_callers(&stack, Int32(Self.depth)))
      callers = stack.prefix(count)
    }

    package static func == (a: Origin, b: Origin) -> Bool { true }
    package func hash(into hasher: inout Hasher) {}

    /// The nearest caller that is not the library itself.
    package var place: Location? { Self.places(of: [self])[0] }

    package static func places(of origins: [Origin]) -> [Location?] {
      known.withLock { known in
        // Reading all symbols takes memory; where a process is at its limit, an error without a place beats no error.
        guard canSymbolise() else { return origins.map { _ in nil } }
        let unnamed = Set(origins.flatMap(\.callers)).subtracting(known.isUser.keys)
        if !unnamed.isEmpty { known.isUser.merge(whetherUsers(Array(unnamed))) { $1 } }
        let callers = origins.map { $0.callers.first { known.isUser[$0] == true } }
        let new = Set(callers.compactMap { $0 }).subtracting(known.places.keys)
        if !new.isEmpty { known.places.merge(locations(Array(new))) { $1 } }
        return callers.map { $0.flatMap { known.places[$0] } }
      }
    }

    /// The places that are known, each once, in order.
    package static func differentPlaces(of origins: [Origin]) -> [Location] {
      var seen: Set<Location> = []
      return places(of: origins).compactMap { $0 }.filter { seen.insert($0).inserted }
    }

    private struct Known: Sendable {
      /// Whether the code at an address is the user's.
      var isUser: [UInt: Bool] = [:]
      var places: [UInt: Location] = [:]
    }
    private static let known = Mutex(Known())
  }
}

extension Diagnostic.Location {
  /// "Models/Block.swift:12, 15, 20": lines of one file behind its name.
  package static func text(_ places: [Self]) -> String {
    var text = ""
    for (i, place) in places.enumerated() {
      let isSame = i > 0 && places[i - 1].file == place.file
      text += (i > 0 ? ", " : "") + (isSame ? "\(place.line)" : "\(place)")
    }
    return text
  }
}

extension Diagnostic.Origin {
  #if canImport(Runtime)
    /// Costs a quarter of a millisecond once, instead of each time.
    private static let images = ImageMap.capture()
    /// Frames whose mangled names begin so are the library's own, or Swift's.
    private static let own = ["$ss", "$s6Basics", "$s7Tensors", "$s6Engine", "$s7Capture", "$s11TensorTypes"]

    private static func isOwn(_ name: String) -> Bool {
      own.contains { name.hasPrefix($0) } || name.contains("7Tensors6TensorV1")
    }

    /// Names alone are found quickly.
    private static func whetherUsers(_ addresses: [UInt]) -> [UInt: Bool] {
      var found: [UInt: Bool] = [:]
      for address in addresses { found[address] = false }
      for frame in backtrace(addresses)?.symbolicated(with: images, options: [])?.frames ?? [] {
        guard let symbol = frame.symbol, let address = UInt(frame.captured.originalProgramCounter) else { continue }
        found[address] = !isOwn(symbol.rawName)
      }
      return found
    }

    private static func locations(_ addresses: [UInt]) -> [UInt: Diagnostic.Location] {
      var found: [UInt: Diagnostic.Location] = [:]
      let options: Backtrace.SymbolicationOptions = [.showInlineFrames, .showSourceLocations]
      // Inlined frames of an address come first; a name without a line is better than nothing.
      for frame in backtrace(addresses)?.symbolicated(with: images, options: options)?.frames ?? [] {
        guard let symbol = frame.symbol, let address = UInt(frame.captured.originalProgramCounter),
          (found[address]?.line ?? 0) == 0, !isOwn(symbol.rawName)
        else { continue }
        if let place = symbol.sourceLocation, !place.path.isEmpty, place.line > 0 {
          // As #fileID: the last folder and the file.
          let parts = place.path.split(separator: "/").suffix(2)
          found[address] = .init(file: parts.joined(separator: "/"), line: UInt(place.line))
        } else if found[address] == nil {
          found[address] = .init(file: "in \(symbol.name)", line: 0)
        }
      }
      return found
    }

    /// Swift maps the program's symbols and builds tables of them: measured 75 MB for a program of 50 MB.
    private static func canSymbolise() -> Bool {
      var information = stat()
      let size = stat("/proc/self/exe", &information) == 0 ? Int(information.st_size) : 0
      return MemoryRoom.has((64 << 20) + 2 * size)
    }

    /// Swift's type has no initializer for addresses but can be decoded from its compact format: 2 for 64 bits; 0x2F and
    /// eight bytes, highest first, for each return address; 0.
    private static func backtrace(_ addresses: [UInt]) -> Backtrace? {
      var bytes: [UInt8] = [2]
      for address in addresses {
        bytes.append(0x2F)
        for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: address >> shift)) }
      }
      bytes.append(0)
      #if arch(arm64)
        let architecture = "arm64"
      #else
        let architecture = "x86_64"
      #endif
      let fields = ["architecture": architecture, "backtrace": Data(bytes).base64EncodedString()]
      guard let text = try? JSONEncoder().encode(fields) else { return nil }
      return try? JSONDecoder().decode(Backtrace.self, from: text)
    }
  #else
    /// Without Swift's backtraces an operation has no place.
    private static func canSymbolise() -> Bool { false }
    private static func whetherUsers(_ addresses: [UInt]) -> [UInt: Bool] { [:] }
    private static func locations(_ addresses: [UInt]) -> [UInt: Diagnostic.Location] { [:] }
  #endif
}
