"""Records what PyTorch makes of elements of every dtype in every other: Tests/Oracle/dtype_conversions.safetensors.

Needs `pip install torch==2.15.0 safetensors==0.8.0 ml_dtypes==0.6.0 numpy==2.4.6`; the tests read the recorded file only.
Floats outside an integer dtype's range are left out: there PyTorch gives what the processor happens to give.
    python3 make_dtype_cases.py
"""
import math
import pathlib

import ml_dtypes
import numpy
import torch
from safetensors.torch import save_file

TYPES = {"bool": torch.bool, "u8": torch.uint8, "i8": torch.int8, "i16": torch.int16, "i32": torch.int32,
         "i64": torch.int64, "f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64,
         "u16": torch.uint16, "u32": torch.uint32, "u64": torch.uint64, "f8e4m3fn": torch.float8_e4m3fn,
         "f8e5m2": torch.float8_e5m2}
FLOATS = [0.0, -0.0, 0.5, -0.5, 0.999, 1.0, 1.5, -1.5, 2.5, 3.0, 17.0, 100.0, 127.0, 128.0, 255.5, 256.0, 448.0, 464.0,
          465.0, 480.0, 1000.0, 32767.0, 32768.0, 57344.0, 61440.0, 61441.0, 65503.0, 65504.0, 65519.0, 65520.0, 65535.0,
          2.0**31 - 1, 2.0**31, 2.0**32 - 1, 2.0**32, 2.0**53 + 2, 2.0**62, 2.0**63, 2.0**63 + 2.0**12, 1.8e19,
          16777217.0, 0.1, 1 / 3, 1e-3, 2.0**-6, 2.0**-9, 2.0**-10, 3 * 2.0**-10, 2.0**-14, 2.0**-16, 2.0**-17, 2.0**-24,
          2.0**-25, 1e-38, 1e-45, -17.0, -128.0, -448.0, -465.0, -32768.0, -2.0**31, -2.0**63, math.inf, -math.inf,
          math.nan]
RANGES = {"u8": (0, 255), "i8": (-128, 127), "i16": (-2**15, 2**15 - 1), "i32": (-2**31, 2**31 - 1),
          "i64": (-2**63, 2**63 - 1), "u16": (0, 2**16 - 1), "u32": (0, 2**32 - 1), "u64": (0, 2**64 - 1)}
INTEGERS = [0, 1, 2, 3, 16, 17, 19, 100, 127, 128, 129, 200, 255, 256, 257, 449, 2049, 32767, 32768, 65504, 65519, 65535,
            65536, 16777217, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 2**39 + 1, 2**64 - 1,
            -1, -2, -17, -100, -128, -129, -32768, -32769, -16777217, -2**31, -2**53 - 1, -2**63]


def elements(name):
    if name == "bool":
        return torch.tensor([False, True])
    if name in RANGES:
        low, high = RANGES[name]
        kept = [x for x in INTEGERS if low <= x <= high]
        return torch.from_numpy(numpy.array(kept, dtype=name.replace("u", "uint").replace("i", "int", 1) if name[0] == "i"
                                            else name.replace("u", "uint")))
    return torch.tensor(FLOATS, dtype=torch.float64).to(TYPES[name])


def main():
    tensors = {}
    for source in TYPES:
        values = elements(source)
        for target in TYPES:
            chosen = values
            if source not in RANGES and source != "bool" and target in RANGES:
                low, high = RANGES[target]
                wide = values.to(torch.float64)
                chosen = values[(wide.trunc() >= low) & (wide < (high + 1 if high < 2**53 else float(high)))]
            tensors[f"{source}.{target}.in"] = chosen.contiguous().clone()
            tensors[f"{source}.{target}.out"] = chosen.to(TYPES[target]).contiguous().clone()
    # Every 8-bit float, and every place where rounding to one changes: the middles and their neighbours.
    for name, other in (("f8e4m3fn", ml_dtypes.float8_e4m3fn), ("f8e5m2", ml_dtypes.float8_e5m2)):
        bits = torch.arange(256, dtype=torch.int32).to(torch.uint8)
        wide = bits.view(TYPES[name]).to(torch.float32)
        tensors[f"{name}.all"] = wide
        assert numpy.array_equal(wide.numpy(), bits.numpy().view(other).astype(numpy.float32), equal_nan=True)
        finite = numpy.unique(numpy.abs(wide.numpy()[numpy.isfinite(wide.numpy())]))
        step = finite[-1] - finite[-2]
        middles = numpy.concatenate([(finite[1:] + finite[:-1]) / 2, [finite[-1] + step / 2, finite[-1] + step]])
        points = numpy.concatenate([finite, middles]).astype(numpy.float32)
        points = numpy.concatenate([points, numpy.nextafter(points, numpy.float32(numpy.inf)),
                                    numpy.nextafter(points, numpy.float32(-1)), [numpy.inf, numpy.nan, 3e38, 1e-45]])
        points = torch.from_numpy(numpy.concatenate([points, -points]).astype(numpy.float32))
        rounded = points.to(TYPES[name])
        expected = points.numpy().astype(other).astype(numpy.float32)
        if name == "f8e4m3fn":  # PyTorch saturates, ml_dtypes makes NaN
            large = numpy.abs(points.numpy()) > 464
            expected[large] = numpy.copysign(448, points.numpy()[large])
        assert numpy.array_equal(rounded.to(torch.float32).numpy(), expected, equal_nan=True), name
        tensors[f"{name}.points"] = points
        tensors[f"{name}.rounded"] = rounded.view(torch.uint8).clone()
    promotions = []
    for source in TYPES.values():
        for target in TYPES.values():
            try:
                promotions.append(list(TYPES.values()).index(torch.promote_types(source, target)))
            except RuntimeError:
                promotions.append(-1)
    tensors["promotions"] = torch.tensor(promotions, dtype=torch.int8).reshape(len(TYPES), len(TYPES))
    save_file(tensors, str(pathlib.Path(__file__).parent / "dtype_conversions.safetensors"))


if __name__ == "__main__":
    main()
