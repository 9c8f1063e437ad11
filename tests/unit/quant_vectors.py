#!/usr/bin/env python3
"""Prints quant_vectors.h: what the Python package gguf decodes from pseudo-random blocks.

    pip install gguf numpy
    python3 tests/unit/quant_vectors.py | clang-format-14 > tests/unit/quant_vectors.h

The blocks are those of make_blocks() in quant_decode.c: splitmix64 bytes; every f16 scale made
finite, that of every fourth block subnormal."""
import gguf
import numpy as np

MASK = (1 << 64) - 1
BLOCKS = 64
# Every type that gguf decodes, so that a new format needs no edit here. Byte offsets of the f16
# fields of a block, which must be finite; the largest error of encode, in units of the largest |x|
# of 256 values from [-0.4, 0.6): half a step of the format (a whole one where a side may be
# clipped), plus the rounding of the scales where those are quantized too.
FORMATS = [
    ("F32", [], 0), ("F16", [0], 2**-11), ("Q4_0", [0], 0.14), ("Q4_1", [0, 2], 0.07),
    ("Q5_0", [0], 0.07), ("Q5_1", [0, 2], 0.035), ("Q8_0", [0], 0.5 / 127 + 1e-3),
    ("Q2_K", [80, 82], 0.40), ("Q3_K", [108], 0.27), ("Q4_K", [0, 2], 0.10),
    ("Q5_K", [0, 2], 0.05), ("Q6_K", [208], 0.022), ("IQ2_XXS", [0], 0.9), ("IQ2_XS", [0], 0.9),
    ("IQ3_XXS", [0], 0.6), ("IQ1_S", [0], 1), ("IQ4_NL", [0], 0.13), ("IQ3_S", [0], 0.6),
    ("IQ2_S", [0], 0.9), ("IQ4_XS", [0], 0.16), ("BF16", [], 2**-8), ("TQ1_0", [52], 0.6),
    ("TQ2_0", [64], 0.6), ("MXFP4", [], 0.35),
]


def splitmix(state):
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = ((h ^ b) * 0x100000001B3) & MASK
    return h


def blocks_of(seed, size, halves):
    rng = splitmix(seed)
    out = bytearray(next(rng) >> 56 for _ in range(BLOCKS * size))
    for b in range(BLOCKS):
        for off in halves:
            at = b * size + off
            h = out[at] | out[at + 1] << 8
            if b % 4 == 0:
                h &= 0x83FF
            elif h & 0x7C00 == 0x7C00:
                h &= 0xBFFF
            out[at], out[at + 1] = h & 255, h >> 8
    return bytes(out)


print("/* Made by quant_vectors.py from the decoders of the Python package gguf. */")
print("static const struct vector VECTORS[] = {")
for name, halves, error in FORMATS:
    qtype = gguf.GGMLQuantizationType[name]
    size = gguf.GGML_QUANT_SIZES[qtype][1]
    raw = blocks_of(1000 + qtype, size, halves)
    out = gguf.quants.dequantize(np.frombuffer(raw, np.uint8).reshape(1, -1), qtype)
    bits = np.ascontiguousarray(out, np.float32).reshape(-1)
    words = bits.view(np.uint32)
    head = ", ".join(f"0x{w:08x}u" for w in words[-4:])
    at = (halves + [-1, -1])[:2]
    print(f"    {{{int(qtype)}, {{{at[0]}, {at[1]}}}, {error:.6g}, {bits.size},")
    print(f"     0x{fnv(bits.tobytes()):016x}ull,")
    print(f"     {{{head}}}}}, /* {name} */")
print("};")
