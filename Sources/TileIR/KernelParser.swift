// Reads the text form that `Kernel.text` writes. Grammar and names only; what the kernel means is checked by
// `verified()`, which `Kernel(text:)` calls last. Surprise: line breaks mean nothing, every statement shows its end.
import Basics
import Scalars
import TensorTypes

extension Kernel {
  /// The verified kernel that `text` describes.
  /// - Throws: a `Diagnostic` with line and column where the text is malformed, or the constraint the kernel breaks.
  package init(text: String) throws(Diagnostic) {
    var parser = KernelParser(tokens: try KernelLexer.tokens(text))
    self = try parser.kernelText()
    try verified()
  }
}

private struct KernelParser {
  private typealias Token = KernelLexer.Token

  private let tokens: [KernelLexer.Token]
  private var position = 0
  private var kernel = Kernel(name: "")
  private var constants: [Int: TileValue] = [:]
  private var arguments: [String: TileValue] = [:]
  private var buffers: [String: Int] = [:]
  private var shared: [Int: TileValue] = [:]
  private var values: [Int: TileValue] = [:]
  private var globals: Set<TileValue> = []
  private var open: [[TileValue]] = []
  private var depth = 0

  /// Of parentheses and loops; deeper text is refused before it can exhaust the stack.
  static let maximumDepth = 64

  init(tokens: [KernelLexer.Token]) { self.tokens = tokens }

  // MARK: Words

  private var token: Token { tokens[position] }

  private func failure(_ message: String) -> Diagnostic { KernelLexer.failure(token, message) }
  private func expected(_ what: String) -> Diagnostic { failure("expected \(what), found \(token.spelling)") }

  private mutating func advance() {
    if position < tokens.count - 1 { position += 1 }
  }
  private mutating func accept(_ character: Character) -> Bool {
    guard token.kind == .punctuation(character) else { return false }
    advance()
    return true
  }
  private mutating func expect(_ character: Character) throws(Diagnostic) {
    guard accept(character) else { throw expected("'\(character)'") }
  }
  private mutating func accept(word: String) -> Bool {
    guard token.kind == .name(word) else { return false }
    advance()
    return true
  }
  private mutating func expect(word: String) throws(Diagnostic) {
    guard accept(word: word) else { throw expected("'\(word)'") }
  }
  private mutating func name(_ what: String) throws(Diagnostic) -> String {
    switch token.kind {
    case .name(let text), .quoted(let text):
      advance()
      return text
    case .value, .shared, .number, .punctuation, .end: throw expected(what)
    }
  }
  private mutating func integer() throws(Diagnostic) -> Int {
    let sign = accept("-") ? "-" : ""
    guard case .number(let digits) = token.kind else { throw expected("an integer") }
    guard let value = Int(sign + digits) else { throw failure("\(sign)\(digits) is no 64-bit integer") }
    advance()
    return value
  }
  private mutating func deeper<T>(
    _ body: (inout KernelParser) throws(Diagnostic) -> T
  ) throws(Diagnostic) -> T {
    guard depth < Self.maximumDepth else { throw failure("more than \(Self.maximumDepth) levels of nesting") }
    depth += 1
    defer { depth -= 1 }
    return try body(&self)
  }
  /// Elements between brackets.
  private mutating func list<T>(
    _ opening: Character, _ closing: Character, _ element: (inout KernelParser) throws(Diagnostic) -> T
  ) throws(Diagnostic) -> [T] {
    var elements: [T] = []
    try expect(opening)
    if accept(closing) { return elements }
    repeat { elements.append(try element(&self)) } while accept(",")
    try expect(closing)
    return elements
  }

  // MARK: Kernel

  mutating func kernelText() throws(Diagnostic) -> Kernel {
    try expect(word: "kernel")
    try expect("@")
    kernel.name = try name("the kernel's name")
    let names = try list("(", ")") { parser throws(Diagnostic) in try parser.name("an argument's name") }
    for name in names {
      kernel.arguments.append(name)
      arguments[name] = global(.argument(kernel.arguments.count - 1))
    }
    try expect("{")
    while !accept("}") { try declaration() }
    guard token.kind == .end else { throw expected("the end") }
    return kernel
  }

  private mutating func declaration() throws(Diagnostic) {
    if accept(word: "let") {
      guard case .shared(let number) = token.kind else { throw expected("'$' and a number") }
      guard shared[number] == nil else { throw failure("$\(number) is defined twice") }
      advance()
      try expect("=")
      shared[number] = try globalExpression()
    } else if accept(word: "phase") {
      try phase()
    } else if case .name(let word) = token.kind, let role = Buffer.Role(rawValue: word) {
      advance()
      try buffer(role)
    } else {
      throw expected("'let', 'input', 'output', 'scratch', 'phase' or '}'")
    }
  }

