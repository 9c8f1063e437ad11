/* Oracle and shapes of scale. Without a cap one correctly rounded product; with one, Vulkan
 * promises 3 + 2|x| ulp for exp, and 1 - exp(-2x) makes of it at most six times as much. */
#include "lab/lab.h"
#include "ops/ops.h"

#include <math.h>

/* cap: in tenths; scale: in thousandths */
static const uint32_t shapes[][LAB_DIMS] = {
    {1, 1, 0, 1500},    {1, 3, 300, 1000},     {3, 5, 0, 62},       {2, 64, 500, 1000},
    {1, 4096, 0, 7071}, {7, 252, 300, 250},    {5, 257, 500, 1000}, {128, 256, 0, 220},
    {33, 1023, 15, 1},  {128, 256, 300, 1000},
};

static bool make(struct lab *lab)
{
    uint32_t rows = lab_dim(lab, 0), cols = lab_dim(lab, 1);
    float cap = 0.1f * (float)lab_dim(lab, 2), scale = 0.001f * (float)lab_dim(lab, 3);
    lab_tokens(lab, rows, rows);
    uint32_t x = lab_act(lab, "x", rows, cols, -40, 40);
    uint32_t y = op_scale(lab_plan(lab), x, scale, cap);
    struct lab_expect e = lab_expect(lab, y);
    if (e.value == NULL) {
        return false;
    }
    float *v = lab_values(lab, x);
    for (size_t i = 0; i < (size_t)rows * cols; i++) {
        if (i % 5 == 2) { /* small ones, and where exp overflows */
            v[i] *= i % 3 == 0 ? 1e-3f : i % 3 == 1 ? 1e-6f : 1e4f;
        }
        double scaled = (double)v[i] * (double)scale;
        e.value[i] = cap != 0 ? cap * tanh(scaled / cap) : scaled;
        e.bound[i] = LAB_U * (cap != 0 ? 40 : 1) * fabs(e.value[i]);
    }
    return true;
}

const struct lab_op lab_op_scale = {
    .name = "scale",
    .dims = {"tokens", "cols", "cap", "scale"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
