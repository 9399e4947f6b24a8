// Time that goes into plans and kernels is told apart by threads: rates of a generation leave out its own, and no more.
import Capture
import Engine
import Foundation
import Tensors
import Testing

@Test func what_another_thread_prepares_is_not_this_ones_time() throws {
  let before = Engine.preparationSeconds
  let thread = Thread {
    let f = compile { (x: Tensor) in (x * 3).exp() - x }
    _ = try? f(Tensor([1, 2, 3, 4, 5, 6, 7] as [Float]))
    #expect(Engine.preparationSeconds > 0)
  }
  thread.start()
  while !thread.isFinished { usleep(1000) }
  #expect(Engine.preparationSeconds == before)
  let f = compile { (x: Tensor) in (x * 5).exp() - x }
  _ = try f(Tensor([1, 2, 3] as [Float]))
  #expect(Engine.preparationSeconds > before)
}
