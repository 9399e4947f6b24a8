// Scans: running combinations and running positions, element after element along an axis.
// Not reductions. Surprise: where lanes run along the scanned axis itself, the loop is one of scalars; along any other axis
// every lane scans a line of its own. Both combine strictly in ascending order; what floats have come to is carried in f64,
// and a sum of f64 with what its additions lost, so that errors do not grow with the position.
import CLLVM
import Scalars
import TensorTypes
import TileAnalysis
import TileIR

extension PhaseEmitter {
  func scan(_ value: TileValue, _ monoid: Monoid, _ axis: Int, _ operand: TileValue) {
    let dtype = kernel[value].dtype ?? .i64
    let wide = !monoid.accumulates ? dtype : dtype.isFloating ? .f64 : dtype.computeDType
    // -0 + x is x for every x, 0 included.
    let start = wide.isFloating && monoid == .sum ? ScalarConstant(wide, -0.0) : monoid.identity(wide)
    if dtype == .f64, monoid == .sum { return compensatedSum(value, axis, operand, from: start) }
    sweep(value, axis, operand, initial: { [e.constant(start, $0)] }) { state, element, _ in
      let next = combined(monoid, state[0], e.convert(element, dtype, wide), wide)
      return ([next], e.convert(next, wide, dtype))
    }
  }

  /// Beside the sum goes what its additions rounded off: only the sum itself is waited for.
  private func compensatedSum(_ value: TileValue, _ axis: Int, _ operand: TileValue, from start: ScalarConstant) {
    sweep(value, axis, operand, initial: { [e.constant(start, $0), e.real(0, .f64, $0)] }) { state, element, _ in
      let (next, lost) = e.exactSum(state[0], element)
      let error = e.binary(LLVMFAdd, state[1], lost)
      return ([next, error], e.corrected(next, error: error))
    }
  }

  func argScan(_ value: TileValue, _ monoid: ArgMonoid, _ axis: Int, _ operand: TileValue) {
    let dtype = kernel[operand].dtype ?? .i64
    sweep(value, axis, operand, initial: { [e.lowestOrderKey(dtype, $0), e.integer(0, .i64, $0)] }) {
      state, element, position in
      let key = e.orderKey(element, dtype, reversed: monoid == .minimum, nan: .last)
      // The last among equals.
      let wins = e.compare(LLVMIntSGE, key, state[0])
      let leader = e.select(wins, position, state[1])
      return ([e.select(wins, key, state[0]), leader], leader)
    }
  }

  /// Ascends `axis` with a state per line; `step` takes state, element and position, and gives the next state and a result.
  private func sweep(
    _ value: TileValue, _ axis: Int, _ operand: TileValue, initial: (_ lanes: Int) -> [IR],
    step: ([IR], IR, IR) -> (state: [IR], result: IR)
  ) {
    let shape = kernel[value].shape
    let dtype = kernel[value].dtype ?? .i64
    let home = allocate(value)
    let top = memory.top
    let lanesAxis = facts.vectorAxis([operand], shape, storing: home.inner)
    var source: Home?
    if lanesAxis == axis, facts.cost([operand]) > 2 {
      // As vectors first: what is costly is not done element by element.
      let made = allocate(shape, kernel[operand].dtype ?? .i64)
      fill(operand, into: made)
      source = made
    }
    let walk = Walk(
      shape: shape, guards: facts.demands[value], vectorAxis: lanesAxis == axis ? nil : lanesAxis,
      fixed: [axis: .zero])
    // Elements depend on lower ones only: what nobody reads at the end need not exist.
    let end = range(walk, axis)
    strips(walk, cost: facts.cost([operand]) + 8) { box, _ in
      let width = lanes(of: box)
      let points = 0..<box.pointCount
      let start = initial(width)
      e.loop(from: e.index(0), to: end, points.flatMap { _ in start }) { counter, states in
        var here = box
        here.start[axis] = coordinate(counter, multiple: 1)
        let elements = source.map { read($0, kernel[operand].dtype ?? .i64, here) } ?? eval(operand, here)
        let position = e.splat(counter, width)
        let stepped = points.map { i in
          step(Array(states[i * start.count..<(i + 1) * start.count]), elements[i], position)
        }
        write(home, dtype, stepped.map(\.result), here)
        return stepped.flatMap(\.state)
      }
      return []
    }
    // The copy is not needed any more.
    memory.top = top
    homes[value] = home
  }
}
