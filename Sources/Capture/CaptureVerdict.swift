// What a second capture of a function showed, kept on disk: whoever gets the same capture from the same build need not
// capture twice. Not a plan. Surprise: it says nothing about this process' closure, only about the code at its place; the
// capture of this process is the second one, the first was another process'.
import Basics
import Engine
import Execution
import GraphIR

/// What the second capture of a function showed.
enum CaptureVerdict: UInt8 {
  /// The same graph at other sizes.
  case same = 1

  /// What was found for `key` earlier.
  init?(stored key: String) {
    guard let bytes = ObjectCache.shared.read(key, .capture), bytes.count == 1, let known = Self(rawValue: bytes[0])
    else { return nil }
    self = known
  }

  func store(_ key: String) { ObjectCache.shared.write(key, [rawValue], .capture) }
}

extension TracedRun {
  /// Equal for equal captures of the code at one place; nil where plans are not kept.
  func verdictKey(_ options: CompileOptions, _ signature: CallSignature, pinned: [DimGuard]) -> String? {
    var hash = StableHash()
    hash.combine(BuildIdentity.current)
    for segment in breaks.map(\.segment) + [segment] {
      guard let key = segment?.lastingKey else { return nil }
      hash.combine(key)
    }
    for made in breaks { hash.combine(made.bits ?? 0) }
    for number in numbers { hash.combine(Int(number)) }
    hash.combine("\(options.place)")
    signature.combine(into: &hash)
    for guarded in guards + pinned {
      hash.combine(guarded.relation.rawValue)
      hash.combine([guarded.a, guarded.b])
      hash.combine(byte: (guarded.answer ? 1 : 0) | (guarded.isRead ? 2 : 0))
    }
    return hash.description
  }
}

extension CallSignature {
  fileprivate func combine(into hash: inout StableHash) {
    hash.combine(symbols.count)
    for text in form.description { hash.combine(text) }
    for leaf in leaves {
      switch leaf {
      case .tensor(let dtype, let extents):
        hash.combine([0, Int(dtype.rawValue), extents.count])
        for extent in extents {
          switch extent {
          case .fixed(let extent): hash.combine([0, extent])
          case .symbol(let id): hash.combine([1, id])
          }
        }
      case .dim(let symbol): hash.combine([1, symbol])
      case .value(let value): hash.combine("\(value)")
      case .count(let count): hash.combine([2, count])
      }
    }
  }
}
