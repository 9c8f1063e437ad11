/* Q4_K: blocks of 256 columns in eight groups of 32: value = d * sc[g] * q - dmin * m[g], q of 4
 * bits, sc and m of 6, d and dmin f16. In the file: d, dmin, 12 bytes of sc and m, 128 bytes of q
 * (each 32 bytes hold one group in their low nibbles and the next in the high ones).
 * Planes: 0: 16 bytes per group, column 8j + 2k + e in bits 4k + 16e of word j; 1: 16 bytes per
 * block: 8 bytes of sc, 8 of m; 2: 4 bytes per block: d low, dmin high. */
#include "quant/internal.h"

#include <math.h>

enum { COLS = 256, BYTES = 144, GROUP = 32, GROUPS = 8, OFF_SCALE = 4, OFF_Q = 16 };

static void decode(const uint8_t *blocks, float *out, size_t n)
{
    for (size_t b = 0; b < n / COLS; b++, out += COLS) {
        const uint8_t *block = blocks + b * BYTES;
        float d = load_half(block), dmin = load_half(block + 2);
        uint8_t sc[GROUPS], m[GROUPS];
        split_scales(block + OFF_SCALE, sc, m);
        for (size_t g = 0; g < GROUPS; g++) {
            const uint8_t *q = block + OFF_Q + g / 2 * GROUP;
            float scale = d * (float)sc[g], offset = dmin * (float)m[g];
            for (size_t i = 0; i < GROUP; i++) {
                out[g * GROUP + i] = value_minus(scale, offset, q[i] >> g % 2 * 4 & 15u);
            }
        }
    }
}

static void pack(const uint8_t *blocks, size_t cols, uint8_t *const planes[QUANT_PLANES])
{
    for (size_t b = 0; b < cols / COLS; b++) {
        const uint8_t *block = blocks + b * BYTES;
        for (size_t g = 0; g < GROUPS; g += 2) {
            uint8_t *unit = planes[0] + (b * GROUPS + g) * 16;
            split_nibbles_halved(block + OFF_Q + g / 2 * GROUP, unit, unit + 16);
        }
        uint8_t *scales = planes[1] + b * 16;
        split_scales(block + OFF_SCALE, scales, scales + GROUPS);
        memcpy(planes[2] + b * 4, block, 4);
    }
}

static void unpack(const uint8_t *const planes[QUANT_PLANES], size_t cols, float *out)
{
    for (size_t c = 0; c < cols; c++) {
        const uint8_t *scales = planes[1] + c / COLS * 16;
        uint32_t dd = load_u32(planes[2] + c / COLS * 4);
        size_t g = c % COLS / GROUP;
        uint32_t word = load_u32(planes[0] + c / 8 * 4);
        float scale = half_to_float((uint16_t)dd) * (float)scales[g];
        float offset = half_to_float((uint16_t)(dd >> 16)) * (float)scales[GROUPS + g];
        out[c] = value_minus(scale, offset, word >> (c % 8 / 2 * 4 + c % 2 * 16) & 15u);
    }
}

/* Steps and minima of the groups are rounded to 6 bits. */
static void encode_block(const float *x, uint8_t *block)
{
    float step[GROUPS], low[GROUPS], top_step = 0, top_low = 0;
    for (size_t g = 0; g < GROUPS; g++) {
        fit_range(x + g * GROUP, GROUP, 15, &step[g], &low[g]);
        top_step = fmaxf(top_step, step[g]);
        top_low = fmaxf(top_low, low[g]);
    }
    store_u16(block, half_from_float(top_step / 63));
    store_u16(block + 2, half_from_float(top_low / 63));
    float d = load_half(block), dmin = load_half(block + 2);
    uint8_t sc[GROUPS], m[GROUPS];
    memset(block + OFF_Q, 0, BYTES - OFF_Q);
    for (size_t c = 0; c < COLS; c++) {
        size_t g = c / GROUP;
        sc[g] = (uint8_t)round_to(step[g], d, 0, 63);
        m[g] = (uint8_t)round_to(low[g], dmin, 0, 63);
        int q = round_to(x[c] + dmin * (float)m[g], d * (float)sc[g], 0, 15);
        block[OFF_Q + g / 2 * GROUP + c % GROUP] |= (uint8_t)(q << g % 2 * 4);
    }
    join_scales(sc, m, block + OFF_SCALE);
}

static void encode(const float *in, uint8_t *blocks, size_t n)
{
    for (size_t b = 0; b < n / COLS; b++) {
        encode_block(in + b * COLS, blocks + b * BYTES);
    }
}

/* Dummies: q uniform in 0..15 (mean 7.5, mean square 77.5), sc and m uniform in 0..63 (31.5,
 * 1333.5, variance 341.25). dmin = 7.5 d makes the mean 0; then the variance of sc * q - 7.5 m is
 * 1333.5 * 77.5 - (31.5 * 7.5)^2 + 7.5^2 * 341.25 = 66727 = 258.3^2. d = 0x0500 = 1.25 * 2^-14 =
 * 7.63e-5 (not subnormal: devices may flush those), dmin = 0x10b0 = 9.375 * 2^-14: 0.0197. */
const struct quant_format quant_format_q4_k = {
    .name = "Q4_K",
    .ggml_type = 12,
    .block_cols = COLS,
    .block_bytes = BYTES,
    .planes = {{.unit_bytes = 16, .unit_cols = 32, .dummy_and = 0xffffffffu, .dummy_or = 0},
               {.unit_bytes = 16, .unit_cols = 256, .dummy_and = 0x3f3f3f3fu, .dummy_or = 0},
               {.unit_bytes = 4, .unit_cols = 256, .dummy_and = 0, .dummy_or = 0x10b00500u}},
    .factors = {{0, 63 * 15}, {2, 63}},
    .decode = decode,
    .pack = pack,
    .unpack = unpack,
    .encode = encode,
};
