// A sample of the hostile files that Tests/FuzzReaders reads by the million: read or refused, never a crash.
// Surprise: a file that ends the process ends the test run; its reader is the test's argument, its seed below the count.

import HostileFiles
import Testing

@Suite(.serialized) struct HostileFileTests {
  @Test(arguments: HostileReader.allCases)
  func hostile_files_are_read_or_refused(_ reader: HostileReader) {
    let count = reader == .llama || reader == .bert ? 40 : 40 * reader.weight
    let refused = (0..<count).count { reader.run(seed: $0) != nil }
    // Both happen, or nothing was tried.
    #expect(refused > count / 20 && refused < count, "\(refused) of \(count) were refused")
    HostileReader.cleanUp()
  }
}
