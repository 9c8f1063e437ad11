/* Attention over the KV cache: chooses kernel and tile, records one dispatch per cache segment and
 * split. The joining of splits is attn_merge.c's; what lies in which slot is the step's. */
#include "ops/ops.h"

#include "gen/attention.h"
#include "gen/features.h"
#include "ops/attention_matrix.h"
#include "ops/attn_merge.h"
#include "ops/site.h"
#include "shaders/common/kv_types.h"
#include "shaders/common/step.h"

#include <string.h>

#define LOG2_E          1.44269504f
#define PLAIN_WORKGROUP 64
#define PLAIN_TILE      1024 /* values of q in shared memory, and one register per 64 of them */
#define LANE_VALUES     64   /* of q, and as many of the result, in a lane's registers */
#define MOST_UNROLLED   256  /* K values of a lane in one block: compile time grows with them */
#define FEW_SUBGROUPS   256  /* up to here one subgroup per workgroup spreads the work best */
#define ENOUGH_GROUPS   512  /* workgroups of a step of few tokens, together */
#define TEAM            4 /* subgroups that share the entries of a tile, where there are splits */

enum row { LANES, COOPMAT, TEAMS, SUBGROUP, PLAIN };

#define TUNABLES                                                                                   \
    {                                                                                              \
        {"lanes", {1, 2, 4, 8}}, {"unroll", {1, 2, 4, 8}}, {"subgroups", {1, 2, 4}},               \
    }

static const struct ops_variant VARIANTS[] = {
    [LANES] = {.name = "lanes",
               .needs = DEV_CAP_CPU | DEV_CAP_SHUFFLE | DEV_CAP_TEXEL,
               .min_subgroup = 4,
               .max_subgroup = 16,
               .shader = &shader_attention_lanes,
               .tunables = TUNABLES},
    [COOPMAT] = {.name = "coopmat",
                 .needs = DEV_CAP_COOPMAT | DEV_CAP_FP16 | DEV_CAP_SHUFFLE,
                 .min_subgroup = 8,
                 .min_tokens = OP_FEW_TOKENS + 1,
                 .halves = true,
#if HAVE_SHADER_ATTENTION_COOPMAT
                 .shader = &shader_attention_coopmat,
#endif
                 .tunables = ATTENTION_MATRIX_TUNABLES},
    [TEAMS] = {.name = "team",
               .needs = DEV_CAP_SHUFFLE,
               .min_subgroup = 8,
               .max_subgroup = 64,
               .shader = &shader_attention_team,
               .tunables = TUNABLES},
    [SUBGROUP] =
        {.name = "subgroup",
         .needs = DEV_CAP_SHUFFLE,
         .min_subgroup =
             8, /* drivers with 4 compile its arrays for half a minute, plain's for 0.1 s */
         .max_subgroup = 64,
         .shader = &shader_attention_subgroup,
         .tunables = TUNABLES},
    [PLAIN] = {.name = "plain", .shader = &shader_attention_plain},
};

/* How a kernel cuts the work; names as in shaders/common/kv_specs.glsl. */
struct tile {
    uint32_t wg, s, p, unroll, heads, tokens, team;
};

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    return b == 0 ? a : common_divisor(b, a % b);
}

/* Largest divisor of n that is at most `most`. */
static uint32_t divisor(uint32_t n, uint32_t most)
{
    uint32_t d = most < n ? most : n;
    while (d > 1 && n % d != 0) {
        d--;
    }
    return d > 1 ? d : 1;
}

static uint32_t lanes_per_position(const struct dev_caps *caps,
                                   const struct op_attention_attr *attr)
{
    uint32_t most = (caps->has & DEV_CAP_CPU) != 0 && attr->head_dim <= 128 ? 4 : 8;
    most = most < caps->subgroup_size ? most : caps->subgroup_size;
    return common_divisor(attr->head_dim / 8, most);
}

/* Subgroup kernels: at most STEP_BLOCK positions at a time and a bounded number of values of q and
 * of the result in the registers of a lane. Measured on lavapipe, guessed for GPUs. */
