"""Records pytorch_ops_more.json and .safetensors: PyTorch's operators where pytorch_ops.json does not look.

    python3 make_operator_cases.py [FOLDER]

Needs torch 2.15.0, numpy, scipy, expecttest, safetensors. Which operators: the core ones of pytorch_ops.json beside this file.
Not the first recording's samples: further samples and reference inputs of PyTorch's own operator tests in every dtype, and
for each family of operators inputs of our own: 0-d, empty, strided, long rows, extreme values, numbers beside narrow dtypes.
Surprise: equal tensors are stored once; a tensor may say that it is to be "strided" (the same elements, every second one of
a larger tensor, axes in reverse), and a long one is a formula: {"row": {"shape", "offset", "scale", "modulus"}} has
offset + scale * (i % modulus), computed in f64, as element i in row-major order.
"""

import hashlib
import itertools
import json
import pathlib
import random
import sys
import warnings

import numpy
import torch
from safetensors.torch import save_file
from torch.testing._internal.common_methods_invocations import op_db

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).resolve().parent
DTYPES = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
          torch.float32, torch.float64}
INF, NAN = float("inf"), float("nan")
MOST_ELEMENTS = 400


class Unrecordable(Exception):
    pass


class Row:
    """A long tensor given by a formula."""

    def __init__(self, shape, offset, scale, modulus):
        self.text = {"row": {"shape": list(shape), "offset": offset, "scale": scale, "modulus": modulus}}
        count = int(numpy.prod(shape))
        values = offset + scale * (numpy.arange(count) % modulus).astype(numpy.float64)
        self.tensor = torch.from_numpy(values.astype(numpy.float32)).reshape(shape)


class Strided:
    """A tensor that the program under test shall see with a step and axes in reverse."""

    def __init__(self, tensor):
        self.tensor = tensor


class Recorder:
    def __init__(self):
        self.cases, self.tensors, self.keys, self.seen = [], {}, {}, set()

    def tensor(self, value, strided=False):
        if value.dtype not in DTYPES or value.layout != torch.strided or value.is_quantized:
            raise Unrecordable(str(value.dtype))
        if value.numel() > MOST_ELEMENTS:
            raise Unrecordable("large")
        dense = value.detach().clone(memory_format=torch.contiguous_format)
        raw = dense.reshape(-1).view(torch.uint8).numpy().tobytes() if dense.numel() else b""
        name = (str(dense.dtype), tuple(dense.shape), hashlib.sha256(raw).hexdigest())
        if name not in self.keys:
            self.keys[name] = str(len(self.keys))
            self.tensors[self.keys[name]] = dense
        made = {"T": self.keys[name]}
        if strided and dense.dim() > 0 and dense.numel() > 1:
            made["layout"] = "strided"
        return made

    def value(self, value):
        if isinstance(value, Row):
            return value.text
        if isinstance(value, Strided):
            return self.tensor(value.tensor, strided=True)
        if isinstance(value, torch.Tensor):
            return self.tensor(value, strided=not value.is_contiguous())
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            return value
        if isinstance(value, (list, tuple)):
            return [self.value(x) for x in value]
        if isinstance(value, (torch.dtype, torch.memory_format, slice)) or value is Ellipsis:
            return {"repr": str(value)}
        raise Unrecordable(str(type(value)))

    def record(self, name, function, first, args=(), kw=None):
        kw = {k: v for k, v in (kw or {}).items() if k not in ("device", "layout", "pin_memory", "requires_grad")}

        def plain(x):
            if isinstance(x, (Row, Strided)):
                return x.tensor.clone()
            if isinstance(x, torch.Tensor):
                return x.detach().clone() if x.is_contiguous() else x.detach()
            if isinstance(x, (list, tuple)):
                return type(x)(plain(y) for y in x) if not hasattr(x, "_fields") else x
            return x

        try:
            case = {"op": name, "in": self.value(first), "args": self.value(list(args)),
                    "kw": {k: self.value(v) for k, v in kw.items()}}
            text = json.dumps(case)
            if text in self.seen:
                return False
            out = function(plain(first), *[plain(x) for x in args], **{k: plain(v) for k, v in kw.items()})
            case["out"] = self.value(out)
        except (Unrecordable, RuntimeError, ValueError, TypeError, IndexError, NotImplementedError, OverflowError):
            return False
        case["tier"] = "core"
        self.seen.add(text)
        self.cases.append(case)
        return True


