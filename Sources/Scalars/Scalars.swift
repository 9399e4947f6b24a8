// Layer Scalars.
