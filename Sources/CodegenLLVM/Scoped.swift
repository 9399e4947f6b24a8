// Values that hold only where the code that made them has run: forgotten at the end of the scope.
// Not a cache. Surprise: what is remembered twice belongs to the outer scope.

struct Scoped<Key: Hashable, Value> {
  private var values: [Key: Value] = [:]
  private var log: [Key] = []
  private var marks: [Int] = []

  /// Scopes around the present place.
  var depth: Int { marks.count }

  subscript(key: Key) -> Value? { values[key] }

  mutating func remember(_ value: Value, for key: Key) {
    if values.updateValue(value, forKey: key) == nil { log.append(key) }
  }

  mutating func open() { marks.append(log.count) }

  mutating func close() {
    let mark = marks.removeLast()
    for key in log[mark...] { values[key] = nil }
    log.removeSubrange(mark...)
  }
}