def seed(text):
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
    torch.manual_seed(number)
    numpy.random.seed(number)
    random.seed(number)


def spread(items, count):
    """`count` of the items: evenly over all of them."""
    items = list(items)
    if len(items) <= count:
        return items
    return [items[int(i * len(items) / count)] for i in range(count)]


def samples(op, dtype, count):
    made = []
    for source in (op.reference_inputs, op.sample_inputs):
        try:
            seed(op.name + op.variant_test_name + str(dtype))
            made += list(itertools.islice(source("cpu", dtype, requires_grad=False), 200))
        except Exception:  # Some generators have no samples for a dtype.
            continue
    return spread(made, count)


def pytorch_samples(recorder, names):
    quotas = {torch.float32: 6, torch.int64: 2, torch.float64: 1, torch.float16: 1, torch.bfloat16: 1, torch.bool: 1,
              torch.uint8: 1, torch.int32: 1}
    for op in op_db:
        name = op.name + ("." + op.variant_test_name if op.variant_test_name else "")
        if name not in names:
            continue
        for dtype, quota in quotas.items():
            if not op.supports_dtype(dtype, "cpu"):
                continue
            for sample in samples(op, dtype, quota):
                recorder.record(name, op.op, sample.input, sample.args, sample.kwargs)


# Inputs of our own.

def normal(*shape):
    return torch.randn(shape)


EXTREMES = torch.tensor([0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, 1e-40, -1e-40, 1e-38, 3e38, -3e38, 1e10, -1e10, 88.0, -104.0,
                         0.5, -0.5, 1.5, 2.5, -2.5, 1e-7, -1e-7, 16777217.0, 1e5, -1e5])


def find(name):
    for owner in (torch, torch.Tensor, torch.nn.functional, torch.special, torch.linalg):
        if hasattr(owner, name):
            return getattr(owner, name)
    raise KeyError(name)


UNARY = """abs acos acosh asin asinh atan atanh ceil cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 floor frac
    isfinite isinf isnan isneginf isposinf log log10 log1p log2 logical_not nan_to_num neg positive rad2deg reciprocal round
    rsqrt sgn sigmoid sign signbit sin sinc sinh sqrt square tan tanh trunc lgamma logit""".split()
ACTIVATIONS = """celu elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish relu relu6 selu silu
    softplus softshrink softsign tanhshrink""".split()
BINARY = """add sub mul true_divide floor_divide remainder fmod maximum minimum fmax fmin pow atan2 hypot copysign eq ne lt
    le gt ge logical_and logical_or logical_xor logaddexp logaddexp2 xlogy heaviside float_power""".split()


