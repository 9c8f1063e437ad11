/* Oracle and shapes of argmax: exact. Rows with ties, infinities and NaN are mixed in; a row that
 * has nothing but NaN gives 0. */
#include "base/hash.h"
#include "lab/lab.h"
#include "ops/ops.h"

#include <math.h>

static const uint32_t shapes[][LAB_DIMS] = {
    {8, 1},    {8, 2},    {8, 31},    {8, 64},     {8, 256},
    {8, 1000}, {8, 4097}, {1, 32000}, {3, 262144}, {65537, 4},
};

enum { PLAIN, TIES, NANS, LOWEST, ALL_NAN, INFINITE, LAST, ALL_EQUAL, KINDS };

static void disturb(float *row, uint32_t cols, uint32_t kind, uint64_t *rng)
{
    for (uint32_t k = 0; k < 5; k++) {
        uint32_t at = (uint32_t)(hash_next(rng) % cols);
        row[at] = kind == TIES ? 9.0f : kind == NANS ? NAN : kind == INFINITE ? INFINITY : row[at];
    }
    row[cols - 1] = kind == LAST ? 10.0f : row[cols - 1];
    row[0] = kind == NANS ? NAN : row[0];
    for (uint32_t c = 0; c < cols; c++) {
        bool all = kind == LOWEST || kind == ALL_NAN || kind == ALL_EQUAL;
        row[c] = !all ? row[c] : kind == LOWEST ? -INFINITY : kind == ALL_NAN ? NAN : -2.5f;
    }
    if (kind == LOWEST && cols > 2) { /* -inf is a number: it wins over NaN */
        row[0] = row[1] = NAN;
    }
}

static uint32_t find(const float *row, uint32_t cols)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t c = 0; c < cols; c++) {
        if (!isnan(row[c]) && (best == UINT32_MAX || row[c] > row[best])) {
            best = c;
        }
    }
    return best == UINT32_MAX ? 0 : best;
}

static bool make(struct lab *lab)
{
    uint32_t rows = lab_dim(lab, 0), cols = lab_dim(lab, 1);
    lab_tokens(lab, rows, rows);
    uint32_t x = lab_act(lab, "logits", rows, cols, -8, 8);
    uint32_t ids = op_argmax(lab_plan(lab), x);
    struct lab_expect e = lab_expect(lab, ids);
    if (e.value == NULL) {
        return false;
    }
    for (uint32_t r = 0; r < rows; r++) {
        float *row = lab_values(lab, x) + (size_t)r * cols;
        disturb(row, cols, r % KINDS, lab_rng(lab));
        e.value[r] = find(row, cols);
    }
    return true;
}

const struct lab_op lab_op_argmax = {
    .name = "argmax",
    .dims = {"rows", "vocab"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
