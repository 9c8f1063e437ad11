/* F16: IEEE binary16. Plane 0: 16-byte units of 8 columns, word w of a unit holds column 2w in its
 * low half and 2w + 1 in its high half, which is the order of the file. */
#include "quant/internal.h"

static void decode(const uint8_t *blocks, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = load_half(blocks + 2 * i);
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
        out[i] = half_to_float((uint16_t)(i % 2 == 0 ? word : word >> 16));
    }
}

static void encode(const float *in, uint8_t *blocks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        store_u16(blocks + 2 * i, half_from_float(in[i]));
    }
}

/* Dummies: sign and mantissa random, exponent field 9: |v| in [2^-6, 2^-5), uniform there, so the
 * standard deviation is 2^-6 * sqrt(7 / 3) = 0.0239. */
const struct quant_format quant_format_f16 = {
    .name = "F16",
    .ggml_type = 1,
    .block_cols = 1,
    .block_bytes = 2,
    .planes =
        {{.unit_bytes = 16, .unit_cols = 8, .dummy_and = 0x83ff83ffu, .dummy_or = 0x24002400u}},
    .decode = decode,
    .pack = pack,
    .unpack = unpack,
    .encode = encode,
};