static struct tile default_tile(const struct dev_caps *caps, const struct op_attention_attr *attr,
                                uint32_t tokens, uint32_t kv_heads, bool may_team,
                                const uint32_t *tuned)
{
    uint32_t group = attr->heads / attr->kv_heads, s = caps->subgroup_size;
    struct tile tile = {.s = s, .tokens = 1, .team = 1};
    tile.p = tuned != NULL ? tuned[0] : lanes_per_position(caps, attr);
    uint32_t values = attr->head_dim / tile.p, positions = s / tile.p;
    uint32_t rows = LANE_VALUES / values;
    rows = rows < 1 ? 1 : rows > 4 ? 4 : rows;
    tile.heads = divisor(group, rows);
    if (tokens > OP_FEW_TOKENS && attr->splits == 1) {
        tile.tokens = rows / tile.heads;
    }
    tile.unroll = positions * 4 <= STEP_BLOCK ? 4 : STEP_BLOCK / positions;
    while (tile.unroll > 1 && tile.unroll * values > MOST_UNROLLED) {
        tile.unroll /= 2;
    }
    tile.unroll = tuned != NULL ? tuned[1] : tile.unroll;
    uint32_t most = ops_most_local(caps, true);
    uint64_t items = (uint64_t)kv_heads * (group / tile.heads);
    if (may_team && attr->splits > 1) {
        uint32_t team = tuned != NULL ? tuned[2] : TEAM;
        tile.team = team * s <= most ? team : 1;
        tile.wg = tile.team * s;
        return tile;
    }
    uint64_t all = items * attr->splits * size_div_up(tokens, tile.tokens);
    uint32_t together = all > FEW_SUBGROUPS && items >= 2 ? (items >= 4 ? 4 : 2) : 1;
    while (together > 1 && together * s > most) {
        together /= 2;
    }
    tile.wg = (tuned != NULL ? tuned[2] : together) * s;
    return tile;
}

/* A tuned tile must obey the kernel's own limits on this shape. */
static bool tile_fits(const struct dev_caps *caps, const struct op_attention_attr *attr,
                      const struct tile *tile)
{
    uint32_t positions = tile->p <= tile->s ? tile->s / tile->p : 0;
    return positions != 0 && attr->head_dim / 8 % tile->p == 0 &&
           positions * tile->unroll <= STEP_BLOCK &&
           tile->unroll * (attr->head_dim / tile->p) <= MOST_UNROLLED &&
           tile->wg <= ops_most_local(caps, true);
}

static struct tile subgroup_tile(const struct op_site *site, const struct ops_need *need,
                                 const struct ops_variant *variant,
                                 const struct op_attention_attr *attr, uint32_t kv_heads)
{
    const struct dev_caps *caps = dev_get_caps(site->dev);
    uint32_t tuned[OPS_MAX_TUNABLES], tokens = (uint32_t)need->tokens;
    bool may_team = variant == &VARIANTS[SUBGROUP] || variant == &VARIANTS[TEAMS];
    if (ops_tuned_get(site->prefs, need, variant, tuned)) {
        struct tile tile = default_tile(caps, attr, tokens, kv_heads, may_team, tuned);
        if (tile_fits(caps, attr, &tile)) {
            return tile;
        }
    }
    return default_tile(caps, attr, tokens, kv_heads, may_team, NULL);
}

static struct tile plain_tile(const struct op_attention_attr *attr)
{
    uint32_t group = attr->heads / attr->kv_heads;
    return (struct tile){.wg = PLAIN_WORKGROUP,
                         .s = 1,
                         .p = 1,
                         .unroll = 1,
                         .heads = divisor(group, PLAIN_TILE / attr->head_dim),
                         .tokens = 1,
                         .team = 1};
}

/* What heads of this shape can use: subgroup kernels read 8 dims at a time and no more than
 * STEP_BLOCK positions. */
static void set_unfit(const struct dev_caps *caps, const struct op_attention_attr *attr,
                      struct ops_need *need)
{
    if (attr->head_dim % 8 != 0 || caps->subgroup_size < 4 ||
        (caps->subgroup_size & (caps->subgroup_size - 1)) != 0 ||
        caps->subgroup_size / lanes_per_position(caps, attr) > STEP_BLOCK) {
        need->unfit[LANES] = need->unfit[SUBGROUP] = need->unfit[TEAMS] =
            "heads are no multiple of 8, or too many positions for a subgroup";
    }
    need->unfit[COOPMAT] = ops_attention_matrix_unfit(caps, attr);
}

