"""Records what Sentence Transformers makes of small BERT directories: Tests/Oracle/encoders/*.

A case is the folder `base` with some files replaced by those in cases.json (JSON) or in `tensors` (weights).
Needs `pip install torch==2.15.0 transformers==5.24.0 sentence-transformers==6.2.0 tokenizers==0.23.3 safetensors`; the
tests read the recorded files only.
    python3 make_encoder_cases.py
"""
import json
import pathlib
import shutil
import tempfile

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

FOLDER = pathlib.Path(__file__).parent / "encoders"
shutil.rmtree(FOLDER, ignore_errors=True)
BASE, TENSORS = FOLDER / "base", FOLDER / "tensors"
for folder in (BASE, TENSORS):
    folder.mkdir(parents=True)
WIDTH = 16
LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = (["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "query", "the", "cat", "##s", "é", "ß"]
              + list(LETTERS) + list(LETTERS.upper()) + list(".,:!?-") + ["##" + c for c in LETTERS]
              + ["##" + c for c in LETTERS.upper()] + ["Hello", "i̇", "##̇", "σ", "ς", "Σ", "##σ", "##ς", "##Σ"])


def tokenizer(lowercases):
    built = Tokenizer(models.WordPiece({t: i for i, t in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    built.normalizer = normalizers.BertNormalizer(lowercase=lowercases)
    built.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    built.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    built.add_special_tokens(VOCABULARY[:5])
    return json.loads(built.to_str())


def config(**more):
    values = dict(model_type="bert", hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2,
                  intermediate_size=24, vocab_size=len(VOCABULARY), max_position_embeddings=40, type_vocab_size=2,
                  layer_norm_eps=1e-12, hidden_act="gelu", hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    values.update(more)
    return values


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n")


torch.manual_seed(1)
bert = BertModel(BertConfig(**config()))
with torch.no_grad():
    for name, parameter in bert.named_parameters():
        noise = torch.randn(parameter.shape)
        parameter.copy_(1 + 0.2 * noise if "LayerNorm.weight" in name else 0.35 * noise)
save_file({k: v.contiguous() for k, v in bert.state_dict().items()}, str(BASE / "model.safetensors"))
dump(BASE / "config.json", config())
dump(BASE / "tokenizer.json", tokenizer(False))
dump(BASE / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": False,
                                       "model_max_length": 512})

TEXTS = ["hello world", "The cats, Hello!", "a", "", "query: the cat", "ΣΑΣ İ Straße-É " + "the cat " * 20]
cases = []
ST = "sentence_transformers.models."
TRANSFORMER = {"idx": 0, "name": "0", "path": "", "type": ST + "Transformer"}


def modules(*more):
    return [TRANSFORMER] + [{"idx": i + 1, "name": str(i + 1), "path": path, "type": ST + kind}
                            for i, (kind, path) in enumerate(more)]


def case(name, files, tensors=(), prompt=None):
    """`tensors`: pairs of the path in the model's folder and the file in `tensors`."""
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch) / "model"
        shutil.copytree(BASE, root)
        for path, value in files.items():
            dump(root / path, value)
        for path, source in tensors:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TENSORS / source, root / path)
        moved = next((m["path"] for m in files.get("modules.json", []) if m["type"].endswith("Transformer")), "")
        if moved:
            (root / moved).mkdir()
            for entry in list(root.iterdir()):
                if entry.is_file() and entry.name not in ("modules.json", "config_sentence_transformers.json"):
                    entry.rename(root / moved / entry.name)
        model = SentenceTransformer(str(root), device="cpu").eval()
        embeddings = model.encode(TEXTS, prompt_name=prompt, batch_size=1)
    cases.append({"name": name, "files": files, "tensors": dict(tensors), "moved": moved, "prompt": prompt,
                  "embeddings": [[round(float(x), 7) for x in row] for row in embeddings]})


MODES = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens", "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
         "weightedmean": "weightedmean_tokens", "lasttoken": "lasttoken"}


def older(*modes):
    return {"word_embedding_dimension": WIDTH, **{f"pooling_mode_{MODES[m]}": m in modes for m in MODES}}


POOLED = {"modules.json": modules(("Pooling", "1_Pooling"))}
case("plain", {})
for mode in MODES:
    case(f"older {mode}", {**POOLED, "1_Pooling/config.json": older(mode)})
    case(f"newer {mode}", {**POOLED, "1_Pooling/config.json": {"embedding_dimension": WIDTH, "pooling_mode": mode,
                                                               "include_prompt": True}})
case("older joined", {**POOLED, "1_Pooling/config.json": older("lasttoken", "mean", "cls", "max")})
case("newer joined", {**POOLED, "1_Pooling/config.json": {"embedding_dimension": WIDTH,
                                                           "pooling_mode": ["weightedmean", "cls", "max"]}})
case("no mode", {**POOLED, "1_Pooling/config.json": older()})
UNIT = {"modules.json": modules(("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")),
        "1_Pooling/config.json": older("mean")}
case("unit length", UNIT)
case("unit length of joined", {**UNIT, "1_Pooling/config.json": older("mean", "max")})
for activation in ["gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_python", "gelu_accurate", "quick_gelu", "relu",
                   "relu6", "relu2", "silu", "swish", "mish", "tanh", "sigmoid", "leaky_relu", "linear"]:
    case(f"activation {activation}", {"config.json": config(hidden_act=activation)})
case("lower case", {**POOLED, "1_Pooling/config.json": older("mean"), "sentence_bert_config.json": {"max_seq_length": 30, "do_lower_case": True}})
case("lower case of the tokenizer", {"tokenizer.json": tokenizer(True), "tokenizer_config.json": {
    "tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 20}})
sequence = tokenizer(False)
sequence["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, sequence["normalizer"]]}
# BertTokenizer would throw these steps away and take its own.
case("lower case in steps", {"tokenizer.json": sequence, "tokenizer_config.json": {
    "tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "model_max_length": 512}})
case("short", {**POOLED, "1_Pooling/config.json": older("mean"), "sentence_bert_config.json": {"max_seq_length": 5, "do_lower_case": False}})
PROMPTS = {"config_sentence_transformers.json": {
    "__version__": {"sentence_transformers": "3.0.0"}, "prompts": {"query": "query: ", "document": ""},
    "default_prompt_name": "query", "similarity_fn_name": "cosine"}}
case("usual prompt", {**PROMPTS, **UNIT})
case("named prompt", {**PROMPTS, **UNIT}, prompt="document")
for mode in MODES:
    case(f"prompt left out of {mode}", {
        **PROMPTS, **POOLED, "1_Pooling/config.json": {**older(mode), "include_prompt": False}}, prompt="query")


def weights(name, **shapes):
    save_file({key.replace("__", "."): 0.4 * torch.randn(shape) for key, shape in shapes.items()}, str(TENSORS / name))


def dense(name, config, source, normalize=False):
    more = [("Normalize", "3_Normalize")] if normalize else []
    case(name, {"modules.json": modules(("Pooling", "1_Pooling"), ("Dense", "2_Dense"), *more),
                "1_Pooling/config.json": older("mean"), "2_Dense/config.json": config},
         [("2_Dense/model.safetensors", source)])


TORCH = "torch.nn.modules."
weights("dense.safetensors", linear__weight=[8, WIDTH], linear__bias=[8])
weights("square.safetensors", linear__weight=[WIDTH, WIDTH])
weights("residual.safetensors", linear__weight=[8, WIDTH], linear__bias=[8], residual__weight=[8, WIDTH])
weights("norm.safetensors", norm__weight=[WIDTH], norm__bias=[WIDTH])
for kind in ["activation.Tanh", "activation.ReLU", "activation.GELU", "activation.Sigmoid", "activation.SiLU",
             "activation.ELU", "activation.LeakyReLU", "activation.Softplus", "linear.Identity"]:
    dense(f"dense {kind}", {"in_features": WIDTH, "out_features": 8, "bias": True,
                            "activation_function": TORCH + kind}, "dense.safetensors", normalize=kind.endswith("Tanh"))
dense("dense without bias", {"in_features": WIDTH, "out_features": WIDTH, "bias": False, "use_residual": True,
                             "activation_function": TORCH + "linear.Identity"}, "square.safetensors")
dense("dense residual", {"in_features": WIDTH, "out_features": 8, "bias": True, "use_residual": True,
                         "activation_function": TORCH + "activation.Tanh"}, "residual.safetensors")
case("norm", {"modules.json": modules(("Pooling", "1_Pooling"), ("LayerNorm", "2_LayerNorm"), ("Dropout", "3_Dropout")),
              "1_Pooling/config.json": older("mean"), "2_LayerNorm/config.json": {"dimension": WIDTH},
              "3_Dropout/config.json": {"dropout": 0.2}},
     [("2_LayerNorm/model.safetensors", "norm.safetensors")])
TRANSFORMER = {**TRANSFORMER, "path": "0_Transformer"}
case("folder of its own", {"modules.json": modules(("Pooling", "1_Pooling")), "1_Pooling/config.json": older("max"),
                           "sentence_bert_config.json": {"max_seq_length": 12}})
lines = ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases)
(FOLDER / "cases.json").write_text('{"texts": ' + json.dumps(TEXTS, ensure_ascii=False) + ',\n"cases": [\n' + lines + "]}\n")
