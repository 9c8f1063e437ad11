#!/usr/bin/env python3
"""Prints quant_vectors.h: what the Python package gguf decodes from pseudo-random blocks.

    pip install gguf numpy
    python3 tests/unit/quant_vectors.py > tests/unit/quant_vectors.h

The blocks are those of make_blocks() in quant_decode.c: splitmix64 bytes; every f16 scale made
finite, that of every fourth block subnormal."""
import gguf
import numpy as np

MASK = (1 << 64) - 1
BLOCKS = 64
# name, byte offsets of the f16 fields of a block that must be finite
FORMATS = [("F32", []), ("F16", [0]), ("Q8_0", [0]), ("Q4_K", [0, 2]), ("Q6_K", [208])]


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
for i, (name, halves) in enumerate(FORMATS):
    qtype = gguf.GGMLQuantizationType[name]
    size = gguf.GGML_QUANT_SIZES[qtype][1]
    raw = blocks_of(1000 + i, size, halves)
    out = gguf.quants.dequantize(np.frombuffer(raw, np.uint8).reshape(1, -1), qtype)
    bits = np.ascontiguousarray(out, np.float32).reshape(-1)
    words = bits.view(np.uint32)
    head = ", ".join(f"0x{w:08x}u" for w in words[-4:])
    print(f"    {{QUANT_{name}, {1000 + i}, {bits.size}, 0x{fnv(bits.tobytes()):016x}ull,")
    print(f"     {{{head}}}}},")
print("};")
