/* Matmul of each token with the experts that the router chose for it: builder, cost, choice of
 * kernel, recording. Two ways: a work group takes one pair of token and expert, or, where there are
 * lists (expert_lists), all pairs of an expert, so that weights are read once for many tokens. One
 * dispatch per row segment of the weight and per batch of tokens, as in matmul. */
#include "ops/ops.h"

#include "gen/features.h"
#include "gen/matmul.h"
#include "gen/matmul_experts.h"
#include "gen/tables.h"
#include "ops/matmul_tile.h"
#include "ops/site.h"
#include "ops/weight.h"

#include <string.h>

_Static_assert((int)MATMUL_EXPERTS_SPEC_LOCAL_SIZE == (int)MATMUL_SPEC_LOCAL_SIZE &&
                   (int)MATMUL_EXPERTS_SPEC_S == (int)MATMUL_SPEC_S &&
                   (int)MATMUL_EXPERTS_SPEC_ROWS == (int)MATMUL_SPEC_ROWS &&
                   (int)MATMUL_EXPERTS_SPEC_TOKENS == (int)MATMUL_SPEC_TOKENS &&
                   (int)MATMUL_EXPERTS_SPEC_QUADS == (int)MATMUL_SPEC_QUADS,
               "kernels of both ops are specialized by matmul_tile.c");

/* Tokens are pairs of an expert, on average. */
static const struct ops_variant variants[MATMUL_KERNELS] = MATMUL_VARIANTS(shaders_matmul_experts);

enum {
    BATCH_STEP = 64, /* tokens: keeps offsets of batches aligned to 256 bytes */
    SRC_W = 0,
    SRC_X,
    SRC_IDS,
    SRC_LISTS, /* PLAN_NONE: pair by pair */
    SRC_SCALE  /* where x is staged */
};
#if HAVE_SHADER_MATMUL_EXPERTS_COOPMAT || HAVE_SHADER_MATMUL_EXPERTS_INT_DOT
_Static_assert((int)MATMUL_BIND_SCALES == (int)MATMUL_EXPERTS_BIND_SCALE, "not every build has it");
#endif

/* A call of the op on one device. */
struct call {
    const struct op_site *site;
    const struct plan_node *node;
    const struct plan_tensor *w, *x;
    uint64_t pairs, used, rows; /* used: pairs of a token; rows: of an expert */
    uint64_t share;             /* pairs of a row of x */
    uint32_t experts, most_tokens;
    bool grouped;
    uint64_t batch; /* pairs of one dispatch */
};

static struct call get_call(const struct op_site *site, const struct plan_node *node)
{
    struct op_matmul_experts_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    const struct plan_tensor *ids = plan_get_tensor(site->plan, node->src[SRC_IDS]);
    struct call call = {.site = site,
                        .node = node,
                        .w = plan_get_tensor(site->plan, node->src[SRC_W]),
                        .x = plan_get_tensor(site->plan, node->src[SRC_X]),
                        .pairs = ids->rows * ids->cols,
                        .used = ids->cols,
                        .experts = attr.experts,
                        .most_tokens = attr.most_tokens,
                        .grouped = node->src[SRC_LISTS] != PLAN_NONE};
    call.rows = call.w->rows / attr.experts;
    call.share = call.pairs / call.x->rows;
    return call;
}

static struct ops_need get_need(const struct call *call, const struct op_segment *segment)
{
    struct ops_need need = {.op = call->node->op,
                            .tokens = ops_matmul_tokens(call->site->plan, call->node),
                            .quant = call->w->quant,
                            .x = call->x->elem};
    ops_matmul_unfit(dev_get_caps(call->site->dev), segment->layout,
                     call->x->rows * call->x->cols / 4, &need);
    return need;
}

static struct matmul_experts_push
get_push(const struct call *call, const struct op_segment *segment, uint64_t pair0, uint64_t pairs)
{
    const struct quant_layout *layout = segment->layout;
    struct matmul_experts_push push = {
        .lanes_log2 = ops_log2(layout->lanes),
        .cols = (uint32_t)layout->cols,
        .rows = (uint32_t)call->rows,
        .row0 = (uint32_t)segment->row0,
        .n_rows = (uint32_t)segment->rows,
        .experts = call->experts,
        .share = (uint32_t)call->share,
        .pair0 = (uint32_t)pair0,
        .pairs = (uint32_t)pairs,
        .all = (uint32_t)call->pairs,
        .grouped = call->grouped,
        .w_exponent = ops_weight_exponent(&call->site->places[call->node->src[SRC_W]]),
        .magic = OPS_MAGIC};
    ops_weight_planes(layout, push.base, push.units);
    return push;
}

