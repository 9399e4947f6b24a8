"""Records what transformers makes of small models of the Llama family: Tests/Oracle/models/*.gguf and logits.json.

Needs `pip install torch==2.15.0 transformers==5.24.0 gguf==0.19.0 numpy`; the tests read the recorded files only.
    python3 make_model_cases.py
"""
import json
import math
import pathlib

import gguf
import numpy
import torch
from transformers import (GlmConfig, GlmForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM)

FOLDER = pathlib.Path(__file__).parent / "models"
FOLDER.mkdir(exist_ok=True)
WIDTH, HEADS, KEY_HEADS, HEAD, INNER, VOCABULARY, LAYERS, CONTEXT = 16, 2, 1, 16, 20, 24, 2, 64
PREFIXES = [1, 7, 40]
TOKENS = [(7 * i * i + 3 * i + 5) % VOCABULARY for i in range(max(PREFIXES))]


def randomized(model, seed):
    """Weights large enough that positions matter, rounded to what the file holds."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            scaled = 1 + 0.2 * noise if "norm" in name else 0.35 * noise
            parameter.copy_(scaled)
    return model.double().eval()


def logits(model):
    with torch.no_grad():
        return [model(torch.tensor([TOKENS[:n]])).logits[0, -1].tolist() for n in PREFIXES]


def interleaved(weight, heads, rotated=HEAD):
    """Rows of halves as neighbours, in the rotated part of each head: how Llama files have queries and keys."""
    rows = weight.reshape(heads, HEAD, -1)
    turned = rows[:, :rotated].reshape(heads, 2, rotated // 2, -1).swapaxes(1, 2).reshape(heads, rotated, -1)
    return numpy.concatenate([turned, rows[:, rotated:]], 1).reshape(weight.shape)


def halves(weight, heads, rotated):
    rows = weight.reshape(heads, HEAD, -1)
    turned = rows[:, :rotated].reshape(heads, rotated // 2, 2, -1).swapaxes(1, 2).reshape(heads, rotated, -1)
    return numpy.concatenate([turned, rows[:, rotated:]], 1).reshape(weight.shape)


NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


def write(name, arch, model, order, settings=(), factors=None, base=10000.0):
    """`order` turns the rows of queries and keys into the file's order."""
    writer = gguf.GGUFWriter(str(FOLDER / f"{name}.gguf"), arch)
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(base)
    writer.add_vocab_size(VOCABULARY)
    for key, value in settings:
        if isinstance(value, str):
            writer.add_string(f"{arch}.{key}", value)
        elif isinstance(value, int):
            writer.add_uint32(f"{arch}.{key}", value)
        else:
            writer.add_float32(f"{arch}.{key}", value)
    if factors is not None:
        writer.add_tensor("rope_freqs.weight", numpy.array(factors, numpy.float32))
    state = {k: v.float().numpy() for k, v in model.state_dict().items()}
    writer.add_tensor("token_embd.weight", state["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", state["model.norm.weight"])
    if not model.config.tie_word_embeddings:
        writer.add_tensor("output.weight", state["lm_head.weight"])
    for key, value in state.items():
        if not key.startswith("model.layers."):
            continue
        _, _, layer, part = key.split(".", 3)
        part, kind = part.rsplit(".", 1)
        if part == "mlp.gate_up_proj":
            writer.add_tensor(f"blk.{layer}.ffn_gate.{kind}", value[:INNER].copy())
            writer.add_tensor(f"blk.{layer}.ffn_up.{kind}", value[INNER:].copy())
            continue
        if part in ("self_attn.q_proj", "self_attn.k_proj"):
            value = order(value, HEADS if "q_proj" in part else KEY_HEADS)
        writer.add_tensor(f"blk.{layer}.{NAMES[part]}.{kind}", numpy.ascontiguousarray(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


COMMON = dict(hidden_size=WIDTH, num_attention_heads=HEADS, num_key_value_heads=KEY_HEADS, head_dim=HEAD,
              intermediate_size=INNER, vocab_size=VOCABULARY, num_hidden_layers=LAYERS,
              max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, attn_implementation="eager", pad_token_id=None)
results = []


def record(name, model, *arguments, **keywords):
    write(name, *arguments[:1], model, *arguments[1:], **keywords)
    results.append({"name": name, "logits": logits(model)})


def llama(name, scaling=None, settings=(), factors=None, base=10000.0, tied=False, **more):
    rope = {"rope_type": "default", "rope_theta": base, **(scaling or {})}
    config = LlamaConfig(**COMMON, rope_parameters=rope, tie_word_embeddings=tied, **more)
    model = randomized(LlamaForCausalLM(config), len(results))
    record(name, model, "llama", interleaved, settings=settings, factors=factors, base=base)


YARN = [("rope.scaling.type", "yarn"), ("rope.scaling.factor", 4.0), ("rope.scaling.original_context_length", 16)]
yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
whole = 0.1 * math.log(4) + 1

llama("plain")
llama("linear", {"rope_type": "linear", "factor": 4.0},
      [("rope.scaling.type", "linear"), ("rope.scaling.factor", 4.0)])
llama("linear-old", {"rope_type": "linear", "factor": 2.5}, [("rope.scale_linear", 2.5)], tied=True)
llama("yarn", yarn, YARN)
llama("yarn-betas", {**yarn, "beta_fast": 6.0, "beta_slow": 1.5},
      YARN + [("rope.scaling.yarn_beta_fast", 6.0), ("rope.scaling.yarn_beta_slow", 1.5)], base=500.0)
llama("yarn-attention", {**yarn, "attention_factor": 0.75 * whole}, YARN + [("rope.scaling.attn_factor", 0.75)])
llama("yarn-magnitude", {**yarn, "attention_factor": 0.8}, YARN + [("rope.scaling.yarn_attn_factor", 0.8)])
llama("yarn-log", {**yarn, "mscale": 1.0, "mscale_all_dim": 0.7}, YARN + [("rope.scaling.yarn_log_multiplier", 0.7)])
llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
FACTORS = []
for frequency in 100.0 ** -(numpy.arange(0, HEAD, 2) / HEAD):
    turns = 32 * frequency / (2 * math.pi)
    smooth = (turns - 1) / (4 - 1)
    FACTORS.append(1.0 if turns > 4 else 8.0 if turns < 1 else 1 / ((1 - smooth) / 8 + smooth))
llama("llama3", llama3, factors=FACTORS, base=100.0)
llama("biases", attention_bias=True, mlp_bias=True)
llama("llama3-biases-tied", llama3, factors=FACTORS, base=100.0, tied=True, attention_bias=True)

glm = randomized(GlmForCausalLM(GlmConfig(
    **COMMON, rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
    attention_bias=True, tie_word_embeddings=False)), 20)
PART = [("rope.dimension_count", HEAD // 2)]
record("partial", glm, "llama", lambda w, h: w, settings=PART)
record("partial-halves", glm, "qwen2", lambda w, h: halves(w, h, HEAD // 2), settings=PART)

for name, scaling, settings in [("qwen2", None, []), ("qwen2-yarn", yarn, YARN)]:
    rope = {"rope_type": "default", "rope_theta": 10000.0, **(scaling or {})}
    model = randomized(Qwen2ForCausalLM(Qwen2Config(**COMMON, rope_parameters=rope)), 30)
    record(name, model, "qwen2", lambda w, h: w, settings=settings)

(FOLDER / "logits.json").write_text(
    json.dumps({"prefixes": PREFIXES, "tokens": TOKENS, "cases": results}, indent=0) + "\n")
