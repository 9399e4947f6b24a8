// The functions that every chat template finds: Jinja's, and those that Hugging Face adds.
// Surprise: `lipsum` is not here, since its text is a different one each time, nor is `self`, which holds blocks.

import Basics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

typealias TemplateFunction = @Sendable (TemplateArguments, TemplateEvaluator) throws(Diagnostic) -> TemplateValue

enum TemplateGlobals {
  /// Names that are defined, but not to be used here.
  static let unsupported: Set<String> = ["lipsum", "self"]

  static let table: [String: TemplateFunction] = [
    "raise_exception": { (arguments, run) throws(Diagnostic) in
      guard let message = try arguments.bound(to: "message")[0] else {
        throw run.mistake("'raise_exception' needs a message")
      }
      throw Diagnostic(
        .argument,
        "the model's chat template refuses these messages (line \(run.line)): \(try run.text(of: message))",
        remedy: "change the messages, or send the prompt as it is with --raw")
    },
    "range": { (arguments, run) throws(Diagnostic) in
      var bounds: [Int] = []
      for value in try arguments.places(1...3) {
        guard let bound = value.integer else { throw run.mistake("'range' of \(value.kind)") }
        bounds.append(bound)
      }
      let (start, stop) = bounds.count == 1 ? (0, bounds[0]) : (bounds[0], bounds[1])
      guard let range = TemplateRange(start, stop, bounds.count == 3 ? bounds[2] : 1) else {
        throw run.mistake("'range' with step 0 or of too many numbers")
      }
      guard range.count <= 100_000 else { throw run.mistake("'range' of more than 100000 numbers") }
      return .range(range)
    },
    "dict": { (arguments, run) throws(Diagnostic) in try run.checked(try dictionary(arguments, run)) },
    "namespace": { (arguments, run) throws(Diagnostic) in
      let namespace = try run.keep(TemplateNamespace())
      guard let named = try dictionary(arguments, run).named else {
        throw run.mistake("a namespace's members need names")
      }
      for (name, value) in named {
        try checkMember(name, run)
        namespace.members[name] = value
      }
      return .namespace(namespace)
    },
    "cycler": { (arguments, run) throws(Diagnostic) in
      guard arguments.named.isEmpty, !arguments.positional.isEmpty else { throw run.mistake("'cycler' needs values") }
      return .cycler(try run.keep(TemplateCycler(arguments.positional)))
    },
    "joiner": { (arguments, run) throws(Diagnostic) in
      let separator = try arguments.bound(to: "sep")[0] ?? .string(", ")
      guard let text = separator.string else { throw run.mistake("'joiner' by \(separator.kind) is not supported") }
      return .joiner(TemplateJoiner(text))
    },
    "strftime_now": { (arguments, run) throws(Diagnostic) in
      guard let format = try arguments.bound(to: "format")[0]?.string else {
        throw run.mistake("'strftime_now' needs a format")
      }
      return try run.text(date(format))
    },
  ]

  /// Hugging Face keeps names that begin with an underscore out of namespaces.
  static func checkMember(_ name: String, _ run: TemplateEvaluator) throws(Diagnostic) {
    guard !name.hasPrefix("_") else { throw run.mistake("a namespace's member cannot be called '\(name)'") }
  }

  /// `dict(...)`: of a dictionary, or of pairs, and of named members.
  private static func dictionary(_ arguments: TemplateArguments, _ run: TemplateEvaluator) throws(Diagnostic)
    -> TemplateDictionary
  {
    guard arguments.positional.count <= 1 else { throw run.mistake("'dict' takes one value and named ones") }
    let made = TemplateDictionary()
    switch arguments.positional.first {
    case nil: break
    case .dictionary(let other)?:
      for (key, value) in zip(other.keys, other.values) { made.set(try run.key(key), key, value) }
    case let pairs?:
      for pair in try run.elements(of: pairs) {
        let parts = try run.elements(of: pair)
        guard parts.count == 2 else { throw run.mistake("'dict' needs pairs") }
        made.set(try run.key(parts[0]), parts[0], parts[1])
      }
    }
    for (name, value) in arguments.named { made.set(name, value) }
    return made
  }

  private static func date(_ format: String) -> String {
    var now = time(nil)
    var parts = tm()
    localtime_r(&now, &parts)
    var buffer = [UInt8](repeating: 0, count: 1024)
    let count = buffer.withUnsafeMutableBytes { bytes in
      strftime(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, format, &parts)
    }
    return String(decoding: buffer[..<count], as: UTF8.self)
  }
}
