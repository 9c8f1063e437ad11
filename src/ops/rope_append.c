/* RoPE of q and k with the KV append, one dispatch per cache segment: builder, cost, recording. */
#include "ops/rope.h"

#include "gen/rope_append.h"
#include "ops/site.h"

#include <string.h>

enum { LANES, PLAIN };
enum {
    SRC_Q,
    SRC_K,
    SRC_V,
    SRC_STEP,
    SRC_FACTORS,
    DST_Q = 0,
    DST_K,
    DST_V,
    LANES_GROUP = 32, /* invocations of a workgroup */
    PLAIN_GROUP = 128,
    ENOUGH_GROUPS = 128, /* below that the heads of a token are shared among several */
    ENOUGH_LANES = 16,   /* the same, of invocations of the lanes kernel */
};

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    double q = ops_bytes(plan, node->src[SRC_Q]), k = ops_bytes(plan, node->src[SRC_K]);
    double stored = 0, values = k / sizeof(float);
    for (uint32_t i = DST_K; i <= DST_V; i++) {
        const struct plan_tensor *cache = &plan->tensors[node->dst[i]];
        stored += (double)plan_tensor_bytes(cache) / ((double)cache->rows * (double)cache->cols);
    }
    *out = (struct op_cost){.flop = 2 * q + 2 * k, .bytes = 2 * q + 2 * k + values * stored};
}

/* Below 8 lanes there is SwiftShader, which takes minutes to compile either of them: the three ops
 * that this one replaces run instead. */
static const struct ops_variant variants[] = {
    [LANES] = {.name = "lanes",
               .needs = DEV_CAP_CPU,
               .min_subgroup = 8,
               .max_subgroup = 128,
               .shader = &shader_rope_append_lanes},
    [PLAIN] = {.name = "plain",
               .min_subgroup = 8,
               .max_subgroup = 128,
               .shader = &shader_rope_append_plain},
};

static struct rope_append_push get_push(const struct op_rope_append_attr *attr,
                                        const struct op_segment *segment, uint32_t tokens,
                                        bool factors)
{
    const struct ops_rope_parts parts = ops_rope_split(&attr->rope);
    uint32_t kv0 = (uint32_t)segment->row0, kv_end = (uint32_t)(segment->row0 + segment->rows);
    uint64_t heads = attr->rope.heads, kv_heads = attr->append.kv_heads;
    uint32_t q0 = (uint32_t)(heads * kv0 / kv_heads), q_end = (uint32_t)(heads * kv_end / kv_heads);
    return (struct rope_append_push){
        .heads = attr->rope.heads,
        .kv_heads = attr->append.kv_heads,
        .q0 = q0,
        .q_n = q_end - q0,
        .kv0 = kv0,
        .kv_n = kv_end - kv0,
        .slots = attr->append.slots,
        .tokens = tokens,
        .dims = attr->rope.dims,
        .use_factors = factors,
        .ratio_hi = parts.ratio[0],
        .ratio_lo = parts.ratio[1],
        .scale_hi = parts.scale[0],
        .scale_lo = parts.scale[1],
        .magnitude = attr->rope.magnitude,
    };
}

/* The lanes kernel turns two units that are pairs of each other. */
static struct ops_need get_need(const struct plan *plan, const struct plan_node *node)
{
    struct op_rope_append_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    struct ops_need need = {.op = node->op, .tokens = plan->n_tokens, .quant = QUANT_COUNT};
    if (attr.rope.half_split != 0 &&
        attr.rope.dims / 2 % ops_cache_unit(plan, node->dst[DST_K], node->dst[DST_V]) != 0) {
        need.unfit[LANES] = "half of the rotated dims is no multiple of what is stored at a time";
    }
    return need;
}

bool ops_rope_append_pays(const struct plan *plan, const struct plan_node *node,
                          const struct dev_caps *caps)
{
    char why[OPS_WHY];
    const struct ops_need need = get_need(plan, node);
    return need.unfit[LANES] == NULL ||
           !ops_variant_supported(&variants[LANES], caps, why, sizeof why);
}

/* Among how many the heads of a token are shared, so that there are `enough`, `n` without that. */
static uint32_t count_parts(uint64_t n, uint32_t enough, uint32_t heads)
{
    uint32_t parts = n < enough ? enough / (uint32_t)n : 1;
    return parts < heads || heads == 0 ? parts : heads;
}

static void set_groups(const struct op_site *site, const struct op_rope_append_attr *attr,
                       uint32_t unit, bool lanes, struct rope_append_push *push, uint32_t groups[3])
{
    uint32_t heads = push->q_n > push->kv_n ? push->q_n : push->kv_n;
    uint32_t apart = attr->rope.half_split != 0 ? attr->rope.dims / 2 / unit : 0;
    uint64_t sets = (uint64_t)push->tokens * (attr->append.head_dim / unit - apart);
    groups[2] = 1;
    if (lanes) {
        push->parts = count_parts(sets, ENOUGH_LANES, heads);
        ops_fold(dev_get_caps(site->dev), 0, size_div_up(sets * push->parts, LANES_GROUP), groups);
    } else {
        push->parts = count_parts(push->tokens, ENOUGH_GROUPS, (heads + 1) / 2);
        groups[0] = push->parts;
        groups[1] = push->tokens;
    }
}

