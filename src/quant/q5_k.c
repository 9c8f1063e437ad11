/* Q5_K: blocks of 256 columns in eight groups of 32: value = d * sc[g] * q - dmin * m[g], q of 5
 * bits, sc and m of 6, d and dmin f16. In the file: d, dmin, 12 bytes of sc and m, 32 bytes of high
 * bits (bit g of byte i: column i of group g), 128 bytes of low nibbles (each 32 bytes hold one
 * group in their low nibbles and the next in the high ones).
 * Planes, as fold_columns lays them: 0: 16 bytes per group, low 4 bits; 1: 16 bytes per 128
 * columns, high bit; 2: 16 bytes per block: 8 bytes of sc, 8 of m; 3: 4 bytes per block: d low,
 * dmin high. */
#include "quant/internal.h"

#include <math.h>

enum {
    COLS = 256,
    BYTES = 176,
    GROUP = 32,
    GROUPS = 8,
    OFF_SCALE = 4,
    OFF_HIGH = 16,
    OFF_LOW = 48
};

static void decode(const uint8_t *blocks, float *out, size_t n)
{
    for (size_t b = 0; b < n / COLS; b++, out += COLS) {
        const uint8_t *block = blocks + b * BYTES;
        float d = load_half(block), dmin = load_half(block + 2);
        uint8_t sc[GROUPS], m[GROUPS];
        split_scales(block + OFF_SCALE, sc, m);
        for (size_t c = 0; c < COLS; c++) {
            size_t g = c / GROUP, i = c % GROUP;
            unsigned low = block[OFF_LOW + g / 2 * GROUP + i] >> g % 2 * 4 & 15u;
            unsigned high = block[OFF_HIGH + i] >> g & 1u;
            out[c] = value_minus(d * (float)sc[g], dmin * (float)m[g], low | high << 4);
        }
    }
}

static void pack(const uint8_t *blocks, size_t cols, uint8_t *const planes[QUANT_PLANES])
{
    for (size_t b = 0; b < cols / COLS; b++) {
        const uint8_t *block = blocks + b * BYTES;
        for (size_t g = 0; g < GROUPS; g++) {
            const uint8_t *low = block + OFF_LOW + g / 2 * GROUP;
            uint8_t *unit = planes[0] + (b * GROUPS + g) * 16;
            for (size_t j = 0; j < 4; j++) {
                store_u32(unit + 4 * j, fold_columns(low + 8 * j, g % 2 * 4, 4));
            }
            store_u32(planes[1] + (b * GROUPS + g) * 4,
                      fold_columns(block + OFF_HIGH, (unsigned)g, 1));
        }
        uint8_t *scales = planes[2] + b * 16;
        split_scales(block + OFF_SCALE, scales, scales + GROUPS);
        memcpy(planes[3] + b * 4, block, 4);
    }
}

static void unpack(const uint8_t *const planes[QUANT_PLANES], size_t cols, float *out)
{
    for (size_t c = 0; c < cols; c++) {
        const uint8_t *scales = planes[2] + c / COLS * 16, *dd = planes[3] + c / COLS * 4;
        size_t g = c % COLS / GROUP;
        unsigned q = unfold_column(planes[0], c, 4) | unfold_column(planes[1], c, 1) << 4;
        float scale = load_half(dd) * (float)scales[g];
        out[c] = value_minus(scale, load_half(dd + 2) * (float)scales[GROUPS + g], q);
    }
}

/* Steps and minima of the groups are rounded to 6 bits. */
static void encode_block(const float *x, uint8_t *block)
{
    float step[GROUPS], low[GROUPS], top_step = 0, top_low = 0;
    for (size_t g = 0; g < GROUPS; g++) {
        fit_range(x + g * GROUP, GROUP, 31, &step[g], &low[g]);
        top_step = fmaxf(top_step, step[g]);
        top_low = fmaxf(top_low, low[g]);
    }
    memset(block, 0, BYTES);
    store_u16(block, half_from_float(top_step / 63));
    store_u16(block + 2, half_from_float(top_low / 63));
    float d = load_half(block), dmin = load_half(block + 2);
    uint8_t sc[GROUPS], m[GROUPS];
    for (size_t c = 0; c < COLS; c++) {
        size_t g = c / GROUP, i = c % GROUP;
        sc[g] = (uint8_t)round_to(step[g], d, 0, 63);
        m[g] = (uint8_t)round_to(low[g], dmin, 0, 63);
        int q = round_to(x[c] + dmin * (float)m[g], d * (float)sc[g], 0, 31);
        block[OFF_LOW + g / 2 * GROUP + i] |= (uint8_t)((q & 15) << g % 2 * 4);
        block[OFF_HIGH + i] |= (uint8_t)(q >> 4 << g);
    }
    join_scales(sc, m, block + OFF_SCALE);
}

static void encode(const float *in, uint8_t *blocks, size_t n)
{
    for (size_t b = 0; b < n / COLS; b++) {
        encode_block(in + b * COLS, blocks + b * BYTES);
    }
}

/* Dummies: q, sc and m uniform in 0..31 (mean 15.5, mean square 325.5, variance 85.25). dmin =
 * 15.5 d makes the mean 0; then the variance of sc * q - 15.5 m is 325.5^2 - 15.5^4 + 15.5^2 *
 * 85.25 = 262.1^2. d = 0x0500 = 1.25 * 2^-14 (not subnormal), dmin = 0x14d8 = 19.375 * 2^-14:
 * 0.0200. */
const struct quant_format quant_format_q5_k = {
    .name = "Q5_K",
    .ggml_type = 13,
    .block_cols = COLS,
    .block_bytes = BYTES,
    .planes = {{.unit_bytes = 16, .unit_cols = 32, .dummy_and = 0xffffffffu, .dummy_or = 0},
               {.unit_bytes = 16, .unit_cols = 128, .dummy_and = 0xffffffffu, .dummy_or = 0},
               {.unit_bytes = 16, .unit_cols = 256, .dummy_and = 0x1f1f1f1fu, .dummy_or = 0},
               {.unit_bytes = 4, .unit_cols = 256, .dummy_and = 0, .dummy_or = 0x14d80500u}},
    .factors = {{0, 63 * 31}, {2, 63}},
    .decode = decode,
    .pack = pack,
    .unpack = unpack,
    .encode = encode,
};
