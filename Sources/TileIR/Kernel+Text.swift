// The text form of a kernel, written. `Kernel(text:)` reads it back; the text is the kernel's identity in caches.
// Not a syntax for people to write much in; it is made so that two dumps diff well: values are numbered per phase.
// Surprise: global index arithmetic is printed where it is used, `[1, N - 1]`, and by name (`$0`) only if used twice.
//
//   kernel @softmax(M, N) {
//     input x: f32[M, N] strides [N, 1]
//     output y: f32[M, N] strides [N, 1]
//     phase grid (M) {
//       %0 = pid 0
//       %1 = load x[%0, t1] fill -inf : f32[1, N]
//       %2 = reduce.maximum %1 axes [1] : f32[1, 1]
//       ...
//       store.streaming y[%0, t1], %9
//     }
//   }
//
// An access has one coordinate per buffer axis: `start + scale*t<tile axis> + [indirect tile] ?`, with `?` for a guard.
import Basics
import Scalars
import TensorTypes

extension Kernel: CustomStringConvertible {
  /// Counts changes of what the text means; part of every key made from it.
  package static let textVersion = 1

  /// The name of this kernel's dumped stages; unlike `name`, no two kernels share it.
  package var stageName: String {
    var hash = StableHash()
    hash.combine(text)
    return "\(name)-\(hash.description.prefix(8))"
  }

  /// The kernel as text. Equal texts mean equal programs.
  package var text: String {
    var printer = KernelPrinter(kernel: self)
    return printer.text()
  }
  package var description: String { text }

  /// The line of the text that makes `value` or does it, for messages; nil for what has none of its own.
  package func statement(of value: TileValue) -> String? {
    var printer = KernelPrinter(kernel: self)
    _ = printer.text()
    return printer.statements[value]
  }

  /// A global index expression in messages: "min(64, N - 4)"; values of an instance are "%?12".
  func expressionText(_ value: TileValue) -> String {
    var printer = KernelPrinter(kernel: self, forMessage: true)
    return printer.expression(value, isOperand: false)
  }
}

/// First words of operations other than `map` (which has the instruction's) and index arithmetic (which has none).
enum TileKeyword: String, CaseIterable {
  case pid, splat, coordinates, load, store, convert, bitcast, broadcast, transpose, reduce, scan, sort, dot
  case loop = "for"
}

extension TileOperation {
  /// The word by which text and messages know this operation.
  package var spelling: String {
    switch self {
    case .programID: TileKeyword.pid.rawValue
    case .argument: "argument"
    case .index: "constant"
    case .indexBinary(let operation, _, _): operation.rawValue
    case .splat, .splatArgument: TileKeyword.splat.rawValue
    case .coordinates: TileKeyword.coordinates.rawValue
    case .load: TileKeyword.load.rawValue
    case .store(_, _, let mode): TileKeyword.store.rawValue + mode.suffix
    case .map(let instruction, _): instruction.rawValue
    case .convert: TileKeyword.convert.rawValue
    case .bitcast: TileKeyword.bitcast.rawValue
    case .broadcast: TileKeyword.broadcast.rawValue
    case .transpose: TileKeyword.transpose.rawValue
    case .reduce(let monoid, _, _): "\(TileKeyword.reduce.rawValue).\(monoid.rawValue)"
    case .argReduce(let monoid, _, _): "\(TileKeyword.reduce.rawValue).\(monoid.rawValue)"
    case .scan(let monoid, _, _): "\(TileKeyword.scan.rawValue).\(monoid.rawValue)"
    case .argScan(let monoid, _, _): "\(TileKeyword.scan.rawValue).\(monoid.rawValue)"
    case .sortOrder(_, let descending, _):
      "\(TileKeyword.sort.rawValue).\(descending ? "descending" : "ascending")"
    case .dot: TileKeyword.dot.rawValue
    case .loop: TileKeyword.loop.rawValue
    case .result: "result"
    case .regionArgument: "region argument"
    }
  }
}

extension StoreMode {
  var suffix: String {
    switch self {
    case .plain: ""
    case .streaming: ".streaming"
    case .accumulate(let monoid): ".accumulate.\(monoid.rawValue)"
    }
  }
}

extension DimOperation {
  /// Written `min(a, b)` rather than `a + b`.
  var isWrittenAsCall: Bool {
    switch self {
    case .minimum, .maximum, .ceilDivide: true
    case .add, .subtract, .multiply, .floorDivide, .modulo: false
    }
  }
}

extension ScalarConstant {
  /// The value without its dtype, exact: "1.5", "-inf", "nan(7ff8000000000001)".
  var valueText: String {
    guard dtype.isFloating else { return "\(integerValue)" }
    let value = doubleValue
    if value.isNaN { return bits == Double.nan.bitPattern ? "nan" : "nan(\(String(bits, radix: 16)))" }
    return "\(value)"
  }
}