/* Texel buffers have a length. */
static struct ops_need get_need(const struct op_site *site, const struct plan_node *node,
                                const struct op_attention_attr *attr, uint32_t tokens)
{
    const struct dev_caps *caps = dev_get_caps(site->dev);
    struct ops_need need = {.op = node->op, .tokens = tokens, .quant = QUANT_COUNT};
    set_unfit(caps, attr, &need);
    if (node->n_dst == 1) {
        need.unfit[TEAMS] = "another node joins the splits, if there are any";
    }
    uint64_t largest = ops_bind(site, node->src[0], DEV_READ).bytes;
    for (uint32_t i = 1; i <= 2; i++) {
        const struct op_place *place = &site->places[node->src[i]];
        for (uint32_t s = 0; s < place->n_segments; s++) {
            uint64_t bytes = place->segments[s].bytes;
            largest = bytes > largest ? bytes : largest;
        }
    }
    if (need.unfit[LANES] == NULL && largest / 16 > caps->max_texel_elements) {
        need.unfit[LANES] = "the cache is too large for a texel buffer";
    }
    return need;
}

/* What all kernels are specialized by. */
static struct dev_kernel_params get_params(const struct op_site *site, const struct plan_node *node,
                                           const struct op_attention_attr *attr,
                                           const struct ops_variant *variant, uint32_t wg,
                                           uint32_t s)
{
    const struct plan_tensor *tensors = site->plan->tensors;
    struct dev_kernel_params params = {
        .shader = variant->shader,
        .specs = {{ATTENTION_SPEC_LOCAL_SIZE, wg},
                  {ATTENTION_SPEC_S, s},
                  {ATTENTION_SPEC_HEAD_DIM, attr->head_dim},
                  {ATTENTION_SPEC_K_TYPE, ops_cache_type(tensors[node->src[1]].elem)},
                  {ATTENTION_SPEC_V_TYPE, ops_cache_type(tensors[node->src[2]].elem)},
                  {ATTENTION_SPEC_SPLITS, attr->splits},
                  {ATTENTION_SPEC_GROUP, attr->heads / attr->kv_heads},
                  {ATTENTION_SPEC_WINDOW, attr->window},
                  {ATTENTION_SPEC_SOFTCAP, attr->softcap > 0},
                  {ATTENTION_SPEC_LOCAL, attr->group}},
        .n_specs = 10,
    };
    bool control = (dev_get_caps(site->dev)->has & DEV_CAP_SUBGROUP_CONTROL) != 0;
    params.subgroup_size = variant->shader->uses_subgroup && control ? s : 0;
    return params;
}

/* Kernel and groups of one cache segment. */
static void set_rows_kernel(const struct op_site *site, const struct plan_node *node,
                            const struct op_attention_attr *attr, const struct ops_need *need,
                            const struct ops_variant *variant, bool *merges,
                            struct dev_dispatch *dispatch)
{
    bool plain = variant == &VARIANTS[PLAIN];
    const struct attention_push *push = dispatch->push;
    struct tile tile =
        plain ? plain_tile(attr) : subgroup_tile(site, need, variant, attr, push->kv_n);
    struct dev_kernel_params params = get_params(site, node, attr, variant, tile.wg, tile.s);
    *merges = *merges && tile.team > 1;
    params.shader =
        !*merges && variant == &VARIANTS[TEAMS] ? &shader_attention_subgroup : params.shader;
    ops_add_spec(&params, ATTENTION_SPEC_TILE_HEADS, tile.heads);
    ops_add_spec(&params, ATTENTION_SPEC_TILE_TOKENS, tile.tokens);
    ops_add_spec(&params, ATTENTION_SPEC_P, tile.p);
    ops_add_spec(&params, ATTENTION_SPEC_UNROLL, tile.unroll);
    if (!plain) {
        ops_add_spec(&params, ATTENTION_SPEC_TEAM, tile.team);
    }
    uint64_t items = (uint64_t)push->kv_n * (attr->heads / attr->kv_heads / tile.heads);
    dispatch->groups[0] =
        (uint32_t)(plain ? items : size_div_up(items, tile.wg / tile.s / tile.team));
    dispatch->groups[1] = attr->splits;
    dispatch->groups[2] = (uint32_t)size_div_up(push->tokens, tile.tokens);
    dispatch->kernel = dev_kernel_get(site->dev, &params);
}