def pointwise_cases(record):
    for name in UNARY + ["nn.functional." + x for x in ACTIVATIONS]:
        function = find(name.split(".")[-1])
        for x in (torch.tensor(0.3), torch.zeros(0), torch.zeros(2, 0, 3), Strided(normal(3, 4)), EXTREMES,
                  EXTREMES.double(), EXTREMES.half(), EXTREMES.bfloat16(), torch.tensor([-3, 0, 2, 7]),
                  torch.tensor([0, 1, 255], dtype=torch.uint8), torch.tensor([True, False])):
            record(name, function, x)
    grid = EXTREMES[:11]
    left, right = grid.repeat_interleave(len(grid)), grid.repeat(len(grid))
    for name in BINARY:
        function = find(name)
        pairs = [
            (left, right), (left.double(), right.double()), (left.half(), right.half()),
            (torch.tensor(2.0), torch.tensor(-3.0)), (torch.zeros(0, 3), torch.ones(3)), (torch.ones(2, 0), torch.ones(1)),
            (Strided(normal(3, 4)), Strided(normal(3, 4))), (Strided(normal(4, 3)), normal(3)), (normal(2, 1, 3), normal(4, 1)),
            (torch.tensor([-7, 7, -1, 5]), torch.tensor([3, -3, 2, 5])), (torch.tensor([-7, 7]), torch.tensor([2.5, -2.5])),
            (torch.tensor([1, 200], dtype=torch.uint8), torch.tensor([3, 100], dtype=torch.uint8)),
            (torch.tensor([1, 100], dtype=torch.int8), torch.tensor([3, 200], dtype=torch.uint8)),
            (torch.tensor([1.5, 2.5]).half(), torch.tensor([2.0, 3.0]).bfloat16()),
            (torch.tensor([1.5]).half(), torch.tensor(3.3)), (torch.tensor([3, 4]), torch.tensor(0.5)),
            (torch.tensor([True, False]), torch.tensor([True, True])), (torch.tensor([True, False]), torch.tensor([2, 3])),
        ]
        for a, b in pairs:
            record(name, function, a, [b])
    for name in ("add sub mul true_divide floor_divide remainder fmod pow eq ne lt le gt ge clamp_min clamp_max").split():
        function = find(name)
        for number in (0.1, 1 / 3, 3.3, -2.5, 3, -2, 0):
            for dtype in (torch.float16, torch.bfloat16, torch.float32):
                record(name, function, torch.tensor([0.1, 1 / 3, 3.3, -2.5, 0.0, 7.0, 1e-3]).to(dtype), [number])
            for dtype in (torch.uint8, torch.int32, torch.int64, torch.bool):
                record(name, function, torch.tensor([0, 1, 3, 100]).to(dtype), [number])
    for low, high in ((-1, 300), (None, 300), (-1, None), (3, 2), (0.5, 1.5), (NAN, None), (None, INF), (-(2**41), 2**41)):
        for dtype in (torch.uint8, torch.int8, torch.int32, torch.int64, torch.float16, torch.float32):
            record("clamp", torch.clamp, torch.tensor([0, 1, 2, 100]).to(dtype), [low, high])
    record("clamp", torch.clamp, EXTREMES, [-2.0, 5.0])
    record("clamp", torch.clamp, normal(3, 4), [Strided(normal(3, 4)), normal(4)])


def reduction_cases(record):
    shapes = [torch.tensor(2.5), normal(5), normal(2, 3, 4), Strided(normal(3, 4, 2)), normal(1, 1), torch.zeros(0),
              torch.zeros(2, 0), torch.zeros(0, 3), EXTREMES, EXTREMES[:6].reshape(2, 3), normal(3, 4).half(),
              normal(3, 4).bfloat16(), normal(3, 4).double(), torch.tensor([[1, -2, 3], [4, 5, -6]]),
              torch.tensor([[1, 0, 255]], dtype=torch.uint8), torch.tensor([[True, False], [True, True]])]
    many = "sum mean prod amax amin logsumexp nansum nanmean var std var_mean std_mean all any count_nonzero aminmax".split()
    for name in many:
        function = find(name)
        for x in shapes:
            record(name, function, x)
            rank = (x.tensor if isinstance(x, Strided) else x).dim()
            for dim in [-1, 0] + ([(0, 1), (-1, 0), (1,)] if rank > 1 else []):
                if name in ("prod", "aminmax") and isinstance(dim, tuple):
                    continue
                for keepdim in (False, True):
                    kw = {} if name == "count_nonzero" else {"keepdim": keepdim}
                    record(name, function, x, [], {"dim": dim, **kw})
    for name in ("argmax", "argmin", "median", "nanmedian", "max.reduction_with_dim", "min.reduction_with_dim", "sort",
                 "argsort", "cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", "softmax", "log_softmax",
                 "nn.functional.softmin", "msort", "unbind", "diff"):
        function = find(name.removeprefix("nn.functional.").split(".")[0])
        for x in shapes:
            for dim in (0, -1, 1):
                if name == "msort":
                    record(name, function, x)
                else:
                    record(name, function, x, [], {"dim": dim})
                if name in ("argmax", "argmin", "median", "nanmedian") or "reduction" in name:
                    record(name, function, x, [], {"dim": dim, "keepdim": True})
    for x in (torch.tensor([0.0, 100, 200, 800]), torch.tensor([800.0, 0, -800, -INF]), torch.tensor([-INF, -INF, 0, INF]),
              torch.tensor([1e30, -1e30, 5.0]), torch.tensor([NAN, 1.0])):
        for name in ("logcumsumexp", "logsumexp", "softmax", "log_softmax", "cumsum", "cumprod"):
            for dtype in (torch.float32, torch.float64):
                record(name, find(name), x.to(dtype), [0])
    for correction in (0, 1, 2, 5):
        for name in ("var", "std", "var_mean", "std_mean"):
            for x in (normal(5), normal(1), torch.zeros(0), Strided(normal(3, 4)), torch.tensor(1.0)):
                record(name, find(name), x, [], {"dim": -1, "correction": correction})
    for scale in (1e30, 1e-30, 1e18, 1e5):
        for name in ("std", "var", "mean", "sum", "norm", "logsumexp", "std_mean"):
            record(name, find(name), torch.tensor([1.0, 2.0, 3.0]) * scale)
            record(name, find(name), torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]]) * scale, [], {"dim": 1})
    for p in (0, 1, 2, 3, 0.5, -1, INF, -INF, "fro"):
        for x in (normal(5), Strided(normal(3, 4)), torch.zeros(0), torch.tensor(-2.0), torch.zeros(3)):
            record("norm", torch.norm, x, [p])
            if not isinstance(p, str):
                for keepdim in (False, True):
                    record("norm", torch.norm, x, [p], {"dim": -1, "keepdim": keepdim})


