/* How ops tell shaders where a weight lies (shaders/common/weights.glsl). */
#ifndef QUADRIGA_OPS_WEIGHT_H
#define QUADRIGA_OPS_WEIGHT_H

#include "device/device.h"
#include "plan/op.h"

/* For push blocks: of each plane its base, counted in its units, and its units per row; 0 where
 * there is no such plane. */
void ops_weight_planes(const struct quant_layout *layout, uint32_t base[QUANT_PLANES],
                       uint32_t units[QUANT_PLANES]);
/* The whole segment, read. */
struct dev_bind ops_weight_bind(const struct op_segment *segment);
/* For push blocks: the biased exponent of a power of two that brings a weight's largest value into
 * [2^13, 2^14), as far as that factor and its inverse are normal floats; 127 where `top` is 0. */
uint32_t ops_weight_exponent(const struct op_place *place);
/* Of a power of two. */
uint32_t ops_log2(uint32_t n);

#endif
