// Which stored members of a tree's type no `visit` shows, and finding that out. Not how they are read (`StoredReader`).
// Surprise: whether a member is shown is told by its address while an instance is visited once, at each capture; a call only
// looks the type up.
import Synchronization
import TensorTypes
import Tensors

/// What is read of each member of one type, beside its leaves.
final class TreeShape: Sendable {
  let members: [StoredReader.Member]
  let isChoice: Bool
  let isObject: Bool
  /// Cases with content that no visit shows.
  let payloads: Set<UInt32>
  private let type: Any.Type

  init(_ type: Any.Type, members: [StoredReader.Member], payloads: Set<UInt32>) {
    self.type = type
    self.members = members
    self.payloads = payloads
    let kind = StoredType(type).kind
    isChoice = kind == .choice
    isObject = kind == .object
  }

  var isShown: Bool { members.isEmpty && !isChoice }

  func read(_ place: UnsafeRawPointer, _ form: inout Form) {
    form.notes?.enter(type)
    if isChoice {
      let tag = StoredType(type).tag(place)
      form.add(UInt(tag), "is case \(tag)")
      if payloads.contains(tag) { StoredReader.of(type).readPayload(tag, place, &form, 0) }
    }
    if members.isEmpty { return }
    let start = isObject ? place.load(as: UnsafeRawPointer.self) : place
    for member in members { member.read(start, &form) }
  }

  fileprivate func isSame(as other: TreeShape) -> Bool {
    members.map(\.offset) == other.members.map(\.offset) && payloads == other.payloads
  }
}

/// The shapes of all types met so far, as one call sees them.
final class ShapeTable: Sendable {
  private let keys: [UInt]
  private let shapes: [TreeShape?]

  private static let latest = Mutex(ShapeTable([:]))
  static var current: ShapeTable { latest.withLock { $0 } }

  private init(_ all: [UInt: TreeShape]) {
    var size = 16
    while size < 3 * all.count { size *= 2 }
    var keys = [UInt](repeating: 0, count: size)
    var shapes = [TreeShape?](repeating: nil, count: size)
    for (key, shape) in all {
      var at = Self.start(key, size)
      while keys[at] != 0 { at = (at + 1) & (size - 1) }
      (keys[at], shapes[at]) = (key, shape)
    }
    (self.keys, self.shapes) = (keys, shapes)
  }

  private static func start(_ key: UInt, _ size: Int) -> Int {
    Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) >> 32) & (size - 1)
  }

  /// nil: the type was in no capture.
  func shape(_ key: UInt) -> TreeShape? {
    var at = Self.start(key, keys.count)
    while keys[at] != 0 {
      if keys[at] == key { return shapes[at] }
      at = (at + 1) & (keys.count - 1)
    }
    return nil
  }

  private var all: [UInt: TreeShape] {
    var all: [UInt: TreeShape] = [:]
    for (key, shape) in zip(keys, shapes) { if let shape { all[key] = shape } }
    return all
  }

  /// What one instance did not show is not shown.
  fileprivate static func add(_ type: Any.Type, _ hidden: [StoredReader.Member], _ payloads: Set<UInt32>) {
    let key = Form.word(type)
    latest.withLock { table in
      let known = table.shape(key)
      let offsets = Set(known?.members.map(\.offset) ?? [])
      let members = (known?.members ?? []) + hidden.filter { !offsets.contains($0.offset) }
      let made = TreeShape(
        type, members: members.sorted { $0.offset < $1.offset }, payloads: payloads.union(known?.payloads ?? []))
      if let known, known.isSame(as: made) { return }
      var all = table.all
      all[key] = made
      table = ShapeTable(all)
    }
  }
}

/// Visits each member of a tree where it is, to see which of its stored members are shown.
final class Probe {
  private struct Frame {
    var start: UnsafeRawPointer
    var type: Any.Type
    var shown: [Range<Int>] = []
    var names: Set<String> = []
    var types: [ObjectIdentifier] = []
  }
  private var frames: [Frame] = []
  /// The first class among the types of the trees.
  private(set) var object: Any.Type?

