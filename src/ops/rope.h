/* What rope, kv_append and rope_append share. */
#ifndef QUADRIGA_OPS_ROPE_H
#define QUADRIGA_OPS_ROPE_H

#include "ops/ops.h"

/* base^(-2/dims) and the scale, as sums of two floats. */
struct ops_rope_parts {
    float ratio[2], scale[2];
};
struct ops_rope_parts ops_rope_split(const struct op_rope_attr *attr);

/* Shapes and attributes fit; false: logged in the name of `op`, plan->failed set. */
bool ops_rope_check(struct plan *plan, const char *op, uint32_t x, uint32_t step, uint32_t factors,
                    const struct op_rope_attr *attr);
bool ops_append_check(struct plan *plan, const char *op, const uint32_t kv[2],
                      const uint32_t caches[2], uint32_t step,
                      const struct op_kv_append_attr *attr);

struct dev_caps;
/* A rope_append node of this shape has the kernel that was made for such a device; else it is
 * slower than the nodes that it would replace. */
bool ops_rope_append_pays(const struct plan *plan, const struct plan_node *node,
                          const struct dev_caps *caps);

#endif
