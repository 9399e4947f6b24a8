// Layer TileIR.
