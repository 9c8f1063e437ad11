#!/usr/bin/env python3
"""Makes tests/model/arch_cases.json: small random models of every architecture, and the logits that
transformers gives for them (float32, eager attention). Run by hand, not by ctest: the tests remake
the weights in C (tests/arch_gen.c) and need no Python. Needs torch, transformers, numpy; --gguf
also the gguf package.

    arch_make.py --all OUT.json            every case of arch_cases.py
    arch_make.py --gguf OUT.gguf CASE      one model as GGUF, F32, for another engine; its prompt is
                                           printed: token 17 is the text "<|17|>"
    arch_make.py --npy OUT.npy CASE        the reference logits of every position
    arch_make.py --compare OURS.npy RESULTS.gguf CASE   our logits with those of llama-results: the
                                           largest difference over the largest logit
    arch_make.py --list                    the cases: name, context, formats, positions for the peer

A value of a tensor is center + amp * k / 2^23, k a signed 24-bit number out of the hash of seed,
name and index; amp and center are short binary fractions, so that C and numpy agree bit by bit.
torch and transformers take seconds to import: only where they are used.
"""
import argparse
import json
import sys

import numpy as np

from arch_cases import CASES

HASH_SEED = 0xCBF29CE484222325
MASK = (1 << 64) - 1
IDS = 32  # logits that are kept of a position
OWN_HEAD_SIZE = ("qwen3", "qwen3moe", "gemma", "gemma2", "gemma3")  # always in the file
MARGIN = 1e-3  # of the last chosen expert over the first that is not


# ---- numbers: as in tests/arch_gen.c ----


