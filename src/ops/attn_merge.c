/* Joins the partial results of attention's splits. Added by op_attention alone. */
#include "ops/attn_merge.h"

#include "gen/attn_merge.h"

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

bool ops_attn_merge_record(const struct op_site *site, uint32_t partial, uint32_t step,
                           uint32_t result, const struct op_attention_attr *attr)
{
    const struct plan_tensor *tensor = &site->plan->tensors[result];
    const struct dev_kernel_params params = {
        .shader = variants[0].shader,
        .n_specs = 5,
        .specs = {{ATTN_MERGE_SPEC_LOCAL_SIZE, WORKGROUP},
                  {ATTN_MERGE_SPEC_HEAD_DIM, attr->head_dim},
                  {ATTN_MERGE_SPEC_SPLITS, attr->splits},
                  {ATTN_MERGE_SPEC_WINDOW, attr->window},
                  {ATTN_MERGE_SPEC_LOCAL, attr->group}},
    };
    struct attn_merge_push push = {.heads = attr->heads};
    struct dev_dispatch dispatch = {
        .kernel = dev_kernel_get(site->dev, &params),
        .n_binds = 3,
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {(uint32_t)size_div_up(tensor->cols, WORKGROUP), (uint32_t)tensor->rows, 1},
        .label = "attn_merge",
    };
    dispatch.binds[ATTN_MERGE_BIND_PARTIAL] = ops_bind(site, partial, DEV_READ);
    dispatch.binds[ATTN_MERGE_BIND_RESULT] = ops_bind(site, result, DEV_WRITE);
    dispatch.binds[ATTN_MERGE_BIND_STEPS] = ops_bind(site, step, DEV_READ);
    return dispatch.kernel != NULL && dev_cmd_dispatch(site->cmd, &dispatch);
}

/* A kernel that is forced is attention's: there is one of this op. */
static bool record(const struct op_site *site, const struct plan_node *node)
{
    struct op_attention_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    const char *forced = site->prefs != NULL ? site->prefs->forced : NULL;
    bool other = forced != NULL && ops_find_variant(node->op, forced) == NULL;
    return (other || ops_pick_any(site, node) != NULL) &&
           ops_attn_merge_record(site, node->src[0], node->src[1], node->dst[0], &attr);
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
