/* Tiles of attention by matrix units (variant "coopmat"): whether a shape fits a device's matrices
 * and shared memory, and how the work is cut, by default or as it was measured best. */
#ifndef QUADRIGA_OPS_ATTENTION_MATRIX_H
#define QUADRIGA_OPS_ATTENTION_MATRIX_H

#include "ops/ops.h"
#include "ops/variant.h"

#define ATTENTION_MATRIX_TUNABLES                                                                  \
    {                                                                                              \
        {"subgroups", {1, 2, 4, 8, 16}}, {"strips", {1, 2}}, {"block", {16, 32, 64, 128}},         \
            {"stages", {1, 2}},                                                                    \
    }

/* Names as in shaders/common/kv_matrix.glsl; a tile has heads x tokens rows. */
struct attention_matrix {
    uint32_t subgroups, strips, block, stages, heads, tokens;
};

/* NULL: the shape fits; else why not. */
const char *ops_attention_matrix_unfit(const struct dev_caps *caps,
                                       const struct op_attention_attr *attr);
/* For a shape that fits. kv_heads: those of the cache segment. */
struct attention_matrix ops_attention_matrix(const struct op_site *site,
                                             const struct ops_need *need,
                                             const struct ops_variant *variant,
                                             const struct op_attention_attr *attr,
                                             uint32_t kv_heads);

#endif
