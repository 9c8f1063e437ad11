/* Oracle and shapes of matmul_experts, pair by pair and by lists, in every weight format. Sums and
 * bounds are those of matmul. Experts of most tokens are random; some get many tokens, some none.
 */
#include "lab/internal.h"

#include "base/hash.h"
#include "ops/ops.h"

#include <math.h>
#include <string.h>

enum { TOKENS, EXPERTS, USED, ROWS, COLS, PER_PAIR, LISTS, BATCH, STAGED };
enum { STAGED_F16 = 1, STAGED_Q8 };

/* Rows of an expert that end inside a group of interleaved rows and that segments cut; with lists,
 * tails of every tile of tokens, and experts without any. Batches of 64 tokens. */
static const uint32_t SHAPES[][LAB_DIMS] = {
    {1, 8, 2, 128, 256, 0, 0, 0},    {1, 5, 3, 37, 256, 0, 0, 0},
    {1, 64, 8, 24, 256, 1, 0, 0},    {1, 3, 3, 50, 96, 0, 0, 0},
    {9, 7, 2, 30, 256, 0, 0, 0},     {3, 4, 2, 65, 256, 1, 1, 0},
    {9, 3, 1, 50, 512, 0, 1, 0},     {33, 6, 4, 21, 256, 1, 1, 0},
    {70, 4, 2, 100, 256, 0, 1, 64},  {64, 16, 3, 13, 768, 1, 1, 0},
    {130, 2, 2, 72, 64, 0, 1, 64},   {2, 2, 1, 1, 256, 0, 1, 0},
    {5, 9, 2, 33, 100, 0, 1, 0},     {17, 5, 2, 70, 36, 1, 1, 0},
    {1, 4, 4, 67, 4, 0, 0, 0},       {67, 70, 3, 9, 32, 1, 0, 64},
    {70, 3, 2, 40, 256, 0, 1, 0, 1}, {140, 4, 2, 65, 512, 1, 1, 64, 1},
    {20, 4, 2, 33, 256, 0, 0, 0, 1}, {90, 3, 1, 70, 96, 0, 1, 0, 1},
    {70, 3, 2, 40, 256, 0, 1, 0, 2}, {140, 4, 2, 65, 512, 1, 1, 64, 2},
    {20, 4, 2, 33, 256, 0, 0, 0, 2}, {90, 3, 1, 70, 96, 0, 1, 0, 2},
    {40, 3, 2, 70, 32, 1, 1, 0, 2},  {66, 2, 2, 9, 352, 0, 1, 64, 2},
};

static uint32_t *get_ids(struct lab *lab, uint32_t id)
{
    uint32_t tokens = lab_dim(lab, TOKENS), experts = lab_dim(lab, EXPERTS);
    uint32_t used = lab_dim(lab, USED), *ids = lab_words(lab, id);
    for (uint32_t t = 0; t < tokens; t++) {
        uint32_t first = (uint32_t)(hash_next(lab_rng(lab)) % experts);
        first = t % 3 == 1 ? experts - 1 : first;
        for (uint32_t j = 0; j < used; j++) { /* the experts of a token differ */
            ids[t * used + j] = (first + j) % experts;
        }
    }
    return ids;
}

static void expect(struct lab *lab, uint32_t y, uint32_t w, struct op_staged x, const uint32_t *ids)
{
    struct lab_expect out = lab_expect(lab, y);
    double *rounded = lab_dim(lab, STAGED) == 0 ? lab_expect_half(lab, y) : NULL;
    size_t rows = lab_dim(lab, ROWS), cols = lab_dim(lab, COLS), used = lab_dim(lab, USED);
    const float *scale = x.scale != PLAN_NONE ? lab_values(lab, x.scale) : NULL;
    bool staged = lab_dim(lab, STAGED) == STAGED_F16, q8 = lab_dim(lab, STAGED) == STAGED_Q8;
    size_t pairs = lab_dim(lab, TOKENS) * used;
    for (size_t i = 0; i < pairs && out.value != NULL; i++) {
        size_t from = lab_dim(lab, PER_PAIR) != 0 ? i : i / used;
        for (size_t r = 0; r < rows; r++) {
            const struct lab_factors f = {.w = lab_values(lab, w) + (ids[i] * rows + r) * cols,
                                          .x = lab_values(lab, x.x) + from * cols,
                                          .cols = cols,
                                          .quant = lab_quant(lab),
                                          .scale = staged ? scale + from : NULL,
                                          .scales =
                                              q8 ? scale + from * (cols / OP_Q8_BLOCK) : NULL};
            struct lab_product p = lab_product(&f, 0);
            out.value[i * rows + r] = p.value;
            out.bound[i * rows + r] = p.bound;
            if (rounded != NULL) {
                rounded[i * rows + r] = p.bound + lab_rounding_bound(&f);
            }
        }
    }
}

