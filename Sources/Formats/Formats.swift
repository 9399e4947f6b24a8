// Layer Formats.
