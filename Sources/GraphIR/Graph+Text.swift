// The readable form of a graph, like a jaxpr; `Graph(text:)` reads it back, exactly.
//
//   graph softmax(%0 x: f32[s0, s1] strides=[s2, 1]; s0 rows, s1 columns, s2 stride) {
//     %1: f32[s0] = reduce monoid=maximum axes=[1] %0
//     return %1
//   }
//
// Surprise: leading parameters have their value in the header; strides are printed only when not contiguous.
import Scalars
import TensorTypes

extension Graph: CustomStringConvertible {
  package var description: String {
    var text = ""
    write(to: &text, indent: "")
    return text
  }

  /// Parameters 0..<n whose nodes are the first n of the graph: those shown in the header.
  package var leadingParameters: Int {
    var count = 0
    while count < nodes.count, count < parameters.count, nodes[count].primitive == .parameter(count),
      nodes[count].operands.isEmpty, nodes[count].type == parameters[count].type
    {
      count += 1
    }
    return count
  }

  fileprivate func write(to text: inout String, indent: String) {
    let leading = leadingParameters
    let declared = parameters.enumerated().map { index, parameter in
      let value = index < leading ? "%\(index) " : ""
      let strides =
        parameter.strides == parameter.type.shape.contiguousStrides ? "" : " strides=\(Shape(parameter.strides))"
      return "\(value)\(GraphText.name(parameter.name)): \(parameter.type)\(strides)"
    }
    text += "graph \(GraphText.name(name))(\(declared.joined(separator: ", "))"
    if !arguments.isEmpty {
      text += declared.isEmpty ? ";" : "; "
      if declared.isEmpty { text += " " }
      text += arguments.enumerated().map { "s\($0) \(GraphText.name($1))" }.joined(separator: ", ")
    }
    text += ") {\n"
    for (index, node) in nodes.enumerated().dropFirst(leading) {
      text += "\(indent)  %\(index): \(node.type) = \(node.primitive.name)"
      node.primitive.payload.write(to: &text, indent: indent + "  ")
      if !node.operands.isEmpty { text += " " + node.operands.map { "%\($0.id)" }.joined(separator: ", ") }
      text += "\n"
    }
    text += "\(indent)  return"
    if !outputs.isEmpty { text += " " + outputs.map { "%\($0.id)" }.joined(separator: ", ") }
    text += "\n\(indent)}"
  }
}

extension Primitive {
  /// As in a graph's text: "reduce monoid=sum axes=[1]".
  package var text: String { name + payload.text }
}

extension Payload {
  /// " key=value" for each part, as in a graph's text.
  var text: String {
    var text = ""
    write(to: &text, indent: "")
    return text
  }

  /// " key=value" for each part.
  fileprivate func write(to text: inout String, indent: String) {
    for (name, field) in fields {
      text += " \(name)="
      switch field {
      case .integer(let number): text += "\(number)"
      case .integers(let numbers): text += "\(numbers)"
      case .extents(let dims): text += "\(Shape(dims))"
      case .flag(let flag): text += "\(flag)"
      case .dtype(let dtype): text += "\(dtype)"
      case .constant(let constant): text += GraphText.constant(constant)
      case .monoid(let monoid): text += monoid.rawValue
      case .combine(let monoid): text += monoid?.rawValue ?? "none"
      case .winner(let monoid): text += monoid.rawValue
      case .pairs(let pairs): text += GraphText.pairs(pairs)
      case .graph(let reference): reference.graph.write(to: &text, indent: indent)
      }
    }
  }
}

/// How names and numbers are spelt.
enum GraphText {
  /// Letters, digits, `_` and `.` stand as they are; other names are quoted.
  static func name(_ name: String) -> String {
    let plain = name.utf8.allSatisfy { isPlain($0) } && !name.isEmpty
    if plain { return name }
    var text = "\""
    for scalar in name.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }

  static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."):
      true
    default: false
    }
  }

  /// As `ScalarConstant.description`, with the bits of an unusual NaN.
  static func constant(_ constant: ScalarConstant) -> String {
    if constant.dtype.isFloating, constant.doubleValue.isNaN, constant.bits != Double.nan.bitPattern {
      return "nan(0x\(String(constant.bits, radix: 16))):\(constant.dtype)"
    }
    return constant.description
  }

  /// "[0:0, 2:1]": axes of the left and of the right operand.
  static func pairs(_ pairs: [ContractionAxes.Pair]) -> String {
    "[" + pairs.map { "\($0.left):\($0.right)" }.joined(separator: ", ") + "]"
  }
}