  /// A member is visited; `body` visits what is in it.
  func show<T>(_ name: String?, _ member: UnsafeMutablePointer<T>, _ body: () -> Void) {
    let place = UnsafeRawPointer(member)
    if !frames.isEmpty {
      let top = frames.count - 1
      let offset = place - frames[top].start
      frames[top].shown.append(offset..<offset + max(MemoryLayout<T>.size, 1))
      if let name { frames[top].names.insert(name) }
      frames[top].types.append(ObjectIdentifier(T.self))
    }
    if T.self is any ShownTree.Type {
      // Its elements are members.
      frames.append(Frame(start: place, type: T.self))
      body()
      frames.removeLast()
      return
    }
    let record = StoredType(T.self)
    if record.kind == .object, object == nil { object = T.self }
    let start = record.kind == .object ? place.load(as: UnsafeRawPointer.self) : place
    frames.append(Frame(start: start, type: T.self))
    body()
    let frame = frames.removeLast()
    switch record.kind {
    case .choice:
      let tag = record.tag(place)
      ShapeTable.add(T.self, [], isPayloadShown(member.pointee, frame) ? [] : [tag])
    case .structure, .object: ShapeTable.add(T.self, hidden(record, 0, "", frame), [])
    case .optional, .tuple, .function, .existential, .metatype, .unknown: ShapeTable.add(T.self, [], [])
    }
  }

  private func hidden(_ record: StoredType, _ start: Int, _ prefix: String, _ frame: Frame) -> [StoredReader.Member] {
    guard let fields = record.fields else {
      return [StoredReader.Member(name: prefix, offset: start, type: record.type, reader: .of(record.type))]
    }
    var found: [StoredReader.Member] = []
    for field in fields {
      let inner = StoredType(field.type)
      let range = start + field.offset..<start + field.offset + inner.size
      if range.isEmpty, field.type != Void.self || record.kind != .object { continue }
      if frame.shown.contains(where: { $0.lowerBound <= range.lowerBound && $0.upperBound >= range.upperBound }) {
        continue
      }
      // A property wrapper or an observer shows a copy.
      let plain = field.name.drop { $0 == "_" }
      if frame.names.contains(field.name) || frame.names.contains(String(plain)) { continue }
      let name = prefix.isEmpty ? field.name : "\(prefix).\(field.name)"
      // A member that forwards to its own `visit` is shown in parts.
      if inner.kind == .structure, frame.shown.contains(where: { range.overlaps($0) }) {
        found += hidden(inner, range.lowerBound, name, frame)
      } else {
        found.append(
          StoredReader.Member(name: name, offset: range.lowerBound, type: field.type, reader: .of(field.type)))
      }
    }
    return found
  }

  /// Each part of the payload was visited.
  private func isPayloadShown(_ value: Any, _ frame: Frame) -> Bool {
    if value is any CustomReflectable { return false }
    guard let payload = Mirror(reflecting: value).children.first?.value else { return true }
    var parts: [Any.Type] = [type(of: payload)]
    if StoredType(parts[0]).kind == .tuple { parts = (StoredType(parts[0]).fields ?? []).map(\.type) }
    var shown = frame.types
    for part in parts {
      guard let place = shown.firstIndex(of: ObjectIdentifier(part)) else { return false }
      shown.remove(at: place)
    }
    return true
  }
}

/// Trees whose leaves are all there is to them.
protocol ShownTree {}
extension Tensor: ShownTree {}
extension Dim: ShownTree {}
extension Int: ShownTree {}
extension Bool: ShownTree {}
extension Double: ShownTree {}
extension Float: ShownTree {}
extension String: ShownTree {}
extension RandomGenerator: ShownTree {}
extension Array: ShownTree {}
extension Optional: ShownTree {}
extension Dictionary: ShownTree {}
extension Stateless: ShownTree {}
