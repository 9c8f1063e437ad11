/* GeGLU: the gated activation of the feed-forward block of models with GELU. */
#include "ops/ops.h"

#include "gen/geglu.h"
#include "ops/site.h"

enum { GROUP_VALUES = 256 }; /* of one workgroup, in all variants */

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *a = plan_get_tensor(plan, node->src[0]);
    out->flop = 12.0 * (double)a->rows * (double)a->cols;
    out->bytes = 3.0 * ops_bytes(plan, node->src[0]);
}

static const struct ops_variant variants[] = {
    {.name = "lanes", .needs = DEV_CAP_CPU | DEV_CAP_TEXEL, .shader = &shader_geglu_lanes},
    {.name = "plain", .shader = &shader_geglu_plain},
};

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[0]);
    const struct ops_variant *v = ops_pick_texel(site, node, x);
    if (v == NULL) {
        return false;
    }
    struct geglu_push push = {.count = (uint32_t)(x->rows * x->cols)};
    struct ops_dispatch dispatch = {
        .kernel = ops_fixed_kernel(site->dev, v->shader),
        .n = 3,
        .tensors = {[GEGLU_BIND_GATE] = node->src[0],
                    [GEGLU_BIND_UP] = node->src[1],
                    [GEGLU_BIND_Y] = node->dst[0]},
        .access =
            {[GEGLU_BIND_GATE] = DEV_READ, [GEGLU_BIND_UP] = DEV_READ, [GEGLU_BIND_Y] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = size_div_up(push.count, GROUP_VALUES),
        .label = "geglu",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_geglu = {.name = "geglu",
                                .purpose = "gelu(gate) * up, the tanh form",
                                .cost = cost,
                                .record = record,
                                .variants = variants,
                                .n_variants = sizeof variants / sizeof *variants};

uint32_t op_geglu(struct plan *plan, uint32_t gate, uint32_t up)
{
    return ops_add_pair(plan, &op_def_geglu, "glu", gate, up);
}
