// Comparing extents by value, and with `Int`s. Not `==` of two extents, which is in TensorTypes.
// Surprise: inside `compile` each answer is a guard of the plan, and a failed extent answers false.
import TensorTypes

extension Dim {
  /// Whether both have one value. Inside `compile` the answer is a guard.
  public static func == (a: Dim, b: Int) -> Bool { asks(.equal, a, Dim(b)) }
  public static func == (a: Int, b: Dim) -> Bool { asks(.equal, Dim(a), b) }
  /// Whether the values differ. Inside `compile` the answer is a guard.
  public static func != (a: Dim, b: Dim) -> Bool { differs(a, b) }
  public static func != (a: Dim, b: Int) -> Bool { differs(a, Dim(b)) }
  public static func != (a: Int, b: Dim) -> Bool { differs(Dim(a), b) }
  /// Whether `a` is smaller. Inside `compile` the answer is a guard.
  public static func < (a: Dim, b: Dim) -> Bool { asks(.less, a, b) }
  public static func < (a: Dim, b: Int) -> Bool { asks(.less, a, Dim(b)) }
  public static func < (a: Int, b: Dim) -> Bool { asks(.less, Dim(a), b) }
  public static func <= (a: Dim, b: Dim) -> Bool { asks(.lessOrEqual, a, b) }
  public static func <= (a: Dim, b: Int) -> Bool { asks(.lessOrEqual, a, Dim(b)) }
  public static func <= (a: Int, b: Dim) -> Bool { asks(.lessOrEqual, Dim(a), b) }
  public static func > (a: Dim, b: Dim) -> Bool { b < a }
  public static func > (a: Dim, b: Int) -> Bool { b < a }
  public static func > (a: Int, b: Dim) -> Bool { b < a }
  public static func >= (a: Dim, b: Dim) -> Bool { b <= a }
  public static func >= (a: Dim, b: Int) -> Bool { b <= a }
  public static func >= (a: Int, b: Dim) -> Bool { b <= a }

  /// A failed extent neither equals nor differs: both answers are false.
  private static func differs(_ a: Dim, _ b: Dim) -> Bool {
    if case .failed? = a.expression { return false }
    if case .failed? = b.expression { return false }
    return !asks(.equal, a, b)
  }
}