/// Names in texts: as they are if they look like names and are no word of the language, else quoted.
func quotedIfNeeded(_ name: String) -> String {
  let isWord = !name.isEmpty && name.utf8.allSatisfy { KernelLexer.continuesName($0) }
  if isWord, let first = name.utf8.first, KernelLexer.startsName(first), !KernelLexer.isReserved(name) { return name }
  var text = "\""
  for scalar in name.unicodeScalars {
    switch scalar {
    case "\"", "\\": text += "\\\(scalar)"
    case _ where scalar.value < 32 || scalar.value == 127: text += "\\u{\(String(scalar.value, radix: 16))}"
    default: text.unicodeScalars.append(scalar)
    }
  }
  return text + "\""
}

struct KernelPrinter {
  let kernel: Kernel
  /// The first of two walks only finds which global arithmetic is used more than once, and in what order.
  private var isCounting = true
  private var uses: [TileValue: Int] = [:]
  private var depths: [TileValue: Int] = [:]
  private var order: [TileValue] = []
  private var names: [TileValue: String] = [:]
  private var next = 0
  private var lines: [String] = []
  private(set) var statements: [TileValue: String] = [:]
  private var indent = 0

  /// Deeper global arithmetic is named, so that no reader has to recurse far.
  static let inlineDepth = 6

  /// In a message nothing is named, and what is too long is cut.
  private var messageBudget: Int?

  init(kernel: Kernel, forMessage: Bool = false) {
    self.kernel = kernel
    if forMessage {
      isCounting = false
      messageBudget = 40
    }
  }

  mutating func text() -> String {
    body()
    isCounting = false
    let shared = order.filter { uses[$0, default: 0] > 1 || depths[$0, default: 0] % Self.inlineDepth == 0 }
    let parameters = kernel.arguments.map(quotedIfNeeded).joined(separator: ", ")
    lines = ["kernel @\(quotedIfNeeded(kernel.name))(\(parameters)) {"]
    indent = 1
    for (number, value) in shared.enumerated() {
      line("let $\(number) = \(expression(value, isOperand: false))")
      names[value] = "$\(number)"
    }
    body()
    return lines.joined(separator: "\n") + "\n}\n"
  }

  private mutating func line(_ text: String, of value: TileValue? = nil) {
    guard !isCounting else { return }
    lines.append(String(repeating: "  ", count: indent) + text)
    if let value { statements[value] = text }
  }

  // MARK: Kernel

  private mutating func body() {
    for buffer in kernel.buffers {
      let shape = list(buffer.shape)
      let layout =
        switch buffer.layout {
        case .strided(let strides): "strides [\(list(strides))]"
        case .rowMajor(let pad): "rowMajor(\(pad))"
        case .panels(let width, let pad): "panels(\(width), \(pad))"
        }
      line("\(buffer.role.rawValue) \(quotedIfNeeded(buffer.name)): \(buffer.dtype)[\(shape)] \(layout)")
    }
    for phase in kernel.phases {
      next = 0
      line("phase \(phase.isBeside ? "beside " : "")grid (\(list(phase.grid))) {")
      self.region(phase.body)
      line("}")
    }
  }

  private mutating func region(_ region: Region) {
    indent += 1
    var next = 0
    while next < region.operations.count {
      let value = region.operations[next]
      next += 1
      guard kernel.nodes.indices.contains(Int(value.id)) else { continue }
      if case .loop(let count, let initial, let body) = kernel[value].operation {
        let results = region.operations[next...].prefix(initial.count)
        loop(value, count, initial, body, Array(results))
        next += results.count
      } else {
        operation(value)
      }
    }
    if !region.yields.isEmpty { line("yield \(list(region.yields))") }
    indent -= 1
  }

  private mutating func loop(
    _ value: TileValue, _ count: TileValue, _ initial: [TileValue], _ body: Region, _ results: [TileValue]
  ) {
    let trips = expression(count, isOperand: true)
    let starts = initial.map { expression($0, isOperand: true) }
    let arguments = body.arguments.map { define($0) }
    let carried = zip(arguments.dropFirst(), starts).map { "\($0) = \($1)" }.joined(separator: ", ")
    // Results are named before the body, so that the numbers ascend down the page.
    let made = results.map { define($0) }.joined(separator: ", ")
    let counter = arguments.first ?? "%?"
    line(
      (made.isEmpty ? "" : "\(made) = ") + "\(TileKeyword.loop.rawValue) \(counter) < \(trips)"
        + (carried.isEmpty ? "" : " carried (\(carried))") + " {", of: value)
    region(body)
    line("}")
  }

  private mutating func define(_ value: TileValue) -> String {
    let name = "%\(next)"
    next += 1
    names[value] = name
    return name
  }

  // MARK: Operations

