/* Puts stage and stage_q8 nodes before the matmuls whose kernels on their device read what these
 * make, and split_sum nodes behind those that are split. Which kernels those are is decided by the
 * tables of variants, and which are split by matmul_split.c. */
#include "ops/lower.h"

#include "ops/matmul_split.h"
#include "ops/matmul_tile.h"
#include "ops/ops.h"

#include <string.h>

struct lowering {
    const struct ops_target *targets;
    /* Of each activation, as f16 and then of each as bytes; x is PLAN_NONE where there is none yet.
     */
    struct op_staged *staged;
    size_t n_tensors; /* of the plan without them */
};

enum { SRC_X = 1 };

/* Which source is the scale of staged activations; 0: the op has no such kernels. */
static uint32_t scale_source(const struct plan_node *node)
{
    if (node->kind != PLAN_OP) {
        return 0;
    }
    return strcmp(node->op->name, "matmul") == 0           ? 3
           : strcmp(node->op->name, "matmul_experts") == 0 ? 4
                                                           : 0;
}

static bool visit(struct plan *plan, struct plan_node *node, void *user)
{
    const struct lowering *l = user;
    uint32_t scale = scale_source(node), x = scale != 0 ? node->src[SRC_X] : PLAN_NONE;
    if (x >= l->n_tensors || plan->tensors[x].role != PLAN_ACT ||
        plan->tensors[x].elem != PLAN_F32) {
        return true;
    }
    const struct ops_target *target = &l->targets[node->device];
    const struct ops_variant *best = ops_matmul_best(plan, node, target->caps, target->prefs);
    if (best == NULL || best->x == PLAN_F32) {
        return true;
    }
    bool q8 = best->x == PLAN_S8;
    struct op_staged *staged = &l->staged[q8 ? l->n_tensors + x : x];
    if (staged->x == PLAN_NONE) {
        *staged = q8 ? op_stage_q8(plan, x) : op_stage(plan, x);
    }
    while (node->n_src <= scale) {
        node->src[node->n_src++] = PLAN_NONE;
    }
    node->src[SRC_X] = staged->x;
    node->src[scale] = staged->scale;
    uint32_t part = !plan->failed ? ops_matmul_part(plan, node, best, target) : 0;
    return part != 0 ? ops_matmul_split(plan, node, part) : !plan->failed;
}

bool ops_lower(struct plan *plan, const struct ops_target *targets)
{
    if (plan->failed) {
        return false;
    }
    struct lowering l = {.targets = targets, .n_tensors = plan->n_tensors};
    l.staged = mem_alloc(l.n_tensors, 2 * sizeof *l.staged);
    bool ok = l.staged != NULL;
    if (ok) {
        memset(l.staged, 0xff, 2 * l.n_tensors * sizeof *l.staged);
        ok = plan_rewrite(plan, visit, &l);
    }
    if (!ok) {
        log_error(plan->log, "lower: out of memory for the staged activations of %zu nodes",
                  plan->n_nodes);
        plan->failed = true;
    }
    mem_free(l.staged);
    return ok;
}
