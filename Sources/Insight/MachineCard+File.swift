// The machine card on disk: JSON in the cache directory, one file for each processor and number of threads.
// Surprise: a card of another format, processor or thread count is as good as none; it is never an error.
import Basics
import Execution
import Foundation
import Targets

extension MachineCard {
  /// Changes with the meaning of a member.
  static let version = 1

  /// The file in the cache directory that has the card of `processor`.
  static func fileName(_ processor: String, _ threads: Int) -> String {
    var hash = StableHash()
    hash.combine(processor)
    hash.combine(threads)
    return "machine-\(hash).json"
  }

  public var json: JSON {
    let listed = mixes.sorted { ($0.key.read, $0.key.written) < ($1.key.read, $1.key.written) }
    return [
      "version": .integer(Self.version), "processor": .string(processor), "threads": .integer(threads),
      "read": .number(read), "copy": .number(copy),
      "mixes": .array(
        listed.map {
          ["read": .integer($0.key.read), "written": .integer($0.key.written), "bandwidth": .number($0.value)]
        }), "level2": .number(level2), "level3": .number(level3),
      "level3_bytes": .integer(level3Bytes), "f32": .number(f32),
      "bf16": bf16.map { .number($0) } ?? .null, "int8": int8.map { .number($0) } ?? .null,
    ]
  }

  /// nil if anything is missing or of another version.
  public init?(json: JSON) {
    guard json["version"]?.int == Self.version, let processor = json["processor"]?.string,
      let threads = json["threads"]?.int, let read = json["read"]?.double, let copy = json["copy"]?.double,
      let list = json["mixes"]?.array, let level2 = json["level2"]?.double, let level3 = json["level3"]?.double,
      let level3Bytes = json["level3_bytes"]?.int, let f32 = json["f32"]?.double
    else { return nil }
    var mixes: [Mix: Double] = [:]
    for entry in list {
      guard let read = entry["read"]?.int, let written = entry["written"]?.int, read >= 0, written >= 0,
        read + written > 0, let bandwidth = entry["bandwidth"]?.double
      else { return nil }
      mixes[Mix(read: read, written: written)] = bandwidth
    }
    self.init(
      processor: processor, threads: threads, read: read, copy: copy, mixes: mixes, level2: level2, level3: level3,
      level3Bytes: level3Bytes, f32: f32, bf16: json["bf16"]?.double, int8: json["int8"]?.double)
  }

  /// The card that was kept for this processor and thread count.
  package static func stored(
    for target: TargetDescription, threads: Int, in directory: String? = ObjectCache.shared.directory
  ) -> MachineCard? {
    guard let directory, let folder = try? PrivateFolder(directory),
      let bytes = try? folder.contents(fileName(target.cacheKey, threads), atMost: 1 << 20),
      let json = try? JSON(parsing: Data(bytes)), let card = MachineCard(json: json), card.processor == target.cacheKey,
      card.threads == threads
    else { return nil }
    return card
  }

  /// Keeps the card; gives the file's path, nil without a cache directory.
  /// - Throws: a Diagnostic if the directory cannot be written.
  @discardableResult
  package func store(in directory: String? = ObjectCache.shared.directory) throws(Diagnostic) -> String? {
    guard let directory else { return nil }
    let path = "\(directory)/\(Self.fileName(processor, threads))"
    do {
      // Made as the cache makes it: for this user alone.
      _ = try PrivateFolder(directory, isMade: true)
      try Data("\(json)\n".utf8).write(to: URL(filePath: path), options: .atomic)
    } catch {
      let reason = (error as? PrivateFolder.Refusal)?.text ?? error.localizedDescription
      throw Diagnostic(
        .cache, "the machine card \(path) cannot be written: \(reason)",
        remedy: "make the directory writable for you alone, make room on the disk, or set AZULEJO_CACHE to another one")
    }
    return path
  }
}
