// What a compiled function may take and give: tensors, extents and plain values, alone or in arrays, dictionaries,
// optionals and the user's structs. Not a reflection system. Surprise: one method, `visit`, serves reading, replacing and
// naming; a struct lists its members in it once.
import Basics
import Tensors
import TensorTypes

/// A value made of tensors, extents and plain values. Never a class: a compiled function puts other tensors into a copy.
///
/// A struct conforms by naming its members in order:
///
///     struct MLP: Module {
///       var up: Linear, down: Linear
///       mutating func visit(_ v: inout Visitor) { v("up", &up); v("down", &down) }
///     }
///
/// Plain values (`Int`, `Float`, `Bool`, `String`, enums with a raw value) are part of what a plan is made for: another
/// value makes another plan. What changes per call is a ``Tensor`` or a ``Dim``.
///
/// So are the types of existential members (`any Layer`), the cases of enums, the keys of dictionaries, and stored members
/// that `visit` does not name: numbers, texts, options, closures (another closure, or one with other captures, makes another
/// plan). A tensor that is not named, be it in an argument, in a result or in what a loop carries, and a member that cannot
/// be compared, such as an object with a lock, are errors.
/// An enum conforms by showing what its case carries:
///
///     enum Mixing: Tree {
///       case sum(Tensor), gated(Tensor), none
///       mutating func visit(_ v: inout Visitor) {
///         switch self {
///         case .sum(var t): v("sum", &t); self = .sum(t)
///         case .gated(var t): v("gated", &t); self = .gated(t)
///         case .none: break
///         }
///       }
///     }
public protocol Tree: Sendable {
  /// Shows every member to the visitor, always in the same order.
  mutating func visit(_ v: inout Visitor)
  /// As ``visit(_:)`` for a visitor that changes nothing. The default visits a copy.
  func read(_ v: inout Visitor)
}

extension Tree {
  public func read(_ v: inout Visitor) {
    var copy = self
    copy.visit(&v)
  }
}

/// A ``Tree`` that is a model: its tensors are parameters (``LeafRole/trainable``) or ``LeafRole/state``.
public protocol Module: Tree {}

/// What a tensor is to its module.
public enum LeafRole: Sendable, Hashable {
  /// Has a gradient.
  case trainable
  /// Changes without a gradient: running statistics, caches.
  case state
}

/// A member as the visitor sees it.
package enum Leaf: Sendable {
  case tensor(Tensor)
  case dim(Dim)
  case value(PlainValue)
  /// How many members follow (an array's count, whether an optional is there).
  case count(Int)
}

extension Leaf {
  /// For messages.
  var text: String {
    switch self {
    case .tensor(let tensor): "\(tensor.dtype)\(tensor.shape)"
    case .dim(let dim): "\(dim)"
    case .value(let value): "\(value)"
    case .count(let count): "\(count) members"
    }
  }
}

/// A value that a plan is made for.
package enum PlainValue: Sendable, Hashable, CustomStringConvertible {
  case integer(Int)
  case real(UInt64)
  case truth(Bool)
  case text(ExactText)

  package var description: String {
    switch self {
    case .integer(let value): "\(value)"
    case .real(let bits): "\(Double(bitPattern: bits))"
    case .truth(let value): "\(value)"
    case .text(let value): "\"\(value.string)\""
    }
  }
}

/// A text by its code units: two that are equal as Swift compares them (é as one scalar or as two) are told apart by what a
/// function may do with them.
package struct ExactText: Sendable, Hashable {
  package let string: String
  init(_ string: String) { self.string = string }

  package static func == (a: Self, b: Self) -> Bool { a.string.utf8.elementsEqual(b.string.utf8) }
  package func hash(into hasher: inout Hasher) {
    for unit in string.utf8 { hasher.combine(unit) }
    hasher.combine(UInt8.max)
  }
}

/// Goes through a ``Tree``: call it with each member.
public struct Visitor {
  enum Task {
    /// Appends every leaf.
    case collect
    /// Puts `leaves` in place of tensors and extents, in order.
    case replace
    /// Swaps the tensors whose numbers are `true` in `chosen` with those in `leaves`.
    case exchange
    /// Puts the leaves whose numbers are `true` in `chosen` in place.
    case commit
    /// Appends the path of every leaf.
    case name
    /// Finds stored members that nobody shows.
    case probe
  }