def long_cases(record):
    functional = torch.nn.functional
    for offset, scale, modulus in ((100000, 1, 2), (100000.1, 0.1, 7), (0.1, 0, 1), (-3, 0.37, 11), (1e7, 4, 3)):
        for shape, dim in (((100000,), 0), ((3, 40000), 1), ((40000, 3), 0), ((2, 20000, 3), 1), ((2500, 2, 40), (0, 2))):
            row = Row(shape, offset, scale, modulus)
            for name in ("sum", "mean", "var", "std", "logsumexp", "norm", "nansum", "nanmean", "amax", "var_mean", "prod"):
                if name == "prod" and isinstance(dim, tuple):
                    continue
                # What a norm or a product of f32 rounds is PyTorch's own matter: those are recorded from f64.
                exact = find(name)
                def function(x, dim, exact=exact):
                    out = exact(x.double(), dim=dim)
                    return [y.float() for y in out] if isinstance(out, tuple) else out.float()
                record(name, function, row, [], {"dim": dim})
        row = Row((400,), offset, scale, modulus)
        for name in ("cumsum", "cumprod", "logcumsumexp", "softmax", "log_softmax", "cummax"):
            record(name, find(name), row, [0])
        for name, args, kw in (("layer_norm", [[200]], {}), ("rms_norm", [[200]], {}), ("normalize", [], {"dim": 1}),
                               ("group_norm", [1], {}), ("instance_norm", [], {})):
            if name != "rms_norm" and offset >= 100000:
                continue  # PyTorch's own means are wrong in the fourth digit there.
            shape = (1, 2, 200) if name in ("group_norm", "instance_norm") else (2, 200)
            record("nn.functional." + name, getattr(functional, name), Row(shape, offset, scale, modulus), args, kw)


