/* add(matmul, r) becomes a matmul with residual r, which its kernels add as they store. */
#include "ops/fuse_internal.h"

/* The matmul whose result is operand `side` of the add node, if it may take the other operand as
 * its residual, which must be written before it. */
static uint32_t find_matmul(const struct fuse *f, uint32_t add, uint32_t side)
{
    const struct plan *plan = f->plan;
    const struct plan_node *node = &plan->nodes[add];
    uint32_t product = node->src[side], residual = node->src[1 - side];
    uint32_t n = fuse_find_writer(f, product, node), before = f->uses[residual].writer;
    if (n == PLAN_NONE) {
        return PLAN_NONE;
    }
    const struct plan_node *matmul = &plan->nodes[n];
    const struct plan_tensor *p = &plan->tensors[product], *r = &plan->tensors[residual];
    bool plain = fuse_is_op(matmul, "matmul") &&
                 (matmul->n_src == 2 || (matmul->n_src == 3 && matmul->src[2] == PLAN_NONE));
    bool same_shape =
        r->role == PLAN_ACT && r->elem == p->elem && r->rows == p->rows && r->cols == p->cols;
    return plain && same_shape && before != PLAN_NONE && before < n ? n : PLAN_NONE;
}

bool fuse_residual(struct fuse *f, uint32_t add)
{
    struct plan_node *node = &f->plan->nodes[add];
    if (!fuse_is_op(node, "add") || node->n_src != 2 || node->n_dst != 1 ||
        node->src[0] == PLAN_NONE || node->src[1] == PLAN_NONE) {
        return false;
    }
    uint32_t side = 0, n = find_matmul(f, add, 0);
    if (n == PLAN_NONE) {
        side = 1;
        n = find_matmul(f, add, 1);
    }
    if (n == PLAN_NONE) {
        return false;
    }
    struct plan_node *matmul = &f->plan->nodes[n];
    f->uses[node->src[side]] = (struct fuse_use){.writer = PLAN_NONE};
    f->uses[node->dst[0]].writer = n;
    matmul->n_src = 3;
    matmul->src[2] = node->src[1 - side];
    matmul->dst[0] = node->dst[0];
    matmul->in_place = 2;
    node->dead = true;
    return true;
}