  let task: Task
  package internal(set) var leaves: ContiguousArray<Leaf> = []
  /// While collecting: the tensors among `leaves`, which keep them alive.
  private(set) var bodies: ContiguousArray<Unmanaged<TensorBody>?> = []
  var next = 0
  var chosen: [Bool] = []
  var path: [String] = []
  package internal(set) var names: [String] = []
  /// While collecting: what the leaves do not tell.
  var form = Form()
  private var shapes: ShapeTable?
  private var probe: Probe?
  /// Why replacing did not fit.
  var failure: Diagnostic?
  /// Of the function whose capture gets the leaves that replace others; nil: no capture does.
  var capture: Diagnostic.Location?

  init(_ task: Task) {
    self.task = task
    if case .probe = task { probe = Probe() }
  }

  /// Collects, and writes down what the form's words mean.
  ///
  /// - Parameter shapes: what is known of types; the same for forms that are compared, since others add to what is known.
  static func describing(with shapes: ShapeTable = .current) -> Visitor {
    var v = Visitor(.collect)
    v.form.notes = Form.Notes()
    v.shapes = shapes
    return v
  }

  /// A member that is itself a tree.
  public mutating func callAsFunction<T: Tree>(_ name: String, _ member: inout T, _ role: LeafRole = .trainable) {
    switch task {
    case .collect:
      enter(name)
      withUnsafePointer(to: &member) { note($0) }
      member.visit(&self)
      leave()
    case .replace, .exchange, .commit: member.visit(&self)
    case .name:
      path.append(name)
      member.visit(&self)
      path.removeLast()
    case .probe: show(name, &member)
    }
  }

  /// The elements of a collection; their names are their positions.
  mutating func element<T: Tree>(_ position: Int, _ member: inout T) { self("\(position)", &member) }

  /// As ``callAsFunction(_:_:_:)`` for a member that is not to change.
  mutating func constant<T: Tree>(_ name: @autoclosure () -> String, _ member: T) {
    switch task {
    case .collect:
      if form.notes != nil { enter(name()) }
      withUnsafePointer(to: member) { note($0) }
      member.read(&self)
      leave()
    case .name:
      path.append(name())
      member.read(&self)
      path.removeLast()
    case .replace, .exchange, .commit: member.read(&self)
    case .probe:
      var copy = member
      show(name(), &copy)
    }
  }

  /// The argument at `place`; its name is its place.
  mutating func argument<T: Tree>(_ place: inout Int, _ value: T) {
    constant("\(place)", value)
    place += 1
  }

  /// The state, or another tree without a name.
  mutating func root<T: Tree>(_ value: T) {
    switch task {
    case .collect:
      withUnsafePointer(to: value) { note($0) }
      value.read(&self)
    case .probe:
      var copy = value
      show(nil, &copy)
    case .name, .replace, .exchange, .commit: value.read(&self)
    }
  }

  /// What an optional holds: under the optional's own name.
  mutating func wrapped<T: Tree>(_ value: inout T) {
    if case .probe = task { show(nil, &value) } else { value.visit(&self) }
  }

  private mutating func show<T: Tree>(_ name: String?, _ member: inout T) {
    guard let probe else { return }
    withUnsafeMutablePointer(to: &member) { place in probe.show(name, place) { place.pointee.visit(&self) } }
  }

  /// What is to be compared of a member beside its leaves.
  fileprivate mutating func note<T>(_ member: UnsafePointer<T>) {
    // Nothing but a leaf, and by far the most.
    if T.self == Tensor.self { return }
    let word = Form.word(T.self)
    form.add(type: T.self, "is a \(T.self)")
    if let shape = shape(word), !shape.isShown { shape.read(UnsafeRawPointer(member), &form) }
  }

  /// As ``note(_:)`` for many of one type.
  fileprivate mutating func noteElements<T>(_ type: T.Type) -> TreeShape? {
    if T.self == Tensor.self { return nil }
    let word = Form.word(T.self)
    form.add(type: T.self, "has elements of \(T.self)")
    guard let shape = shape(word), !shape.isShown else { return nil }
    return shape
  }

  fileprivate mutating func note<T>(_ element: UnsafePointer<T>, _ shape: TreeShape) {
    shape.read(UnsafeRawPointer(element), &form)
  }

  /// A name that leaves cannot give back: a function that renames a member changes its state's structure.
  fileprivate mutating func note<K: TreeKey>(key: K) {
    guard case .collect = task else { return }
    form.add(AnyHashable(key), "has the key \(key.memberName)")
  }

