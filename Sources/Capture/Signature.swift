// What a plan was made for: the leaves of its arguments, and which of their extents may vary.
// Not the guards on answers (DimGuard), which come from running the function. Surprise: there is no identity of tensors
// in it, so one plan serves every model of a structure.
import Basics
import Engine
import Tensors
import TensorTypes

/// One leaf as a plan expects it.
enum LeafSignature: Sendable, Hashable {
  case tensor(DType, [ExtentSignature])
  /// A `Dim` argument: always a symbol.
  case dim(symbol: Int)
  case value(PlainValue)
  case count(Int)
}

enum ExtentSignature: Sendable, Hashable {
  case fixed(Int)
  case symbol(Int)
}

/// The leaves of all arguments, the state's first.
struct CallSignature: Sendable {
  private(set) var leaves: [LeafSignature] = []
  /// Where symbol i is read.
  private(set) var symbols: [SymbolSource] = []
  /// The tensor leaves once more, as a call compares them.
  private var patterns: [TensorPattern] = []
  private var extents: [Int] = []
  /// Leaves that are no tensors.
  private var others: [Int] = []
  /// What the leaves do not tell: types, cases, stored members that no visit shows.
  let form: Form

  /// A tensor leaf as plain numbers: comparing them counts no reference.
  private struct TensorPattern: Sendable, Hashable {
    var leaf: Int
    var dtype: DType
    /// Into `extents`; symbols are negative there.
    var first: Int
    var rank: Int
  }

  enum SymbolSource: Sendable, Hashable {
    case extent(leaf: Int, axis: Int)
    case dim(leaf: Int)
  }

  /// Why a leaf does not fit.
  enum Mismatch: Sendable, Hashable {
    case structure
    /// "'layers.0' is a Linear".
    case form(String)
    case dtype(leaf: Int)
    case extent(leaf: Int, axis: Int)
    case value(leaf: Int)
  }

  /// The same leaves, symbols, types and plain members.
  func isSame(as other: CallSignature) -> Bool {
    leaves == other.leaves && symbols == other.symbols && form.fits(other.form)
  }

  /// The exact signature of `leaves`; extents in `dynamic` become symbols, unless they are 0 or 1.
  init(_ given: CallLeaves, dynamic: Set<DynamicExtent>) throws(Diagnostic) {
    form = given.form
    for (i, leaf) in given.all.enumerated() {
      switch leaf {
      case .tensor(let tensor):
        let view = try tensor.view
        var extents: [ExtentSignature] = []
        for (axis, extent) in view.extents.enumerated() {
          if extent > 1, dynamic.contains(DynamicExtent(leaf: i, axis: axis)) {
            extents.append(.symbol(symbols.count))
            symbols.append(.extent(leaf: i, axis: axis))
          } else {
            extents.append(.fixed(extent))
          }
        }
        leaves.append(.tensor(view.dtype, extents))
        patterns.append(
          TensorPattern(leaf: i, dtype: view.dtype, first: self.extents.count, rank: extents.count))
        for extent in extents {
          if case .fixed(let number) = extent { self.extents.append(number) } else { self.extents.append(-1) }
        }
      case .dim(let dim):
        _ = try dim.value
        leaves.append(.dim(symbol: symbols.count))
        symbols.append(.dim(leaf: i))
        others.append(i)
      case .value(let value):
        leaves.append(.value(value))
        others.append(i)
      case .count(let count):
        leaves.append(.count(count))
        others.append(i)
      }
    }
  }

  /// The type of tensor leaf `i`.
  func type(_ i: Int) -> TensorType? {
    guard case .tensor(let dtype, let extents) = leaves[i] else { return nil }
    return TensorType(
      dtype,
      Shape(
        extents.map { extent in
          switch extent {
          case .fixed(let number): Dim(number)
          case .symbol(let id): Dim.symbol(id)
          }
        }))
  }

  /// Whether the leaves fit: what a call asks. A failed or traced tensor fits nothing.
  func fits(_ given: CallLeaves) -> Bool {
    guard given.all.count == leaves.count, form.fits(given.form) else { return false }
    let areTensorsFine = extents.withUnsafeBufferPointer { extents in
      for pattern in patterns {
        let wanted = UnsafeBufferPointer(rebasing: extents[pattern.first..<pattern.first + pattern.rank])
        guard let body = given.bodies[pattern.leaf],
          body._withUnsafeGuaranteedRef({ $0.fits(pattern.dtype, wanted) })
        else { return false }
      }
      return true
    }
    return areTensorsFine && others.allSatisfy { leaves[$0].isSame(as: given.all[$0]) }
  }

