// Every reader of the product, each with files that are drawn for it and what is done with a file that it accepts.
// Not a test: whoever runs it watches for crashes, hangs and memory. Surprise: nearly all that goes wrong goes wrong after
// a file was accepted, so everything in it is read, converted, printed, run.

import Basics
import Capture
import Engine
import Execution
import Formats
import Foundation
import Fusion
import GraphIR
import Insight
import LanguageModels
import RandomGraphs
import Targets
import TensorTypes
import Tensors
import TileIR
import Tokenizers

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

public enum HostileReader: String, CaseIterable, Sendable {
  case safetensors, gguf, npy, npz, json, tokenizer, card, graph, kernel, plan, object, entry, llama, bert

  /// How often it is drawn, of all: models are slow, and weight files are what strangers send.
  public var weight: Int {
    switch self {
    case .safetensors, .gguf, .npy, .npz: 16
    case .json, .tokenizer, .card, .graph, .kernel, .plan, .object: 8
    case .entry: 4
    case .llama, .bert: 1
    }
  }

  /// Draws the file that `seed` stands for and reads it.
  /// - Returns: the error of a refused file, nil for one that was read.
  public func run(seed: Int) -> Diagnostic? {
    var random = SeededGenerator(seed: seed, name: rawValue)
    do throws(Diagnostic) {
      try read(&random)
      return nil
    } catch {
      // Its text is what a user would see.
      precondition(!error.description.isEmpty)
      return error
    }
  }

  private func read(_ random: inout SeededGenerator) throws(Diagnostic) {
    switch self {
    case .safetensors:
      try Self.readAll(SafetensorsFile(file: Self.mapped(HostileWeights.safetensors([], &random))).tensors)
    case .gguf: try Self.readAll(GGUFFile(file: Self.mapped(HostileWeights.gguf(&random))))
    case .npy: try Self.readAll(NpyArray(file: Self.mapped(HostileWeights.npy(&random))))
    case .npz:
      let bytes = random.once(in: 3) ? Self.deflated(&random) : HostileWeights.npz(&random)
      let archive = try NpzFile(file: Self.mapped(bytes), inflationLimit: 1 << 20)
      for name in archive.names { try Self.readAll(archive.array(name)) }
    case .json: _ = try JSON(parsing: HostileJSON.mutated(HostileJSON.any(&random), &random)).description
    case .tokenizer: try Self.readTokenizer(&random)
    case .card: try Self.readCard(&random)
    case .graph: try Self.readGraph(&random)
    case .kernel: try Self.readKernel(&random)
    case .plan:
      try Self.readEntry(Self.samplePlans, &random) { bytes throws(Diagnostic) in try StoredPlans.check(bytes) }
    case .object:
      try Self.readEntry([Self.sampleImage.serialised()], &random) { bytes throws(Diagnostic) in
        _ = try ExecutableImage(serialised: bytes).serialised()
      }
    case .entry: try Self.readCacheFile(&random)
    case .llama: try Self.readLlama(&random)
    case .bert: try Self.readBert(&random)
    }
  }

  private static func mapped(_ bytes: [UInt8]) throws(Diagnostic) -> MappedFile {
    try MappedFile(guarding: bytes, named: "hostile")
  }

  // MARK: Weights

  private static func readAll(_ tensors: [StoredTensor]) throws(Diagnostic) {
    for stored in tensors {
      if case .unsupported = stored.encoding { continue }
      let count = try stored.floats().count
      precondition(count == stored.elementCount, "\(stored)")
      let tensor = try stored.tensor()
      precondition(tensor.shape.rank == stored.shape.count)
      if tensor.dtype != .f64 { _ = try tensor.array(as: Float.self).count }
    }
  }

  private static func readAll(_ file: GGUFFile) throws(Diagnostic) {
    for key in file.keys {
      if let array = file.metadata[key]?.array { try readAll(array) }
    }
    try readAll(file.tensors)
  }

  private static func readAll(_ array: GGUFArray) throws(Diagnostic) {
    for value in try array.values() {
      if let inner = value.array { try readAll(inner) }
    }
  }

  private static func readAll(_ array: NpyArray) throws(Diagnostic) {
    precondition(array.floats().count == array.elementCount, "\(array)")
    _ = try array.tensor().array(as: Double.self)
  }