  private mutating func operation(_ value: TileValue) {
    let node = kernel[value]
    let word = node.operation.spelling
    let text: String
    switch node.operation {
    case .store(let access, let stored, _):
      let place = self.access(access)
      let tile = expression(stored, isOperand: true)
      line("\(word) \(place), \(tile)", of: value)
      return
    case .programID(let axis): text = "\(word) \(axis)"
    case .argument, .index: text = "?\(word)"
    case .indexBinary: text = arithmetic(value, isOperand: false)
    case .splat(let constant): text = "\(word) \(constant.valueText)"
    case .splatArgument(let i):
      text = "\(word) \(kernel.arguments.indices.contains(i) ? quotedIfNeeded(kernel.arguments[i]) : "?")"
    case .coordinates(let start, let axis, let scale):
      text = "\(word) \(map(AxisMap(start, tileAxis: axis, scale: scale)))"
    case .load(let access, let fill):
      let place = self.access(access)
      let isZero = fill == ScalarConstant(fill.dtype, integer: 0)
      text = "\(word) \(place)" + (isZero ? "" : " fill \(fill.valueText)")
    case .map(_, let operands): text = "\(word) \(list(operands))"
    case .convert(let a), .bitcast(let a), .broadcast(let a): text = "\(word) \(expression(a, isOperand: true))"
    case .transpose(let a, let permutation): text = "\(word) \(expression(a, isOperand: true)) \(permutation)"
    case .reduce(_, let axes, let a): text = "\(word) \(expression(a, isOperand: true)) axes \(axes)"
    case .argReduce(_, let axis, let a), .scan(_, let axis, let a), .argScan(_, let axis, let a),
      .sortOrder(let axis, _, let a):
      text = "\(word) \(expression(a, isOperand: true)) axis \(axis)"
    case .dot(let accumulator, let a, let b): text = "\(word) \(list([a, b])), acc \(list([accumulator]))"
    case .result(let loop, let i): text = "?\(word) \(i) of \(expression(loop, isOperand: true))"
    case .loop, .regionArgument: text = "?\(word)"
    }
    let type = node.dtype.map { " : \($0)\(shape(node.shape))" } ?? ""
    let name = define(value)
    line("\(name) = \(text)\(type)", of: value)
  }

  private mutating func shape(_ extents: [Extent]) -> String {
    let texts = extents.map { extent in
      switch extent {
      case .constant(let n): "\(n)"
      case .value(let value): expression(value, isOperand: false)
      }
    }
    return "[\(texts.joined(separator: ", "))]"
  }

  private mutating func access(_ access: Access) -> String {
    let name = kernel.buffers.indices.contains(access.buffer) ? quotedIfNeeded(kernel.buffers[access.buffer].name) : "?"
    let maps = access.axes.map { map($0) }.joined(separator: ", ")
    return "\(name)[\(maps)]" + (access.reinterpreted.map { " as \($0)" } ?? "")
  }

  private mutating func map(_ map: AxisMap) -> String {
    var terms: [String] = []
    let isZero = map.start.id >= 0 && map.start.id < kernel.nodes.count && kernel[map.start].operation == .index(0)
    if !isZero || (map.tileAxis == nil && map.indirect == nil) { terms.append(expression(map.start, isOperand: true)) }
    if let axis = map.tileAxis { terms.append(map.scale == 1 ? "t\(axis)" : "\(map.scale)*t\(axis)") }
    if let indirect = map.indirect { terms.append("[\(expression(indirect, isOperand: true))]") }
    return terms.joined(separator: " + ") + (map.guarded ? "?" : "")
  }

  // MARK: Values

  private mutating func list(_ values: [TileValue]) -> String {
    values.map { expression($0, isOperand: false) }.joined(separator: ", ")
  }

  /// A named value, a constant, an argument, or global arithmetic; the last in parentheses where it is an operand.
  mutating func expression(_ value: TileValue, isOperand: Bool) -> String {
    if let name = names[value] { return name }
    guard kernel.nodes.indices.contains(Int(value.id)) else { return "%?\(value.id)" }
    switch kernel[value].indexForm {
    case .constant(let constant): return "\(constant)"
    case .argument(let i): return kernel.arguments.indices.contains(i) ? quotedIfNeeded(kernel.arguments[i]) : "?"
    case .binary(_, let a, let b):
      // In valid kernels operands come first; what does not is not followed, it could be a cycle.
      guard a.id < value.id, b.id < value.id else { return "%?\(value.id)" }
      if let budget = messageBudget {
        guard budget > 0 else { return "..." }
        messageBudget = budget - 1
      }
      guard isCounting else { return arithmetic(value, isOperand: isOperand) }
      uses[value, default: 0] += 1
      if uses[value] == 1 {
        _ = arithmetic(value, isOperand: false)
        depths[value] = 1 + max(depths[a, default: 0], depths[b, default: 0])
        order.append(value)
      }
      return ""
    case .programID, .counter, nil: return "%?\(value.id)"
    }
  }

  private mutating func arithmetic(_ value: TileValue, isOperand: Bool) -> String {
    guard case .indexBinary(let operation, let a, let b) = kernel[value].operation else { return "?" }
    if operation.isWrittenAsCall {
      let x = expression(a, isOperand: false)
      return "\(operation.rawValue)(\(x), \(expression(b, isOperand: false)))"
    }
    let x = expression(a, isOperand: true)
    let text = "\(x) \(operation.rawValue) \(expression(b, isOperand: true))"
    return isOperand ? "(\(text))" : text
  }
}
