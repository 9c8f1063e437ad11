/* The experts of each token and their weights, from the logits of the router. */
#include "ops/ops.h"

#include "gen/router.h"
#include "ops/site.h"

#include <string.h>

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *x = plan_get_tensor(plan, node->src[0]);
    const struct plan_tensor *ids = plan_get_tensor(plan, node->dst[0]);
    out->flop = (8.0 + (double)ids->cols) * (double)x->rows * (double)x->cols;
    out->bytes = ops_bytes(plan, node->src[0]) + 2.0 * ops_bytes(plan, node->dst[0]);
}

static const struct ops_variant variants[] = {
    {.name = "lanes",
     .needs = DEV_CAP_CPU | DEV_CAP_SHUFFLE | DEV_CAP_TEXEL,
     .min_subgroup = 4,
     .max_subgroup = 16,
     .shader = &shader_router_lanes},
    {.name = "plain", .shader = &shader_router_plain},
};

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[0]);
    const struct plan_tensor *ids = plan_get_tensor(site->plan, node->dst[0]);
    const struct ops_variant *v = ops_pick_texel(site, node, x);
    struct op_router_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    if (v == NULL) {
        return false;
    }
    struct router_push push = {.cols = (uint32_t)x->cols,
                               .rows = (uint32_t)x->rows,
                               .used = (uint32_t)ids->cols,
                               .normalise = attr.normalise};
    struct ops_dispatch dispatch = {
        .kernel = v->shader == &shader_router_lanes ? ops_lanes_kernel(site->dev, v->shader)
                                                    : ops_fixed_kernel(site->dev, v->shader),
        .n = 3,
        .tensors = {[ROUTER_BIND_X] = node->src[0],
                    [ROUTER_BIND_IDS] = node->dst[0],
                    [ROUTER_BIND_WEIGHTS] = node->dst[1]},
        .access = {[ROUTER_BIND_X] = DEV_READ,
                   [ROUTER_BIND_IDS] = DEV_WRITE,
                   [ROUTER_BIND_WEIGHTS] = DEV_READ_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = x->rows,
        .label = "router",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_router = {.name = "router",
                                 .purpose = "experts of each token",
                                 .cost = cost,
                                 .record = record,
                                 .variants = variants,
                                 .n_variants = sizeof variants / sizeof *variants};

struct op_routes op_router(struct plan *plan, uint32_t logits, const struct op_router_attr *attr)
{
    const struct op_routes none = {PLAN_NONE, PLAN_NONE};
    const struct plan_tensor *x = ops_operand(plan, "router", "logits", logits, PLAN_F32);
    if (x == NULL) {
        return none;
    }
    uint64_t rows = x->rows;
    if (attr->used == 0 || attr->used > x->cols || x->cols > OP_MAX_EXPERTS) {
        ops_refuse(plan, "router",
                   "%u experts of %llu (logits %s) are used, must be 1 to all of "
                   "at most %u",
                   attr->used, (unsigned long long)x->cols, x->name, OP_MAX_EXPERTS);
        return none;
    }
    struct plan_node node = {.kind = PLAN_OP,
                             .op = &op_def_router,
                             .n_src = 1,
                             .src = {logits},
                             .n_dst = 2,
                             .in_place = PLAN_NONE};
    memcpy(node.attr, attr, sizeof *attr);
    node.dst[0] = ops_add_words(plan, "expert_ids", rows, attr->used);
    node.dst[1] = plan_add_act(plan, "expert_weights", rows, attr->used);
    return plan_add_node(plan, &node) != PLAN_NONE ? (struct op_routes){node.dst[0], node.dst[1]}
                                                   : none;
}
