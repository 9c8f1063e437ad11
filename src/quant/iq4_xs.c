/* IQ4_XS: blocks of 256 columns in eight groups of 32: value = d * (sc[g] - 32) * NL4[q], q of 4
 * bits, sc of 6, d f16. In the file: d, 16 bits with the high bit pairs of sc, 4 bytes with their
 * low nibbles, 128 bytes of q (each 16 bytes hold 16 columns in their low nibbles and the next 16
 * in the high ones). Planes: 0: 16 bytes per group, as fold_columns lays them; 1: 4 bytes per
 * block: d low, the high pairs of sc high; 2: 4 bytes per block: the low nibbles of sc. */
#include "quant/internal.h"
#include "quant/nl4.h"

#include <math.h>

enum { COLS = 256, BYTES = 136, GROUP = 32, GROUPS = 8, OFF_LOW = 4, OFF_Q = 8 };

/* sc - 32 of group g, from the two words of a block. */
static int get_scale(uint32_t head, uint32_t low, size_t g)
{
    return (int)((low >> g * 4 & 15) | (head >> (16 + g * 2) & 3) << 4) - 32;
}

static void decode(const uint8_t *blocks, float *out, size_t n)
{
    for (size_t b = 0; b < n / COLS; b++, out += COLS) {
        const uint8_t *block = blocks + b * BYTES;
        uint32_t head = load_u32(block), low = load_u32(block + OFF_LOW);
        float d = load_half(block);
        for (size_t c = 0; c < COLS; c++) {
            size_t g = c / GROUP, i = c % GROUP;
            unsigned q = block[OFF_Q + g * 16 + i % 16] >> i / 16 * 4 & 15u;
            out[c] = d * (float)get_scale(head, low, g) * (float)NL4[q];
        }
    }
}

static void pack(const uint8_t *blocks, size_t cols, uint8_t *const planes[QUANT_PLANES])
{
    for (size_t b = 0; b < cols / COLS; b++) {
        const uint8_t *block = blocks + b * BYTES;
        for (size_t g = 0; g < GROUPS; g++) {
            const uint8_t *q = block + OFF_Q + g * 16;
            uint8_t *unit = planes[0] + (b * GROUPS + g) * 16;
            for (unsigned j = 0; j < 4; j++) {
                store_u32(unit + 4 * j, fold_columns(q + j % 2 * 8, j / 2 * 4, 4));
            }
        }
        memcpy(planes[1] + b * 4, block, 4);
        memcpy(planes[2] + b * 4, block + OFF_LOW, 4);
    }
}

static void unpack(const uint8_t *const planes[QUANT_PLANES], size_t cols, float *out)
{
    for (size_t c = 0; c < cols; c++) {
        const uint8_t *head = planes[1] + c / COLS * 4;
        int sc = get_scale(load_u32(head), load_u32(planes[2] + c / COLS * 4), c % COLS / GROUP);
        out[c] = load_half(head) * (float)sc * (float)NL4[unfold_column(planes[0], c, 4)];
    }
}

/* The largest value of a group becomes q = 0, -127, by a scale of either sign. */
static void encode_block(const float *x, uint8_t *block)
{
    float step[GROUPS], most = 0;
    for (size_t g = 0; g < GROUPS; g++) {
        float top = 0;
        for (size_t i = 0; i < GROUP; i++) {
            top = fabsf(x[g * GROUP + i]) > fabsf(top) ? x[g * GROUP + i] : top;
        }
        step[g] = top / -127;
        most = fmaxf(most, fabsf(step[g]));
    }
    memset(block, 0, BYTES);
    uint32_t head = half_from_float(most / 31), low = 0;
    float d = half_to_float((uint16_t)head);
    for (size_t c = 0; c < COLS; c++) {
        size_t g = c / GROUP, i = c % GROUP;
        int sc = round_to(step[g], d, -32, 31);
        uint32_t bits = (uint32_t)(sc + 32);
        head |= bits >> 4 << (16 + g * 2);
        low |= (bits & 15) << g * 4;
        unsigned q = nl4_nearest(sc != 0 ? x[c] / (d * (float)sc) : 0);
        block[OFF_Q + g * 16 + i % 16] |= (uint8_t)(q << i / 16 * 4);
    }
    store_u32(block, head);
    store_u32(block + OFF_LOW, low);
}

static void encode(const float *in, uint8_t *blocks, size_t n)
{
    for (size_t b = 0; b < n / COLS; b++) {
        encode_block(in + b * COLS, blocks + b * BYTES);
    }
}

/* Dummies: q uniform (NL4: mean -5.875, mean square 4548), sc - 32 uniform in 0..7 for even groups
 * and -8..-1 for odd ones (-0.5, 21.5): the product has a standard deviation of
 * sqrt(4548 * 21.5 - 8.6) = 312.7 about 2.9. d = 0x0440 = 1.0625 * 2^-14 (not subnormal): 0.0203
 * about 0.0002. */
const struct quant_format quant_format_iq4_xs = {
    .name = "IQ4_XS",
    .ggml_type = 23,
    .block_cols = COLS,
    .block_bytes = BYTES,
    .planes =
        {{.unit_bytes = 16, .unit_cols = 32, .dummy_and = 0xffffffffu, .dummy_or = 0},
         {.unit_bytes = 4, .unit_cols = 256, .dummy_and = 0, .dummy_or = 0x66660440u},
         {.unit_bytes = 4, .unit_cols = 256, .dummy_and = 0x77777777u, .dummy_or = 0x80808080u}},
    .decode = decode,
    .pack = pack,
    .unpack = unpack,
    .encode = encode,
};
