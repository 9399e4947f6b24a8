// `compile`: what users call. Not the capture itself. Surprise: every overload makes the same object; they differ in how
// a Swift function's shape (one result or a tuple, with or without state) is taken apart and put together.
import Basics

/// Which extents of the arguments may vary within one plan.
public enum DynamicShapes: Sendable, Hashable {
  /// The first size is a number; an extent that changes becomes a symbol, and later sizes need no new plan.
  case automatic
  /// Every size has its own plan.
  case fixed
  /// As `automatic`, and the named axes are symbols from the first call (0 and 1 excepted): by the path of a member of
  /// the state ("layers.0.keys"), or the place of an argument ("0", "1.weight").
  case axes([String: [Int]])
  /// Every axis of every tensor is a symbol from the first call (0 and 1 excepted). PyTorch: `dynamic=True`.
  case all
}

/// A function whose operations are captured once and then replayed as fused kernels.
///
///     let f = compile { (x: Tensor, w: Tensor) in (x.matmul(w) * 2).relu() }
///     let y = try f(x, w)
///
/// The first call runs `f` on traced tensors, makes a plan, runs the plan, and captures again to see that `f` does the same
/// thing twice. Later calls that fit a plan run its kernels only. Plain Swift values among the arguments belong to what a
/// plan is made for. Loops and choices by tensors are ``whileLoop(_:while:_:file:line:)``,
/// ``scan(_:over:file:line:_:)``, ``map(over:file:line:_:)`` and ``cond(_:_:else:file:line:)``;
/// ``Tensors/Tensor/print(_:file:line:)`` prints on each run. PyTorch: `torch.compile`.
///
/// An index outside its axis, or an integer divided by zero, throws where an element that a result needs comes of it.
/// Elements that none needs are not computed: of `a.floorDivided(by: b)[0..<2]` a zero in `b[2]` is an error eagerly, and
/// nothing here.
///
/// Plans are kept on disk for one processor and one build of the program; others are made again, unless AZULEJO_PLANS=require
/// makes that an error, for servers that must not compile.
///
/// - Parameters:
///   - mode: `.whole` makes every value that leaves `f` (``Tensor/item(as:file:line:)``) an error.
///   - dynamic: which extents may vary within one plan.
///   - maxRecompiles: how many plans may be made after the first; one more throws.
///   - maxPlans: how many are kept, at least 1; one more takes the place of the one whose last use is longest ago.
///   - fuses: false makes every operation a kernel of its own, to see what fusion is worth.
public func compile<each A: Tree, R: Tree>(
  mode: CaptureMode = .partial, dynamic: DynamicShapes = .automatic, maxRecompiles: Int = 8, maxPlans: Int = 32,
  fuses: Bool = true,
  file: StaticString = #fileID, line: UInt = #line,
  _ f: @escaping @Sendable (repeat each A) throws -> R
) -> Compiled<Stateless, (repeat each A), R> {
  Compiled(
    options: CompileOptions(
      mode: mode, dynamic: dynamic, maxRecompiles: maxRecompiles, maxPlans: maxPlans, fuses: fuses,
      file: file, line: line),
    readInput: { input, v in
      var place = 0
      repeat v.argument(&place, each input)
    },
    call: { _, input, v in
      let arguments = (repeat replaced(each input, &v))
      if let failure = v.failure { throw failure }
      return try f(repeat each arguments)
    },
    readOutput: { output, v in v.root(output) }, fill: { replaced($0, &$1) })
}

/// As ``compile(mode:dynamic:maxRecompiles:maxPlans:fuses:file:line:_:)-(_)`` for functions that give a tuple, or nothing.
public func compile<each A: Tree, each R: Tree>(
  mode: CaptureMode = .partial, dynamic: DynamicShapes = .automatic, maxRecompiles: Int = 8, maxPlans: Int = 32,
  fuses: Bool = true,
  file: StaticString = #fileID, line: UInt = #line,
  _ f: @escaping @Sendable (repeat each A) throws -> (repeat each R)
) -> Compiled<Stateless, (repeat each A), (repeat each R)> {
  Compiled(
    options: CompileOptions(
      mode: mode, dynamic: dynamic, maxRecompiles: maxRecompiles, maxPlans: maxPlans, fuses: fuses,
      file: file, line: line),
    readInput: { input, v in
      var place = 0
      repeat v.argument(&place, each input)
    },
    call: { _, input, v in
      let arguments = (repeat replaced(each input, &v))
      if let failure = v.failure { throw failure }
      return try f(repeat each arguments)
    },
    readOutput: { output, v in repeat v.root(each output) },
    fill: { output, v in (repeat replaced(each output, &v)) })
}

