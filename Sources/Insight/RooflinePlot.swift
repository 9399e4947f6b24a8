// The roofline: kernels by intensity and speed under this machine's ceilings, both axes logarithmic.
// Surprise: a kernel without a time stands on its roof, hollow: that is where it could be.
import Foundation
import Targets

struct RooflinePlot {
  let kernels: [Report.Kernel]
  let card: MachineCard

  static let size = (width: 1100.0, height: 560.0)
  private static let margin = (left: 80.0, right: 20.0, top: 20.0, bottom: 50.0)
  /// Powers of two of flops per byte.
  private static let intensities = (low: -5.0, high: 10.0)

  /// Powers of ten of flops per second: from below the slowest kernel to above the highest ceiling.
  private var speeds: (low: Double, high: Double) {
    let peaks = Workload.Peak.allCases.map { card.operations($0) }
    // Within what a plot can show, whatever was measured.
    func power(_ speed: Double) -> Double { min(max(log10(speed), 0), 21) }
    let high = max(power(peaks.max() ?? 1e12).rounded(.up), 10)
    let slowest = kernels.compactMap { speed($0) }.filter { $0 > 0 }.min() ?? 1e9
    return (min(power(slowest).rounded(.down), 9), high)
  }

  /// Reached flops per second, or what could be reached.
  private func speed(_ kernel: Report.Kernel) -> Double? {
    let seconds = kernel.seconds ?? card.seconds(kernel)
    return seconds > 0 ? Double(kernel.flops) / seconds : nil
  }

  private func x(_ intensity: Double) -> Double {
    let span = Self.size.width - Self.margin.left - Self.margin.right
    let power = min(max(log2(intensity), Self.intensities.low), Self.intensities.high)
    return Self.margin.left + span * (power - Self.intensities.low) / (Self.intensities.high - Self.intensities.low)
  }

  private func y(_ speed: Double) -> Double {
    let span = Self.size.height - Self.margin.top - Self.margin.bottom
    let (low, high) = speeds
    let power = min(max(log10(speed), low), high)
    return Self.size.height - Self.margin.bottom - span * (power - low) / (high - low)
  }

  var svg: String {
    let (width, height) = Self.size
    let (left, right) = (Self.margin.left, width - Self.margin.right)
    let bottom = height - Self.margin.bottom
    var lines = [
      "<svg id=\"roofline\" xmlns=\"http://www.w3.org/2000/svg\" width=\"\(Int(width))\" height=\"\(Int(height))\""
        + " viewBox=\"0 0 \(Int(width)) \(Int(height))\" font-family=\"system-ui, sans-serif\" font-size=\"12\">",
      "<rect x=\"0\" y=\"0\" width=\"100%\" height=\"100%\" fill=\"#fbfcfe\"/>",
    ]
    func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ style: String) {
      lines.append("<line x1=\"\(at(x1))\" y1=\"\(at(y1))\" x2=\"\(at(x2))\" y2=\"\(at(y2))\" \(style)/>")
    }
    func text(_ x: Double, _ y: Double, _ content: String, _ style: String = "") {
      lines.append("<text x=\"\(at(x))\" y=\"\(at(y))\" \(style)>\(escaped(content))</text>")
    }
    for power in Int(Self.intensities.low)...Int(Self.intensities.high) {
      let place = x(exp2(Double(power)))
      line(place, Self.margin.top, place, bottom, "stroke=\"#e3e9f1\"")
      text(place, bottom + 16, power < 0 ? "1/\(1 << -power)" : "\(1 << power)", "text-anchor=\"middle\"")
    }
    for power in Int(speeds.low)...Int(speeds.high) {
      let place = y(power10(Double(power)))
      line(left, place, right, place, "stroke=\"#e3e9f1\"")
      text(left - 6, place + 4, Quantity.rate(power10(Double(power))), "text-anchor=\"end\"")
    }
    text((left + right) / 2, height - 12, "floating operations for each byte", "text-anchor=\"middle\"")
    // Ceilings.
    let top = Workload.Peak.allCases.map { card.operations($0) }.max() ?? card.f32
    for (name, bandwidth, style) in [
      ("memory", card.read, "stroke=\"#1f6feb\" stroke-width=\"2\""), ("level 3", card.level3, "stroke=\"#79a8ee\""),
      ("level 2", card.level2, "stroke=\"#b5cef5\""),
    ] where bandwidth > 0 {
      let low = max(exp2(Self.intensities.low), power10(speeds.low) / bandwidth)
      let ridge = top / bandwidth
      line(x(low), y(low * bandwidth), x(ridge), y(top), style)
      text(x(low) + 6, y(low * bandwidth) - 8, "\(name) \(Quantity.bytes(Int(bandwidth)))/s", "fill=\"#1f5fb8\"")
    }
    for peak in Workload.Peak.allCases {
      let measured: Double?
      switch peak {
      case .f32: measured = card.f32
      case .bf16: measured = card.bf16
      case .int8: measured = card.int8
      }
      guard let measured, measured > 0 else { continue }
      line(x(measured / card.level2), y(measured), right, y(measured), "stroke=\"#d1242f\" stroke-width=\"2\"")
      text(
        right - 4, y(measured) - 4, "\(peak.rawValue) \(Quantity.rate(measured))",
        "text-anchor=\"end\" fill=\"#a01820\"")
    }
    for (number, kernel) in kernels.enumerated() {
      guard kernel.flops > 0, kernel.bytes > 0, let speed = speed(kernel) else { continue }
      let color = card.bound(kernel).color
      let fill = kernel.seconds == nil ? "fill=\"none\"" : "fill=\"\(color)\" fill-opacity=\"0.75\""
      let (cx, cy) = (x(kernel.intensity), y(speed))
      let share = card.share(kernel).map { ", \(Quantity.percent($0)) of the ceiling" } ?? ""
      lines.append(
        "<circle class=\"kernel\" cx=\"\(at(cx))\" cy=\"\(at(cy))\" r=\"6\" \(fill) stroke=\"\(color)\">"
          + "<title>\(number) \(escaped(kernel.name)): \(Quantity.rate(speed))\(share)</title></circle>")
      if kernels.count <= 40 { text(cx + 8, cy + 4, "\(number)") }
    }
    lines.append("</svg>")
    return lines.joined(separator: "\n")
  }
}

private func power10(_ exponent: Double) -> Double { pow(10, exponent) }

/// A coordinate with one digit.
func at(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
