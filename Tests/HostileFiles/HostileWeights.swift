// Weight files and arrays, drawn valid and then damaged: safetensors, GGUF, npy, npz.
// Not the readers' own fixtures. Surprise: sizes are small and counts are lies, so that a reader that believes a count
// asks for more memory than the fuzzer has.

import Basics
import Formats
import RandomGraphs

enum HostileWeights {
  private static let dtypes: [(name: String, bytes: Int)] = [
    ("F32", 4), ("F16", 2), ("BF16", 2), ("F64", 8), ("I64", 8), ("I32", 4), ("I16", 2), ("I8", 1), ("U8", 1),
    ("BOOL", 1), ("U16", 2), ("U32", 4), ("U64", 8), ("F8_E4M3", 1), ("F8_E5M2", 1), ("F8_E8M0", 1), ("C64", 8),
    ("X", 3),
  ]

  static func shape(_ random: inout SeededGenerator) -> [Int] {
    (0..<random.below(4)).map { _ in random.once(in: 12) ? 0 : 1 + random.below(5) }
  }

  /// `tensors`: names and shapes to have; drawn if it is empty.
  static func safetensors(
    _ tensors: [(name: String, shape: [Int])], _ random: inout SeededGenerator
  ) -> [UInt8] {
    var members: [JSON.Member] = []
    if random.once(in: 2) {
      members.append(.init("__metadata__", ["format": "pt", "note": .string(random.word())]))
    }
    var position = 0
    let wanted =
      tensors.isEmpty
      ? (0..<random.below(6)).map { (name: "\(random.word())\($0)", shape: shape(&random)) } : tensors
    for (name, shape) in wanted {
      let (dtype, size) = tensors.isEmpty ? random.pick(dtypes) : ("F32", 4)
      let end = position + shape.reduce(size, *)
      members.append(
        .init(
          name,
          [
            "dtype": .string(dtype), "shape": .array(shape.map { .integer($0) }),
            "data_offsets": [.integer(position), .integer(end)],
          ]))
      position = end
    }
    // A model's weights are left whole more often: there is more behind them.
    let isWhole = !tensors.isEmpty && !random.once(in: 3)
    let document = JSON.object(members)
    let header = isWhole ? Array(document.description.utf8) : HostileJSON.mutated(document, &random)
    var sketch = Sketch()
    sketch.add(UInt64(header.count))
    sketch.add(raw: header)
    // Small floats, so that models of them compute.
    sketch.add(raw: (0..<position).map { $0 % 4 == 3 ? 0x3d : UInt8(truncatingIfNeeded: $0 &* 7) })
    return !isWhole && random.once(in: 3) ? Mutation.apply(sketch, &random) : sketch.bytes
  }

  static func gguf(_ random: inout SeededGenerator) -> [UInt8] {
    var sketch = Sketch()
    let tensors = (0..<random.below(5)).map { index in
      (name: "\(random.word())\(index)", shape: shape(&random), type: UInt32(random.below(43)))
    }
    let keys = random.below(6)
    preamble(&sketch, tensors: tensors.count, metadata: keys)
    for index in 0..<keys {
      sketch.add("\(random.word()).\(index)")
      let type = UInt32(random.below(13))
      sketch.add(type)
      value(&sketch, type, &random, depth: 0)
    }
    var offset = 0
    for tensor in tensors {
      let format = QuantizedFormat(ggmlID: tensor.type)
      let row = format?.blockElements ?? 1
      let shape = format == nil ? tensor.shape : tensor.shape.dropLast() + [row * (1 + random.below(2))]
      let elements = shape.reduce(1, *)
      directory(&sketch, tensor.name, Array(shape), tensor.type, offset)
      let bytes = format.flatMap { $0.byteCount(elements: elements) } ?? elements * 8
      offset += (bytes + 31) / 32 * 32
    }
    sketch.pad(to: 32)
    sketch.add(raw: random.bytes(offset))
    return Mutation.apply(sketch, &random)
  }

  static func preamble(_ sketch: inout Sketch, tensors: Int, metadata: Int) {
    sketch.add(raw: "GGUF".utf8)
    sketch.add(UInt32(3))
    sketch.add(UInt64(tensors))
    sketch.add(UInt64(metadata))
  }

  static func directory(_ sketch: inout Sketch, _ name: String, _ shape: [Int], _ type: UInt32, _ offset: Int) {
    sketch.add(name)
    sketch.add(UInt32(shape.count))
    for extent in shape.reversed() { sketch.add(UInt64(extent)) }
    sketch.add(type)
    sketch.add(UInt64(offset))
  }