  private mutating func buffer(_ role: Buffer.Role) throws(Diagnostic) {
    let name = try name("a buffer's name")
    try expect(":")
    let dtype = try dtype()
    let shape = try list("[", "]") { parser throws(Diagnostic) in try parser.globalExpression() }
    let layout: BufferLayout
    if accept(word: "strides") {
      layout = .strided(try list("[", "]") { parser throws(Diagnostic) in try parser.globalExpression() })
    } else if accept(word: "rowMajor") {
      try expect("(")
      layout = .rowMajor(pad: try integer())
      try expect(")")
    } else if accept(word: "panels") {
      try expect("(")
      let width = try integer()
      try expect(",")
      layout = .panels(width: width, pad: try integer())
      try expect(")")
    } else {
      throw expected("'strides', 'rowMajor' or 'panels'")
    }
    buffers[name] = kernel.buffers.count
    kernel.buffers.append(Buffer(name: name, dtype: dtype, shape: shape, layout: layout, role: role))
  }

  private mutating func phase() throws(Diagnostic) {
    let isBeside = accept(word: "beside")
    try expect(word: "grid")
    let grid = try list("(", ")") { parser throws(Diagnostic) in try parser.globalExpression() }
    values = [:]
    var body = Region()
    try region(&body)
    kernel.phases.append(Phase(grid: grid, body: body, isBeside: isBeside))
  }

  private mutating func region(_ region: inout Region) throws(Diagnostic) {
    try expect("{")
    open.append([])
    while !accept("}") {
      if accept(word: "yield") {
        repeat { region.yields.append(try operand()) } while accept(",")
        try expect("}")
        break
      }
      try deeper { parser throws(Diagnostic) in try parser.statement() }
    }
    region.operations = open.removeLast()
  }

  // MARK: Nodes

  private mutating func global(_ operation: TileOperation) -> TileValue {
    kernel.nodes.append(TileNode(operation: operation, dtype: nil, shape: []))
    let value = TileValue(kernel.nodes.count - 1)
    globals.insert(value)
    return value
  }
  private mutating func append(_ operation: TileOperation, _ dtype: DType? = nil, _ shape: [Extent] = []) -> TileValue {
    kernel.nodes.append(TileNode(operation: operation, dtype: dtype, shape: shape))
    let value = TileValue(kernel.nodes.count - 1)
    if !open.isEmpty { open[open.count - 1].append(value) }
    return value
  }
  /// A value that is an argument of a region, hence in no list of operations.
  private mutating func regionArgument(_ dtype: DType?, _ shape: [Extent]) -> TileValue {
    kernel.nodes.append(TileNode(operation: .regionArgument, dtype: dtype, shape: shape))
    return TileValue(kernel.nodes.count - 1)
  }
  private mutating func constant(_ value: Int) -> TileValue {
    if let known = constants[value] { return known }
    let made = global(.index(value))
    constants[value] = made
    return made
  }

  private mutating func newName() throws(Diagnostic) -> Int {
    guard case .value(let number) = token.kind else { throw expected("'%' and a number") }
    guard values[number] == nil else { throw failure("%\(number) is defined twice") }
    advance()
    return number
  }

  // MARK: Expressions

  /// `%3`, `$0`, a name, a constant, a call or parentheses.
  private mutating func operand() throws(Diagnostic) -> TileValue {
    let start = token
    switch start.kind {
    case .value(let number):
      guard let value = values[number] else { throw failure("%\(number) is not defined") }
      advance()
      return value
    case .shared(let number):
      guard let value = shared[number] else { throw failure("$\(number) is not defined") }
      advance()
      return value
    case .number, .punctuation("-"): return constant(try integer())
    case .quoted(let name): return try argument(name)
    case .name(let name):
      guard let operation = DimOperation(rawValue: name), operation.isWrittenAsCall else { return try argument(name) }
      let (a, b) = try call()
      return try inline(operation, a, b, start)
    case .punctuation("("):
      advance()
      let value = try deeper { parser throws(Diagnostic) in try parser.globalExpression() }
      try expect(")")
      return value
    case .punctuation, .end: throw expected("a value")
    }
  }

  private mutating func argument(_ name: String) throws(Diagnostic) -> TileValue {
    guard let value = arguments[name] else { throw failure("the kernel has no argument \(name)") }
    advance()
    return value
  }

