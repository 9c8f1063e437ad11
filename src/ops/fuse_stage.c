/* stage(norm(x)) and stage(gate(x) * up): the node that makes the activation writes its staged
 * form, where that is all that is read. */
#include "ops/fuse_internal.h"

#include "ops/ops.h"

#include <string.h>

/* The stage node takes op and operands of the one before it, which is named `name`. */
static struct plan_node *join(struct fuse *f, uint32_t stage, const char *name)
{
    struct plan_node *node = &f->plan->nodes[stage];
    uint32_t n = fuse_is_op(node, "stage") ? fuse_find_writer(f, node->src[0], node) : PLAN_NONE;
    if (n == PLAN_NONE || !fuse_is_op(&f->plan->nodes[n], name)) {
        return NULL;
    }
    struct plan_node *from = &f->plan->nodes[n];
    f->uses[node->src[0]] = (struct fuse_use){.writer = PLAN_NONE};
    node->op = f->op;
    node->n_src = 2;
    memcpy(node->src, from->src, sizeof node->src);
    memcpy(node->attr, from->attr, sizeof node->attr);
    from->dead = true;
    return node;
}

/* Norms of groups of columns are no rows to the kernel. */
static bool is_whole(const struct fuse *f, const struct plan_node *stage)
{
    uint32_t n = fuse_is_op(stage, "stage") ? fuse_find_writer(f, stage->src[0], stage) : PLAN_NONE;
    if (n == PLAN_NONE || f->plan->nodes[n].n_src != 2) {
        return false;
    }
    const struct plan_node *from = &f->plan->nodes[n];
    return plan_get_tensor(f->plan, from->src[0])->cols ==
           plan_get_tensor(f->plan, from->src[1])->cols;
}

bool fuse_norm_stage(struct fuse *f, uint32_t node)
{
    return is_whole(f, &f->plan->nodes[node]) && join(f, node, "rmsnorm") != NULL;
}

bool fuse_gate_stage(struct fuse *f, uint32_t node)
{
    struct plan_node *gated = join(f, node, "swiglu");
    bool gelu = gated == NULL;
    gated = gelu ? join(f, node, "geglu") : gated;
    if (gated != NULL) {
        const struct op_gate_stage_attr attr = {.gelu = gelu ? 1 : 0};
        memcpy(gated->attr, &attr, sizeof attr);
    }
    return gated != NULL;
}
