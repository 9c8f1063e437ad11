/* KV append: the K and V rows of every token to their slots in the caches. One dispatch per cache
 * segment. Which slots exist and who uses them is the step's business (src/run/kv.c). */
#include "ops/rope.h"

#include "gen/kv_append.h"
#include "ops/site.h"

#include <string.h>

#define WORKGROUP 64

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    struct op_kv_append_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    double values = (double)plan->n_tokens * attr.kv_heads * attr.head_dim;
    double stored = 0;
    for (uint32_t i = 0; i < 2; i++) {
        const struct plan_tensor *cache = &plan->tensors[node->dst[i]];
        stored += (double)plan_tensor_bytes(cache) / ((double)cache->rows * (double)cache->cols);
    }
    *out = (struct op_cost){.flop = values, .bytes = values * (2 * sizeof(float) + stored)};
}

static const struct ops_variant variants[] = {{.name = "plain", .shader = &shader_kv_append}};

static bool record_segment(const struct op_site *site, const struct plan_node *node,
                           const struct op_kv_append_attr *attr, uint32_t s)
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
        .specs = {{KV_APPEND_SPEC_LOCAL_SIZE, WORKGROUP},
                  {KV_APPEND_SPEC_HEAD_DIM, attr->head_dim},
                  {KV_APPEND_SPEC_K_TYPE, ops_cache_type(k_elem)},
                  {KV_APPEND_SPEC_V_TYPE, ops_cache_type(v_elem)},
                  {KV_APPEND_SPEC_LOCAL, attr->group}},
    };
    struct kv_append_push push = {.kv_heads = attr->kv_heads,
                                  .kv0 = (uint32_t)k->row0,
                                  .kv_n = (uint32_t)k->rows,
                                  .slots = attr->slots};
    struct dev_dispatch dispatch = {
        .kernel = dev_kernel_get(site->dev, &params),
        .n_binds = 5,
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {(uint32_t)size_div_up(k->rows * (attr->head_dim / unit), WORKGROUP),
                   (uint32_t)plan->tensors[node->src[0]].rows, 1},
        .label = "kv_append",
    };
    dispatch.binds[KV_APPEND_BIND_K] = ops_bind(site, node->src[0], DEV_READ);
    dispatch.binds[KV_APPEND_BIND_V] = ops_bind(site, node->src[1], DEV_READ);
    dispatch.binds[KV_APPEND_BIND_STEPS] = ops_bind(site, node->src[2], DEV_READ);
    dispatch.binds[KV_APPEND_BIND_K_CACHE] = ops_bind_cache(site, node->dst[0], s);
    dispatch.binds[KV_APPEND_BIND_V_CACHE] = ops_bind_cache(site, node->dst[1], s);
    return dispatch.kernel != NULL && dev_cmd_dispatch(site->cmd, &dispatch);
}

static bool record(const struct op_site *site, const struct plan_node *node)
{
    struct op_kv_append_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    bool ok = ops_same_segments(site, node, node->dst[0], node->dst[1]);
    for (uint32_t s = 0; ok && s < site->places[node->dst[0]].n_segments; s++) {
        ok = record_segment(site, node, &attr, s);
    }
    return ok;
}

const struct op op_def_kv_append = {
    .name = "kv_append",
    .purpose = "K and V rows of every token to their slots in the caches",
    .cost = cost,
    .record = record,
    .variants = variants,
    .n_variants = 1,
};

bool ops_append_check(struct plan *plan, const char *op, const uint32_t kv[2],
                      const uint32_t caches[2], uint32_t step, const struct op_kv_append_attr *attr)
{
    const struct plan_tensor *kt = ops_operand(plan, op, "k", kv[0], PLAN_F32);
    const struct plan_tensor *vt = ops_operand(plan, op, "v", kv[1], PLAN_F32);
    if (kt == NULL || vt == NULL || ops_operand(plan, op, "step", step, PLAN_U32) == NULL) {
        return false;
    }
    const struct plan_tensor *kc = plan_get_tensor(plan, caches[0]);
    const struct plan_tensor *vc = plan_get_tensor(plan, caches[1]);
    uint64_t cols = (uint64_t)attr->kv_heads * attr->head_dim;
    if (attr->head_dim == 0 || attr->head_dim % 2 != 0 || attr->head_dim > OP_MAX_HEAD_DIM) {
        ops_refuse(plan, op, "%s: head_dim %u is not an even number up to %u", kt->name,
                   attr->head_dim, OP_MAX_HEAD_DIM);
        return false;
    }
    if (attr->group > 1) {
        ops_refuse(plan, op, "%s: cache group %u, must be 0 or 1", kt->name, attr->group);
        return false;
    }
    if (cols == 0 || kt->cols != cols || vt->cols != cols || kt->rows != vt->rows ||
        !ops_cache_fits(kc, attr->kv_heads, attr->head_dim, attr->slots) ||
        !ops_cache_fits(vc, attr->kv_heads, attr->head_dim, attr->slots)) {
        ops_refuse(
            plan, op,
            "%s %llu x %llu, %s %llu x %llu, %s and %s are not %u heads of %u dims, %u slots",
            kt->name, (unsigned long long)kt->rows, (unsigned long long)kt->cols, vt->name,
            (unsigned long long)vt->rows, (unsigned long long)vt->cols, kc->name, vc->name,
            attr->kv_heads, attr->head_dim, attr->slots);
        return false;
    }
    return true;
}

void op_kv_append(struct plan *plan, uint32_t k, uint32_t v, uint32_t k_cache, uint32_t v_cache,
                  uint32_t step, const struct op_kv_append_attr *attr)
{
    const uint32_t kv[] = {k, v}, caches[] = {k_cache, v_cache};
    if (!ops_append_check(plan, "kv_append", kv, caches, step, attr)) {
        return;
    }
    struct plan_node node = {.kind = PLAN_OP,
                             .op = &op_def_kv_append,
                             .n_src = 3,
                             .src = {k, v, step},
                             .n_dst = 2,
                             .dst = {k_cache, v_cache},
                             .in_place = PLAN_NONE};
    memcpy(node.attr, attr, sizeof *attr);
    plan_add_node(plan, &node);
}
