// Swift's own description of a type: kind, size, whether it is plain bits, the case of an enum. Not a reflection system.
// Surprise: the runtime's records are read where they lie, because `Mirror` takes a microsecond for each value, and every
// call asks. What is read is fixed by Swift's ABI (TypeMetadata in its documentation), and a test reads each kind of it.
@_spi(Reflection) import Swift

/// A type as the runtime describes it.
struct StoredType {
  let type: Any.Type
  private let record: UnsafeRawPointer

  init(_ type: Any.Type) {
    self.type = type
    record = unsafeBitCast(type, to: UnsafeRawPointer.self)
  }

  enum Kind {
    case structure, choice, optional, tuple, function, existential, metatype, object, unknown
  }

  var kind: Kind {
    switch record.load(as: UInt.self) {
    case 0x200: .structure
    case 0x201: .choice
    case 0x202: .optional
    case 0x301: .tuple
    case 0x302: .function
    case 0x303, 0x307: .existential
    case 0x304, 0x306: .metatype
    case 0: .object
    case let word where word > 0x7ff: .object
    case _: .unknown
    }
  }

  private var witnesses: UnsafeRawPointer { (record - 8).load(as: UnsafeRawPointer.self) }
  var size: Int { witnesses.load(fromByteOffset: 64, as: Int.self) }
  private var flags: UInt32 { witnesses.load(fromByteOffset: 80, as: UInt32.self) }
  /// Copying its bytes copies it.
  var isPlain: Bool { flags & 0x01_0000 == 0 }
  /// It can be copied at all.
  var isCopyable: Bool { flags & 0x80_0000 == 0 }

  /// What is stored under an existential type.
  enum Content {
    case value(Any.Type, UnsafeRawPointer)
    case object
    case unknown
  }

  /// The value that the existential at `place` holds, where it lies.
  func content(_ place: UnsafeRawPointer) -> Content {
    guard record.load(as: UInt.self) == 0x303 else { return .unknown }
    let flags = record.load(fromByteOffset: 8, as: UInt32.self)
    // Errors are boxed in a way of their own.
    if flags & 0x3f00_0000 != 0 { return .unknown }
    if flags & 0x8000_0000 == 0 { return .object }
    let type = unsafeBitCast(place.load(fromByteOffset: 24, as: UnsafeRawPointer.self), to: Any.Type.self)
    let inner = StoredType(type)
    if inner.flags & 0x02_0000 == 0 { return .value(type, place) }
    let mask = Int(inner.flags & 0xff)
    return .value(type, place.load(as: UnsafeRawPointer.self) + ((16 + mask) & ~mask))
  }

  /// The number of the case that an enum of this type at `place` has.
  func tag(_ place: UnsafeRawPointer) -> UInt32 {
    typealias Tag = @convention(c) (UnsafeRawPointer, UnsafeRawPointer) -> UInt32
    return witnesses.load(fromByteOffset: 88, as: Tag.self)(place, record)
  }

  /// A stored member.
  struct Field {
    var name: String
    var offset: Int
    var type: Any.Type
    /// Of the compiler's own types, which have no members.
    var isBuiltin: Bool
  }

  /// nil: the members cannot be seen.
  var fields: [Field]? {
    var found: [Field] = []
    let isObject = kind == .object
    let isComplete = _forEachField(of: type, options: _EachFieldOptions(rawValue: isObject ? 1 : 0)) {
      name, offset, type, kind in
      found.append(
        Field(name: String(cString: name), offset: offset, type: type, isBuiltin: kind == .opaque || kind == .unknown))
      return true
    }
    return isComplete ? found : nil
  }
}
