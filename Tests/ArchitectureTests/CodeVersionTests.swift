// Kernels stay on disk under the version of what makes their machine code, so that a rebuilt program starts warm. That
// version is a number which somebody must raise: this finds who forgot.
// Surprise: any change to those sources fails it, comments aside, also one that leaves every kernel as it was.
import Basics
import CodegenLLVM
import Foundation
import Testing

/// What turns a kernel's text into machine code; the text itself is part of every key.
private let makers = ["TileIR", "TileAnalysis", "Scalars", "Targets", "CodegenLLVM"]

/// The version that was right for these sources.
private let recorded = (version: "llvm19 lowering 27", sources: "637209e89d3ef254eeca2df7c13be18b")

@Test func the_version_of_kernels_on_disk_changes_with_the_code_that_makes_them() throws {
  var hash = StableHash()
  for maker in makers {
    for file in try sources(maker).sorted(by: { $0.path < $1.path }) {
      hash.combine(file.lastPathComponent)
      for line in try String(contentsOf: file, encoding: .utf8).split(whereSeparator: \.isNewline) {
        let code = line.trimmingCharacters(in: .whitespaces)
        if !code.isEmpty, !code.hasPrefix("//") { hash.combine(code) }
      }
    }
  }
  #expect(
    recorded.version == LLVMCompiler.version && recorded.sources == "\(hash)",
    """
    the sources of \(makers.joined(separator: ", ")) are \(hash) at "\(LLVMCompiler.version)".
    what to do: raise LLVMCompiler.version if any kernel's machine code may differ, and record both here
    """)
}
