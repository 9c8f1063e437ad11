/* IQ4_NL: blocks of 32 columns: f16 scale, 16 bytes of q of 4 bits; value = scale * NL4[q].
 * Plane 0: 16-byte units of 32 columns: q, as fold_columns lays them. Plane 1: 16-byte units of 256
 * columns: the scale of each 32 (0: there are no more). */
#include "quant/block32.h"
#include "quant/nl4.h"

enum { COLS = BLOCK32_COLS, BYTES = 18, OFF_Q = 2 };

static void decode(const uint8_t *blocks, float *out, size_t n)
{
    for (size_t c = 0; c < n; c++) {
        const uint8_t *block = blocks + c / COLS * BYTES;
        out[c] = load_half(block) * (float)NL4[block32_nibble(block + OFF_Q, c % COLS)];
    }
}

static void pack(const uint8_t *blocks, size_t cols, uint8_t *const planes[QUANT_PLANES])
{
    for (size_t b = 0; b < cols / COLS; b++) {
        block32_fold(blocks + b * BYTES + OFF_Q, planes[0] + b * 16);
        memcpy(planes[1] + b * 2, blocks + b * BYTES, 2);
    }
}

static void unpack(const uint8_t *const planes[QUANT_PLANES], size_t cols, float *out)
{
    for (size_t c = 0; c < cols; c++) {
        float d = load_half(planes[1] + c / COLS * 2);
        out[c] = d * (float)NL4[unfold_column(planes[0], c, 4)];
    }
}

/* The largest value becomes -127, by a scale of either sign. */
static void encode(const float *in, uint8_t *blocks, size_t n)
{
    memset(blocks, 0, n / COLS * BYTES);
    for (size_t c = 0; c < n; c++) {
        uint8_t *block = blocks + c / COLS * BYTES;
        if (c % COLS == 0) {
            store_u16(block, half_from_float(block32_top(in + c) / -127));
        }
        float d = load_half(block);
        block32_put_nibble(block + OFF_Q, c % COLS, nl4_nearest(d != 0 ? in[c] / d : 0));
    }
}

/* Dummies: NL4[q] of a uniform q has the root mean square 67.44; scales of either sign, so that the
 * mean is 0. 0x0cdc = 1.21484375 * 2^-12 = 2.966e-4: the standard deviation is 0.0200. */
const struct quant_format quant_format_iq4_nl = {
    .name = "IQ4_NL",
    .ggml_type = 20,
    .block_cols = COLS,
    .block_bytes = BYTES,
    .planes =
        {{.unit_bytes = 16, .unit_cols = 32, .dummy_and = 0xffffffffu, .dummy_or = 0},
         {.unit_bytes = 16, .unit_cols = 256, .dummy_and = 0x80008000u, .dummy_or = 0x0cdc0cdcu}},
    .decode = decode,
    .pack = pack,
    .unpack = unpack,
    .encode = encode,
};