  /// An archive whose arrays are really compressed; numbers lie in its directory and nowhere known.
  private static func deflated(_ random: inout SeededGenerator) -> [UInt8] {
    var sketch = Sketch()
    let sample = random.pick(deflatedSamples)
    sketch.add(raw: sample.dropLast(120))
    var rest = Array(sample.suffix(120))[...]
    while rest.count >= 2 {
      sketch.add(UInt16(rest[rest.startIndex]) | UInt16(rest[rest.startIndex + 1]) << 8)
      rest = rest.dropFirst(2)
    }
    sketch.add(raw: rest)
    return Mutation.apply(sketch, &random)
  }

  private static let deflatedSamples: [[UInt8]] = (0..<8).map { number in
    let path = NSTemporaryDirectory() + "azulejo-hostile-\(ProcessInfo.processInfo.processIdentifier)-\(number).npz"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let count = [0, 1, 5, 64, 300, 1000, 4000, 20][number]
    let arrays = ["a", "b"].map { name in
      OutgoingTensor(name, .f32, [count], elements: (0..<count).map { Float($0 % (3 + number)) })
    }
    try? NpzWriter.write(arrays, compressed: true, to: path)
    return [UInt8](FileManager.default.contents(atPath: path) ?? Data())
  }

  // MARK: Texts

  private static func readTokenizer(_ random: inout SeededGenerator) throws(Diagnostic) {
    let text = HostileJSON.mutated(HostileModels.tokenizerJSON(&random), &random)
    let tokenizer = try Tokenizer(json: JSON(parsing: text))
    for text in ["", "the cat [SEP] sat 42", "é\u{1f9f1}\u{301}  \n", random.word()] {
      let ids = tokenizer.encode(text)
      precondition(ids.allSatisfy { $0 >= 0 })
      _ = tokenizer.decode(ids + [0, -1, .max])
    }
  }

  private static func readCard(_ random: inout SeededGenerator) throws(Diagnostic) {
    let card = MachineCard(
      processor: "hostile", threads: 2, read: 45e9, copy: 42e9,
      mixes: [.init(read: 1, written: 1): 55e9, .init(read: 0, written: 1): 41e9], level2: 460e9, level3: 180e9,
      level3Bytes: 32 << 20, f32: 500e9, bf16: 1000e9, int8: nil)
    let json = try JSON(parsing: HostileJSON.mutated(card.json, &random))
    guard let read = MachineCard(json: json) else { throw Diagnostic(.format, "no card") }
    _ = (read.bandwidth(read: 1, written: 0), read.bandwidth(read: .max, written: 0), read.json.description)
    let kernel = Report.Kernel("rows", flops: 1000, read: 4096, written: 4096, seconds: 1e-5)
    let report = Report("softmax", mode: "compiled", segments: [.init("segment", kernels: [kernel])], card: read)
    _ = (report.html.utf8.count, report.lines.count, report.json.description.utf8.count)
  }

  private static func readGraph(_ random: inout SeededGenerator) throws(Diagnostic) {
    let sample = RandomGraph.make(seed: random.below(500), size: 3 + random.below(12), symbolic: random.once(in: 2))
    let text = Mutation.apply(text: sample.description, &random)
    let read = try GraphCase(text: text)
    _ = try read.graph.verified()
    _ = read.description
  }

  private static func readKernel(_ random: inout SeededGenerator) throws(Diagnostic) {
    let sample = RandomGraph.make(seed: random.below(500), size: 3 + random.below(8), symbolic: random.once(in: 2))
    let schedule = try Fuser.schedule(sample.graph, SchedulingContext(target: .x86Version3))
    guard !schedule.steps.isEmpty else { return }
    let text = Mutation.apply(text: random.pick(schedule.steps).kernel.text, &random)
    let kernel = try Kernel(text: text)
    _ = try kernel.verified()
    _ = kernel.text
  }

  // MARK: The cache's entries

