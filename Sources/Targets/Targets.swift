// Layer Targets.