def loss_cases(record):
    functional = torch.nn.functional
    shapes = [(), (0,), (5,), (2, 3), (2, 0)]
    for name in "mse_loss l1_loss smooth_l1_loss huber_loss soft_margin_loss hinge_embedding_loss poisson_nll_loss kl_div".split():
        for shape, reduction in itertools.product(shapes, ("mean", "sum", "none")):
            x, y = normal(*shape), normal(*shape)
            if name in ("soft_margin_loss", "hinge_embedding_loss"):
                y = y.sign()
            record("nn.functional." + name, getattr(functional, name), x, [y], {"reduction": reduction})
            if len(shape) == 2:
                record("nn.functional." + name, getattr(functional, name), Strided(x), [Strided(y)], {"reduction": reduction})
    for shape, reduction in itertools.product(shapes, ("mean", "sum", "none")):
        x, y = torch.rand(shape), torch.rand(shape)
        record("nn.functional.binary_cross_entropy", functional.binary_cross_entropy, x, [y], {"reduction": reduction})
        record("nn.functional.binary_cross_entropy_with_logits", functional.binary_cross_entropy_with_logits, normal(*shape),
               [y], {"reduction": reduction})
    for shape, target in (((4, 3), torch.tensor([0, 2, 1, -100])), ((3,), torch.tensor(1)), ((0, 3), torch.zeros(0, dtype=torch.int64)),
                          ((2, 3, 4), torch.randint(0, 3, (2, 4))), ((2, 3, 2, 2), torch.randint(0, 3, (2, 2, 2)))):
        for reduction in ("mean", "sum", "none"):
            for kw in ({}, {"ignore_index": 1}, {"weight": torch.tensor([0.5, 2.0, 1.0])}):
                record("nn.functional.nll_loss", functional.nll_loss, normal(*shape), [target], {"reduction": reduction, **kw})
                for smoothing in (0.0, 0.2):
                    record("nn.functional.cross_entropy", functional.cross_entropy, normal(*shape), [target],
                           {"reduction": reduction, "label_smoothing": smoothing, **kw})
    record("nn.functional.cross_entropy", functional.cross_entropy, torch.tensor([[1e4, -1e4, 0.0]]), [torch.tensor([1])])


def shape_cases(record):
    inputs = [torch.tensor(1.5), normal(4), normal(2, 3), Strided(normal(2, 3, 4)), torch.zeros(0), torch.zeros(2, 0, 3)]
    for x in inputs:
        rank = (x.tensor if isinstance(x, Strided) else x).dim()
        for dim in {0, -1, rank - 1, -rank} if rank else {0, -1}:
            for name in ("unsqueeze", "squeeze", "flip", "unbind", "cumsum"):
                record(name, find(name), x, [dim] if name != "flip" else [[dim]])
            for k in (0, 1, -2, 7):
                record("roll", torch.roll, x, [k, dim])
            for parts in (1, 2, 3):
                record("chunk", torch.chunk, x, [parts, dim])
                record("split", torch.split, x, [parts, dim])
                record("tensor_split", torch.tensor_split, x, [parts, dim])
            record("tensor_split", torch.tensor_split, x, [[1, 2], dim])
            record("select", torch.select, x, [dim, -1])
            record("narrow", torch.narrow, x, [dim, 0, 1])
            record("index_select", torch.index_select, x, [dim, torch.tensor([0])])
            record("index_select", torch.index_select, x, [dim, torch.zeros(0, dtype=torch.int64)])
            record("repeat_interleave", torch.repeat_interleave, x, [2], {"dim": dim})
            record("diff", torch.diff, x, [1, dim])
            record("diff", torch.diff, x, [3, dim])
            record("cat", torch.cat, [x, x], [], {"dim": dim})
            record("stack", torch.stack, [x, x], [], {"dim": dim})
            for k in (0, 1, 2):
                for largest in (True, False):
                    record("topk", torch.topk, x, [k, dim, largest])
        for name in ("flatten", "ravel", "t", "squeeze", "fliplr", "flipud", "atleast_1d", "atleast_2d", "atleast_3d", "mT",
                     "tril", "triu", "trace", "diagonal", "diag", "diagflat", "diag_embed", "nonzero", "argwhere", "neg",
                     "positive", "median", "mean", "sort", "msort", "clone", "isreal", "item", "numel"):
            if name == "numel":
                continue
            record(name, (lambda y: y.mT) if name == "mT" else find(name), x)
        for k in (-2, 1, 3):
            for name in ("tril", "triu", "diagonal", "diag", "diag_embed", "rot90"):
                record(name, find(name), x, [k])
        record("reshape", torch.reshape, x, [[-1]])
        record("tile", torch.tile, x, [[2, 1]])
        record("repeat", torch.Tensor.repeat, x, [[2] * max(rank, 1)])
        record("expand", torch.Tensor.expand, x, [[2] + [-1] * rank])
        record("movedim", torch.movedim, x, [0, -1])
        record("transpose", torch.transpose, x, [0, -1])
        record("permute", torch.permute, x, [list(reversed(range(rank)))])


