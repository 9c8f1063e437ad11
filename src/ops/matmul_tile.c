/* Tiles of matmul and matmul_experts: defaults, what was measured, kernels, and which rows of their
 * tables a device cannot run. Shapes, batches and segments are the ops' own matter. */
#include "ops/matmul_tile.h"

#include "gen/features.h"
#include "gen/matmul.h"
#include "ops/matmul_flexible.h"
#include "ops/ops.h"
#include "ops/site.h"

#include <string.h>

/* Spec constants of the kernels on matrix units, whose shaders not every build has. */
enum {
    SPEC_COLUMNS = 5,
    SPEC_M,
    SPEC_N,
    SPEC_K,
    SPEC_ROW_SUBGROUPS,
    SPEC_TYPE_M,
    SPEC_TYPE_N,
    SPEC_TYPE_K,
    SPEC_SCOPE,
    SPEC_GELU = 17,      /* of matmul_gate alone */
    SCOPE_WORKGROUP = 2, /* as SPIR-V counts them */
    SCOPE_SUBGROUP = 3,
};
#if HAVE_SHADER_MATMUL_COOPMAT
_Static_assert((int)SPEC_COLUMNS == (int)MATMUL_SPEC_COLUMNS && (int)SPEC_M == (int)MATMUL_SPEC_M &&
                   (int)SPEC_N == (int)MATMUL_SPEC_N && (int)SPEC_K == (int)MATMUL_SPEC_K &&
                   (int)SPEC_ROW_SUBGROUPS == (int)MATMUL_SPEC_ROW_SUBGROUPS &&
                   (int)SPEC_TYPE_M == (int)MATMUL_SPEC_TYPE_M &&
                   (int)SPEC_TYPE_N == (int)MATMUL_SPEC_TYPE_N &&
                   (int)SPEC_TYPE_K == (int)MATMUL_SPEC_TYPE_K,
               "spec constants as in matmul_coopmat.comp");
#endif
#if HAVE_SHADER_MATMUL_COOPMAT2
_Static_assert((int)SPEC_SCOPE == (int)MATMUL_SPEC_SCOPE, "as in matmul_coopmat2.comp");
#endif

enum {
    CHUNK = 32,      /* columns that kernels on matrix units take whole */
    UNIT = 8,        /* columns of 16 bytes in shared memory; a row has one more, against bank
                        conflicts */
    MOST_SUMS = 16,  /* matrices of sums of a subgroup, as many as registers hold */
    MOST_ITEMS = 16, /* units that an invocation keeps in registers on their way */

    LANES_GEMV_ROWS = 8, /* row blocks of an invocation; subgroups of a group */
    LANES_GEMV_GROUP = 2,
    LANES_GEMM_ROWS = 4, /* with 8 tokens, as many sums as registers hold */
    LANES_GEMM_GROUP = 4,
    SUBGROUP_LOCAL = 128,
    SUBGROUP_ROWS = 2,
    FEW_LOCAL = 256,
    X_MOST = 46 << 10,  /* bytes of x in shared memory, though a device may have more */
    X_OTHER = 2 << 10,  /* of what else is there: the norm's sums */
    X_CPU = 1024,       /* columns on CPU devices: one kernel for all lengths */
    X_PAD = 1152,       /* per token, between and behind quads */
    FEW_BITS = 5,       /* of a weight: light enough for the largest work groups */
    FEW_PER_CORE = 768, /* invocations: each brings x into shared memory and keeps it */
    SOME_PER_CORE = 512 /* the same of more than one token, which take more registers */
};

static uint32_t token_tile(uint64_t tokens, uint32_t most)
{
    uint32_t tile = 1;
    while (tile < most && tile < tokens) {
        tile *= 2;
    }
    return tile;
}

/* ---- kernels on matrix units ---- */

/* CPU devices, narrow as they are, compile what is unrolled for long, and win nothing by it. Few
 * tokens make few work groups: more subgroups in each, whose parts are smaller. */
static void set_coopmat_defaults(const struct dev_caps *caps, const struct matmul_size *size,
                                 uint32_t *values)
{
    bool small = (caps->has & DEV_CAP_CPU) != 0 || caps->subgroup_size < 16;
    values[0] = small ? 32 : size->rows > 64 ? 128 : 64;
    values[1] = small || size->tokens <= 32 ? 32 : size->tokens > 64 ? 128 : 64;
    values[2] = small ? 32 : 64;
    values[3] = !small && size->tokens > 64 && size->tokens <= 512 ? 8 : 4;
}