  private mutating func shape(_ word: UInt) -> TreeShape? {
    if let shapes { return shapes.shape(word) }
    let table = ShapeTable.current
    shapes = table
    return table.shape(word)
  }

  fileprivate mutating func enter(_ name: @autoclosure () -> String) {
    if form.notes != nil { form.notes?.path.append(name()) }
  }
  fileprivate mutating func leave() {
    if form.notes != nil { form.notes?.path.removeLast() }
  }

  /// While probing: the first tree met that is an object.
  var object: Any.Type? { probe?.object }

  var changes: Bool {
    switch task {
    case .collect, .name: false
    case .replace, .exchange, .commit, .probe: true
    }
  }

  mutating func tensor(_ value: inout Tensor) {
    switch task {
    case .collect: withUnsafePointer(to: &value) { collect($0) }
    case .name: names.append(path.joined(separator: "."))
    case .probe: break
    case .replace: if case .tensor(let other)? = following() { value = other }
    case .exchange:
      if chosen[next], case .tensor(let other) = leaves[next] {
        // No copy of `value` may be left here: who gets it wants to be its only holder.
        leaves[next] = .tensor(value)
        value = other
      }
      next += 1
    case .commit: if case .tensor(let other)? = committed() { value = other }
    }
  }

  mutating func dim(_ value: inout Dim) {
    switch task {
    case .collect: collect(.dim(value))
    case .name: names.append(path.joined(separator: "."))
    case .probe: break
    case .replace: if case .dim(let other)? = following() { value = other }
    case .exchange: next += 1
    case .commit: if case .dim(let other)? = committed() { value = other }
    }
  }

  mutating func plain(_ value: PlainValue) -> PlainValue? {
    switch task {
    case .collect: collect(.value(value))
    case .name: names.append(path.joined(separator: "."))
    case .probe: break
    case .replace: if case .value(let other)? = following() { return other }
    case .exchange: next += 1
    case .commit: if case .value(let other)? = committed() { return other }
    }
    return nil
  }

  /// The number of members that follow. False where it does not fit what is put in place.
  mutating func count(_ value: Int) -> Bool {
    switch task {
    case .collect: collect(.count(value))
    case .name: names.append(path.joined(separator: "."))
    case .probe: break
    case .replace:
      guard case .count(let other)? = following(), other == value else {
        failure = Diagnostic(
          .argument, "a collection of \(value) members is to take other members than it has",
          remedy: "collections keep their counts inside a compiled function")
        return false
      }
    case .exchange, .commit: next += 1
    }
    return true
  }

  @inline(__always) fileprivate mutating func collect(_ tensor: UnsafePointer<Tensor>) {
    // A tensor is one reference: as bits it is read without counting.
    bodies.append(UnsafeRawPointer(tensor).load(as: Unmanaged<TensorBody>.self))
    leaves.append(.tensor(tensor.pointee))
  }

  fileprivate mutating func collect(_ leaf: Leaf) {
    leaves.append(leaf)
    bodies.append(nil)
  }

  /// Room for as many leaves as the last call had.
  mutating func reserve(_ count: Int) {
    leaves.reserveCapacity(count)
    bodies.reserveCapacity(count)
  }

  /// Tensors beside each other, without the detour over their witness table.
  fileprivate mutating func collect(_ tensors: [Tensor]) {
    tensors.withUnsafeBufferPointer { tensors in
      guard let first = tensors.baseAddress else { return }
      for i in tensors.indices { collect(first + i) }
    }
  }

  private mutating func committed() -> Leaf? {
    next += 1
    return chosen[next - 1] ? leaves[next - 1] : nil
  }

  private mutating func following() -> Leaf? {
    guard next < leaves.count else { return nil }
    next += 1
    // Handed over: who gets a tensor may be its only holder.
    let leaf = leaves[next - 1]
    leaves[next - 1] = .count(0)
    return leaf
  }
}

// MARK: Leaves

extension Tensor: Tree {
  public mutating func visit(_ v: inout Visitor) { v.tensor(&self) }
  public func read(_ v: inout Visitor) {
    if case .collect = v.task { withUnsafePointer(to: self) { v.collect($0) } } else { v.skip() }
  }
}

extension Visitor {
  /// A leaf that is only named.
  fileprivate mutating func skip() {
    if case .name = task { names.append(path.joined(separator: ".")) }
  }
}

