/* Matmul with optional residual: builder, cost, choice of kernel and tile, recording. One dispatch
 * per row segment of the weight and per batch of tokens (more than one only where a binding would
 * be too large). How formats lie in memory is left to the shaders. */
#include "ops/ops.h"

#include "gen/matmul.h"
#include "gen/tables.h"
#include "ops/site.h"
#include "ops/weight.h"

enum kernel { LANES, SUBGROUP, PLAIN_GEMV, PLAIN_GEMM, KERNELS };

static const struct ops_variant variants[KERNELS] = {
    [LANES] = {.name = "lanes",
               .needs = DEV_CAP_CPU | DEV_CAP_SHUFFLE | DEV_CAP_TEXEL,
               .min_subgroup = 4,
               .max_subgroup = 16,
               .by_quant = shaders_matmul_lanes,
               .tunables = {{"rows", {4, 8}}, {"group", {1, 2, 4, 8}}, {"tokens", {1, 2, 4, 8}}}},
    [SUBGROUP] = {.name = "subgroup",
                  .needs = DEV_CAP_SUBGROUP,
                  .max_tokens = 16,
                  .by_quant = shaders_matmul_subgroup,
                  .tunables = {{"rows", {1, 2, 4}},
                               {"local", {32, 64, 128, 256, 512}},
                               {"tokens", {1, 2, 4, 8}}}},
    [PLAIN_GEMV] = {.name = "plain_gemv",
                    .max_tokens = 4,
                    .by_quant = shaders_matmul_plain_gemv,
                    .tunables = {{"tokens", {1, 2, 4}}}},
    [PLAIN_GEMM] = {.name = "plain_gemm", .by_quant = shaders_matmul_plain_gemm},
};

enum {
    LANES_GEMV_ROWS = 8, /* row blocks of an invocation; subgroups of a group */
    LANES_GEMV_GROUP = 2,
    LANES_GEMM_ROWS = 4, /* with 8 tokens, as many sums as registers hold */
    LANES_GEMM_GROUP = 4,
    SUBGROUP_LOCAL = 128,
    SUBGROUP_ROWS = 2,
    GEMM_LOCAL = 256, /* fixed in the shader; a device may allow as few as 128 */
    BATCH_STEP = 64,  /* tokens: keeps offsets of batches aligned to 256 bytes */
};

/* How a kernel is specialized, and what one work group makes. */
struct tile {
    uint32_t local, spec_rows; /* 0: fixed in the shader */
    uint32_t rows, tokens;
    bool quads; /* lanes: rows are stored in fours */
};

static uint32_t token_tile(uint64_t tokens, uint32_t most)
{
    uint32_t tile = 1;
    while (tile < most && tile < tokens) {
        tile *= 2;
    }
    return tile;
}

/* What is taken where nothing was measured, in the order of the tunables. */
static void set_defaults(enum kernel kernel, uint64_t tokens, uint32_t *values)
{
    bool one = tokens == 1;
    switch (kernel) {
    case LANES:
        values[0] = one ? LANES_GEMV_ROWS : LANES_GEMM_ROWS;
        values[1] = one ? LANES_GEMV_GROUP : LANES_GEMM_GROUP;
        values[2] = token_tile(tokens, 8);
        break;
    case SUBGROUP:
        values[0] = SUBGROUP_ROWS;
        values[1] = SUBGROUP_LOCAL;
        values[2] = token_tile(tokens, 8);
        break;
    default:
        values[0] = token_tile(tokens, 4);
        break;
    }
}

static struct tile make_tile(enum kernel kernel, const struct dev_caps *caps,
                             const uint32_t *values)
{
    uint32_t size = caps->subgroup_size, local;
    switch (kernel) {
    case LANES:
        local = size * values[1];
        return (struct tile){local, values[0], local * values[0], values[2], false};
    case SUBGROUP:
        local = values[1] > size ? values[1] : size;
        return (struct tile){local, values[0], local / size * values[0], values[2], false};
    case PLAIN_GEMV:
        return (struct tile){0, 0, 4, values[0], false};
    default:
        return (struct tile){0, 0, 64, 64, false};
    }
}

static struct tile get_tile(const struct op_site *site, const struct ops_need *need,
                            enum kernel kernel)
{
    const struct dev_caps *caps = dev_get_caps(site->dev);
    uint32_t values[OPS_MAX_TUNABLES];
    set_defaults(kernel, need->tokens, values);
    if (ops_tuned_get(site, need, &variants[kernel], values)) {
        struct tile tile = make_tile(kernel, caps, values);
        if (tile.local <= caps->max_workgroup_invocations &&
            tile.local <= caps->max_workgroup_size[0]) {
            return tile;
        }
        set_defaults(kernel, need->tokens, values);
    }
    return make_tile(kernel, caps, values);
}

