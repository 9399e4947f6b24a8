// A GGUF file taken apart, to be changed in one place and written again. Not the library's own writer (there is none).
// Surprise: what is written may be nonsense on purpose; only the container around it is always sound.
import Formats
import Testing

struct RewrittenModel {
  struct Entry {
    var name: String
    var shape: [Int]
    /// The ggml number of the encoding.
    var encoding: UInt32
    var bytes: [UInt8]
  }
  var metadata: [(key: String, value: Value)] = []
  var tensors: [Entry] = []

  /// The types of metadata that the tests write.
  enum Value {
    case integer(UInt32), long(UInt64), signed(Int32), number(Float), text(String), flag(Bool)
    case integers([Int32]), texts([String]), numbers([Float])
  }

  init() {}

  init(_ file: GGUFFile) throws {
    for key in file.keys {
      let value: Value
      switch file.metadata[key] {
      case .u32(let number): value = .integer(number)
      case .i32(let number): value = .signed(number)
      case .u64(let number): value = .long(number)
      case .f32(let number): value = .number(number)
      case .string(let text): value = .text(text)
      case .bool(let flag): value = .flag(flag)
      case let other:
        Issue.record("\(key): \(String(describing: other)) is not rewritten here")
        continue
      }
      metadata.append((key, value))
    }
    for tensor in file.tensors {
      #expect(tensor.encoding == .dense(.f32))
      tensors.append(
        Entry(name: tensor.name, shape: tensor.shape, encoding: 0, bytes: tensor.bytes.copied(as: UInt8.self)))
    }
  }

  mutating func set(_ key: String, _ value: Value) {
    if let index = metadata.firstIndex(where: { $0.key == key }) {
      metadata[index].value = value
    } else {
      metadata.append((key, value))
    }
  }

  mutating func remove(_ key: String) { metadata.removeAll { $0.key == key } }

  /// Gives a tensor another shape; elements that are then missing are 0.25.
  mutating func reshape(_ name: String, _ shape: [Int]) {
    guard let index = tensors.firstIndex(where: { $0.name == name }) else { return }
    let count = shape.reduce(1, *) * 4
    var bytes = Array(tensors[index].bytes.prefix(count))
    while bytes.count < count { withUnsafeBytes(of: Float(0.25).bitPattern.littleEndian) { bytes += $0 } }
    (tensors[index].shape, tensors[index].bytes) = (shape, bytes)
  }

  /// The file's bytes.
  func bytes() -> [UInt8] {
    var file = Array("GGUF".utf8)
    func number<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.littleEndian) { file += $0 } }
    func text(_ value: String) {
      number(UInt64(value.utf8.count))
      file += value.utf8
    }
    func array(_ type: UInt32, _ count: Int) {
      number(UInt32(9))
      number(type)
      number(UInt64(count))
    }
    number(UInt32(3))
    number(UInt64(tensors.count))
    number(UInt64(metadata.count))
    for (key, value) in metadata {
      text(key)
      switch value {
      case .integer(let value):
        number(UInt32(4))
        number(value)
      case .signed(let value):
        number(UInt32(5))
        number(value)
      case .number(let value):
        number(UInt32(6))
        number(value.bitPattern)
      case .flag(let value):
        number(UInt32(7))
        number(UInt8(value ? 1 : 0))
      case .text(let value):
        number(UInt32(8))
        text(value)
      case .long(let value):
        number(UInt32(10))
        number(value)
      case .integers(let values):
        array(5, values.count)
        for value in values { number(value) }
      case .numbers(let values):
        array(6, values.count)
        for value in values { number(value.bitPattern) }
      case .texts(let values):
        array(8, values.count)
        for value in values { text(value) }
      }
    }
    var data: [UInt8] = []
    for tensor in tensors {
      text(tensor.name)
      number(UInt32(tensor.shape.count))
      for extent in tensor.shape.reversed() { number(UInt64(extent)) }
      number(tensor.encoding)
      number(UInt64(data.count))
      data += tensor.bytes + [UInt8](repeating: 0, count: (32 - tensor.bytes.count % 32) % 32)
    }
    file += [UInt8](repeating: 0, count: (32 - file.count % 32) % 32)
    return file + data
  }
}
