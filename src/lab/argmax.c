/* Oracle and shapes of argmax: exact. Rows with ties, infinities and NaN are mixed in; a row in
 * which nothing may win gives UINT32_MAX. */
#include "base/hash.h"
#include "lab/lab.h"
#include "ops/ops.h"

#include <math.h>

static const uint32_t shapes[][LAB_DIMS] = {
    {8, 1, 0},    {8, 2, 1},    {8, 31, 0},    {8, 64, 8},     {8, 256, 2},
    {8, 1000, 0}, {8, 4097, 3}, {1, 32000, 0}, {3, 262144, 8}, {65537, 4, 0},
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
    if (kind == LOWEST && cols > 2) {
        row[0] = row[1] = NAN;
    }
}

static uint32_t find(const float *row, uint32_t cols, const struct op_argmax_attr *attr)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t c = 0; c < cols; c++) {
        bool wins = isfinite(row[c]) && (best == UINT32_MAX || row[c] > row[best]);
        for (uint32_t k = 0; k < attr->n_banned; k++) {
            wins = wins && c != attr->banned[k];
        }
        best = wins ? c : best;
    }
    return best;
}

/* The winners of the first rows, then any: what is banned matters. */
static void ban(struct lab *lab, uint32_t x, struct op_argmax_attr *attr)
{
    uint32_t rows = lab_dim(lab, 0), cols = lab_dim(lab, 1), n = lab_dim(lab, 2);
    for (attr->n_banned = 0; attr->n_banned < n; attr->n_banned++) {
        uint32_t r = attr->n_banned < rows ? attr->n_banned : 0;
        uint32_t id = find(lab_values(lab, x) + (size_t)r * cols, cols, attr);
        attr->banned[attr->n_banned] = id;
    }
}

static bool make(struct lab *lab)
{
    uint32_t rows = lab_dim(lab, 0), cols = lab_dim(lab, 1);
    lab_tokens(lab, rows, rows);
    uint32_t x = lab_act(lab, "logits", rows, cols, -8, 8);
    struct op_argmax_attr attr = {0};
    if (x == PLAN_NONE) {
        return false;
    }
    for (uint32_t r = 0; r < rows; r++) {
        disturb(lab_values(lab, x) + (size_t)r * cols, cols, r % KINDS, lab_rng(lab));
    }
    ban(lab, x, &attr);
    struct lab_expect e = lab_expect(lab, op_argmax(lab_plan(lab), x, &attr));
    if (e.value == NULL) {
        return false;
    }
    for (uint32_t r = 0; r < rows; r++) {
        e.value[r] = find(lab_values(lab, x) + (size_t)r * cols, cols, &attr);
    }
    return true;
}

const struct lab_op lab_op_argmax = {
    .name = "argmax",
    .dims = {"rows", "vocab", "banned"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
