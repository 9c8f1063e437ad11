/* Dummy weights: one dispatch per plane, and the same generator in C. The masks that make random
 * bits plausible weights belong to the formats. */
#include "ops/fill.h"

#include "gen/fill.h"
#include "ops/site.h"
#include "ops/weight.h"

#include <string.h>

enum { GROUP_WORDS = 64 * 4 }; /* of one work group */

static uint32_t mix_bits(uint32_t h)
{
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

static uint32_t make_word(uint64_t seed, uint32_t plane, uint64_t row, uint32_t word)
{
    uint32_t h = mix_bits((uint32_t)seed ^ plane * 0x9e3779b9u);
    h = mix_bits(h ^ (uint32_t)(seed >> 32));
    h = mix_bits(h ^ (uint32_t)row);
    return mix_bits(h ^ word);
}

static struct fill_push get_push(const struct quant_layout *layout, uint32_t plane, uint64_t row0,
                                 uint64_t seed)
{
    const struct quant_plane *p = &quant_get(layout->id)->planes[plane];
    uint32_t unit_words = p->unit_bytes / 4u;
    return (struct fill_push){
        .seed_low = (uint32_t)seed,
        .seed_high = (uint32_t)(seed >> 32),
        .plane = plane,
        .first = (uint32_t)(layout->base[plane] / 16),
        .words = (uint32_t)(layout->padded_rows * layout->units[plane] * unit_words),
        .unit_log2 = ops_log2(unit_words),
        .units = layout->units[plane],
        .lanes_log2 = ops_log2(layout->lanes),
        .rows = (uint32_t)layout->rows,
        .row0 = (uint32_t)row0,
        .mask = p->dummy_and,
        .bits = p->dummy_or,
    };
}

bool ops_fill_weight(struct dev *dev, struct dev_cmd *cmd, struct dev_buf *buf, uint64_t offset,
                     const struct quant_layout *layout, uint64_t row0, uint64_t tensor_seed,
                     struct log *log)
{
    const struct quant_format *format = quant_get(layout->id);
    if (layout->bytes / 4 > INT32_MAX || row0 > UINT32_MAX - layout->rows) {
        log_error(log, "fill: %llu rows from %llu, %llu bytes, are too many for one dispatch",
                  (unsigned long long)layout->rows, (unsigned long long)row0,
                  (unsigned long long)layout->bytes);
        return false;
    }
    struct dev_kernel_params params = {.shader = &shader_fill};
    struct dev_dispatch dispatch = {
        .kernel = dev_kernel_get(dev, &params), .n_binds = 1, .label = "fill"};
    dispatch.binds[FILL_BIND_IMAGE] = (struct dev_bind){
        .buf = buf, .offset = offset, .bytes = layout->bytes, .access = DEV_WRITE};
    if (dispatch.kernel == NULL) {
        return false;
    }
    for (uint32_t p = 0; p < QUANT_PLANES && format->planes[p].unit_bytes != 0; p++) {
        struct fill_push push = get_push(layout, p, row0, tensor_seed);
        dispatch.push = &push;
        dispatch.push_bytes = sizeof push;
        dispatch.groups[2] = 1;
        ops_fold(dev_get_caps(dev), 0, size_div_up(push.words, GROUP_WORDS), dispatch.groups);
        if (!dev_cmd_dispatch(cmd, &dispatch)) {
            return false;
        }
    }
    return true;
}

/* Words of one row in one plane. */
static void fill_row(const struct quant_layout *layout, uint32_t plane, uint64_t row, uint64_t row0,
                     uint64_t seed, uint8_t *image)
{
    const struct quant_plane *p = &quant_get(layout->id)->planes[plane];
    uint64_t lanes = layout->lanes, units = layout->units[plane];
    for (uint64_t u = 0; u < units; u++) {
        uint64_t unit = (row / lanes * units + u) * lanes + row % lanes;
        uint8_t *at = image + layout->base[plane] + unit * p->unit_bytes;
        for (uint32_t i = 0; i < p->unit_bytes / 4u; i++) {
            uint32_t word =
                make_word(seed, plane, row0 + row, (uint32_t)(u * (p->unit_bytes / 4u) + i));
            word = (word & p->dummy_and) | p->dummy_or;
            memcpy(at + (size_t)i * 4, &word, 4);
        }
    }
}

void ops_fill_host(const struct quant_layout *layout, uint64_t row0, uint64_t tensor_seed,
                   uint8_t *image)
{
    memset(image, 0, (size_t)layout->bytes);
    const struct quant_format *format = quant_get(layout->id);
    for (uint32_t p = 0; p < QUANT_PLANES && format->planes[p].unit_bytes != 0; p++) {
        for (uint64_t row = 0; row < layout->rows; row++) {
            fill_row(layout, p, row, row0, tensor_seed, image);
        }
    }
}
