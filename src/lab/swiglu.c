/* Oracle and shapes of SwiGLU. Vulkan promises 3 + 2|x| ulp for exp and 2.5 for the division. */
#include "lab/internal.h"
#include "ops/ops.h"

#include <math.h>

static const uint32_t shapes[][LAB_DIMS] = LAB_GATE_SHAPES;

double lab_silu(double x, double *bound)
{
    *bound = 16 + 4 * fabs(x);
    return x / (1.0 + exp(-x));
}

static bool make(struct lab *lab)
{
    return lab_gate_make(lab, op_swiglu, lab_silu);
}

const struct lab_op lab_op_swiglu = {
    .name = "swiglu",
    .dims = {"tokens", "cols"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
