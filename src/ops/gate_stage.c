/* SwiGLU or GeGLU whose result is staged: builder, cost, recording. */
#include "ops/stage.h"

#include "gen/gate_stage.h"
#include "ops/site.h"

#include <string.h>

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *gate = plan_get_tensor(plan, node->src[0]);
    const struct op_gate_stage_attr *attr = (const void *)node->attr;
    out->flop = (attr->gelu != 0 ? 14.0 : 10.0) * (double)gate->rows * (double)gate->cols;
    out->bytes = 2.0 * ops_bytes(plan, node->src[0]) + ops_bytes(plan, node->dst[0]) +
                 ops_bytes(plan, node->dst[1]);
}

static const struct ops_variant variants[] =
    STAGE_VARIANTS(&shader_gate_stage_subgroup, &shader_gate_stage_plain);

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *gate = plan_get_tensor(site->plan, node->src[0]);
    const struct op_gate_stage_attr *attr = (const void *)node->attr;
    const struct ops_need need = {.op = node->op, .tokens = gate->rows, .quant = QUANT_COUNT};
    const struct ops_variant *v = ops_variant_pick(site, &need);
    if (v == NULL) {
        return false;
    }
    struct gate_stage_push push = {.quads = (uint32_t)(gate->cols / 4),
                                   .rows = (uint32_t)gate->rows};
    struct dev_kernel_params params = ops_loop_params(site, node, v, gate->rows, push.quads);
    ops_add_spec(&params, GATE_STAGE_SPEC_GELU, attr->gelu);
    struct ops_dispatch dispatch = {
        .kernel = dev_kernel_get(site->dev, &params),
        .n = 4,
        .tensors = {[GATE_STAGE_BIND_GATE] = node->src[0],
                    [GATE_STAGE_BIND_UP] = node->src[1],
                    [GATE_STAGE_BIND_Y] = node->dst[0],
                    [GATE_STAGE_BIND_SCALE] = node->dst[1]},
        .access = {[GATE_STAGE_BIND_GATE] = DEV_READ,
                   [GATE_STAGE_BIND_UP] = DEV_READ,
                   [GATE_STAGE_BIND_Y] = DEV_WRITE,
                   [GATE_STAGE_BIND_SCALE] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = push.rows,
        .label = "gate_stage",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_gate_stage = {.name = "gate_stage",
                                     .purpose = "silu or gelu(gate) * up, as f16 with a scale",
                                     .cost = cost,
                                     .record = record,
                                     .variants = variants,
                                     .n_variants = sizeof variants / sizeof *variants};

struct op_staged op_gate_stage(struct plan *plan, uint32_t gate, uint32_t up, bool gelu)
{
    const struct op_gate_stage_attr attr = {.gelu = gelu ? 1 : 0};
    const struct op_staged none = {PLAN_NONE, PLAN_NONE};
    const struct plan_tensor *a = ops_operand(plan, "gate_stage", "gate", gate, PLAN_F32);
    const struct plan_tensor *b = ops_operand(plan, "gate_stage", "up", up, PLAN_F32);
    if (a == NULL || b == NULL) {
        return none;
    }
    if (a->rows != b->rows || a->cols != b->cols) {
        ops_refuse(plan, "gate_stage", "%s is %llu x %llu, %s is %llu x %llu", a->name,
                   (unsigned long long)a->rows, (unsigned long long)a->cols, b->name,
                   (unsigned long long)b->rows, (unsigned long long)b->cols);
        return none;
    }
    struct plan_node node = {.op = &op_def_gate_stage, .n_src = 2, .src = {gate, up}};
    memcpy(node.attr, &attr, sizeof attr);
    return ops_add_staged(plan, &node, "glu", a->rows, a->cols);
}
