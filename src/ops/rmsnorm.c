/* RMSNorm: builder, cost, recording. Groups of columns that are normalised alone are rows of their
 * own to the kernels. */
#include "ops/ops.h"

#include "gen/rmsnorm.h"
#include "ops/site.h"

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *x = plan_get_tensor(plan, node->src[0]);
    out->flop = 4.0 * (double)x->rows * (double)x->cols;
    out->bytes = 2.0 * ops_bytes(plan, node->src[0]) + (double)x->cols * 4.0;
}

static const struct ops_variant variants[] = {
    {.name = "lanes",
     .needs = DEV_CAP_CPU | DEV_CAP_SHUFFLE | DEV_CAP_TEXEL,
     .min_subgroup = 4,
     .max_subgroup = 16,
     .shader = &shader_rmsnorm_lanes},
    {.name = "plain",
     .shader = &shader_rmsnorm_plain,
     .tunables = {{"local", {64, 128, 256, 512}}}},
};

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[0]);
    const struct op_rmsnorm_attr *attr = (const void *)node->attr;
    uint64_t cols = plan_get_tensor(site->plan, node->src[1])->cols;
    const struct plan_tensor groups = {.rows = x->rows * (x->cols / cols), .cols = cols};
    const struct ops_variant *v = ops_pick_texel(site, node, &groups);
    if (v == NULL) {
        return false;
    }
    struct rmsnorm_push push = {
        .cols = (uint32_t)cols, .rows = (uint32_t)groups.rows, .eps = attr->eps};
    struct ops_dispatch dispatch = {
        .kernel = v->shader == &shader_rmsnorm_lanes
                      ? ops_lanes_kernel(site->dev, v->shader)
                      : ops_loop_kernel(site, node, v, groups.rows, cols),
        .n = 3,
        .tensors = {[RMSNORM_BIND_X] = node->src[0],
                    [RMSNORM_BIND_W] = node->src[1],
                    [RMSNORM_BIND_Y] = node->dst[0]},
        .access = {[RMSNORM_BIND_X] = DEV_READ,
                   [RMSNORM_BIND_W] = DEV_READ,
                   [RMSNORM_BIND_Y] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = groups.rows,
        .label = "rmsnorm",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_rmsnorm = {.name = "rmsnorm",
                                  .purpose = "root mean square norm times weight",
                                  .cost = cost,
                                  .record = record,
                                  .variants = variants,
                                  .n_variants = sizeof variants / sizeof *variants};

uint32_t op_rmsnorm(struct plan *plan, uint32_t x, uint32_t w, float eps)
{
    const struct plan_tensor *in = ops_operand(plan, "rmsnorm", "x", x, PLAN_F32);
    const struct plan_tensor *weight = ops_operand(plan, "rmsnorm", "weight", w, PLAN_QUANT);
    if (in == NULL || weight == NULL) {
        return PLAN_NONE;
    }
    if (weight->quant != QUANT_F32 || weight->rows != 1 || weight->cols == 0 ||
        in->cols % weight->cols != 0) {
        return ops_refuse(plan, "rmsnorm", "weight %s is not F32 [%llu] or a part of it",
                          weight->name, (unsigned long long)in->cols);
    }
    struct plan_node node = {
        .op = &op_def_rmsnorm, .n_src = 2, .src = {x, w}, .in_place = PLAN_NONE};
    ((struct op_rmsnorm_attr *)(void *)node.attr)->eps = eps;
    return ops_add_result(plan, &node, "norm", in->rows, in->cols);
}
