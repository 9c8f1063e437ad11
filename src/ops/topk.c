/* The tokens of the largest logits, found on the device, so that no vocabulary is read back. */
#include "ops/ops.h"

#include "gen/topk.h"
#include "ops/site.h"

struct attr {
    uint32_t k;
};

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    out->bytes = 4.0 * ops_bytes(plan, node->src[0]); /* three digits as a rule, and once more */
    out->flop = out->bytes / 4;
}

static const struct ops_variant variants[] = {
    {.name = "plain",
     .shader = &shader_topk_plain,
     .tunables = {{"local", {64, 128, 256, 512, 1024}}}},
};

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[0]);
    const struct attr *attr = (const void *)node->attr;
    const struct ops_variant *v = ops_pick_any(site, node);
    if (v == NULL) {
        return false;
    }
    struct topk_push push = {.cols = (uint32_t)x->cols, .rows = (uint32_t)x->rows, .k = attr->k};
    struct ops_dispatch dispatch = {
        .kernel = ops_row_kernel(site, node, v, x),
        .n = 2,
        .tensors = {[TOPK_BIND_X] = node->src[0], [TOPK_BIND_TOPS] = node->dst[0]},
        .access = {[TOPK_BIND_X] = DEV_READ, [TOPK_BIND_TOPS] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = x->rows,
        .label = "topk",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_topk = {.name = "topk",
                               .purpose = "the largest logits and their tokens",
                               .cost = cost,
                               .record = record,
                               .variants = variants,
                               .n_variants = sizeof variants / sizeof *variants};

uint32_t op_topk(struct plan *plan, uint32_t logits, uint32_t k)
{
    const struct plan_tensor *x = ops_operand(plan, "topk", "logits", logits, PLAN_F32);
    if (x == NULL) {
        return PLAN_NONE;
    }
    if (k == 0 || k > OP_MAX_TOP) {
        return ops_refuse(plan, "topk", "the largest %u of %s: 1 to %d are possible", k, x->name,
                          OP_MAX_TOP);
    }
    const struct plan_tensor tops = {
        .role = PLAN_IDS_OUT, .elem = PLAN_U32, .rows = x->rows, .cols = 2 * (uint64_t)k};
    struct plan_node node = {.op = &op_def_topk, .n_src = 1, .src = {logits}};
    *(struct attr *)(void *)node.attr = (struct attr){k};
    return ops_add_output(plan, &node, "tops", &tops);
}