def index_cases(record):
    x = normal(3, 4)
    for first in (x, Strided(x), x.half(), x.bfloat16(), (x * 10).to(torch.int64)):
        plain = first.tensor if isinstance(first, Strided) else first
        for dim in (0, 1, -1):
            index = torch.randint(0, 3, (2, 3))
            source = (normal(2, 3) * 3).to(plain.dtype)
            record("gather", torch.gather, first, [dim, index])
            record("scatter", torch.scatter, first, [dim, torch.tensor([[0, 1, 2]]), source])
            record("scatter_add", torch.scatter_add, first, [dim, index, source])
            for reduce, own in itertools.product(("sum", "mean", "prod", "amax", "amin"), (True, False)):
                record("scatter_reduce." + reduce, torch.scatter_reduce, first, [dim, index, source, reduce],
                       {"include_self": own})
            lines = plain.index_select(dim, torch.tensor([0, 1, 2]))
            record("index_add", torch.index_add, first, [dim, torch.tensor([2, 0, 2]), lines], {"alpha": 2})
            record("index_copy", torch.index_copy, first, [dim, torch.tensor([2, 0, 1]), lines])
            record("index_fill", torch.index_fill, first, [dim, torch.tensor([2, 0]), 3])
            record("take_along_dim", torch.take_along_dim, first, [torch.tensor([[1, 0, 2, 0]]) if dim == 0 else
                                                                   torch.tensor([[1], [0], [2]]), dim])
        record("masked_select", torch.masked_select, first, [plain > 0])
        record("masked_fill", torch.masked_fill, first, [plain > 0, 2])
        record("masked_scatter", torch.masked_scatter, first, [plain > 0, torch.ones(12).to(plain.dtype)])
        record("take", torch.take, first, [torch.tensor([[0, -1], [5, 11]])])
        record("where", lambda x, mask, other: torch.where(mask, x, other), first, [plain > 0, plain * 2])
        for index in ([1], [slice(None, None, 2)], [None, 1], [Ellipsis, 0], [slice(1, None), slice(None, -1)]):
            # One integer in a tuple would be written like a list of positions.
            record("__getitem__", torch.Tensor.__getitem__, first, [tuple(index) if len(index) > 1 else index[0]])
    many = torch.zeros(1000, dtype=torch.int64)
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        base, ones = torch.zeros(2, dtype=dtype), torch.ones(300, dtype=dtype)
        record("scatter_add", torch.scatter_add, base, [0, many[:300], ones])
        for reduce in ("sum", "mean"):
            record("scatter_reduce." + reduce, torch.scatter_reduce, base, [0, many[:300], ones, reduce])
    for scalar in (torch.tensor(2.0), torch.zeros(0)):
        record("take", torch.take, scalar, [torch.zeros(scalar.numel(), dtype=torch.int64)])
        record("nonzero", torch.nonzero, scalar)
        record("index_fill", torch.index_fill, scalar, [0, torch.zeros(scalar.numel(), dtype=torch.int64), 5])
    edges = torch.tensor([1.0, 2.0, 2.0, 5.0])
    for values in (torch.tensor([NAN, 2.0, -INF, 6.0]), torch.tensor(2.0), torch.zeros(0), Strided(normal(2, 3)),
                   torch.tensor([2, 7])):
        for right, narrow in itertools.product((False, True), repeat=2):
            record("searchsorted", torch.searchsorted, edges, [values], {"right": right, "out_int32": narrow})
            record("bucketize", torch.bucketize, values, [edges], {"right": right, "out_int32": narrow})