#if HAVE_SHADER_ATTENTION_COOPMAT
static void set_matrix_kernel(const struct op_site *site, const struct plan_node *node,
                              const struct op_attention_attr *attr, const struct ops_need *need,
                              const struct ops_variant *variant, struct dev_dispatch *dispatch)
{
    const struct dev_caps *caps = dev_get_caps(site->dev);
    const struct attention_push *push = dispatch->push;
    struct attention_matrix tile = ops_attention_matrix(site, need, variant, attr, push->kv_n);
    struct dev_kernel_params params = get_params(
        site, node, attr, variant, tile.subgroups * caps->subgroup_size, caps->subgroup_size);
    ops_add_spec(&params, ATTENTION_SPEC_TILE_HEADS, tile.heads);
    ops_add_spec(&params, ATTENTION_SPEC_TILE_TOKENS, tile.tokens);
    ops_add_spec(&params, ATTENTION_SPEC_M, caps->coopmat_m);
    ops_add_spec(&params, ATTENTION_SPEC_N, caps->coopmat_n);
    ops_add_spec(&params, ATTENTION_SPEC_K, caps->coopmat_k);
    ops_add_spec(&params, ATTENTION_SPEC_TYPE_M, caps->coopmat_m);
    ops_add_spec(&params, ATTENTION_SPEC_TYPE_N, caps->coopmat_n);
    ops_add_spec(&params, ATTENTION_SPEC_TYPE_K, caps->coopmat_k);
    ops_add_spec(&params, ATTENTION_SPEC_STRIPS, tile.strips);
    ops_add_spec(&params, ATTENTION_SPEC_BLOCK, tile.block);
    ops_add_spec(&params, ATTENTION_SPEC_STAGES, tile.stages);
    ops_add_spec(&params, ATTENTION_SPEC_JOINT, caps->joint_barriers ? 1 : 0);
    dispatch->groups[0] = push->kv_n * (attr->heads / attr->kv_heads / tile.heads);
    dispatch->groups[1] = 1;
    dispatch->groups[2] = (uint32_t)size_div_up(push->tokens, tile.tokens);
    dispatch->kernel = dev_kernel_get(site->dev, &params);
}
#else
/* Without a shader it is never chosen. */
#define set_matrix_kernel(site, node, attr, need, variant, dispatch)                               \
    set_rows_kernel(site, node, attr, need, variant, merges, dispatch)
#endif

/* What a kernel that merges binds besides. */
static void bind_merged(const struct op_site *site, const struct plan_node *node,
                        struct dev_dispatch *dispatch)
{
    dispatch->n_binds = 7;
    dispatch->binds[ATTENTION_BIND_RESULT].access = DEV_READ_WRITE;
    dispatch->binds[ATTENTION_BIND_MERGED] = ops_bind(site, node->dst[0], DEV_WRITE);
    dispatch->binds[ATTENTION_BIND_TICKETS] = ops_bind(site, node->src[3], DEV_READ_WRITE);
}

/* *merges: the node wants its splits joined; then, whether this kernel does it. */
static bool record_segment(const struct op_site *site, const struct plan_node *node,
                           const struct op_attention_attr *attr, uint32_t s, bool *merges)
{
    const struct op_segment *k = &site->places[node->src[1]].segments[s];
    const struct op_segment *v = &site->places[node->src[2]].segments[s];
    uint32_t tokens = (uint32_t)site->plan->tensors[node->src[0]].rows;
    const struct ops_need need = get_need(site, node, attr, tokens);
    const struct ops_variant *variant = ops_variant_pick(site, &need);
    if (variant == NULL) {
        return false;
    }
    const struct attention_push push = {.heads = attr->heads,
                                        .kv0 = (uint32_t)k->row0,
                                        .kv_n = (uint32_t)k->rows,
                                        .slots = attr->slots,
                                        .tokens = tokens,
                                        .scale_log2 = attr->scale * LOG2_E,
                                        .cap_log2 = attr->softcap * LOG2_E};
    struct dev_dispatch dispatch = {
        .n_binds = 5, .push = &push, .push_bytes = sizeof push, .label = "attention"};
    *merges = *merges && variant == &VARIANTS[TEAMS];
    if (variant == &VARIANTS[COOPMAT]) {
        set_matrix_kernel(site, node, attr, &need, variant, &dispatch);
    } else {
        set_rows_kernel(site, node, attr, &need, variant, merges, &dispatch);
    }
    dispatch.binds[ATTENTION_BIND_Q] = ops_bind(site, node->src[0], DEV_READ);
    dispatch.binds[ATTENTION_BIND_K] = (struct dev_bind){k->buf, k->offset, k->bytes, DEV_READ};
    dispatch.binds[ATTENTION_BIND_V] = (struct dev_bind){v->buf, v->offset, v->bytes, DEV_READ};
    dispatch.binds[ATTENTION_BIND_STEPS] = ops_bind(site, node->src[3], DEV_READ);
    dispatch.binds[ATTENTION_BIND_RESULT] = ops_bind(site, node->dst[node->n_dst - 1], DEV_WRITE);
    if (*merges) {
        bind_merged(site, node, &dispatch);
    }
    return dispatch.kernel != NULL && dev_cmd_dispatch(site->cmd, &dispatch);
}

