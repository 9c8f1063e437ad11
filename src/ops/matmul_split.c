/* Into how many parts a product is split along its columns, and the two nodes that come of it. */
#include "ops/matmul_split.h"

#include "ops/matmul_tile.h"
#include "ops/ops.h"
#include "ops/site.h"

#include <string.h>

enum { LEAST_COLUMNS = 512, GROUPS = 512 };

static struct ops_need sum_need(uint64_t tokens)
{
    return (struct ops_need){.op = ops_find("split_sum"), .tokens = tokens, .quant = QUANT_COUNT};
}

/* The kernel that adds the parts; NULL: there is none. What is forced is so for the product. */
static const struct ops_variant *sum_kernel(const struct ops_target *target, uint64_t tokens)
{
    const struct ops_need need = sum_need(tokens);
    struct ops_prefs prefs = {0};
    const char *why;
    if (target->prefs != NULL) {
        prefs = *target->prefs;
        prefs.forced = NULL;
    }
    return ops_variant_choose(&need, target->caps, &prefs, &why);
}

/* False: nothing was measured. */
static bool tuned_parts(const struct ops_target *target, uint64_t tokens, uint64_t *parts)
{
    const struct ops_variant *v = sum_kernel(target, tokens);
    const struct ops_need need = sum_need(tokens);
    uint32_t values[OPS_MAX_TUNABLES];
    if (v == NULL || !ops_tuned_get(target->prefs, &need, v, values)) {
        return false;
    }
    *parts = values[0];
    return true;
}

bool ops_may_split(const struct ops_target *target)
{
    bool units = (target->caps->has & (DEV_CAP_COOPMAT | DEV_CAP_COOPMAT2)) != 0;
    bool tuned = (target->caps->has & DEV_CAP_CPU) == 0;
    if (!units || ops_prefs_is_off(target->prefs, "matmul", OPS_SPLIT)) {
        return false;
    }
    for (uint64_t tokens = OPS_SPLIT_LEAST; tokens <= OPS_SPLIT_MOST && !tuned; tokens *= 2) {
        uint64_t parts;
        tuned = tuned_parts(target, tokens, &parts) && parts > 1;
    }
    return tuned && sum_kernel(target, OPS_SPLIT_MOST) != NULL;
}

static uint64_t round_up(uint64_t tokens)
{
    uint64_t n = OPS_SPLIT_LEAST;
    while (n < tokens) {
        n *= 2;
    }
    return n;
}

/* By the rule. */
static uint64_t default_parts(const struct dev_caps *caps, uint64_t groups, uint64_t cols)
{
    uint64_t parts = 1;
    /* 2n is nearer to GROUPS than n where 3n is less than twice as much. */
    while ((caps->has & DEV_CAP_CPU) == 0 && parts < OP_MAX_PARTS &&
           3 * groups * parts < 2 * GROUPS && cols / (2 * parts) >= LEAST_COLUMNS) {
        parts *= 2;
    }
    return parts;
}

/* All tokens of all parts in one dispatch. */
static bool fits_bindings(const struct dev_caps *caps, uint64_t tokens, uint64_t rows,
                          uint64_t cols, uint64_t parts)
{
    uint64_t most = caps->max_binding_bytes / 4 / tokens;
    return rows <= most / parts && cols <= most;
}

uint32_t ops_matmul_part(const struct plan *plan, const struct plan_node *node,
                         const struct ops_variant *best, const struct ops_target *target)
{
    const struct plan_tensor *w = plan_get_tensor(plan, node->src[0]);
    uint64_t tokens = plan_get_tensor(plan, node->src[1])->rows, parts;
    if (strcmp(node->op->name, "matmul") != 0 || best->x != PLAN_F16 || tokens > OPS_SPLIT_MOST ||
        node->layer >= (int32_t)plan->n_layers || !ops_may_split(target)) {
        return 0;
    }
    tokens = round_up(tokens);
    const struct ops_need need = {
        .op = node->op, .tokens = tokens, .quant = w->quant, .x = best->x};
    const struct matmul_size size = {tokens, w->rows, w->cols};
    const struct matmul_tile tile = ops_matmul_tile(
        target, &need, (enum matmul_kernel)ops_variant_index(node->op, best), &size);
    uint64_t groups = size_div_up(w->rows, tile.rows) * size_div_up(tokens, tile.tokens);
    uint64_t steps = w->cols / tile.columns;
    if (!tuned_parts(target, tokens, &parts)) {
        parts = default_parts(target->caps, groups, w->cols);
    }
    parts = parts < steps ? parts : steps;
    uint64_t part = size_div_up(steps, parts) * tile.columns;
    parts = size_div_up(w->cols, part); /* fewer where the last ones would be empty */
    return parts > 1 && fits_bindings(target->caps, tokens, w->rows, w->cols, parts)
               ? (uint32_t)part
               : 0;
}

bool ops_matmul_split(struct plan *plan, struct plan_node *node, uint32_t part)
{
    const struct plan_tensor *w = plan_get_tensor(plan, node->src[0]);
    uint64_t tokens = plan_get_tensor(plan, node->src[1])->rows, rows = w->rows;
    uint64_t parts = size_div_up(w->cols, part);
    const struct op_matmul_attr attr = {.part = part};
    struct plan_node product = *node;
    product.src[2] = PLAN_NONE;
    product.in_place = PLAN_NONE;
    memcpy(product.attr, &attr, sizeof attr);
    uint32_t sums = ops_add_result(plan, &product, "parts", parts * tokens, rows);
    uint32_t residual = node->src[2];
    node->op = ops_find("split_sum");
    node->n_src = 2;
    node->src[0] = sums;
    node->src[1] = residual;
    node->in_place = residual != PLAN_NONE ? 1 : PLAN_NONE;
    memset(node->attr, 0, sizeof node->attr);
    return !plan->failed;
}
