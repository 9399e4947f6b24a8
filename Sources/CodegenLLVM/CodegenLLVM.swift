// Layer CodegenLLVM.
