"""The cases of tests/model/arch_cases.json: families, shapes, seeds. See arch_make.py.

Between them the cases of a family have several head sizes out of 64, 80, 96, 128 and 256, and 1, 2
and 8 KV heads; one has a width that is a multiple of 256, for the K-quants. `peer` is the number of positions
at which llama.cpp can be compared, -1 for all: it leaves out the window of llama and phi3 files, and
rounds contexts up to 256, so that longrope has its long factors.
"""

DEFAULTS = dict(
    vocab=320, ctx=64, eps=0.00390625, base=10000.0, tied=False, bias=0.0, rope={}, partial=1.0, window=0,
    experts=0, used=0, attn_softcap=0.0, final_softcap=0.0, attn_scale=0.0, embd_scale=0.0,
    residual_scale=0.0, logit_gain=1.0, qk_gain=1.3, planted=1.0, pre_attn=0, tokens=48, n_ctx=64,
    formats=[], f16_cache=False, peer=-1,
)
ARCHS = {"mistral": "llama", "mixtral": "llama"}
CASES = []


def case(name, family, shape, seed=1, **more):
    layers, d, heads, kv, hd, ff = shape
    unknown = set(more) - set(DEFAULTS)
    assert not unknown, unknown
    CASES.append(DEFAULTS | dict(name=name, family=family, arch=ARCHS.get(family, family), seed=seed, layers=layers,
                                 d=d, heads=heads, kv=kv, hd=hd, ff=ff) | more)


def long_factors(n):
    return [1.0 + 0.25 * i for i in range(n)]


def short_factors(n):
    return [1.0 + 0.03125 * i for i in range(n)]


def longrope(n, old):
    return dict(rope_type="longrope", original_max_position_embeddings=old, long_factor=long_factors(n),
                short_factor=short_factors(n))


LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
PLANT = 131072.0
K = ["Q4_K", "Q6_K"]

# shape: layers, width, heads, KV heads, head size, FFN
case("llama_64", "llama", (4, 128, 4, 2, 64, 160), vocab=384, formats=["Q8_0"])
case("llama_80_bias", "llama", (2, 160, 2, 1, 80, 128), seed=2, tied=True, bias=0.25)
case("llama_96_linear", "llama", (2, 192, 8, 8, 96, 128), seed=3, tied=True,
     rope=dict(rope_type="linear", factor=4.0), tokens=64)
case("llama_128_k", "llama", (2, 256, 2, 2, 128, 256), seed=4, formats=K, base=500000.0)
case("llama_256_freqs", "llama", (2, 256, 2, 1, 256, 128), seed=5, rope=LLAMA3, base=500000.0)
case("llama_over", "llama", (2, 96, 8, 2, 64, 96), seed=6, ctx=24, tokens=56)
case("llama_planted", "llama", (2, 128, 2, 1, 64, 128), seed=7, planted=PLANT, formats=["Q8_0"], f16_cache=True)

case("mistral_64", "mistral", (4, 128, 4, 2, 64, 128), seed=11, window=20, peer=20, ctx=96, tokens=90, n_ctx=96)
case("mistral_128", "mistral", (2, 256, 2, 1, 128, 256), seed=12, window=32, peer=32, ctx=96, tokens=70, n_ctx=96, formats=K)
case("mistral_80", "mistral", (2, 128, 8, 8, 80, 128), seed=13, window=7, peer=7, ctx=96, tokens=75, n_ctx=96,
     formats=["Q8_0"], f16_cache=True)

case("mixtral_64", "mixtral", (4, 128, 4, 2, 64, 96), seed=21, experts=4, used=2, formats=["Q8_0"])
case("mixtral_128", "mixtral", (2, 256, 2, 1, 128, 256), seed=22, experts=8, used=2, formats=K, tokens=32)
case("mixtral_96", "mixtral", (2, 96, 8, 8, 96, 64), seed=23, experts=5, used=3)
case("mixtral_planted", "mixtral", (2, 128, 2, 1, 64, 64), seed=24, experts=4, used=2, planted=PLANT, f16_cache=True)

case("qwen2_64", "qwen2", (4, 256, 4, 1, 64, 256), seed=31, bias=0.5, base=1000000.0, formats=K)
case("qwen2_128", "qwen2", (2, 512, 4, 2, 128, 128), seed=32, bias=0.25, base=1000000.0, formats=["Q8_0"])
case("qwen2_80", "qwen2", (2, 640, 8, 8, 80, 96), seed=33, bias=0.25, tied=True)
case("qwen2_96_yarn", "qwen2", (2, 192, 2, 1, 96, 128), seed=35, bias=0.25, ctx=128, rope=YARN, tokens=60)
case("qwen2_planted", "qwen2", (2, 128, 2, 1, 64, 128), seed=34, bias=8.0, planted=PLANT, f16_cache=True)

case("qwen3_128", "qwen3", (4, 128, 4, 2, 128, 128), seed=41, base=1000000.0, formats=["Q8_0"])
case("qwen3_64", "qwen3", (2, 128, 8, 8, 64, 192), seed=42, tied=True)
case("qwen3_256", "qwen3", (2, 256, 2, 1, 256, 256), seed=43, formats=K)
case("qwen3_96", "qwen3", (2, 160, 4, 2, 96, 128), seed=44, planted=PLANT, f16_cache=True)

