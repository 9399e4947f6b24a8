// The kernels of a segment as a picture: boxes in layers, arrows from who writes to who reads.
// Not a layout engine: a kernel stands one row below the lowest of its sources, rows are filled in launch order.
// Surprise: very long programs are cut, and the picture says so.
import Targets

struct GraphPicture {
  private let kernels: [Report.Kernel]
  private let card: MachineCard?
  private let omitted: Int
  /// Row and place in the row of each kernel.
  private let places: [(row: Int, column: Int)]
  private let columns: Int
  private let rows: Int

  static let longest = 240
  private static let box = (width: 190.0, height: 44.0, gapX: 24.0, gapY: 36.0)

  init(_ segment: Report.Segment, card: MachineCard?) {
    let kernels = Array(segment.kernels.prefix(Self.longest))
    var depths: [Int] = []
    var filled: [Int] = []
    var places: [(row: Int, column: Int)] = []
    for (number, kernel) in kernels.enumerated() {
      // A source that does not come before its reader is a mistake of whoever made the report: it is left out.
      let row = kernel.sources.filter { $0 >= 0 && $0 < number }.map { depths[$0] + 1 }.max() ?? 0
      depths.append(row)
      while filled.count <= row { filled.append(0) }
      places.append((row, filled[row]))
      filled[row] += 1
    }
    self.kernels = kernels
    self.card = card
    self.places = places
    omitted = segment.kernels.count - kernels.count
    columns = filled.max() ?? 0
    rows = filled.count
  }

  private func corner(_ number: Int) -> (x: Double, y: Double) {
    let (row, column) = places[number]
    return (
      10 + Double(column) * (Self.box.width + Self.box.gapX), 10 + Double(row) * (Self.box.height + Self.box.gapY)
    )
  }

  var svg: String {
    let width = 20 + Double(columns) * (Self.box.width + Self.box.gapX)
    let height = 20 + Double(rows) * (Self.box.height + Self.box.gapY)
    var lines = [
      "<div class=\"picture\"><svg class=\"graph\" xmlns=\"http://www.w3.org/2000/svg\" width=\"\(Int(width))\""
        + " height=\"\(Int(height))\" viewBox=\"0 0 \(Int(width)) \(Int(height))\""
        + " style=\"max-width: none\" font-family=\"system-ui, sans-serif\" font-size=\"12\">",
      "<defs><marker id=\"arrow\" markerWidth=\"8\" markerHeight=\"8\" refX=\"7\" refY=\"4\" orient=\"auto\">"
        + "<path d=\"M0,0 L8,4 L0,8 z\" fill=\"#5a6b7b\"/></marker></defs>",
    ]
    for (number, kernel) in kernels.enumerated() {
      let to = corner(number)
      for source in kernel.sources where source >= 0 && source < number {
        let from = corner(source)
        let (x1, y1) = (from.x + Self.box.width / 2, from.y + Self.box.height)
        let (x2, y2) = (to.x + Self.box.width / 2, to.y)
        let bend = (y2 - y1) / 2
        lines.append(
          "<path class=\"arrow\" d=\"M\(at(x1)),\(at(y1)) C\(at(x1)),\(at(y1 + bend)) \(at(x2)),\(at(y2 - bend))"
            + " \(at(x2)),\(at(y2))\" fill=\"none\" stroke=\"#5a6b7b\" marker-end=\"url(#arrow)\"/>")
      }
    }
    for (number, kernel) in kernels.enumerated() {
      let (x, y) = corner(number)
      let color = card.map { $0.bound(kernel).color } ?? "#1f6feb"
      let title = "\(number) \(kernel.name)"
      lines.append(
        "<g class=\"node\"><title>\(escaped(title)): \(escaped(kernel.operations.joined(separator: ", ")))</title>"
          + "<rect x=\"\(at(x))\" y=\"\(at(y))\" width=\"\(at(Self.box.width))\" height=\"\(at(Self.box.height))\" rx=\"6\""
          + " fill=\"#ffffff\" stroke=\"\(color)\" stroke-width=\"2\"/>"
          + "<text x=\"\(at(x + 8))\" y=\"\(at(y + 18))\">\(escaped(shortened(title)))</text>"
          + "<text x=\"\(at(x + 8))\" y=\"\(at(y + 35))\" fill=\"#5a6b7b\">\(Quantity.bytes(kernel.bytes)),"
          + " \(Quantity.operations(Double(kernel.flops)))</text></g>")
    }
    lines.append("</svg></div>")
    if omitted > 0 { lines.append("<p>\(Quantity.count(omitted, "kernel")) more, not drawn.</p>") }
    return lines.joined(separator: "\n")
  }

  private func shortened(_ text: String) -> String { text.count <= 26 ? text : "\(text.prefix(25))…" }
}
