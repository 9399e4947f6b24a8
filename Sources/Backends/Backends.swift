// Layer Backends.