def fnv(seed, name):
    h = seed
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def random_bits(seed, name, n):
    """24-bit signed numbers: step 1.. of splitmix64 from the hash of the name."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv(HASH_SEED ^ seed, name)) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.int64) - (1 << 23)


def values(seed, name, spec):
    dims, what = spec
    shape = dims[::-1]
    if isinstance(what, list):
        return np.array(what, dtype=np.float32).reshape(shape)
    center, amp = what
    k = random_bits(seed, name, int(np.prod(dims)))
    return (center + amp * (k.astype(np.float64) * 2.0**-23)).astype(np.float32).reshape(shape)


def checksum(tensors):
    total = 0
    for name, x in tensors.items():
        bits = x.reshape(-1).view(np.uint32).astype(np.uint64)
        with np.errstate(over="ignore"):
            part = (bits * (np.arange(bits.size, dtype=np.uint64) * np.uint64(2) + np.uint64(1))).sum()
        total = (total + int(part) * (fnv(HASH_SEED, name) | 1)) & MASK
    return total


def short(x):
    """x with 8 significant bits: a short decimal that C reads exactly."""
    if x == 0:
        return 0.0
    e = np.floor(np.log2(abs(x)))
    return float(np.round(x / 2.0 ** (e - 7)) * 2.0 ** (e - 7))


def tokens_of(case):
    k = random_bits(case["seed"], "tokens", case["tokens"])
    return [int(3 + (x + (1 << 23)) % (case["vocab"] - 3)) for x in k]


# ---- the file: keys and tensors ----


def uniform(std):
    return (0.0, short(std * 3**0.5))


def matrix(out, cols, rows, std, experts=0):
    return ([cols, rows] + ([experts] if experts else []), uniform(std / cols**0.5 * out))


def attention_tensors(c):
    d, q, kv = c["d"], c["heads"] * c["hd"], c["kv"] * c["hd"]
    gain, planted = c["qk_gain"], c["planted"]
    out = {}
    if c["family"] == "phi3":
        out["attn_qkv.weight"] = matrix(1, d, q + 2 * kv, gain)
    else:
        out["attn_q.weight"] = matrix(1, d, q, gain)
        out["attn_k.weight"] = matrix(1, d, kv, gain)
        out["attn_v.weight"] = matrix(1, d, kv, 1)
    if c["bias"]:
        out["attn_q.bias"] = ([q], uniform(c["bias"]))
        out["attn_k.bias"] = ([kv], uniform(c["bias"]))
        out["attn_v.bias"] = ([kv], uniform(c["bias"]))
        if c["family"] != "qwen2":
            out["attn_output.bias"] = ([d], uniform(c["bias"]))
    out["attn_output.weight"] = matrix(planted, q, d, 1.5)
    if c["family"] in ("qwen3", "qwen3moe", "gemma3"):
        out["attn_q_norm.weight"] = ([c["hd"]], (1.25, 0.25))
        out["attn_k_norm.weight"] = ([c["hd"]], (1.25, 0.25))
    if c["family"] == "olmo2":
        out["attn_q_norm.weight"] = ([q], (1.25, 0.25))
        out["attn_k_norm.weight"] = ([kv], (1.25, 0.25))
    return out


def ffn_tensors(c):
    d, ff, n = c["d"], c["ff"], c["experts"]
    planted = c["planted"] if c["family"] != "olmo2" else 1  # olmo2 multiplies large numbers anyway
    if c["family"] == "phi3":
        return {"ffn_up.weight": matrix(planted**0.5, d, 2 * ff, 1.1), "ffn_down.weight": matrix(1, ff, d, 1.5)}
    if n:
        return {
            "ffn_gate_inp.weight": matrix(1, d, n, 2),
            "ffn_gate_exps.weight": matrix(1, d, ff, 1.2, n),
            "ffn_up_exps.weight": matrix(planted, d, ff, 1, n),
            "ffn_down_exps.weight": matrix(1, ff, d, 1.5, n),
        }
    out = {
        "ffn_gate.weight": matrix(1, d, ff, 1.2),
        "ffn_up.weight": matrix(planted, d, ff, 1),
        "ffn_down.weight": matrix(1, ff, d, 1.5),
    }
    if c["bias"] and c["family"] == "llama":
        out["ffn_gate.bias"] = ([ff], uniform(c["bias"]))
        out["ffn_up.bias"] = ([ff], uniform(c["bias"]))
        out["ffn_down.bias"] = ([d], uniform(c["bias"]))
    return out


def layer_tensors(c):
    norm = ([c["d"]], (1.0, 0.125))
    out = {}
    if c["family"] != "olmo2":
        out["attn_norm.weight"] = norm
    out.update(attention_tensors(c))
    if c["family"] in ("gemma2", "gemma3", "olmo2"):
        post = ([c["d"]], (c["planted"], c["planted"] / 8))
        out["post_attention_norm.weight"] = post
        out["post_ffw_norm.weight"] = post
    if c["family"] != "olmo2":
        out["ffn_norm.weight"] = norm
    out.update(ffn_tensors(c))
    return out


def head_tensors(c):
    d, v = c["d"], c["vocab"]
    logits = 3 * c["logit_gain"]
    out = {}
    if c["tied"]:
        out["token_embd.weight"] = ([d, v], uniform(logits / d**0.5))
    else:
        out["token_embd.weight"] = ([d, v], uniform(c["planted"]))
        out["output.weight"] = matrix(1, d, v, logits)
    out["output_norm.weight"] = ([d], (1.0, 0.125))
    if c["family"] == "llama" and c["rope"].get("rope_type") == "llama3":
        out["rope_freqs.weight"] = ([c["hd"] // 2], llama3_factors(c))
    if c["family"] == "phi3" and c["rope"].get("rope_type") == "longrope":
        n = int(c["hd"] * c["partial"]) // 2
        out["rope_factors_long.weight"] = ([n], list(c["rope"]["long_factor"]))
        out["rope_factors_short.weight"] = ([n], list(c["rope"]["short_factor"]))
    return out


def llama3_factors(c):
    """What llama.cpp's converter writes: by how much each frequency is divided."""
    r, dim = c["rope"], c["hd"]
    old = r["original_max_position_embeddings"]
    low, high = old / r["low_freq_factor"], old / r["high_freq_factor"]
    out = []
    for f in 1.0 / (c["base"] ** (np.arange(0, dim, 2, dtype=np.float64) / dim)):
        length = 2 * np.pi / f
        if length < high:
            out.append(1.0)
        elif length > low:
            out.append(float(r["factor"]))
        else:
            smooth = (old / length - r["low_freq_factor"]) / (r["high_freq_factor"] - r["low_freq_factor"])
            out.append(float(np.float32(1 / ((1 - smooth) / r["factor"] + smooth))))
    return out


