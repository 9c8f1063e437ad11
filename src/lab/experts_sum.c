/* Oracle and shapes of experts_sum: a sum of a few products in float32. */
#include "lab/lab.h"
#include "ops/ops.h"

#include <math.h>

enum { TOKENS, USED, COLS };

static const uint32_t shapes[][LAB_DIMS] = {
    {1, 2, 1024}, {1, 8, 252},  {3, 1, 5},     {7, 2, 64},
    {5, 4, 257},  {64, 2, 512}, {33, 3, 1023}, {1, 1, 1},
};

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS), used = lab_dim(lab, USED), cols = lab_dim(lab, COLS);
    lab_tokens(lab, tokens, 0);
    uint32_t x = lab_act(lab, "x", (uint64_t)tokens * used, cols, -4, 4);
    uint32_t w = lab_act(lab, "w", tokens, used, 0, 1);
    uint32_t y = op_experts_sum(lab_plan(lab), x, w);
    struct lab_expect e = lab_expect(lab, y);
    if (e.value == NULL) {
        return false;
    }
    const float *in = lab_values(lab, x), *weight = lab_values(lab, w);
    for (size_t i = 0; i < (size_t)tokens * cols; i++) {
        double sum = 0, size = 0;
        for (size_t j = 0; j < used; j++) {
            size_t pair = i / cols * used + j;
            double product = (double)weight[pair] * (double)in[pair * cols + i % cols];
            sum += product;
            size += fabs(product);
        }
        e.value[i] = sum;
        e.bound[i] = (used + 1) * LAB_U * size;
    }
    return true;
}

const struct lab_op lab_op_experts_sum = {
    .name = "experts_sum",
    .dims = {"tokens", "used", "cols"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
