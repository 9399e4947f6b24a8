// Mistakes that Swift itself refuses, with our words where a formula is wrong: each is type-checked and must not pass.
// Not run-time errors. Surprise: the control comes first: the same file without the mistakes must pass.
import Foundation
import Testing

/// (a function body, what the compiler must say about it)
private let mistakes: [(code: String, message: String)] = [
  (
    "var n = 0; _ = compile { (x: Tensor) in n += 1; return x }",
    "mutation of captured var 'n' in concurrently-executing code"
  ),
  ("let net = Net(); _ = compile { (x: Tensor) in x * net.scale }", "capture of 'net' with non-Sendable type 'Net'"),
  ("if x > 0 { print(1) }", "comparing tensors gives a Tensor mask, not a Bool"),
  ("let n: Int = x.shape[0]; print(n)", "cannot convert value of type 'Dim' to specified type 'Int'"),
  ("print(Int(x.shape[0]))", "`try dim.value` gives the Int and makes it a guard"),
  ("print(Float(x))", "`try tensor.item(as: Float.self)` reads the one element"),
  ("for i in 0..<x.shape[0] { print(i) }", "loop over `0..<(try dim.value)` (a guard), or use scan/map"),
  ("_ = x + [Float(1), 2]", "wrap the array: Tensor(array)"),
  ("let y: Float = x.item(); print(y)", "call can throw but is not marked with 'try'"),
  ("_ = compile { (x: Tensor, net: Net) in x }", "requires that 'Net' conform to 'Tree'"),
]

private func diagnostics(_ body: String) throws -> String {
  let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized
  let beside = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "Modules")
  let built = root.appending(path: ".build/debug/Modules")
  let modules = FileManager.default.fileExists(atPath: beside.path) ? beside : built
  let file = FileManager.default.temporaryDirectory.appending(path: "azulejo-refused-\(UUID().uuidString).swift")
  let source = "import Capture\nimport Tensors\nimport TensorTypes\nfinal class Net { var scale = 2.0 }\n" + body
  try source.write(to: file, atomically: true, encoding: .utf8)
  defer { try? FileManager.default.removeItem(at: file) }
  let process = Process()
  process.executableURL = URL(filePath: "/usr/bin/env")
  let headers = ["CHost", "CLLVM"].flatMap { ["-I", root.appending(path: "Sources/\($0)/include").path] }
  process.arguments = ["swiftc", "-typecheck", "-swift-version", "6", "-I", modules.path] + headers + [file.path]
  let output = Pipe()
  process.standardError = output
  process.standardOutput = FileHandle.nullDevice
  try process.run()
  let text = output.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return process.terminationStatus == 0 ? "" : String(decoding: text, as: UTF8.self)
}

@Test func mistakes_that_swift_can_see_do_not_compile() throws {
  let control =
    "func f(_ x: Tensor) throws { let n = try x.shape[0].value; _ = compile { (x: Tensor) in x * Double(n) } }"
  let none = try diagnostics(control)
  try #require(none.isEmpty, "the control must compile: \(none)")
  let functions = mistakes.enumerated().map { "func f\($0)(_ x: Tensor) throws {\n\($1.code)\n}" }
  let said = try diagnostics(functions.joined(separator: "\n"))
  for (code, message) in mistakes { #expect(said.contains(message), "\(code)\n\(said)") }
}
