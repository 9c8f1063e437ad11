/* Matmul with the chosen experts in the microbenchmarks: M rows of an expert, N tokens, K columns,
 * two of eight experts for each token (M/E: of E), chosen at random. The lists of who is whose are
 * inputs: what is timed is the product. */
#include "lab/bench_internal.h"
#include "lab/internal.h"

#include "base/hash.h"
#include "ops/ops.h"

_Static_assert(OP_MAX_EXPERTS == 512, "what is said of experts");

enum { W, X, IDS, USED = 2, EXPERTS = 8 }; /* tensors, in the order they are made */

static uint32_t experts_of(const struct bench_case *c)
{
    return c->shape.kv != 0 ? c->shape.kv : EXPERTS;
}

/* Different experts for a token; any token's can be made again. */
static void choose(const struct bench_case *c, uint32_t token, uint32_t ids[USED])
{
    uint64_t state = c->bd->params->seed + token;
    uint32_t experts = experts_of(c);
    ids[0] = (uint32_t)(hash_next(&state) % experts);
    ids[1] = (ids[0] + 1 + (uint32_t)(hash_next(&state) % (experts - 1))) % experts;
}

static bool fill_ids(struct bench_case *c, uint32_t lists)
{
    uint32_t n = c->shape.n, experts = experts_of(c), count = 0;
    uint32_t *ids = arena_alloc(&c->arena, (size_t)n * USED, sizeof *ids);
    uint32_t *out = arena_alloc(&c->arena, experts + 1 + (size_t)n * USED, sizeof *out);
    if (ids == NULL || out == NULL) {
        c->why = "out of memory";
        return false;
    }
    for (uint32_t t = 0; t < n; t++) {
        choose(c, t, ids + (size_t)t * USED);
    }
    for (uint32_t e = 0; e < experts; e++) {
        out[e] = count;
        for (uint32_t i = 0; i < n * USED; i++) {
            if (ids[i] == e) {
                out[experts + 1 + count++] = i;
            }
        }
    }
    out[experts] = count;
    c->words[IDS] = ids;
    if (lists != PLAN_NONE) {
        c->words[lists] = out;
    }
    return true;
}

static bool make(struct bench_case *c)
{
    const struct bench_shape *s = &c->shape;
    uint32_t experts = experts_of(c);
    if (s->k % quant_get(c->quant)->block_cols != 0 || s->k % 4 != 0) {
        c->why = "K is no multiple of 4 and of the format's block";
        return false;
    }
    if (experts < USED || experts > OP_MAX_EXPERTS) {
        c->why = "experts: 2 to 512 are possible";
        return false;
    }
    struct plan *plan = &c->plan;
    plan_init(plan, c->bd->log, s->n, 0, 1);
    uint32_t w = plan_get_weight(plan, 0, "w", c->quant, (uint64_t)experts * s->m, s->k);
    uint32_t x = plan_add_act(plan, "x", s->n, s->k);
    uint32_t ids = plan_add_tensor(plan, &(struct plan_tensor){.name = "ids",
                                                               .role = PLAN_ACT,
                                                               .elem = PLAN_U32,
                                                               .rows = s->n,
                                                               .cols = USED,
                                                               .weight = PLAN_NONE});
    if (op_matmul_experts(plan, "y", w, x, ids, experts) == PLAN_NONE) {
        return false;
    }
    plan->nodes[0] = plan->nodes[plan->n_nodes - 1]; /* without the node that makes the lists */
    plan->n_nodes = 1;
    bench_stage_x(c, &plan->nodes[0], 4);
    return fill_ids(c, plan->nodes[0].src[3]);
}

/* The bound is that of matmul. A row of the result is a pair of token and expert. */
static bool expect(struct bench_case *c, const struct bench_picks *picks, double *value,
                   double *bound)
{
    size_t cols = c->shape.k;
    float *w = mem_alloc(cols, sizeof *w), *x = mem_alloc(cols, sizeof *x);
    float *scales = mem_alloc(cols / OP_Q8_BLOCK + 1, sizeof *scales);
    bool ok = w != NULL && x != NULL && scales != NULL;
    for (uint32_t r = 0; ok && r < picks->n_rows; r++) {
        uint32_t ids[USED];
        choose(c, (uint32_t)(picks->rows[r] / USED), ids);
        uint64_t first = (uint64_t)ids[picks->rows[r] % USED] * c->shape.m;
        ok = bench_read_x(c, X, c->plan.nodes[0].src[4], picks->rows[r] / USED, x, scales);
        for (uint32_t i = 0; ok && i < picks->n_cols; i++) {
            ok = bench_case_row(c, W, first + picks->cols[i], w);
            struct lab_product p = bench_product(c, X, w, x, scales);
            value[r * picks->n_cols + i] = p.value;
            bound[r * picks->n_cols + i] = p.bound;
        }
    }
    mem_free(w);
    mem_free(x);
    mem_free(scales);
    return ok;
}

const struct bench_kind bench_kind_experts = {.op = "matmul_experts",
                                              .make = make,
                                              .expect = expect,
                                              .most_rows = BENCH_ROWS,
                                              .tail_cols = 24,
                                              .random_cols = BENCH_COLS - 25};