static bool record(const struct op_site *site, const struct plan_node *node)
{
    struct op_attention_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    bool ok = ops_same_segments(site, node, node->src[1], node->src[2]), apart = false;
    for (uint32_t s = 0; ok && s < site->places[node->src[1]].n_segments; s++) {
        bool merges = node->n_dst > 1;
        ok = record_segment(site, node, &attr, s, &merges);
        apart = apart || !merges;
    }
    return ok && (node->n_dst == 1 || !apart ||
                  ops_attn_merge_record(site, node->dst[1], node->src[3], node->dst[0], &attr));
}

bool ops_attention_merges(const struct plan *plan, const struct plan_node *node,
                          const struct ops_target *target)
{
    struct op_attention_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    struct ops_need need = {.op = node->op, .tokens = plan->n_tokens, .quant = QUANT_COUNT};
    const char *why;
    set_unfit(target->caps, &attr, &need);
    return ops_variant_choose(&need, target->caps, target->prefs, &why) == &VARIANTS[TEAMS] &&
           shader_attention_team.n_bindings <= target->caps->max_storage_buffers;
}

/* How many entries each token sees is not known to the plan: half of the cache is taken, and no
 * more than the window. */
static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    struct op_attention_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    const struct plan_tensor *q = &plan->tensors[node->src[0]];
    double entries = 0.5 * attr.slots;
    entries = attr.window != 0 && attr.window < entries ? attr.window : entries;
    double cache = 0;
    for (uint32_t i = 1; i <= 2; i++) {
        cache += entries / attr.slots * (double)plan_tensor_bytes(&plan->tensors[node->src[i]]);
    }
    *out = (struct op_cost){
        .flop = 4.0 * (double)q->rows * (double)q->cols * entries,
        .bytes = cache + (double)plan_tensor_bytes(q) +
                 (double)plan_tensor_bytes(&plan->tensors[node->dst[0]]),
    };
}

const struct op op_def_attention = {
    .name = "attention",
    .purpose = "softmax(scale q K^T) V over the KV cache, grouped heads, without a score matrix",
    .cost = cost,
    .record = record,
    .variants = VARIANTS,
    .n_variants = sizeof VARIANTS / sizeof *VARIANTS,
};

static bool cache_fits(const struct plan_tensor *cache, const struct op_attention_attr *attr)
{
    return cache->rows == attr->kv_heads && cache->cols == (uint64_t)attr->slots * attr->head_dim &&
           ops_is_cache(cache, attr->head_dim);
}

static bool check(struct plan *plan, uint32_t q, uint32_t k_cache, uint32_t v_cache,
                  const struct op_attention_attr *attr)
{
    const struct plan_tensor *qt = plan_get_tensor(plan, q);
    const struct plan_tensor *kc = plan_get_tensor(plan, k_cache);
    const struct plan_tensor *vc = plan_get_tensor(plan, v_cache);
    if (attr->head_dim == 0 || attr->head_dim % 2 != 0 || attr->head_dim > OP_MAX_HEAD_DIM) {
        ops_refuse(plan, "attention", "%s: head_dim %u is not an even number up to %u", qt->name,
                   attr->head_dim, OP_MAX_HEAD_DIM);
        return false;
    }
    if (attr->kv_heads == 0 || attr->heads == 0 || attr->heads % attr->kv_heads != 0) {
        ops_refuse(plan, "attention", "%s: %u heads cannot share %u KV heads", qt->name,
                   attr->heads, attr->kv_heads);
        return false;
    }
    if (attr->group > 1 || !(attr->softcap >= 0) || attr->softcap > 1e6f) {
        ops_refuse(plan, "attention", "%s: cache group %u (0 or 1), softcap %g (0 to 1e6)",
                   qt->name, attr->group, (double)attr->softcap);
        return false;
    }
    if (attr->splits == 0 || attr->splits > OP_MAX_SPLITS || attr->slots == 0 ||
        attr->slots % STEP_BLOCK != 0) {
        ops_refuse(plan, "attention", "%s: %u splits (1 to %u), %u slots (a multiple of %d)",
                   qt->name, attr->splits, OP_MAX_SPLITS, attr->slots, STEP_BLOCK);
        return false;
    }
    if (qt->cols != (uint64_t)attr->heads * attr->head_dim || !cache_fits(kc, attr) ||
        !cache_fits(vc, attr)) {
        ops_refuse(plan, "attention",
                   "%s %llu x %llu, %s and %s are not %u heads over %u of %u dims, %u slots",
                   qt->name, (unsigned long long)qt->rows, (unsigned long long)qt->cols, kc->name,
                   vc->name, attr->heads, attr->kv_heads, attr->head_dim, attr->slots);
        return false;
    }
    return true;
}

