/* The token of the largest logit, found on the device. */
#include "ops/ops.h"

#include "gen/argmax.h"
#include "ops/site.h"

#include <string.h>

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    out->bytes = ops_bytes(plan, node->src[0]);
    out->flop = out->bytes / 4;
}

static const struct ops_variant variants[] = {
    {.name = "lanes",
     .needs = DEV_CAP_CPU | DEV_CAP_SHUFFLE | DEV_CAP_TEXEL,
     .min_subgroup = 4,
     .max_subgroup = 16,
     .shader = &shader_argmax_lanes},
    {.name = "plain",
     .shader = &shader_argmax_plain,
     .tunables = {{"local", {64, 128, 256, 512, 1024}}}},
};

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[0]);
    const struct ops_variant *v = ops_pick_texel(site, node, x);
    if (v == NULL) {
        return false;
    }
    const struct op_argmax_attr *attr = (const void *)node->attr;
    struct argmax_push push = {
        .cols = (uint32_t)x->cols, .rows = (uint32_t)x->rows, .n_banned = attr->n_banned};
    _Static_assert(sizeof push.banned == sizeof attr->banned, "as many as the shader has room for");
    for (uint32_t i = 0; i < OP_MAX_BANNED; i++) {
        push.banned[i] = i < attr->n_banned ? attr->banned[i] : UINT32_MAX;
    }
    struct ops_dispatch dispatch = {
        .kernel = v->shader == &shader_argmax_lanes ? ops_lanes_kernel(site->dev, v->shader)
                                                    : ops_row_kernel(site, node, v, x),
        .n = 2,
        .tensors = {[ARGMAX_BIND_X] = node->src[0], [ARGMAX_BIND_IDS] = node->dst[0]},
        .access = {[ARGMAX_BIND_X] = DEV_READ, [ARGMAX_BIND_IDS] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = x->rows,
        .label = "argmax",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_argmax = {.name = "argmax",
                                 .purpose = "index of the largest logit",
                                 .cost = cost,
                                 .record = record,
                                 .variants = variants,
                                 .n_variants = sizeof variants / sizeof *variants};

uint32_t op_argmax(struct plan *plan, uint32_t logits, const struct op_argmax_attr *attr)
{
    const struct plan_tensor *x = ops_operand(plan, "argmax", "logits", logits, PLAN_F32);
    if (x == NULL) {
        return PLAN_NONE;
    }
    if (attr->n_banned > OP_MAX_BANNED) {
        return ops_refuse(plan, "argmax", "%u tokens of %s are banned: at most %d can be",
                          attr->n_banned, x->name, OP_MAX_BANNED);
    }
    const struct plan_tensor ids = {
        .role = PLAN_IDS_OUT, .elem = PLAN_U32, .rows = 1, .cols = x->rows};
    struct plan_node node = {.op = &op_def_argmax, .n_src = 1, .src = {logits}};
    memcpy(node.attr, attr, sizeof *attr);
    return ops_add_output(plan, &node, "ids", &ids);
}
