#!/usr/bin/env bash
# float8_e4m3fn has no infinity. What becomes of numbers beyond its largest, 448, when they are converted to it?
# Guess of someone who knows the format's paper, ml_dtypes and JAX: NaN (464 and less rounds to 448).
# PyTorch 2.15 saturates instead: 1000, 1e30 and infinity itself become 448, so x.to(float8_e4m3fn) hides an overflow
# that ml_dtypes shows; float8_e5m2 overflows to infinity in both. A tensor saved by one and checked by the other differs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install torch==2.15.0 ml_dtypes==0.6.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys

import ml_dtypes
import numpy
import torch

print("torch", torch.__version__, "ml_dtypes", ml_dtypes.__version__)
values = numpy.array([448, 464, 465, 1000, 1e30, numpy.inf, -numpy.inf, numpy.nan], numpy.float32)
seen = {}
for name in ("float8_e4m3fn", "float8_e5m2"):
    ours = torch.from_numpy(values).to(getattr(torch, name)).to(torch.float32).numpy()
    theirs = values.astype(getattr(ml_dtypes, name)).astype(numpy.float32)
    print(name, "of", values.tolist())
    print("  torch:    ", ours.tolist())
    print("  ml_dtypes:", theirs.tolist())
    seen[name] = ours, theirs
torch_e4, ml_e4 = seen["float8_e4m3fn"]
expected = torch_e4[:6].tolist() == [448] * 6 and torch_e4[6] == -448 and numpy.isnan(torch_e4[7])
expected &= ml_e4[:2].tolist() == [448, 448] and bool(numpy.isnan(ml_e4[2:]).all())
expected &= numpy.array_equal(*seen["float8_e5m2"], equal_nan=True) and numpy.isinf(seen["float8_e5m2"][0][5])
print("as recorded" if expected else "CHANGED")
sys.exit(0 if expected else 1)
PY
