/* A factor, and the soft cap of logits. */
#include "ops/ops.h"

#include "gen/scale.h"
#include "ops/site.h"

#include <math.h>

enum { GROUP_VALUES = 256 }; /* of one workgroup, in all variants */

struct attr {
    float scale, softcap;
};

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *x = plan_get_tensor(plan, node->src[0]);
    const struct attr *attr = (const void *)node->attr;
    out->flop = (attr->softcap != 0 ? 16.0 : 1.0) * (double)x->rows * (double)x->cols;
    out->bytes = 2.0 * ops_bytes(plan, node->src[0]);
}

static const struct ops_variant variants[] = {
    {.name = "lanes", .needs = DEV_CAP_CPU | DEV_CAP_TEXEL, .shader = &shader_scale_lanes},
    {.name = "plain", .shader = &shader_scale_plain},
};

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[0]);
    const struct attr *attr = (const void *)node->attr;
    const struct ops_variant *v = ops_pick_texel(site, node, x);
    if (v == NULL) {
        return false;
    }
    struct scale_push push = {
        .count = (uint32_t)(x->rows * x->cols), .scale = attr->scale, .softcap = attr->softcap};
    struct ops_dispatch dispatch = {
        .kernel = ops_fixed_kernel(site->dev, v->shader),
        .n = 2,
        .tensors = {[SCALE_BIND_X] = node->src[0], [SCALE_BIND_Y] = node->dst[0]},
        .access = {[SCALE_BIND_X] = DEV_READ, [SCALE_BIND_Y] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = size_div_up(push.count, GROUP_VALUES),
        .label = "scale",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_scale = {.name = "scale",
                                .purpose = "factor, soft cap",
                                .cost = cost,
                                .record = record,
                                .variants = variants,
                                .n_variants = sizeof variants / sizeof *variants};

uint32_t op_scale(struct plan *plan, uint32_t x, float scale, float softcap)
{
    const struct plan_tensor *in = ops_operand(plan, "scale", "x", x, PLAN_F32);
    if (in == NULL) {
        return PLAN_NONE;
    }
    if (!isfinite(scale) || !(softcap >= 0 && isfinite(softcap))) {
        return ops_refuse(plan, "scale", "%s: scale %g, soft cap %g", in->name, (double)scale,
                          (double)softcap);
    }
    struct plan_node node = {.op = &op_def_scale, .n_src = 1, .src = {x}, .in_place = 0};
    *(struct attr *)(void *)node.attr = (struct attr){scale, softcap};
    return ops_add_result(plan, &node, softcap != 0 ? "capped" : "scaled", in->rows, in->cols);
}
