// Activations and the softmax family.
import Basics
import TensorTypes
import Tensors

extension ConformanceTable {
  mutating func addActivations() {
    let f = "nn.functional."
    unary(f + "relu") { $0.relu() }
    unary(f + "relu6") { $0.relu6() }
    tensor(f + "gelu") { a throws(Diagnostic) in
      try a.tensor(0).gelu(approximate: a.string(1, "approximate") == "tanh" ? .tanh : .none)
    }
    unary(f + "silu") { $0.silu() }
    unary(f + "mish") { $0.mish() }
    tensor(f + "elu") { a throws(Diagnostic) in try a.tensor(0).elu(alpha: a.double(1, "alpha", else: 1)) }
    unary(f + "selu") { $0.selu() }
    tensor(f + "celu") { a throws(Diagnostic) in try a.tensor(0).celu(alpha: a.double(1, "alpha", else: 1)) }
    tensor(f + "hardtanh") { a throws(Diagnostic) in
      try a.tensor(0).hardTanh(a.double(1, "min_val", else: -1), a.double(2, "max_val", else: 1))
    }
    unary(f + "hardsigmoid") { $0.hardSigmoid() }
    unary(f + "hardswish") { $0.hardSwish() }
    tensor(f + "hardshrink") { a throws(Diagnostic) in try a.tensor(0).hardShrink(a.double(1, "lambd", else: 0.5)) }
    tensor(f + "softshrink") { a throws(Diagnostic) in try a.tensor(0).softShrink(a.double(1, "lambd", else: 0.5)) }
    unary(f + "tanhshrink") { $0.tanhShrink() }
    unary(f + "softsign") { $0.softSign() }
    tensor(f + "softplus") { a throws(Diagnostic) in
      try a.tensor(0).softPlus(beta: a.double(1, "beta", else: 1), threshold: a.double(2, "threshold", else: 20))
    }
    unary(f + "logsigmoid") { $0.logSigmoid() }
    tensor(f + "threshold") { a throws(Diagnostic) in
      try a.tensor(0).thresholded(a.double(1, "threshold", else: 0), a.double(2, "value", else: 0))
    }
    tensor(f + "leaky_relu") { a throws(Diagnostic) in
      try a.tensor(0).leakyRelu(slope: a.double(1, "negative_slope", else: 0.01))
    }
    tensor(f + "prelu") { a throws(Diagnostic) in try a.tensor(0).prelu(weight: a.tensor(1, "weight")) }
    tensor(f + "glu") { a throws(Diagnostic) in try a.tensor(0).glu(a.int(1, "dim", else: -1)) }
    tensor("softmax", f + "softmax") { a throws(Diagnostic) in
      try a.tensor(0).softmax(a.int(1, "dim", else: -1), dtype: a.dtype(2))
    }
    tensor("log_softmax", f + "log_softmax") { a throws(Diagnostic) in
      try a.tensor(0).logSoftmax(a.int(1, "dim", else: -1), dtype: a.dtype(2))
    }
    tensor(f + "softmin") { a throws(Diagnostic) in
      try a.tensor(0).softmin(a.int(1, "dim", else: -1), dtype: a.dtype(2))
    }
    tensor("_softmax_backward_data") { a throws(Diagnostic) in
      try a.tensor(0).softmaxBackward(output: a.tensor(1), a.int(2, "dim", else: -1), dtype: a.dtype(3, "input_dtype"))
    }
    tensor("native_dropout_backward") { a throws(Diagnostic) in
      try a.tensor(0).dropoutBackward(mask: a.tensor(1, "mask"), scale: a.double(2, "scale", else: 1))
    }
    unary(f + "feature_alpha_dropout.without_train", f + "dropout.without_train") { $0 }
  }
}
