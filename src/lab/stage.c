/* Oracle and shapes of stage. Scaling by a power of two is exact and kernels round to nearest even,
 * so that everything is equal bit by bit. */
#include "lab/internal.h"

#include "base/half.h"
#include "base/hash.h"
#include "ops/ops.h"

#include <float.h>
#include <math.h>

enum { TOKENS, COLS, VALUES };
enum {
    ORDINARY,
    WIDE,    /* of very different size in a row */
    EXTREME, /* rows of zeros, of the largest and the smallest floats */
    SPECIAL, /* infinities and NaN */
    GRID,    /* every exponent that f16 holds and some, with mantissas around its ties */
};

static const uint32_t SHAPES[][LAB_DIMS] = {
    {1, 4, ORDINARY},  {3, 60, ORDINARY},  {2, 2048, ORDINARY}, {130, 36, ORDINARY},
    {7, 1024, WIDE},   {4, 4100, WIDE},    {8, 64, EXTREME},    {9, 516, EXTREME},
    {12, 32, SPECIAL}, {5, 1028, SPECIAL}, {300, 128, WIDE},    {5, 9936, GRID},
};

static void set_extreme(float *row, uint32_t t, size_t cols)
{
    static const float factors[] = {0.0f, FLT_MAX, 0x1p-120f, 0x1p-113f, 65504.0f, 1e30f};
    for (size_t k = 0; k < cols; k++) {
        row[k] *= factors[t % 6] * 0.5f;               /* of up to 2 */
        row[k] = fabsf(row[k]) < FLT_MIN ? 0 : row[k]; /* subnormals may count as zeros */
    }
}

static void set_special(struct lab *lab, float *row, uint32_t t, size_t cols)
{
    static const float specials[] = {INFINITY, -INFINITY, NAN};
    uint32_t n = t % 4; /* of a row; every fifth has nothing else */
    for (size_t k = 0; k < cols && t % 5 == 4; k++) {
        row[k] = INFINITY;
    }
    for (uint32_t i = 0; i < n; i++) {
        row[hash_next(lab_rng(lab)) % cols] = specials[hash_next(lab_rng(lab)) % 3];
    }
}

/* Of the column's exponents there are 48, counted from the largest one. */
static void set_grid(float *row, uint32_t t, size_t cols)
{
    static const int tops[] = {0, 13, 127, -60, -78};
    for (size_t k = 0; k < cols; k++) {
        float part = 1 + (float)lab_grid_mantissa((uint32_t)k) * 0x1p-23f;
        int exponent = tops[t % 5] - (int)(k / LAB_GRID % 48);
        row[k] = ldexpf(k % 3 == 0 ? -part : part, exponent);
    }
}

static void set_row(struct lab *lab, float *row, uint32_t t, size_t cols)
{
    switch (lab_dim(lab, VALUES)) {
    case WIDE:
        for (size_t k = 0; k < cols; k++) {
            row[k] = ldexpf(row[k], (int)(hash_next(lab_rng(lab)) % 80) - 40);
        }
        break;
    case EXTREME:
        set_extreme(row, t, cols);
        break;
    case SPECIAL:
        set_special(lab, row, t, cols);
        break;
    case GRID:
        set_grid(row, t, cols);
        break;
    default:
        break;
    }
}

static float scale_of(const float *row, size_t cols)
{
    float most = 0;
    int exponent;
    for (size_t k = 0; k < cols; k++) {
        most = isfinite(row[k]) && fabsf(row[k]) > most ? fabsf(row[k]) : most;
    }
    frexpf(most, &exponent); /* most lies in [2^(exponent - 1), 2^exponent) */
    return most == 0 ? 1.0f : ldexpf(1.0f, exponent - 14 > -126 ? exponent - 14 : -126);
}

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS);
    size_t cols = lab_dim(lab, COLS);
    lab_tokens(lab, tokens, 0);
    uint32_t x = lab_act(lab, "x", tokens, cols, -2.0f, 2.0f);
    struct op_staged staged = op_stage(lab_plan(lab), x);
    struct lab_expect out = lab_expect(lab, staged.x), scales = lab_expect(lab, staged.scale);
    if (lab_plan(lab)->failed || out.value == NULL || scales.value == NULL) {
        return false;
    }
    for (uint32_t t = 0; t < tokens; t++) {
        float *row = lab_values(lab, x) + t * cols;
        set_row(lab, row, t, cols);
        float scale = scale_of(row, cols);
        scales.value[t] = scale;
        for (size_t k = 0; k < cols; k++) {
            out.value[t * cols + k] = half_to_float(half_from_float(row[k] / scale));
        }
    }
    return true;
}

const struct lab_op lab_op_stage = {
    .name = "stage",
    .dims = {"tokens", "cols", "values"},
    .shapes = SHAPES,
    .n_shapes = sizeof SHAPES / sizeof *SHAPES,
    .make = make,
};
