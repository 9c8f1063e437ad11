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

uint32_t ops_weight_exponent(const struct op_place *place)
{
    enum { BIAS = 127, AIM = BIAS + 13, MOST = 2 * BIAS - 1 };
    if (place->top == 0) {
        return BIAS;
    }
    uint32_t exponent = BIAS + AIM - place->top; /* top is at most 254 */
    return exponent < MOST ? exponent : MOST;
}

uint32_t ops_log2(uint32_t n)
{
    uint32_t log2 = 0;
    while (n >> log2 > 1) {
        log2++;
    }
    return log2;
}
