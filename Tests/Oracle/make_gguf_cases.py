"""Records what other people's decoders say about GGUF and safetensors files: Tests/Oracle/formats/*.

Needs `pip install gguf==0.19.0 safetensors==0.8.0 numpy==2.4.6 ml_dtypes==0.6.0`; the tests read the recorded files only.
    python3 make_gguf_cases.py
"""
import pathlib

import gguf
import ml_dtypes
import numpy
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T, GGUFValueType as V
from safetensors import TensorSpec, serialize_file

FOLDER = pathlib.Path(__file__).parent / "formats"
random = numpy.random.default_rng(20261123)


def blocks(kind, halves, rows, per_row):
    """Random bytes in every field, finite half floats at the byte offsets `halves`."""
    _, size = GGML_QUANT_SIZES[kind]
    data = random.integers(0, 256, (rows, per_row, size), dtype=numpy.uint8)
    for offset in halves:
        half = (random.standard_normal((rows, per_row)) / 16).astype(numpy.float16)
        half[0, 0] = numpy.float16(3e-6)  # subnormal
        data[:, :, offset:offset + 2] = half[..., None].view(numpy.uint8)
    data[-1, -1, :] = 255  # every bit of every field set, the half floats apart
    for offset in halves:
        data[-1, -1, offset:offset + 2] = numpy.array([-0.5], numpy.float16).view(numpy.uint8)
    return data.reshape(rows, per_row * size)


# Byte offsets of the half floats in a block.
HALVES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108],
          T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.TQ2_0: [64], T.TQ1_0: [52], T.MXFP4: [], T.NVFP4: [],
          T.IQ4_NL: [0], T.IQ4_XS: [0], T.IQ2_XXS: [0], T.IQ2_XS: [0], T.IQ2_S: [0], T.IQ3_XXS: [0], T.IQ3_S: [0],
          T.IQ1_S: [0], T.IQ1_M: []}


def spread_halves(data):
    """IQ1_M keeps its half float in the top four bits of the last four words."""
    words = data[..., 48:56].copy().view("<u2")
    half = (random.standard_normal(words.shape[:-1]) / 16).astype(numpy.float16).view("<u2")
    for part in range(4):
        words[..., part] = words[..., part] & 0xfff | (half >> (4 * part) & 15) << 12
    data[..., 48:56] = words.view(numpy.uint8)


DTYPE_NAMES = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32", "int16": "I16",
               "int8": "I8", "uint8": "U8", "bool": "BOOL", "uint16": "U16",
               "uint32": "U32", "uint64": "U64"}


def quantized():
    writer = gguf.GGUFWriter(str(FOLDER / "quantized.gguf"), "fixture", use_temp_file=False)
    writer.add_custom_alignment(64)
    writer.add_key_value("t.u8", 200, V.UINT8)
    writer.add_key_value("t.i8", -100, V.INT8)
    writer.add_key_value("t.u16", 60000, V.UINT16)
    writer.add_key_value("t.i16", -30000, V.INT16)
    writer.add_key_value("t.u32", 4_000_000_000, V.UINT32)
    writer.add_key_value("t.i32", -2_000_000_000, V.INT32)
    writer.add_key_value("t.u64", 2**63 + 5, V.UINT64)
    writer.add_key_value("t.i64", -(2**62), V.INT64)
    writer.add_key_value("t.f32", 0.15625, V.FLOAT32)
    writer.add_key_value("t.f64", 1e300, V.FLOAT64)
    writer.add_key_value("t.bool", True, V.BOOL)
    writer.add_key_value("t.string", "azulejo \u00e7\u00e3o \U0001f9f1", V.STRING)
    writer.add_key_value("t.integers", [1, -2, 3], V.ARRAY)
    writer.add_key_value("t.floats", [0.5, -0.25], V.ARRAY)
    writer.add_key_value("t.strings", ["a", "", "\u00df"], V.ARRAY)
    writer.add_key_value("t.nested", [[1, 2], [3]], V.ARRAY)
    for kind, halves in HALVES.items():
        rows, per_row = (3, 2) if GGML_QUANT_SIZES[kind][0] == 32 else (3 if kind < T.IQ2_XXS else 8, 1)
        data = blocks(kind, halves, rows, per_row)
        if kind == T.IQ1_M:
            spread_halves(data)
        writer.add_tensor(kind.name, data, raw_dtype=kind)
        writer.add_tensor(kind.name + ".expected", gguf.quants.dequantize(data, kind).astype(numpy.float32))
    plain = random.standard_normal((2, 3, 5)).astype(numpy.float32)
    writer.add_tensor("F16", plain.astype(numpy.float16))
    writer.add_tensor("F16.expected", plain.astype(numpy.float16).astype(numpy.float32))
    bf16 = gguf.quants.quantize(plain, T.BF16)
    writer.add_tensor("BF16", bf16, raw_dtype=T.BF16)
    writer.add_tensor("BF16.expected", gguf.quants.dequantize(bf16, T.BF16).astype(numpy.float32))
    writer.add_tensor("I32", numpy.arange(-3, 3, dtype=numpy.int32))
    writer.add_tensor("I32.expected", numpy.arange(-3, 3, dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def safetensors():
    values = numpy.array([[0, 1, 2], [3, 4, 100]])
    arrays = {name: values.astype(name)
              for name in ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool", "uint16",
                           "uint32", "uint64"]}
    specs = {DTYPE_NAMES[name]: (name, array) for name, array in arrays.items()}
    specs["BF16"] = ("bfloat16", (values.astype("f4").view("u4") >> 16).astype("u2"))
    for name, code in (("float8_e4m3fn", "F8_E4M3"), ("float8_e5m2", "F8_E5M2"), ("float8_e8m0fnu", "E8M0")):
        specs[code] = (name, values.astype(getattr(ml_dtypes, name)).view("u1"))
    specs["scalar"] = ("float32", numpy.array(7, "f4"))
    specs["empty"] = ("float32", numpy.zeros((0, 4), "f4"))
    tensors = {key: TensorSpec(dtype=name, shape=array.shape, data_ptr=array.ctypes.data, data_len=array.nbytes)
               for key, (name, array) in specs.items()}
    serialize_file(tensors, str(FOLDER / "dtypes.safetensors"), {"made": "by the reference writer"})


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    quantized()
    safetensors()
    for path in sorted(FOLDER.iterdir()):
        print(path.name, path.stat().st_size)