  private mutating func call() throws(Diagnostic) -> (TileValue, TileValue) {
    advance()
    try expect("(")
    let a = try deeper { parser throws(Diagnostic) in try parser.globalExpression() }
    try expect(",")
    let b = try deeper { parser throws(Diagnostic) in try parser.globalExpression() }
    try expect(")")
    return (a, b)
  }

  private mutating func infix() -> DimOperation? {
    guard case .punctuation(let character) = token.kind, let operation = DimOperation(rawValue: String(character))
    else { return nil }
    advance()
    return operation
  }

  private mutating func inline(
    _ operation: DimOperation, _ a: TileValue, _ b: TileValue, _ start: Token
  ) throws(Diagnostic) -> TileValue {
    guard globals.contains(a), globals.contains(b) else {
      throw KernelLexer.failure(start, "arithmetic on values of an instance needs a line of its own")
    }
    return global(.indexBinary(operation, a, b))
  }

  /// A value, or arithmetic on constants and launch arguments.
  private mutating func globalExpression() throws(Diagnostic) -> TileValue {
    let start = token
    let a = try operand()
    guard let operation = infix() else { return a }
    return try inline(operation, a, try operand(), start)
  }

  private mutating func dtype() throws(Diagnostic) -> DType {
    guard case .name(let name) = token.kind, let dtype = DType(name) else { throw expected("a dtype") }
    advance()
    return dtype
  }

  private mutating func extents() throws(Diagnostic) -> [Extent] {
    try list("[", "]") { parser throws(Diagnostic) in
      let value = try parser.globalExpression()
      if case .index(let constant) = parser.kernel[value].operation { return Extent.constant(constant) }
      return Extent.value(value)
    }
  }

  private mutating func type() throws(Diagnostic) -> (DType, [Extent]) {
    try expect(":")
    let dtype = try dtype()
    return (dtype, try extents())
  }

  private mutating func scalar(_ dtype: DType) throws(Diagnostic) -> ScalarConstant {
    guard dtype.isFloating else { return ScalarConstant(dtype, integer: Int64(try integer())) }
    let sign = accept("-") ? "-" : ""
    switch token.kind {
    case .name("inf"):
      advance()
      return ScalarConstant(dtype, sign.isEmpty ? .infinity : -.infinity)
    case .name("nan"):
      advance()
      guard accept("(") else { return ScalarConstant(dtype, .nan) }
      // Those of a negative one start with a letter.
      let digits: String
      switch token.kind {
      case .number(let text), .name(let text): digits = text
      case .quoted, .value, .shared, .punctuation, .end: throw expected("the bits of a NaN")
      }
      guard let bits = UInt64(digits, radix: 16) else { throw expected("the bits of a NaN") }
      guard Double(bitPattern: bits).isNaN else { throw failure("\(digits) are not the bits of a NaN") }
      advance()
      try expect(")")
      return ScalarConstant(dtype, Double(bitPattern: bits))
    case .number(let text):
      guard let value = Double(sign + text) else { throw failure("\(sign)\(text) is no number") }
      advance()
      return ScalarConstant(dtype, value)
    case .name, .quoted, .value, .shared, .punctuation, .end: throw expected("a number")
    }
  }

  /// `start + scale*t0 + [index] ?`, each part but one optional.
  private mutating func axisMap() throws(Diagnostic) -> AxisMap {
    var start: TileValue?
    var map = AxisMap(TileValue(0))
    repeat {
      if map.indirect == nil, accept("[") {
        map.indirect = try operand()
        try expect("]")
      } else if map.tileAxis == nil, map.indirect == nil, let (axis, scale) = try tileTerm() {
        map.tileAxis = axis
        map.scale = scale
      } else if start == nil, map.tileAxis == nil, map.indirect == nil {
        start = try operand()
      } else {
        throw expected("',' or ']' or '?' after a coordinate")
      }
    } while accept("+")
    map.start = start ?? constant(0)
    map.guarded = accept("?")
    return map
  }

  /// `t0` or `4*t0`.
  private mutating func tileTerm() throws(Diagnostic) -> (axis: Int, scale: Int)? {
    if case .name(let name) = token.kind, let axis = KernelLexer.tileAxis(name) {
      advance()
      return (axis, 1)
    }
    let before = position
    switch token.kind {
    case .number, .punctuation("-"): break
    case .name, .quoted, .value, .shared, .punctuation, .end: return nil
    }
    let scale = try integer()
    guard accept("*"), case .name(let name) = token.kind, let axis = KernelLexer.tileAxis(name) else {
      position = before
      return nil
    }
    advance()
    return (axis, scale)
  }

