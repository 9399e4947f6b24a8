// What a compile gives: an object file and the names in it. The calling convention of kernels is written here.
// Not loaded code: DriverCPU maps it. Surprise: the object refers to nothing outside itself.

/// The machine code of a kernel, as an ELF object without undefined symbols.
///
/// For every phase i it exports, by the C calling convention,
///
///     void <name>_p<i>(void *const *buffers, const int64_t *arguments, int64_t begin, int64_t end,
///                      void *arena, int64_t *fault)
///
/// which runs instances begin..<end of that phase's grid, counted linearly with axis 0 fastest. `buffers` are the launch's
/// buffers, then the kernel's scratch, each pointer already at its first element. `arena` is memory of one thread,
/// 64-byte aligned, of `<name>_arena(arguments)` bytes (`int64_t (const int64_t *)`). `fault` is four words
/// {kind, instance, index, extent}, all zero before a launch; the first fault of a thread is written there. Kinds are those of
/// `TileInterpreter.Fault`.
package struct CompiledKernel: Sendable, Hashable {
  package var object: [UInt8]
  /// One symbol per phase.
  package var phases: [String]
  package var arenaSymbol: String

  package init(object: [UInt8], phases: [String], arenaSymbol: String) {
    self.object = object
    self.phases = phases
    self.arenaSymbol = arenaSymbol
  }
}

/// What may change the code beside kernel and target; part of the cache key.
package struct CodegenOptions: Sendable, Hashable {
  /// Vectors per strip of a loop, at most.
  package var unroll = 4
  /// Lets stores bypass the cache where the kernel says so.
  package var streamingStores = true
  /// Outputs of more bytes than this bypass the caches; nil: as the target says.
  package var streamingBytes: Int?
  /// Fetches the next instance's rows ahead.
  package var prefetch = true
  package init() {}
}
