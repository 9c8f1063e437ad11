/* Oracle and shapes of topk: exact. Rows with ties, infinities and NaN are mixed in, rows in order,
 * and rows in which fewer than k are finite. */
#include "base/hash.h"
#include "lab/lab.h"
#include "ops/ops.h"

#include <math.h>
#include <string.h>

enum { ROWS, VOCAB, K };

static const uint32_t shapes[][LAB_DIMS] = {
    {10, 1, 1},    {10, 4, 40},     {10, 31, 7},    {10, 64, 64},     {10, 1000, 1},
    {10, 997, 41}, {20, 4097, 105}, {1, 32000, 41}, {1, 262144, 512}, {300, 4, 3},
};

enum { PLAIN, TIES, NANS, ALL_NAN, INFINITE, EQUAL, ZEROS, RISING, FALLING, CLOSE, KINDS };

static void disturb(float *row, uint32_t cols, uint32_t kind, uint64_t *rng)
{
    for (uint32_t c = 0; c < cols; c++) {
        float at = (float)c / (float)cols;
        row[c] = kind == ALL_NAN   ? (c % 2 != 0 ? NAN : -INFINITY)
                 : kind == EQUAL   ? -2.5f
                 : kind == ZEROS   ? (c % 3 == 0 ? -0.0f : 0.0f)
                 : kind == RISING  ? at
                 : kind == FALLING ? -at
                 : kind == CLOSE   ? 1.0f + row[c] * 0x1p-23f
                                   : row[c];
    }
    for (uint32_t k = 0; k < cols / 8 + 2; k++) {
        uint32_t at = (uint32_t)(hash_next(rng) % cols);
        row[at] = kind == TIES ? 7.0f : kind == NANS ? NAN : kind == INFINITE ? INFINITY : row[at];
    }
}

static bool is_better(const float *row, uint32_t a, uint32_t b)
{
    return row[a] > row[b] || (row[a] == row[b] && a < b);
}

/* By insertion into the k best so far: `ids` has room for k. Returns how many there are. */
static uint32_t find(const float *row, uint32_t cols, uint32_t k, double *ids)
{
    uint32_t n = 0;
    for (uint32_t c = 0; c < cols; c++) {
        if (!isfinite(row[c]) || (n == k && !is_better(row, c, (uint32_t)ids[n - 1]))) {
            continue;
        }
        n += n < k ? 1 : 0;
        uint32_t at = n - 1;
        for (; at > 0 && is_better(row, c, (uint32_t)ids[at - 1]); at--) {
            ids[at] = ids[at - 1];
        }
        ids[at] = c;
    }
    return n;
}

static uint32_t to_bits(float x)
{
    uint32_t bits;
    x = x == 0 ? 0.0f : x; /* both zeros come back as one */
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static bool make(struct lab *lab)
{
    uint32_t rows = lab_dim(lab, ROWS), cols = lab_dim(lab, VOCAB), k = lab_dim(lab, K);
    lab_tokens(lab, rows, rows);
    uint32_t x = lab_act(lab, "logits", rows, cols, -8, 8);
    struct lab_expect e = lab_expect(lab, op_topk(lab_plan(lab), x, k));
    if (e.value == NULL) {
        return false;
    }
    for (uint32_t r = 0; r < rows; r++) {
        float *row = lab_values(lab, x) + (size_t)r * cols;
        double *values = e.value + (size_t)r * 2 * k, *ids = values + k;
        disturb(row, cols, r % KINDS, lab_rng(lab));
        uint32_t n = find(row, cols, k, ids);
        for (uint32_t i = 0; i < k; i++) {
            values[i] = to_bits(i < n ? row[(uint32_t)ids[i]] : -INFINITY);
            ids[i] = i < n ? ids[i] : UINT32_MAX;
        }
    }
    return true;
}

const struct lab_op lab_op_topk = {
    .name = "topk",
    .dims = {"rows", "vocab", "k"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