/* Columns between two barriers: whole chunks and whole matrices. */
static uint32_t least_columns(const struct dev_caps *caps)
{
    uint32_t columns = CHUNK;
    while (columns % caps->coopmat_k != 0) {
        columns += CHUNK;
    }
    return columns;
}

/* A tile of about values[0] rows by values[1] tokens by values[3] subgroups, whose own parts are
 * nearly square. */
static struct matmul_tile make_coopmat(const struct dev_caps *caps, uint64_t cols,
                                       const uint32_t *values)
{
    uint32_t m = caps->coopmat_m, n = caps->coopmat_n, n_subgroups = values[3];
    uint32_t least = least_columns(caps), most = values[2] / least * least;
    uint32_t by_rows = n_subgroups, by_tokens = 1;
    while (by_rows % 2 == 0 && values[0] / by_rows < values[1] / by_tokens) {
        by_rows /= 2;
        by_tokens *= 2;
    }
    struct matmul_tile tile = {
        .local = n_subgroups * caps->subgroup_size, .columns = least, .row_subgroups = by_rows};
    if (most != 0 && cols % most == 0) {
        tile.columns = most;
    }
    tile.rows = (uint32_t)size_round(values[0], m * by_rows);
    tile.tokens = (uint32_t)size_round(values[1], n * by_tokens);
    tile.spec_rows = tile.rows;
    tile.shared_bytes = 2 * (tile.rows + tile.tokens) * (tile.columns + UNIT);
    return tile;
}

static bool coopmat_fits(const struct dev_caps *caps, const struct matmul_tile *tile)
{
    uint32_t n_subgroups = tile->local / caps->subgroup_size;
    uint64_t sums = (uint64_t)tile->rows * tile->tokens / n_subgroups;
    uint64_t items = (uint64_t)(tile->rows + tile->tokens) * (tile->columns / UNIT) / tile->local;
    return tile->shared_bytes <= caps->max_shared_bytes && items <= MOST_ITEMS &&
           tile->local <= ops_most_local(caps, true) &&
           tile->shared_bytes >= 4 * n_subgroups * caps->coopmat_m * caps->coopmat_n &&
           sums <= (uint64_t)MOST_SUMS * caps->coopmat_m * caps->coopmat_n;
}

/* Halves what is largest until the tile fits. False: not even the smallest one does. */
static bool shrink_coopmat(const struct dev_caps *caps, uint64_t cols, uint32_t *values,
                           struct matmul_tile *tile)
{
    if (caps->coopmat_m == 0 || caps->coopmat_n == 0 || caps->coopmat_k == 0 ||
        caps->coopmat_m % 4 != 0 || caps->coopmat_k % UNIT != 0 || caps->coopmat_k > 8 * CHUNK ||
        cols % least_columns(caps) != 0) {
        return false;
    }
    *tile = make_coopmat(caps, cols, values);
    while (!coopmat_fits(caps, tile)) {
        bool rows = values[0] > caps->coopmat_m, tokens = values[1] > caps->coopmat_n;
        bool threads = tile->local > ops_most_local(caps, true);
        if (!threads && (rows || tokens)) {
            values[rows && (values[0] >= values[1] || !tokens) ? 0 : 1] /= 2;
        } else if (!threads && values[2] > CHUNK) {
            values[2] -= CHUNK;
        } else if (values[3] > 1) {
            values[3] /= 2;
        } else {
            return false;
        }
        *tile = make_coopmat(caps, cols, values);
    }
    return true;
}

/* ---- tiles ---- */

/* Work groups of products that stay: as many as the cores run, where that is known. */
static uint32_t most_few_groups(const struct dev_caps *caps, uint32_t local, uint32_t tokens)
{
    bool may = (caps->has & DEV_CAP_CPU) == 0;
    uint32_t per_core = tokens == 1 ? FEW_PER_CORE : SOME_PER_CORE;
    return may ? caps->cores * (uint32_t)size_div_up(per_core, local) : 0;
}

/* A fetch of 16 bytes is 4 to 32 columns: as many in flight for each lane. More tokens need the
 * registers. */
