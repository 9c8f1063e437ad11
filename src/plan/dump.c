/* A plan as text: for people (--dry-run -v) and for golden tests, so the format is stable and holds
 * no addresses. */
#include "plan/plan.h"

#include "plan/op.h"

#include <stdio.h>

static const char *elem_name(const struct plan_tensor *tensor)
{
    return tensor->elem == PLAN_QUANT ? quant_get(tensor->quant)->name
                                      : plan_elem_name(tensor->elem);
}

static void add_tensor(const struct plan *plan, uint32_t id, struct str *out)
{
    if (id == PLAN_NONE) {
        str_printf(out, "-");
        return;
    }
    const struct plan_tensor *tensor = plan_get_tensor(plan, id);
    str_printf(out, "%s %s[%llu,%llu]", tensor->name, elem_name(tensor),
               (unsigned long long)tensor->rows, (unsigned long long)tensor->cols);
    if (tensor->role == PLAN_ACT && tensor->bytes != 0) {
        str_printf(out, "@%llu", (unsigned long long)tensor->offset);
    }
}

static void add_node(const struct plan *plan, size_t n, struct str *out)
{
    const struct plan_node *node = &plan->nodes[n];
    char device[16] = "-", layer[16] = "in";
    if (node->device != PLAN_NONE) {
        snprintf(device, sizeof device, "%u", node->device);
    }
    if (node->layer >= 0 && (uint32_t)node->layer < plan->n_layers) {
        snprintf(layer, sizeof layer, "%d", (int)node->layer);
    } else if (node->layer >= 0) {
        snprintf(layer, sizeof layer, "head");
    }
    str_printf(out, "%zu dev %s layer %s %s:", n, device, layer,
               node->kind == PLAN_BORDER ? "border" : node->op->name);
    for (uint32_t i = 0; i < node->n_src; i++) {
        str_printf(out, "%s ", i == 0 ? "" : ",");
        add_tensor(plan, node->src[i], out);
    }
    str_printf(out, " ->");
    for (uint32_t i = 0; i < node->n_dst; i++) {
        str_printf(out, "%s ", i == 0 ? "" : ",");
        add_tensor(plan, node->dst[i], out);
    }
    str_printf(out, "\n");
}

void plan_dump(const struct plan *plan, struct str *out)
{
    for (size_t n = 0; n < plan->n_nodes; n++) {
        if (!plan->nodes[n].dead) {
            add_node(plan, n, out);
        }
    }
    for (uint32_t d = 0; d < plan->n_devices; d++) {
        str_printf(out, "dev %u scratch %llu bytes\n", d, (unsigned long long)plan->scratch[d]);
    }
}
