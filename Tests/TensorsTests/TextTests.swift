import Tensors
import TensorTypes
import Testing

@Suite struct TextTests {
  @Test func whole_floats_print_without_decimals() {
    #expect("\(Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]))" == "tensor([[1., 2.],\n        [3., 4.]])")
  }

  @Test func floats_print_with_four_decimals_and_one_width() {
    #expect("\(Tensor([1.5, -22.25] as [Float]))" == "tensor([  1.5000, -22.2500])")
  }

  @Test func other_dtypes_say_so_and_scalars_have_no_brackets() {
    #expect("\(Tensor(3))" == "tensor(3)")
    #expect("\(Tensor([true, false]))" == "tensor([ true, false])")
    #expect("\(Tensor([1, 2] as [Double]))" == "tensor([1., 2.], dtype: f64)")
    #expect("\(Tensor([.nan, .infinity] as [Float]))" == "tensor([nan, inf])")
  }

  @Test func long_tensors_are_cut_in_the_middle() {
    #expect("\(Tensor.arange(2000))" == "tensor([   0,    1,    2, ..., 1997, 1998, 1999])")
  }

  @Test func no_elements_print_their_shape() {
    #expect("\(Tensor.zeros(0))" == "tensor([])")
    #expect("\(Tensor.zeros(2, 0))" == "tensor([], shape: [2, 0])")
  }

  @Test func a_failed_tensor_prints_its_mistake() {
    #expect("\(Tensor([1, 2] as [Float]).sum(5))".hasPrefix("failed tensor: TensorsTests/TextTests.swift:"))
  }
}
