/* Norm and rotary embedding in the microbenchmarks. Norm: 1 x N tokens x K columns. RoPE: M heads x
 * N tokens x K dimensions of a head, interleaved pairs, positions 0 to N - 1. */
#include "lab/bench_internal.h"

#include "ops/ops.h"
#include "shaders/common/step.h"

#include <math.h>

#define EPS  1e-5f
#define BASE 10000.0f

static bool make_norm(struct bench_case *c)
{
    const struct bench_shape *s = &c->shape;
    if (s->m != 1 || s->k % 4 != 0) {
        c->why = "a norm is 1 x tokens x columns, columns a multiple of 4";
        return false;
    }
    plan_init(&c->plan, c->bd->log, s->n, 0, 1);
    uint32_t x = plan_add_act(&c->plan, "x", s->n, s->k);
    uint32_t w = plan_get_weight(&c->plan, 0, "w", QUANT_F32, 1, s->k);
    return op_rmsnorm(&c->plan, x, w, EPS) != PLAN_NONE;
}

/* The bound is that of the oracle (rmsnorm.c). */
static bool expect_norm(struct bench_case *c, const struct bench_picks *picks, double *value,
                        double *bound)
{
    size_t cols = c->shape.k;
    float *x = mem_alloc(cols, sizeof *x), *w = mem_alloc(cols, sizeof *w);
    bool ok = x != NULL && w != NULL && bench_case_row(c, 1, 0, w);
    for (uint32_t r = 0; ok && r < picks->n_rows; r++) {
        double sum = 0;
        ok = bench_case_row(c, 0, picks->rows[r], x);
        for (size_t k = 0; k < cols; k++) {
            sum += (double)x[k] * (double)x[k];
        }
        double scale = 1 / sqrt(sum / (double)cols + (double)EPS);
        for (uint32_t i = 0; i < picks->n_cols; i++) {
            size_t at = r * picks->n_cols + i;
            value[at] = (double)x[picks->cols[i]] * scale * (double)w[picks->cols[i]];
            bound[at] = LAB_U * (16 + (double)cols / 32) * fabs(value[at]);
        }
    }
    mem_free(x);
    mem_free(w);
    return ok;
}

const struct bench_kind bench_kind_norm = {.op = "rmsnorm",
                                           .make = make_norm,
                                           .expect = expect_norm,
                                           .most_rows = BENCH_ROWS,
                                           .tail_cols = 24,
                                           .random_cols = BENCH_COLS - 25};

static bool make_rope(struct bench_case *c)
{
    const struct bench_shape *s = &c->shape;
    uint64_t words = STEP_HEADER + (uint64_t)STEP_ARRAYS * s->n + 1;
    if (s->k % 4 != 0) {
        c->why = "the size of a head is no multiple of 4";
        return false;
    }
    c->step_words = arena_alloc(&c->arena, (size_t)words, sizeof *c->step_words);
    if (c->step_words == NULL) {
        c->why = "out of memory";
        return false;
    }
    c->step_words[STEP_N_TOKENS] = c->step_words[STEP_CAP] = s->n;
    for (uint32_t t = 0; t < s->n; t++) {
        c->step_words[STEP_HEADER + STEP_POS * s->n + t] = t;
    }
    const struct op_rope_attr attr = {
        .heads = s->m, .head_dim = s->k, .dims = s->k, .base = BASE, .scale = 1, .magnitude = 1};
    plan_init(&c->plan, c->bd->log, s->n, 0, 1);
    uint32_t x = plan_add_act(&c->plan, "x", s->n, (uint64_t)s->m * s->k);
    uint32_t step = plan_get_step(&c->plan, words);
    return op_rope(&c->plan, x, step, PLAN_NONE, &attr) != PLAN_NONE;
}

/* The bound is that of the oracle (rope.c). */
static bool expect_rope(struct bench_case *c, const struct bench_picks *picks, double *value,
                        double *bound)
{
    uint32_t dims = c->shape.k;
    float *x = mem_alloc((size_t)c->shape.m * dims, sizeof *x);
    bool ok = x != NULL;
    for (uint32_t r = 0; ok && r < picks->n_rows; r++) {
        ok = bench_case_row(c, 0, picks->rows[r], x);
        for (uint32_t i = 0; i < picks->n_cols; i++) {
            uint64_t p = picks->cols[i] / 2 * 2, pair = picks->cols[i] % dims / 2;
            double angle = (double)picks->rows[r] * pow((double)BASE, -2.0 * (double)pair / dims);
            double a = (double)x[p], b = (double)x[p + 1];
            size_t at = r * picks->n_cols + i;
            value[at] = picks->cols[i] % 2 == 0 ? a * cos(angle) - b * sin(angle)
                                                : a * sin(angle) + b * cos(angle);
            bound[at] = 4 * LAB_U * (fabs(a) + fabs(b));
        }
    }
    mem_free(x);
    return ok;
}

const struct bench_kind bench_kind_rope = {.op = "rope",
                                           .make = make_rope,
                                           .expect = expect_rope,
                                           .most_rows = BENCH_ROWS,
                                           .tail_cols = 24,
                                           .random_cols = BENCH_COLS - 25};
