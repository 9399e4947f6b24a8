// A tensor as text, for people: all numbers of one width, long axes cut in the middle.
// Not a format to read back. Surprise: printing copies at most the corners that are shown.
import Basics
import Engine
import TensorTypes

extension Tensor: CustomStringConvertible {
  /// As PyTorch prints: `tensor([[1., 2.], [3., 4.]])`; a failed tensor prints its mistake.
  public var description: String {
    if let failure { return "failed tensor: \(failure)" }
    // While a function is captured there are no elements yet, but of what constants alone decide.
    var known: TensorView?
    if let path = body.view.path { known = try? path.cell.trace.constantElements(path) }
    if !body.view.hasMemory, known == nil {
      if let trace = Trace.current {
        var skipped = Diagnostic(.compiler, "")
        skipped.origin = Diagnostic.Origin()
        trace.remark(
          "the text of a tensor is made without its elements: t.print(label) prints on each run", skipped.place)
      }
      return "traced tensor \(dtype)\(shape)"
    }
    do throws(Diagnostic) {
      var source = try view
      if let known { source = try known.expanded(to: source.extents) }
      let shown = source
      let layout = try Trace.outside { () throws(Diagnostic) in try TensorText(shown) }
      var text = "tensor(" + layout.body
      let extents = body.view.extents
      if body.view.elementCount == 0, extents != [0] { text += ", shape: \(extents)" }
      if ![.f32, .i64, .bool].contains(dtype) { text += ", dtype: \(dtype)" }
      return text + ")"
    } catch {
      return "failed tensor: \(error)"
    }
  }
}

/// The shown part of a tensor, laid out.
private struct TensorText {
  /// More elements than this are summarised.
  static let most = 1000
  /// Elements shown at each end of a summarised axis.
  static let edge = 3

  private(set) var body = ""
  private let shown: [Int]
  private let isCut: [Bool]
  private let elements: [String]
  private let width: Int

  init(_ source: TensorView) throws(Diagnostic) {
    let summarises = source.elementCount > Self.most
    isCut = source.extents.map { summarises && $0 > 2 * Self.edge }
    var part = Tensor(source)
    for axis in source.extents.indices where isCut[axis] {
      let view = try part.view
      let extent = view.extent(axis)
      part = Tensor.concatenated(
        [
          Tensor(view.sliced(axis, start: 0, count: Self.edge)),
          Tensor(view.sliced(axis, start: extent - Self.edge, count: Self.edge)),
        ], axis: axis)
    }
    shown = try part.view.extents
    switch source.dtype.category {
    case .bool: elements = try part.array(as: Bool.self).map { $0 ? "true" : "false" }
    case .integer where source.dtype == .u64: elements = try part.array(as: UInt64.self).map { "\($0)" }
    case .integer: elements = try part.array(as: Int.self).map { "\($0)" }
    case .floating: elements = NumberText.texts(try part.array(as: Double.self))
    }
    width = shown.isEmpty ? 0 : elements.map(\.count).max() ?? 0
    var next = 0
    body = text(axis: 0, indent: "tensor(".count, &next)
  }

  private func text(axis: Int, indent: Int, _ next: inout Int) -> String {
    guard axis < shown.count else {
      defer { next += 1 }
      return String(repeating: " ", count: Swift.max(width - elements[next].count, 0)) + elements[next]
    }
    if shown[axis] == 0 || shown[(axis + 1)...].contains(0) { return "[]" }
    var items: [String] = []
    for i in 0..<shown[axis] {
      if isCut[axis], i == Self.edge { items.append("...") }
      items.append(text(axis: axis + 1, indent: indent + 1, &next))
    }
    let inner = shown.count - axis - 1
    if inner > 0 {
      let separator = "," + String(repeating: "\n", count: inner) + String(repeating: " ", count: indent + 1)
      return "[" + items.joined(separator: separator) + "]"
    }
    // A long line goes on below its first number.
    var lines: [String] = []
    var line = ""
    for (i, item) in items.enumerated() {
      let piece = item + (i + 1 < items.count ? ", " : "")
      if !line.isEmpty, indent + line.count + piece.count > 96 {
        lines.append(line)
        line = ""
      }
      line += piece
    }
    lines.append(line)
    let trimmed = lines.dropLast().map { String($0.dropLast()) } + lines.suffix(1)
    return "[" + trimmed.joined(separator: "\n" + String(repeating: " ", count: indent + 1)) + "]"
  }
}

/// Floats with four decimals, or as powers of ten where that would lose too much. Without Foundation, whose loading
/// would cost every start.
private enum NumberText {
  static func texts(_ values: [Double]) -> [String] {
    let finite = values.filter(\.isFinite).map(\.magnitude)
    let nonzero = finite.filter { $0 > 0 }
    let (largest, smallest) = (nonzero.max() ?? 0, nonzero.min() ?? 0)
    let isWhole = finite.allSatisfy { $0 == $0.rounded() }
    let isScientific = largest >= 1e8 || (!isWhole && (smallest < 1e-4 || largest / Swift.max(smallest, 1e-300) > 1e3))
    return values.map { value in
      guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
      if isScientific { return scientific(value) }
      return isWhole ? fixed(value, 0) + "." : fixed(value, 4)
    }
  }

  private static func fixed(_ value: Double, _ digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let number = UInt64((value.magnitude * scale).rounded())
    let sign = value.sign == .minus ? "-" : ""
    if digits == 0 { return sign + "\(number)" }
    let fraction = "\(number % UInt64(scale))"
    let zeros = String(repeating: "0", count: digits - fraction.count)
    return sign + "\(number / UInt64(scale))." + zeros + fraction
  }

  private static func scientific(_ value: Double) -> String {
    if value == 0 { return fixed(value, 4) + "e+00" }
    var exponent = 0
    var mantissa = value.magnitude
    while mantissa >= 10 {
      mantissa /= 10
      exponent += 1
    }
    while mantissa < 1 {
      mantissa *= 10
      exponent -= 1
    }
    if (mantissa * 1e4).rounded() >= 1e5 {
      mantissa /= 10
      exponent += 1
    }
    let digits = "\(Swift.abs(exponent))"
    let sign = value < 0 ? "-" : ""
    return sign + fixed(mantissa, 4) + "e" + (exponent < 0 ? "-" : "+") + (digits.count < 2 ? "0" : "") + digits
  }
}
