// Layer GraphIR.
