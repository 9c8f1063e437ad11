/* F32: plain floats. Plane 0: 16-byte units of 4 columns. Norms and other small tensors. */
#include "quant/internal.h"

static void decode(const uint8_t *blocks, float *out, size_t n)
{
    memcpy(out, blocks, n * 4);
}

static void pack(const uint8_t *blocks, size_t cols, uint8_t *const planes[QUANT_PLANES])
{
    memcpy(planes[0], blocks, cols * 4);
}

static void unpack(const uint8_t *const planes[QUANT_PLANES], size_t cols, float *out)
{
    memcpy(out, planes[0], cols * 4);
}

static void encode(const float *in, uint8_t *blocks, size_t n)
{
    memcpy(blocks, in, n * 4);
}

/* Dummies: sign and mantissa random, exponent field 121: |v| in [2^-6, 2^-5), uniform there, so
 * the standard deviation is 2^-6 * sqrt(7 / 3) = 0.0239. */
const struct quant_format quant_format_f32 = {
    .name = "F32",
    .ggml_type = 0,
    .block_cols = 1,
    .block_bytes = 4,
    .planes =
        {{.unit_bytes = 16, .unit_cols = 4, .dummy_and = 0x807fffffu, .dummy_or = 121u << 23}},
    .decode = decode,
    .pack = pack,
    .unpack = unpack,
    .encode = encode,
};
