/* Oracle and shapes of score. Rows with infinities and NaN are mixed in, targets that have no
 * probability, are the likeliest, or are none of the vocabulary. */
#include "base/hash.h"
#include "lab/lab.h"
#include "ops/ops.h"
#include "shaders/common/step.h"

#include <math.h>

static const uint32_t shapes[][LAB_DIMS] = {
    {1, 1},     {12, 2},    {12, 31},   {12, 64},    {12, 256},
    {12, 1000}, {12, 4097}, {1, 32000}, {3, 262144}, {65537, 4},
};

enum {
    PLAIN,
    FLAT,
    PEAK,
    HUGE_RANGE,
    NO_PROBABILITY,
    OUTSIDE,
    FAR_OUTSIDE,
    IS_NAN,
    INFINITE,
    LOWEST,
    LAST,
    BELOW,
    KINDS
};

static void disturb(float *row, uint32_t cols, uint32_t kind, uint32_t *target, uint64_t *rng)
{
    uint32_t at = (uint32_t)(hash_next(rng) % cols);
    *target = (uint32_t)(hash_next(rng) % cols);
    for (uint32_t c = 0; c < cols; c++) {
        row[c] = kind == FLAT         ? 1.5f
                 : kind == LOWEST     ? -INFINITY
                 : kind == HUGE_RANGE ? row[c] * 1e30f
                 : kind == BELOW      ? row[c] - 3000.0f
                                      : row[c];
    }
    row[at] = kind == PEAK ? 40.0f : kind == IS_NAN ? NAN : kind == INFINITE ? INFINITY : row[at];
    if (kind == NO_PROBABILITY && cols > 1) {
        row[*target] = -INFINITY;
    } else if (kind == OUTSIDE || kind == FAR_OUTSIDE) {
        *target = kind == OUTSIDE ? cols : UINT32_MAX;
    } else if (kind == LAST) {
        *target = cols - 1;
    }
}

/* Bound: exp is good to (3 + 2 |x|) ulp = 2 u (3 + 2 |x|), x itself to u |x| (Vulkan, precision of
 * SPIR-V instructions; exp is exp2 of a product); log to 3 ulp, or 2^-21 where its argument, which
 * is at least 1 here, is at most 2. Sums are made of partial ones. */
static double expect_row(const float *row, uint32_t cols, uint32_t target, double *bound)
{
    double top = -INFINITY, sum = 0, error = 0;
    for (uint32_t c = 0; c < cols; c++) {
        if (isnan(row[c])) {
            return NAN;
        }
        top = fmax(top, (double)row[c]);
    }
    if (!isfinite(top) || target >= cols) {
        return NAN;
    }
    for (uint32_t c = 0; c < cols; c++) {
        double x = (double)row[c] - top, term = exp(x);
        sum += term;
        error += term > 0 ? term * LAB_U * (8 + 6 * fabs(x)) : 0;
    }
    error = error / sum + LAB_U * (LAB_DOT(cols) / 8 + 24);
    double score = (double)row[target] - top - log(sum);
    *bound =
        isfinite(score)
            ? error + 0x1p-21 + LAB_U * (6 * log(sum) + 2 * fabs(score) + fabs(row[target] - top))
            : 0;
    return score;
}

static bool make(struct lab *lab)
{
    uint32_t rows = lab_dim(lab, 0), cols = lab_dim(lab, 1);
    lab_tokens(lab, rows, rows);
    uint32_t x = lab_act(lab, "logits", rows, cols, -8, 8), step = lab_step(lab, 1, 1);
    struct lab_expect e = lab_expect(lab, op_score(lab_plan(lab), x, step));
    if (e.value == NULL) {
        return false;
    }
    uint32_t *target = lab_step_array(lab, STEP_TARGET);
    for (uint32_t r = 0; r < rows; r++) {
        float *row = lab_values(lab, x) + (size_t)r * cols;
        disturb(row, cols, r % KINDS, &target[r], lab_rng(lab));
        e.value[r] = expect_row(row, cols, target[r], &e.bound[r]);
    }
    return true;
}

const struct lab_op lab_op_score = {
    .name = "score",
    .dims = {"rows", "vocab"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