static bool record_segment(const struct call *call, const struct op_segment *segment,
                           uint64_t pair0)
{
    const struct plan_node *node = call->node;
    struct dev *dev = call->site->dev;
    uint64_t left = call->pairs - pair0, n = left < call->batch ? left : call->batch;
    const struct ops_need need = get_need(call, segment);
    const struct ops_variant *variant = ops_variant_pick(call->site, &need);
    if (variant == NULL) {
        return false;
    }
    enum matmul_kernel kernel = (enum matmul_kernel)ops_variant_index(node->op, variant);
    struct ops_need wide = need; /* many experts have more pairs than the average; a CPU is not */
    wide.tokens *= call->grouped && kernel != MATMUL_LANES ? 2 : 1; /* faster with empty places */
    const struct matmul_size size = {wide.tokens, call->rows, call->w->cols};
    const struct ops_target target = {dev_get_caps(dev), call->site->prefs};
    struct matmul_tile tile = ops_matmul_tile(&target, &wide, kernel, &size);
    struct matmul_experts_push push = get_push(call, segment, pair0, n);
    tile.quads = (push.rows | push.row0) % 4 == 0;
    struct dev_dispatch dispatch = {
        .kernel = ops_matmul_kernel(dev, kernel, &tile, variant->by_quant[segment->layout->id]),
        .n_binds = call->x->elem != PLAN_F32 ? 5 : 4,
        .push = &push,
        .push_bytes = sizeof push,
        .label = "matmul_experts",
    };
    uint64_t rows = segment->rows < call->rows ? segment->rows : call->rows;
    uint64_t last = (segment->row0 + segment->rows - 1) / call->rows;
    dispatch.groups[0] = (uint32_t)(call->grouped ? last - segment->row0 / call->rows + 1 : n);
    ops_fold(dev_get_caps(dev), 1, size_div_up(rows, tile.rows), dispatch.groups);
    dispatch.binds[MATMUL_EXPERTS_BIND_WEIGHTS] = ops_weight_bind(segment);
    dispatch.binds[MATMUL_EXPERTS_BIND_X] =
        ops_bind_rows(call->site, node->src[SRC_X], DEV_READ, pair0 / call->share, n / call->share);
    dispatch.binds[MATMUL_EXPERTS_BIND_Y] =
        ops_bind_rows(call->site, node->dst[0], DEV_WRITE, pair0, n);
    dispatch.binds[MATMUL_EXPERTS_BIND_PAIRS] =
        ops_bind(call->site, node->src[call->grouped ? SRC_LISTS : SRC_IDS], DEV_READ);
    if (call->x->elem != PLAN_F32) {
        dispatch.binds[MATMUL_BIND_SCALES] = ops_bind_rows(
            call->site, node->src[SRC_SCALE], DEV_READ, pair0 / call->share, n / call->share);
    }
    return dispatch.kernel != NULL && dev_cmd_dispatch(call->site->cmd, &dispatch);
}

/* Pairs of one dispatch, so that no binding is larger than the device allows: those of whole
 * tokens. */
static bool set_batch(struct call *call)
{
    const struct dev_caps *caps = dev_get_caps(call->site->dev);
    uint64_t rows = call->rows * call->used, cols = call->x->cols * (call->used / call->share);
    uint64_t most = caps->max_binding_bytes / 4 / (rows > cols ? rows : cols);
    uint64_t groups = (uint64_t)caps->max_workgroup_count[0] / call->used;
    uint64_t tokens = call->pairs / call->used;
    most = most < groups || call->grouped ? most : groups;
    most = call->most_tokens == 0 || most < call->most_tokens ? most : call->most_tokens;
    tokens = tokens <= most ? tokens : most / BATCH_STEP * BATCH_STEP;
    call->batch = tokens * call->used;
    if (call->batch == 0) {
        log_error(call->site->log,
                  "matmul_experts: %u tokens of %s [%llu][%llu], %llu experts each, exceed the "
                  "device's largest binding, %llu bytes",
                  BATCH_STEP, call->w->name, (unsigned long long)call->w->rows,
                  (unsigned long long)call->w->cols, (unsigned long long)call->used,
                  (unsigned long long)caps->max_binding_bytes);
    }
    return call->batch != 0;
}

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct op_place *place = &site->places[node->src[SRC_W]];
    struct call call = get_call(site, node);
    if (!set_batch(&call)) {
        return false;
    }
    for (uint64_t pair0 = 0; pair0 < call.pairs; pair0 += call.batch) {
        for (uint32_t i = 0; i < place->n_segments; i++) {
            if (!record_segment(&call, &place->segments[i], pair0)) {
                return false;
            }
        }
    }
    return true;
}

