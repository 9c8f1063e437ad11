/* Pairs of token and expert by expert, so that matmul_experts reads an expert's weights once for
 * many tokens. */
#include "ops/ops.h"

#include "gen/expert_lists.h"
#include "ops/site.h"

#include <string.h>

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *ids = plan_get_tensor(plan, node->src[0]);
    const struct plan_tensor *lists = plan_get_tensor(plan, node->dst[0]);
    double pairs = (double)ids->rows * (double)ids->cols;
    out->flop = 4.0 * pairs * ((double)lists->cols - pairs - 1);
    out->bytes = ops_bytes(plan, node->src[0]) + ops_bytes(plan, node->dst[0]);
}

static const struct ops_variant variants[] = {{.name = "plain", .shader = &shader_expert_lists}};

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *ids = plan_get_tensor(site->plan, node->src[0]);
    const struct plan_tensor *lists = plan_get_tensor(site->plan, node->dst[0]);
    const struct ops_variant *v = ops_pick_any(site, node);
    if (v == NULL) {
        return false;
    }
    uint64_t pairs = ids->rows * ids->cols;
    struct expert_lists_push push = {.pairs = (uint32_t)pairs,
                                     .experts = (uint32_t)(lists->cols - pairs - 1)};
    struct ops_dispatch dispatch = {
        .kernel = ops_fixed_kernel(site->dev, v->shader),
        .n = 2,
        .tensors =
            {[EXPERT_LISTS_BIND_IDS] = node->src[0], [EXPERT_LISTS_BIND_LISTS] = node->dst[0]},
        .access = {[EXPERT_LISTS_BIND_IDS] = DEV_READ, [EXPERT_LISTS_BIND_LISTS] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = push.experts,
        .label = "expert_lists",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_expert_lists = {.name = "expert_lists",
                                       .purpose = "tokens of each expert",
                                       .cost = cost,
                                       .record = record,
                                       .variants = variants,
                                       .n_variants = 1};

/* The lists that another matmul of the layer has asked for. */
static uint32_t find(const struct plan *plan, uint32_t ids, uint64_t cols)
{
    for (size_t n = 0; n < plan->n_nodes; n++) {
        const struct plan_node *node = &plan->nodes[n];
        if (node->op == &op_def_expert_lists && node->src[0] == ids &&
            plan_get_tensor(plan, node->dst[0])->cols == cols) {
            return node->dst[0];
        }
    }
    return PLAN_NONE;
}

uint32_t op_expert_lists(struct plan *plan, uint32_t ids, uint32_t n_experts)
{
    const struct plan_tensor *in = ops_operand(plan, "expert_lists", "ids", ids, PLAN_U32);
    if (in == NULL) {
        return PLAN_NONE;
    }
    uint64_t cols = in->rows * in->cols + n_experts + 1;
    if (n_experts == 0 || n_experts > OP_MAX_EXPERTS || cols > INT32_MAX) {
        return ops_refuse(plan, "expert_lists", "%u experts for %llu x %llu ids", n_experts,
                          (unsigned long long)in->rows, (unsigned long long)in->cols);
    }
    uint32_t lists = find(plan, ids, cols);
    if (lists != PLAN_NONE) {
        return lists;
    }
    struct plan_node node = {.kind = PLAN_OP,
                             .op = &op_def_expert_lists,
                             .n_src = 1,
                             .src = {ids},
                             .n_dst = 1,
                             .in_place = PLAN_NONE};
    node.dst[0] = ops_add_words(plan, "expert_lists", 1, cols);
    return plan_add_node(plan, &node) != PLAN_NONE ? node.dst[0] : PLAN_NONE;
}