  private mutating func access() throws(Diagnostic) -> Access {
    let place = token
    let name = try name("a buffer's name")
    guard let buffer = buffers[name] else { throw KernelLexer.failure(place, "there is no buffer \(name)") }
    let axes = try list("[", "]") { parser throws(Diagnostic) in try parser.axisMap() }
    return Access(buffer, axes, reinterpreted: accept(word: "as") ? try dtype() : nil)
  }

  private mutating func operands() throws(Diagnostic) -> [TileValue] {
    var values: [TileValue] = []
    repeat { values.append(try operand()) } while accept(",")
    return values
  }

  private mutating func integers() throws(Diagnostic) -> [Int] {
    try list("[", "]") { parser throws(Diagnostic) in try parser.integer() }
  }

  // MARK: Statements

  private mutating func statement() throws(Diagnostic) {
    if case .name(let word) = token.kind {
      if word == TileKeyword.loop.rawValue { return try loop(results: []) }
      if word.prefix(while: { $0 != "." }) == TileKeyword.store.rawValue { return try store(word) }
      throw expected("a statement")
    }
    var names = [try newName()]
    while accept(",") { names.append(try newName()) }
    try expect("=")
    if case .name(TileKeyword.loop.rawValue) = token.kind { return try loop(results: names) }
    guard names.count == 1 else { throw expected("'for'") }
    values[names[0]] = try operation()
  }

  private mutating func store(_ word: String) throws(Diagnostic) {
    let modes: [StoreMode] = [.plain, .streaming] + Monoid.allCases.map { .accumulate($0) }
    guard let mode = modes.first(where: { TileKeyword.store.rawValue + $0.suffix == word }) else {
      throw failure("\(word) is no kind of store")
    }
    advance()
    let access = try access()
    try expect(",")
    _ = append(.store(access, try operand(), mode))
  }

  private mutating func loop(results: [Int]) throws(Diagnostic) {
    let place = token
    advance()
    let counterName = try newName()
    try expect("<")
    let count = try operand()
    let counter = regionArgument(nil, [])
    values[counterName] = counter
    var region = Region(arguments: [counter])
    var initial: [TileValue] = []
    var carried: [(name: Int, value: TileValue)] = []
    if accept(word: "carried") {
      carried = try list("(", ")") { parser throws(Diagnostic) in
        let name = try parser.newName()
        try parser.expect("=")
        let start = try parser.operand()
        initial.append(start)
        let node = parser.kernel[start]
        return (name, parser.regionArgument(node.dtype, node.shape))
      }
    }
    for (name, value) in carried {
      guard values.updateValue(value, forKey: name) == nil else {
        throw KernelLexer.failure(place, "%\(name) is defined twice")
      }
      region.arguments.append(value)
    }
    guard results.count == initial.count else {
      throw KernelLexer.failure(place, "\(results.count) results of \(initial.count) carried tiles")
    }
    try self.region(&region)
    let loop = append(.loop(count: count, initial: initial, region))
    for (i, name) in results.enumerated() {
      let node = kernel[initial[i]]
      let result = append(.result(loop, i), node.dtype, node.shape)
      guard values.updateValue(result, forKey: name) == nil else {
        throw KernelLexer.failure(place, "%\(name) is defined twice")
      }
    }
  }

  private mutating func operation() throws(Diagnostic) -> TileValue {
    guard case .name(let word) = token.kind else { return try arithmetic() }
    let parts = word.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    if let keyword = TileKeyword(rawValue: String(parts[0])) {
      advance()
      return try operation(keyword, parts.count > 1 ? String(parts[1]) : nil, word)
    }
    if let instruction = ScalarInstruction(rawValue: word) {
      advance()
      let operands = try operands()
      let (dtype, shape) = try type()
      return append(.map(instruction, operands), dtype, shape)
    }
    return try arithmetic()
  }

  /// Index arithmetic of an instance: one operation on named or global values.
  private mutating func arithmetic() throws(Diagnostic) -> TileValue {
    let start = token
    let a: TileValue
    if case .name(let word) = start.kind, let operation = DimOperation(rawValue: word), operation.isWrittenAsCall {
      let (x, y) = try call()
      guard case .punctuation(let character) = token.kind, DimOperation(rawValue: String(character)) != nil else {
        return append(.indexBinary(operation, x, y))
      }
      a = try inline(operation, x, y, start)
    } else {
      a = try operand()
    }
    guard let operation = infix() else { throw expected("an operation") }
    return append(.indexBinary(operation, a, try operand()))
  }

