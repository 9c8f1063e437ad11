/* The staged form of activations, which matmul kernels on matrix units read: builder, cost,
 * recording. Which plans need it is lower.c's matter. */
#include "ops/stage.h"

#include "gen/stage.h"
#include "ops/site.h"

#include <stdio.h>
#include <string.h>

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *x = plan_get_tensor(plan, node->src[0]);
    out->flop = 2.0 * (double)x->rows * (double)x->cols;
    out->bytes = ops_bytes(plan, node->src[0]) + ops_bytes(plan, node->dst[0]) +
                 ops_bytes(plan, node->dst[1]);
}

static const struct ops_variant variants[] =
    STAGE_VARIANTS(&shader_stage_subgroup, &shader_stage_plain);

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[0]);
    const struct ops_need need = {.op = node->op, .tokens = x->rows, .quant = QUANT_COUNT};
    const struct ops_variant *v = ops_variant_pick(site, &need);
    if (v == NULL) {
        return false;
    }
    struct stage_push push = {.quads = (uint32_t)(x->cols / 4), .rows = (uint32_t)x->rows};
    struct ops_dispatch dispatch = {
        .kernel = ops_loop_kernel(site, node, v, x->rows, push.quads),
        .n = 3,
        .tensors = {[STAGE_BIND_X] = node->src[0],
                    [STAGE_BIND_Y] = node->dst[0],
                    [STAGE_BIND_SCALE] = node->dst[1]},
        .access =
            {[STAGE_BIND_X] = DEV_READ, [STAGE_BIND_Y] = DEV_WRITE, [STAGE_BIND_SCALE] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = push.rows,
        .label = "stage",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_stage = {.name = "stage",
                                .purpose = "activations as f16 with a scale per row",
                                .cost = cost,
                                .record = record,
                                .variants = variants,
                                .n_variants = sizeof variants / sizeof *variants};

static uint32_t add_part(struct plan *plan, const char *name, const char *what, enum plan_elem elem,
                         uint64_t rows, uint64_t cols)
{
    struct plan_tensor part = {.role = PLAN_ACT, .elem = elem, .rows = rows, .cols = cols};
    snprintf(part.name, sizeof part.name, "%.40s:%s", name, what);
    return plan_add_tensor(plan, &part);
}

struct op_staged ops_add_staged(struct plan *plan, struct plan_node *node, const char *name,
                                uint64_t rows, uint64_t cols)
{
    struct op_staged staged = {PLAN_NONE, PLAN_NONE};
    if (cols % 4 != 0) {
        ops_refuse(plan, node->op->name, "%s [%llu][%llu]: columns must be a multiple of 4", name,
                   (unsigned long long)rows, (unsigned long long)cols);
        return staged;
    }
    staged.x = add_part(plan, name, "f16", PLAN_F16, rows, cols);
    staged.scale = add_part(plan, name, "scale", PLAN_F32, rows, 1);
    node->kind = PLAN_OP;
    node->n_dst = 2;
    node->dst[0] = staged.x;
    node->dst[1] = staged.scale;
    node->in_place = PLAN_NONE;
    if (plan_add_node(plan, node) == PLAN_NONE) {
        return (struct op_staged){PLAN_NONE, PLAN_NONE};
    }
    return staged;
}

struct op_staged op_stage(struct plan *plan, uint32_t x)
{
    const struct plan_tensor *in = ops_operand(plan, "stage", "x", x, PLAN_F32);
    if (in == NULL) {
        return (struct op_staged){PLAN_NONE, PLAN_NONE};
    }
    const struct plan_tensor like = *in;
    struct plan_node node = {.op = &op_def_stage, .n_src = 1, .src = {x}};
    return ops_add_staged(plan, &node, like.name, like.rows, like.cols);
}
