/* Q5_1: blocks of 32 columns: f16 scale, f16 minimum, 4 bytes of high bits of q, 16 of low nibbles;
 * value = scale * q + minimum. Planes: 0: 16-byte units of 32 columns: low 4 bits, as fold_columns
 * lays them; 1: 16-byte units of 128 columns: high bits, laid the same way; 2: 16-byte units of 128
 * columns: scale low and minimum high of each 32 (0: there are no more). */
#include "quant/block32.h"

enum { COLS = BLOCK32_COLS, BYTES = 24, OFF_HIGH = 4, OFF_Q = 8 };

static void decode(const uint8_t *blocks, float *out, size_t n)
{
    for (size_t c = 0; c < n; c++) {
        const uint8_t *block = blocks + c / COLS * BYTES;
        unsigned high = load_u32(block + OFF_HIGH) >> c % COLS & 1u;
        unsigned q = block32_nibble(block + OFF_Q, c % COLS) | high << 4;
        out[c] = load_half(block) * (float)q + load_half(block + 2);
    }
}

static void pack(const uint8_t *blocks, size_t cols, uint8_t *const planes[QUANT_PLANES])
{
    for (size_t b = 0; b < cols / COLS; b++) {
        const uint8_t *block = blocks + b * BYTES;
        block32_fold(block + OFF_Q, planes[0] + b * 16);
        store_u32(planes[1] + b * 4, block32_fold_high(load_u32(block + OFF_HIGH)));
        memcpy(planes[2] + b * 4, block, 4);
    }
}

static void unpack(const uint8_t *const planes[QUANT_PLANES], size_t cols, float *out)
{
    for (size_t c = 0; c < cols; c++) {
        const uint8_t *scales = planes[2] + c / COLS * 4;
        float q = (float)(unfold_column(planes[0], c, 4) | unfold_column(planes[1], c, 1) << 4);
        out[c] = load_half(scales) * q + load_half(scales + 2);
    }
}

static void encode(const float *in, uint8_t *blocks, size_t n)
{
    memset(blocks, 0, n / COLS * BYTES);
    for (size_t c = 0; c < n; c++) {
        uint8_t *block = blocks + c / COLS * BYTES, *high = block + OFF_HIGH;
        if (c % COLS == 0) {
            float step, low;
            fit_range(in + c, COLS, 31, &step, &low);
            store_u16(block, half_from_float(step));
            store_u16(block + 2, half_from_float(-low));
        }
        unsigned q = (unsigned)round_to(in[c] - load_half(block + 2), load_half(block), 0, 31);
        block32_put_nibble(block + OFF_Q, c % COLS, q & 15);
        store_u32(high, load_u32(high) | q >> 4 << c % COLS);
    }
}

/* Dummies: q uniform in 0..31, mean 15.5, standard deviation 9.233. Scale 0x1880 = 1.125 * 2^-9 =
 * 2.197e-3, minimum 0xa85c = -15.5 of that: the mean is 0, the standard deviation 0.0203. */
const struct quant_format quant_format_q5_1 = {
    .name = "Q5_1",
    .ggml_type = 7,
    .block_cols = COLS,
    .block_bytes = BYTES,
    .planes = {{.unit_bytes = 16, .unit_cols = 32, .dummy_and = 0xffffffffu, .dummy_or = 0},
               {.unit_bytes = 16, .unit_cols = 128, .dummy_and = 0xffffffffu, .dummy_or = 0},
               {.unit_bytes = 16, .unit_cols = 128, .dummy_and = 0, .dummy_or = 0xa85c1880u}},
    .decode = decode,
    .pack = pack,
    .unpack = unpack,
    .encode = encode,
};
