/* KV copy: entries of the caches from slot to slot, where a sequence gets a block of its own in
 * place of one that it shared (src/run/kv.c). One dispatch per cache segment. */
#include "ops/ops.h"

#include "gen/kv_copy.h"
#include "ops/site.h"

#include <string.h>

enum {
    WORKGROUP = 64,
    MOST_GROUPS = 64, /* of workgroups that take pairs in turns: their number is in the step buffer,
                         and most of the room for pairs is not used */
};

/* The number of pairs is not known here: a pair per token is more than steps have that share
 * prefixes of some length. */
static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    struct op_kv_copy_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    double pairs = attr.copies < plan->n_tokens ? attr.copies : plan->n_tokens, bytes = 0;
    for (uint32_t i = 0; i < 2; i++) {
        bytes += 2.0 * ops_bytes(plan, node->dst[i]) / attr.slots;
    }
    *out = (struct op_cost){.flop = 0, .bytes = pairs * bytes};
}

static const struct ops_variant variants[] = {{.name = "plain", .shader = &shader_kv_copy}};

static bool record_segment(const struct op_site *site, const struct plan_node *node,
                           const struct op_kv_copy_attr *attr, uint32_t s)
{
    const struct plan *plan = site->plan;
    const struct op_segment *k = &site->places[node->dst[0]].segments[s];
    const struct ops_variant *variant = ops_pick_any(site, node);
    if (variant == NULL) {
        return false;
    }
    enum plan_elem k_elem = plan->tensors[node->dst[0]].elem;
    enum plan_elem v_elem = plan->tensors[node->dst[1]].elem;
    uint32_t unit = ops_cache_unit(plan, node->dst[0], node->dst[1]);
    const struct dev_kernel_params params = {
        .shader = variant->shader,
        .n_specs = 5,
        .specs = {{KV_COPY_SPEC_LOCAL_SIZE, WORKGROUP},
                  {KV_COPY_SPEC_HEAD_DIM, attr->head_dim},
                  {KV_COPY_SPEC_K_TYPE, ops_cache_type(k_elem)},
                  {KV_COPY_SPEC_V_TYPE, ops_cache_type(v_elem)},
                  {KV_COPY_SPEC_LOCAL, attr->group}},
    };
    struct kv_copy_push push = {.kv_n = (uint32_t)k->rows, .slots = attr->slots};
    struct dev_dispatch dispatch = {
        .kernel = dev_kernel_get(site->dev, &params),
        .n_binds = 3,
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {(uint32_t)size_div_up(k->rows * (attr->head_dim / unit), WORKGROUP),
                   attr->copies < MOST_GROUPS ? attr->copies : MOST_GROUPS, 1},
        .label = "kv_copy",
    };
    dispatch.binds[KV_COPY_BIND_STEPS] = ops_bind(site, node->src[0], DEV_READ);
    dispatch.binds[KV_COPY_BIND_K_CACHE] = ops_bind_cache(site, node->dst[0], s);
    dispatch.binds[KV_COPY_BIND_V_CACHE] = ops_bind_cache(site, node->dst[1], s);
    dispatch.binds[KV_COPY_BIND_K_CACHE].access = DEV_READ_WRITE;
    dispatch.binds[KV_COPY_BIND_V_CACHE].access = DEV_READ_WRITE;
    return dispatch.kernel != NULL && dev_cmd_dispatch(site->cmd, &dispatch);
}

static bool record(const struct op_site *site, const struct plan_node *node)
{
    struct op_kv_copy_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    bool ok = ops_same_segments(site, node, node->dst[0], node->dst[1]);
    for (uint32_t s = 0; ok && s < site->places[node->dst[0]].n_segments; s++) {
        ok = record_segment(site, node, &attr, s);
    }
    return ok;
}

const struct op op_def_kv_copy = {
    .name = "kv_copy",
    .purpose = "entries of the caches from slot to slot",
    .cost = cost,
    .record = record,
    .variants = variants,
    .n_variants = 1,
};

void op_kv_copy(struct plan *plan, uint32_t k_cache, uint32_t v_cache, uint32_t step,
                const struct op_kv_copy_attr *attr)
{
    if (ops_operand(plan, "kv_copy", "step", step, PLAN_U32) == NULL) {
        return;
    }
    const struct plan_tensor *kc = plan_get_tensor(plan, k_cache);
    const struct plan_tensor *vc = plan_get_tensor(plan, v_cache);
    if (attr->head_dim == 0 || attr->head_dim % 2 != 0 || attr->head_dim > OP_MAX_HEAD_DIM) {
        ops_refuse(plan, "kv_copy", "%s: head_dim %u is not an even number up to %u", kc->name,
                   attr->head_dim, OP_MAX_HEAD_DIM);
        return;
    }
    if (attr->group > 1 || attr->copies == 0) {
        ops_refuse(plan, "kv_copy", "%s: cache group %u (must be 0 or 1), %u copies", kc->name,
                   attr->group, attr->copies);
        return;
    }
    if (attr->kv_heads == 0 || attr->slots == 0 ||
        !ops_cache_fits(kc, attr->kv_heads, attr->head_dim, attr->slots) ||
        !ops_cache_fits(vc, attr->kv_heads, attr->head_dim, attr->slots)) {
        ops_refuse(plan, "kv_copy", "%s and %s are not %u heads of %u dims, %u slots", kc->name,
                   vc->name, attr->kv_heads, attr->head_dim, attr->slots);
        return;
    }
    struct plan_node node = {.kind = PLAN_OP,
                             .op = &op_def_kv_copy,
                             .n_src = 1,
                             .src = {step},
                             .n_dst = 2,
                             .dst = {k_cache, v_cache},
                             .in_place = PLAN_NONE};
    memcpy(node.attr, attr, sizeof *attr);
    plan_add_node(plan, &node);
}
