/* Gathers the rows whose logits are asked for; marks logits. */
#include "ops/ops.h"

#include "gen/rows.h"
#include "ops/site.h"

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    out->flop = 0;
    out->bytes = 2.0 * ops_bytes(plan, node->dst[0]);
}

static const struct ops_variant variants[] = {{.name = "plain", .shader = &shader_rows}};

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[0]);
    const struct plan_tensor *y = plan_get_tensor(site->plan, node->dst[0]);
    struct rows_push push = {
        .cols = (uint32_t)x->cols, .rows = (uint32_t)x->rows, .n_out = (uint32_t)y->rows};
    const struct ops_variant *v = ops_pick_any(site, node);
    if (v == NULL) {
        return false;
    }
    struct ops_dispatch dispatch = {
        .kernel = ops_fixed_kernel(site->dev, v->shader),
        .n = 3,
        .tensors = {[ROWS_BIND_X] = node->src[0],
                    [ROWS_BIND_STEPS] = node->src[1],
                    [ROWS_BIND_Y] = node->dst[0]},
        .access =
            {[ROWS_BIND_X] = DEV_READ, [ROWS_BIND_STEPS] = DEV_READ, [ROWS_BIND_Y] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = y->rows,
        .label = "rows",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_rows = {.name = "rows",
                               .purpose = "rows whose logits are wanted",
                               .cost = cost,
                               .record = record,
                               .variants = variants,
                               .n_variants = 1};

uint32_t op_rows(struct plan *plan, uint32_t x, uint32_t step)
{
    const struct plan_tensor *in = ops_operand(plan, "rows", "x", x, PLAN_F32);
    const struct plan_tensor *words = ops_operand(plan, "rows", "step", step, PLAN_U32);
    if (in == NULL || words == NULL) {
        return PLAN_NONE;
    }
    if (plan->n_out == 0) {
        return ops_refuse(plan, "rows", "no rows are wanted");
    }
    struct plan_node node = {
        .op = &op_def_rows, .n_src = 2, .src = {x, step}, .in_place = PLAN_NONE};
    return ops_add_result(plan, &node, "rows", plan->n_out, in->cols);
}

void op_logits(struct plan *plan, uint32_t x)
{
    if (ops_operand(plan, "logits", "x", x, PLAN_F32) != NULL) {
        plan->tensors[x].role = PLAN_LOGITS;
    }
}