case("qwen3moe_64", "qwen3moe", (4, 128, 4, 2, 64, 64), seed=51, experts=8, used=3, base=1000000.0, formats=["Q8_0"])
case("qwen3moe_128", "qwen3moe", (2, 256, 2, 1, 128, 256), seed=52, experts=4, used=2, formats=K)
case("qwen3moe_80", "qwen3moe", (2, 160, 8, 8, 80, 32), seed=53, experts=16, used=4, tokens=32)

case("gemma_256", "gemma", (4, 128, 4, 1, 256, 128), seed=111, tied=True, logit_gain=0.375, formats=["Q8_0"])
case("gemma_128", "gemma", (2, 256, 4, 2, 128, 256), seed=112, tied=True, logit_gain=0.375, formats=K)
case("gemma_64", "gemma", (2, 160, 8, 8, 64, 192), seed=113, tied=True, logit_gain=0.375)

case("gemma2_256", "gemma2", (4, 128, 4, 2, 256, 128), seed=61, tied=True, window=20, attn_softcap=3.0,
     final_softcap=6.0, tokens=72, ctx=96, n_ctx=96)
case("gemma2_128", "gemma2", (2, 256, 2, 1, 128, 256), seed=62, tied=True, window=32, attn_softcap=50.0,
     final_softcap=30.0, tokens=70, ctx=96, n_ctx=96, formats=K)
case("gemma2_64", "gemma2", (3, 128, 8, 8, 64, 192), seed=63, tied=True, window=9, attn_softcap=5.0,
     final_softcap=10.0, formats=["Q8_0"])
case("gemma2_96", "gemma2", (2, 160, 4, 2, 96, 128), seed=64, tied=True, window=16, attn_softcap=5.0,
     final_softcap=10.0, planted=PLANT, f16_cache=True)

case("gemma2_27b", "gemma2", (46, 64, 2, 1, 64, 32), seed=65, tied=True, window=16, attn_softcap=50.0,
     final_softcap=30.0, pre_attn=32, tokens=24)

case("gemma3_256", "gemma3", (7, 128, 4, 1, 256, 96), seed=71, tied=True, window=20, base=1000000.0, tokens=72,
     ctx=96, n_ctx=96)
case("gemma3_128", "gemma3", (6, 256, 4, 2, 128, 256), seed=72, tied=True, window=32, base=1000000.0,
     rope=dict(rope_type="linear", factor=8.0), tokens=70, ctx=96, n_ctx=96, formats=["Q4_K"])
case("gemma3_64", "gemma3", (6, 128, 8, 8, 64, 128), seed=73, tied=True, window=9, base=1000000.0, formats=["Q8_0"])
case("gemma3_80", "gemma3", (6, 160, 4, 2, 80, 96), seed=74, tied=True, window=16, base=1000000.0, planted=PLANT,
     f16_cache=True)

case("gemma3_27b", "gemma3", (62, 64, 2, 1, 64, 32), seed=75, tied=True, window=16, base=1000000.0,
     rope=dict(rope_type="linear", factor=8.0), pre_attn=32, tokens=24)

case("phi3_96", "phi3", (4, 384, 4, 2, 96, 96), seed=81, formats=["Q8_0"])
case("phi3_64_short", "phi3", (2, 256, 4, 1, 64, 256), seed=82, ctx=256, tokens=40, n_ctx=48, rope=longrope(32, 48),
     formats=K, peer=0)
case("phi3_64_long", "phi3", (2, 256, 4, 1, 64, 256), seed=82, ctx=256, tokens=60, n_ctx=64, rope=longrope(32, 48))
case("phi3_80", "phi3", (2, 640, 8, 8, 80, 64), seed=83, window=18, peer=18, tokens=64, f16_cache=True)
case("phi3_128_part", "phi3", (2, 256, 2, 1, 128, 128), seed=84, partial=0.75, tied=True, ctx=128, tokens=40,
     rope=longrope(48, 32))
case("phi3_planted", "phi3", (2, 128, 2, 2, 64, 96), seed=85, planted=PLANT, f16_cache=True)

case("olmo2_64", "olmo2", (2, 512, 8, 8, 64, 128), seed=91, base=500000.0)
case("olmo2_128", "olmo2", (2, 512, 4, 2, 128, 256), seed=92, formats=K)
case("olmo2_80", "olmo2", (4, 320, 4, 1, 80, 160), seed=93, formats=["Q8_0"])
case("olmo2_planted", "olmo2", (2, 128, 2, 1, 64, 128), seed=94, planted=8192.0, f16_cache=True)

GRANITE = dict(embd_scale=1.5, residual_scale=0.625, logit_gain=4.0)
case("granite_64", "granite", (4, 256, 4, 2, 64, 256), seed=101, tied=True, attn_scale=0.015625, qk_gain=3.5, formats=K,
     **GRANITE)
case("granite_80", "granite", (2, 640, 8, 8, 80, 96), seed=102, attn_scale=0.25, qk_gain=0.8, **GRANITE)
case("granite_128", "granite", (2, 256, 2, 1, 128, 128), seed=103, attn_scale=0.0625, formats=["Q8_0"], **GRANITE)
case("granite_planted", "granite", (2, 128, 2, 1, 64, 128), seed=104, attn_scale=0.125, planted=PLANT, f16_cache=True,
     **GRANITE)
