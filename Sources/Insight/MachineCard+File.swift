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

  package var json: JSON {
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

  /// No machine moves or computes more in a second, has more threads or cache, or mixes more streams.
  private static let plausible = (rate: 0...1e18, threads: 1...1 << 20, cacheBytes: 0...1 << 50, streams: 0...1 << 16)

  /// nil if anything is missing, of another version, or no machine's.
  package init?(json: JSON) {
    func rate(_ value: JSON?) -> Double? {
      value?.double.flatMap { Self.plausible.rate.contains($0) ? $0 : nil }
    }
    guard json["version"]?.int == Self.version, let processor = json["processor"]?.string,
      let threads = json["threads"]?.int, Self.plausible.threads.contains(threads),
      let read = rate(json["read"]), let copy = rate(json["copy"]), let list = json["mixes"]?.array,
      let level2 = rate(json["level2"]), let level3 = rate(json["level3"]), let f32 = rate(json["f32"]),
      let level3Bytes = json["level3_bytes"]?.int, Self.plausible.cacheBytes.contains(level3Bytes)
    else { return nil }
    for optional in [json["bf16"], json["int8"]] {
      guard let optional, !optional.isNull else { continue }
      guard rate(optional) != nil else { return nil }
    }
    var mixes: [Mix: Double] = [:]
    for entry in list {
      guard let read = entry["read"]?.int, let written = entry["written"]?.int, Self.plausible.streams.contains(read),
        Self.plausible.streams.contains(written), read + written > 0, let bandwidth = rate(entry["bandwidth"])
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
      try AtomicFile.write("\(json)\n", to: path)
    } catch {
      let reason = (error as? PrivateFolder.Refusal)?.text ?? (error as? Diagnostic)?.message ?? "\(error)"
      throw Diagnostic(
        .cache, "the machine card \(path) cannot be written: \(reason)",
        remedy: "make the directory writable for you alone, make room on the disk, or set AZULEJO_CACHE to another one")
    }
    return path
  }
}
