// Layer Fusion.
