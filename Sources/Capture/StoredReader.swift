// Reads the plain content of any stored value into a `Form`: numbers, cases, closures by address, what is inside collections,
// existentials and objects. Not visited members: those are leaves. Surprise: a reader is made once for each type; only
// what differs from value to value (an existential's type, an enum's payload, an object's members) is looked at on each call.
import Synchronization
import TensorTypes
import Tensors

/// How values of one type are read.
final class StoredReader: Sendable {
  /// A stored member of a struct, a tuple or an object.
  struct Member: Sendable {
    var name: String
    var offset: Int
    var type: Any.Type
    /// nil: looked up when it is read, since the type may contain itself.
    var reader: StoredReader?
  }

  private enum Kind: Sendable {
    /// So many bytes that are the value.
    case bits(Int)
    case members([Member])
    case optional(StoredReader)
    case choice
    case function
    case existential
    case object([Member])
    case hashable
    case elements
    case tensor, dim
    case refused(String)
  }

  private let stored: Any.Type
  private let kind: Kind
  /// Cases without a payload, which need no reflection.
  private let bare = Mutex<Set<UInt32>>([])

  private static let known = Mutex<[ObjectIdentifier: StoredReader]>([:])

  static func of(_ type: Any.Type) -> StoredReader {
    if let reader = known.withLock({ $0[ObjectIdentifier(type)] }) { return reader }
    let made = StoredReader(type)
    return known.withLock { known in
      let reader = known[ObjectIdentifier(type)] ?? made
      known[ObjectIdentifier(type)] = reader
      return reader
    }
  }

  private init(_ type: Any.Type) {
    stored = type
    kind = Self.kind(type)
  }

  private static func kind(_ type: Any.Type) -> Kind {
    if type == Tensor.self { return .tensor }
    if type == Dim.self { return .dim }
    let record = StoredType(type)
    guard record.isCopyable else { return .refused("it cannot be copied, so it cannot be compared") }
    switch record.kind {
    case .structure: return structure(type, record)
    case .tuple: return .members(members(record.fields ?? [], isLazy: false))
    case .optional:
      guard let wrapped = (type as? any AnyOptional.Type)?.reader else { return .choice }
      if case .object = wrapped.kind {
        return .refused("an optional object may be a weak one, which cannot be compared")
      }
      return .optional(wrapped)
    case .choice: return .choice
    // A function without a context is an address.
    case .function: return record.size == 16 ? .function : .bits(record.size)
    case .existential: return .existential
    case .metatype: return .bits(record.size)
    case .object:
      if type is AnyKeyPath.Type { return .hashable }
      guard let fields = record.fields, !fields.contains(where: { $0.type == Void.self }) else {
        return .refused("an object of class \(type) may change, and its members cannot be compared")
      }
      return .object(members(fields, isLazy: true))
    case .unknown: return record.isPlain ? .bits(record.size) : .refused("a \(type) cannot be compared")
    }
  }

  private static func structure(_ type: Any.Type, _ record: StoredType) -> Kind {
    if type is any ElementSequence.Type { return .elements }
    let isHashable = type is any Hashable.Type
    guard let fields = record.fields, !fields.contains(where: \.isBuiltin), !fields.isEmpty || record.size == 0 else {
      if record.isPlain { return .bits(record.size) }
      return isHashable ? .hashable : .refused("a \(type) cannot be compared")
    }
    let members = members(fields, isLazy: false)
    // A value that is made of objects says itself when it is equal.
    if isHashable, members.contains(where: { $0.reader?.needsReflection ?? true }) { return .hashable }
    return .members(members)
  }

  private static func members(_ fields: [StoredType.Field], isLazy: Bool) -> [Member] {
    fields.map { Member(name: $0.name, offset: $0.offset, type: $0.type, reader: isLazy ? nil : .of($0.type)) }
  }

