// swift-tools-version: 6.2
// The house plan: one target per layer, one-way imports (checked by ArchitectureTests).
import PackageDescription

/// A layer of the house: its sources, what it may import, and nothing else.
func layer(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies)
}

let collections = Target.Dependency.product(name: "Collections", package: "swift-collections")
let numerics = Target.Dependency.product(name: "Numerics", package: "swift-numerics")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

let package = Package(
  name: "Azulejo",
  platforms: [.macOS(.v26)],
  products: [
    .library(name: "Azulejo", targets: ["Azulejo"]),
    .executable(name: "azulejo", targets: ["AzulejoCommand"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-numerics", from: "1.1.1"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    // 0
    .target(name: "CLLVM"),  // C declarations of the LLVM-C API, resolved by dlopen at the first compile
    .target(name: "CHost"),  // C declarations of what Swift cannot say: pause hint, cpuid, memory hints, callers
    layer("Basics", ["CHost", logging]),
    // 1
    layer("TensorTypes", ["Basics"]),
    layer("Scalars", ["TensorTypes", numerics]),
    layer("Targets", ["TensorTypes", "CHost"]),
    // 2
    layer("GraphIR", ["Scalars"]),
    layer("TileIR", ["Basics", "TensorTypes", "Scalars"]),
    layer("RandomGraphs", ["GraphIR"]),  // for tests and the fuzzer
    // 3
    layer("Fusion", ["GraphIR", "TileIR", "Targets"]),
    layer("TileAnalysis", ["TileIR", "Targets"]),  // what any code generator asks about a kernel
    // 4
    layer("CodegenLLVM", ["TileAnalysis", "CLLVM"]),
    layer("Execution", ["Basics", "TensorTypes", "Targets", "CHost"]),
    // 5
    layer("DriverCPU", ["Basics", "TensorTypes", "Execution", "CHost"]),
    layer("DriverInterpreter", ["Basics", "TensorTypes", "TileIR", "Execution"]),
    layer("DriverNull", ["Basics", "TensorTypes", "Execution"]),
    layer("DriverLate", ["Basics", "TensorTypes", "Execution"]),  // for tests
    layer("Backends", ["CodegenLLVM", "TileIR", "DriverCPU", "DriverInterpreter", "DriverLate", "DriverNull"]),
    // 6
    layer("Engine", ["Fusion", "Backends", collections]),
    layer("Tensors", ["Engine"]),
    // 7
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),  // inflate, deflate, crc32
    layer("Formats", ["Tensors", "CZlib"]),
    layer("Tokenizers", ["Basics"]),
    layer("Conformance", ["Capture", "Formats", "RandomGraphs"]),  // runs recorded cases of another system
    layer("Capture", ["Tensors", collections]),
    // 8
    layer("LanguageModels", ["Capture", "Formats", "Tokenizers"]),
    layer("Insight", ["Capture"]),  // roofline, machine card, benchmark statistics, reports
    // Compiled against operation by operation against the reference.
    layer("Fuzzing", ["Capture", "Conformance", "RandomGraphs"]),
    layer("Azulejo", ["Capture", "Formats", "LanguageModels", "Insight"]),
    .executableTarget(
      name: "AzulejoCommand", dependencies: ["Azulejo", "Conformance", "Fuzzing", "Insight", arguments]),
    .executableTarget(
      name: "ExecutionBenchmark", dependencies: ["Basics", "TensorTypes", "Execution", "DriverCPU"],
      path: "Benchmarks/Execution"),
    .executableTarget(
      name: "CodegenBenchmark",
      dependencies: [
        "Basics", "TensorTypes", "Scalars", "Targets", "GraphIR", "TileIR", "Fusion", "CodegenLLVM", "DriverCPU",
      ],
      path: "Benchmarks/Codegen"),
    // Benchmarks: never part of a product
    .executableTarget(
      name: "AzulejoBench", dependencies: ["Azulejo", "Capture", "Insight", "Tensors", "TensorTypes"],
      path: "Benchmarks/AzulejoBench"),
    // Tests
    // What tests of several layers need.
    .target(name: "TestSupport", dependencies: ["Basics"], path: "Tests/TestSupport"),
    tests("AzulejoTests", ["Azulejo"]),
    tests("TensorsTests", ["TestSupport", "Tensors", "Conformance", "TensorTypes", "Basics"]),
    tests("CaptureTests", ["TestSupport", "Capture", "Tensors", "Engine", "GraphIR", "TensorTypes", "Basics"]),
    tests("ArchitectureTests", ["Basics", "CodegenLLVM", "House"]),
    .target(name: "House", path: "Tests/House"),  // what the sources are counted by, and a command that prints it
    .executableTarget(name: "HouseReport", dependencies: ["House", "Basics"], path: "Tests/HouseReport"),
    tests(
      "ExecutionTests",
      ["TestSupport", "Basics", "TensorTypes", "Execution", "DriverCPU", "DriverLate", "DriverNull"]),
    tests("FormatsTests", ["TestSupport", "Formats", "FuzzFormats", "Tensors", "TensorTypes", "Basics"]),
    .target(name: "FuzzFormats", dependencies: ["Formats", "Basics"], path: "Tests/FuzzFormats"),
    // Files of every kind that a reader may be given, drawn and damaged; and a command that reads a million of them.
    .target(
      name: "HostileFiles",
      dependencies: [
        "LanguageModels", "Tokenizers", "Formats", "Capture", "Insight", "Engine", "Execution", "Fusion", "GraphIR",
        "TileIR", "RandomGraphs", "Targets", "Tensors", "TensorTypes", "Basics",
      ], path: "Tests/HostileFiles"),
    .executableTarget(name: "FuzzReaders", dependencies: ["HostileFiles"], path: "Tests/FuzzReaders"),
    tests(
      "CodegenTests",
      [
        "CodegenLLVM", "DriverCPU", "Fusion", "GraphIR", "RandomGraphs", "TileIR", "Scalars", "Targets", "TensorTypes",
        "Basics",
      ]),
    tests("ScalarsTests", ["Scalars", "TensorTypes"]),
    tests("BasicsTests", ["Basics"]),
    tests("TokenizersTests", ["Tokenizers", "Formats"]),
    tests("TensorTypesTests", ["TensorTypes", "Basics"]),
    tests("GraphIRTests", ["GraphIR", "RandomGraphs", "Scalars", "TensorTypes", "Basics"]),
    tests(
      "EngineTests",
      ["TestSupport", "Tensors", "Engine", "Backends", "Execution", "GraphIR", "Scalars", "TensorTypes", "Basics"]),
    tests(
      "FusionTests",
      ["Fusion", "GraphIR", "RandomGraphs", "TileIR", "Scalars", "Targets", "TensorTypes", "Basics"]),
    tests(
      "DriverInterpreterTests", ["DriverInterpreter", "Execution", "TileIR", "Scalars", "TensorTypes", "Basics"]),
    tests(
      "LanguageModelsTests",
      [
        "TestSupport", "AzulejoCommand", "LanguageModels", "HostileFiles", "Tensors", "Tokenizers", "Formats", "Basics",
      ]),
    tests(
      "InsightTests",
      [
        "TestSupport", "Insight", "Backends", "Execution", "Formats", "Tensors", "Engine", "Targets", "TileIR",
        "TensorTypes", "Basics",
      ]),
    tests(
      "ExtendingTests",
      [
        "Capture", "Tensors", "Engine", "Backends", "DriverInterpreter", "Execution", "Fusion", "Fuzzing",
        "RandomGraphs", "GraphIR", "Scalars", "Targets", "TensorTypes", "Basics",
      ]),
    tests("FuzzingTests", ["Fuzzing", "RandomGraphs", "GraphIR", "Scalars", "TensorTypes", "Basics"]),
    tests("TileIRTests", ["TileIR", "Scalars", "TensorTypes", "Basics"]),
    tests("TileAnalysisTests", ["TileAnalysis", "TileIR", "Targets", "TensorTypes"]),
  ],
  swiftLanguageModes: [.v6]
)
