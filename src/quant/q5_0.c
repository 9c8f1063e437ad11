/* Q5_0: blocks of 32 columns: f16 scale, 4 bytes of high bits of q, 16 of low nibbles; value =
 * scale
 * * (q - 16). Planes: 0: 16-byte units of 32 columns: low 4 bits, as fold_columns lays them; 1:
 * 16-byte units of 128 columns: high bits, laid the same way; 2: 16-byte units of 256 columns: the
 * scale of each 32 (0: there are no more). */
#include "quant/block32.h"

enum { COLS = BLOCK32_COLS, BYTES = 22, OFF_HIGH = 2, OFF_Q = 6 };

static void decode(const uint8_t *blocks, float *out, size_t n)
{
    for (size_t c = 0; c < n; c++) {
        const uint8_t *block = blocks + c / COLS * BYTES;
        unsigned high = load_u32(block + OFF_HIGH) >> c % COLS & 1u;
        int q = (int)(block32_nibble(block + OFF_Q, c % COLS) | high << 4);
        out[c] = load_half(block) * (float)(q - 16);
    }
}

static void pack(const uint8_t *blocks, size_t cols, uint8_t *const planes[QUANT_PLANES])
{
    for (size_t b = 0; b < cols / COLS; b++) {
        const uint8_t *block = blocks + b * BYTES;
        block32_fold(block + OFF_Q, planes[0] + b * 16);
        store_u32(planes[1] + b * 4, block32_fold_high(load_u32(block + OFF_HIGH)));
        memcpy(planes[2] + b * 2, block, 2);
    }
}

static void unpack(const uint8_t *const planes[QUANT_PLANES], size_t cols, float *out)
{
    for (size_t c = 0; c < cols; c++) {
        unsigned q = unfold_column(planes[0], c, 4) | unfold_column(planes[1], c, 1) << 4;
        out[c] = load_half(planes[2] + c / COLS * 2) * (float)((int)q - 16);
    }
}

/* The largest value becomes q - 16 = -16, by a scale of either sign. */
static void encode(const float *in, uint8_t *blocks, size_t n)
{
    memset(blocks, 0, n / COLS * BYTES);
    for (size_t c = 0; c < n; c++) {
        uint8_t *block = blocks + c / COLS * BYTES, *high = block + OFF_HIGH;
        if (c % COLS == 0) {
            store_u16(block, half_from_float(block32_top(in + c) / -16));
        }
        unsigned q = (unsigned)(round_to(in[c], load_half(block), -16, 15) + 16);
        block32_put_nibble(block + OFF_Q, c % COLS, q & 15);
        store_u32(high, load_u32(high) | q >> 4 << c % COLS);
    }
}

/* Dummies: q - 16 uniform in -16..15, root mean square 9.247; scales of either sign, so that the
 * mean is 0. 0x186e = 1.107421875 * 2^-9 = 2.163e-3: the standard deviation is 0.0200. */
const struct quant_format quant_format_q5_0 = {
    .name = "Q5_0",
    .ggml_type = 6,
    .block_cols = COLS,
    .block_bytes = BYTES,
    .planes =
        {{.unit_bytes = 16, .unit_cols = 32, .dummy_and = 0xffffffffu, .dummy_or = 0},
         {.unit_bytes = 16, .unit_cols = 128, .dummy_and = 0xffffffffu, .dummy_or = 0},
         {.unit_bytes = 16, .unit_cols = 256, .dummy_and = 0x80008000u, .dummy_or = 0x186e186eu}},
    .decode = decode,
    .pack = pack,
    .unpack = unpack,
    .encode = encode,
};