extension Dim: Tree {
  public mutating func visit(_ v: inout Visitor) { v.dim(&self) }
}
extension Int: Tree {
  public mutating func visit(_ v: inout Visitor) {
    if case .integer(let value)? = v.plain(.integer(self)) { self = value }
  }
}
extension Bool: Tree {
  public mutating func visit(_ v: inout Visitor) { if case .truth(let value)? = v.plain(.truth(self)) { self = value } }
}
extension Double: Tree {
  public mutating func visit(_ v: inout Visitor) {
    if case .real(let bits)? = v.plain(.real(bitPattern)) { self = Double(bitPattern: bits) }
  }
}
extension Float: Tree {
  public mutating func visit(_ v: inout Visitor) {
    if case .real(let bits)? = v.plain(.real(Double(self).bitPattern)) { self = Float(Double(bitPattern: bits)) }
  }
}
extension String: Tree {
  public mutating func visit(_ v: inout Visitor) {
    if case .text(let value)? = v.plain(.text(ExactText(self))) { self = value.string }
  }
}

/// A generator in the state of a compiled function or of a loop goes on where it was: the seed belongs to the plan, the
/// number of elements drawn so far does not.
extension RandomGenerator: Tree {
  public mutating func visit(_ v: inout Visitor) {
    _ = v.plain(.integer(Int(truncatingIfNeeded: seed)))
    v.dim(&position)
  }
}

/// An enum or option set with a plain raw value: `extension Mode: Tree {}` is all it takes.
extension Tree where Self: RawRepresentable, RawValue: Tree {
  public mutating func visit(_ v: inout Visitor) {
    var raw = rawValue
    raw.visit(&v)
    if v.changes, let value = Self(rawValue: raw) { self = value }
  }
}

// MARK: Collections

extension Array: Tree where Element: Tree {
  public mutating func visit(_ v: inout Visitor) {
    guard v.changes else { return read(&v) }
    guard v.count(count) else { return }
    for i in indices { v.element(i, &self[i]) }
  }
  public func read(_ v: inout Visitor) {
    guard v.count(count) else { return }
    // The same type, as the test says; a cast would go through every element on each call.
    if case .collect = v.task, Element.self == Tensor.self { return v.collect(unsafeBitCast(self, to: [Tensor].self)) }
    guard case .collect = v.task else {
      for i in indices { v.constant("\(i)", self[i]) }
      return
    }
    let shape = v.noteElements(Element.self)
    withUnsafeBufferPointer { elements in
      for i in elements.indices {
        v.enter("\(i)")
        if let shape, let first = elements.baseAddress { v.note(first + i, shape) }
        elements[i].read(&v)
        v.leave()
      }
    }
  }
}

extension Optional: Tree where Wrapped: Tree {
  public mutating func visit(_ v: inout Visitor) {
    guard v.changes else { return read(&v) }
    guard v.count(self == nil ? 0 : 1), var value = self else { return }
    // Not held twice while the visitor may want to be the only holder.
    self = nil
    v.wrapped(&value)
    self = value
  }
  public func read(_ v: inout Visitor) {
    guard v.count(self == nil ? 0 : 1), let value = self else { return }
    v.root(value)
  }
}

/// A key of a dictionary in a ``Tree``: its order is the order of the members.
public protocol TreeKey: Hashable, Comparable, Sendable {
  /// What the member is called in reports.
  var memberName: String { get }
}
extension String: TreeKey { public var memberName: String { self } }
extension Int: TreeKey { public var memberName: String { "\(self)" } }

extension Dictionary: Tree where Key: TreeKey, Value: Tree {
  public mutating func visit(_ v: inout Visitor) {
    guard v.changes else { return read(&v) }
    let keys = keys.sorted()
    guard v.count(count) else { return }
    for key in keys {
      _ = v.plain(.text(ExactText(key.memberName)))
      guard var value = removeValue(forKey: key) else { continue }
      v(key.memberName, &value)
      self[key] = value
    }
  }
  public func read(_ v: inout Visitor) {
    guard v.count(count) else { return }
    for key in keys.sorted() {
      _ = v.plain(.text(ExactText(key.memberName)))
      v.note(key: key)
      if let value = self[key] { v.constant(key.memberName, value) }
    }
  }
}

/// No state: of functions without `updating:`.
public struct Stateless: Tree {
  public init() {}
  public mutating func visit(_ v: inout Visitor) {}
}
