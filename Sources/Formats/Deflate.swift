// Raw deflate streams and CRC-32 through zlib, with sizes known before a byte is allocated.
// Not a zip reader. Surprise: zlib counts in 32 bits, so long inputs are fed in pieces.

import Basics
import CZlib

enum Deflate {
  /// No deflate stream expands more than this: a match of 258 bytes costs at least 2 bits.
  static let maximumRatio = 1032

  private static let piece = 1 << 30

  /// CRC-32 of `bytes`, continuing from `crc`.
  static func crc32(_ bytes: UnsafeRawBufferPointer, from crc: UInt32 = 0) -> UInt32 {
    guard let start = bytes.baseAddress, !bytes.isEmpty else { return crc }
    return UInt32(truncatingIfNeeded: crc32_z(uLong(crc), start.assumingMemoryBound(to: Bytef.self), bytes.count))
  }

  /// Fills `output` from a raw deflate stream. Returns what is wrong, nil if the stream gives at least
  /// `output.count` bytes (`isWhole`: exactly as many, and ends with `input`).
  static func inflate(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, isWhole: Bool
  ) -> String? {
    var stream = z_stream()
    guard inflateInit2_(&stream, -MAX_WBITS, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      return "zlib cannot start"
    }
    defer { inflateEnd(&stream) }
    // One spare byte tells a stream that is too long from one that fits.
    var spare: UInt8 = 0
    var consumed = 0, produced = 0
    return withUnsafeMutableBytes(of: &spare) { spare in
      while true {
        let inputPiece = min(input.count - consumed, piece)
        let wantsSpare = produced == output.count
        let target = wantsSpare ? spare : UnsafeMutableRawBufferPointer(rebasing: output[produced...])
        let outputPiece = min(target.count, piece)
        stream.next_in = input.baseAddress.map {
          UnsafeMutablePointer(mutating: ($0 + consumed).assumingMemoryBound(to: Bytef.self))
        }
        stream.avail_in = uInt(inputPiece)
        stream.next_out = target.baseAddress?.assumingMemoryBound(to: Bytef.self)
        stream.avail_out = uInt(outputPiece)
        let status = CZlib.inflate(&stream, Z_NO_FLUSH)
        let taken = inputPiece - Int(stream.avail_in), given = outputPiece - Int(stream.avail_out)
        consumed += taken
        if wantsSpare {
          if given > 0 { return "gives more than the \(output.count) bytes it claims" }
        } else {
          produced += given
          if !isWhole, produced == output.count { return nil }
        }
        if status == Z_STREAM_END {
          guard produced == output.count else { return "gives \(produced) bytes, claims \(output.count)" }
          return consumed == input.count ? nil : "ends after \(consumed) of \(input.count) compressed bytes"
        }
        guard status == Z_OK, taken > 0 || given > 0 else {
          return status == Z_BUF_ERROR || status == Z_OK ? "is cut short" : "is damaged (zlib \(status))"
        }
      }
    }
  }

  /// A deflate stream that is written piece by piece.
  struct Compressor: ~Copyable {
    private let stream: UnsafeMutablePointer<z_stream>
    private var buffer = [UInt8](repeating: 0, count: 1 << 16)

    init() throws(Diagnostic) {
      stream = .allocate(capacity: 1)
      stream.initialize(to: z_stream())
      let status = deflateInit2_(
        stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
        Int32(MemoryLayout<z_stream>.size))
      guard status == Z_OK else { throw Diagnostic(.memory, "zlib cannot start compressing (\(status))") }
    }

    deinit {
      deflateEnd(stream)
      stream.deallocate()
    }

    /// Compresses `bytes` and hands what comes out to `sink`; `isLast` ends the stream.
    mutating func compress(
      _ bytes: UnsafeRawBufferPointer, isLast: Bool, to sink: OutgoingTensor.Sink
    ) throws(Diagnostic) {
      var rest = bytes
      repeat {
        let count = min(rest.count, piece)
        stream.pointee.next_in = rest.baseAddress.map {
          UnsafeMutablePointer(mutating: $0.assumingMemoryBound(to: Bytef.self))
        }
        stream.pointee.avail_in = uInt(count)
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        let flush = isLast && rest.isEmpty ? Z_FINISH : Z_NO_FLUSH
        repeat {
          try buffer.withUnsafeMutableBufferPointer { buffer throws(Diagnostic) in
            stream.pointee.next_out = buffer.baseAddress
            stream.pointee.avail_out = uInt(buffer.count)
            deflate(stream, flush)
            let given = buffer.count - Int(stream.pointee.avail_out)
            try sink(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<given]))
          }
        } while stream.pointee.avail_out == 0
      } while !rest.isEmpty
    }
  }
}