static void set_few_defaults(const struct dev_caps *caps, const struct ops_need *need,
                             uint32_t *values)
{
    const struct quant_format *format = quant_get(need->quant);
    uint32_t unit = format->planes[0].unit_cols;
    bool wide = unit >= 32, one = need->tokens == 1;
    bool small = (caps->has & DEV_CAP_CPU) != 0; /* compiles what is unrolled for long */
    bool stay =
        most_few_groups(caps, FEW_LOCAL, 1) != 0 && strcmp(need->op->name, "matmul_experts") != 0;
    if (stay) {
        bool light = format->block_bytes * 8 <= FEW_BITS * format->block_cols;
        values[0] = 2;
        values[1] = one && light ? 2 * FEW_LOCAL : FEW_LOCAL;
        values[2] = token_tile(need->tokens, 8);
        values[3] = wide || !one ? 1 : unit >= 16 ? 2 : 4;
        return;
    }
    values[0] = small ? 1 : wide && need->tokens == 1 ? 4 : 2;
    values[1] = small ? FEW_LOCAL / 4 : FEW_LOCAL;
    values[2] = token_tile(need->tokens, small ? 4 : 8);
    values[3] = small || wide || need->tokens > 1 ? 1 : 2;
}

/* What is taken where nothing was measured, in the order of the tunables. */
static void set_defaults(enum matmul_kernel kernel, const struct dev_caps *caps,
                         const struct ops_need *need, const struct matmul_size *size,
                         uint32_t *values)
{
    uint64_t tokens = need->tokens;
    bool one = tokens == 1;
    switch (kernel) {
    case MATMUL_COOPMAT:
        set_coopmat_defaults(caps, size, values);
        break;
    case MATMUL_COOPMAT2:
        ops_flexible_defaults(caps, size, values);
        break;
    case MATMUL_LANES:
        values[0] = one ? LANES_GEMV_ROWS : LANES_GEMM_ROWS;
        values[1] = one ? LANES_GEMV_GROUP : LANES_GEMM_GROUP;
        values[2] = token_tile(tokens, 8);
        break;
    case MATMUL_SUBGROUP:
        values[0] = SUBGROUP_ROWS;
        values[1] = SUBGROUP_LOCAL;
        values[2] = token_tile(tokens, 8);
        break;
    case MATMUL_INT_DOT_FEW:
    case MATMUL_SHARED:
        set_few_defaults(caps, need, values);
        break;
    default:
        values[0] = token_tile(tokens, 4);
        break;
    }
}

/* Columns of x that a work group of the subgroup kernel keeps in shared memory: all, or equal parts
 * of them. */
static uint32_t x_columns(const struct dev_caps *caps, uint64_t cols, uint32_t tokens,
                          enum matmul_kernel kernel)
{
    uint32_t per = kernel == MATMUL_SHARED ? 128 : 48; /* bytes of 32 columns: f32; with scales */
    uint64_t bytes =
        caps->max_shared_bytes < X_MOST + X_OTHER ? caps->max_shared_bytes - X_OTHER : X_MOST;
    uint64_t most = (bytes / tokens - X_PAD) / per * CHUNK;
    if ((caps->has & DEV_CAP_CPU) != 0) {
        return most < X_CPU ? (uint32_t)most : X_CPU;
    }
    uint64_t parts = size_div_up(cols, most);
    return (uint32_t)size_round(size_div_up(cols, parts), CHUNK);
}

/* `wanted` invocations, or half as many until a work group may have them; whole subgroups. */
static uint32_t fit_local(const struct dev_caps *caps, uint32_t wanted)
{
    while (wanted > ops_most_local(caps, true)) {
        wanted /= 2;
    }
    return wanted > caps->subgroup_size ? wanted : caps->subgroup_size;
}

static struct matmul_tile make_tile(enum matmul_kernel kernel, const struct dev_caps *caps,
                                    uint64_t cols, uint32_t *values)
{
    uint32_t size = caps->subgroup_size, local;
    struct matmul_tile tile = {0};
    const char *why;
    switch (kernel) {
    case MATMUL_LANES:
        local = size * values[1];
        return (struct matmul_tile){
            .local = local, .spec_rows = values[0], .rows = local * values[0], .tokens = values[2]};
    case MATMUL_COOPMAT:
        shrink_coopmat(caps, cols, values, &tile);
        return tile;
    case MATMUL_COOPMAT2:
        ops_flexible_tile(caps, cols, values, &tile, &why);
        return tile;
    case MATMUL_SUBGROUP:
        local = fit_local(caps, values[1]);
        return (struct matmul_tile){.local = local,
                                    .spec_rows = values[0],
                                    .rows = local / size * values[0],
                                    .tokens = values[2]};
    case MATMUL_INT_DOT_FEW:
    case MATMUL_SHARED:
        local = fit_local(caps, values[1]);
        return (struct matmul_tile){.local = local,
                                    .spec_rows = values[0],
                                    .rows = local / size * values[0],
                                    .tokens = values[2],
                                    .columns = x_columns(caps, cols, values[2], kernel),
                                    .most_groups = most_few_groups(caps, local, values[2]),
                                    .unroll = values[3]};
    case MATMUL_GEMV:
        return (struct matmul_tile){.rows = 4, .tokens = values[0]};
    default:
        return (struct matmul_tile){.rows = 64, .tokens = 64};
    }
}

