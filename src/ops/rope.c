/* Rotary position embedding. The powers of base^(-2/dims) are made on the device from one number of
 * twice float precision, so that nothing depends on the trained length. */
#include "ops/rope.h"

#include "gen/rope.h"
#include "ops/site.h"

#include <math.h>
#include <string.h>

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    out->bytes = 2.0 * ops_bytes(plan, node->src[0]);
    out->flop = out->bytes;
}

static const struct ops_variant variants[] = {{.name = "plain", .shader = &shader_rope}};

static void split(double x, float parts[2])
{
    parts[0] = (float)x;
    parts[1] = (float)(x - (double)parts[0]);
}

struct ops_rope_parts ops_rope_split(const struct op_rope_attr *attr)
{
    struct ops_rope_parts parts;
    split(pow((double)attr->base, -2.0 / attr->dims), parts.ratio);
    split(attr->scale, parts.scale);
    return parts;
}

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[0]);
    const struct op_rope_attr *attr = (const void *)node->attr;
    bool factors = node->src[2] != PLAN_NONE;
    const struct ops_rope_parts parts = ops_rope_split(attr);
    struct rope_push push = {
        .heads = attr->heads,
        .head_dim = attr->head_dim,
        .dims = attr->dims,
        .half_split = attr->half_split,
        .tokens = (uint32_t)x->rows,
        .use_factors = factors,
        .ratio_hi = parts.ratio[0],
        .ratio_lo = parts.ratio[1],
        .scale_hi = parts.scale[0],
        .scale_lo = parts.scale[1],
        .magnitude = attr->magnitude,
    };
    const struct ops_variant *v = ops_pick_any(site, node);
    if (v == NULL) {
        return false;
    }
    struct ops_dispatch dispatch = {
        .kernel = ops_fixed_kernel(site->dev, v->shader),
        .n = 4,
        .tensors = {[ROPE_BIND_X] = node->src[0],
                    [ROPE_BIND_STEPS] = node->src[1],
                    [ROPE_BIND_FACTORS] = factors ? node->src[2] : node->src[1],
                    [ROPE_BIND_Y] = node->dst[0]},
        .access = {[ROPE_BIND_X] = DEV_READ,
                   [ROPE_BIND_STEPS] = DEV_READ,
                   [ROPE_BIND_FACTORS] = DEV_READ,
                   [ROPE_BIND_Y] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = size_div_up(x->rows * (attr->head_dim / 2), 32),
        .label = "rope",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_rope = {.name = "rope",
                               .purpose = "rotary position embedding",
                               .cost = cost,
                               .record = record,
                               .variants = variants,
                               .n_variants = 1};

bool ops_rope_check(struct plan *plan, const char *op, uint32_t x, uint32_t step, uint32_t factors,
                    const struct op_rope_attr *attr)
{
    const struct plan_tensor *in = ops_operand(plan, op, "x", x, PLAN_F32);
    const struct plan_tensor *words = ops_operand(plan, op, "step", step, PLAN_U32);
    if (in == NULL || words == NULL) {
        return false;
    }
    if ((uint64_t)attr->heads * attr->head_dim != in->cols || attr->head_dim % 2 != 0 ||
        attr->dims % 2 != 0 || attr->dims == 0 || attr->dims > attr->head_dim) {
        ops_refuse(plan, op, "%s has %llu columns, %u heads of %u with %u rotated do not fit",
                   in->name, (unsigned long long)in->cols, attr->heads, attr->head_dim, attr->dims);
        return false;
    }
    if (!(attr->base > 0 && isfinite(attr->base) && isfinite(attr->scale) && attr->magnitude > 0 &&
          isfinite(attr->magnitude))) {
        ops_refuse(plan, op, "base %g, scale %g, magnitude %g", (double)attr->base,
                   (double)attr->scale, (double)attr->magnitude);
        return false;
    }
    if (factors != PLAN_NONE) {
        const struct plan_tensor *f = ops_operand(plan, op, "factors", factors, PLAN_QUANT);
        if (f == NULL) {
            return false;
        }
        if (f->quant != QUANT_F32 || f->rows != 1 || f->cols != attr->dims / 2) {
            ops_refuse(plan, op, "%s is not F32 [%u]", f->name, attr->dims / 2);
            return false;
        }
    }
    return true;
}

uint32_t op_rope(struct plan *plan, uint32_t x, uint32_t step, uint32_t factors,
                 const struct op_rope_attr *attr)
{
    if (!ops_rope_check(plan, "rope", x, step, factors, attr)) {
        return PLAN_NONE;
    }
    const struct plan_tensor *in = plan_get_tensor(plan, x);
    struct plan_node node = {
        .op = &op_def_rope, .n_src = 3, .src = {x, step, factors}, .in_place = 0};
    _Static_assert(sizeof *attr <= PLAN_ATTR_BYTES, "attributes fit a node");
    memcpy(node.attr, attr, sizeof *attr);
    return ops_add_result(plan, &node, "rope", in->rows, in->cols);
}
