/* Joins the partial results of attention's splits. Added by op_attention alone. */
#include "ops/ops.h"

#include "gen/attn_merge.h"
#include "ops/site.h"

#include <string.h>

#define WORKGROUP 64

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *partial = &plan->tensors[node->src[0]];
    *out = (struct op_cost){
        .flop = 3.0 * (double)partial->rows * (double)partial->cols,
        .bytes = (double)plan_tensor_bytes(partial) +
                 (double)plan_tensor_bytes(&plan->tensors[node->dst[0]]),
    };
}

static const struct ops_variant variants[] = {{.name = "plain", .shader = &shader_attn_merge}};

/* A kernel that is forced is attention's: there is one of this op. */
static const struct ops_variant *pick(const struct op_site *site, const struct plan_node *node)
{
    const char *forced = site->prefs != NULL ? site->prefs->forced : NULL;
    bool other = forced != NULL && ops_find_variant(node->op, forced) == NULL;
    return other ? &variants[0] : ops_pick_any(site, node);
}

static bool record(const struct op_site *site, const struct plan_node *node)
{
    struct op_attention_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    const struct plan_tensor *result = &site->plan->tensors[node->dst[0]];
    const struct ops_variant *v = pick(site, node);
    if (v == NULL) {
        return false;
    }
    const struct dev_kernel_params params = {
        .shader = v->shader,
        .n_specs = 5,
        .specs = {{ATTN_MERGE_SPEC_LOCAL_SIZE, WORKGROUP},
                  {ATTN_MERGE_SPEC_HEAD_DIM, attr.head_dim},
                  {ATTN_MERGE_SPEC_SPLITS, attr.splits},
                  {ATTN_MERGE_SPEC_WINDOW, attr.window},
                  {ATTN_MERGE_SPEC_LOCAL, attr.group}},
    };
    struct attn_merge_push push = {.heads = attr.heads};
    struct dev_dispatch dispatch = {
        .kernel = dev_kernel_get(site->dev, &params),
        .n_binds = 3,
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {(uint32_t)size_div_up(result->cols, WORKGROUP), (uint32_t)result->rows, 1},
        .label = "attn_merge",
    };
    dispatch.binds[ATTN_MERGE_BIND_PARTIAL] = ops_bind(site, node->src[0], DEV_READ);
    dispatch.binds[ATTN_MERGE_BIND_RESULT] = ops_bind(site, node->dst[0], DEV_WRITE);
    dispatch.binds[ATTN_MERGE_BIND_STEPS] = ops_bind(site, node->src[1], DEV_READ);
    return dispatch.kernel != NULL && dev_cmd_dispatch(site->cmd, &dispatch);
}

const struct op op_def_attn_merge = {
    .name = "attn_merge",
    .purpose = "joins the partial results of attention's splits",
    .cost = cost,
    .record = record,
    .variants = variants,
    .n_variants = 1,
};

uint32_t op_attn_merge(struct plan *plan, uint32_t partial, uint32_t step,
                       const struct op_attention_attr *attr)
{
    const struct plan_tensor *tensor =
        ops_operand(plan, "attn_merge", "partial", partial, PLAN_F32);
    if (tensor == NULL || ops_operand(plan, "attn_merge", "step", step, PLAN_U32) == NULL) {
        return PLAN_NONE;
    }
    uint64_t parts = (uint64_t)attr->heads * attr->splits, rows = tensor->rows;
    if (parts == 0 || rows % parts != 0 || tensor->cols != (uint64_t)attr->head_dim + 2) {
        return ops_refuse(plan, "attn_merge", "%s %llu x %llu is not %u heads in %u splits of %u",
                          tensor->name, (unsigned long long)rows, (unsigned long long)tensor->cols,
                          attr->heads, attr->splits, attr->head_dim);
    }
    struct plan_node node = {
        .op = &op_def_attn_merge, .n_src = 2, .src = {partial, step}, .in_place = PLAN_NONE};
    memcpy(node.attr, attr, sizeof *attr);
    return ops_add_result(plan, &node, "attn_out", rows / parts,
                          (uint64_t)attr->heads * attr->head_dim);
}
