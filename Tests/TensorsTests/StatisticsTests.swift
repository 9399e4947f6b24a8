import Tensors
import TensorTypes
import Testing

@Suite struct StatisticsTests {
  @Test func quantiles_lie_between_their_neighbours() throws {
    let x = Tensor([4, 1, 3, 2] as [Float])
    #expect(try x.quantile(0.5).item(as: Float.self) == 2.5)
    #expect(try x.quantile(0.5, rule: .lower).item(as: Float.self) == 2)
    #expect(try x.quantile(0.5, rule: .higher).item(as: Float.self) == 3)
    #expect(try x.quantile(1, 0, keepDims: true).array(as: Float.self) == [4])
    #expect(try Tensor([1, .nan] as [Float]).quantile(0.5).item(as: Float.self).isNaN)
    #expect(try Tensor([1, .nan, 3] as [Float]).quantile(0.5, ignoringNaN: true).item(as: Float.self) == 2)
  }

  @Test func histograms_count_the_last_edge_in_the_last_bin() throws {
    let x = Tensor([0, 0.5, 1, 2, 3, 9] as [Float])
    #expect(try x.histogram(bins: 3, low: 0, high: 3).array(as: Float.self) == [2, 1, 2])
  }

  @Test func covariance_of_two_rows() throws {
    let x = Tensor([1, 2, 3, 3, 2, 1] as [Float], shape: [2, 3])
    #expect(try x.covariance().array(as: Float.self) == [1, -1, -1, 1])
    #expect(try x.correlation().array(as: Float.self) == [1, -1, -1, 1])
  }

  @Test func distances_of_rows_for_every_p() throws {
    let (a, b) = (Tensor([0, 0] as [Float], shape: [1, 2]), Tensor([3, 4, 0, 1] as [Float], shape: [2, 2]))
    #expect(try a.rowDistances(b).array(as: Float.self) == [5, 1])
    #expect(try a.rowDistances(b, p: 1).array(as: Float.self) == [7, 1])
    #expect(try a.rowDistances(b, p: .infinity).array(as: Float.self) == [4, 1])
    #expect(try a.rowDistances(b, p: 0).array(as: Float.self) == [2, 1])
  }

  @Test func updates_in_place_do_not_reach_another_holder() throws {
    var x = Tensor.ones(3)
    let held = x
    x += 1
    x *= Tensor([1, 2, 3] as [Float])
    #expect(try x.array(as: Float.self) == [2, 4, 6])
    #expect(try held.array(as: Float.self) == [1, 1, 1])
    x -= Tensor([1, 1, 1, 1, 1, 1] as [Float], shape: [2, 3])
    #expect(x.shape.description == "[2, 3]")
    var n = Tensor([1, 2, 3])
    n /= 2
    #expect(n.dtype == .f32)
  }
}