struct matmul_tile ops_matmul_tile(const struct ops_target *target, const struct ops_need *need,
                                   enum matmul_kernel kernel, const struct matmul_size *size)
{
    const struct dev_caps *caps = target->caps;
    uint32_t values[OPS_MAX_TUNABLES];
    set_defaults(kernel, caps, need, size, values);
    struct ops_need like = *need; /* both ops have the same kernels: what was measured for one */
    like.op = ops_find("matmul");
    if (ops_tuned_get(target->prefs, need, &need->op->variants[kernel], values) ||
        ops_tuned_get(target->prefs, &like, &like.op->variants[kernel], values)) {
        struct matmul_tile tile = make_tile(kernel, caps, size->cols, values);
        if (tile.local <= ops_most_local(caps, true)) {
            return tile;
        }
        set_defaults(kernel, caps, need, size, values);
    }
    return make_tile(kernel, caps, size->cols, values);
}

uint64_t ops_matmul_groups(const struct matmul_tile *tile, uint64_t rows, uint32_t each)
{
    uint64_t groups = size_div_up(rows, each), most = tile->most_groups;
    return most != 0 && most < groups ? most : groups;
}

struct dev_kernel *ops_matmul_kernel(struct dev *dev, enum matmul_kernel kernel,
                                     const struct matmul_tile *tile,
                                     const struct dev_shader *shader)
{
    const struct dev_caps *caps = dev_get_caps(dev);
    uint32_t size = caps->subgroup_size;
    struct dev_kernel_params params = {.shader = shader};
    if (kernel != MATMUL_GEMV && kernel != MATMUL_GEMM && kernel != MATMUL_INT_DOT) {
        params.subgroup_size = size;
        ops_add_spec(&params, MATMUL_SPEC_LOCAL_SIZE, tile->local);
        ops_add_spec(&params, MATMUL_SPEC_ROWS, tile->spec_rows);
    }
    if (kernel == MATMUL_LANES) {
        ops_add_spec(&params, MATMUL_SPEC_S, size);
        ops_add_spec(&params, MATMUL_SPEC_QUADS, tile->quads);
    }
    if (ops_matmul_is_few(kernel)) {
        ops_add_spec(&params, MATMUL_SPEC_X_COLUMNS, tile->columns);
        if (tile->norm) {
            ops_add_spec(&params, MATMUL_SPEC_NORM, 1);
        }
        if (tile->gelu) {
            ops_add_spec(&params, SPEC_GELU, 1);
        }
        ops_add_spec(&params, MATMUL_SPEC_UNROLL, tile->unroll);
    }
    if (kernel == MATMUL_COOPMAT) {
        ops_add_spec(&params, MATMUL_SPEC_S, size);
        ops_add_spec(&params, SPEC_COLUMNS, tile->columns);
        ops_add_spec(&params, SPEC_M, caps->coopmat_m);
        ops_add_spec(&params, SPEC_N, caps->coopmat_n);
        ops_add_spec(&params, SPEC_K, caps->coopmat_k);
        ops_add_spec(&params, SPEC_ROW_SUBGROUPS, tile->row_subgroups);
        ops_add_spec(&params, SPEC_TYPE_M, caps->coopmat_m);
        ops_add_spec(&params, SPEC_TYPE_N, caps->coopmat_n);
        ops_add_spec(&params, SPEC_TYPE_K, caps->coopmat_k);
    }
    if (kernel == MATMUL_COOPMAT2) {
        ops_add_spec(&params, SPEC_COLUMNS, tile->columns);
        ops_add_spec(&params, SPEC_TYPE_M, tile->rows);
        ops_add_spec(&params, SPEC_TYPE_N, tile->tokens);
        ops_add_spec(&params, SPEC_TYPE_K, tile->columns);
        ops_add_spec(&params, SPEC_SCOPE, tile->workgroup_scope ? SCOPE_WORKGROUP : SCOPE_SUBGROUP);
    }
    if (kernel != MATMUL_GEMM && kernel != MATMUL_INT_DOT) {
        ops_add_spec(&params, MATMUL_SPEC_TOKENS, tile->tokens);
    }
    return dev_kernel_get(dev, &params);
}

