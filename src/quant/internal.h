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

/* Low 4 bits of 8 bytes: those of even index to the low half, the others to the high one. */
static inline uint32_t gather_nibbles_halved(uint64_t bytes)
{
    uint64_t v = bytes & 0x0f0f0f0f0f0f0f0full;
    v |= v >> 12; /* of four bytes: 0 and 2 in the first, 1 and 3 in the second */
    v = (v & 0x000000ff000000ffull) | (v & 0x0000ff000000ff00ull) << 8;
    return (uint32_t)(v | v >> 24);
}

/* 32 bytes -> their low nibbles and their high ones, those of eight bytes each as above. */
static inline void split_nibbles_halved(const uint8_t *bytes, uint8_t *restrict low,
                                        uint8_t *restrict high)
{
    uint64_t quads[4];
    uint32_t words[2][4];
    memcpy(quads, bytes, sizeof quads);
    for (size_t i = 0; i < 4; i++) {
        words[0][i] = gather_nibbles_halved(quads[i]);
        words[1][i] = gather_nibbles_halved(quads[i] >> 4);
    }
    memcpy(low, words[0], sizeof words[0]);
    memcpy(high, words[1], sizeof words[1]);
}

/* Low 2 bits of 16 bytes alike. */
static inline uint32_t gather_pairs_halved(uint64_t first, uint64_t second)
{
    uint64_t a = first & 0x0303030303030303ull, b = second & 0x0303030303030303ull;
    a = (a | a >> 14) & 0x00000f0f00000f0full;
    b = (b | b >> 14) & 0x00000f0f00000f0full;
    a |= a >> 28; /* even ones in its first byte, odd ones in its second */
    b |= b >> 28;
    return (uint32_t)((a & 0xff) | (b & 0xff) << 8 | (a & 0xff00) << 8 | (b & 0xff00) << 16);
}

/* Low 4 bits of 8 bytes, byte i and byte i + 4 to byte i: as fold_columns lays nibbles. */
static inline uint32_t fold_nibbles(uint64_t bytes)
{
    uint64_t v = bytes & 0x0f0f0f0f0f0f0f0full;
    return (uint32_t)(v | v >> 28);
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
