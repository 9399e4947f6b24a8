// The error model: points where all machines agree, ranges where they round, nothing where rounding decides.
import Fuzzing
import GraphIR
import RandomGraphs
import Scalars
import TensorTypes
import Testing

/// The enclosures of the outputs of `text` for one parameter with these elements.
private func enclosures(_ text: String, _ values: [Double]...) throws -> [Enclosure] {
  let graph = try Graph(text: text)
  let parameters = zip(graph.parameters, values).map { parameter, values in
    ReferenceTensor(
      parameter.type.dtype, parameter.type.shape.knownExtents ?? [],
      values.map { parameter.type.dtype.isFloating ? .float($0) : .integer(Int64($0)) })
  }
  return try EnclosedGraph(graph).run(parameters, []).flatMap(\.enclosures)
}

@Test func a_sum_of_whole_numbers_is_one_value() throws {
  let text = "graph g(%0 x: f32[4]) { %1: f32[] = reduce monoid=sum axes=[0] %0 return %1 }"
  #expect(try enclosures(text, [1, -7, 3, 100]) == [.float(low: 97, high: 97, mayBeNaN: false)])
}

@Test func a_sum_that_rounds_is_a_range_around_the_exact_one() throws {
  let text = "graph g(%0 x: f32[3]) { %1: f32[] = reduce monoid=sum axes=[0] %0 return %1 }"
  let sum = try enclosures(text, [0x1p24, 1, -0x1p24])[0]
  #expect(sum.contains(.float(1)) && sum.contains(.float(0)) && sum.contains(.float(2)))
  #expect(!sum.contains(.float(100)))
}

@Test func a_sum_that_may_overflow_in_some_order_is_anything() throws {
  let text = "graph g(%0 x: f32[3]) { %1: f32[] = reduce monoid=sum axes=[0] %0 return %1 }"
  #expect(try enclosures(text, [3e38, -3e38, 3e38]) == [.unknown])
}

/// a · b + c · d where the products cancel but for what rounding one of them loses: a machine rounds each or fuses one.
@Test(arguments: [DType.f64, .f32, .f16]) func products_that_cancel_are_fused_or_rounded(dtype: DType) throws {
  let text = """
    graph g(%0 x: \(dtype)[1, 2], %1 y: \(dtype)[2, 1]) {
      %2: \(dtype)[1, 1] = contraction batch=[] contracted=[1:0] %0, %1
      return %2
    }
    """
  var random = SeededGenerator(seed: 7)
  for _ in 0..<500 {
    func number() -> Double {
      ScalarReference.rounded(
        Double(random.below(1 << 30)) * 0x1p-20 + Double(random.below(1 << 30)) * 0x1p-52, to: dtype)
    }
    let (a, b) = (number(), number())
    let found = try enclosures(text, [a, -b], [b, a])[0]
    let product = a * b
    for sum in [0, (-product).addingProduct(a, b), product.addingProduct(-b, a)] {
      #expect(found.contains(.float(ScalarReference.rounded(sum, to: dtype))), "\(a) * \(b): \(sum), \(found)")
    }
  }
  // Products of whole numbers are exact.
  #expect(try enclosures(text, [3, -7], [7, 3]) == [.float(low: -0.0, high: 0, mayBeNaN: false)])
}

@Test func a_condition_that_rounding_decides_allows_both_branches() throws {
  let text = """
    graph g(%0 x: f32[1]) {
      %1: f32[1] = exp %0
      %2: f32[1] = log %1
      %3: bool[1] = less %2, %0
      %4: f32[1] = negate %0
      %5: f32[1] = select %3, %0, %4
      return %5
    }
    """
  let chosen = try enclosures(text, [0.3])[0]
  #expect(chosen.contains(.float(-Double(Float(0.3)))) || chosen.contains(.float(0.3)))
  #expect(!chosen.contains(.float(1)))
}

@Test func moved_elements_keep_their_enclosures() throws {
  let text = """
    graph g(%0 x: f32[3]) {
      %1: f32[3] = exp %0
      %2: f32[2] = slice starts=[2] counts=[2] steps=[-2] %1
      return %2
    }
    """
  let moved = try enclosures(text, [0, 1, 2])
  #expect(moved[0].contains(.float(Double(Float(7.389056)))) && moved[1].contains(.float(1)))
  #expect(!moved[0].contains(.float(2.718)) && !moved[1].contains(.float(1.00001)))
}

@Test func zeros_of_both_signs_are_told_apart_where_machines_agree() throws {
  let text = "graph g(%0 x: f32[1]) { %1: f32[1] = negate %0 return %1 }"
  let negated = try enclosures(text, [0])[0]
  #expect(negated.contains(.float(-0.0)) && !negated.contains(.float(0)))
}

@Test(arguments: 0..<60) func the_reference_is_inside_its_enclosures(number: Int) throws {
  let sample = GraphCase.random(seed: 4, number: number)
  // Throws where it is not.
  if case .finding(let finding) = try CaseRun(sample).outcome([]) { Issue.record("\(finding)\n\(sample)") }
}

@Test func one_to_the_power_of_nothing_is_one_or_nothing() throws {
  // erf of 4 is 1 or its neighbour.
  let text = "graph g(%0 x: f32[1], %1 y: f32[1]) { %2: f32[1] = erf %0 %3: f32[1] = power %2, %1 return %3 }"
  let power = try enclosures(text, [4], [.nan])[0]
  #expect(power.contains(.float(1)) && power.contains(.float(.nan)))
}

/// In order, -0 before 0: where functions have poles, steps and forms without a value, and values between them.
private let ends: [Double] = [-.infinity, -2, -0.0, 0, 0.5, 1, .infinity]

@Test(
  arguments: ScalarInstruction.allCases.filter {
    $0 != .select && $0.resultDType([DType](repeating: .f32, count: $0.operandCount)) != nil
  })
func a_value_between_the_ends_is_inside(_ instruction: ScalarInstruction) {
  let ranges = ends.indices.flatMap { low in (low..<ends.count).map { low...$0 } }
  func check(_ operands: [ClosedRange<Int>]) {
    let enclosure = instruction.enclosure(
      operands.map { .float(low: ends[$0.lowerBound], high: ends[$0.upperBound], mayBeNaN: false) }, .f32)
    if enclosure == .unknown { return }
    var choices: [[ScalarValue]] = [[]]
    for operand in operands { choices = choices.flatMap { chosen in ends[operand].map { chosen + [.float($0)] } } }
    for choice in choices {
      guard let value = ScalarReference.evaluate(instruction, .f32, choice) else { continue }
      if !enclosure.contains(value) { Issue.record("\(choice) gives \(value), not \(enclosure)") }
    }
  }
  for a in ranges {
    for b in instruction.operandCount > 1 ? ranges : [a] {
      for c in instruction.operandCount > 2 ? [0...0, 3...3, 1...6] : [a] {
        check(Array([a, b, c].prefix(instruction.operandCount)))
      }
    }
  }
}
