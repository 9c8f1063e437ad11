/* What the experts of a token have made, weighted and added. */
#include "ops/ops.h"

#include "gen/experts_sum.h"
#include "ops/site.h"

enum { GROUP_VALUES = 256 }; /* of one workgroup, in all variants */

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *x = plan_get_tensor(plan, node->src[0]);
    out->flop = 2.0 * (double)x->rows * (double)x->cols;
    out->bytes = ops_bytes(plan, node->src[0]) + ops_bytes(plan, node->dst[0]);
}

static const struct ops_variant variants[] = {
    {.name = "lanes", .needs = DEV_CAP_CPU | DEV_CAP_TEXEL, .shader = &shader_experts_sum_lanes},
    {.name = "plain", .shader = &shader_experts_sum_plain},
};

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[0]);
    const struct plan_tensor *w = plan_get_tensor(site->plan, node->src[1]);
    const struct ops_variant *v = ops_pick_texel(site, node, x);
    if (v == NULL) {
        return false;
    }
    struct experts_sum_push push = {
        .cols = (uint32_t)x->cols, .tokens = (uint32_t)w->rows, .used = (uint32_t)w->cols};
    struct ops_dispatch dispatch = {
        .kernel = ops_fixed_kernel(site->dev, v->shader),
        .n = 3,
        .tensors = {[EXPERTS_SUM_BIND_X] = node->src[0],
                    [EXPERTS_SUM_BIND_WEIGHTS] = node->src[1],
                    [EXPERTS_SUM_BIND_Y] = node->dst[0]},
        .access = {[EXPERTS_SUM_BIND_X] = DEV_READ,
                   [EXPERTS_SUM_BIND_WEIGHTS] = DEV_READ,
                   [EXPERTS_SUM_BIND_Y] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = size_div_up(w->rows * x->cols, GROUP_VALUES),
        .label = "experts_sum",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_experts_sum = {.name = "experts_sum",
                                      .purpose = "weighted sum over a token's experts",
                                      .cost = cost,
                                      .record = record,
                                      .variants = variants,
                                      .n_variants = sizeof variants / sizeof *variants};

uint32_t op_experts_sum(struct plan *plan, uint32_t y, uint32_t weights)
{
    const struct plan_tensor *x = ops_operand(plan, "experts_sum", "y", y, PLAN_F32);
    const struct plan_tensor *w = ops_operand(plan, "experts_sum", "weights", weights, PLAN_F32);
    if (x == NULL || w == NULL) {
        return PLAN_NONE;
    }
    if (x->rows != w->rows * w->cols) {
        return ops_refuse(plan, "experts_sum", "%s is %llu x %llu, weights %s are %llu x %llu",
                          x->name, (unsigned long long)x->rows, (unsigned long long)x->cols,
                          w->name, (unsigned long long)w->rows, (unsigned long long)w->cols);
    }
    struct plan_node node = {
        .op = &op_def_experts_sum, .n_src = 2, .src = {y, weights}, .in_place = PLAN_NONE};
    return ops_add_result(plan, &node, "moe", w->rows, x->cols);
}
