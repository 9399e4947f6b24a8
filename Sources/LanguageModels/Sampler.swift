// Chooses the next token from a model's logits: the best one, or one drawn at random.
// Not a model and not on the device: the logits are read once and looked at here.
// Surprise: the random numbers are SplitMix64's, counted from the seed: one seed gives one text on every machine.
import Basics

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Chooses tokens. The filters apply in this order: repetition penalty, temperature, top-k, top-p.
public struct Sampler: Sendable {
  /// How tokens are chosen.
  public struct Options: Sendable, Hashable {
    /// 0 takes the best token always; larger values draw from a flatter distribution.
    public var temperature: Double
    /// Draw from the `topK` best only; nil: from all.
    public var topK: Int?
    /// Draw from the best tokens that together have this probability (Holtzman 2020); nil: from all.
    public var topP: Double?
    /// Logits of tokens already in the text are divided by this if positive, else multiplied (Keskar 2019); 1 is off.
    public var repetitionPenalty: Double
    /// The same seed draws the same tokens.
    public var seed: UInt64

    public init(
      temperature: Double = 0, topK: Int? = nil, topP: Double? = nil, repetitionPenalty: Double = 1, seed: UInt64 = 0
    ) {
      self.temperature = temperature
      self.topK = topK
      self.topP = topP
      self.repetitionPenalty = repetitionPenalty
      self.seed = seed
    }
  }

  public let options: Options
  private var drawn: UInt64 = 0

  /// - Throws: a Diagnostic for options outside their ranges.
  public init(_ options: Options = Options()) throws(Diagnostic) {
    func require(_ isRight: Bool, _ name: String, _ value: Any, _ range: String) throws(Diagnostic) {
      guard isRight else {
        throw Diagnostic(.argument, "\(name) \(value) is out of range", remedy: "\(name) is \(range)")
      }
    }
    let temperature = options.temperature
    try require(temperature >= 0 && temperature.isFinite, "temperature", temperature, "0 (greedy) or more")
    if let topK = options.topK { try require(topK >= 1, "top-k", topK, "at least 1") }
    if let topP = options.topP { try require(topP > 0 && topP <= 1, "top-p", topP, "more than 0 and at most 1") }
    let penalty = options.repetitionPenalty
    try require(penalty > 0 && penalty.isFinite, "repetition penalty", penalty, "more than 0; 1 switches it off")
    self.options = options
  }

  /// The token to follow `text`.
  ///
  /// - Parameters:
  ///   - logits: one per token of the vocabulary.
  ///   - text: the ids so far, for the repetition penalty.
  /// - Throws: a Diagnostic if there are no logits, or one is not a number.
  public mutating func next(_ logits: [Float], after text: some Sequence<Int32> = []) throws(Diagnostic) -> Int32 {
    var scores = logits
    if options.repetitionPenalty != 1 {
      // Where products leave the numbers, the largest one stands in: the logits are not at fault.
      let greatest = Float.greatestFiniteMagnitude
      let penalty = min(max(Float(options.repetitionPenalty), .leastNormalMagnitude), greatest)
      for id in Set(text) where scores.indices.contains(Int(id)) {
        let score = scores[Int(id)]
        guard score.isFinite else { continue }
        scores[Int(id)] = min(max(score > 0 ? score / penalty : score * penalty, -greatest), greatest)
      }
    }
    let best = try Self.best(scores)
    if options.temperature == 0 { return Int32(best) }
    return Int32(draw(scores, best: best))
  }

  /// The position of the largest score; the first of equals.
  private static func best(_ scores: [Float]) throws(Diagnostic) -> Int {
    var best = 0
    var isNumber = !scores.isEmpty
    for i in scores.indices {
      if scores[i].isNaN { isNumber = false }
      if scores[i] > scores[best] { best = i }
    }
    guard isNumber, scores[best].isFinite else {
      throw Diagnostic(
        .numerics, "the model's logits are not numbers", remedy: "the model file may be damaged: fetch it again")
    }
    return best
  }

  private mutating func draw(_ scores: [Float], best: Int) -> Int {
    let top = scores[best]
    let scale = 1 / options.temperature
    var chosen = options.topK.map { Self.largest($0, of: scores) } ?? Array(scores.indices)
    var weights = chosen.map { exp(Double(scores[$0] - top) * scale) }
    if let topP = options.topP, topP < 1 {
      let total = weights.reduce(0, +)
      // What is below this bound sums to less than 1 - p, so the nucleus is among the rest: few need sorting.
      let bound = total * (1 - topP) / Double(weights.count)
      let order = weights.indices.filter { weights[$0] >= bound }.sorted {
        (weights[$1], chosen[$0]) < (weights[$0], chosen[$1])
      }
      var sum = 0.0
      var nucleus = 0
      while nucleus < order.count, sum < topP * total {
        sum += weights[order[nucleus]]
        nucleus += 1
      }
      let kept = order.prefix(max(nucleus, 1))
      (chosen, weights) = (kept.map { chosen[$0] }, kept.map { weights[$0] })
    }
    var rest = uniform() * weights.reduce(0, +)
    for (id, weight) in zip(chosen, weights) {
      rest -= weight
      if rest < 0 { return id }
    }
    // Rounding may leave a rest.
    return weights.lastIndex { $0 > 0 }.map { chosen[$0] } ?? best
  }

  /// Positions of the `count` largest scores in their order; the first of equals wins.
  ///
  /// Four passes over the scores' bytes find the smallest score that belongs to them, whatever `count` is.
  private static func largest(_ count: Int, of scores: [Float]) -> [Int] {
    guard count < scores.count else { return Array(scores.indices) }
    // Unsigned numbers in the order of the scores; adding 0 makes both zeros one.
    let keys = scores.map { score in
      let bits = (score + 0).bitPattern
      return bits >> 31 == 1 ? ~bits : bits | 1 << 31
    }
    var bound: UInt32 = 0
    var missing = count
    for shift in [24, 16, 8, 0] as [UInt32] {
      var counts = [Int](repeating: 0, count: 256)
      let known: UInt32 = shift == 24 ? 0 : .max << (shift + 8)
      for key in keys where key & known == bound { counts[Int(key >> shift & 255)] += 1 }
      var digit = 255
      while counts[digit] < missing {
        missing -= counts[digit]
        digit -= 1
      }
      bound |= UInt32(digit) << shift
    }
    return keys.indices.filter { index in
      if keys[index] == bound { missing -= 1 }
      return keys[index] > bound || keys[index] == bound && missing >= 0
    }
  }

  /// In [0, 1): SplitMix64 (Steele, Lea and Flood 2014) of the number of draws so far.
  private mutating func uniform() -> Double {
    drawn &+= 1
    var z = options.seed &+ drawn &* 0x9e37_79b9_7f4a_7c15
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return Double((z ^ (z >> 31)) >> 11) * 0x1p-53
  }
}
