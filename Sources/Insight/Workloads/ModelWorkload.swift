// A model as a workload: a struct of tensors made from named arrays, and a function of it.
// Surprise: the struct is made twice: once to generate its arrays, then at each step from the list of them, so that the
// step's function sees plain tensors and nothing is captured.
import Basics
import Tensors

/// Gives a model its parameters, in the order it asks for them.
typealias ParameterSource = (NamedArray) throws -> Tensor

extension Workload {
  /// - Parameters:
  ///   - dtype: of the floating parameters and inputs.
  ///   - build: asks for the model's parameters.
  ///   - inputs: what comes after the parameters.
  static func model<Model>(
    _ name: String, _ note: String, read: Int, written: Int, flops: Int, tolerance: Double, inputs: [NamedArray],
    build: @escaping @Sendable (ParameterSource) throws -> Model,
    step: @escaping @Sendable (Model, ArraySlice<Tensor>) throws -> Tensor
  ) -> Workload {
    Workload(
      name, note, read: read, written: written, flops: flops, tolerance: tolerance,
      make: {
        var tensors: [Tensor] = []
        _ = try build { array in
          let made = try array.tensor()
          tensors.append(made)
          return made
        }
        return ([], try tensors + inputs.map { try $0.tensor() })
      }
    ) { _, tensors in
      var rest = tensors[...]
      let model = try build { array in
        guard let next = rest.popFirst() else {
          throw Diagnostic(.argument, "\(name) has no tensor for \(array.name)", remedy: "pass what tensors() gives")
        }
        return next
      }
      return [try step(model, rest)]
    }
  }
}