def keys_of(c):
    """Keys as llama.cpp's converters write them; those that begin with a dot get the prefix."""
    out = [
        [".context_length", "u32", c["ctx"]],
        [".embedding_length", "u32", c["d"]],
        [".block_count", "u32", c["layers"]],
        [".feed_forward_length", "u32", c["ff"]],
        [".attention.head_count", "u32", c["heads"]],
        [".attention.head_count_kv", "u32", c["kv"]],
        [".attention.layer_norm_rms_epsilon", "f32", c["eps"]],
    ]
    family, rope = c["family"], c["rope"]
    if family not in ("gemma", "gemma2"):
        out.append([".rope.freq_base", "f32", c["base"]])
    if c["arch"] in ("llama", "granite", "phi3"):
        out.append([".rope.dimension_count", "u32", int(c["hd"] * c["partial"])])
    if c["hd"] * c["heads"] != c["d"] or family in OWN_HEAD_SIZE:
        out += [[".attention.key_length", "u32", c["hd"]], [".attention.value_length", "u32", c["hd"]]]
    if c["experts"]:
        out += [[".expert_count", "u32", c["experts"]], [".expert_used_count", "u32", c["used"]]]
        if family == "qwen3moe":
            out.append([".expert_feed_forward_length", "u32", c["ff"]])
    if c["window"] or family == "phi3":
        out.append([".attention.sliding_window", "u32", c["window"]])
    if c["attn_softcap"]:
        out.append([".attn_logit_softcapping", "f32", c["attn_softcap"]])
    if c["final_softcap"]:
        out.append([".final_logit_softcapping", "f32", c["final_softcap"]])
    if family == "granite":
        out += [
            [".attention.scale", "f32", c["attn_scale"]],
            [".embedding_scale", "f32", c["embd_scale"]],
            [".residual_scale", "f32", c["residual_scale"]],
            [".logit_scale", "f32", c["logit_gain"]],
        ]
    if rope.get("rope_type") in ("linear", "yarn"):
        out += [[".rope.scaling.type", "str", rope["rope_type"]], [".rope.scaling.factor", "f32", rope["factor"]]]
    if rope.get("rope_type") == "yarn":
        out.append([".rope.scaling.original_context_length", "u32", rope["original_max_position_embeddings"]])
    if rope.get("rope_type") == "longrope":
        old = rope["original_max_position_embeddings"]
        factor = float(np.sqrt(1 + np.log(c["ctx"] / old) / np.log(old)))
        out += [
            [".rope.scaling.original_context_length", "u32", old],
            [".rope.scaling.attn_factor", "f32", float(np.float32(factor))],
        ]
    return out


def tensors_of(c):
    head, layer = head_tensors(c), layer_tensors(c)
    out = {name: values(c["seed"], name, spec) for name, spec in head.items()}
    for i in range(c["layers"]):
        for name, spec in layer.items():
            full = f"blk.{i}.{name}"
            out[full] = values(c["seed"], full, spec)
    return out


# ---- transformers ----

CLASSES = {
    "llama": ("LlamaConfig", "LlamaForCausalLM"),
    "mistral": ("MistralConfig", "MistralForCausalLM"),
    "mixtral": ("MixtralConfig", "MixtralForCausalLM"),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM"),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM"),
    "qwen3moe": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM"),
    "gemma": ("GemmaConfig", "GemmaForCausalLM"),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM"),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM"),
    "phi3": ("Phi3Config", "Phi3ForCausalLM"),
    "olmo2": ("Olmo2Config", "Olmo2ForCausalLM"),
    "granite": ("GraniteConfig", "GraniteForCausalLM"),
}


