/* Q6_K: blocks of 256 columns in sixteen groups of 16: value = d * sc[g] * (q - 32), q of 6 bits,
 * sc int8, d f16. In the file: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 sc, d; each
 * half of 128 columns has four runs of 32: run r takes nibble r / 2 of the low bytes from
 * 32 (r % 2) and pair r of the high bytes.
 * Planes: 0: 16 bytes per 32 columns, low 4 bits, column 8j + 2k + e in bits 4k + 16e of word j;
 * 1: 16 bytes per 64 columns, high 2 bits, column 16j + 2k + e in bits 2k + 16e of word j;
 * 2: 16 bytes per block: sc; 3: 4 bytes per block: d in the low half. */
#include "quant/internal.h"

#include <math.h>

enum { COLS = 256, BYTES = 210, GROUP = 16, OFF_HIGH = 128, OFF_SCALE = 192, OFF_D = 208 };

/* Where the 32 columns of run r (0..7) of a block lie. */
struct run {
    size_t low, high; /* first byte */
    unsigned low_shift, high_shift;
};

static struct run get_run(size_t r)
{
    size_t half = r / 4, k = r % 4;
    return (struct run){.low = half * 64 + k % 2 * 32,
                        .high = OFF_HIGH + half * 32,
                        .low_shift = (unsigned)(k / 2 * 4),
                        .high_shift = (unsigned)(k * 2)};
}

static void decode(const uint8_t *blocks, float *out, size_t n)
{
    for (size_t b = 0; b < n / COLS; b++, out += COLS) {
        const uint8_t *block = blocks + b * BYTES;
        float d = load_half(block + OFF_D);
        for (size_t c = 0; c < COLS; c++) {
            struct run run = get_run(c / 32);
            int low = block[run.low + c % 32] >> run.low_shift & 15;
            int high = block[run.high + c % 32] >> run.high_shift & 3;
            float scale = d * (float)(int8_t)block[OFF_SCALE + c / GROUP];
            out[c] = scale * (float)((low | high << 4) - 32);
        }
    }
}

/* 64 bytes of low nibbles: those of runs 0 and 1 of a half, then those of 2 and 3. */
static void pack_low(const uint8_t *bytes, uint8_t *units)
{
    split_nibbles_halved(bytes, units, units + 32);
    split_nibbles_halved(bytes + 32, units + 16, units + 48);
}

/* 32 bytes of high pairs: those of the four runs of a half in turn. */
static void pack_high(const uint8_t *bytes, uint8_t *units)
{
    uint64_t quads[4];
    memcpy(quads, bytes, sizeof quads);
    for (unsigned k = 0; k < 4; k++, units += 8) {
        store_u32(units, gather_pairs_halved(quads[0] >> 2 * k, quads[1] >> 2 * k));
        store_u32(units + 4, gather_pairs_halved(quads[2] >> 2 * k, quads[3] >> 2 * k));
    }
}

static void pack(const uint8_t *blocks, size_t cols, uint8_t *const planes[QUANT_PLANES])
{
    for (size_t b = 0; b < cols / COLS; b++) {
        const uint8_t *block = blocks + b * BYTES;
        for (size_t half = 0; half < 2; half++) {
            pack_low(block + half * 64, planes[0] + (b * 2 + half) * 64);
            pack_high(block + OFF_HIGH + half * 32, planes[1] + (b * 2 + half) * 32);
        }
        memcpy(planes[2] + b * 16, block + OFF_SCALE, 16);
        store_u32(planes[3] + b * 4, load_u16(block + OFF_D));
    }
}

static void unpack(const uint8_t *const planes[QUANT_PLANES], size_t cols, float *out)
{
    for (size_t c = 0; c < cols; c++) {
        uint32_t low = load_u32(planes[0] + c / 8 * 4) >> (c % 8 / 2 * 4 + c % 2 * 16) & 15u;
        uint32_t high = load_u32(planes[1] + c / 16 * 4) >> (c % 16 / 2 * 2 + c % 2 * 16) & 3u;
        float d = half_to_float((uint16_t)load_u32(planes[3] + c / COLS * 4));
        float scale = d * (float)(int8_t)planes[2][c / GROUP];
        out[c] = scale * (float)((int)(low | high << 4) - 32);
    }
}

static void encode_block(const float *x, uint8_t *block)
{
    float top[COLS / GROUP], most = 0;
    for (size_t g = 0; g < COLS / GROUP; g++) {
        top[g] = 0;
        for (size_t i = 0; i < GROUP; i++) {
            top[g] = fmaxf(top[g], fabsf(x[g * GROUP + i]));
        }
        most = fmaxf(most, top[g]);
    }
    memset(block, 0, BYTES);
    store_u16(block + OFF_D, half_from_float(most / (31 * 127)));
    float d = load_half(block + OFF_D);
    for (size_t c = 0; c < COLS; c++) {
        struct run run = get_run(c / 32);
        float sc = d > 0 ? fminf(roundf(top[c / GROUP] / 31 / d), 127) : 0;
        float q = sc > 0 ? roundf(x[c] / (d * sc)) : 0;
        unsigned bits = (unsigned)(fminf(fmaxf(q, -32), 31) + 32);
        block[OFF_SCALE + c / GROUP] = (uint8_t)sc;
        block[run.low + c % 32] |= (uint8_t)((bits & 15) << run.low_shift);
        block[run.high + c % 32] |= (uint8_t)((bits >> 4) << run.high_shift);
    }
}

static void encode(const float *in, uint8_t *blocks, size_t n)
{
    for (size_t b = 0; b < n / COLS; b++) {
        encode_block(in + b * COLS, blocks + b * BYTES);
    }
}

/* Dummies: q - 32 uniform in -32..31 (mean square 341.5), sc uniform in 0..31 (mean square 325.5):
 * the product has a standard deviation of sqrt(341.5 * 325.5 - 7.75^2) = 333.3 about -7.75. d =
 * 0x0400 = 2^-14, the smallest that is not subnormal (devices may flush those; with any int8 as sc
 * it would have to be): 0.0203 about -0.0005. */
const struct quant_format quant_format_q6_k = {
    .name = "Q6_K",
    .ggml_type = 14,
    .block_cols = COLS,
    .block_bytes = BYTES,
    .planes = {{.unit_bytes = 16, .unit_cols = 32, .dummy_and = 0xffffffffu, .dummy_or = 0},
               {.unit_bytes = 16, .unit_cols = 64, .dummy_and = 0xffffffffu, .dummy_or = 0},
               {.unit_bytes = 16, .unit_cols = 256, .dummy_and = 0x1f1f1f1fu, .dummy_or = 0},
               {.unit_bytes = 4, .unit_cols = 256, .dummy_and = 0, .dummy_or = 0x00000400u}},
    .factors = {{OFF_D, 128 * 32}},
    .decode = decode,
    .pack = pack,
    .unpack = unpack,
    .encode = encode,
};