  private var needsReflection: Bool {
    switch kind {
    case .object, .existential, .refused: true
    case .members(let members): members.contains { $0.reader?.needsReflection ?? true }
    case .optional(let wrapped): wrapped.needsReflection
    case .bits, .choice, .function, .hashable, .elements, .tensor, .dim: false
    }
  }

  // MARK: Reading

  /// - Parameter isBoxed: the value was taken out of an `Any`, which wraps closures anew each time.
  func read(_ place: UnsafeRawPointer, _ form: inout Form, depth: Int = 0, isBoxed: Bool = false) {
    guard depth < 64 else { return form.refuse("it holds objects within objects without an end") }
    switch kind {
    case .bits(let count): readBits(place, count, &form)
    case .members(let members):
      let wraps = isBoxed && StoredType(stored).kind == .tuple
      for member in members { member.read(place, &form, depth: depth, isBoxed: wraps) }
    case .optional(let wrapped):
      let isThere = StoredType(stored).tag(place) == 0
      form.add(isThere ? 1 : 0, isThere ? "is there" : "is nil")
      if isThere { wrapped.read(place, &form, depth: depth + 1, isBoxed: isBoxed) }
    case .choice: readChoice(place, &form, depth)
    case .function:
      if isBoxed { return form.refuse("a closure outside of a struct cannot be compared") }
      form.add(place.load(as: UInt.self), "is a closure")
      form.add((place + 8).load(as: UInt.self), "is a closure with its captures")
      form.keep(boxed(place))
    case .existential: readExistential(place, &form, depth)
    case .object: Self.readObject(place, stored, &form, depth)
    case .hashable: if let value = boxed(place) as? AnyHashable { form.add(value) }
    case .elements:
      if let elements = boxed(place) as? any ElementSequence { elements.readElements(&form, depth) }
    case .tensor: form.add(tensor: place.assumingMemoryBound(to: Tensor.self).pointee)
    case .dim:
      // Inside another capture it has no value, and there are no plans.
      let value = place.assumingMemoryBound(to: Dim.self).pointee.knownValue ?? 0
      form.add(UInt(bitPattern: value), "is \(value)")
    case .refused(let reason): form.refuse(reason)
    }
  }

  private func readBits(_ place: UnsafeRawPointer, _ count: Int, _ form: inout Form) {
    var at = 0
    while at < count {
      var word: UInt = 0
      let length = min(8, count - at)
      withUnsafeMutableBytes(of: &word) { $0.copyMemory(from: .init(start: place + at, count: length)) }
      form.add(word, "is \(boxed(place))")
      at += length
    }
  }

  /// The value at `place`.
  private func boxed(_ place: UnsafeRawPointer) -> Any {
    func load<T>(_: T.Type) -> Any { place.assumingMemoryBound(to: T.self).pointee }
    return _openExistential(stored, do: load)
  }

  private func readChoice(_ place: UnsafeRawPointer, _ form: inout Form, _ depth: Int) {
    let tag = StoredType(stored).tag(place)
    form.add(UInt(tag), "is case \(Self.caseName(boxed(place)) ?? "\(tag)")")
    readPayload(tag, place, &form, depth)
  }

  /// What the case carries.
  func readPayload(_ tag: UInt32, _ place: UnsafeRawPointer, _ form: inout Form, _ depth: Int) {
    if bare.withLock({ $0.contains(tag) }) { return }
    let value = boxed(place)
    if value is any CustomReflectable {
      if let value = value as? AnyHashable { return form.add(value) }
      return form.refuse("the enum \(stored) shows a mirror of its own, so its cases cannot be compared")
    }
    guard let payload = Mirror(reflecting: value).children.first?.value else {
      return bare.withLock { _ = $0.insert(tag) }
    }
    Self.read(payload, &form, depth + 1)
  }

  /// "plus" of `.plus(x)`.
  static func caseName(_ value: Any) -> String? { Mirror(reflecting: value).children.first?.label ?? "\(value)" }

