// Elements of every dtype in every other, as PyTorch converts them; what the unsigned dtypes and the 8-bit floats can do.
// The recorded file is made by Tests/Oracle/make_dtype_cases.py.

import Basics
import Foundation
import Scalars
import TensorTypes
import Tensors
import TestSupport
import Testing

@testable import Formats

private enum Recorded {
  static func file() throws -> SafetensorsFile {
    try SafetensorsFile(path: RecordedFiles.path("../dtype_conversions.safetensors"))
  }
}

/// Equal elements; NaN equals NaN, and -0 is not 0.
private func agree(_ a: Tensor, _ b: Tensor) throws -> Bool {
  guard a.dtype == b.dtype, a.shape == b.shape else { return false }
  guard a.dtype.isFloating else { return try a.array(as: Int64.self) == b.array(as: Int64.self) }
  let (x, y) = (try a.array(as: Double.self), try b.array(as: Double.self))
  return zip(x, y).allSatisfy { $0.bitPattern == $1.bitPattern || $0.isNaN && $1.isNaN }
}

struct DTypeConversionTests {
  @Test(arguments: DType.allCases)
  func elements_convert_as_in_pytorch(_ from: DType) throws {
    let file = try Recorded.file()
    for to in DType.allCases {
      let stored = try file.tensor("\(from).\(to).in")
      let expected = try file.tensor("\(from).\(to).out").tensor()
      let source = try stored.tensor()
      #expect(try agree(source.converted(to: to), expected), "\(from) to \(to)")
      // The reference that interpreters run, one by one.
      try stored.bytes.withUnsafeBytes { bytes in
        let wanted = try expected.array(as: Double.self)
        for index in 0..<stored.elementCount {
          let element = ScalarReference.value(
            bits: (0..<from.size).reduce(UInt64(0)) { $0 | UInt64(bytes[index * from.size + $1]) << UInt64(8 * $1) },
            from)
          let made = from == to ? element : ScalarReference.convert(element, from: from, to: to)
          let number = to == .f64 ? made.doubleValue : ScalarReference.convert(made, from: to, to: .f64).doubleValue
          #expect(number == wanted[index] || number.isNaN && wanted[index].isNaN, "\(from) to \(to), element \(index)")
        }
      }
    }
  }

  @Test(arguments: [DType.f8e4m3fn, .f8e5m2])
  func every_8_bit_float_and_every_middle_between_two(_ dtype: DType) throws {
    let file = try Recorded.file()
    let all = try Tensor((0...255).map { UInt8($0) }).elements(of: dtype)
    #expect(try agree(all.converted(to: .f32), file.tensor("\(dtype).all").tensor()))
    let points = try file.tensor("\(dtype).points").tensor()
    let bits = try file.tensor("\(dtype).rounded").tensor().array(as: UInt8.self)
    let folder = try ScratchFolder()
    try Tensor.save(["rounded": points.converted(to: dtype)], to: folder.path("a.safetensors"))
    let saved = try SafetensorsFile(path: folder.path("a.safetensors")).tensor("rounded")
    #expect(saved.bytes.copied(as: UInt8.self) == bits)
  }

  @Test func promotion_is_that_of_pytorch_and_refuses_what_it_refuses() throws {
    let table = try Recorded.file().tensor("promotions").tensor().array(as: Int.self)
    for (i, a) in DType.allCases.enumerated() {
      for (j, b) in DType.allCases.enumerated() {
        let expected = table[i * DType.allCases.count + j]
        if expected >= 0 {
          #expect(try a.promoted(with: b) == DType.allCases[expected], "\(a) with \(b)")
        } else {
          expectDiagnostic(.dtype, "\(a)", "\(b)", "convert") { _ = try a.promoted(with: b) }
        }
      }
    }
  }

  @Test(arguments: DType.allCases)
  func elements_of_every_dtype_survive_files(_ dtype: DType) throws {
    let folder = try ScratchFolder()
    let tensor = Tensor([0, 1, 2, 3, 4, 5] as [Float], shape: [2, 3]).converted(to: dtype)
    try Tensor.save(["x": tensor, "t": tensor.transposed()], to: folder.path("a.safetensors"))
    let loaded = try Tensor.load(folder.path("a.safetensors"))
    #expect(try agree(#require(loaded["x"]), tensor))
    #expect(try agree(#require(loaded["t"]), tensor.transposed()))
    let array = try OutgoingTensor("x", tensor)
    guard dtype.npyName != nil else {
      expectDiagnostic(.dtype, "\(dtype)") { try NpyArray.write(array, to: folder.path("a.npy")) }
      return
    }
    try NpyArray.write(array, to: folder.path("a.npy"))
    #expect(try agree(NpyArray(path: folder.path("a.npy")).tensor(), tensor))
  }
}

struct UnsignedTests {
  private static let words: [UInt64] = [0, 1, 9, 1 << 63 - 1, 1 << 63, .max - 1, .max, 1 << 53 + 1]

