/* Made by quant_vectors.py from the decoders of the Python package gguf. */
static const struct vector VECTORS[] = {
    {QUANT_F32, 1000, 64, 0x78b11b9a2c38b780ull,
     {0xa90308f5u, 0x389e8c79u, 0x58373219u, 0x9ac27046u}},
    {QUANT_F16, 1001, 64, 0x22c46ebe6e469750ull,
     {0xb79c0000u, 0xc5870000u, 0x3a27c000u, 0x38d56000u}},
    {QUANT_Q8_0, 1002, 2048, 0x4d358984814b32baull,
     {0x3d345a00u, 0xbebbddc0u, 0x3ea6d340u, 0xbe9c4e00u}},
    {QUANT_Q4_K, 1003, 16384, 0x784c7b40fb30d0a8ull,
     {0x46a0a940u, 0xb9338000u, 0x45d63700u, 0x463b7020u}},
    {QUANT_Q6_K, 1004, 16384, 0x91cb35a50824da99ull,
     {0xc80fece0u, 0xc8d7e350u, 0xc963e1b8u, 0xc9b9e74cu}},
};