  private mutating func operation(
    _ keyword: TileKeyword, _ suffix: String?, _ word: String
  ) throws(Diagnostic) -> TileValue {
    switch keyword {
    case .pid, .splat, .coordinates, .load, .convert, .bitcast, .broadcast, .transpose, .dot:
      if suffix != nil { throw failure("there is no \(word)") }
    case .store, .loop: throw failure("\(word) has no value")
    case .reduce, .scan, .sort: break
    }
    switch keyword {
    case .pid: return append(.programID(try integer()))
    case .splat: return try splat()
    case .coordinates:
      let map = try axisMap()
      guard map.indirect == nil, !map.guarded else { throw failure("coordinates have neither index nor guard") }
      let (dtype, shape) = try type()
      return append(.coordinates(start: map.start, axis: map.tileAxis, scale: map.scale), dtype, shape)
    case .load:
      let access = try access()
      let dtype = access.reinterpreted ?? kernel.buffers[access.buffer].dtype
      let fill = accept(word: "fill") ? try scalar(dtype) : ScalarConstant(dtype, integer: 0)
      let (made, shape) = try type()
      return append(.load(access, fill: fill), made, shape)
    case .convert, .bitcast, .broadcast:
      let a = try operand()
      let (dtype, shape) = try type()
      let operation: TileOperation =
        keyword == .convert ? .convert(a) : keyword == .bitcast ? .bitcast(a) : .broadcast(a)
      return append(operation, dtype, shape)
    case .transpose:
      let a = try operand()
      let permutation = try integers()
      let (dtype, shape) = try type()
      return append(.transpose(a, permutation: permutation), dtype, shape)
    case .dot:
      let a = try operand()
      try expect(",")
      let b = try operand()
      try expect(",")
      try expect(word: "acc")
      let accumulator = try operand()
      let (dtype, shape) = try type()
      return append(.dot(accumulator: accumulator, a, b), dtype, shape)
    case .reduce, .scan, .sort: return try acrossElements(keyword, suffix ?? "", word)
    case .store, .loop: throw failure("\(word) has no value")
    }
  }

  private mutating func splat() throws(Diagnostic) -> TileValue {
    // The type stands behind the value that it is needed for.
    let isArgument: Bool =
      switch token.kind {
      case .quoted: true
      case .name(let name): name != "inf" && name != "nan"
      case .value, .shared, .number, .punctuation, .end: false
      }
    if isArgument {
      let place = token
      let name = try name("an argument")
      guard let number = kernel.arguments.firstIndex(of: name) else {
        throw KernelLexer.failure(place, "the kernel has no argument \(name)")
      }
      let (dtype, shape) = try type()
      return append(.splatArgument(number), dtype, shape)
    }
    let before = position
    while token.kind != .punctuation(":"), token.kind != .end, token.kind != .punctuation("}") { advance() }
    let (dtype, shape) = try type()
    let after = position
    position = before
    let constant = try scalar(dtype)
    guard token.kind == .punctuation(":") else { throw expected("':'") }
    position = after
    return append(.splat(constant), dtype, shape)
  }

  private mutating func acrossElements(
    _ keyword: TileKeyword, _ suffix: String, _ word: String
  ) throws(Diagnostic) -> TileValue {
    let place = token
    let a = try operand()
    let axes: [Int]
    let monoid = Monoid(rawValue: suffix)
    if keyword == .reduce, monoid != nil {
      try expect(word: "axes")
      axes = try integers()
    } else {
      try expect(word: "axis")
      axes = [try integer()]
    }
    let (dtype, shape) = try type()
    let operation: TileOperation
    if keyword == .sort {
      guard suffix == "ascending" || suffix == "descending" else {
        throw KernelLexer.failure(place, "there is no \(word)")
      }
      operation = .sortOrder(axis: axes[0], descending: suffix == "descending", a)
    } else if let monoid {
      operation = keyword == .reduce ? .reduce(monoid, axes: axes, a) : .scan(monoid, axis: axes[0], a)
    } else if let monoid = ArgMonoid(rawValue: suffix) {
      operation = keyword == .reduce ? .argReduce(monoid, axis: axes[0], a) : .argScan(monoid, axis: axes[0], a)
    } else {
      throw KernelLexer.failure(place, "there is no \(word)")
    }
    return append(operation, dtype, shape)
  }
}
