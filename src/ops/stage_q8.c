/* Activations quantized to signed bytes, a scale for each 32 of a row, which the integer kernels of
 * matmul read: builder, cost, recording. Which plans have it is lower.c's matter. */
#include "ops/ops.h"

#include "gen/stage_q8.h"
#include "ops/site.h"

#include <stdio.h>

enum { GROUP_QUADS = 128 }; /* of 4 columns, of one work group */

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *x = plan_get_tensor(plan, node->src[0]);
    out->flop = 4.0 * (double)x->rows * (double)x->cols;
    out->bytes = ops_bytes(plan, node->src[0]) + ops_bytes(plan, node->dst[0]) +
                 ops_bytes(plan, node->dst[1]);
}

static const struct ops_variant variants[] = {
    {.name = "plain", .shader = &shader_stage_q8_plain},
};

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[0]);
    const struct ops_variant *v = ops_pick_any(site, node);
    if (v == NULL) {
        return false;
    }
    struct stage_q8_push push = {.quads = (uint32_t)(x->rows * x->cols / 4)};
    struct ops_dispatch dispatch = {
        .kernel = ops_fixed_kernel(site->dev, v->shader),
        .n = 3,
        .tensors = {[STAGE_Q8_BIND_X] = node->src[0],
                    [STAGE_Q8_BIND_Y] = node->dst[0],
                    [STAGE_Q8_BIND_SCALE] = node->dst[1]},
        .access = {[STAGE_Q8_BIND_X] = DEV_READ,
                   [STAGE_Q8_BIND_Y] = DEV_WRITE,
                   [STAGE_Q8_BIND_SCALE] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = size_div_up(push.quads, GROUP_QUADS),
        .label = "stage_q8",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_stage_q8 = {.name = "stage_q8",
                                   .purpose = "activations as signed bytes, a scale for each 32",
                                   .cost = cost,
                                   .record = record,
                                   .variants = variants,
                                   .n_variants = sizeof variants / sizeof *variants};

static uint32_t add_part(struct plan *plan, const struct plan_tensor *like, const char *what,
                         enum plan_elem elem, uint64_t cols)
{
    struct plan_tensor part = {.role = PLAN_ACT, .elem = elem, .rows = like->rows, .cols = cols};
    snprintf(part.name, sizeof part.name, "%.40s:%s", like->name, what);
    return plan_add_tensor(plan, &part);
}

struct op_staged op_stage_q8(struct plan *plan, uint32_t x)
{
    const struct op_staged none = {PLAN_NONE, PLAN_NONE};
    const struct plan_tensor *in = ops_operand(plan, "stage_q8", "x", x, PLAN_F32);
    if (in == NULL) {
        return none;
    }
    const struct plan_tensor like = *in;
    if (like.cols % OP_Q8_BLOCK != 0) {
        ops_refuse(plan, "stage_q8", "%s [%llu][%llu]: columns must be a multiple of %d", like.name,
                   (unsigned long long)like.rows, (unsigned long long)like.cols, OP_Q8_BLOCK);
        return none;
    }
    struct op_staged out = {add_part(plan, &like, "s8", PLAN_S8, like.cols),
                            add_part(plan, &like, "scales", PLAN_F32, like.cols / OP_Q8_BLOCK)};
    const struct plan_node node = {.kind = PLAN_OP,
                                   .op = &op_def_stage_q8,
                                   .n_src = 1,
                                   .n_dst = 2,
                                   .src = {x},
                                   .dst = {out.x, out.scale},
                                   .in_place = PLAN_NONE};
    return plan_add_node(plan, &node) != PLAN_NONE ? out : none;
}
