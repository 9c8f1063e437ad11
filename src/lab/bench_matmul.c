/* Matmul in the microbenchmarks: M rows of the weight, N tokens, K columns. */
#include "lab/bench_internal.h"
#include "lab/internal.h"

#include "ops/matmul_tile.h"
#include "ops/ops.h"

enum { W, X, Y, SCALE }; /* tensors, in the order they are made; SCALE: where x is staged */

/* What lowering does in the engine, but that the staged activations are inputs. */
void bench_stage_x(struct bench_case *c, struct plan_node *node, uint32_t scale_source)
{
    struct plan *plan = &c->plan;
    const struct ops_variant *best =
        ops_matmul_best(plan, node, dev_get_caps(c->bd->dev), c->prefs);
    if (best == NULL || best->x != PLAN_F16) {
        return;
    }
    uint32_t x = node->src[1];
    while (node->n_src <= scale_source) {
        node->src[node->n_src++] = PLAN_NONE;
    }
    node->src[scale_source] = plan_add_act(plan, "x_scale", plan->tensors[x].rows, 1);
    plan->tensors[x].elem = PLAN_F16;
}

bool bench_read_x(struct bench_case *c, uint32_t x, uint32_t scale_id, uint64_t row, float *out,
                  float *scale)
{
    float *scales = NULL;
    bool ok = bench_case_row(c, x, row, out);
    if (ok && c->plan.tensors[x].elem == PLAN_F16) {
        scales = mem_alloc((size_t)c->tensors[scale_id].cols, sizeof *scales);
        ok = scales != NULL && bench_case_row(c, scale_id, 0, scales);
    }
    *scale = ok && scales != NULL ? scales[row] : 1;
    mem_free(scales);
    return ok;
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
    return true;
}

/* The bound is that of the oracle. */
static bool expect(struct bench_case *c, const struct bench_picks *picks, double *value,
                   double *bound)
{
    size_t cols = c->shape.k;
    float *w = mem_alloc(cols, sizeof *w), *x = mem_alloc(picks->n_rows * cols, sizeof *x);
    float *scale = mem_alloc(picks->n_rows, sizeof *scale);
    bool staged = c->plan.tensors[X].elem == PLAN_F16, ok = w != NULL && x != NULL && scale != NULL;
    for (uint32_t r = 0; ok && r < picks->n_rows; r++) {
        ok = bench_read_x(c, X, SCALE, picks->rows[r], x + r * cols, &scale[r]);
    }
    for (uint32_t i = 0; ok && i < picks->n_cols; i++) {
        ok = bench_case_row(c, W, picks->cols[i], w);
        for (uint32_t r = 0; ok && r < picks->n_rows; r++) {
            struct lab_product p =
                lab_product(&(struct lab_factors){.w = w,
                                                  .x = x + r * cols,
                                                  .cols = cols,
                                                  .quant = c->quant,
                                                  .scale = staged ? &scale[r] : NULL},
                            0);
            value[r * picks->n_cols + i] = p.value;
            bound[r * picks->n_cols + i] = p.bound;
        }
    }
    mem_free(w);
    mem_free(x);
    mem_free(scale);
    return ok;
}

const struct bench_kind bench_kind_matmul = {.op = "matmul",
                                             .make = make,
                                             .expect = expect,
                                             .most_rows = BENCH_ROWS,
                                             .tail_cols = 24,
                                             .random_cols = BENCH_COLS - 25};
