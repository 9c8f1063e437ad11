/* Q3_K: blocks of 256 columns in sixteen groups of 16: value = d * (sc[g] - 32) * (q - 4), q of 3
 * bits, sc of 6, d f16. In the file: 32 bytes of high bits (bit r of byte i: column i of run r, a
 * run being 32 columns), 64 bytes of low bit pairs (each 32 bytes hold four runs, the first in
 * their low bits), 12 bytes of sc, d. Planes, as fold_columns lays them: 0: 16 bytes per 64
 * columns, low 2 bits; 1: 4 bytes per 32 columns, high bit; 2: 16 bytes per block: sc - 32 as int8;
 * 3: 4 bytes per block: d low. */
#include "quant/internal.h"

#include <math.h>

enum {
    COLS = 256,
    BYTES = 110,
    GROUP = 16,
    GROUPS = 16,
    RUN = 32,
    RUNS = 8,
    OFF_LOW = 32,
    OFF_SCALE = 96,
    OFF_D = 108
};

/* Bytes 0-7: low 4 bits of sc 0-7 and, above, of sc 8-15; bytes 8-11: pair k of byte i: high 2 bits
 * of sc 4k + i. */
static void get_scales(const uint8_t *s, int8_t sc[GROUPS])
{
    for (unsigned g = 0; g < GROUPS; g++) {
        int low = s[g % 8] >> g / 8 * 4 & 15, high = s[8 + g % 4] >> g / 4 * 2 & 3;
        sc[g] = (int8_t)((low | high << 4) - 32);
    }
}

static void put_scale(uint8_t *s, unsigned g, int sc)
{
    s[g % 8] |= (uint8_t)((sc + 32) % 16 << g / 8 * 4);
    s[8 + g % 4] |= (uint8_t)((sc + 32) / 16 << g / 4 * 2);
}

static void decode(const uint8_t *blocks, float *out, size_t n)
{
    for (size_t b = 0; b < n / COLS; b++, out += COLS) {
        const uint8_t *block = blocks + b * BYTES;
        float d = load_half(block + OFF_D);
        int8_t sc[GROUPS];
        get_scales(block + OFF_SCALE, sc);
        for (size_t c = 0; c < COLS; c++) {
            size_t r = c / RUN, i = c % RUN;
            int low = block[OFF_LOW + r / 4 * RUN + i] >> r % 4 * 2 & 3;
            int high = block[i] >> r & 1;
            float scale = d * (float)sc[c / GROUP];
            out[c] = scale * (float)((low | high << 2) - 4);
        }
    }
}

static void pack(const uint8_t *blocks, size_t cols, uint8_t *const planes[QUANT_PLANES])
{
    for (size_t b = 0; b < cols / COLS; b++) {
        const uint8_t *block = blocks + b * BYTES;
        for (size_t r = 0; r < RUNS; r++) {
            const uint8_t *low = block + OFF_LOW + r / 4 * RUN;
            uint8_t *unit = planes[0] + (b * RUNS + r) * 8;
            store_u32(unit, fold_columns(low, r % 4 * 2, 2));
            store_u32(unit + 4, fold_columns(low + 16, r % 4 * 2, 2));
            store_u32(planes[1] + (b * RUNS + r) * 4, fold_columns(block, (unsigned)r, 1));
        }
        get_scales(block + OFF_SCALE, (int8_t *)planes[2] + b * 16);
        store_u32(planes[3] + b * 4, load_u16(block + OFF_D));
    }
}

static void unpack(const uint8_t *const planes[QUANT_PLANES], size_t cols, float *out)
{
    for (size_t c = 0; c < cols; c++) {
        unsigned q = unfold_column(planes[0], c, 2) | unfold_column(planes[1], c, 1) << 2;
        float d = load_half(planes[3] + c / COLS * 4);
        float scale = d * (float)(int8_t)planes[2][c / GROUP];
        out[c] = scale * (float)((int)q - 4);
    }
}

/* The largest value of a group becomes q = 0, by a scale of either sign. */
static void encode_block(const float *x, uint8_t *block)
{
    float step[GROUPS], most = 0;
    for (size_t g = 0; g < GROUPS; g++) {
        float top = 0;
        for (size_t i = 0; i < GROUP; i++) {
            top = fabsf(x[g * GROUP + i]) > fabsf(top) ? x[g * GROUP + i] : top;
        }
        step[g] = top / -4;
        most = fmaxf(most, fabsf(step[g]));
    }
    memset(block, 0, BYTES);
    store_u16(block + OFF_D, half_from_float(most / 31));
    float d = load_half(block + OFF_D);
    int sc[GROUPS];
    for (unsigned g = 0; g < GROUPS; g++) {
        sc[g] = round_to(step[g], d, -32, 31);
        put_scale(block + OFF_SCALE, g, sc[g]);
    }
    for (size_t c = 0; c < COLS; c++) {
        size_t r = c / RUN, i = c % RUN;
        int q = round_to(x[c], d * (float)sc[c / GROUP], -4, 3) + 4;
        block[OFF_LOW + r / 4 * RUN + i] |= (uint8_t)(q % 4 << r % 4 * 2);
        block[i] |= (uint8_t)(q / 4 << r);
    }
}

static void encode(const float *in, uint8_t *blocks, size_t n)
{
    for (size_t b = 0; b < n / COLS; b++) {
        encode_block(in + b * COLS, blocks + b * BYTES);
    }
}

/* Dummies: q - 4 uniform in -4..3 (mean -0.5, mean square 5.5), the scale any int8 (mean -0.5, mean
 * square 5461.5): the product has a standard deviation of sqrt(5.5 * 5461.5 - 0.0625) = 173.3 about
 * 0.25. d = 0x0780 = 1.875 * 2^-14 (not subnormal: devices may flush those): 0.0198. */
const struct quant_format quant_format_q3_k = {
    .name = "Q3_K",
    .ggml_type = 11,
    .block_cols = COLS,
    .block_bytes = BYTES,
    .planes = {{.unit_bytes = 16, .unit_cols = 64, .dummy_and = 0xffffffffu, .dummy_or = 0},
               {.unit_bytes = 4, .unit_cols = 32, .dummy_and = 0xffffffffu, .dummy_or = 0},
               {.unit_bytes = 16, .unit_cols = 256, .dummy_and = 0xffffffffu, .dummy_or = 0},
               {.unit_bytes = 4, .unit_cols = 256, .dummy_and = 0, .dummy_or = 0x00000780u}},
    .factors = {{OFF_D, 32 * 4}},
    .decode = decode,
    .pack = pack,
    .unpack = unpack,
    .encode = encode,
};
