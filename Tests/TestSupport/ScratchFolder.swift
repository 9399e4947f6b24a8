// A folder for what a test writes.
// Surprise: nobody but its owner may look into it, since what keeps machine code refuses any other folder.
import Foundation

/// A folder that is removed when the last reference goes.
public final class ScratchFolder: Sendable {
  public let path: String

  public init() throws {
    path = FileManager.default.temporaryDirectory.appending(path: "azulejo-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  public func path(_ name: String) -> String { path + "/" + name }

  /// The names of what is in it that end in `suffix`, in alphabetical order.
  public func files(_ suffix: String = "") throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).filter { $0.hasSuffix(suffix) }.sorted()
  }

  public func bytes(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(filePath: path(name)))) }

  /// The bytes of all files by their names.
  public func contents() throws -> [String: [UInt8]] {
    try files().reduce(into: [:]) { $0[$1] = try bytes($1) }
  }

  /// Writes `bytes` to a file, new or in the place of the old ones, and returns its path.
  @discardableResult
  public func write(_ bytes: some Collection<UInt8>, _ name: String = "file") throws -> String {
    try Data(bytes).write(to: URL(filePath: path(name)))
    return path(name)
  }
}