/* Kernel and groups of one cache segment. */
static bool set_kernel(const struct op_site *site, const struct plan_node *node,
                       const struct op_rope_append_attr *attr, struct rope_append_push *push,
                       struct dev_dispatch *dispatch)
{
    const struct plan_tensor *tensors = site->plan->tensors;
    const struct ops_need need = get_need(site->plan, node);
    const struct ops_variant *variant = ops_variant_pick(site, &need);
    if (variant == NULL) {
        return false;
    }
    bool lanes = variant == &variants[LANES];
    const struct dev_kernel_params params = {
        .shader = variant->shader,
        .n_specs = 6,
        .specs = {{ROPE_APPEND_SPEC_LOCAL_SIZE, lanes ? LANES_GROUP : PLAIN_GROUP},
                  {ROPE_APPEND_SPEC_HEAD_DIM, attr->append.head_dim},
                  {ROPE_APPEND_SPEC_K_TYPE, ops_cache_type(tensors[node->dst[DST_K]].elem)},
                  {ROPE_APPEND_SPEC_V_TYPE, ops_cache_type(tensors[node->dst[DST_V]].elem)},
                  {ROPE_APPEND_SPEC_HALF, attr->rope.half_split},
                  {ROPE_APPEND_SPEC_LOCAL, attr->append.group}},
    };
    set_groups(site, attr, ops_cache_unit(site->plan, node->dst[DST_K], node->dst[DST_V]), lanes,
               push, dispatch->groups);
    dispatch->kernel = dev_kernel_get(site->dev, &params);
    return dispatch->kernel != NULL;
}

static bool record_segment(const struct op_site *site, const struct plan_node *node,
                           const struct op_rope_append_attr *attr, uint32_t s)
{
    bool factors = node->src[SRC_FACTORS] != PLAN_NONE;
    const struct op_segment *segment = &site->places[node->dst[DST_K]].segments[s];
    uint32_t tokens = (uint32_t)site->plan->tensors[node->src[SRC_Q]].rows;
    struct rope_append_push push = get_push(attr, segment, tokens, factors);
    struct dev_dispatch dispatch = {
        .n_binds = 8, .push = &push, .push_bytes = sizeof push, .label = "rope_append"};
    if (!set_kernel(site, node, attr, &push, &dispatch)) {
        return false;
    }
    uint32_t factor_id = node->src[factors ? SRC_FACTORS : SRC_STEP];
    dispatch.binds[ROPE_APPEND_BIND_Q] = ops_bind(site, node->src[SRC_Q], DEV_READ);
    dispatch.binds[ROPE_APPEND_BIND_K] = ops_bind(site, node->src[SRC_K], DEV_READ);
    dispatch.binds[ROPE_APPEND_BIND_V] = ops_bind(site, node->src[SRC_V], DEV_READ);
    dispatch.binds[ROPE_APPEND_BIND_STEPS] = ops_bind(site, node->src[SRC_STEP], DEV_READ);
    dispatch.binds[ROPE_APPEND_BIND_FACTORS] = ops_bind(site, factor_id, DEV_READ);
    dispatch.binds[ROPE_APPEND_BIND_TURNED] = ops_bind(site, node->dst[DST_Q], DEV_WRITE);
    dispatch.binds[ROPE_APPEND_BIND_K_CACHE] = ops_bind_cache(site, node->dst[DST_K], s);
    dispatch.binds[ROPE_APPEND_BIND_V_CACHE] = ops_bind_cache(site, node->dst[DST_V], s);
    return dev_cmd_dispatch(site->cmd, &dispatch);
}

static bool record(const struct op_site *site, const struct plan_node *node)
{
    struct op_rope_append_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    bool ok = ops_same_segments(site, node, node->dst[DST_K], node->dst[DST_V]);
    for (uint32_t s = 0; ok && s < site->places[node->dst[DST_K]].n_segments; s++) {
        ok = record_segment(site, node, &attr, s);
    }
    return ok;
}

const struct op op_def_rope_append = {.name = "rope_append",
                                      .purpose = "rotary embedding of q and k, K and V stored",
                                      .cost = cost,
                                      .record = record,
                                      .variants = variants,
                                      .n_variants = sizeof variants / sizeof *variants};

uint32_t op_rope_append(struct plan *plan, const uint32_t qkv[3], const uint32_t caches[2],
                        uint32_t step, uint32_t factors, const struct op_rope_append_attr *attr)
{
    struct op_rope_attr of_k = attr->rope;
    of_k.heads = attr->append.kv_heads;
    if (!ops_rope_check(plan, "rope_append", qkv[SRC_Q], step, factors, &attr->rope) ||
        !ops_rope_check(plan, "rope_append", qkv[SRC_K], step, factors, &of_k) ||
        !ops_append_check(plan, "rope_append", qkv + SRC_K, caches, step, &attr->append)) {
        return PLAN_NONE;
    }
    const struct plan_tensor q = *plan_get_tensor(plan, qkv[SRC_Q]);
    if (q.rows != plan_get_tensor(plan, qkv[SRC_K])->rows ||
        attr->rope.head_dim != attr->append.head_dim) {
        return ops_refuse(plan, "rope_append", "%s: %llu rows, heads of %u; k has others", q.name,
                          (unsigned long long)q.rows, attr->rope.head_dim);
    }
    struct plan_node node = {
        .kind = PLAN_OP,
        .op = &op_def_rope_append,
        .n_src = 5,
        .src = {qkv[SRC_Q], qkv[SRC_K], qkv[SRC_V], step, factors},
        .n_dst = 3,
        .dst = {plan_add_act(plan, "rope", q.rows, q.cols), caches[0], caches[1]},
        .in_place = 0};
    _Static_assert(sizeof *attr <= PLAN_ATTR_BYTES, "attributes fit a node");
    memcpy(node.attr, attr, sizeof *attr);
    return plan_add_node(plan, &node) != PLAN_NONE ? node.dst[0] : PLAN_NONE;
}
