// What a recording of launches holds: kernels, and the bytes and flops of each.
import Foundation
import Synchronization
import Tensors
import Testing

@testable import Engine

@Suite struct LaunchLogTests {
  @Test func a_sum_is_one_kernel_that_moves_three_tensors() throws {
    let (a, b) = (Tensor.ones(30, 40), Tensor.ones(30, 40))
    let (sum, launches) = LaunchLog.recording { a + b }
    #expect(try sum.array(as: Float.self) == [Float](repeating: 2, count: 1200))
    #expect(launches.count == 1)
    #expect(launches.first?.cost.bytes == 3 * 1200 * 4)
    #expect(launches.first?.cost.flops == 1200)
    #expect(launches.allSatisfy { $0.seconds >= 0 && !$0.kernel.isEmpty })
  }

  @Test func a_repeated_row_counts_once() {
    let (x, row) = (Tensor.ones(64, 100), Tensor.ones(100))
    let launches = LaunchLog.recording { x * row }.launches
    let bytes = (2 * 6400 + 100) * 4
    #expect(launches.map(\.cost.bytes) == [bytes])
  }

  @Test func a_product_does_two_operations_for_each_pair() {
    let (a, b) = (Tensor.ones(33, 65), Tensor.ones(65, 17))
    let launches = LaunchLog.recording { a.matmul(b) }.launches
    let (flops, elements): (Int, Int) = (2 * 33 * 65 * 17, 33 * 65 + 65 * 17 + 33 * 17)
    #expect(launches.map(\.cost.flops) == [flops])
    #expect(launches.map(\.cost.bytes) == [elements * 4])
  }

  @Test func of_a_table_the_rows_that_are_looked_up_count() {
    let (table, rows) = (Tensor.ones(1000, 16), Tensor([3, 5, 3]))
    let bytes = LaunchLog.recording { table.embedding(rows) }.launches.map(\.cost.bytes).reduce(0, +)
    // Three rows read and written, and their numbers; far from the table's 64000.
    #expect(bytes >= 2 * 3 * 16 * 4 && bytes <= 2 * 3 * 16 * 4 + 2 * 3 * 8)
  }

  @Test func nothing_is_recorded_outside() {
    let a = Tensor.ones(9)
    _ = LaunchLog.recording { a + a }
    #expect(LaunchLog.recording { a }.launches.isEmpty)
  }

  @Test func a_recording_inside_another_ends_alone() {
    let a = Tensor.ones(9)
    let (inner, outer) = LaunchLog.recording { () -> Int in
      _ = a + a
      let count = LaunchLog.recording { a * a }.launches.count
      _ = a - a
      return count
    }
    #expect(inner == 1)
    #expect(outer.count == 3)
  }

  @Test func another_thread_is_not_heard() {
    let a = Tensor.ones(9)
    let done = DispatchSemaphore(value: 0)
    let launches = LaunchLog.recording {
      Thread.detachNewThread {
        _ = a + a
        done.signal()
      }
      done.wait()
    }.launches
    #expect(launches.isEmpty)
  }

  @Test func an_error_ends_the_recording() {
    struct Stop: Error {}
    let a = Tensor.ones(9)
    #expect(throws: Stop.self) { try LaunchLog.recording { throw Stop() } }
    #expect(LaunchLog.recording { a + a }.launches.count == 1)
  }
}