  private static func readEntry(
    _ samples: [[UInt8]], _ random: inout SeededGenerator, _ read: ([UInt8]) throws(Diagnostic) -> Void
  ) throws(Diagnostic) {
    guard !samples.isEmpty else { throw Diagnostic(.cache, "no sample") }
    var sketch = Sketch()
    sketch.add(raw: random.pick(samples))
    // Nothing says where numbers lie: any eight bytes may be one.
    var bytes = Mutation.apply(sketch, &random)
    if random.once(in: 2), bytes.count > 8 {
      let place = random.below(bytes.count - 8)
      let value = random.hostileNumber()
      for i in 0..<8 { bytes[place + i] = UInt8(truncatingIfNeeded: value >> Int64(8 * i)) }
    }
    try read(bytes)
  }

  /// Plans as a small model's compilation leaves them in a cache.
  private static let samplePlans: [[UInt8]] = {
    guard let directory = ObjectCache.shared.directory else { return [] }
    let function = compile { (x: Tensor) in
      let hidden = (x.matmul(Tensor.ones(8, 8)) + 1).gelu()
      return (hidden.softmax(), hidden.sum(0))
    }
    for rows in [3, 5] { _ = try? function(Tensor.ones(rows, 8)).0.array(as: Float.self) }
    var plans: [[UInt8]] = []
    _ = ObjectCache(directory: directory).unusable([.plan]) { _, bytes in
      if plans.count < 64 { plans.append(bytes) }
      return nil
    }
    return plans
  }()

  /// A file of the cache: what comes out of it is what was put in, or nothing.
  private static func readCacheFile(_ random: inout SeededGenerator) throws(Diagnostic) {
    let cache = ObjectCache(directory: folder + "/cache")
    let kind = random.pick(ObjectCache.Kind.allCases)
    let payload = random.bytes(random.below(300))
    cache.write("abc", payload, kind)
    guard let path = cache.file("abc", kind), let data = FileManager.default.contents(atPath: path) else {
      throw Diagnostic(.cache, "nothing was kept")
    }
    var sketch = Sketch()
    for word in 0..<4 {
      sketch.add(data.dropFirst(8 * word).prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }
    sketch.add(raw: data.dropFirst(32))
    let changed = Mutation.apply(sketch, &random)
    let file = open(path, O_WRONLY | O_TRUNC)
    guard file >= 0 else { throw Diagnostic(.file, "\(path) cannot be written") }
    let written = changed.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
    close(file)
    guard written == changed.count else { throw Diagnostic(.file, "\(path) cannot be written") }
    guard let read = cache.read("abc", kind) else { throw Diagnostic(.cache, "refused") }
    precondition(read == payload)
  }

  private static let sampleImage: ExecutableImage = {
    var image = ExecutableImage(
      name: "rows2", format: .object, code: Array(0..<200),
      phases: [
        .init(symbol: "phase0", grid: [.symbol(0), 4]), .init(symbol: "phase1", grid: [.symbol(1) + 3], isBeside: true),
      ], bufferCount: 3, argumentCount: 2)
    image.scratch = [.symbol(0) * 64]
    image.metadata = [.init("flops", "100")]
    return image
  }()

  // MARK: Models

  private static func readLlama(_ random: inout SeededGenerator) throws(Diagnostic) {
    let file = try GGUFFile(file: mapped(HostileModels.llama(&random)))
    let llama = try Llama(file)
    var cache = try KVCache(llama, capacity: min(llama.configuration.context, 8))
    let logits = try llama([1, 2, 3], &cache).array(as: Float.self)
    precondition(logits.count == llama.vocabulary)
    let tokenizer = try Tokenizer(file)
    _ = tokenizer.decode(tokenizer.encode("the cat sat"))
  }

  /// One folder for each process.
  private static let folder = NSTemporaryDirectory() + "azulejo-hostile-\(ProcessInfo.processInfo.processIdentifier)"

  private static func readBert(_ random: inout SeededGenerator) throws(Diagnostic) {
    do {
      try FileManager.default.createDirectory(atPath: folder + "/1_Pooling", withIntermediateDirectories: true)
      for (name, bytes) in HostileModels.bert(&random) {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
      }
    } catch { throw Diagnostic(.file, "\(folder): \(error)") }
    let encoder = try BertEncoder(directory: folder)
    let embedding = try encoder("the cat sat on [SEP] a mat").array(as: Float.self)
    // Several poolings are joined.
    precondition(!embedding.isEmpty && embedding.count % encoder.configuration.width == 0)
  }

  /// Removes what a run has left.
  public static func cleanUp() { try? FileManager.default.removeItem(atPath: folder) }
}