/* A call of the op on one device. */
struct call {
    const struct op_site *site;
    const struct plan_tensor *w;
    uint64_t tokens;
    bool has_residual;
    struct dev_bind x, y, residual;
    uint64_t batch; /* tokens of one dispatch */
};

static struct ops_need get_need(const struct call *call, const struct plan_node *node,
                                const struct op_segment *segment)
{
    const struct dev_caps *caps = dev_get_caps(call->site->dev);
    uint64_t x_texels = call->tokens * call->w->cols / 4;
    bool lanes = segment->layout->lanes == caps->subgroup_size &&
                 segment->layout->bytes / 16 <= caps->max_texel_elements &&
                 x_texels <= caps->max_texel_elements;
    bool gemm =
        caps->max_workgroup_invocations >= GEMM_LOCAL && caps->max_workgroup_size[0] >= GEMM_LOCAL;
    return (struct ops_need){.op = node->op,
                             .tokens = call->tokens,
                             .quant = call->w->quant,
                             .unfit = (lanes ? 0 : 1u << LANES) | (gemm ? 0 : 1u << PLAIN_GEMM),
                             .why = gemm ? "weights are not interleaved for it, or beyond texel "
                                           "buffers"
                                         : "weights are not interleaved for it, or the device "
                                           "allows no workgroup of 256"};
}

static struct dev_kernel *get_kernel(struct dev *dev, enum kernel kernel, const struct tile *tile,
                                     enum quant_id quant)
{
    uint32_t size = dev_get_caps(dev)->subgroup_size;
    struct dev_kernel_params params = {.shader = variants[kernel].by_quant[quant]};
    if (kernel == LANES || kernel == SUBGROUP) {
        params.subgroup_size = size;
        params.specs[0].id = 0;
        params.specs[0].value = tile->local;
        params.specs[1].id = MATMUL_SPEC_ROWS;
        params.specs[1].value = tile->spec_rows;
        params.n_specs = 2;
    }
    if (kernel == LANES) {
        params.specs[params.n_specs].id = MATMUL_SPEC_S;
        params.specs[params.n_specs++].value = size;
        params.specs[params.n_specs].id = MATMUL_SPEC_QUADS;
        params.specs[params.n_specs++].value = tile->quads;
    }
    if (kernel != PLAIN_GEMM) {
        params.specs[params.n_specs].id = MATMUL_SPEC_TOKENS;
        params.specs[params.n_specs++].value = tile->tokens;
    }
    return dev_kernel_get(dev, &params);
}

static struct matmul_push get_push(const struct call *call, const struct op_segment *segment,
                                   uint64_t tokens)
{
    const struct quant_layout *layout = segment->layout;
    struct matmul_push push = {.lanes_log2 = ops_log2(layout->lanes),
                               .cols = (uint32_t)layout->cols,
                               .rows = (uint32_t)segment->rows,
                               .row0 = (uint32_t)segment->row0,
                               .stride = (uint32_t)call->w->rows,
                               .tokens = (uint32_t)tokens,
                               .residual = call->has_residual};
    ops_weight_planes(layout, push.base, push.units);
    return push;
}

/* Rows `token0`.. of an activation. */
static struct dev_bind tokens_of(struct dev_bind bind, uint64_t token0, uint64_t tokens,
                                 uint64_t cols)
{
    bind.offset += token0 * cols * 4;
    bind.bytes = tokens * cols * 4;
    return bind;
}

static bool record_segment(const struct call *call, const struct plan_node *node,
                           const struct op_segment *segment, uint64_t token0)
{
    struct dev *dev = call->site->dev;
    const struct dev_caps *caps = dev_get_caps(dev);
    uint64_t left = call->tokens - token0, n = left < call->batch ? left : call->batch;
    const struct ops_need need = get_need(call, node, segment);
    const struct ops_variant *variant = ops_variant_pick(call->site, &need);
    if (variant == NULL) {
        return false;
    }
    enum kernel kernel = (enum kernel)ops_variant_index(node->op, variant);
    struct tile tile = get_tile(call->site, &need, kernel);
    struct matmul_push push = get_push(call, segment, n);
    tile.quads = (push.rows | push.row0 | push.stride) % 4 == 0;
    struct dev_dispatch dispatch = {
        .kernel = get_kernel(dev, kernel, &tile, segment->layout->id),
        .n_binds = 4,
        .push = &push,
        .push_bytes = sizeof push,
        .label = "matmul",
    };
    dispatch.groups[0] = (uint32_t)size_div_up(n, tile.tokens);
    ops_fold(caps, 1, size_div_up(segment->rows, tile.rows), dispatch.groups);
    dispatch.binds[MATMUL_BIND_WEIGHTS] = ops_weight_bind(segment);
    dispatch.binds[MATMUL_BIND_X] = tokens_of(call->x, token0, n, call->w->cols);
    dispatch.binds[MATMUL_BIND_Y] = tokens_of(call->y, token0, n, call->w->rows);
    dispatch.binds[MATMUL_BIND_RESIDUAL] = tokens_of(call->residual, token0, n, call->w->rows);
    return dispatch.kernel != NULL && dev_cmd_dispatch(call->site->cmd, &dispatch);
}

