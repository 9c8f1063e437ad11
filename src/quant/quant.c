/* The table of formats and the arithmetic of layouts: where units lie, which bytes a slice of rows
 * covers, scattering packed rows into the row interleave and gathering them back. What a block
 * means is left to the format files. */
#include "quant/quant.h"

#include "quant/internal.h"

#include "base/ggml_types.h"
#include "base/mem.h"

#include <math.h>

static const struct quant_format *const FORMATS[QUANT_COUNT] = {
#define QUANT(id, stem, ggml_type) [QUANT_##id] = &quant_format_##stem,
#include "quant/quants.def"
#undef QUANT
};

enum { PLANE_ALIGN = 256, MAX_UNIT_BYTES = 16, MIN_UNIT_COLS = 4 };

const struct quant_format *quant_get(enum quant_id id)
{
    return FORMATS[id];
}

const struct quant_format *quant_find(uint32_t ggml_type, enum quant_id *id)
{
    for (uint32_t i = 0; i < QUANT_COUNT; i++) {
        if (FORMATS[i]->ggml_type == ggml_type) {
            if (id != NULL) {
                *id = (enum quant_id)i;
            }
            return FORMATS[i];
        }
    }
    return NULL;
}

const char *quant_type_name(uint32_t ggml_type)
{
    return ggml_types_name(ggml_type);
}

bool quant_type_block(uint32_t ggml_type, uint32_t *block_cols, uint32_t *block_bytes)
{
    return ggml_types_block(ggml_type, block_cols, block_bytes);
}

static uint32_t top_of_factors(const struct quant_format *format, const uint8_t *rows,
                               uint64_t bytes)
{
    float most = 0;
    for (uint64_t b = 0; b < bytes / format->block_bytes; b++, rows += format->block_bytes) {
        float bound = 0;
        for (uint32_t i = 0; i < 2 && format->factors[i].times != 0; i++) {
            bound += fabsf(load_half(rows + format->factors[i].at)) * format->factors[i].times;
        }
        most = isfinite(bound) && bound > most ? bound : most;
    }
    int exponent;
    frexpf(most, &exponent); /* most = [0.5, 1) * 2^exponent; f16 times a number is normal */
    return most != 0 ? (uint32_t)(exponent + 126) : 1;
}

enum { TOP_LANES = 32, EXPONENT = 0x7f80 };

/* Largest exponents so far, in place, of as many values of 2 or 4 bytes: their upper halves count.
 * Loops of a fixed length over small words, which compilers turn into vectors. */
static void top_of_lanes(const uint8_t *values, uint32_t step, int16_t *restrict lanes)
{
    uint16_t halves[TOP_LANES];
    if (step == 2) {
        memcpy(halves, values, sizeof halves);
    } else {
        uint32_t words[TOP_LANES];
        memcpy(words, values, sizeof words);
        for (uint32_t i = 0; i < TOP_LANES; i++) {
            halves[i] = (uint16_t)(words[i] >> 16);
        }
    }
    for (uint32_t i = 0; i < TOP_LANES; i++) {
        int16_t bits = (int16_t)(halves[i] & EXPONENT);
        bits = bits == EXPONENT ? 0 : bits; /* no finite value */
        lanes[i] = bits > lanes[i] ? bits : lanes[i];
    }
}

uint32_t quant_top_exponent(enum quant_id id, const uint8_t *rows, uint64_t bytes)
{
    if (FORMATS[id]->factors[0].times != 0) {
        return top_of_factors(FORMATS[id], rows, bytes);
    }
    if (id != QUANT_F32 && id != QUANT_BF16) {
        return 0;
    }
    uint32_t step = id == QUANT_F32 ? 4 : 2;
    uint64_t values = bytes / step, whole = values - values % TOP_LANES;
    int32_t most = 0;
    int16_t lanes[TOP_LANES] = {0};
    for (uint64_t i = 0; i < whole; i += TOP_LANES) {
        top_of_lanes(rows + i * step, step, lanes);
    }
    for (uint32_t i = 0; i < TOP_LANES; i++) {
        most = lanes[i] > most ? lanes[i] : most;
    }
    for (uint64_t i = whole; i < values; i++) {
        int32_t bits = load_u16(rows + i * step + step - 2) & EXPONENT;
        most = bits > most && bits < EXPONENT ? bits : most;
    }
    return most != 0 ? (uint32_t)most >> 7 : 1;
}

