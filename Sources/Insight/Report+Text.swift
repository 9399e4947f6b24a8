// A report as lines for a terminal. Surprise: kernels that do the same are one line with their number.
import Targets

extension Report {
  /// The verdict, then a table of kernels, guards, breaks, recompiles and notes.
  package var lines: [String] {
    var lines = ["\(title) (\(mode)): \(verdict)", ""]
    lines += Self.columns(
      ["kernel", "times", "flops", "bytes", "time", "of the ceiling", "bound by", "operations"], kernelRows)
    lines += refusalLines
    func add(_ title: String, _ entries: [String]) {
      if !entries.isEmpty { lines += ["", title] + entries.map { "  " + $0 } }
    }
    let peaks = [("planned", plannedPeak), ("counted by the allocator", measuredPeak)]
    add(
      "peak memory of a call",
      peaks.compactMap { name, bytes in bytes.map { "\(name): \(Quantity.bytes($0)) (\($0))" } })
    add(
      "guards",
      guards.map { asked in
        "\(asked.condition)  (\(asked.cause)\(asked.seconds.map { ", \(Quantity.seconds($0)) a check" } ?? ""))"
      })
    add("breaks", breaks.map { "\($0.place): \($0.reason); \($0.suggestion)" })
    add("recompiles", recompiles.map { "\($0.place): \($0.reason), \(Quantity.seconds($0.seconds))" })
    add("notes", notes)
    return lines
  }

  /// Equal kernels put together, in the order they first come.
  private var kernelRows: [[String]] {
    struct Group {
      var kernel: Kernel
      var count = 0
      var seconds = 0.0
      var isTimed = true
    }
    var groups: [Group] = []
    var places: [String: Int] = [:]
    for kernel in kernels {
      let name = Self.withoutNumber(kernel.name)
      let key = "\(name) \(kernel.operations) \(kernel.flops) \(kernel.bytes)"
      let place = places[key] ?? groups.count
      places[key] = place
      if place == groups.count { groups.append(Group(kernel: kernel)) }
      if groups[place].count == 1 { groups[place].kernel.name = name }
      groups[place].count += 1
      groups[place].seconds += kernel.seconds ?? 0
      if kernel.seconds == nil { groups[place].isTimed = false }
    }
    return groups.map { group in
      var kernel = group.kernel
      kernel.seconds = group.isTimed ? group.seconds / Double(group.count) : nil
      return [
        kernel.name, "\(group.count)", Quantity.operations(Double(kernel.flops)), Quantity.bytes(kernel.bytes),
        kernel.seconds.map { Quantity.seconds($0) } ?? "",
        card?.share(kernel).map { Quantity.percent($0) } ?? "", card.map { $0.bound(kernel).rawValue } ?? "",
        kernel.operations.joined(separator: " "),
      ]
    }
  }

  /// What was not put together, equal layers' refusals put together, the most bytes first.
  private var refusalLines: [String] {
    var groups: [(line: String, times: Int, bytes: Int)] = []
    var places: [String: Int] = [:]
    for kernel in kernels {
      for refusal in kernel.refusals {
        let line = "\(Self.withoutNumber(kernel.name)): \(refusal.what): \(refusal.reason)"
        let place = places[line] ?? groups.count
        places[line] = place
        if place == groups.count { groups.append((line, 0, 0)) }
        groups[place].times += 1
        groups[place].bytes += refusal.bytes
      }
    }
    if groups.isEmpty { return [] }
    let order = groups.indices.sorted { (groups[$1].bytes, $0) < (groups[$0].bytes, $1) }
    return ["", "not put together"]
      + order.map { i in
        let (line, times, bytes) = groups[i]
        return "  \(line), \(times == 1 ? "" : "\(times) times, ")\(Quantity.bytes(bytes))"
      }
  }

  /// Kernels of one program differ in the number behind its name.
  private static func withoutNumber(_ name: String) -> String {
    guard let dash = name.lastIndex(of: "_"), name[dash...].dropFirst().allSatisfy(\.isNumber) else { return name }
    return String(name[..<dash])
  }

  private static func columns(_ head: [String], _ rows: [[String]]) -> [String] {
    let widths = head.indices.map { column in ([head] + rows).map { $0[column].count }.max() ?? 0 }
    return ([head] + rows).map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let isLast = column == row.count - 1
        line += isLast ? cell : cell + String(repeating: " ", count: widths[column] - cell.count + 2)
      }
      return line
    }
  }
}