  private func readExistential(_ place: UnsafeRawPointer, _ form: inout Form, _ depth: Int) {
    switch StoredType(stored).content(place) {
    case .value(let type, let inside):
      form.add(type: type, "is a \(type)")
      StoredReader.of(type).read(inside, &form, depth: depth + 1)
    case .object: Self.readObject(place, nil, &form, depth)
    case .unknown: form.refuse("a value of the type \(stored) cannot be compared")
    }
  }

  /// The object that the reference at `place` leads to. `type`: of which it must be exactly; nil: it says itself.
  private static func readObject(
    _ place: UnsafeRawPointer, _ type: Any.Type?, _ form: inout Form, _ depth: Int
  ) {
    let start = place.load(as: UnsafeRawPointer.self)
    let object = Unmanaged<AnyObject>.fromOpaque(start).takeUnretainedValue()
    let own: AnyClass = Swift.type(of: object)
    if type == nil { form.add(type: own, "is a \(own)") }
    guard type == nil || ObjectIdentifier(own) == type.map({ ObjectIdentifier($0) }),
      Mirror(reflecting: object).superclassMirror == nil, case .object(let members) = of(own).kind
    else { return form.refuse("an object of class \(own) may change, and its members cannot be compared") }
    for member in members { member.read(start, &form, depth: depth + 1, isBoxed: false) }
    withExtendedLifetime(object) {}
  }

  /// A value out of a mirror: its type is that of the case.
  private static func read(_ value: Any, _ form: inout Form, _ depth: Int) {
    func open<T>(_ value: T) {
      withUnsafePointer(to: value) {
        StoredReader.of(T.self).read(UnsafeRawPointer($0), &form, depth: depth + 1, isBoxed: true)
      }
    }
    _openExistential(value, do: open)
  }
}

extension StoredReader.Member {
  func read(_ start: UnsafeRawPointer, _ form: inout Form, depth: Int = 0, isBoxed: Bool = false) {
    let reader = reader ?? StoredReader.of(type)
    form.inside(name) { reader.read(start + offset, &$0, depth: depth, isBoxed: isBoxed) }
  }
}

extension Form {
  /// A type as a word of this process.
  static func word(_ type: Any.Type) -> UInt { UInt(bitPattern: ObjectIdentifier(type)) }
}

private protocol AnyOptional {
  static var reader: StoredReader { get }
}
extension Optional: AnyOptional {
  static var reader: StoredReader { .of(Wrapped.self) }
}

/// A collection whose elements are read one by one: floats are compared by their bits, and members may be of any type.
private protocol ElementSequence {
  func readElements(_ form: inout Form, _ depth: Int)
}
extension Array: ElementSequence {
  fileprivate func readElements(_ form: inout Form, _ depth: Int) {
    form.add(UInt(count), "has \(count) elements")
    let reader = StoredReader.of(Element.self)
    withUnsafeBufferPointer { elements in
      for i in elements.indices {
        guard let place = elements.baseAddress.map({ UnsafeRawPointer($0 + i) }) else { return }
        form.inside("\(i)") { reader.read(place, &$0, depth: depth + 1) }
      }
    }
  }
}
extension Dictionary: ElementSequence {
  fileprivate func readElements(_ form: inout Form, _ depth: Int) {
    form.add(UInt(count), "has \(count) elements")
    // An order that every process and every table has.
    let texts = map { (text: "\($0.key)", key: $0.key) }.sorted { $0.text < $1.text }
    if Set(texts.map(\.text)).count < count { return form.refuse("keys of a dictionary look alike") }
    for (text, key) in texts {
      form.add(AnyHashable(key))
      guard let value = self[key] else { continue }
      form.inside(text) { form in
        withUnsafePointer(to: value) {
          StoredReader.of(Value.self).read(UnsafeRawPointer($0), &form, depth: depth + 1, isBoxed: false)
        }
      }
    }
  }
}
