// Where in the user's code an operation was written: the frames of the stack, for operators, which have no `#line`
// parameters, and for operations that are captured. Not for eager operations that succeed: it costs a microsecond.
// Surprise: frames are symbolised only when somebody asks for the place.
import Basics

#if canImport(Runtime)
  import Runtime

  package enum CallerPlace {
    /// Costs a quarter of a millisecond once, instead of at each failure.
    private static let images = ImageMap.capture()
    /// Frames whose mangled names begin so are the library's own, or Swift's.
    private static let own = ["$ss", "$s7Tensors", "$s6Engine", "$s7Capture", "$s11TensorTypes"]

    /// The stack as it is now.
    package static func origin() -> Diagnostic.Origin? {
      guard let backtrace = try? Backtrace.capture(algorithm: .fast, limit: 32, top: 0, images: images) else {
        return nil
      }
      return Diagnostic.Origin { caller(backtrace) }
    }

    private static func caller(_ backtrace: Backtrace) -> Diagnostic.Location? {
      let options: Backtrace.SymbolicationOptions = [.showInlineFrames, .showSourceLocations]
      guard let symbols = backtrace.symbolicated(with: images, options: options) else { return nil }
      for frame in symbols.frames {
        guard let symbol = frame.symbol else { continue }
        let name = symbol.rawName
        if own.contains(where: { name.hasPrefix($0) }) || name.contains("7Tensors6TensorV1") { continue }
        guard let place = symbol.sourceLocation, !place.path.isEmpty, place.line > 0 else {
          return Diagnostic.Location(file: "in \(symbol.name)", line: 0)
        }
        // As #fileID: the last folder and the file.
        let parts = place.path.split(separator: "/").suffix(2)
        return Diagnostic.Location(file: parts.joined(separator: "/"), line: UInt(place.line))
      }
      return nil
    }
  }
#else
  package enum CallerPlace {
    /// Without Swift's backtraces an operation has no place.
    package static func origin() -> Diagnostic.Origin? { nil }
  }
#endif