uint32_t op_attention_parts(uint64_t entries)
{
    return entries < KV_PART ? 1 : (uint32_t)size_div_up(entries, KV_PART);
}

uint32_t op_attention_splits(uint32_t kv_heads, uint32_t n_ctx, uint32_t tokens)
{
    uint32_t most = op_attention_parts(n_ctx);
    most = most < OP_MAX_SPLITS ? most : OP_MAX_SPLITS;
    uint32_t steps = 1;
    while (steps < tokens) {
        steps *= 2;
    }
    uint32_t splits = (uint32_t)size_div_up(ENOUGH_GROUPS, (uint64_t)kv_heads * steps);
    splits = splits < most ? splits : most;
    return splits > 2 ? splits : 2;
}

/* A node without results, which are partials or, where there is one split, whole rows. */
static struct plan_node make_node(struct plan *plan, const uint32_t src[4],
                                  const struct op_attention_attr *attr)
{
    const struct plan_tensor *q = ops_operand(plan, "attention", "q", src[0], PLAN_F32);
    struct plan_node node = {.op = &op_def_attention, .n_src = 4, .in_place = PLAN_NONE};
    if (q == NULL || ops_operand(plan, "attention", "step", src[3], PLAN_U32) == NULL ||
        !check(plan, src[0], src[1], src[2], attr)) {
        node.op = NULL;
        return node;
    }
    memcpy(node.src, src, 4 * sizeof *src);
    memcpy(node.attr, attr, sizeof *attr);
    return node;
}

uint32_t op_attention(struct plan *plan, uint32_t q, uint32_t k_cache, uint32_t v_cache,
                      uint32_t step, const struct op_attention_attr *attr)
{
    const uint32_t src[] = {q, k_cache, v_cache, step};
    struct plan_node node = make_node(plan, src, attr);
    if (node.op == NULL) {
        return PLAN_NONE;
    }
    uint64_t tokens = plan_get_tensor(plan, q)->rows;
    if (attr->splits == 1) {
        return ops_add_result(plan, &node, "attn_out", tokens,
                              (uint64_t)attr->heads * attr->head_dim);
    }
    uint32_t partial =
        ops_add_result(plan, &node, "attn_partial", tokens * attr->heads * attr->splits,
                       (uint64_t)attr->head_dim + 2);
    return op_attn_merge(plan, partial, step, attr);
}

uint32_t op_attention_merged(struct plan *plan, uint32_t q, uint32_t k_cache, uint32_t v_cache,
                             uint32_t step, const struct op_attention_attr *attr)
{
    const uint32_t src[] = {q, k_cache, v_cache, step};
    struct plan_node node = make_node(plan, src, attr);
    if (node.op == NULL) {
        return PLAN_NONE;
    }
    if (attr->splits == 1) {
        return ops_refuse(plan, "attention", "%s: one split leaves nothing to join",
                          plan_get_tensor(plan, q)->name);
    }
    uint64_t tokens = plan_get_tensor(plan, q)->rows;
    node.kind = PLAN_OP;
    node.n_dst = 2;
    node.dst[1] = plan_add_act(plan, "attn_partial", tokens * attr->heads * attr->splits,
                               (uint64_t)attr->head_dim + 2);
    node.dst[0] = plan_add_act(plan, "attn_out", tokens, (uint64_t)attr->heads * attr->head_dim);
    return plan_add_node(plan, &node) != PLAN_NONE ? node.dst[0] : PLAN_NONE;
}
