/* What the formats with blocks of 32 columns have alike: 16 bytes of q, column i in the low nibble
 * of byte i and column i + 16 in its high nibble; for 5 bits a word of high bits, column i in bit
 * i. Their planes are read by shaders/common/scales32.glsl and the formats' own shaders. */
#ifndef QUADRIGA_QUANT_BLOCK32_H
#define QUADRIGA_QUANT_BLOCK32_H

#include "quant/internal.h"

enum { BLOCK32_COLS = 32 };

/* q of column c, from the 16 bytes of a block in the file. */
static inline unsigned block32_nibble(const uint8_t *q, size_t c)
{
    return q[c % 16] >> c / 16 * 4 & 15u;
}

static inline void block32_put_nibble(uint8_t *q, size_t c, unsigned bits)
{
    q[c % 16] = (uint8_t)(q[c % 16] | bits << c / 16 * 4);
}

/* The 16 bytes of a block -> a 16-byte unit as fold_columns lays it. */
static inline void block32_fold(const uint8_t *q, uint8_t *unit)
{
    uint64_t first = load_u64(q), second = load_u64(q + 8);
    store_u32(unit, fold_nibbles(first));
    store_u32(unit + 4, fold_nibbles(second));
    store_u32(unit + 8, fold_nibbles(first >> 4));
    store_u32(unit + 12, fold_nibbles(second >> 4));
}

/* High bits of 32 columns -> column 4i + k in bit i of byte k, as fold_columns lays single bits. */
static inline uint32_t block32_fold_high(uint32_t bits)
{
    uint32_t word = 0;
    for (unsigned i = 0; i < 8; i++) {
        word |= ((bits >> 4 * i & 15u) * 0x00204081u & 0x01010101u) << i;
    }
    return word;
}

/* The value of the largest magnitude, with its sign. */
static inline float block32_top(const float *x)
{
    float top = 0;
    for (size_t i = 0; i < BLOCK32_COLS; i++) {
        top = fabsf(x[i]) > fabsf(top) ? x[i] : top;
    }
    return top;
}

#endif
