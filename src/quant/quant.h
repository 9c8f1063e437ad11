/* Weight formats: how a row lies in the file, and how it is repacked for shaders.
 *
 * In the file (GGUF) a row of `cols` values is a run of blocks. For the device it is cut into up to
 * four *planes*; a plane is an array of units of 4 or 16 bytes, `plane_units(cols)` of them per
 * row, in the order of the columns. Rows are interleaved in groups of R (the *interleave*, 1 on
 * GPUs, the subgroup size where lanes = rows): unit u of row r of plane p lies at
 *
 *     base[p] + (((r / R) * units[p] + u) * R + r % R) * unit_bytes[p]
 *
 * with base[p] a multiple of 256 bytes and the row count padded with zero rows to a multiple of R.
 * shaders/quant/<format>.glsl reads the same planes. Nothing here allocates; all pure functions. */
#ifndef QUADRIGA_QUANT_QUANT_H
#define QUADRIGA_QUANT_QUANT_H

#include "base/log.h"

#include <stddef.h>
#include <stdint.h>

#define QUANT_PLANES 4

/* Ids in the order of quants.def; QUANT_COUNT of them. */
enum quant_id {
#define QUANT(id, name, ggml_type) QUANT_##id,
#include "quant/quants.def"
#undef QUANT
    QUANT_COUNT
};

struct quant_plane {
    uint8_t unit_bytes; /* 4 or 16; 0: no such plane */
    uint16_t unit_cols; /* columns that one unit covers; the last one of a row may be partial */
    uint32_t dummy_and, dummy_or; /* a random word w becomes (w & and) | or: plausible contents */
};

/* An f16 factor in a block of the file: no value of the block has more than `times` of it. */
struct quant_factor {
    uint16_t at, times; /* byte; times 0: there is none */
};

struct quant_format {
    const char *name;     /* "Q4_K", as GGUF and llama.cpp write it */
    uint32_t ggml_type;   /* number in the file */
    uint32_t block_cols;  /* columns per block in the file; cols must be a multiple */
    uint32_t block_bytes; /* bytes per block in the file */
    struct quant_plane planes[QUANT_PLANES];
    struct quant_factor factors[2]; /* of formats whose scales are products of f16 and a number */
    /* Reference decoder, bit-exact with the definition of the format: n values, n a multiple of
     * block_cols. */
    void (*decode)(const uint8_t *blocks, float *out, size_t n);
    /* Splits one row of the file into its planes: planes[p] has room for units(p) * unit_bytes(p)
     * bytes. Writes every whole unit; the last one, which may be partial, is zeroed before. */
    void (*pack)(const uint8_t *blocks, size_t cols, uint8_t *const planes[QUANT_PLANES]);
    /* The reverse of pack for decoding: the planes of one row (or of a run of whole units from its
     * start, as pack lays them) -> floats. Bit-exact with decode of what was packed. */
    void (*unpack)(const uint8_t *const planes[QUANT_PLANES], size_t cols, float *out);
    /* Encodes n finite floats (n a multiple of block_cols) by plain rounding: tests and tools. */
    void (*encode)(const float *in, uint8_t *blocks, size_t n);
};

const struct quant_format *quant_get(enum quant_id id);
/* NULL when this type is not supported. `id` may be NULL. */
const struct quant_format *quant_find(uint32_t ggml_type, enum quant_id *id);
/* Name of any ggml type, also unsupported ones ("IQ2_XXS"); NULL for numbers that mean nothing. */
const char *quant_type_name(uint32_t ggml_type);
/* Block geometry of any ggml type that exists, for size checks; false for unknown numbers. */
bool quant_type_block(uint32_t ggml_type, uint32_t *block_cols, uint32_t *block_bytes);

/* Bytes of one row in the file; cols must be a multiple of block_cols. */
uint64_t quant_row_bytes(enum quant_id id, uint64_t cols);

/* Of `bytes` of rows of F32 or BF16, the two formats with more exponents than f16: the biased
 * exponent (as in a float's bits, 1 to 254) of the largest finite value, 1 where all are zero or
 * subnormal. Of formats with factors: that of a bound, the largest sum of |factor| * times of a
 * block. 0 of other formats. */
uint32_t quant_top_exponent(enum quant_id id, const uint8_t *rows, uint64_t bytes);

/* Where `rows` x `cols` lie on a device with interleave `lanes`. */
struct quant_layout {
    enum quant_id id;
    uint32_t lanes;               /* R */
    uint64_t rows, cols;          /* rows: not padded */
    uint64_t padded_rows;         /* multiple of lanes */
    uint32_t units[QUANT_PLANES]; /* per row */
    uint64_t base[QUANT_PLANES];  /* bytes, multiples of 256 */
    uint64_t bytes;               /* of the whole, multiple of 256 */
};
/* False when rows, cols or lanes is 0, the size overflows or cols does not fit the format. */
bool quant_layout_init(struct quant_layout *layout, enum quant_id id, uint64_t rows, uint64_t cols,
                       uint32_t lanes);

/* Packs rows [row0, row0 + n) of the layout, given as n consecutive file rows at `src`. row0 is a
 * multiple of lanes; n too, or it reaches the end (then the padding rows are written as zeros).
 * plane_dst[p] receives exactly the bytes of quant_pack_range for plane p, so that a tensor can be
 * packed and uploaded slice by slice. `scratch` has room for quant_pack_scratch bytes. */
void quant_pack_rows(const struct quant_layout *layout, uint64_t row0, uint64_t n,
                     const uint8_t *src, uint8_t *const plane_dst[QUANT_PLANES], uint8_t *scratch);
/* True when rows lie in the layout as they do in the file, so that packing is copying. */
bool quant_pack_is_copy(const struct quant_layout *layout);
uint64_t quant_pack_scratch(const struct quant_layout *layout);
/* Reads row `row` (below padded_rows; padding rows are zeros) back from the packed whole: cols
 * floats. For tests, oracles and dummies. */
void quant_unpack_row(const struct quant_layout *layout, const uint8_t *image, uint64_t row,
                      float *out);
/* Byte range that rows [row0, row0 + n) occupy in plane p of the layout (relative to its start). */
void quant_pack_range(const struct quant_layout *layout, uint64_t row0, uint64_t n, uint32_t plane,
                      uint64_t *offset, uint64_t *bytes);

#endif
