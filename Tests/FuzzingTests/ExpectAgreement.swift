// What a finding of the fuzzer is printed as: a test that runs a case in every way. Not in a child process: here a crash is
// a crash of the tests, so findings of that kind are fixed before they are pasted.
import Fuzzing
import Testing

func expectAgreement(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
  let sample = try FuzzCase(text: text)
  #expect(try sample.outcome(Way.allCases) == .agrees, sourceLocation: sourceLocation)
}
