/* MXFP4: blocks of 32 columns: a power of two e, 16 bytes of E2M1 (sign, two bits of exponent, one
 * of mantissa); value = 2^(e - 128) * v, v twice the E2M1: 0, 1, 2, 3, 4, 6, 8 or 12 with its sign,
 * and no -0. Every e means a power of two, also 255. Plane 0: 16-byte units of 32 columns: the rank
 * of v, -7..7 in two's complement (of which shaders compute v), as fold_columns lays
 * them. Plane 1: 4-byte units of 128 columns: e of each 32 (0: there are no more). */
#include "quant/block32.h"

enum { COLS = BLOCK32_COLS, BYTES = 17, OFF_Q = 1 };

static const int8_t VALUES[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* v by the bits of its rank. -8 is no rank, but dummies could have it: the shaders make -16. */
static const int8_t RANKED[16] = {0, 1, 2, 3, 4, 6, 8, 12, -16, -12, -8, -6, -4, -3, -2, -1};

static float get_scale(unsigned e)
{
    uint32_t bits = e < 2 ? 0x00200000u << e : (e - 1) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}

static void decode(const uint8_t *blocks, float *out, size_t n)
{
    for (size_t c = 0; c < n; c++) {
        const uint8_t *block = blocks + c / COLS * BYTES;
        out[c] = get_scale(block[0]) * (float)VALUES[block32_nibble(block + OFF_Q, c % COLS)];
    }
}

static void pack(const uint8_t *blocks, size_t cols, uint8_t *const planes[QUANT_PLANES])
{
    for (size_t b = 0; b < cols / COLS; b++) {
        const uint8_t *block = blocks + b * BYTES;
        uint8_t ranks[16];
        for (size_t i = 0; i < 16; i++) {
            unsigned low = block[OFF_Q + i] & 15u, high = block[OFF_Q + i] >> 4;
            low = low < 8 ? low : (8 - low) & 15u;
            high = high < 8 ? high : (8 - high) & 15u;
            ranks[i] = (uint8_t)(low | high << 4);
        }
        block32_fold(ranks, planes[0] + b * 16);
        planes[1][b] = block[0];
    }
}

static void unpack(const uint8_t *const planes[QUANT_PLANES], size_t cols, float *out)
{
    for (size_t c = 0; c < cols; c++) {
        out[c] = get_scale(planes[1][c / COLS]) * (float)RANKED[unfold_column(planes[0], c, 4)];
    }
}

/* Index of the value nearest to x. */
static unsigned nearest(float x)
{
    unsigned best = 0;
    for (unsigned i = 1; i < 16; i++) {
        if (fabsf(x - (float)VALUES[i]) < fabsf(x - (float)VALUES[best])) {
            best = i;
        }
    }
    return best;
}

/* The largest value comes between 8 and 16 units, and becomes 12 at most. */
static void encode(const float *in, uint8_t *blocks, size_t n)
{
    memset(blocks, 0, n / COLS * BYTES);
    for (size_t c = 0; c < n; c++) {
        uint8_t *block = blocks + c / COLS * BYTES;
        if (c % COLS == 0) {
            float top = fabsf(block32_top(in + c));
            block[0] = (uint8_t)(top > 0 ? fmaxf((float)ilogbf(top) - 3 + 128, 0) : 0);
        }
        block32_put_nibble(block + OFF_Q, c % COLS, nearest(in[c] / get_scale(block[0])));
    }
}

/* Dummies: odd ranks only, or -8 would be among them: v is 1, 3, 6 or 12 with either sign, root
 * mean square 6.892. The scale 2^-8 makes the standard deviation 0.0269. */
const struct quant_format quant_format_mxfp4 = {
    .name = "MXFP4",
    .ggml_type = 39,
    .block_cols = COLS,
    .block_bytes = BYTES,
    .planes =
        {{.unit_bytes = 16, .unit_cols = 32, .dummy_and = 0xffffffffu, .dummy_or = 0x11111111u},
         {.unit_bytes = 4, .unit_cols = 128, .dummy_and = 0, .dummy_or = 0x78787878u}},
    .decode = decode,
    .pack = pack,
    .unpack = unpack,
    .encode = encode,
};
