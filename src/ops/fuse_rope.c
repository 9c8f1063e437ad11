/* rope(q), rope(k) and the KV append of that k become one node in the append's place. */
#include "ops/fuse_internal.h"

#include "ops/rope.h"

#include <string.h>

enum { SRC_X, SRC_STEP, SRC_FACTORS };

static bool is_rope(const struct plan_node *node)
{
    return fuse_is_op(node, "rope") && node->n_src == 3 && node->n_dst == 1;
}

static struct op_rope_attr rope_attr(const struct plan_node *node)
{
    struct op_rope_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    return attr;
}

/* They turn by the same angles, whatever their number of heads. */
static bool alike(const struct plan_node *a, const struct plan_node *b)
{
    struct op_rope_attr x = rope_attr(a), y = rope_attr(b);
    x.heads = y.heads;
    return a->device == b->device && a->layer == b->layer && a->src[SRC_STEP] == b->src[SRC_STEP] &&
           a->src[SRC_FACTORS] == b->src[SRC_FACTORS] && memcmp(&x, &y, sizeof x) == 0;
}

/* No node before `end` reads it. */
static bool is_read_later(const struct plan *plan, uint32_t tensor, uint32_t end)
{
    for (uint32_t n = 0; n < end; n++) {
        const struct plan_node *node = &plan->nodes[n];
        for (uint32_t i = 0; i < node->n_src && !node->dead; i++) {
            if (node->src[i] == tensor) {
                return false;
            }
        }
    }
    return true;
}

/* The rope node of q: the last one before the append that is like that of k. */
static uint32_t find_q(const struct plan *plan, uint32_t append, uint32_t k)
{
    for (uint32_t n = append; n-- > 0;) {
        const struct plan_node *node = &plan->nodes[n];
        if (n != k && is_rope(node) && alike(node, &plan->nodes[k]) &&
            is_read_later(plan, node->dst[0], append)) {
            return n;
        }
        if (node->layer != plan->nodes[append].layer) {
            break;
        }
    }
    return PLAN_NONE;
}

static struct plan_node join(const struct plan_node *append, const struct plan_node *q,
                             const struct plan_node *k, const struct op *op)
{
    struct plan_node node = *append;
    struct op_rope_append_attr attr = {.rope = rope_attr(q)};
    const uint32_t src[] = {q->src[SRC_X], k->src[SRC_X], append->src[1], append->src[2],
                            q->src[SRC_FACTORS]};
    const uint32_t dst[] = {q->dst[0], append->dst[0], append->dst[1]};
    memcpy(&attr.append, append->attr, sizeof attr.append);
    node.op = op;
    node.n_src = sizeof src / sizeof *src;
    node.n_dst = sizeof dst / sizeof *dst;
    node.in_place = 0;
    memcpy(node.src, src, sizeof src);
    memcpy(node.dst, dst, sizeof dst);
    memcpy(node.attr, &attr, sizeof attr);
    return node;
}

static bool same_heads(const struct plan_node *joined)
{
    struct op_rope_append_attr attr;
    memcpy(&attr, joined->attr, sizeof attr);
    return attr.rope.head_dim == attr.append.head_dim;
}

bool fuse_rope_append(struct fuse *f, uint32_t append)
{
    struct plan *plan = f->plan;
    struct plan_node *node = &plan->nodes[append];
    if (!fuse_is_op(node, "kv_append") || node->n_src != 3 || node->n_dst != 2) {
        return false;
    }
    uint32_t k = fuse_find_writer(f, node->src[0], node), step = node->src[2];
    if (k == PLAN_NONE || !is_rope(&plan->nodes[k]) || plan->nodes[k].src[SRC_STEP] != step) {
        return false;
    }
    uint32_t q = find_q(plan, append, k);
    if (q == PLAN_NONE) {
        return false;
    }
    struct plan_node joined = join(node, &plan->nodes[q], &plan->nodes[k], f->op);
    if (!same_heads(&joined) ||
        (f->targets != NULL &&
         !ops_rope_append_pays(plan, &joined, f->targets[node->device].caps))) {
        return false;
    }
    f->uses[node->src[0]] = (struct fuse_use){.writer = PLAN_NONE};
    f->uses[joined.dst[0]].writer = append;
    plan->nodes[q].dead = plan->nodes[k].dead = true;
    *node = joined;
    return true;
}
