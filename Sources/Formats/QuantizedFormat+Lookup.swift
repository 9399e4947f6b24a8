// The encodings of GGUF files whose elements are looked up: ternary, four-bit floats, and the lattices (IQ).
// Not linear ones: those are described in the catalogue. Surprise: every product here is exact in Float, so the order of
// the factors does not matter and the results are those of any right decoder, bit for bit.

/// The bytes of one block, read as the numbers that lie in them.
struct BlockBytes {
  let bytes: UnsafeRawBufferPointer

  func byte(_ offset: Int) -> Int { Int(bytes[offset]) }
  func word(_ offset: Int) -> Int { byte(offset) | byte(offset + 1) << 8 }
  func longWord(_ offset: Int) -> Int { word(offset) | word(offset + 2) << 16 }
  func half(_ offset: Int) -> Float { Float(Float16(bitPattern: UInt16(word(offset)))) }
  /// Four bits: the low half of each byte first.
  func nibble(_ offset: Int, _ index: Int) -> Int { byte(offset + index / 2) >> (index % 2 * 4) & 15 }
}

extension QuantizedFormat {
  /// A four-bit float (E2M1), doubled.
  private static let e2m1: [Float] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]
  private static let unevenSteps: [Float] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
  ]

  /// Ternary, five digits a byte: 256 elements in 54 bytes.
  public static let tq1_0 = QuantizedFormat(
    name: "TQ1_0", ggmlID: 34, blockElements: 256, fields: [("qs", 48), ("qh", 4), ("d", 2)],
    decoding: .lookup { block, output in
      let d = block.half(52)
      var next = 0
      // A byte is a fraction of 256: each multiplication by 3 brings its next digit above the point.
      for (start, count, digits) in [(0, 32, 5), (32, 16, 5), (48, 4, 4)] {
        var power = 1
        for _ in 0..<digits {
          for i in start..<start + count {
            output[next] = d * Float(((block.byte(i) * power & 255) * 3) >> 8 - 1)
            next += 1
          }
          power *= 3
        }
      }
    })

  /// Four-bit floats with a power of two: 32 elements in 17 bytes.
  public static let mxfp4 = QuantizedFormat(
    name: "MXFP4", ggmlID: 39, blockElements: 32, fields: [("e", 1), ("qs", 16)],
    decoding: .lookup { block, output in
      // Half of 2^(e - 127), for the doubled elements; the two smallest are subnormal.
      let exponent = UInt32(block.byte(0))
      let d = Float(bitPattern: exponent < 2 ? 0x0020_0000 << exponent : (exponent - 1) << 23)
      for i in 0..<16 {
        output[i] = d * e2m1[block.byte(1 + i) & 15]
        output[i + 16] = d * e2m1[block.byte(1 + i) >> 4]
      }
    })

  /// Four-bit floats with an eight-bit float each 16: 64 elements in 36 bytes.
  public static let nvfp4 = QuantizedFormat(
    name: "NVFP4", ggmlID: 40, blockElements: 64, fields: [("d", 4), ("qs", 32)],
    decoding: .lookup { block, output in
      for group in 0..<4 {
        let d = unsignedE4M3(block.byte(group)) / 2
        for i in 0..<8 {
          let byte = block.byte(4 + group * 8 + i)
          output[group * 16 + i] = d * e2m1[byte & 15]
          output[group * 16 + i + 8] = d * e2m1[byte >> 4]
        }
      }
    })

  /// An eight-bit float as ggml reads a scale of NVFP4: the sign bit belongs to no number, 0x7f is 0.
  private static func unsignedE4M3(_ byte: Int) -> Float {
    if byte == 0x7f { return 0 }
    let (exponent, mantissa) = (byte >> 3 & 15, Float(byte & 7))
    if exponent == 0 { return mantissa * 0x1p-9 }
    return Float(sign: .plus, exponent: exponent - 7, significand: 1 + mantissa / 8)
  }

  /// 4 bits, uneven steps: 32 elements in 18 bytes.
  public static let iq4_NL = QuantizedFormat(
    name: "IQ4_NL", ggmlID: 20, blockElements: 32, fields: [("d", 2), ("qs", 16)],
    decoding: .lookup { block, output in
      let d = block.half(0)
      for i in 0..<16 {
        output[i] = d * unevenSteps[block.byte(2 + i) & 15]
        output[i + 16] = d * unevenSteps[block.byte(2 + i) >> 4]
      }
    })

  /// 4 bits, uneven steps, groups of 32 with 6-bit scales: 256 elements in 136 bytes.
  public static let iq4_XS = QuantizedFormat(
    name: "IQ4_XS", ggmlID: 23, blockElements: 256,
    fields: [("d", 2), ("scales_h", 2), ("scales_l", 4), ("qs", 128)],
    decoding: .lookup { block, output in
      for group in 0..<8 {
        let scale = block.nibble(4, group) | (block.word(2) >> (2 * group) & 3) << 4
        let d = block.half(0) * Float(scale - 32)
        for i in 0..<16 {
          let byte = block.byte(8 + group * 16 + i)
          output[group * 32 + i] = d * unevenSteps[byte & 15]
          output[group * 32 + i + 16] = d * unevenSteps[byte >> 4]
        }
      }
    })

  // MARK: Lattices

  /// Writes point `code` of `lattice`, times `scale`, each coordinate with the sign in `signs` (lowest bit first).
  private static func put(
    _ lattice: LatticePoints, _ code: Int, _ scale: Float, signs: Int, plus shift: Float = 0,
    to output: UnsafeMutablePointer<Float>
  ) {
    let first = code * lattice.width
    for i in 0..<lattice.width {
      let value = scale * (lattice.coordinates[first + i] + shift)
      output[i] = signs >> i & 1 == 0 ? value : -value
    }
  }

  /// Eight signs of seven bits: their number is even.
  private static func evenSigns(_ bits: Int) -> Int {
    let seven = bits & 127
    return seven | (seven.nonzeroBitCount & 1) << 7
  }

  /// 2 bits: 256 elements in 66 bytes.
  public static let iq2_XXS = QuantizedFormat(
    name: "IQ2_XXS", ggmlID: 16, blockElements: 256, fields: [("d", 2), ("qs", 64)],
    decoding: .lookup { block, output in
      for group in 0..<8 {
        let codes = 2 + group * 8
        let signs = block.longWord(codes + 4)
        let scale = block.half(0) * (0.5 + Float(signs >> 28)) * 0.25
        for i in 0..<4 {
          put(
            .iq2XXS, block.byte(codes + i), scale, signs: evenSigns(signs >> (7 * i)), to: output + group * 32 + i * 8)
        }
      }
    })

  /// 2 bits with finer scales: 256 elements in 74 bytes.
  public static let iq2_XS = QuantizedFormat(
    name: "IQ2_XS", ggmlID: 17, blockElements: 256, fields: [("d", 2), ("qs", 64), ("scales", 8)],
    decoding: .lookup { block, output in
      for point in 0..<32 {
        let code = block.word(2 + point * 2)
        let scale = block.half(0) * (0.5 + Float(block.nibble(66, point / 2))) * 0.25
        put(.iq2XS, code & 511, scale, signs: evenSigns(code >> 9), to: output + point * 8)
      }
    })

  /// 2.5 bits with all signs: 256 elements in 82 bytes.
  public static let iq2_S = QuantizedFormat(
    name: "IQ2_S", ggmlID: 22, blockElements: 256,
    fields: [("d", 2), ("qs", 32), ("signs", 32), ("qh", 8), ("scales", 8)],
    decoding: .lookup { block, output in
      for point in 0..<32 {
        let high = block.byte(66 + point / 4) >> (2 * (point % 4)) & 3
        let scale = block.half(0) * (0.5 + Float(block.nibble(74, point / 2))) * 0.25
        put(
          .iq2S, block.byte(2 + point) | high << 8, scale, signs: block.byte(34 + point), to: output + point * 8)
      }
    })

  /// 3 bits: 256 elements in 98 bytes.
  public static let iq3_XXS = QuantizedFormat(
    name: "IQ3_XXS", ggmlID: 18, blockElements: 256, fields: [("d", 2), ("qs", 64), ("scales", 32)],
    decoding: .lookup { block, output in
      for point in 0..<64 {
        let signs = block.longWord(66 + point / 8 * 4)
        let scale = block.half(0) * (0.5 + Float(signs >> 28)) * 0.5
        let eight = evenSigns(signs >> (7 * (point / 2 % 4)))
        put(.iq3XXS, block.byte(2 + point), scale, signs: eight >> (point % 2 * 4), to: output + point * 4)
      }
    })

  /// 3.4 bits with all signs: 256 elements in 110 bytes.
  public static let iq3_S = QuantizedFormat(
    name: "IQ3_S", ggmlID: 21, blockElements: 256,
    fields: [("d", 2), ("qs", 64), ("qh", 8), ("signs", 32), ("scales", 4)],
    decoding: .lookup { block, output in
      for point in 0..<64 {
        let high = block.byte(66 + point / 8) >> (point % 8) & 1
        let scale = block.half(0) * Float(1 + 2 * block.nibble(106, point / 8))
        put(
          .iq3S, block.byte(2 + point) | high << 8, scale, signs: block.nibble(74, point), to: output + point * 4)
      }
    })

  /// 1.6 bits: 256 elements in 50 bytes.
  public static let iq1_S = QuantizedFormat(
    name: "IQ1_S", ggmlID: 19, blockElements: 256, fields: [("d", 2), ("qs", 32), ("qh", 16)],
    decoding: .lookup { block, output in
      for point in 0..<32 {
        let group = block.word(34 + point / 4 * 2)
        let code = block.byte(2 + point) | (group >> (3 * (point % 4)) & 7) << 8
        let scale = block.half(0) * Float(2 * (group >> 12 & 7) + 1)
        let shift: Float = group & 0x8000 == 0 ? 0.125 : -0.125
        put(.iq1S, code, scale, signs: 0, plus: shift, to: output + point * 8)
      }
    })

  /// 1.75 bits; the half float is spread over the scales: 256 elements in 56 bytes.
  public static let iq1_M = QuantizedFormat(
    name: "IQ1_M", ggmlID: 29, blockElements: 256, fields: [("qs", 32), ("qh", 16), ("scales", 8)],
    decoding: .lookup { block, output in
      let parts = (0..<4).map { (block.word(48 + 2 * $0) >> 12) << (4 * $0) }
      let d = Float(Float16(bitPattern: UInt16(parts.reduce(0, |))))
      for point in 0..<32 {
        let high = block.nibble(32, point)
        let group = point / 2
        let scale = d * Float(2 * (block.word(48 + group / 4 * 2) >> (3 * (group % 4)) & 7) + 1)
        put(
          .iq1S, block.byte(point) | (high & 7) << 8, scale, signs: 0, plus: high & 8 == 0 ? 0.125 : -0.125,
          to: output + point * 8)
      }
    })
}
