/* Adds the parts of a product that was split along its columns. */
#include "ops/ops.h"

#include "gen/split_sum.h"
#include "ops/site.h"

enum {
    SRC_PARTS,
    SRC_RESIDUAL,    /* PLAN_NONE: none */
    WORKGROUP = 128, /* in the shader */
};

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *parts = plan_get_tensor(plan, node->src[SRC_PARTS]);
    out->flop = 1.0 * (double)parts->rows * (double)parts->cols;
    out->bytes = ops_bytes(plan, node->src[SRC_PARTS]) + ops_bytes(plan, node->dst[0]);
    if (node->src[SRC_RESIDUAL] != PLAN_NONE) {
        out->bytes += ops_bytes(plan, node->src[SRC_RESIDUAL]);
    }
}

/* "parts": of a product at most, whatever the device (ops/matmul_split.h). */
static const struct ops_variant variants[] = {
    {.name = "plain", .shader = &shader_split_sum, .tunables = {{"parts", {1, 2, 4, 8, 16}}}}};

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *parts = plan_get_tensor(site->plan, node->src[SRC_PARTS]);
    const struct plan_tensor *y = plan_get_tensor(site->plan, node->dst[0]);
    const struct ops_variant *v = ops_pick_any(site, node);
    if (v == NULL) {
        return false;
    }
    struct dev_kernel_params params = {.shader = v->shader};
    ops_add_spec(&params, SPLIT_SUM_SPEC_PARTS, (uint32_t)(parts->rows / y->rows));
    bool residual = node->src[SRC_RESIDUAL] != PLAN_NONE;
    struct split_sum_push push = {.count = (uint32_t)(y->rows * y->cols), .residual = residual};
    struct ops_dispatch dispatch = {
        .kernel = dev_kernel_get(site->dev, &params),
        .n = 3,
        .tensors = {[SPLIT_SUM_BIND_PARTS] = node->src[SRC_PARTS],
                    [SPLIT_SUM_BIND_RESIDUAL] = node->src[residual ? SRC_RESIDUAL : SRC_PARTS],
                    [SPLIT_SUM_BIND_Y] = node->dst[0]},
        .access = {[SPLIT_SUM_BIND_PARTS] = DEV_READ,
                   [SPLIT_SUM_BIND_RESIDUAL] = DEV_READ,
                   [SPLIT_SUM_BIND_Y] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = size_div_up(push.count, WORKGROUP),
        .label = "split_sum",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_split_sum = {.name = "split_sum",
                                    .purpose = "adds the parts of a split product, plus residual",
                                    .cost = cost,
                                    .record = record,
                                    .variants = variants,
                                    .n_variants = sizeof variants / sizeof *variants};

uint32_t op_split_sum(struct plan *plan, const char *name, uint32_t parts, uint32_t n_parts,
                      uint32_t residual)
{
    const struct plan_tensor *in = ops_operand(plan, "split_sum", "parts", parts, PLAN_F32);
    if (in == NULL) {
        return PLAN_NONE;
    }
    uint64_t rows = in->rows, cols = in->cols;
    if (n_parts < 2 || n_parts > OP_MAX_PARTS || rows % n_parts != 0) {
        return ops_refuse(plan, "split_sum", "%s [%llu][%llu] is not of %u parts, 2 to %u",
                          in->name, (unsigned long long)rows, (unsigned long long)cols, n_parts,
                          OP_MAX_PARTS);
    }
    if (residual != PLAN_NONE) {
        const struct plan_tensor *r =
            ops_operand(plan, "split_sum", "residual", residual, PLAN_F32);
        if (r == NULL) {
            return PLAN_NONE;
        }
        if (r->rows != rows / n_parts || r->cols != cols) {
            return ops_refuse(
                plan, "split_sum", "residual %s [%llu][%llu] does not fit %u parts of [%llu][%llu]",
                r->name, (unsigned long long)r->rows, (unsigned long long)r->cols, n_parts,
                (unsigned long long)(rows / n_parts), (unsigned long long)cols);
        }
    }
    struct plan_node node = {.op = &op_def_split_sum,
                             .n_src = 2,
                             .src = {parts, residual},
                             .in_place = residual != PLAN_NONE ? SRC_RESIDUAL : PLAN_NONE};
    return ops_add_result(plan, &node, name, rows / n_parts, cols);
}