/* Tokens of one dispatch, so that no binding is larger than the device allows. */
static bool set_batch(struct call *call)
{
    const struct dev_caps *caps = dev_get_caps(call->site->dev);
    uint64_t rows = call->w->rows, cols = call->w->cols;
    uint64_t most = caps->max_binding_bytes / 4 / (rows > cols ? rows : cols);
    uint64_t groups = (uint64_t)caps->max_workgroup_count[0];
    most = most < groups ? most : groups;
    call->batch = call->tokens <= most ? call->tokens : most / BATCH_STEP * BATCH_STEP;
    if (call->batch == 0) {
        log_error(call->site->log,
                  "matmul: %u tokens of %s [%llu][%llu] exceed the device's largest binding, "
                  "%llu bytes",
                  BATCH_STEP, call->w->name, (unsigned long long)rows, (unsigned long long)cols,
                  (unsigned long long)caps->max_binding_bytes);
    }
    return call->batch != 0;
}

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[1]);
    const struct op_place *place = &site->places[node->src[0]];
    struct call call = {.site = site,
                        .w = plan_get_tensor(site->plan, node->src[0]),
                        .tokens = x->rows,
                        .has_residual = node->n_src > 2 && node->src[2] != PLAN_NONE,
                        .x = ops_bind(site, node->src[1], DEV_READ),
                        .y = ops_bind(site, node->dst[0], DEV_WRITE)};
    call.residual = call.has_residual ? ops_bind(site, node->src[2], DEV_READ) : call.y;
    if (!set_batch(&call)) {
        return false;
    }
    for (uint64_t token0 = 0; token0 < call.tokens; token0 += call.batch) {
        for (uint32_t i = 0; i < place->n_segments; i++) {
            if (!record_segment(&call, node, &place->segments[i], token0)) {
                return false;
            }
        }
    }
    return true;
}

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *w = plan_get_tensor(plan, node->src[0]);
    const struct plan_tensor *x = plan_get_tensor(plan, node->src[1]);
    out->flop = 2.0 * (double)w->rows * (double)w->cols * (double)x->rows;
    out->bytes = (double)w->rows * (double)quant_row_bytes(w->quant, w->cols) +
                 ops_bytes(plan, node->src[1]) + ops_bytes(plan, node->dst[0]);
    if (node->n_src > 2 && node->src[2] != PLAN_NONE) {
        out->bytes += ops_bytes(plan, node->src[2]);
    }
}

const struct op op_def_matmul = {.name = "matmul",
                                 .purpose = "weight times activations, plus residual",
                                 .cost = cost,
                                 .record = record,
                                 .variants = variants,
                                 .n_variants = KERNELS};

uint32_t op_matmul(struct plan *plan, const char *name, uint32_t w, uint32_t x)
{
    const struct plan_tensor *weight = ops_operand(plan, "matmul", "weight", w, PLAN_QUANT);
    const struct plan_tensor *in = ops_operand(plan, "matmul", "x", x, PLAN_F32);
    if (weight == NULL || in == NULL) {
        return PLAN_NONE;
    }
    unsigned long long rows = weight->rows, cols = weight->cols;
    if (cols != in->cols) {
        return ops_refuse(plan, "matmul", "weight %s [%llu][%llu] does not fit x %s [%llu][%llu]",
                          weight->name, rows, cols, in->name, (unsigned long long)in->rows,
                          (unsigned long long)in->cols);
    }
    if (cols % 4 != 0 || cols > INT32_MAX || rows > INT32_MAX || in->rows > INT32_MAX) {
        return ops_refuse(plan, "matmul",
                          "weight %s [%llu][%llu] for %llu tokens: columns must be a multiple of 4 "
                          "and sizes below 2^31",
                          weight->name, rows, cols, (unsigned long long)in->rows);
    }
    struct plan_node node = {
        .op = &op_def_matmul, .n_src = 2, .src = {w, x}, .in_place = PLAN_NONE};
    return ops_add_result(plan, &node, name, in->rows, weight->rows);
}
