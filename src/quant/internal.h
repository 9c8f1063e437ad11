/* Shared by the format files only: their prototypes, made from quants.def, and unaligned
 * little-endian access. */
#ifndef QUADRIGA_QUANT_INTERNAL_H
#define QUADRIGA_QUANT_INTERNAL_H

#include "quant/quant.h"

#include "base/half.h"

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

/* Low 2 bits of 8 bytes -> 16 bits, byte i to bits 2i..2i+1. */
static inline uint32_t gather_pairs(uint64_t bytes)
{
    uint64_t v = bytes & 0x0303030303030303ull;
    v = (v | v >> 6) & 0x000f000f000f000full;
    v = (v | v >> 12) & 0x000000ff000000ffull;
    return (uint32_t)(v | v >> 24) & 0xffffu;
}

#endif
