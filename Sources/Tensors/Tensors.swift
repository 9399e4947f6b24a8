// Layer Tensors.
