// A compiled kernel as plain data: what a code generator hands to a driver and what the object cache stores.
// Knows no IR: Dims over launch arguments are all that is left of the kernel's extents.
// Surprise: `Dim.symbol(i)` means launch argument i, and scratch buffers follow the launch's buffers in the pointer array.
//
// The calling convention of `.object` code on the CPU, one function per phase:
//   void p(void *const *buffers, const int64_t *arguments, int64_t begin, int64_t end, void *arena, int64_t *fault)
// runs instances begin ..< end of the phase's grid, axis 0 fastest. `int64_t arena(const int64_t *arguments)` tells how
// many bytes of instance memory a thread needs. A fault writes four words, {kind, instance, index, extent}, only while
// `fault[0]` is 0; kind 1 is an index, 2 a division by zero.
import TensorTypes

/// A kernel ready to be loaded by a driver.
package struct ExecutableImage: Sendable, Hashable {
  /// What `code` holds.
  package enum Format: UInt8, Sendable, Hashable, CaseIterable {
    /// A relocatable object file of the host.
    case object = 1
    /// The kernel in tile text, for the interpreter.
    case tileText = 2
    /// Nothing to run: the null driver's.
    case nothing = 3
  }

  /// A grid of instances; phases run one after the other, or beside the one before.
  package struct Phase: Sendable, Hashable {
    package var symbol: String
    package var grid: [Dim]
    /// No barrier to the phase before: their instances may run at the same time.
    package var isBeside: Bool
    package init(symbol: String, grid: [Dim], isBeside: Bool = false) {
      self.symbol = symbol
      self.grid = grid
      self.isBeside = isBeside
    }
  }

  /// A remark that travels with the code: which kernel it was, counted flops and bytes, the tuning record.
  package struct Remark: Sendable, Hashable {
    package var key: String
    package var value: String
    package init(_ key: String, _ value: String) {
      self.key = key
      self.value = value
    }
  }

  /// The name that no other kernel's tile text has: see `Kernel.stageName`.
  package static let tileKey = "tile"
  package var tile: String? { metadata.last { $0.key == Self.tileKey }?.value }

  package var name: String
  package var format: Format
  package var code: [UInt8]
  package var phases: [Phase]
  /// The function that tells the bytes of instance memory; nil: none needed.
  package var arenaSymbol: String?
  /// Bytes of each scratch buffer.
  package var scratch: [Dim]
  /// Launch buffers, scratch not counted.
  package var bufferCount: Int
  package var argumentCount: Int
  package var metadata: [Remark]

  package init(
    name: String, format: Format, code: [UInt8], phases: [Phase], arenaSymbol: String? = nil, scratch: [Dim] = [],
    bufferCount: Int, argumentCount: Int, metadata: [Remark] = []
  ) {
    self.name = name
    self.format = format
    self.code = code
    self.phases = phases
    self.arenaSymbol = arenaSymbol
    self.scratch = scratch
    self.bufferCount = bufferCount
    self.argumentCount = argumentCount
    self.metadata = metadata
  }
}
