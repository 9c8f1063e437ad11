/* RMSNorm whose result is staged: builder, cost, recording. */
#include "ops/stage.h"

#include "gen/norm_stage.h"
#include "ops/site.h"

#include <string.h>

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *x = plan_get_tensor(plan, node->src[0]);
    out->flop = 6.0 * (double)x->rows * (double)x->cols;
    out->bytes = ops_bytes(plan, node->src[0]) + (double)x->cols * 4.0 +
                 ops_bytes(plan, node->dst[0]) + ops_bytes(plan, node->dst[1]);
}

static const struct ops_variant variants[] =
    STAGE_VARIANTS(&shader_norm_stage_subgroup, &shader_norm_stage_plain);

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[0]);
    const struct op_rmsnorm_attr *attr = (const void *)node->attr;
    const struct ops_need need = {.op = node->op, .tokens = x->rows, .quant = QUANT_COUNT};
    const struct ops_variant *v = ops_variant_pick(site, &need);
    if (v == NULL) {
        return false;
    }
    struct norm_stage_push push = {
        .quads = (uint32_t)(x->cols / 4), .rows = (uint32_t)x->rows, .eps = attr->eps};
    struct ops_dispatch dispatch = {
        /* twice as many invocations as quads ask for: then each keeps all that it reads */
        .kernel = ops_loop_kernel(site, node, v, x->rows, 2 * (uint64_t)push.quads),
        .n = 4,
        .tensors = {[NORM_STAGE_BIND_X] = node->src[0],
                    [NORM_STAGE_BIND_W] = node->src[1],
                    [NORM_STAGE_BIND_Y] = node->dst[0],
                    [NORM_STAGE_BIND_SCALE] = node->dst[1]},
        .access = {[NORM_STAGE_BIND_X] = DEV_READ,
                   [NORM_STAGE_BIND_W] = DEV_READ,
                   [NORM_STAGE_BIND_Y] = DEV_WRITE,
                   [NORM_STAGE_BIND_SCALE] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = push.rows,
        .label = "norm_stage",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_norm_stage = {.name = "norm_stage",
                                     .purpose = "root mean square norm, as f16 with a scale",
                                     .cost = cost,
                                     .record = record,
                                     .variants = variants,
                                     .n_variants = sizeof variants / sizeof *variants};

struct op_staged op_norm_stage(struct plan *plan, uint32_t x, uint32_t w, float eps)
{
    const struct op_rmsnorm_attr attr = {.eps = eps};
    const struct op_staged none = {PLAN_NONE, PLAN_NONE};
    const struct plan_tensor *in = ops_operand(plan, "norm_stage", "x", x, PLAN_F32);
    const struct plan_tensor *weight = ops_operand(plan, "norm_stage", "weight", w, PLAN_QUANT);
    if (in == NULL || weight == NULL) {
        return none;
    }
    if (weight->quant != QUANT_F32 || weight->rows != 1 || weight->cols != in->cols) {
        ops_refuse(plan, "norm_stage", "weight %s is not F32 [%llu]", weight->name,
                   (unsigned long long)in->cols);
        return none;
    }
    struct plan_node node = {.op = &op_def_norm_stage, .n_src = 2, .src = {x, w}};
    memcpy(node.attr, &attr, sizeof attr);
    return ops_add_staged(plan, &node, "norm", in->rows, in->cols);
}
