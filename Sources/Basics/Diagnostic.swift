// What went wrong, where in the user's code, and what to do: the one error type of all layers.
// Not a log line. Surprise: a Diagnostic is also what a failed tensor carries until a throwing boundary.

/// A user-facing error: what happened, where, and the remedy.
public struct Diagnostic: Error, Sendable, Hashable, CustomStringConvertible {
  /// The family an error belongs to; decides the exit code of the command line and nothing else.
  public enum Kind: String, Sendable, Hashable {
    case shape, dtype, index, device, file, format, memory, compiler, argument, cache, numerics
  }

  /// The caller's place, from `#fileID` and `#line`; nil where an operator has no location to give.
  public struct Location: Sendable, Hashable, CustomStringConvertible {
    public var file: String
    public var line: UInt
    public init(file: String, line: UInt) {
      self.file = file
      self.line = line
    }
    public var description: String { line > 0 ? "\(file):\(line)" : file }
  }

  public var kind: Kind
  /// What happened, with both values: "matmul (C2): inner extents 3 and 4 differ".
  public var message: String
  /// What to do about it.
  public var remedy: String?
  public var location: Location?
  /// Where the location is found when asked for; of operators, which have none to give.
  package var origin: Origin?

  /// The caller's place, if it is known or can be found.
  public var place: Location? { location ?? origin?.place }

  /// The place is a line of an operation that is made of others. The user's line is that of its own call.
  package var namesLibrary: Bool { location?.file.hasPrefix("Tensors/") == true }

  public init(_ kind: Kind, _ message: String, remedy: String? = nil, location: Location? = nil) {
    self.kind = kind
    self.message = message
    self.remedy = remedy
    self.location = location
  }

  public init(_ kind: Kind, _ message: String, remedy: String? = nil, file: StaticString, line: UInt) {
    self.init(kind, message, remedy: remedy, location: Location(file: "\(file)", line: line))
  }

  public var description: String {
    var text = message
    if let place { text = "\(place): \(text)" }
    if let remedy { text += "\n  what to do: \(remedy)" }
    return text
  }
}
