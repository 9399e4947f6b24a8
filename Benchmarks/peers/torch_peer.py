#!/usr/bin/env python3
"""Times PyTorch on the workloads of `make bench`, same names and shapes; one JSON line each.

usage: torch_peer.py [WORKLOAD ...]          needs: pip install torch numpy
Run it right before or after `make bench` on a quiet machine and compare medians; THREADS=2 by default.
Glibc is told to keep freed memory, which is the fastest PyTorch eager can be: without it page faults dominate.
"""
import json
import os
import statistics
import sys
import time

if "AZULEJO_PEER" not in os.environ:
    # malloc reads its settings at start: set them and begin again.
    os.environ.update(
        AZULEJO_PEER="1", MALLOC_TRIM_THRESHOLD_="100000000000", MALLOC_MMAP_THRESHOLD_="100000000000",
        MALLOC_TOP_PAD_="536870912")
    os.execv(sys.executable, [sys.executable, *sys.argv])

import torch

torch.set_num_threads(int(os.environ.get("THREADS", "2")))
torch.set_grad_enabled(False)
functional = torch.nn.functional


def gelu():
    x, w, b = torch.randn(4096, 4096), torch.randn(4096), torch.randn(4096)
    return lambda: functional.gelu(x * w + b, approximate="tanh")


def softmax():
    x = torch.randn(8192, 2048)
    return lambda: torch.softmax(x, -1)


def layernorm():
    x, w, b = torch.randn(8192, 1024), torch.rand(1024), torch.randn(1024)
    return lambda: functional.layer_norm(x, (1024,), w, b)


def product(size):
    a, b = torch.randn(size, size), torch.randn(size, size)
    return lambda: a @ b


def vector():
    w, x = torch.randn(8192, 8192), torch.randn(8192)
    return lambda: w @ x


def tiny():
    a, b = torch.randn(8), torch.randn(8)

    def run():
        for _ in range(1000):
            a + b

    return run


WORKLOADS = {
    "tiny_add": (tiny, 1000), "pw_gelu": (gelu, 1), "nr_softmax": (softmax, 1), "nr_layernorm": (layernorm, 1),
    "mm_1024_f32": (lambda: product(1024), 1), "mm_2048_f32": (lambda: product(2048), 1), "mv_8192": (vector, 1),
}

for name in sys.argv[1:] or WORKLOADS:
    make, repeats = WORKLOADS[name]
    run = make()
    run()
    samples = []
    end = time.perf_counter() + 3
    while time.perf_counter() < end or len(samples) < 5:
        start = time.perf_counter()
        run()
        samples.append((time.perf_counter() - start) / repeats * 1e3)
    print(json.dumps({
        "workload": name, "peer": f"torch {torch.__version__}", "median_ms": round(statistics.median(samples), 6),
        "min_ms": round(min(samples), 6)}), flush=True)