  private static func value(_ sketch: inout Sketch, _ type: UInt32, _ random: inout SeededGenerator, depth: Int) {
    switch type {
    case 0, 1: sketch.add(UInt8(truncatingIfNeeded: random.next()))
    case 2, 3: sketch.add(UInt16(truncatingIfNeeded: random.next()))
    case 4, 5, 6: sketch.add(UInt32(truncatingIfNeeded: random.next()))
    case 7: sketch.add(UInt8(random.below(2)))
    case 8: sketch.add(random.word())
    case 9:
      let inner = UInt32(random.below(depth > 2 ? 9 : 13))
      let count = random.below(4)
      sketch.add(inner)
      sketch.add(UInt64(count))
      for _ in 0..<count { value(&sketch, inner, &random, depth: depth + 1) }
    default: sketch.add(UInt64(random.next()))
    }
  }

  static func npy(_ random: inout SeededGenerator) -> [UInt8] {
    let types: [(code: String, bytes: Int)] = [
      ("<f4", 4), ("<f8", 8), ("<f2", 2), (">f4", 4), (">i8", 8), ("|b1", 1), ("|u1", 1), ("<u2", 2), ("<u4", 4),
      ("<u8", 8), ("<i4", 4), ("|O", 8), ("<c8", 8), ("|V2", 2), ("<U3", 12), ("<M8[ns]", 8),
    ]
    let (code, size) = random.pick(types)
    let shape = shape(&random)
    let tuple = shape.map { "\($0)" }.joined(separator: ", ") + (shape.count == 1 ? "," : "")
    let order = random.once(in: 2) ? "True" : "False"
    let header = Mutation.apply(
      text: "{'descr': '\(code)', 'fortran_order': \(order), 'shape': (\(tuple)), }", &random)
    var sketch = Sketch()
    let version = random.pick([1, 1, 1, 2, 3] as [UInt8])
    sketch.add(raw: [0x93] + Array("NUMPY".utf8) + [version, 0])
    if version == 1 {
      sketch.add(UInt16(truncatingIfNeeded: header.utf8.count))
    } else {
      sketch.add(UInt32(header.utf8.count))
    }
    sketch.add(raw: header.utf8)
    sketch.add(raw: random.bytes(shape.reduce(size, *)))
    return random.once(in: 2) ? Mutation.apply(sketch, &random) : sketch.bytes
  }

  /// A zip of arrays, of entries that are stored or deflated; its records' fields are the numbers.
  static func npz(_ random: inout SeededGenerator) -> [UInt8] {
    var sketch = Sketch()
    var records: [(name: String, crc: UInt32, packed: Int, whole: Int, method: UInt16, offset: Int)] = []
    for index in 0..<random.below(4) {
      let array = npy(&random)
      let isDeflated = random.once(in: 2)
      let packed = isDeflated ? storedDeflate(array) : array
      let name = "\(random.word())\(index)" + (random.once(in: 8) ? "" : ".npy")
      records.append(
        (name, crc32(array), packed.count, array.count, isDeflated ? 8 : 0, sketch.bytes.count))
      sketch.add(UInt32(0x0403_4b50))
      for _ in 0..<5 { sketch.add(UInt16(0)) }
      for _ in 0..<3 { sketch.add(UInt32(0)) }
      sketch.add(UInt16(truncatingIfNeeded: name.utf8.count))
      sketch.add(UInt16(0))
      sketch.add(raw: name.utf8)
      sketch.add(raw: packed)
    }
    let start = sketch.bytes.count
    for record in records {
      sketch.add(UInt32(0x0201_4b50))
      for value in [20, 20, 0, record.method, 0, 0] as [UInt16] { sketch.add(value) }
      sketch.add(record.crc)
      sketch.add(UInt32(record.packed))
      sketch.add(UInt32(record.whole))
      sketch.add(UInt16(truncatingIfNeeded: record.name.utf8.count))
      for _ in 0..<4 { sketch.add(UInt16(0)) }
      sketch.add(UInt32(0))
      sketch.add(UInt32(record.offset))
      sketch.add(raw: record.name.utf8)
    }
    let size = sketch.bytes.count - start
    sketch.add(UInt32(0x0605_4b50))
    for value in [0, 0, records.count, records.count] { sketch.add(UInt16(value)) }
    sketch.add(UInt32(size))
    sketch.add(UInt32(start))
    sketch.add(UInt16(0))
    return Mutation.apply(sketch, &random)
  }

  /// Deflate without compression: blocks of at most 65,535 bytes.
  private static func storedDeflate(_ bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    var rest = bytes[...]
    repeat {
      let block = rest.prefix(65_535)
      rest = rest.dropFirst(block.count)
      let count = UInt16(block.count)
      result += [rest.isEmpty ? 1 : 0, UInt8(count & 255), UInt8(count >> 8), UInt8(~count & 255), UInt8(~count >> 8)]
      result += block
    } while !rest.isEmpty
    return result
  }

  private static func crc32(_ bytes: [UInt8]) -> UInt32 {
    var crc = UInt32.max
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xedb8_8320 : crc >> 1 }
    }
    return ~crc
  }
}
