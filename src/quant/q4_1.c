/* Q4_1: blocks of 32 columns: f16 scale, f16 minimum, 16 bytes of q of 4 bits; value = scale * q +
 * minimum. Plane 0: 16-byte units of 32 columns: q, as fold_columns lays them. Plane 1: 16-byte
 * units of 128 columns: scale low and minimum high of each 32 (0: there are no more). */
#include "quant/block32.h"

enum { COLS = BLOCK32_COLS, BYTES = 20, OFF_Q = 4 };

static void decode(const uint8_t *blocks, float *out, size_t n)
{
    for (size_t c = 0; c < n; c++) {
        const uint8_t *block = blocks + c / COLS * BYTES;
        unsigned q = block32_nibble(block + OFF_Q, c % COLS);
        out[c] = load_half(block) * (float)q + load_half(block + 2);
    }
}

static void pack(const uint8_t *blocks, size_t cols, uint8_t *const planes[QUANT_PLANES])
{
    for (size_t b = 0; b < cols / COLS; b++) {
        block32_fold(blocks + b * BYTES + OFF_Q, planes[0] + b * 16);
        memcpy(planes[1] + b * 4, blocks + b * BYTES, 4);
    }
}

static void unpack(const uint8_t *const planes[QUANT_PLANES], size_t cols, float *out)
{
    for (size_t c = 0; c < cols; c++) {
        const uint8_t *scales = planes[1] + c / COLS * 4;
        float q = (float)unfold_column(planes[0], c, 4);
        out[c] = load_half(scales) * q + load_half(scales + 2);
    }
}

static void encode(const float *in, uint8_t *blocks, size_t n)
{
    memset(blocks, 0, n / COLS * BYTES);
    for (size_t c = 0; c < n; c++) {
        uint8_t *block = blocks + c / COLS * BYTES;
        if (c % COLS == 0) {
            float step, low;
            fit_range(in + c, COLS, 15, &step, &low);
            store_u16(block, half_from_float(step));
            store_u16(block + 2, half_from_float(-low));
        }
        int q = round_to(in[c] - load_half(block + 2), load_half(block), 0, 15);
        block32_put_nibble(block + OFF_Q, c % COLS, (unsigned)q);
    }
}

/* Dummies: q uniform in 0..15, mean 7.5, standard deviation 4.610. Scale 0x1c60 = 1.09375 * 2^-8 =
 * 4.272e-3, minimum 0xa81a = -7.5 of that: the mean is 0, the standard deviation 0.0197. */
const struct quant_format quant_format_q4_1 = {
    .name = "Q4_1",
    .ggml_type = 3,
    .block_cols = COLS,
    .block_bytes = BYTES,
    .planes = {{.unit_bytes = 16, .unit_cols = 32, .dummy_and = 0xffffffffu, .dummy_or = 0},
               {.unit_bytes = 16, .unit_cols = 128, .dummy_and = 0, .dummy_or = 0xa81a1c60u}},
    .decode = decode,
    .pack = pack,
    .unpack = unpack,
    .encode = encode,
};
