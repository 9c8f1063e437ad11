/* Matmul in the microbenchmarks: M rows of the weight, N tokens, K columns. */
#include "lab/bench_internal.h"
#include "lab/internal.h"

#include "ops/matmul_split.h"
#include "ops/matmul_tile.h"
#include "ops/ops.h"

#include <math.h>
#include <string.h>

enum {
    W,
    X,
    Y,
    SCALE
}; /* tensors, in the order they are made; SCALE: where x is staged; behind
      them the parts of a split product */

/* What lowering does in the engine, but that the staged activations are inputs. */
void bench_stage_x(struct bench_case *c, struct plan_node *node, uint32_t scale_source)
{
    struct plan *plan = &c->plan;
    const struct ops_variant *best =
        ops_matmul_best(plan, node, dev_get_caps(c->bd->dev), c->prefs);
    if (best == NULL || best->x == PLAN_F32) {
        return;
    }
    uint32_t x = node->src[1];
    uint64_t rows = plan->tensors[x].rows, cols = plan->tensors[x].cols;
    while (node->n_src <= scale_source) {
        node->src[node->n_src++] = PLAN_NONE;
    }
    node->src[scale_source] =
        plan_add_act(plan, "x_scale", rows, best->x == PLAN_S8 ? cols / OP_Q8_BLOCK : 1);
    plan->tensors[x].elem = best->x;
}

/* Scales are filled as floats one after the other. */
static bool read_scales(struct bench_case *c, uint32_t id, uint64_t row, float *out)
{
    const struct bench_tensor *t = &c->tensors[id];
    uint64_t n = c->plan.tensors[id].cols;
    float *line = mem_alloc((size_t)t->cols, sizeof *line);
    bool ok = line != NULL;
    for (uint64_t i = 0; ok && i < n; i++) {
        uint64_t at = row * n + i;
        ok = (i != 0 && at % t->cols != 0) || bench_case_row(c, id, at / t->cols, line);
        out[i] = line[at % t->cols];
    }
    mem_free(line);
    return ok;
}

bool bench_read_x(struct bench_case *c, uint32_t x, uint32_t scale_id, uint64_t row, float *out,
                  float *scales)
{
    enum plan_elem elem = c->plan.tensors[x].elem;
    if (!bench_case_row(c, x, row, out)) {
        return false;
    }
    for (size_t k = (size_t)c->plan.tensors[x].cols; elem == PLAN_S8 && k > 0; k--) {
        int8_t byte; /* from the last one: it is read before it is written over */
        memcpy(&byte, (const char *)out + k - 1, 1);
        out[k - 1] = byte;
    }
    return elem == PLAN_F32 || read_scales(c, scale_id, row, scales);
}

/* The kernel of the product rounds x itself. */
static bool quantizes(const struct bench_case *c)
{
    const struct ops_variant *best =
        ops_matmul_best(&c->plan, &c->plan.nodes[0], dev_get_caps(c->bd->dev), c->prefs);
    return best != NULL && best->quantizes;
}

struct lab_product bench_product(const struct bench_case *c, uint32_t x_id, const float *w,
                                 const float *x, const float *scales)
{
    enum plan_elem elem = c->plan.tensors[x_id].elem;
    const struct lab_factors f = {.w = w,
                                  .x = x,
                                  .cols = (size_t)c->plan.tensors[x_id].cols,
                                  .quant = c->quant,
                                  .scale = elem == PLAN_F16 ? scales : NULL,
                                  .scales = elem == PLAN_S8 ? scales : NULL};
    struct lab_product p = lab_product(&f, 0);
    p.bound = fabs(p.bound); /* scales may be negative */
    if (elem == PLAN_F32 && quantizes(c)) {
        p.bound += lab_rounding_bound(&f);
    }
    return p;
}

/* So does the engine with few tokens. Rates count what the whole product takes. */
static bool split(struct bench_case *c)
{
    struct plan *plan = &c->plan;
    struct plan_node node = plan->nodes[0];
    const struct ops_target target = {dev_get_caps(c->bd->dev), c->prefs};
    const struct ops_variant *best = ops_matmul_best(plan, &node, target.caps, target.prefs);
    uint32_t part = best != NULL ? ops_matmul_part(plan, &node, best, &target) : 0;
    if (part == 0) {
        return true;
    }
    struct op_cost cost = {0, 0};
    node.op->cost(plan, &node, &cost);
    c->flop = cost.flop;
    c->bytes = cost.bytes;
    c->parts = (uint32_t)size_div_up(c->shape.k, part);
    plan->n_nodes = 0;
    return ops_matmul_split(plan, &node, part) && plan_add_node(plan, &node) != PLAN_NONE;
}

static bool make(struct bench_case *c)
{
    const struct bench_shape *s = &c->shape;
    if (s->k % quant_get(c->quant)->block_cols != 0 || s->k % 4 != 0) {
        c->why = "K is no multiple of 4 and of the format's block";
        return false;
    }
    plan_init(&c->plan, c->bd->log, s->n, 0, 1);
    uint32_t w = plan_get_weight(&c->plan, 0, "w", c->quant, s->m, s->k);
    uint32_t x = plan_add_act(&c->plan, "x", s->n, s->k);
    if (op_matmul(&c->plan, "y", w, x) == PLAN_NONE) {
        return false;
    }
    bench_stage_x(c, &c->plan.nodes[0], 3);
    return split(c);
}

/* The bound is that of the oracle. */
static bool expect(struct bench_case *c, const struct bench_picks *picks, double *value,
                   double *bound)
{
    size_t cols = c->shape.k, n = cols / OP_Q8_BLOCK + 1;
    float *w = mem_alloc(cols, sizeof *w), *x = mem_alloc(picks->n_rows * cols, sizeof *x);
    float *scales = mem_alloc(picks->n_rows * n, sizeof *scales);
    bool ok = w != NULL && x != NULL && scales != NULL;
    for (uint32_t r = 0; ok && r < picks->n_rows; r++) {
        ok = bench_read_x(c, X, SCALE, picks->rows[r], x + r * cols, scales + r * n);
    }
    for (uint32_t i = 0; ok && i < picks->n_cols; i++) {
        ok = bench_case_row(c, W, picks->cols[i], w);
        for (uint32_t r = 0; ok && r < picks->n_rows; r++) {
            struct lab_product p = bench_product(c, X, w, x + r * cols, scales + r * n);
            value[r * picks->n_cols + i] = p.value;
            bound[r * picks->n_cols + i] = p.bound;
        }
    }
    mem_free(w);
    mem_free(x);
    mem_free(scales);
    return ok;
}

const struct bench_kind bench_kind_matmul = {.op = "matmul",
                                             .make = make,
                                             .expect = expect,
                                             .most_rows = BENCH_ROWS,
                                             .tail_cols = 24,
                                             .random_cols = BENCH_COLS - 25};