def config_of(c):
    import transformers

    family = c["family"]
    rope = dict(c["rope"]) if c["rope"] else {"rope_type": "default"}
    rope["rope_theta"] = c["base"]
    out = dict(
        vocab_size=c["vocab"], hidden_size=c["d"], intermediate_size=c["ff"], num_hidden_layers=c["layers"],
        num_attention_heads=c["heads"], num_key_value_heads=c["kv"], max_position_embeddings=c["ctx"],
        rms_norm_eps=c["eps"], tie_word_embeddings=c["tied"], rope_parameters=rope, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, attn_implementation="eager", experts_implementation="eager",
    )
    if c["hd"] * c["heads"] != c["d"] or family in OWN_HEAD_SIZE:
        out["head_dim"] = c["hd"]
    if family == "llama":
        out.update(attention_bias=bool(c["bias"]), mlp_bias=bool(c["bias"]))
    if family in ("mistral", "mixtral", "phi3"):
        out["sliding_window"] = c["window"] or None
    if family == "mixtral":
        out.update(num_local_experts=c["experts"], num_experts_per_tok=c["used"])
    if family == "qwen3moe":
        out.update(moe_intermediate_size=c["ff"], num_experts=c["experts"], num_experts_per_tok=c["used"],
                   norm_topk_prob=True)
    if family in ("gemma2", "gemma3"):
        out.update(sliding_window=c["window"], final_logit_softcapping=c["final_softcap"] or None,
                   attn_logit_softcapping=c["attn_softcap"] or None,
                   query_pre_attn_scalar=c["pre_attn"] or c["hd"])
    if family == "gemma3":
        out["rope_parameters"] = {"full_attention": rope,
                                  "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}
    if family == "phi3":
        rope["partial_rotary_factor"] = c["partial"]
        if rope["rope_type"] == "longrope":
            out["original_max_position_embeddings"] = rope["original_max_position_embeddings"]
    if family == "granite":
        out.update(attention_multiplier=c["attn_scale"], embedding_multiplier=c["embd_scale"],
                   residual_multiplier=c["residual_scale"], logits_scaling=c["logit_gain"])
    return getattr(transformers, CLASSES[family][0])(**out)


NAMES = {
    "token_embd": "model.embed_tokens", "output": "lm_head", "output_norm": "model.norm",
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_qkv": "self_attn.qkv_proj", "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
    "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "ffn_gate_inp": "mlp.gate",
}


def unpermute(x, heads):
    """Out of llama.cpp's order of a head's rows (pairs side by side) into that of transformers."""
    half = x.shape[0] // heads // 2
    return x.reshape(heads, half, 2, -1).swapaxes(1, 2).reshape(x.shape)


def state_of(c, tensors):
    family, out = c["family"], {}
    for full, x in tensors.items():
        if full.startswith("rope_"):
            continue
        layer, name = (full.split(".", 2)[1:]) if full.startswith("blk.") else (None, full)
        base, kind = name.rsplit(".", 1)
        if base in ("attn_q", "attn_k") and c["arch"] in ("llama", "granite"):
            x = unpermute(x, c["heads"] if base == "attn_q" else c["kv"])
        if base.endswith("norm") and family in ("gemma", "gemma2", "gemma3"):
            x = x - np.float32(1)
        target = NAMES.get(base)
        if base == "ffn_norm" and family in ("gemma2", "gemma3"):
            target = "pre_feedforward_layernorm"
        if base == "ffn_up" and family == "phi3":
            target = "mlp.gate_up_proj"
        if base == "ffn_gate_exps":
            up = tensors[full.replace("gate", "up")]
            target, kind, x = "mlp.experts.gate_up_proj", None, np.concatenate([x, up], axis=1)
        elif base == "ffn_up_exps":
            continue
        elif base == "ffn_down_exps":
            target, kind = "mlp.experts.down_proj", None
        prefix = f"model.layers.{layer}." if layer is not None else ""
        out[prefix + target + (f".{kind}" if kind else "")] = np.ascontiguousarray(x)
    if c["tied"]:
        out["lm_head.weight"] = out["model.embed_tokens.weight"]
    return out


def margins(model, c):
    """Hooks on every router: the smallest distance between the last that is chosen and the next."""
    import torch

    seen = []

    def hook(module, args, result):
        x = args[0].reshape(-1, c["d"])
        top = torch.sort(x @ module.weight.T, dim=-1, descending=True).values
        seen.append(float((top[:, c["used"] - 1] - top[:, c["used"]]).min()))

    for name, module in model.named_modules():
        if name.endswith("mlp.gate"):
            module.register_forward_hook(hook)
    return seen


def largest(model):
    """Hooks on every linear layer: the largest input or output."""
    import torch

    seen = [0.0]

    def hook(module, args, result):
        seen[0] = max(seen[0], float(args[0].abs().max()), float(result.abs().max()))

    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(hook)
    return seen


def reference(c, tensors):
    import torch
    import transformers

    torch.set_num_threads(1)
    model = getattr(transformers, CLASSES[c["family"]][1])(config_of(c)).eval()
    missing, unexpected = model.load_state_dict(
        {name: torch.from_numpy(x) for name, x in state_of(c, tensors).items()}, strict=True)
    assert not missing and not unexpected
    near, peak = margins(model, c), largest(model)
    tokens = torch.tensor([tokens_of(c)])
    with torch.no_grad():
        logits = model(tokens).logits[0].float()
        assert torch.isfinite(logits).all()
        exact = model.double()(tokens).logits[0]
    noise = float((logits - exact).abs().max() / exact.abs().max())
    assert noise < 2e-5, f"{c['name']}: float32 itself is off by {noise:.1e}"
    if c["experts"]:
        assert len(near) == 2 * c["layers"] and min(near) > MARGIN, f"{c['name']}: margin {min(near)}"
    if c["planted"] != 1:
        assert peak[0] > 2 * 65504, f"{c['name']}: largest activation {peak[0]}"
    print(f"{c['name']:18} max {float(logits.abs().max()):6.2f} std {float(logits.std()):5.2f} "
          f"float32 noise {noise:.1e} activations {peak[0]:.3g} margin {min(near) if near else 0:.4f}")
    return logits.numpy()


# ---- output ----


def positions_of(c):
    n = c["tokens"]
    return sorted({0, 1, n // 3, 2 * n // 3, n - 2, n - 1})


def number(x):
    return float(f"{x:.7g}")


def entry(c):
    tensors = tensors_of(c)
    logits = reference(c, tensors).astype(np.float64)
    at = positions_of(c)
    ids = [i * c["vocab"] // IDS for i in range(IDS)]
    lse = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
    spec = lambda d: [[name, dims, *what] if isinstance(what, tuple) else [name, dims, what]
                      for name, (dims, what) in d.items()]
    return {
        "name": c["name"], "family": c["family"], "arch": c["arch"], "seed": c["seed"],
        "n_layers": c["layers"], "n_vocab": c["vocab"], "n_tokens": c["tokens"], "n_ctx": c["n_ctx"],
        "formats": c["formats"], "f16_cache": bool(c["f16_cache"]), "checksum": f"{checksum(tensors):016x}",
        "keys": keys_of(c), "tensors": spec(head_tensors(c)), "layer": spec(layer_tensors(c)),
        "positions": at,
        "largest": [number(np.abs(logits[p]).max()) for p in at],
        "logsumexp": [number(lse[p]) for p in at],
        "logits": [[number(logits[p][i]) for i in ids] for p in at],
    }


def write_cases(path, cases):
    with open(path, "w") as f:
        f.write("[\n")
        for n, c in enumerate(cases):
            f.write("{")
            for k, (field, value) in enumerate(entry(c).items()):
                if field in ("keys", "tensors", "layer", "logits"):
                    rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in value)
                    text = f"[\n{rows}]"
                else:
                    text = json.dumps(value, separators=(",", ":"))
                new = "\n" if field in ("keys", "tensors", "layer", "positions", "logsumexp", "logits") else ""
                f.write(("," if k else "") + new + f'"{field}":{text}')
            f.write("}" + ("," if n + 1 < len(cases) else "") + "\n")
        f.write("]\n")


def piece(c, i):
    """Text of a token: one that a prompt can name. The peer asks for <|endoftext|> in phi3."""
    last = {c["vocab"] - 1: "<|endoftext|>"} if c["family"] == "phi3" else {}
    return ({0: "<unk>", 1: "<s>", 2: "</s>"} | last).get(i, f"<|{i}|>")


def write_gguf(path, c):
    import gguf

    w = gguf.GGUFWriter(path, c["arch"])
    w.add_name(c["name"])
    add = {"u32": w.add_uint32, "f32": w.add_float32, "str": w.add_string, "bool": w.add_bool}
    for key, kind, value in keys_of(c):
        add[kind]((c["arch"] if key[0] == "." else "") + key, value)
    w.add_tokenizer_model("llama")
    w.add_token_list([piece(c, i) for i in range(c["vocab"])])
    w.add_token_scores([0.0] * c["vocab"])
    types = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    w.add_token_types(types + [gguf.TokenType.USER_DEFINED] * (c["vocab"] - 3))
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    w.add_add_bos_token(False)
    w.add_add_space_prefix(False)
    for name, x in tensors_of(c).items():
        w.add_tensor(name, x)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    print("".join(piece(c, t) for t in tokens_of(c)))


def compare(ours, results, c):
    import gguf

    fields = {t.name: np.array(t.data) for t in gguf.GGUFReader(results).tensors}
    theirs = fields["logits"].reshape(-1, c["vocab"])
    mine = np.load(ours)
    assert fields["tokens"].reshape(-1).tolist() == tokens_of(c) and mine.shape == theirs.shape
    n = len(mine) if c["peer"] < 0 else c["peer"]
    print(f"{np.abs(mine[:n] - theirs[:n]).max() / np.abs(theirs[:n]).max():.1e}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--all", metavar="OUT.json")
    p.add_argument("--gguf", metavar="OUT.gguf")
    p.add_argument("--npy", metavar="OUT.npy")
    p.add_argument("--compare", nargs=2, metavar=("OURS.npy", "RESULTS.gguf"))
    p.add_argument("--list", action="store_true")
    p.add_argument("cases", nargs="*")
    args = p.parse_args()
    chosen = [c for c in CASES if not args.cases or c["name"] in args.cases]
    if args.list:
        for c in chosen:
            print(c["name"], c["n_ctx"], ",".join(["F32"] + c["formats"]), c["peer"])
    elif args.all:
        write_cases(args.all, chosen)
    elif len(args.cases) == 1 and len(chosen) == 1:
        if args.gguf:
            write_gguf(args.gguf, chosen[0])
        if args.compare:
            compare(*args.compare, chosen[0])
        if args.npy:
            np.save(args.npy, reference(chosen[0], tensors_of(chosen[0])))
    else:
        p.error("one case, or --all, or --list")


if __name__ == "__main__":
    sys.exit(main())
