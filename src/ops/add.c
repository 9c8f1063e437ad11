/* Residual addition, and that of a bias: one row for all tokens. */
#include "ops/ops.h"

#include "gen/add.h"
#include "ops/site.h"

enum { GROUP_VALUES = 256 }; /* of one workgroup, in all variants */

static bool is_row(const struct plan *plan, const struct plan_node *node)
{
    return plan_get_tensor(plan, node->src[1])->rows == 1;
}

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *a = plan_get_tensor(plan, node->src[0]);
    out->flop = 1.0 * (double)a->rows * (double)a->cols;
    out->bytes = (is_row(plan, node) ? 2.0 : 3.0) * ops_bytes(plan, node->src[0]);
}

static const struct ops_variant variants[] = {
    {.name = "lanes", .needs = DEV_CAP_CPU | DEV_CAP_TEXEL, .shader = &shader_add_lanes},
    {.name = "plain", .shader = &shader_add_plain},
};

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[0]);
    const struct ops_variant *v = ops_pick_texel(site, node, x);
    if (v == NULL) {
        return false;
    }
    struct add_push push = {.count = (uint32_t)(x->rows * x->cols),
                            .cols = is_row(site->plan, node) ? (uint32_t)x->cols : 0};
    struct ops_dispatch dispatch = {
        .kernel = ops_fixed_kernel(site->dev, v->shader),
        .n = 3,
        .tensors =
            {[ADD_BIND_A] = node->src[0], [ADD_BIND_B] = node->src[1], [ADD_BIND_Y] = node->dst[0]},
        .access = {[ADD_BIND_A] = DEV_READ, [ADD_BIND_B] = DEV_READ, [ADD_BIND_Y] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = size_div_up(push.count, GROUP_VALUES),
        .label = "add",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_add = {.name = "add",
                              .purpose = "sum of two activations, or of one and a row",
                              .cost = cost,
                              .record = record,
                              .variants = variants,
                              .n_variants = sizeof variants / sizeof *variants};

uint32_t op_add(struct plan *plan, uint32_t a, uint32_t b)
{
    const struct plan_tensor *x = plan_get_tensor(plan, a), *row = plan_get_tensor(plan, b);
    bool weight = row->elem == PLAN_QUANT && row->quant == QUANT_F32;
    if (plan->failed || row->rows != 1 || row->cols != x->cols || (x->rows == 1 && !weight) ||
        (row->elem != PLAN_F32 && !weight)) {
        return ops_add_pair(plan, &op_def_add, "sum", a, b);
    }
    if (ops_operand(plan, "add", "a", a, PLAN_F32) == NULL) {
        return PLAN_NONE;
    }
    struct plan_node node = {.op = &op_def_add, .n_src = 2, .src = {a, b}, .in_place = 0};
    return ops_add_result(plan, &node, "biased", x->rows, x->cols);
}
