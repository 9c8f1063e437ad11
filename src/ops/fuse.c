/* Rewrites of a placed plan that save passes over memory. Nodes only become dead or gain operands:
 * their order stays. Whether operand and result may share memory is left to plan/memory.c. */
#include "ops/ops.h"

#include "plan/op.h"

#include <string.h>

/* Who writes a tensor and how often it is read. */
struct use {
    uint32_t writer, n_readers;
};

static struct use *count_uses(const struct plan *plan)
{
    struct use *uses = mem_alloc(plan->n_tensors, sizeof *uses);
    if (uses == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < plan->n_tensors; i++) {
        uses[i].writer = PLAN_NONE;
    }
    for (uint32_t n = 0; n < plan->n_nodes; n++) {
        const struct plan_node *node = &plan->nodes[n];
        for (uint32_t i = 0; i < node->n_src && !node->dead; i++) {
            if (node->src[i] != PLAN_NONE) {
                uses[node->src[i]].n_readers++;
            }
        }
        for (uint32_t i = 0; i < node->n_dst && !node->dead; i++) {
            uses[node->dst[i]].writer = n;
        }
    }
    return uses;
}

static bool is_op(const struct plan_node *node, const char *name)
{
    return node->kind == PLAN_OP && !node->dead && strcmp(node->op->name, name) == 0;
}

/* The matmul whose result is operand `side` of the add node, if it may take the other operand as
 * its residual: one device, one layer, no other reader, and the residual is written before it. */
static uint32_t find_matmul(const struct plan *plan, const struct use *uses, uint32_t add,
                            uint32_t side)
{
    const struct plan_node *node = &plan->nodes[add];
    uint32_t product = node->src[side], residual = node->src[1 - side];
    uint32_t n = uses[product].writer, before = uses[residual].writer;
    if (n == PLAN_NONE || uses[product].n_readers != 1) {
        return PLAN_NONE;
    }
    const struct plan_node *matmul = &plan->nodes[n];
    const struct plan_tensor *p = &plan->tensors[product], *r = &plan->tensors[residual];
    bool plain = is_op(matmul, "matmul") &&
                 (matmul->n_src == 2 || (matmul->n_src == 3 && matmul->src[2] == PLAN_NONE));
    bool same_place = matmul->device == node->device && matmul->layer == node->layer;
    bool same_shape = p->role == PLAN_ACT && r->role == PLAN_ACT && r->elem == p->elem &&
                      r->rows == p->rows && r->cols == p->cols;
    return plain && same_place && same_shape && before != PLAN_NONE && before < n ? n : PLAN_NONE;
}

static bool fuse_residual(struct plan *plan, struct use *uses, uint32_t add)
{
    struct plan_node *node = &plan->nodes[add];
    if (!is_op(node, "add") || node->n_src != 2 || node->n_dst != 1 || node->src[0] == PLAN_NONE ||
        node->src[1] == PLAN_NONE) {
        return false;
    }
    uint32_t side = 0, n = find_matmul(plan, uses, add, 0);
    if (n == PLAN_NONE) {
        side = 1;
        n = find_matmul(plan, uses, add, 1);
    }
    if (n == PLAN_NONE) {
        return false;
    }
    struct plan_node *matmul = &plan->nodes[n];
    uses[node->src[side]] = (struct use){.writer = PLAN_NONE};
    uses[node->dst[0]].writer = n;
    matmul->n_src = 3;
    matmul->src[2] = node->src[1 - side];
    matmul->dst[0] = node->dst[0];
    matmul->in_place = 2;
    node->dead = true;
    return true;
}

uint32_t ops_fuse(struct plan *plan, uint32_t allowed)
{
    if (plan->failed || (allowed & OP_FUSE_RESIDUAL) == 0) {
        return 0;
    }
    struct use *uses = count_uses(plan);
    if (uses == NULL) {
        log_warn(plan->log, "fuse: out of memory, the plan stays as it is");
        return 0;
    }
    uint32_t fused = 0;
    for (uint32_t n = 0; n < plan->n_nodes; n++) {
        fused += fuse_residual(plan, uses, n) ? 1 : 0;
    }
    mem_free(uses);
    return fused;
}
