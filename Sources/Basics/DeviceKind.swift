// The kinds of device, by the names that AZULEJO_DEVICE takes. Not drivers. Surprise: it stands so low in the house because
// a wrong name is refused when the environment is read.

/// A kind of device; which of them work here is the drivers' answer.
public enum DeviceKind: String, Sendable, Hashable, CaseIterable {
  /// The processors of this machine.
  case cpu
  /// The checking interpreter of tile kernels: slow, for finding mistakes.
  case interpreter
  /// The processors, but launches are done later than they return: for tests.
  case late
  /// Nothing is computed: for recording kernels.
  case null
}