  @Test func u64_is_ordered_divided_and_printed_without_a_sign() throws {
    let x = Tensor(Self.words)
    #expect(x.dtype == .u64)
    #expect(try x.array(as: UInt64.self) == Self.words)
    #expect(try x.max().item(as: UInt64.self) == .max)
    #expect(try x.min().item(as: UInt64.self) == 0)
    #expect(try x.argmax().item(as: Int.self) == 6)
    #expect(try x.sorted().values.array(as: UInt64.self) == Self.words.sorted())
    let y = Tensor(Self.words.reversed().map { $0 | 1 })
    for (name, tensor, plain) in [
      ("quotient", x.floorDivided(by: y), { $0 / $1 }), ("remainder", x.remainder(y), { $0 % $1 }),
      ("minimum", x.minimum(y), { Swift.min($0, $1) }), ("sum", x + y, { $0 &+ $1 }),
      ("product", x * y, { $0 &* $1 }), ("difference", x - y, { $0 &- $1 }),
    ] as [(String, Tensor, (UInt64, UInt64) -> UInt64)] {
      let expected = zip(Self.words, Self.words.reversed().map { $0 | 1 }).map(plain)
      #expect(try tensor.array(as: UInt64.self) == expected, "\(name)")
    }
    let less = zip(Self.words, Self.words.reversed().map { $0 | 1 }).map { $0 < $1 }
    #expect(try (x < y).array(as: Bool.self) == less)
    #expect("\(x)".contains("18446744073709551615"))
    #expect(try x.array(as: Double.self) == Self.words.map { Double($0) })
    #expect(try x.converted(to: .f32).array(as: Float.self) == Self.words.map { Float($0) })
  }

  @Test func u16_and_u32_compute_in_their_width() throws {
    let x = Tensor([0, 1, 40000, 65535] as [UInt16])
    let y = Tensor([1, 65535, 40000, 2] as [UInt16])
    #expect(try (x + y).array(as: UInt16.self) == [1, 0, 14464, 1])
    #expect(try (x < y).array(as: Bool.self) == [true, true, false, false])
    #expect(try (x / y).array(as: Float.self) == [0, 1 / 65535, 1, 32767.5])
    #expect((x + 1).dtype == .u16 && (x * 0.5).dtype == .f32)
    #expect(try x.sum().item(as: Int.self) == 105_536)
    let z = Tensor([0, 1, 1 << 31, .max] as [UInt32])
    #expect(try z.max().item(as: UInt32.self) == .max)
    #expect(try z.converted(to: .f64).array(as: Double.self) == [0, 1, 0x1p31, 4_294_967_295])
    #expect(try z.sum().item(as: Int.self) == 1 + 1 << 31 + 4_294_967_295)
    #expect(x[Tensor([3, 0] as [Int64])].shape.description == "[2]")
    expectDiagnostic(.dtype, "u16", "i32", "convert") {
      _ = try (x + Tensor([1, 2, 3, 4] as [Int32])).array(as: Int.self)
    }
  }

  @Test func eight_bit_floats_move_and_compute_nothing() throws {
    for dtype in [DType.f8e4m3fn, .f8e5m2] {
      let values: [Float] = [0, -1, 2, 448, 0.015625, .nan]
      let x = Tensor(values, shape: [2, 3]).converted(to: dtype)
      func floats(_ tensor: Tensor) throws -> [Float] { try tensor.array(as: Float.self) }
      #expect(x.dtype == dtype)
      #expect(try floats(x.transposed()).prefix(5) == [0, 448, -1, 0.015625, 2])
      #expect(try floats(x[0..<1, 1...]) == [-1, 2])
      #expect(try floats(x.reshaped(3, 2)[1]) == [2, 448])
      #expect(try floats(Tensor.concatenated([x[0], x[0]], axis: 0)) == [0, -1, 2, 0, -1, 2])
      #expect(try floats(x.copied()[0]) == [0, -1, 2])
      var y = x
      y[0] = x[0].converted(to: dtype)
      #expect(try floats(y[0]) == [0, -1, 2])
      #expect("\(x)".contains("4.48") && "\(x)".contains("nan"), "\(x)")
      for (name, made) in [
        ("add", x + x), ("multiply", x * 2), ("exp", x.exp()), ("sum", x.sum()), ("less", x < x), ("max", x.max()),
        ("matmul", x.matmul(x.transposed())), ("sorted", x.sorted().values), ("argmax", x.argmax()),
        ("cumulativeSum", x.cumulativeSum(0)), ("softmax", x.softmax()),
      ] as [(String, Tensor)] {
        expectDiagnostic(.dtype, "\(dtype)", "convert") {
          _ = try made.array(as: Float.self)
          Issue.record("\(name) of \(dtype) gave \(made)")
        }
      }
    }
  }
}

extension Tensor {
  /// These bytes as elements of an 8-bit dtype.
  fileprivate func elements(of dtype: DType) throws -> Tensor {
    let bytes = try array(as: UInt8.self)
    return bytes.withUnsafeBytes { Tensor(copying: $0, dtype: dtype, shape: [bytes.count]) }
  }
}