def window_cases(record):
    functional = torch.nn.functional
    for rank in (1, 2, 3):
        sizes = (5, 6, 4)[:rank]
        for batch in ((2, 3), (3,), (0, 3), (1, 1)):
            x = normal(*batch, *sizes)
            for pads in ([1, 2], [0, 1], [-1, 1], [1, -1], [-1, -2], [2, 2], [0, 0], [3, 1]):
                for mode in ("reflect", "replicate", "circular"):
                    record("nn.functional.pad." + mode, functional.pad, x, [pads * rank], {"mode": mode})
                record("nn.functional.pad.constant", functional.pad, x, [pads * rank], {"value": 2.5})
            record("nn.functional.pad.constant", functional.pad, Strided(x), [[1, -1]])
            for kernel, stride, padding, ceil in ((2, None, 0, False), (3, 2, 1, True), (2, 1, 1, False)):
                kw = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil}
                name = f"nn.functional.avg_pool{rank}d"
                record(name, getattr(functional, f"avg_pool{rank}d"), x, [], kw)
                record(name, getattr(functional, f"avg_pool{rank}d"), Strided(x), [], {**kw, "count_include_pad": False})
                name = f"nn.functional.max_pool{rank}d"
                for indices in (False, True):
                    record(name, getattr(functional, f"max_pool{rank}d"), x, [], {**kw, "return_indices": indices})
                record(name, getattr(functional, f"max_pool{rank}d"), x, [], {**kw, "dilation": 2})
            for size in (1, 2, 3, 7):
                for kind in ("avg", "max"):
                    name = f"adaptive_{kind}_pool{rank}d"
                    record("nn.functional." + name, getattr(functional, name), x, [size])
            weight = normal(4, x.shape[len(batch) - 1], *([3] * rank))
            for kw in ({}, {"padding": 1, "stride": 2}, {"dilation": 2, "padding": 2}, {"padding": "same"}):
                record(f"nn.functional.conv{rank}d", getattr(functional, f"conv{rank}d"), x, [weight], {**kw})
                record(f"nn.functional.conv{rank}d", getattr(functional, f"conv{rank}d"), Strided(x), [weight, normal(4)], {**kw})
            weight = normal(x.shape[len(batch) - 1], 2, *([3] * rank))
            for kw in ({}, {"padding": 1, "stride": 2}, {"stride": 2, "output_padding": 1}, {"dilation": 2}):
                record(f"nn.functional.conv_transpose{rank}d", getattr(functional, f"conv_transpose{rank}d"), x, [weight], {**kw})
        x = normal(1, 2, *sizes)
        modes = {1: ["nearest", "linear", "area", "nearest-exact"], 2: ["nearest", "bilinear", "bicubic", "area", "nearest-exact"],
                 3: ["nearest", "trilinear", "area", "nearest-exact"]}[rank]
        for mode in modes:
            for kw in ({"size": 1}, {"size": 9}, {"scale_factor": 0.5}, {"scale_factor": 1.7}):
                for corners in ((None, True, False) if "linear" in mode or mode == "bicubic" else (None,)):
                    record("nn.functional.interpolate." + mode, functional.interpolate, x, [],
                           {**kw, "mode": mode, "align_corners": corners})


