// Eight numbers that tell whether two programs computed the same tensor: another program's outputs are compared without
// being stored. Surprise: the samples are taken at fixed shares of the row-major order, as numpy's linspace gives them.
import Basics
import Foundation
import Tensors

/// The root mean square, the mean absolute value, and six samples of a tensor's elements in f32.
package struct Fingerprint: Sendable, Hashable {
  /// [rms, mean absolute value, sample 0 ... 5]
  package var values: [Double]

  /// - Throws: what went wrong on the way to `tensor`.
  package init(of tensor: Tensor) throws(Diagnostic) {
    self.init(of: try tensor.converted(to: .f32).array(as: Float.self))
  }

  init(of elements: [Float]) {
    guard !elements.isEmpty else {
      values = []
      return
    }
    var squares = 0.0
    var sizes = 0.0
    elements.withUnsafeBufferPointer { elements in
      for element in elements {
        let wide = Double(element)
        squares += wide * wide
        sizes += abs(wide)
      }
    }
    let count = Double(elements.count)
    let samples = (0..<6).map { i in
      Double(elements[Int((i == 5 ? 0.999 : Double(i) * (0.999 / 5)) * count)])
    }
    values = [(squares / count).squareRoot(), sizes / count] + samples
  }

  package init(values: [Double]) { self.values = values }

  /// Whether the moments agree within `tolerance` of the rms (or of themselves), the samples within four times that.
  package func isClose(to reference: Fingerprint, tolerance: Double) -> Bool {
    guard values.count == reference.values.count, let scale = values.first.map(abs) else { return false }
    return zip(values, reference.values).enumerated().allSatisfy { place, pair in
      let isMoment = place < 2
      let unit = max(scale, isMoment ? abs(pair.1) : 0, 1e-30)
      // A NaN is close to nothing.
      return abs(pair.0 - pair.1) <= tolerance * unit * (isMoment ? 1 : 4)
    }
  }

  package var json: JSON { .array(values.map { .number($0) }) }
}

extension Workload {
  /// What another system computed: a JSON object from workloads' names to the fingerprints of their outputs.
  /// - Throws: a Diagnostic if the file cannot be read or is something else.
  package static func recordedChecks(path: String) throws(Diagnostic) -> [String: [Fingerprint]] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Diagnostic(.file, "\(path) cannot be read", remedy: "give the path of recorded checks")
    }
    guard let members = try JSON(parsing: data).members else {
      throw Diagnostic(.format, "\(path) is no JSON object of recorded checks")
    }
    var checks: [String: [Fingerprint]] = [:]
    for member in members {
      // Other members say where the checks come from.
      guard let outputs = member.value.array else { continue }
      checks[member.key] = outputs.map { Fingerprint(values: ($0.array ?? []).compactMap(\.double)) }
    }
    return checks
  }
}
