/* Attention in the microbenchmarks: M heads over G KV heads, the last N tokens of one sequence of K
 * entries whose blocks lie in order. Heads have 128 dimensions. */
#include "lab/bench_internal.h"

#include "ops/ops.h"
#include "shaders/common/step.h"

#include <math.h>
#include <stdio.h>

enum { HEAD_DIM = 128 };
enum { Q, K, V, STEP }; /* tensors, in the order they are made */

static uint32_t kv_heads(const struct bench_case *c)
{
    return c->shape.kv != 0 ? c->shape.kv : c->shape.m;
}

static uint32_t splits(const struct bench_case *c)
{
    bool may = !c->bd->cpu && c->shape.n <= OP_FEW_TOKENS;
    return may ? op_attention_splits(kv_heads(c), c->shape.k, c->shape.n) : 1;
}

static uint32_t add_cache(struct bench_case *c, const char *name, bool is_value, uint32_t slots)
{
    struct plan_tensor tensor = {.role = PLAN_KV,
                                 .elem = c->cache,
                                 .rows = kv_heads(c),
                                 .cols = (uint64_t)slots * HEAD_DIM,
                                 .is_value = is_value};
    snprintf(tensor.name, sizeof tensor.name, "%s", name);
    return plan_add_tensor(&c->plan, &tensor);
}

static bool fill_step(struct bench_case *c, uint64_t words, uint64_t tickets, uint32_t blocks)
{
    const struct bench_shape *s = &c->shape;
    c->step_words = arena_alloc(&c->arena, (size_t)words, sizeof *c->step_words);
    if (c->step_words == NULL) {
        c->why = "out of memory";
        return false;
    }
    uint32_t *w = c->step_words, *arrays = w + STEP_HEADER;
    w[STEP_N_TOKENS] = w[STEP_CAP] = s->n;
    w[STEP_BLOCKS] = blocks;
    w[STEP_N_SEQ] = 1;
    w[STEP_TICKETS] = (uint32_t)tickets;
    for (uint32_t t = 0; t < s->n; t++) {
        arrays[STEP_POS * s->n + t] = s->k - s->n + t;
        arrays[STEP_LEN * s->n + t] = s->k - s->n + t + 1;
    }
    for (uint32_t b = 0; b < blocks; b++) {
        arrays[(size_t)STEP_ARRAYS * s->n + b] = b;
    }
    return true;
}

/* Entries that are seen: by all tokens together; the caches are read once. */
static void set_cost(struct bench_case *c)
{
    const struct bench_shape *s = &c->shape;
    double seen = (double)s->n * (s->k - 0.5 * (s->n - 1.0));
    uint64_t row = 0;
    plan_elem_bytes(c->cache, HEAD_DIM, &row);
    c->flop = 4.0 * s->m * HEAD_DIM * seen;
    c->bytes = 2.0 * kv_heads(c) * (double)row * s->k + 2.0 * 4 * s->n * s->m * HEAD_DIM;
}

static bool make(struct bench_case *c)
{
    const struct bench_shape *s = &c->shape;
    uint32_t blocks = (uint32_t)size_div_up(s->k, STEP_BLOCK), slots = blocks * STEP_BLOCK;
    if (s->n > s->k || s->m % kv_heads(c) != 0) {
        c->why = s->n > s->k ? "more tokens than KV entries" : "heads do not divide by KV heads";
        return false;
    }
    const struct op_attention_attr attr = {.heads = s->m,
                                           .kv_heads = kv_heads(c),
                                           .head_dim = HEAD_DIM,
                                           .slots = slots,
                                           .splits = splits(c),
                                           .scale = 1.0f / sqrtf(HEAD_DIM)};
    uint64_t tickets = STEP_HEADER + (uint64_t)STEP_ARRAYS * s->n + blocks;
    uint64_t words = tickets + (attr.splits > 1 ? (uint64_t)s->n * s->m : 0);
    c->head_dim = HEAD_DIM;
    c->cache = bench_cache_type(c->bd);
    plan_init(&c->plan, c->bd->log, s->n, 0, 1);
    uint32_t q = plan_add_act(&c->plan, "q", s->n, (uint64_t)s->m * HEAD_DIM);
    uint32_t k = add_cache(c, "k_cache", false, slots), v = add_cache(c, "v_cache", true, slots);
    uint32_t step = plan_get_step(&c->plan, words);
    set_cost(c);
    uint32_t result = attr.splits > 1 ? op_attention_merged(&c->plan, q, k, v, step, &attr)
                                      : op_attention(&c->plan, q, k, v, step, &attr);
    return fill_step(c, words, tickets, blocks) && result != PLAN_NONE;
}

