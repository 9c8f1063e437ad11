/* Matmul in the microbenchmarks: M rows of the weight, N tokens, K columns. */
#include "lab/bench_internal.h"
#include "lab/internal.h"

#include "ops/ops.h"

enum { W, X }; /* tensors, in the order they are made */

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
    return op_matmul(&c->plan, "y", w, x) != PLAN_NONE;
}

/* The bound is that of the oracle. */
static bool expect(struct bench_case *c, const struct bench_picks *picks, double *value,
                   double *bound)
{
    size_t cols = c->shape.k;
    float *w = mem_alloc(cols, sizeof *w), *x = mem_alloc(picks->n_rows * cols, sizeof *x);
    bool ok = w != NULL && x != NULL;
    for (uint32_t r = 0; ok && r < picks->n_rows; r++) {
        ok = bench_case_row(c, X, picks->rows[r], x + r * cols);
    }
    for (uint32_t i = 0; ok && i < picks->n_cols; i++) {
        ok = bench_case_row(c, W, picks->cols[i], w);
        for (uint32_t r = 0; ok && r < picks->n_rows; r++) {
            struct lab_product p = lab_product(
                &(struct lab_factors){.w = w, .x = x + r * cols, .cols = cols, .quant = c->quant},
                0);
            value[r * picks->n_cols + i] = p.value;
            bound[r * picks->n_cols + i] = p.bound;
        }
    }
    mem_free(w);
    mem_free(x);
    return ok;
}

const struct bench_kind bench_kind_matmul = {.op = "matmul",
                                             .make = make,
                                             .expect = expect,
                                             .most_rows = BENCH_ROWS,
                                             .tail_cols = 24,
                                             .random_cols = BENCH_COLS - 25};
