/* BF16: the upper half of an F32. Plane 0: 16-byte units of 8 columns, word w of a unit holds
 * column 2w in its low half and 2w + 1 in its high half, which is the order of the file. */
#include "quant/internal.h"

static void decode(const uint8_t *blocks, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)load_u16(blocks + 2 * i) << 16;
        memcpy(out + i, &bits, sizeof bits);
    }
}

static void pack(const uint8_t *blocks, size_t cols, uint8_t *const planes[QUANT_PLANES])
{
    memcpy(planes[0], blocks, cols * 2);
}

static void unpack(const uint8_t *const planes[QUANT_PLANES], size_t cols, float *out)
{
    for (size_t i = 0; i < cols; i++) {
        uint32_t word = load_u32(planes[0] + i / 2 * 4);
        uint32_t bits = i % 2 == 0 ? word << 16 : word & 0xffff0000u;
        memcpy(out + i, &bits, sizeof bits);
    }
}

/* To nearest, halves to even. */
static void encode(const float *in, uint8_t *blocks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, in + i, sizeof bits);
        store_u16(blocks + 2 * i, (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16));
    }
}

/* Dummies: sign and mantissa random, exponent field 121: |v| in [2^-6, 2^-5), uniform there, so the
 * standard deviation is 2^-6 * sqrt(7 / 3) = 0.0239. */
const struct quant_format quant_format_bf16 = {
    .name = "BF16",
    .ggml_type = 30,
    .block_cols = 1,
    .block_bytes = 2,
    .planes =
        {{.unit_bytes = 16, .unit_cols = 8, .dummy_and = 0x807f807fu, .dummy_or = 0x3c803c80u}},
    .decode = decode,
    .pack = pack,
    .unpack = unpack,
    .encode = encode,
};