/// A compiled function with state that it changes in place: parameters, optimizer state, caches.
///
///     let next = compile(updating: KVCache.self) { (cache: inout KVCache, model: Llama, tokens: Tensor) in … }
///     let logits = try next(&cache, model, tokens)
///
/// Tensors of the state are taken out during a call and written where they are, if nobody else holds them.
public func compile<S: Tree, each A: Tree, R: Tree>(
  updating: S.Type, mode: CaptureMode = .partial, dynamic: DynamicShapes = .automatic, maxRecompiles: Int = 8,
  maxPlans: Int = 32,
  fuses: Bool = true,
  file: StaticString = #fileID, line: UInt = #line,
  _ f: @escaping @Sendable (inout S, repeat each A) throws -> R
) -> Compiled<S, (repeat each A), R> {
  Compiled(
    options: CompileOptions(
      mode: mode, dynamic: dynamic, maxRecompiles: maxRecompiles, maxPlans: maxPlans, fuses: fuses,
      file: file, line: line),
    readInput: { input, v in
      var place = 0
      repeat v.argument(&place, each input)
    },
    call: { state, input, v in
      place(&state, &v)
      let arguments = (repeat replaced(each input, &v))
      if let failure = v.failure { throw failure }
      return try f(&state, repeat each arguments)
    },
    readOutput: { output, v in v.root(output) }, fill: { replaced($0, &$1) })
}

/// As ``compile(updating:mode:dynamic:maxRecompiles:maxPlans:fuses:file:line:_:)-(_,_)`` for functions that give a tuple, or nothing.
public func compile<S: Tree, each A: Tree, each R: Tree>(
  updating: S.Type, mode: CaptureMode = .partial, dynamic: DynamicShapes = .automatic, maxRecompiles: Int = 8,
  maxPlans: Int = 32,
  fuses: Bool = true,
  file: StaticString = #fileID, line: UInt = #line,
  _ f: @escaping @Sendable (inout S, repeat each A) throws -> (repeat each R)
) -> Compiled<S, (repeat each A), (repeat each R)> {
  Compiled(
    options: CompileOptions(
      mode: mode, dynamic: dynamic, maxRecompiles: maxRecompiles, maxPlans: maxPlans, fuses: fuses,
      file: file, line: line),
    readInput: { input, v in
      var place = 0
      repeat v.argument(&place, each input)
    },
    call: { state, input, v in
      place(&state, &v)
      let arguments = (repeat replaced(each input, &v))
      if let failure = v.failure { throw failure }
      return try f(&state, repeat each arguments)
    },
    readOutput: { output, v in repeat v.root(each output) },
    fill: { output, v in (repeat replaced(each output, &v)) })
}

// MARK: One argument
//
// A lone type is no tuple of a pack to Swift, so where the type of the result is written down (`Compiled<Stateless, Tensor,
// Tensor>`) the overloads above are not found.

/// As ``compile(mode:dynamic:maxRecompiles:maxPlans:fuses:file:line:_:)-(_)`` for functions of one argument.
public func compile<A: Tree, R: Tree>(
  mode: CaptureMode = .partial, dynamic: DynamicShapes = .automatic, maxRecompiles: Int = 8, maxPlans: Int = 32,
  fuses: Bool = true,
  file: StaticString = #fileID, line: UInt = #line,
  _ f: @escaping @Sendable (A) throws -> R
) -> Compiled<Stateless, A, R> {
  Compiled(
    options: CompileOptions(
      mode: mode, dynamic: dynamic, maxRecompiles: maxRecompiles, maxPlans: maxPlans, fuses: fuses,
      file: file, line: line),
    readInput: { $1.constant("0", $0) }, call: { _, input, v in try f(argument(input, &v)) },
    readOutput: { output, v in v.root(output) }, fill: { replaced($0, &$1) })
}

/// As ``compile(mode:dynamic:maxRecompiles:maxPlans:fuses:file:line:_:)-(_)`` for functions of one argument that give a
/// tuple, or nothing.
public func compile<A: Tree, each R: Tree>(
  mode: CaptureMode = .partial, dynamic: DynamicShapes = .automatic, maxRecompiles: Int = 8, maxPlans: Int = 32,
  fuses: Bool = true,
  file: StaticString = #fileID, line: UInt = #line,
  _ f: @escaping @Sendable (A) throws -> (repeat each R)
) -> Compiled<Stateless, A, (repeat each R)> {
  Compiled(
    options: CompileOptions(
      mode: mode, dynamic: dynamic, maxRecompiles: maxRecompiles, maxPlans: maxPlans, fuses: fuses,
      file: file, line: line),
    readInput: { $1.constant("0", $0) }, call: { _, input, v in try f(argument(input, &v)) },
    readOutput: { output, v in repeat v.root(each output) },
    fill: { output, v in (repeat replaced(each output, &v)) })
}