uint64_t quant_row_bytes(enum quant_id id, uint64_t cols)
{
    return cols / FORMATS[id]->block_cols * FORMATS[id]->block_bytes;
}

bool quant_layout_init(struct quant_layout *layout, enum quant_id id, uint64_t rows, uint64_t cols,
                       uint32_t lanes)
{
    const struct quant_format *format = FORMATS[id];
    uint64_t padded, row_bytes;
    if (rows == 0 || cols == 0 || lanes == 0 || cols % format->block_cols != 0 ||
        !size_add(rows, lanes - 1, &padded) ||
        !size_mul(cols / format->block_cols, format->block_bytes, &row_bytes)) {
        return false;
    }
    padded -= padded % lanes;
    *layout = (struct quant_layout){
        .id = id, .lanes = lanes, .rows = rows, .cols = cols, .padded_rows = padded};
    uint64_t end = 0;
    for (uint32_t p = 0; p < QUANT_PLANES; p++) {
        const struct quant_plane *plane = &format->planes[p];
        if (plane->unit_bytes == 0) {
            continue;
        }
        uint64_t units = size_div_up(cols, plane->unit_cols), bytes;
        if (units > UINT32_MAX || !size_mul(units * plane->unit_bytes, padded, &bytes) ||
            bytes > UINT64_MAX - PLANE_ALIGN || !size_add(end, bytes, &bytes) ||
            bytes > UINT64_MAX - PLANE_ALIGN) {
            return false;
        }
        layout->units[p] = (uint32_t)units;
        layout->base[p] = end;
        end = size_round(bytes, PLANE_ALIGN);
    }
    layout->bytes = end;
    return true;
}

/* Bytes that one row takes in a plane. */
static uint64_t plane_row_bytes(const struct quant_layout *layout, uint32_t plane)
{
    return (uint64_t)layout->units[plane] * FORMATS[layout->id]->planes[plane].unit_bytes;
}

uint64_t quant_pack_scratch(const struct quant_layout *layout)
{
    uint64_t bytes = 0;
    for (uint32_t p = 0; p < QUANT_PLANES; p++) {
        bytes += plane_row_bytes(layout, p);
    }
    return bytes;
}

void quant_pack_range(const struct quant_layout *layout, uint64_t row0, uint64_t n, uint32_t plane,
                      uint64_t *offset, uint64_t *bytes)
{
    uint64_t row_bytes = plane_row_bytes(layout, plane);
    uint64_t end = row0 + n >= layout->rows ? layout->padded_rows : row0 + n;
    *offset = layout->base[plane] + row0 * row_bytes;
    *bytes = (end - row0) * row_bytes;
}

/* Units of one row to every `stride` bytes. The two sizes are spelled out so that each copy is a
 * pair of instructions. */
static void scatter(const uint8_t *row, uint8_t *dst, uint32_t units, uint32_t unit_bytes,
                    size_t stride)
{
    if (stride == unit_bytes) {
        memcpy(dst, row, (size_t)units * unit_bytes);
    } else if (unit_bytes == 16) {
        for (uint32_t u = 0; u < units; u++) {
            memcpy(dst + u * stride, row + (size_t)u * 16, 16);
        }
    } else {
        for (uint32_t u = 0; u < units; u++) {
            memcpy(dst + u * stride, row + (size_t)u * 4, 4);
        }
    }
}

bool quant_pack_is_copy(const struct quant_layout *layout)
{
    /* formats without blocks have one plane, in the order of the file */
    return layout->lanes == 1 && FORMATS[layout->id]->block_cols == 1 &&
           plane_row_bytes(layout, 0) == quant_row_bytes(layout->id, layout->cols);
}

/* Rows that are not interleaved go straight to their places; only the last unit of a row may be
 * partial and has to be zeroed before. */
