import ArgumentParser

@main struct AzulejoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "azulejo", abstract: "Deep learning in Swift, owned by no hardware vendor.")
}
