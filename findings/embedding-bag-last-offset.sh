#!/usr/bin/env bash
# embedding_bag(include_last_offset=True): offsets have one element more, where the last bag ends. What if numbers follow it?
# Guess: they are in no bag, or the call is refused; whichever, the three modes agree.
# PyTorch 2.15 (CPU) adds up the two numbers before the last offset, but divides the mean by all four numbers there are, and
# the maximum is taken over all four: three modes, three ideas of which numbers the one bag has, and no error.
# Ours: numbers behind the last offset are in no bag, in every mode.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install torch==2.15.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys

import torch
from torch.nn.functional import embedding_bag

print("torch", torch.__version__)
table = torch.tensor([[10.0], [1.0], [2.0], [300.0], [4.0]])
numbers, offsets = torch.tensor([1, 2, 3, 4]), torch.tensor([0, 2])
seen = {
    mode: embedding_bag(numbers, table, offsets, mode=mode, include_last_offset=True).tolist()
    for mode in ("sum", "mean", "max")
}
print("numbers 1, 2, 3, 4 of rows", table.flatten().tolist(), "offsets [0, 2]:", seen)
expected = seen == {"sum": [[3.0]], "mean": [[0.75]], "max": [[300.0]]}
print("as recorded" if expected else "CHANGED")
sys.exit(0 if expected else 1)
PY
