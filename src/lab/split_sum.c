/* Oracle and shapes of split_sum. */
#include "lab/lab.h"

#include "ops/ops.h"

#include <math.h>

enum { TOKENS, COLS, PARTS, RESIDUAL };

static const uint32_t SHAPES[][LAB_DIMS] = {
    {1, 1, 2, 0},   {1, 3, 2, 1},      {7, 5, 3, 0},     {2, 128, 4, 1},
    {5, 257, 8, 0}, {33, 96, 5, 1},    {17, 1023, 8, 1}, {3, 64, 15, 1},
    {2, 64, 16, 0}, {128, 256, 16, 1}, {32, 4096, 8, 1},
};

/* Bound: a sum of n terms in order has errors of (n - 1) u times the sum of their sizes (Higham
 * 2002, 4.2). */
static void expect(struct lab *lab, uint32_t y, uint32_t parts, uint32_t residual)
{
    struct lab_expect out = lab_expect(lab, y);
    const float *part = lab_values(lab, parts);
    const float *add = residual != PLAN_NONE ? lab_values(lab, residual) : NULL;
    size_t count = (size_t)lab_dim(lab, TOKENS) * lab_dim(lab, COLS), n = lab_dim(lab, PARTS);
    for (size_t i = 0; i < count && out.value != NULL && part != NULL; i++) {
        double sum = add != NULL ? (double)add[i] : 0, size = fabs(sum);
        for (size_t k = 0; k < n; k++) {
            sum += (double)part[k * count + i];
            size += fabs((double)part[k * count + i]);
        }
        out.value[i] = sum;
        out.bound[i] = (double)n * LAB_U * size;
    }
}

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS), cols = lab_dim(lab, COLS), n = lab_dim(lab, PARTS);
    lab_tokens(lab, tokens, 0);
    uint32_t parts = lab_act(lab, "parts", (uint64_t)tokens * n, cols, -2.0f, 2.0f);
    uint32_t residual = lab_dim(lab, RESIDUAL) != 0
                            ? lab_act(lab, "residual", tokens, cols, -4.0f, 4.0f)
                            : PLAN_NONE;
    uint32_t y = op_split_sum(lab_plan(lab), "y", parts, n, residual);
    if (!lab_plan(lab)->failed) {
        expect(lab, y, parts, residual);
    }
    return !lab_plan(lab)->failed;
}

const struct lab_op lab_op_split_sum = {
    .name = "split_sum",
    .dims = {"tokens", "cols", "parts", "residual"},
    .shapes = SHAPES,
    .n_shapes = sizeof SHAPES / sizeof *SHAPES,
    .make = make,
};
