/* Oracle and shapes of RMSNorm. All terms of the sum of squares are positive, so its error is at
 * most (terms one invocation adds + steps of the reduction) u, and half of that after the root. */
#include "lab/lab.h"
#include "ops/ops.h"

#include <math.h>

static const uint32_t shapes[][LAB_DIMS] = {
    {1, 1, 1},     {2, 3, 1},    {1, 32, 1},   {3, 36, 1},    {5, 129, 1},
    {1, 256, 1},   {7, 1000, 1}, {2, 4096, 1}, {128, 256, 1}, {3, 8192, 1},
    {65537, 4, 1}, {1, 128, 16}, {5, 80, 3},   {3, 7, 5},     {33, 256, 2},
};

static bool make(struct lab *lab)
{
    const float eps = 1e-5f;
    uint32_t tokens = lab_dim(lab, 0), cols = lab_dim(lab, 1), rows = tokens * lab_dim(lab, 2);
    lab_tokens(lab, tokens, tokens);
    uint32_t x = lab_act(lab, "x", tokens, (uint64_t)cols * lab_dim(lab, 2), -3, 3);
    uint32_t w = lab_weight(lab, "w", QUANT_F32, 1, cols, 0.5f, 1.5f);
    uint32_t y = op_rmsnorm(lab_plan(lab), x, w, eps);
    struct lab_expect e = lab_expect(lab, y);
    if (e.value == NULL) {
        return false;
    }
    float *xv = lab_values(lab, x);
    const float *wv = lab_values(lab, w);
    for (uint32_t r = 0; r < rows; r++) {
        float *row = xv + (size_t)r * cols;
        double sum = 0;
        for (uint32_t c = 0; c < cols; c++) {
            row[c] = r % 4 == 3 ? row[c] * 1e-4f : row[c]; /* a row where eps counts */
            sum += (double)row[c] * row[c];
        }
        double scale = 1 / sqrt(sum / cols + eps);
        for (uint32_t c = 0; c < cols; c++) {
            size_t i = (size_t)r * cols + c;
            e.value[i] = row[c] * scale * wv[c];
            e.bound[i] = LAB_U * (16 + cols / 32) * fabs(e.value[i]);
        }
    }
    return true;
}

const struct lab_op lab_op_rmsnorm = {
    .name = "rmsnorm",
    .dims = {"tokens", "cols", "groups"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
