// `make house`: the numbers of the house, for people and as one JSON object on the last line.
// Usage: HouseReport ROOT [REPLAY], where REPLAY is the last line of `azulejo replay --json`.
import Basics
import Foundation
import House

let arguments = CommandLine.arguments
let house = try House(URL(filePath: arguments.count > 1 ? arguments[1] : "."))
let longestFunction = house.longestFunction.map { "\($0.lines) lines: \($0.place)" } ?? "none"
let longestFile = house.longestFile.map { "\($0.lines) lines: \($0.name)" } ?? "none"
let switches = try House.enums.map { ($0, try house.switches(over: $0)) }
let naming = ["erf", "gather"].map { ($0, house.files(naming: $0)) }
let replay = try arguments.count > 2 ? JSON(parsing: arguments[2])["replay"] ?? .null : .null

print("lines in Sources: \(house.lines)")
for (name, places) in switches {
  print("switches over all of \(name): \(places.count)  \(places.joined(separator: ", "))")
}
for (name, files) in naming { print("files that name \(name): \(files.count)  \(files.joined(separator: ", "))") }
print("longest function: \(longestFunction)")
print("longest file: \(longestFile)")
print("functions of the models that the library has too: \(house.duplicatesOfPublic.joined(separator: ", "))")
print("replay: \(replay)")
print(
  JSON.object([
    .init("lines", .integer(house.lines)),
    .init("switches", .object(switches.map { .init($0.0, .integer($0.1.count)) })),
    .init("files_naming", .object(naming.map { .init($0.0, .integer($0.1.count)) })),
    .init("longest_function", .integer(house.longestFunction?.lines ?? 0)),
    .init("longest_file", .integer(house.longestFile?.lines ?? 0)),
    .init("duplicates_of_public", .array(house.duplicatesOfPublic.map { .string($0) })),
    .init("replay", replay),
  ]))
