/* Q2_K: blocks of 256 columns in sixteen groups of 16: value = d * sc[g] * q - dmin * m[g], q of 2
 * bits, sc and m of 4, d and dmin f16. In the file: 16 bytes with sc in the low and m in the high
 * nibble, 64 bytes of q (each 32 bytes hold four runs of 32 columns, the first in their low bits),
 * d, dmin.
 * Planes: 0: 16 bytes per 64 columns, as fold_columns lays them; 1: 16 bytes per block: sc and m as
 * in the file; 2: 4 bytes per block: d low, dmin high. */
#include "quant/internal.h"

#include <math.h>

enum {
    COLS = 256,
    BYTES = 84,
    GROUP = 16,
    GROUPS = 16,
    RUN = 32,
    RUNS = 8,
    OFF_Q = 16,
    OFF_D = 80
};

static void decode(const uint8_t *blocks, float *out, size_t n)
{
    for (size_t b = 0; b < n / COLS; b++, out += COLS) {
        const uint8_t *block = blocks + b * BYTES;
        float d = load_half(block + OFF_D), dmin = load_half(block + OFF_D + 2);
        for (size_t c = 0; c < COLS; c++) {
            size_t r = c / RUN;
            unsigned q = block[OFF_Q + r / 4 * RUN + c % RUN] >> r % 4 * 2 & 3u;
            unsigned s = block[c / GROUP];
            out[c] = value_minus(d * (float)(s & 15), dmin * (float)(s >> 4), q);
        }
    }
}

static void pack(const uint8_t *blocks, size_t cols, uint8_t *const planes[QUANT_PLANES])
{
    for (size_t b = 0; b < cols / COLS; b++) {
        const uint8_t *block = blocks + b * BYTES;
        for (size_t r = 0; r < RUNS; r++) {
            const uint8_t *q = block + OFF_Q + r / 4 * RUN;
            uint8_t *unit = planes[0] + (b * RUNS + r) * 8;
            store_u32(unit, fold_columns(q, r % 4 * 2, 2));
            store_u32(unit + 4, fold_columns(q + 16, r % 4 * 2, 2));
        }
        memcpy(planes[1] + b * 16, block, 16);
        memcpy(planes[2] + b * 4, block + OFF_D, 4);
    }
}

static void unpack(const uint8_t *const planes[QUANT_PLANES], size_t cols, float *out)
{
    for (size_t c = 0; c < cols; c++) {
        const uint8_t *dd = planes[2] + c / COLS * 4;
        unsigned s = planes[1][c / GROUP];
        float scale = load_half(dd) * (float)(s & 15);
        float offset = load_half(dd + 2) * (float)(s >> 4);
        out[c] = value_minus(scale, offset, unfold_column(planes[0], c, 2));
    }
}

/* Steps and minima of the groups are rounded to 4 bits. */
static void encode_block(const float *x, uint8_t *block)
{
    float step[GROUPS], low[GROUPS], top_step = 0, top_low = 0;
    for (size_t g = 0; g < GROUPS; g++) {
        fit_range(x + g * GROUP, GROUP, 3, &step[g], &low[g]);
        top_step = fmaxf(top_step, step[g]);
        top_low = fmaxf(top_low, low[g]);
    }
    memset(block, 0, BYTES);
    store_u16(block + OFF_D, half_from_float(top_step / 15));
    store_u16(block + OFF_D + 2, half_from_float(top_low / 15));
    float d = load_half(block + OFF_D), dmin = load_half(block + OFF_D + 2);
    for (size_t c = 0; c < COLS; c++) {
        size_t g = c / GROUP, r = c / RUN;
        int sc = round_to(step[g], d, 0, 15), m = round_to(low[g], dmin, 0, 15);
        int q = round_to(x[c] + dmin * (float)m, d * (float)sc, 0, 3);
        block[g] = (uint8_t)(sc | m << 4);
        block[OFF_Q + r / 4 * RUN + c % RUN] |= (uint8_t)(q << r % 4 * 2);
    }
}

static void encode(const float *in, uint8_t *blocks, size_t n)
{
    for (size_t b = 0; b < n / COLS; b++) {
        encode_block(in + b * COLS, blocks + b * BYTES);
    }
}

/* Dummies: q uniform in 0..3 (mean 1.5, mean square 3.5), sc and m uniform in 0..15 (7.5, 77.5,
 * variance 21.25). dmin = 1.5 d makes the mean 0; then the variance of sc * q - 1.5 m is
 * 77.5 * 3.5 - (7.5 * 1.5)^2 + 1.5^2 * 21.25 = 13.87^2. d = 0x1600 = 1.5 * 2^-10, dmin = 0x1880 =
 * 2.25 * 2^-10: 0.0203. */
const struct quant_format quant_format_q2_k = {
    .name = "Q2_K",
    .ggml_type = 10,
    .block_cols = COLS,
    .block_bytes = BYTES,
    .planes = {{.unit_bytes = 16, .unit_cols = 64, .dummy_and = 0xffffffffu, .dummy_or = 0},
               {.unit_bytes = 16, .unit_cols = 256, .dummy_and = 0xffffffffu, .dummy_or = 0},
               {.unit_bytes = 4, .unit_cols = 256, .dummy_and = 0, .dummy_or = 0x18801600u}},
    .factors = {{OFF_D, 15 * 3}, {OFF_D + 2, 15}},
    .decode = decode,
    .pack = pack,
    .unpack = unpack,
    .encode = encode,
};