static void pack_alone(const struct quant_layout *layout, uint64_t n, const uint8_t *src,
                       uint8_t *const plane_dst[QUANT_PLANES])
{
    const struct quant_format *format = FORMATS[layout->id];
    uint64_t src_bytes = quant_row_bytes(layout->id, layout->cols);
    uint8_t *planes[QUANT_PLANES] = {NULL};
    for (uint64_t r = 0; r < n; r++) {
        for (uint32_t p = 0; p < QUANT_PLANES && format->planes[p].unit_bytes != 0; p++) {
            uint64_t bytes = plane_row_bytes(layout, p);
            planes[p] = plane_dst[p] + r * bytes;
            memset(planes[p] + bytes - format->planes[p].unit_bytes, 0,
                   format->planes[p].unit_bytes);
        }
        format->pack(src + r * src_bytes, (size_t)layout->cols, planes);
    }
}

void quant_pack_rows(const struct quant_layout *layout, uint64_t row0, uint64_t n,
                     const uint8_t *src, uint8_t *const plane_dst[QUANT_PLANES], uint8_t *scratch)
{
    const struct quant_format *format = FORMATS[layout->id];
    uint64_t src_bytes = quant_row_bytes(layout->id, layout->cols), lanes = layout->lanes;
    uint64_t count = row0 + n >= layout->rows ? layout->padded_rows - row0 : n;
    if (lanes == 1) {
        pack_alone(layout, n, src, plane_dst);
        return;
    }
    size_t scratch_bytes = (size_t)quant_pack_scratch(layout);
    uint8_t *planes[QUANT_PLANES], *next = scratch;
    for (uint32_t p = 0; p < QUANT_PLANES; p++) {
        planes[p] = next;
        next += plane_row_bytes(layout, p);
    }
    for (uint64_t r = 0; r < count; r++) {
        memset(scratch, 0, scratch_bytes);
        if (r < n) {
            format->pack(src + r * src_bytes, (size_t)layout->cols, planes);
        }
        for (uint32_t p = 0; p < QUANT_PLANES && format->planes[p].unit_bytes != 0; p++) {
            uint32_t unit_bytes = format->planes[p].unit_bytes;
            uint64_t group = r / lanes * lanes * plane_row_bytes(layout, p);
            scatter(planes[p], plane_dst[p] + group + r % lanes * unit_bytes, layout->units[p],
                    unit_bytes, (size_t)lanes * unit_bytes);
        }
    }
}

/* Gathers `n` units from `first` of a row into `out`. */
static void gather(const struct quant_layout *layout, const uint8_t *image, uint64_t row,
                   uint32_t p, uint64_t first, uint64_t n, uint8_t *out)
{
    uint64_t unit_bytes = FORMATS[layout->id]->planes[p].unit_bytes, lanes = layout->lanes;
    const uint8_t *group =
        image + layout->base[p] + row / lanes * lanes * plane_row_bytes(layout, p);
    for (uint64_t u = 0; u < n; u++) {
        memcpy(out + u * unit_bytes, group + ((first + u) * lanes + row % lanes) * unit_bytes,
               (size_t)unit_bytes);
    }
}

void quant_unpack_row(const struct quant_layout *layout, const uint8_t *image, uint64_t row,
                      float *out)
{
    const struct quant_format *format = FORMATS[layout->id];
    uint8_t runs[QUANT_PLANES][QUANT_RUN_COLS / MIN_UNIT_COLS * MAX_UNIT_BYTES];
    const uint8_t *planes[QUANT_PLANES] = {runs[0], runs[1], runs[2], runs[3]};
    for (uint64_t c = 0; c < layout->cols; c += QUANT_RUN_COLS) {
        uint64_t cols = layout->cols - c < QUANT_RUN_COLS ? layout->cols - c : QUANT_RUN_COLS;
        for (uint32_t p = 0; p < QUANT_PLANES && format->planes[p].unit_bytes != 0; p++) {
            uint32_t unit_cols = format->planes[p].unit_cols;
            gather(layout, image, row, p, c / unit_cols, size_div_up(cols, unit_cols), runs[p]);
        }
        format->unpack(planes, (size_t)cols, out + c);
    }
}
