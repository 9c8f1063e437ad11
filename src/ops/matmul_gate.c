/* The two products of a gated feed-forward block with their activation, for few tokens: builder,
 * cost, recording. One dispatch per row segment. Kernels and tiles are those of matmul for few
 * tokens, of whose rows half are of each weight. */
#include "ops/ops.h"

#include "gen/features.h"
#include "gen/matmul_gate.h"
#include "gen/tables.h"
#include "ops/matmul_tile.h"
#include "ops/site.h"
#include "ops/weight.h"

#include <string.h>

enum { SRC_GATE, SRC_X, SRC_UP };
enum { ROW_INT_DOT_FEW, ROW_SHARED };

static const struct ops_variant VARIANTS[] = {
    [ROW_INT_DOT_FEW] = {.name = "int_dot_few",
                         .needs = DEV_CAP_INT_DOT | DEV_CAP_SUBGROUP | DEV_CAP_SHUFFLE,
                         .min_subgroup = 8,
                         .max_subgroup = 128,
                         .quantizes = true,
                         .by_quant = shaders_matmul_gate_int_dot_few},
    [ROW_SHARED] = {.name = "shared",
                    .needs = DEV_CAP_SUBGROUP,
                    .by_quant = shaders_matmul_gate_shared},
};

/* Of matmul, for as many tokens: whose tile it takes. */
static struct ops_need like_matmul(const struct ops_need *need)
{
    struct ops_need like = *need;
    like.op = ops_find("matmul");
    return like;
}

static bool record_segment(const struct op_site *site, const struct plan_node *node, uint32_t s)
{
    const struct op_segment *gate = &site->places[node->src[SRC_GATE]].segments[s];
    const struct op_segment *up = &site->places[node->src[SRC_UP]].segments[s];
    const struct plan_tensor *w = plan_get_tensor(site->plan, node->src[SRC_GATE]);
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[SRC_X]);
    const struct quant_layout *layout = gate->layout;
    struct op_matmul_gate_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    struct ops_need need = {.op = node->op, .tokens = x->rows, .quant = w->quant, .fused = true};
    need.unfit[ROW_INT_DOT_FEW] =
        layout->cols % OP_Q8_BLOCK != 0 ? "columns are no multiple of 32" : NULL;
    const struct ops_variant *v = ops_variant_pick(site, &need);
    if (v == NULL) {
        return false;
    }
    enum matmul_kernel kernel = v == &VARIANTS[ROW_SHARED] ? MATMUL_SHARED : MATMUL_INT_DOT_FEW;
    const struct ops_target target = {dev_get_caps(site->dev), site->prefs};
    const struct ops_need like = like_matmul(&need);
    const struct matmul_size size = {x->rows, 2 * gate->rows, layout->cols};
    struct matmul_tile tile = ops_matmul_tile(&target, &like, kernel, &size);
    if (tile.spec_rows < 2) {
        tile.spec_rows = 2;
        tile.rows *= 2;
    }
    tile.norm = ops_matmul_has_norm(node);
    tile.gelu = attr.gelu != 0;
    struct matmul_gate_push push = {.part = (uint32_t)layout->cols,
                                    .lanes_log2 = ops_log2(layout->lanes),
                                    .cols = (uint32_t)layout->cols,
                                    .rows = (uint32_t)gate->rows,
                                    .row0 = (uint32_t)gate->row0,
                                    .stride = (uint32_t)w->rows,
                                    .tokens = (uint32_t)x->rows,
                                    .magic = OPS_MAGIC,
                                    .eps = attr.eps};
    ops_weight_planes(layout, push.base, push.units);
    struct dev_dispatch dispatch = {
        .kernel = ops_matmul_kernel(site->dev, kernel, &tile, v->by_quant[layout->id]),
        .n_binds = 5,
        .push = &push,
        .push_bytes = sizeof push,
        .label = "matmul_gate",
    };
    dispatch.groups[0] = (uint32_t)size_div_up(x->rows, tile.tokens);
    ops_fold(target.caps, 1, ops_matmul_groups(&tile, gate->rows, tile.rows / 2), dispatch.groups);
    dispatch.binds[MATMUL_GATE_BIND_WEIGHTS] = ops_weight_bind(gate);
    dispatch.binds[MATMUL_GATE_BIND_SECOND] = ops_weight_bind(up);
    dispatch.binds[MATMUL_GATE_BIND_X] = ops_bind(site, node->src[SRC_X], DEV_READ);
    dispatch.binds[MATMUL_GATE_BIND_Y] = ops_bind(site, node->dst[0], DEV_WRITE);
    dispatch.binds[MATMUL_GATE_BIND_NORM] =
        tile.norm ? ops_bind(site, node->src[MATMUL_SRC_NORM], DEV_READ)
                  : dispatch.binds[MATMUL_GATE_BIND_X];
    return dispatch.kernel != NULL && dev_cmd_dispatch(site->cmd, &dispatch);
}

static bool record(const struct op_site *site, const struct plan_node *node)
{
    bool ok = ops_same_segments(site, node, node->src[SRC_GATE], node->src[SRC_UP]);
    for (uint32_t s = 0; ok && s < site->places[node->src[SRC_GATE]].n_segments; s++) {
        ok = record_segment(site, node, s);
    }
    return ok;
}

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *w = plan_get_tensor(plan, node->src[SRC_GATE]);
    const struct plan_tensor *x = plan_get_tensor(plan, node->src[SRC_X]);
    out->flop = 4.0 * (double)w->rows * (double)w->cols * (double)x->rows;
    out->bytes = 2.0 * (double)w->rows * (double)quant_row_bytes(w->quant, w->cols) +
                 ops_bytes(plan, node->src[SRC_X]) + ops_bytes(plan, node->dst[0]);
}

const struct op op_def_matmul_gate = {.name = "matmul_gate",
                                      .purpose = "silu or gelu(gate x) * (up x), for few tokens",
                                      .cost = cost,
                                      .record = record,
                                      .variants = VARIANTS,
                                      .n_variants = sizeof VARIANTS / sizeof *VARIANTS};

uint32_t op_matmul_gate(struct plan *plan, const char *name, uint32_t gate, uint32_t up, uint32_t x,
                        bool gelu)
{
    const struct plan_tensor *a = ops_operand(plan, "matmul_gate", "gate", gate, PLAN_QUANT);
    const struct plan_tensor *b = ops_operand(plan, "matmul_gate", "up", up, PLAN_QUANT);
    const struct plan_tensor *in = ops_operand(plan, "matmul_gate", "x", x, PLAN_F32);
    if (a == NULL || b == NULL || in == NULL) {
        return PLAN_NONE;
    }
    if (a->rows != b->rows || a->cols != b->cols || a->quant != b->quant || a->cols != in->cols ||
        a->cols % 4 != 0) {
        return ops_refuse(plan, "matmul_gate",
                          "weights %s [%llu][%llu] and %s [%llu][%llu] for %llu columns are not of "
                          "one shape and format",
                          a->name, (unsigned long long)a->rows, (unsigned long long)a->cols,
                          b->name, (unsigned long long)b->rows, (unsigned long long)b->cols,
                          (unsigned long long)in->cols);
    }
    const struct op_matmul_gate_attr attr = {.gelu = gelu ? 1 : 0};
    struct plan_node node = {.op = &op_def_matmul_gate,
                             .n_src = 5,
                             .src = {gate, x, up, PLAN_NONE, PLAN_NONE},
                             .in_place = PLAN_NONE};
    memcpy(node.attr, &attr, sizeof attr);
    return ops_add_result(plan, &node, name, in->rows, a->rows);
}
