/* What the ops that read or make weights share: numbers of a layout as shaders take them. What the
 * planes hold is known to the formats only. */
#include "ops/weight.h"

void ops_weight_planes(const struct quant_layout *layout, uint32_t base[QUANT_PLANES],
                       uint32_t units[QUANT_PLANES])
{
    const struct quant_format *format = quant_get(layout->id);
    for (uint32_t p = 0; p < QUANT_PLANES; p++) {
        uint32_t bytes = format->planes[p].unit_bytes;
        base[p] = bytes != 0 ? (uint32_t)(layout->base[p] / bytes) : 0;
        units[p] = layout->units[p];
    }
}

struct dev_bind ops_weight_bind(const struct op_segment *segment)
{
    return (struct dev_bind){.buf = segment->buf,
                             .offset = segment->offset,
                             .bytes = segment->bytes,
                             .access = DEV_READ};
}

uint32_t ops_log2(uint32_t n)
{
    uint32_t log2 = 0;
    while (n >> log2 > 1) {
        log2++;
    }
    return log2;
}
