/* Oracle and shapes of the router: ids are exact, with ties, infinities and NaN mixed in; weights
 * are a softmax in double precision. Vulkan promises 3 + 2|x| ulp for exp and 2.5 for the division.
 */
#include "base/hash.h"
#include "lab/lab.h"
#include "ops/ops.h"

#include <math.h>

enum { TOKENS, EXPERTS, USED, NORMALISE };

static const uint32_t shapes[][LAB_DIMS] = {
    {1, 8, 2, 1},     {9, 8, 2, 1},   {9, 8, 2, 0},     {18, 64, 6, 0},  {17, 128, 8, 1},
    {9, 60, 4, 0},    {9, 1, 1, 1},   {9, 3, 3, 1},     {9, 7, 2, 0},    {9, 512, 10, 1},
    {9, 130, 130, 0}, {512, 8, 2, 1}, {200, 128, 8, 1}, {11, 16, 16, 1},
};

enum { PLAIN, TIES, NANS, ALL_NAN, LOWEST, INFINITE, EQUAL, SOME_LOWEST, ZEROS, KINDS };

static void disturb(float *row, uint32_t n, uint32_t kind, uint64_t *rng)
{
    for (uint32_t k = 0; k < 3; k++) {
        uint32_t at = (uint32_t)(hash_next(rng) % n);
        row[at] = kind == TIES          ? 9.0f
                  : kind == NANS        ? NAN
                  : kind == INFINITE    ? INFINITY
                  : kind == SOME_LOWEST ? -INFINITY
                                        : row[at];
    }
    for (uint32_t e = 0; e < n; e++) {
        row[e] = kind == ALL_NAN  ? (e % 2 != 0 ? NAN : -NAN)
                 : kind == LOWEST ? -INFINITY
                 : kind == EQUAL  ? -2.5f
                 : kind == ZEROS  ? (e % 3 == 0 ? -0.0f : 0.0f)
                                  : row[e];
    }
}

/* Is expert a chosen before b? */
static bool is_before(const float *row, uint32_t a, uint32_t b)
{
    if (isnan(row[a]) || isnan(row[b]) || row[a] == row[b]) {
        return isnan(row[a]) == isnan(row[b]) ? a < b : !isnan(row[a]);
    }
    return row[a] > row[b];
}

static void expect_row(struct lab *lab, const float *row, double *ids, double *weights,
                       double *bound)
{
    uint32_t n = lab_dim(lab, EXPERTS), used = lab_dim(lab, USED);
    double most = -INFINITY, sum = 0, sum_used = 0;
    for (uint32_t e = 0; e < n; e++) {
        uint32_t rank = 0;
        for (uint32_t o = 0; o < n; o++) {
            rank += o != e && is_before(row, o, e) ? 1 : 0;
        }
        if (rank < used) {
            ids[rank] = e;
        }
        most = row[e] > most ? row[e] : most;
    }
    for (uint32_t e = 0; e < n; e++) {
        sum += exp(row[e] - most);
    }
    for (uint32_t j = 0; j < used; j++) {
        sum_used += exp(row[(uint32_t)ids[j]] - most);
    }
    bool normalise = lab_dim(lab, NORMALISE) != 0;
    for (uint32_t j = 0; j < used; j++) {
        double logit = row[(uint32_t)ids[j]];
        weights[j] = exp(logit - most) / (normalise ? sum_used : sum);
        weights[j] = isnan(sum) ? NAN : weights[j];
        bound[j] = LAB_U * (40 + 6 * fabs(logit - most) + n / 16.0) * weights[j] + 1e-35;
        bound[j] = weights[j] == 0 ? 1e-35 : bound[j];
    }
}

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS), experts = lab_dim(lab, EXPERTS);
    uint32_t used = lab_dim(lab, USED);
    lab_tokens(lab, tokens, 0);
    uint32_t x = lab_act(lab, "logits", tokens, experts, -6, 6);
    const struct op_router_attr attr = {.used = used, .normalise = lab_dim(lab, NORMALISE)};
    struct op_routes routes = op_router(lab_plan(lab), x, &attr);
    struct lab_expect ids = lab_expect(lab, routes.ids);
    struct lab_expect weights = lab_expect(lab, routes.weights);
    if (ids.value == NULL || weights.value == NULL) {
        return false;
    }
    for (uint32_t t = 0; t < tokens; t++) {
        float *row = lab_values(lab, x) + (size_t)t * experts;
        size_t at = (size_t)t * used;
        disturb(row, experts, t % KINDS, lab_rng(lab));
        expect_row(lab, row, ids.value + at, weights.value + at, weights.bound + at);
    }
    return true;
}

const struct lab_op lab_op_router = {
    .name = "router",
    .dims = {"tokens", "experts", "used", "normalise"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
