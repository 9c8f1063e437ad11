/* Walks a placed plan and lets a pass put nodes before others. Which nodes, and what they are for,
 * is known to the passes only. */
#include "plan/plan.h"

/* Nodes added since `begin`, and what they make, are on the reader's device. */
static void place_added(struct plan *plan, size_t begin, uint32_t device)
{
    for (size_t n = begin; n < plan->n_nodes; n++) {
        struct plan_node *node = &plan->nodes[n];
        node->device = device;
        for (uint32_t i = 0; i < node->n_dst; i++) {
            plan->tensors[node->dst[i]].device = device;
        }
    }
}

bool plan_rewrite(struct plan *plan, plan_visit *visit, void *user)
{
    size_t n_nodes = plan->n_nodes;
    struct plan_node *old = plan->nodes;
    int32_t layer = plan->layer;
    bool ok = !plan->failed;
    plan->nodes = NULL;
    plan->n_nodes = plan->cap_nodes = 0;
    for (size_t n = 0; n < n_nodes && ok; n++) {
        struct plan_node node = old[n];
        size_t begin = plan->n_nodes;
        plan->layer = node.layer;
        ok = node.dead || visit(plan, &node, user);
        place_added(plan, begin, node.device);
        ok = ok && !plan->failed &&
             mem_grow((void **)&plan->nodes, &plan->cap_nodes, plan->n_nodes, sizeof *plan->nodes);
        if (ok) {
            plan->nodes[plan->n_nodes++] = node;
        }
    }
    plan->failed = plan->failed || !ok;
    plan->layer = layer;
    mem_free(old);
    return ok;
}