/* ---- choice ---- */

static bool has_coopmat_tile(const struct dev_caps *caps, uint64_t cols)
{
    uint32_t values[OPS_MAX_TUNABLES] = {CHUNK, CHUNK, CHUNK, 1};
    struct matmul_tile tile;
    return shrink_coopmat(caps, cols, values, &tile);
}

void ops_matmul_unfit(const struct dev_caps *caps, const struct quant_layout *layout,
                      uint64_t x_texels, struct ops_need *need)
{
    bool lanes = layout->lanes == caps->subgroup_size &&
                 layout->bytes / 16 <= caps->max_texel_elements &&
                 x_texels <= caps->max_texel_elements;
    bool coopmat = has_coopmat_tile(caps, layout->cols);
    bool gemm = caps->max_workgroup_invocations >= MATMUL_GEMM_LOCAL &&
                caps->max_workgroup_size[0] >= MATMUL_GEMM_LOCAL;
    need->unfit[MATMUL_LANES] =
        lanes ? NULL : "weights are not interleaved for it, or beyond texel buffers";
    need->unfit[MATMUL_COOPMAT] =
        coopmat ? NULL : "columns are no multiple of 32, or no tile fits the device's limits";
    uint32_t values[OPS_MAX_TUNABLES] = {CHUNK, CHUNK, CHUNK, 1};
    struct matmul_tile tile;
    ops_flexible_tile(caps, layout->cols, values, &tile, &need->unfit[MATMUL_COOPMAT2]);
    need->unfit[MATMUL_GEMM] = gemm ? NULL : "the device allows no workgroup of 256";
    need->unfit[MATMUL_INT_DOT_FEW] =
        layout->cols % OP_Q8_BLOCK != 0 ? "columns are no multiple of 32" : NULL;
    need->unfit[MATMUL_INT_DOT] = layout->cols % OP_Q8_BLOCK != 0 ? "columns are no multiple of 32"
                                                                  : need->unfit[MATMUL_GEMM];
}

bool ops_matmul_has_norm(const struct plan_node *node)
{
    return node->n_src > MATMUL_SRC_NORM && node->src[MATMUL_SRC_NORM] != PLAN_NONE &&
           strcmp(node->op->name, "matmul_experts") != 0;
}

bool ops_matmul_is_few(enum matmul_kernel kernel)
{
    return kernel == MATMUL_SHARED || kernel == MATMUL_INT_DOT_FEW;
}

void ops_matmul_unfit_norm(struct ops_need *need)
{
    need->fused = true;
    for (uint32_t k = 0; k < MATMUL_KERNELS; k++) {
        if (!ops_matmul_is_few((enum matmul_kernel)k)) {
            need->unfit[k] = "it does not make the norm of x";
        }
    }
}

uint64_t ops_matmul_tokens(const struct plan *plan, const struct plan_node *node)
{
    if (strcmp(node->op->name, "matmul_experts") != 0) {
        return plan_get_tensor(plan, node->src[1])->rows;
    }
    const struct op_matmul_experts_attr *attr = (const void *)node->attr;
    const struct plan_tensor *ids = plan_get_tensor(plan, node->src[2]);
    bool grouped = node->src[3] != PLAN_NONE;
    return grouped ? size_div_up(ids->rows * ids->cols, attr->experts) : 1;
}

const struct ops_variant *ops_matmul_best(const struct plan *plan, const struct plan_node *node,
                                          const struct dev_caps *caps,
                                          const struct ops_prefs *prefs)
{
    const struct plan_tensor *w = plan_get_tensor(plan, node->src[0]);
    const struct plan_tensor *x = plan_get_tensor(plan, node->src[1]);
    struct ops_need need = {.op = node->op, .tokens = x->rows, .quant = w->quant, .any_x = true};
    struct quant_layout layout;
    const char *why;
    if (!quant_layout_init(&layout, w->quant, w->rows, w->cols, ops_weight_lanes(caps, prefs))) {
        return NULL;
    }
    ops_matmul_unfit(caps, &layout, x->rows * x->cols / 4, &need);
    if (ops_matmul_has_norm(node)) {
        ops_matmul_unfit_norm(&need);
    }
    return ops_variant_choose(&need, caps, prefs, &why);
}
