/* Q8_0: blocks of 32 columns: f16 scale, 32 int8; value = scale * q.
 * Plane 0: 16-byte units of 16 columns, int8 in order. Plane 1: 4-byte units of 64 columns: the
 * scale of the first 32 in the low half, that of the second in the high half (0: there is none). */
#include "quant/internal.h"

#include <math.h>

enum { COLS = 32, BYTES = 34 };

static void decode(const uint8_t *blocks, float *out, size_t n)
{
    for (size_t b = 0; b < n / COLS; b++) {
        const uint8_t *block = blocks + b * BYTES;
        float d = load_half(block);
        for (size_t i = 0; i < COLS; i++) {
            out[b * COLS + i] = (float)(int8_t)block[2 + i] * d;
        }
    }
}

static void pack(const uint8_t *blocks, size_t cols, uint8_t *const planes[QUANT_PLANES])
{
    for (size_t b = 0; b < cols / COLS; b++) {
        const uint8_t *block = blocks + b * BYTES;
        memcpy(planes[0] + b * COLS, block + 2, COLS);
        memcpy(planes[1] + b * 2, block, 2);
    }
}

static void unpack(const uint8_t *const planes[QUANT_PLANES], size_t cols, float *out)
{
    for (size_t c = 0; c < cols; c++) {
        uint32_t scales = load_u32(planes[1] + c / 64 * 4);
        float d = half_to_float((uint16_t)(c % 64 < 32 ? scales : scales >> 16));
        out[c] = (float)(int8_t)planes[0][c] * d;
    }
}

static void encode(const float *in, uint8_t *blocks, size_t n)
{
    for (size_t b = 0; b < n / COLS; b++) {
        const float *x = in + b * COLS;
        uint8_t *block = blocks + b * BYTES;
        float top = 0;
        for (size_t i = 0; i < COLS; i++) {
            top = fmaxf(top, fabsf(x[i]));
        }
        float d = top / 127, inverse = d != 0 ? 1 / d : 0;
        store_u16(block, half_from_float(d));
        for (size_t i = 0; i < COLS; i++) {
            block[2 + i] = (uint8_t)(int8_t)fminf(fmaxf(roundf(x[i] * inverse), -127), 127);
        }
    }
}

/* Dummies: q is any int8, with standard deviation sqrt(5461.5) = 73.9 about -0.5; the scale is
 * 0x0c70 = 1.109375 * 2^-12 = 2.708e-4, so values have 0.0200. */
const struct quant_format quant_format_q8_0 = {
    .name = "Q8_0",
    .ggml_type = 8,
    .block_cols = COLS,
    .block_bytes = BYTES,
    .planes = {{.unit_bytes = 16, .unit_cols = 16, .dummy_and = 0xffffffffu, .dummy_or = 0},
               {.unit_bytes = 4, .unit_cols = 64, .dummy_and = 0, .dummy_or = 0x0c700c70u}},
    .decode = decode,
    .pack = pack,
    .unpack = unpack,
    .encode = encode,
};