/* The lists become an input, so that the case has one node; without them, pair by pair. */
static void set_lists(struct lab *lab, uint32_t ids_id)
{
    uint32_t experts = lab_dim(lab, EXPERTS), pairs = lab_dim(lab, TOKENS) * lab_dim(lab, USED);
    uint32_t lists = lab_dim(lab, LISTS) != 0 ? lab_ids_in(lab, experts + 1 + pairs) : PLAN_NONE;
    struct plan *plan = lab_plan(lab);
    if (plan->failed) {
        return;
    }
    plan->nodes[0] = plan->nodes[plan->n_nodes - 1];
    plan->nodes[0].src[3] = lists;
    const struct op_matmul_experts_attr attr = {.experts = experts,
                                                .most_tokens = lab_dim(lab, BATCH)};
    memcpy(plan->nodes[0].attr, &attr, sizeof attr);
    plan->n_nodes = 1;
    if (lists == PLAN_NONE) {
        return;
    }
    uint32_t *out = lab_words(lab, lists), n = 0;
    const uint32_t *ids = lab_words(lab, ids_id);
    for (uint32_t e = 0; e < experts; e++) {
        out[e] = n;
        for (uint32_t i = 0; i < pairs; i++) {
            if (ids[i] == e) {
                out[experts + 1 + n++] = i;
            }
        }
    }
    out[experts] = n;
}

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS), used = lab_dim(lab, USED);
    uint32_t experts = lab_dim(lab, EXPERTS), cols = lab_dim(lab, COLS);
    lab_tokens(lab, tokens, 0);
    uint32_t w = lab_weight(lab, "w", lab_quant(lab), (uint64_t)experts * lab_dim(lab, ROWS), cols,
                            -0.5f, 0.5f);
    uint32_t x_rows = lab_dim(lab, PER_PAIR) != 0 ? tokens * used : tokens;
    struct op_staged x = {lab_act(lab, "x", x_rows, cols, -2.0f, 2.0f), PLAN_NONE};
    uint32_t ids_id = lab_ids_in(lab, tokens * used);
    struct plan *plan = lab_plan(lab);
    if (plan->failed) {
        return false;
    }
    plan->tensors[ids_id].rows = tokens;
    plan->tensors[ids_id].cols = used;
    const uint32_t *ids = get_ids(lab, ids_id);
    uint32_t y = op_matmul_experts(plan, "y", w, x.x, ids_id, experts);
    set_lists(lab, ids_id);
    if (!plan->failed && lab_dim(lab, STAGED) != 0) {
        bool q8 = lab_dim(lab, STAGED) == STAGED_Q8;
        x = q8 ? lab_quantized(lab, "x_q8", x_rows, cols)
               : lab_staged(lab, "x_staged", x_rows, cols);
        struct plan_node *node = &plan->nodes[0];
        node->src[1] = x.x;
        node->src[node->n_src++] = x.scale;
        if (!q8) {
            lab_staged_limit(lab);
        }
    }
    lab_set_nmse_half(lab, LAB_ROUNDING_NMSE);
    if (!plan->failed) {
        expect(lab, y, w, x, ids);
    }
    return !plan->failed;
}

const struct lab_op lab_op_matmul_experts = {
    .name = "matmul_experts",
    .dims = {"tokens", "experts", "used", "rows", "cols", "per_pair", "lists", "batch", "staged"},
    .shapes = SHAPES,
    .n_shapes = sizeof SHAPES / sizeof *SHAPES,
    .vary = LAB_BY_QUANT,
    .quant_dim = COLS,
    .make = make,
};
