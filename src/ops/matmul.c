/* Matmul with optional residual: builders, cost, choice of kernel and tile, recording. One dispatch
 * per row segment of the weight and per batch of tokens (more than one only where a binding would
 * be too large). How formats lie in memory is left to the shaders, and whether a product is split
 * along its columns to matmul_split.c. */
#include "ops/ops.h"

#include "gen/features.h"
#include "gen/matmul.h"
#include "gen/tables.h"
#include "ops/matmul_tile.h"
#include "ops/site.h"
#include "ops/weight.h"

#include <string.h>

static const struct ops_variant variants[MATMUL_KERNELS] = MATMUL_VARIANTS(shaders_matmul);

#if HAVE_SHADER_MATMUL_COOPMAT || HAVE_SHADER_MATMUL_INT_DOT
_Static_assert((int)MATMUL_BIND_SCALES == (int)MATMUL_BIND_SCALE, "not every build has it");
#endif

enum { BATCH_STEP = 64 }; /* tokens: keeps offsets of batches aligned to 256 bytes */

/* A call of the op on one device. */
struct call {
    const struct op_site *site;
    const struct plan_tensor *w;
    uint64_t tokens;
    bool has_residual;
    enum plan_elem elem;  /* of x */
    uint64_t batch;       /* tokens of one dispatch */
    uint64_t part, parts; /* columns of a part; how many there are */
    uint32_t w_exponent;  /* ops_weight_exponent */
    float eps;
};

/* Tiles of as many columns divide the whole product and its parts. */
static uint64_t tile_cols(const struct call *call)
{
    uint64_t a = call->w->cols, b = call->part;
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static struct ops_need get_need(const struct call *call, const struct plan_node *node,
                                const struct op_segment *segment)
{
    struct ops_need need = {
        .op = node->op, .tokens = call->tokens, .quant = call->w->quant, .x = call->elem};
    struct quant_layout layout = *segment->layout;
    layout.cols = tile_cols(call); /* tiles end where parts do */
    ops_matmul_unfit(dev_get_caps(call->site->dev), &layout, call->tokens * call->w->cols / 4,
                     &need);
    if (ops_matmul_has_norm(node)) {
        ops_matmul_unfit_norm(&need);
    }
    return need;
}

static struct matmul_push get_push(const struct call *call, const struct op_segment *segment,
                                   uint64_t tokens)
{
    const struct quant_layout *layout = segment->layout;
    struct matmul_push push = {.part = (uint32_t)call->part,
                               .lanes_log2 = ops_log2(layout->lanes),
                               .cols = (uint32_t)layout->cols,
                               .rows = (uint32_t)segment->rows,
                               .row0 = (uint32_t)segment->row0,
                               .stride = (uint32_t)call->w->rows,
                               .tokens = (uint32_t)tokens,
                               .residual = call->has_residual,
                               .w_exponent = call->w_exponent,
                               .magic = OPS_MAGIC,
                               .eps = call->eps};
    ops_weight_planes(layout, push.base, push.units);
    return push;
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
    enum matmul_kernel kernel = (enum matmul_kernel)ops_variant_index(node->op, variant);
    const struct ops_target target = {caps, call->site->prefs};
    const struct matmul_size size = {call->tokens, segment->rows, tile_cols(call)};
    struct matmul_tile tile = ops_matmul_tile(&target, &need, kernel, &size);
    struct matmul_push push = get_push(call, segment, n);
    tile.norm = ops_matmul_has_norm(node);
    tile.quads = (push.rows | push.row0 | push.stride) % 4 == 0;
    struct dev_dispatch dispatch = {
        .kernel = ops_matmul_kernel(dev, kernel, &tile, variant->by_quant[segment->layout->id]),
        .n_binds = variant->by_quant[segment->layout->id]->n_bindings,
        .push = &push,
        .push_bytes = sizeof push,
        .label = "matmul",
    };
    dispatch.groups[0] = (uint32_t)(size_div_up(n, tile.tokens) * call->parts);
    ops_fold(caps, 1, ops_matmul_groups(&tile, segment->rows, tile.rows), dispatch.groups);
    dispatch.binds[MATMUL_BIND_WEIGHTS] = ops_weight_bind(segment);
    dispatch.binds[MATMUL_BIND_X] = ops_bind_rows(call->site, node->src[1], DEV_READ, token0, n);
    dispatch.binds[MATMUL_BIND_Y] =
        ops_bind_rows(call->site, node->dst[0], DEV_WRITE, token0, n * call->parts);
    dispatch.binds[MATMUL_BIND_RESIDUAL] =
        call->has_residual ? ops_bind_rows(call->site, node->src[2], DEV_READ, token0, n)
                           : dispatch.binds[MATMUL_BIND_Y];
    if (ops_matmul_is_few(kernel)) {
        dispatch.binds[MATMUL_BIND_NORM] =
            tile.norm ? ops_bind(call->site, node->src[MATMUL_SRC_NORM], DEV_READ)
                      : dispatch.binds[MATMUL_BIND_X];
    }
    if (call->elem != PLAN_F32) {
        dispatch.binds[MATMUL_BIND_SCALES] =
            ops_bind_rows(call->site, node->src[3], DEV_READ, token0, n);
    }
    return dispatch.kernel != NULL && dev_cmd_dispatch(call->site->cmd, &dispatch);
}

/* Tokens of one dispatch, so that no binding is larger than the device allows. */
static bool set_batch(struct call *call)
{
    const struct dev_caps *caps = dev_get_caps(call->site->dev);
    uint64_t rows = call->w->rows * call->parts, cols = call->w->cols;
    uint64_t most = caps->max_binding_bytes / 4 / (rows > cols ? rows : cols);
    uint64_t groups = (uint64_t)caps->max_workgroup_count[0];
    most = most < groups ? most : groups;
    call->batch = call->tokens <= most ? call->tokens : most / BATCH_STEP * BATCH_STEP;
    if (call->parts > 1 && call->batch != call->tokens) { /* ops_matmul_part does not ask for it */
        log_error(call->site->log,
                  "matmul: %llu parts of %llu tokens of %s exceed the device's largest binding",
                  (unsigned long long)call->parts, (unsigned long long)call->tokens, call->w->name);
        return false;
    }
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
                        .elem = x->elem,
                        .w_exponent = ops_weight_exponent(place),
                        .has_residual = node->n_src > 2 && node->src[2] != PLAN_NONE};
    struct op_matmul_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    call.part = attr.part != 0 ? attr.part : call.w->cols;
    call.parts = size_div_up(call.w->cols, call.part);
    call.eps = attr.eps;
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
                                 .n_variants = MATMUL_KERNELS};