/// As ``compile(updating:mode:dynamic:maxRecompiles:maxPlans:fuses:file:line:_:)-(_,_)`` for functions of one argument.
public func compile<S: Tree, A: Tree, R: Tree>(
  updating: S.Type, mode: CaptureMode = .partial, dynamic: DynamicShapes = .automatic, maxRecompiles: Int = 8,
  maxPlans: Int = 32,
  fuses: Bool = true,
  file: StaticString = #fileID, line: UInt = #line,
  _ f: @escaping @Sendable (inout S, A) throws -> R
) -> Compiled<S, A, R> {
  Compiled(
    options: CompileOptions(
      mode: mode, dynamic: dynamic, maxRecompiles: maxRecompiles, maxPlans: maxPlans, fuses: fuses,
      file: file, line: line),
    readInput: { $1.constant("0", $0) },
    call: { state, input, v in
      place(&state, &v)
      return try f(&state, argument(input, &v))
    },
    readOutput: { output, v in v.root(output) }, fill: { replaced($0, &$1) })
}

/// As ``compile(updating:mode:dynamic:maxRecompiles:maxPlans:fuses:file:line:_:)-(_,_)`` for functions of one argument that
/// give a tuple, or nothing.
public func compile<S: Tree, A: Tree, each R: Tree>(
  updating: S.Type, mode: CaptureMode = .partial, dynamic: DynamicShapes = .automatic, maxRecompiles: Int = 8,
  maxPlans: Int = 32,
  fuses: Bool = true,
  file: StaticString = #fileID, line: UInt = #line,
  _ f: @escaping @Sendable (inout S, A) throws -> (repeat each R)
) -> Compiled<S, A, (repeat each R)> {
  Compiled(
    options: CompileOptions(
      mode: mode, dynamic: dynamic, maxRecompiles: maxRecompiles, maxPlans: maxPlans, fuses: fuses,
      file: file, line: line),
    readInput: { $1.constant("0", $0) },
    call: { state, input, v in
      place(&state, &v)
      return try f(&state, argument(input, &v))
    },
    readOutput: { output, v in repeat v.root(each output) },
    fill: { output, v in (repeat replaced(each output, &v)) })
}

/// The last argument with the visitor's leaves in place of its own.
private func argument<T: Tree>(_ tree: T, _ v: inout Visitor) throws -> T {
  let made = replaced(tree, &v)
  if let failure = v.failure { throw failure }
  return made
}

/// The tree with the visitor's leaves in place of its own.
private func replaced<T: Tree>(_ tree: T, _ v: inout Visitor) -> T {
  var copy = tree
  place(&copy, &v)
  return copy
}

/// Puts the visitor's leaves in place of the tree's own.
private func place<T: Tree>(_ tree: inout T, _ v: inout Visitor) {
  tree.visit(&v)
  v.requireShown(tree)
}

/// What `compile` was asked for.
struct CompileOptions: Sendable {
  var mode: CaptureMode
  var dynamic: DynamicShapes
  var maxRecompiles: Int
  var maxPlans: Int
  var fuses: Bool
  var file: StaticString
  var line: UInt
  /// The graph's name in dumps. Every call has it at hand.
  let name: String

  init(
    mode: CaptureMode, dynamic: DynamicShapes, maxRecompiles: Int, maxPlans: Int, fuses: Bool, file: StaticString,
    line: UInt
  ) {
    (self.mode, self.dynamic, self.maxRecompiles, self.maxPlans) = (mode, dynamic, maxRecompiles, maxPlans)
    (self.fuses, self.file, self.line) = (fuses, file, line)
    let source = "\(file)".split(separator: "/").last.map(String.init) ?? "function"
    name = "\(source.replacingOccurrences(".swift", "")):\(line)"
  }

  var place: Diagnostic.Location { .init(file: "\(file)", line: line) }
  /// What to do about a plan too many.
  func remedy(for reason: String) -> String {
    let raise = "raise maxRecompiles"
    if reason.contains("it is a number in a plan") { return "change that operation, pad to a few sizes, or \(raise)" }
    if reason.hasPrefix("axis ") {
      return "name the axis in dynamic:, so that it is a symbol from the first call, or \(raise)"
    }
    if reason.contains("plain value") { return "pass what changes as a tensor or a Dim, or \(raise)" }
    return "give all calls arguments of one kind, or \(raise)"
  }
}

extension String {
  fileprivate func replacingOccurrences(_ part: String, _ other: String) -> String {
    split(separator: part, omittingEmptySubsequences: false).joined(separator: other)
  }
}