/* Scratch for one head of one token. */
struct head {
    float row[HEAD_DIM], q[HEAD_DIM];
    double value[HEAD_DIM], size[HEAD_DIM], off[HEAD_DIM];
    double *weight, *error; /* [entries] */
};

/* Weights of the entries and their relative errors, counted as in attention.c. */
static bool weigh(struct bench_case *c, struct head *h, uint64_t cache_row, uint32_t len)
{
    double top = -INFINITY, sum = 0, scale = (double)(1.0f / sqrtf(HEAD_DIM));
    for (uint32_t e = 0; e < len; e++) {
        double dot = 0, size = 0;
        if (!bench_case_row(c, K, cache_row + e, h->row)) {
            return false;
        }
        for (uint32_t d = 0; d < HEAD_DIM; d++) {
            dot += (double)h->q[d] * (double)h->row[d];
            size += fabs((double)h->q[d] * (double)h->row[d]);
        }
        h->weight[e] = dot * scale;
        h->error[e] = (HEAD_DIM + 4) * LAB_U * size * scale;
        top = fmax(top, h->weight[e]);
    }
    uint32_t blocks = len / 4 + 8;
    for (uint32_t e = 0; e < len; e++) {
        double x = (top - h->weight[e]) / log(2.0);
        h->error[e] =
            expm1(h->error[e] + LAB_U * x + 3 * 2 * LAB_U * (3 + 2 * x)) + 7 * blocks * LAB_U;
        h->weight[e] = exp(h->weight[e] - top);
        sum += h->weight[e];
    }
    for (uint32_t e = 0; e < len; e++) {
        h->weight[e] /= sum;
    }
    return true;
}

/* All dimensions of a head: value; bound goes to off. */
static bool attend(struct bench_case *c, struct head *h, uint64_t token, uint32_t head)
{
    uint32_t len = c->shape.k - c->shape.n + (uint32_t)token + 1;
    uint32_t group = c->shape.m / kv_heads(c);
    uint64_t slots = size_round(c->shape.k, STEP_BLOCK), first = head / group * slots;
    float *q = mem_alloc((size_t)c->shape.m * HEAD_DIM, sizeof *q);
    bool ok = q != NULL && bench_case_row(c, Q, token, q);
    for (uint32_t d = 0; ok && d < HEAD_DIM; d++) {
        h->q[d] = q[(size_t)head * HEAD_DIM + d];
        h->value[d] = h->size[d] = h->off[d] = 0;
    }
    mem_free(q);
    ok = ok && weigh(c, h, first, len);
    double mean = 0;
    for (uint32_t e = 0; ok && e < len; e++) {
        ok = bench_case_row(c, V, first + e, h->row);
        mean += h->weight[e] * h->error[e];
        for (uint32_t d = 0; d < HEAD_DIM; d++) {
            double term = h->weight[e] * (double)h->row[d];
            h->value[d] += term;
            h->size[d] += fabs(term);
            h->off[d] += fabs(term) * h->error[e];
        }
    }
    uint32_t terms = len + 2 * (len / 4 + 8) + 4;
    for (uint32_t d = 0; d < HEAD_DIM; d++) {
        h->off[d] += mean * h->size[d] + 2 * terms * LAB_U * h->size[d] + 1e-30;
    }
    return ok;
}

static bool expect(struct bench_case *c, const struct bench_picks *picks, double *value,
                   double *bound)
{
    struct head *h = mem_alloc(1, sizeof *h);
    double *scratch = mem_alloc((size_t)c->shape.k * 2, sizeof *scratch);
    bool ok = h != NULL && scratch != NULL;
    for (uint32_t r = 0; ok && r < picks->n_rows; r++) {
        uint64_t done = UINT64_MAX; /* columns ascend: those of a head are neighbours */
        h->weight = scratch;
        h->error = scratch + c->shape.k;
        for (uint32_t i = 0; ok && i < picks->n_cols; i++) {
            uint64_t head = picks->cols[i] / HEAD_DIM, d = picks->cols[i] % HEAD_DIM;
            ok = head == done || attend(c, h, picks->rows[r], (uint32_t)head);
            done = head;
            value[r * picks->n_cols + i] = h->value[d];
            bound[r * picks->n_cols + i] = h->off[d];
        }
    }
    mem_free(scratch);
    mem_free(h);
    return ok;
}

const struct bench_kind bench_kind_attention = {.op = "attention",
                                                .make = make,
                                                .expect = expect,
                                                .most_rows = 3,
                                                .tail_cols = 8,
                                                .random_cols = 2};