def product_cases(record):
    pairs = [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)),
             ((2, 1, 2, 3), (5, 3, 4)), ((3,), (5, 3, 4)), ((5, 2, 3), (3,)), ((0, 3), (3, 4)), ((2, 0), (0, 4)),
             ((2, 3), (3, 0)), ((0, 2, 3), (0, 3, 4)), ((1, 1), (1, 1))]
    for a, b in pairs:
        for dtype in (torch.float32, torch.float64, torch.int64, torch.bfloat16):
            record("matmul", torch.matmul, (normal(*a) * 4).to(dtype), [(normal(*b) * 4).to(dtype)])
        record("matmul", torch.matmul, Strided(normal(*a)), [Strided(normal(*b))])
    for name, a, b in (("mm", (2, 3), (3, 4)), ("mv", (2, 3), (3,)), ("bmm", (2, 3, 4), (2, 4, 2)), ("dot", (4,), (4,)),
                       ("outer", (3,), (2,)), ("inner", (2, 3), (4, 3)), ("kron", (2, 2), (3,)), ("cross", (2, 3), (2, 3)),
                       ("mm", (0, 3), (3, 4)), ("mm", (2, 0), (0, 4)), ("bmm", (0, 3, 4), (0, 4, 2)), ("dot", (0,), (0,)),
                       ("outer", (0,), (2,)), ("inner", (), (3,)), ("mv", (2, 0), (0,))):
        record(name, find(name), normal(*a), [normal(*b)])
        record(name, find(name), Strided(normal(*a)), [Strided(normal(*b))])
    for beta, alpha in ((1, 1), (0, 2), (0.5, -1)):
        kw = {"beta": beta, "alpha": alpha}
        for addend in ((2, 4), (4,), (1,), ()):
            record("addmm", torch.addmm, normal(*addend), [normal(2, 3), normal(3, 4)], kw)
            record("baddbmm", torch.baddbmm, normal(2, *addend) if len(addend) == 2 else normal(*addend),
                   [normal(2, 2, 3), normal(2, 3, 4)], kw)
        record("addmv", torch.addmv, normal(2), [normal(2, 3), normal(3)], kw)
        record("addr", torch.addr, normal(2, 3), [normal(2), normal(3)], kw)
        record("addmm", torch.addmm, torch.full((2, 4), NAN), [normal(2, 3), normal(3, 4)], {"beta": 0, "alpha": alpha})
    functional = torch.nn.functional
    for shape in ((3,), (2, 3), (0, 3), (2, 4, 3)):
        record("nn.functional.linear", functional.linear, normal(*shape), [normal(5, 3), normal(5)])
        record("nn.functional.linear", functional.linear, Strided(normal(*shape)), [Strided(normal(5, 3))])
    for kw in ({}, {"is_causal": True}, {"scale": 0.3}, {"attn_mask": normal(4, 5)}, {"attn_mask": torch.rand(4, 5) > 0.5}):
        record("nn.functional.scaled_dot_product_attention", functional.scaled_dot_product_attention, normal(1, 2, 4, 8),
               [normal(1, 2, 5, 8), normal(1, 2, 5, 8)], kw)
    table = normal(6, 3)

    def table_first(table, indices, *rest, **kw):
        return functional.embedding_bag(indices, table, *rest, **kw)

    for mode in ("sum", "mean", "max"):
        for bags in ([torch.tensor([[1, 2], [5, 0]])], [torch.tensor([1, 2, 3, 4]), torch.tensor([0, 2])],
                     [torch.tensor([1, 2, 3]), torch.tensor([0, 0, 3])], [torch.zeros((0, 2), dtype=torch.int64)],
                     [torch.zeros(0, dtype=torch.int64), torch.tensor([0, 0])], [torch.zeros((2, 0), dtype=torch.int64)]):
            for kw in ({}, {"padding_idx": 2}, {"include_last_offset": True}):
                record("nn.functional.embedding_bag", table_first, table, bags, {**kw, "mode": mode})
            if mode == "sum" and len(bags) == 1:
                record("nn.functional.embedding_bag", table_first, table, bags,
                       {"mode": mode, "per_sample_weights": normal(*bags[0].shape)})


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    first = json.load(open(HERE / "pytorch_ops.json"))
    names = {case["op"] for case in first if case["tier"] == "core"}
    recorder = Recorder()
    torch.set_num_threads(1)
    pytorch_samples(recorder, names)

    def record(name, *rest):
        known = name in names or name.split(".")[0] in names
        return known and recorder.record(name, *rest)

    for family in (pointwise_cases, reduction_cases, long_cases, loss_cases, shape_cases, index_cases, window_cases,
                   product_cases):
        seed(family.__name__)
        family(record)
    used = json.dumps(recorder.cases)
    tensors = {key: value for key, value in recorder.tensors.items() if '"T": "%s"' % key in used}
    with open(folder / "pytorch_ops_more.json", "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in recorder.cases) + "\n]\n")
    save_file(tensors, str(folder / "pytorch_ops_more.safetensors"))
    print(torch.__version__, len(recorder.cases), "cases of", len({c["op"] for c in recorder.cases}), "operators,",
          len(tensors), "tensors")


main()
