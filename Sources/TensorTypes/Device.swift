// Where a tensor lives and its kernels run. Not a driver. Surprise: "cpu" and "cpu:0" are the same device.
import Basics

/// A device: a kind and a number among devices of that kind.
public struct Device: Sendable, Hashable, CustomStringConvertible {
  public var kind: DeviceKind
  public var index: Int

  public init(_ kind: DeviceKind, index: Int = 0) {
    self.kind = kind
    self.index = index
  }

  public static let cpu = Device(.cpu)
  public static let interpreter = Device(.interpreter)
  public static let late = Device(.late)
  public static let null = Device(.null)

  /// Reads "cpu" or "cpu:1".
  public init(parsing text: String) throws(Diagnostic) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let number = parts.count == 2 ? Int(parts[1]) : 0
    guard let kind = DeviceKind(rawValue: String(parts[0])), let number, number >= 0 else {
      let known = DeviceKind.allCases.map(\.rawValue).joined(separator: ", ")
      throw Diagnostic(.device, "no device is called \"\(text)\"", remedy: "the devices are \(known)")
    }
    self.init(kind, index: number)
  }

  /// "cpu", "cpu:1".
  public var description: String { index == 0 ? kind.rawValue : "\(kind.rawValue):\(index)" }
}
