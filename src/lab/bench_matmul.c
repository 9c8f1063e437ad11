/* Matmul in the microbenchmarks: M rows of the weight, N tokens, K columns. */
#include "lab/bench_internal.h"
#include "lab/internal.h"

#include "ops/ops.h"

#include <math.h>
#include <string.h>

enum { W, X, SCALE }; /* tensors, in the order they are made */

/* What the kernel that is asked for reads; f32 where none is. */
static enum plan_elem elem_of_x(const struct bench_case *c)
{
    const char *forced = c->prefs->forced;
    const struct ops_variant *v =
        forced != NULL ? ops_find_variant(ops_find("matmul"), forced) : NULL;
    return v != NULL ? v->x : PLAN_F32;
}

/* x as that kernel reads it. Scales are any floats. */
static struct op_staged add_x(struct bench_case *c, enum plan_elem elem)
{
    const struct bench_shape *s = &c->shape;
    struct op_staged x = {plan_add_act(&c->plan, "x", s->n, s->k), PLAN_NONE};
    if (x.x != PLAN_NONE && elem != PLAN_F32) {
        c->plan.tensors[x.x].elem = elem;
        x.scale = plan_add_act(&c->plan, "scale", s->n, elem == PLAN_S8 ? s->k / OP_Q8_BLOCK : 1);
    }
    return x;
}

static bool make(struct bench_case *c)
{
    const struct bench_shape *s = &c->shape;
    if (s->k % quant_get(c->quant)->block_cols != 0 || s->k % 4 != 0) {
        c->why = "K is no multiple of 4 and of the format's block";
        return false;
    }
    enum plan_elem elem = elem_of_x(c);
    if (elem == PLAN_S8 && s->k % OP_Q8_BLOCK != 0) {
        c->why = "columns are no multiple of 32";
        return false;
    }
    plan_init(&c->plan, c->bd->log, s->n, 0, 1);
    uint32_t w = plan_get_weight(&c->plan, 0, "w", c->quant, s->m, s->k);
    struct op_staged x = add_x(c, elem);
    return (elem == PLAN_F32 ? op_matmul(&c->plan, "y", w, x.x)
                             : op_matmul_staged(&c->plan, "y", w, x)) != PLAN_NONE;
}

/* Row `row` of x as numbers; bytes come as those of cols / 4 floats. */
static bool read_x(struct bench_case *c, uint64_t row, float *out)
{
    size_t cols = c->shape.k;
    if (!bench_case_row(c, X, row, out)) {
        return false;
    }
    for (size_t k = cols; c->plan.tensors[X].elem == PLAN_S8 && k > 0; k--) {
        int8_t byte; /* from the last one: it is read before it is written over */
        memcpy(&byte, (const char *)out + k - 1, 1);
        out[k - 1] = byte;
    }
    return true;
}

/* All scales of x, in the order of its rows; NULL: out of memory. */
static float *read_scales(struct bench_case *c)
{
    const struct bench_tensor *t = &c->tensors[SCALE];
    float *out = mem_alloc((size_t)(t->rows * t->cols), sizeof *out);
    for (uint64_t r = 0; out != NULL && r < t->rows; r++) {
        if (!bench_case_row(c, SCALE, r, out + r * t->cols)) {
            mem_free(out);
            return NULL;
        }
    }
    return out;
}

/* The bound is that of the oracle. */
static bool expect(struct bench_case *c, const struct bench_picks *picks, double *value,
                   double *bound)
{
    size_t cols = c->shape.k, scales = 0;
    enum plan_elem elem = c->plan.tensors[X].elem;
    if (elem != PLAN_F32) {
        scales = c->plan.tensors[SCALE].cols;
    }
    float *w = mem_alloc(cols, sizeof *w), *x = mem_alloc(picks->n_rows * cols, sizeof *x);
    float *scale = scales != 0 ? read_scales(c) : NULL;
    bool ok = w != NULL && x != NULL && (scales == 0 || scale != NULL);
    for (uint32_t r = 0; ok && r < picks->n_rows; r++) {
        ok = read_x(c, picks->rows[r], x + r * cols);
    }
    for (uint32_t i = 0; ok && i < picks->n_cols; i++) {
        ok = bench_case_row(c, W, picks->cols[i], w);
        for (uint32_t r = 0; ok && r < picks->n_rows; r++) {
            const float *mine = scale != NULL ? scale + picks->rows[r] * scales : NULL;
            const struct lab_factors f = {.w = w,
                                          .x = x + r * cols,
                                          .cols = cols,
                                          .quant = c->quant,
                                          .scale = elem == PLAN_F16 ? mine : NULL,
                                          .scales = elem == PLAN_S8 ? mine : NULL};
            struct lab_product p = lab_product(&f, 0);
            value[r * picks->n_cols + i] = p.value;
            bound[r * picks->n_cols + i] = fabs(p.bound); /* scales may be negative */
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
