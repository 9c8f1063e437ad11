/* The joining of attention's splits is left to the attention node, whose partials become a second
 * result. */
#include "ops/fuse_internal.h"

#include "ops/attn_merge.h"

bool fuse_attn_merge(struct fuse *f, uint32_t merge)
{
    struct plan_node *node = &f->plan->nodes[merge];
    if (!fuse_is_op(node, "attn_merge") || node->n_src != 2 || node->n_dst != 1) {
        return false;
    }
    uint32_t n = fuse_find_writer(f, node->src[0], node);
    struct plan_node *attention = n != PLAN_NONE ? &f->plan->nodes[n] : NULL;
    if (attention == NULL || !fuse_is_op(attention, "attention") || attention->n_dst != 1 ||
        attention->src[3] != node->src[1]) {
        return false;
    }
    if (f->targets != NULL &&
        !ops_attention_merges(f->plan, attention, &f->targets[node->device])) {
        return false;
    }
    f->uses[node->src[0]].n_readers = 0;
    f->uses[node->dst[0]].writer = n;
    attention->n_dst = 2;
    attention->dst[1] = attention->dst[0];
    attention->dst[0] = node->dst[0];
    node->dead = true;
    return true;
}
