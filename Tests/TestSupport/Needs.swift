// What a test needs of the device it runs on (AZULEJO_DEVICE) and of whoever waits for it: said at the test, by a trait.
// Not a list of tests. Surprise: what a device has stands here once; a test names what it needs, never a device.
import Basics
import Foundation
import Testing

/// What some devices have and others have not.
public enum Need: String, Sendable {
  /// Operations on millions of elements take no minutes.
  case speed = "a device that does millions of elements at once"
  /// Kernels and plans are found on disk by the next process.
  case keptPlans = "a device whose kernels and plans are kept on disk"
  /// Kernels take their scratch on the thread that launches them, where `Allocator.peak` counts it.
  case countedScratch = "a device whose kernels take scratch on the thread that launches them"
  /// What the device can do at most is measured, by code written for it.
  case ceilings = "a device whose ceilings are measured"
  /// A test of more than some seconds: left out where AZULEJO_TESTS=quick.
  case time = "more than some seconds; AZULEJO_TESTS=quick is set"

  /// What takes some seconds on a device without `speed` only.
  case speedOrTime = "a device that does millions of elements at once, or more time than AZULEJO_TESTS=quick gives"

  public var isMet: Bool {
    let device = Knobs.current.device
    return switch self {
    case .speed, .keptPlans: device == .cpu || device == .late
    case .countedScratch, .ceilings: device == .cpu
    case .time: ProcessInfo.processInfo.environment["AZULEJO_TESTS"] != "quick"
    case .speedOrTime: Need.speed.isMet || Need.time.isMet
    }
  }
}

extension Trait where Self == ConditionTrait {
  /// The test is left out, and says why, where something of this is missing.
  public static func needs(_ needs: Need...) -> Self {
    let missing = needs.filter { !$0.isMet }
    return .enabled(if: missing.isEmpty, "needs \(missing.map(\.rawValue).joined(separator: " and "))")
  }
}