/* Of the weights, experts that some token uses: all that there can be. */
static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct op_site site = {.plan = plan};
    const struct call call = get_call(&site, node);
    double experts = call.pairs < call.experts ? (double)call.pairs : call.experts;
    out->flop = 2.0 * (double)call.rows * (double)call.w->cols * (double)call.pairs;
    out->bytes =
        experts * (double)call.rows * (double)quant_row_bytes(call.w->quant, call.w->cols) +
        ops_bytes(plan, node->src[SRC_X]) + ops_bytes(plan, node->dst[0]);
}

const struct op op_def_matmul_experts = {.name = "matmul_experts",
                                         .purpose = "weights of the chosen experts times "
                                                    "activations",
                                         .cost = cost,
                                         .record = record,
                                         .variants = variants,
                                         .n_variants = MATMUL_KERNELS};

static bool check(struct plan *plan, const struct plan_tensor *w, const struct plan_tensor *x,
                  const struct plan_tensor *ids, uint32_t experts)
{
    unsigned long long rows = w->rows, cols = w->cols, pairs = ids->rows * ids->cols, most;
    if (experts == 0 || experts > OP_MAX_EXPERTS || rows % experts != 0 || cols != x->cols ||
        (x->rows != ids->rows && x->rows != pairs)) {
        ops_refuse(plan, "matmul_experts",
                   "weight %s [%llu][%llu] of %u experts does not fit x %s [%llu][%llu] and ids "
                   "%s [%llu][%llu]",
                   w->name, rows, cols, experts, x->name, (unsigned long long)x->rows,
                   (unsigned long long)x->cols, ids->name, (unsigned long long)ids->rows,
                   (unsigned long long)ids->cols);
        return false;
    }
    most = pairs * (rows / experts);
    if (cols % 4 != 0 || cols > INT32_MAX || rows > INT32_MAX || most > INT32_MAX) {
        ops_refuse(plan, "matmul_experts",
                   "weight %s [%llu][%llu] for %llu pairs of token and expert: columns must be a "
                   "multiple of 4 and sizes below 2^31",
                   w->name, rows, cols, pairs);
        return false;
    }
    return true;
}

uint32_t op_matmul_experts(struct plan *plan, const char *name, uint32_t w, uint32_t x,
                           uint32_t ids, uint32_t n_experts)
{
    const struct plan_tensor *weight = ops_operand(plan, "matmul_experts", "weight", w, PLAN_QUANT);
    const struct plan_tensor *in = ops_operand(plan, "matmul_experts", "x", x, PLAN_F32);
    const struct plan_tensor *chosen = ops_operand(plan, "matmul_experts", "ids", ids, PLAN_U32);
    if (weight == NULL || in == NULL || chosen == NULL ||
        !check(plan, weight, in, chosen, n_experts)) {
        return PLAN_NONE;
    }
    uint64_t pairs = chosen->rows * chosen->cols, rows = weight->rows / n_experts;
    bool grouped = chosen->rows > 1 && pairs > n_experts; /* below, pair by pair is faster */
    uint32_t lists = grouped ? op_expert_lists(plan, ids, n_experts) : PLAN_NONE;
    const struct op_matmul_experts_attr attr = {.experts = n_experts};
    struct plan_node node = {
        .op = &op_def_matmul_experts, .n_src = 4, .src = {w, x, ids, lists}, .in_place = PLAN_NONE};
    memcpy(node.attr, &attr, sizeof attr);
    return ops_add_result(plan, &node, name, pairs, rows);
}
