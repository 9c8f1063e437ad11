/* Oracle and shapes of GeGLU. Vulkan promises 3 + 2|z| ulp for exp and 2.5 for the division; z, the
 * argument of exp, has an error of a few ulp, which exp multiplies by |z|. */
#include "lab/internal.h"
#include "ops/ops.h"

#include <math.h>

static const uint32_t shapes[][LAB_DIMS] = LAB_GATE_SHAPES;

/* z is 2 sqrt(2 / pi) (x + 0.044715 x^3), the argument of exp. */
double lab_gelu(double x, double *bound)
{
    double z = 2 * 0.79788456080286536 * (x + 0.044715 * x * x * x);
    *bound = 16 + 8 * fabs(z);
    if (z < -1) { /* 1 + tanh cancels */
        return x * exp(z) / (1.0 + exp(z));
    }
    return 0.5 * x * (1.0 + tanh(z / 2));
}

static bool make(struct lab *lab)
{
    return lab_gate_make(lab, op_geglu, lab_gelu);
}

const struct lab_op lab_op_geglu = {
    .name = "geglu",
    .dims = {"tokens", "cols"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