  /// nil: the leaves fit.
  func mismatch(_ given: CallLeaves) -> Mismatch? {
    if let change = form.change(to: given.form) { return .form(change) }
    let given = given.all
    guard given.count == leaves.count else { return .structure }
    // An extent counts only where all else fits: another rank or value further on is no matter of sizes.
    var differing: Mismatch?
    for i in leaves.indices {
      switch (leaves[i], given[i]) {
      case (.tensor(let dtype, let extents), .tensor(let tensor)):
        // Members one by one: a copy of the view would be counted in and out again.
        let body = tensor.body
        guard body.view.extents.count == extents.count else { return .structure }
        if body.view.dtype != dtype { return .dtype(leaf: i) }
        for axis in extents.indices {
          let given = body.view.extents[axis]
          switch extents[axis] {
          case .fixed(let extent): if given != extent { differing = differing ?? .extent(leaf: i, axis: axis) }
          // 0 and 1 have plans of their own: they change what broadcasting and reductions mean.
          case .symbol: if given < 2 { differing = differing ?? .extent(leaf: i, axis: axis) }
          }
        }
      case (.dim, .dim): break
      case (.value(let a), .value(let b)): if a != b { return .value(leaf: i) }
      case (.count(let a), .count(let b)): if a != b { return .structure }
      default: return .structure
      }
    }
    return differing
  }

  /// The values of the symbols.
  func values(_ given: CallLeaves) throws(Diagnostic) -> [Int] {
    if symbols.isEmpty { return [] }
    let given = given.all
    var values: [Int] = []
    values.reserveCapacity(symbols.count)
    for source in symbols {
      switch source {
      case .extent(let leaf, let axis):
        guard case .tensor(let tensor) = given[leaf] else { continue }
        values.append(tensor.body.view.extents[axis])
      case .dim(let leaf):
        guard case .dim(let dim) = given[leaf] else { continue }
        values.append(try dim.value)
      }
    }
    // What guards take for granted.
    for value in values where value > CheckedSize.mostSymbol || value < -CheckedSize.mostSymbol {
      throw Diagnostic(
        .memory, "an extent or Dim argument of \(value) is beyond what a compiled function takes",
        remedy: "sizes and positions are at most \(CheckedSize.mostSymbol)")
    }
    return values
  }
}

extension LeafSignature {
  fileprivate func isSame(as leaf: Leaf) -> Bool {
    switch (self, leaf) {
    case (.dim, .dim): true
    case (.value(let a), .value(let b)): a == b
    case (.count(let a), .count(let b)): a == b
    case (.tensor, _), (.dim, _), (.value, _), (.count, _): false
    }
  }
}

/// The leaves of one call.
struct CallLeaves: Sendable {
  private(set) var all: ContiguousArray<Leaf>
  /// The tensors among them, which `all` keeps alive: reading through these counts no reference.
  private(set) var bodies: ContiguousArray<Unmanaged<TensorBody>?>
  /// What they do not tell of the trees that they are in.
  var form = Form()

  /// Takes what `visitor` has collected: held once, since a tensor of the state is written in place only by its single
  /// holder.
  init(taking visitor: inout Visitor) {
    (all, bodies, form) = (visitor.leaves, visitor.bodies, visitor.form)
    visitor = Visitor(.collect)
  }

  init(_ leaves: ContiguousArray<Leaf>) {
    all = leaves
    bodies = ContiguousArray(
      leaves.map { if case .tensor(let tensor) = $0 { Unmanaged.passUnretained(tensor.body) } else { nil } })
  }

  mutating func removeAll() { (all, bodies) = ([], []) }

  subscript(_ i: Int) -> Leaf {
    get { all[i] }
    set {
      all[i] = newValue
      if case .tensor(let tensor) = newValue {
        bodies[i] = Unmanaged.passUnretained(tensor.body)
      } else {
        bodies[i] = nil
      }
    }
  }
}

/// An extent that took more than one value.
struct DynamicExtent: Sendable, Hashable {
  var leaf: Int
  var axis: Int
}
