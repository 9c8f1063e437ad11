/* Oracle and shapes of GeGLU. Vulkan promises 3 + 2|z| ulp for exp and 2.5 for the division; z, the
 * argument of exp, has an error of a few ulp, which exp multiplies by |z|. */
#include "lab/lab.h"
#include "ops/ops.h"

#include <math.h>

static const uint32_t shapes[][LAB_DIMS] = {
    {1, 1}, {1, 3}, {3, 5}, {2, 64}, {1, 1024}, {7, 252}, {5, 257}, {128, 1024}, {33, 1023},
};

static bool make(struct lab *lab)
{
    uint32_t rows = lab_dim(lab, 0), cols = lab_dim(lab, 1);
    lab_tokens(lab, rows, rows);
    uint32_t gate = lab_act(lab, "gate", rows, cols, -12, 12);
    uint32_t up = lab_act(lab, "up", rows, cols, -2, 2);
    uint32_t y = op_geglu(lab_plan(lab), gate, up);
    struct lab_expect e = lab_expect(lab, y);
    if (e.value == NULL) {
        return false;
    }
    float *g = lab_values(lab, gate), *u = lab_values(lab, up);
    for (size_t i = 0; i < (size_t)rows * cols; i++) {
        if (i % 97 == 2) { /* where exp overflows, and where it vanishes */
            g[i] *= 40.0f;
        }
        double x = g[i], z = 2 * 0.79788456080286536 * (x + 0.044715 * x * x * x);
        e.value[i] = 0.5 * x * (1.0 + tanh(z / 2)) * u[i];
        if (z < -1) { /* 1 + tanh cancels */
            e.value[i] = x * exp(z) / (1.0 + exp(z)) * u[i];
        }
        e.bound[i] = LAB_U * (16 + 8 * fabs(z)) * fabs(e.value[i]) + 1e-35;
    }
    return true;
}

const struct lab_op lab_op_geglu = {
    .name = "geglu",
    .dims = {"tokens", "cols"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
