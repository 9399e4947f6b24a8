// How many switches list a whole enum of the IRs, and how many files name an operation: each is a place that a new operation
// must edit. What most code wants to know stands beside the enum, as its kind. And how long functions are.
import Foundation
import House
import Testing

@Suite struct SwitchTests {
  @Test(arguments: House.enums) func few_switches_list_a_whole_enum_of_the_irs(_ name: String) throws {
    let house = try House(root)
    #expect(house.sources.count > 300)
    #expect(try house.cases(of: name).count > 10)
    let places = try house.switches(over: name)
    #expect((1...8).contains(places.count), "\(name) is listed at \(places)")
  }

  /// One pointwise operation and one that moves elements. A new place that must know an operation by name is one more that a
  /// new operation must edit.
  @Test(arguments: [("erf", 5), ("gather", 12)]) func few_files_name_an_operation(_ name: String, _ most: Int) throws {
    let files = try House(root).files(naming: name)
    #expect((3...most).contains(files.count), "\(name) is named in \(files)")
  }

  /// One that is longer has stages or a table inside that want names.
  @Test func no_function_is_longer_than_60_lines() throws {
    let functions = try House(root).sources.flatMap(\.functions)
    #expect(functions.count > 3000)
    for function in functions { #expect(function.lines <= 60, "\(function.place) has \(function.lines) lines") }
  }

  /// What is counted, on a text that says it.
  @Test func switches_functions_and_names_are_counted_in_texts() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "house-\(UInt64.random(in: 0 ... .max))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "A.swift")
    try """
    // gather is no name here
    private func h() -> Int { 1 }
    enum A {
      case one, two(Int)  // three
      case four = "five"
      func f() -> Int {
        switch self {
        case .one, .two: return 1
        case .four: return gather("erf: no word")
        }
      }
      func g() -> Bool {
        switch self {
        case .one: return true
        default: return false
        }
      }
    }
    """.write(to: file, atomically: true, encoding: .utf8)
    let text = try #require(try SourceText.all(in: folder).first)
    let cases = try #require(try text.cases(of: "A"))
    #expect(cases == ["one", "two", "four"])
    #expect(try text.cases(of: "B") == nil)
    #expect(text.switches.filter { $0.lists(cases) }.map(\.place) == ["A.swift:7"])
    #expect(text.functions.map(\.lines) == [6, 6])
    #expect(text.names("gather"))
    #expect(!text.names("gather", leavingOut: "gather(\"erf: no word\")"))
    #expect(text.names("gather", leavingOut: "gather()"))
    #expect(!text.names("gathe"))
    #expect(!text.names("no name"))
  }
}