/* Adds the node, whose second source is x; NULL operands: refused already. */
static uint32_t add_node(struct plan *plan, const char *name, struct plan_node *node,
                         const struct plan_tensor *weight, const struct plan_tensor *in,
                         uint32_t part)
{
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
    if (part != 0 && (part % 32 != 0 || part >= cols || in->elem != PLAN_F16)) {
        return ops_refuse(
            plan, "matmul",
            "weight %s [%llu][%llu] in parts of %u columns: they must be a multiple of "
            "32, fewer than all, and x staged as f16",
            weight->name, rows, cols, part);
    }
    const struct op_matmul_attr attr = {.part = part};
    memcpy(node->attr, &attr, sizeof attr);
    uint64_t parts = part != 0 ? size_div_up(cols, part) : 1;
    return ops_add_result(plan, node, name, in->rows * parts, weight->rows);
}

uint32_t op_matmul(struct plan *plan, const char *name, uint32_t w, uint32_t x)
{
    const struct plan_tensor *weight = ops_operand(plan, "matmul", "weight", w, PLAN_QUANT);
    const struct plan_tensor *in = ops_operand(plan, "matmul", "x", x, PLAN_F32);
    struct plan_node node = {
        .op = &op_def_matmul, .n_src = 2, .src = {w, x}, .in_place = PLAN_NONE};
    return weight != NULL && in != NULL ? add_node(plan, name, &node, weight, in, 0) : PLAN_NONE;
}

uint32_t op_matmul_parts(struct plan *plan, const char *name, uint32_t w, struct op_staged x,
                         uint32_t part)
{
    const struct plan_tensor *weight = ops_operand(plan, "matmul", "weight", w, PLAN_QUANT);
    bool q8 = plan_get_tensor(plan, x.x)->elem == PLAN_S8;
    const struct plan_tensor *in = ops_operand(plan, "matmul", "x", x.x, q8 ? PLAN_S8 : PLAN_F16);
    const struct plan_tensor *scale = ops_operand(plan, "matmul", "scale", x.scale, PLAN_F32);
    if (weight == NULL || in == NULL || scale == NULL) {
        return PLAN_NONE;
    }
    uint64_t scales = q8 ? in->cols / OP_Q8_BLOCK : 1;
    if (scale->rows != in->rows || scale->cols != scales) {
        return ops_refuse(plan, "matmul", "scale %s is not [%llu][%llu] as x %s asks", scale->name,
                          (unsigned long long)in->rows, (unsigned long long)scales, in->name);
    }
    struct plan_node node = {.op = &op_def_matmul,
                             .n_src = 4,
                             .src = {w, x.x, PLAN_NONE, x.scale},
                             .in_place = PLAN_NONE};
    return add_node(plan, name, &node, weight, in, part);
}

uint32_t op_matmul_staged(struct plan *plan, const char *name, uint32_t w, struct op_staged x)
{
    return op_matmul_parts(plan, name, w, x, 0);
}
