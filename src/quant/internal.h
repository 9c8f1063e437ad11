/* Shared by the format files only: their prototypes, made from quants.def, unaligned little-endian
 * access, and what several formats have alike. */
#ifndef QUADRIGA_QUANT_INTERNAL_H
#define QUADRIGA_QUANT_INTERNAL_H

#include "quant/quant.h"

#include "base/half.h"

#include <math.h>
#include <string.h>

#define QUANT(id, stem, ggml_type) extern const struct quant_format quant_format_##stem;
#include "quant/quants.def"
#undef QUANT

/* Columns that quant_unpack_row hands to a format's unpack at once: a multiple of every unit. */
#define QUANT_RUN_COLS 256

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words are read and written as they lie in memory: the host must be little endian"
#endif

static inline uint16_t load_u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t load_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t load_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline float load_half(const uint8_t *p)
{
    return half_to_float(load_u16(p));
}

static inline void store_u16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof v);
}

static inline void store_u32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

/* Low 4 bits of 8 bytes -> 32 bits, byte i to bits 4i..4i+3. */
static inline uint32_t gather_nibbles(uint64_t bytes)
{
    uint64_t v = bytes & 0x0f0f0f0f0f0f0f0full;
    v = (v | v >> 4) & 0x00ff00ff00ff00ffull;
    v = (v | v >> 8) & 0x0000ffff0000ffffull;
    return (uint32_t)(v | v >> 16);
}

/* 8 numbers of 4 bits: those of even index to the low half, the others to the high one. */
static inline uint32_t halve_nibbles(uint32_t v)
{
    uint64_t both = (v & 0x0f0f0f0fu) | (uint64_t)(v >> 4 & 0x0f0f0f0fu) << 32;
    both = (both | both >> 4) & 0x00ff00ff00ff00ffull;
    both = (both | both >> 8) & 0x0000ffff0000ffffull;
    return (uint32_t)(both | both >> 16);
}

/* 16 numbers of 2 bits alike. */
static inline uint32_t halve_pairs(uint32_t v)
{
    uint64_t both = (v & 0x33333333u) | (uint64_t)(v >> 2 & 0x33333333u) << 32;
    both = (both | both >> 2) & 0x0f0f0f0f0f0f0f0full;
    both = (both | both >> 4) & 0x00ff00ff00ff00ffull;
    both = (both | both >> 8) & 0x0000ffff0000ffffull;
    return (uint32_t)(both | both >> 16);
}

/* Low 2 bits of 8 bytes -> 16 bits, byte i to bits 2i..2i+1. */
static inline uint32_t gather_pairs(uint64_t bytes)
{
    uint64_t v = bytes & 0x0303030303030303ull;
    v = (v | v >> 6) & 0x000f000f000f000full;
    v = (v | v >> 12) & 0x000000ff000000ffull;
    return (uint32_t)(v | v >> 24) & 0xffffu;
}

/* `bits` (1, 2, 4 or 8) of each of 32 / bits bytes from bit `shift` up -> 32 bits, column 4i + k
 * to byte k, there from bit i * bits: a mask leaves four columns in the bytes of a word. */
static inline uint32_t fold_columns(const uint8_t *bytes, unsigned shift, unsigned bits)
{
    uint32_t mask = ((1u << bits) - 1) * 0x01010101u, word = 0;
    for (unsigned at = 0; at < 8; at += bits, bytes += 4) {
        word |= (load_u32(bytes) >> shift & mask) << at;
    }
    return word;
}

/* Column c of what fold_columns made of a row. */
static inline unsigned unfold_column(const uint8_t *words, size_t c, unsigned bits)
{
    size_t quads = 8 / bits;
    return words[c / (4 * quads) * 4 + c % 4] >> c / 4 % quads * bits & ((1u << bits) - 1);
}

/* scale * q - offset in two statements, so that no compiler may fuse them: the references of the
 * formats with minima round twice. */
static inline float value_minus(float scale, float offset, unsigned q)
{
    float v = scale * (float)q;
    return v - offset;
}

/* The 12 bytes of scales and minima of Q4_K and Q5_K. Bytes 0-3: sc 0-3 and, in the two top bits,
 * those of sc 4-7; bytes 4-7 the same for m; bytes 8-11: low 4 bits of sc 4-7, then of m 4-7. */
static inline void split_scales(const uint8_t *s, uint8_t sc[8], uint8_t m[8])
{
    for (unsigned g = 0; g < 4; g++) {
        sc[g] = s[g] & 63;
        m[g] = s[g + 4] & 63;
        sc[g + 4] = (uint8_t)((s[g + 8] & 15) | (s[g] >> 6) << 4);
        m[g + 4] = (uint8_t)(s[g + 8] >> 4 | (s[g + 4] >> 6) << 4);
    }
}

static inline void join_scales(const uint8_t sc[8], const uint8_t m[8], uint8_t *s)
{
    for (unsigned g = 0; g < 4; g++) {
        s[g] = (uint8_t)(sc[g] | (sc[g + 4] >> 4) << 6);
        s[g + 4] = (uint8_t)(m[g] | (m[g + 4] >> 4) << 6);
        s[g + 8] = (uint8_t)((sc[g + 4] & 15) | (m[g + 4] & 15) << 4);
    }
}

/* n columns as 0 to `levels` steps above -low, low >= 0. */
static inline void fit_range(const float *x, size_t n, float levels, float *step, float *low)
{
    float min = 0, max = x[0];
    for (size_t i = 0; i < n; i++) {
        min = fminf(min, x[i]);
        max = fmaxf(max, x[i]);
    }
    *low = -min;
    *step = (max - min) / levels;
}

/* x / scale to the nearest of low..high; 0 where scale is 0. */
static inline int round_to(float x, float scale, int low, int high)
{
    float q = scale != 0 ? roundf(x / scale) : 0;
    return (int)fminf(fmaxf(q, (float)low), (float)high);
}

#endif
