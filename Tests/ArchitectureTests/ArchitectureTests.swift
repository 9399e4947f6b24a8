// Compares every import with the package's layer table: SwiftPM lets a transitive import build, this does not.
// Not a style check. Surprise: the table is Package.swift itself, read as text, so there is no second list of layers.
import Foundation
import Testing

let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()

/// Modules that come with Swift or the system.
private let system: Set<String> = [
  "Swift", "Foundation", "Glibc", "Darwin", "Musl", "Synchronization", "Dispatch", "_Backtracing", "Runtime",
]

/// Products of other packages, as Package.swift names them.
private let products: [String: Set<String>] = [
  "logging": ["Logging"], "numerics": ["Numerics", "RealModule", "ComplexModule"],
  "collections": ["Collections", "OrderedCollections", "DequeModule", "HashTreeCollections", "HeapModule"],
  "arguments": ["ArgumentParser"],
]

/// Target name -> names on its dependency line.
private func layers() throws -> [String: [String]] {
  let manifest = try String(contentsOf: root.appending(path: "Package.swift"), encoding: .utf8)
  var table: [String: [String]] = [:]
  let declaration = /(?:layer\(|executableTarget\(name: |\.target\(name: )"(\w+)"(?:, (?:dependencies: )?\[([^\]]*)\])?/
  for match in manifest.matches(of: declaration) {
    table[String(match.1)] = (match.2 ?? "").split(separator: ",").map {
      $0.trimmingCharacters(in: CharacterSet(charactersIn: " \"\n"))
    }
  }
  return table
}

func sources(_ target: String) throws -> [URL] {
  let folder = root.appending(path: "Sources/\(target)")
  let all = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
  return (all?.compactMap { $0 as? URL } ?? []).filter { $0.pathExtension == "swift" }
}

@Test func every_import_is_a_lower_layer() throws {
  let table = try layers()
  #expect(table.count > 15)
  /// What a target may import: its line, and all that those targets may import themselves.
  func allowed(_ target: String, _ seen: inout Set<String>) {
    for name in table[target] ?? [] {
      if let modules = products[name] { seen.formUnion(modules) }
      if seen.insert(name).inserted { allowed(name, &seen) }
    }
  }
  for target in table.keys.sorted() {
    var may = system
    allowed(target, &may)
    for file in try sources(target) {
      let text = try String(contentsOf: file, encoding: .utf8)
      for match in text.matches(
        of: /(?m)^\s*(?:@_exported |public |package |internal )?import (?:struct |enum |func )?(\w+)/)
      {
        #expect(may.contains(String(match.1)), "\(target)/\(file.lastPathComponent) imports \(match.1)")
      }
    }
  }
}

@Test func no_layer_reaches_back() throws {
  let table = try layers()
  func reaches(_ from: String, _ to: String, _ seen: inout Set<String>) -> Bool {
    guard seen.insert(from).inserted else { return false }
    return (table[from] ?? []).contains { $0 == to || reaches($0, to, &seen) }
  }
  for target in table.keys.sorted() {
    var seen: Set<String> = []
    #expect(!reaches(target, target, &seen), "\(target) depends on itself")
  }
}

/// Foundation's atomic writes rename a new file over whatever has the name: a device node, a pipe, somebody's socket.
@Test func files_of_users_are_written_through_one_door() throws {
  for target in try layers().keys {
    for file in try sources(target) where file.lastPathComponent != "AtomicFile.swift" {
      let text = try String(contentsOf: file, encoding: .utf8)
      for way in ["options: .atomic", "atomically: true", "createFile(atPath"] {
        let isUsed = text.contains(way)
        #expect(!isUsed, "\(target)/\(file.lastPathComponent): \(way): files are written by AtomicFile")
      }
    }
  }
}

@Test func every_file_is_a_room() throws {
  for target in try layers().keys.sorted() {
    for file in try sources(target) {
      let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
      #expect(lines.count <= 650, "\(target)/\(file.lastPathComponent) has \(lines.count) lines")
    }
  }
}

/// What `import Azulejo` does not show is `package`, but for what a signature that it shows must name.
@Test func public_is_what_users_see() throws {
  let umbrella = try String(contentsOf: root.appending(path: "Sources/Azulejo/Azulejo.swift"), encoding: .utf8)
  // "Tensors", and "Basics.Diagnostic" where one type is shown.
  let shown = Set(umbrella.matches(of: /@_exported import (?:struct |enum )?([\w.]+)/).map { String($0.1) })
  #expect(shown.contains("Tensors") && shown.contains("Basics.Diagnostic"))
  /// `Element`, which users may conform to, reads elements as this type.
  let named: Set<String> = ["ScalarValue"]
  for target in try layers().keys.sorted() where !shown.contains(target) && target != "Azulejo" {
    for file in try sources(target) {
      let name = file.deletingPathExtension().lastPathComponent
      let type = String(name.prefix { $0 != "+" })
      if named.contains(type) || shown.contains("\(target).\(type)") { continue }
      for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
        let isCode = !line.trimmingCharacters(in: .whitespaces).hasPrefix("//")
        #expect(!isCode || !line.contains(/\bpublic\b/), "\(target)/\(file.lastPathComponent): \(line)")
      }
    }
  }
}
