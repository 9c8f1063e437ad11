/* Oracle and shapes of add: one correctly rounded addition. */
#include "lab/lab.h"
#include "ops/ops.h"

#include <math.h>

static const uint32_t shapes[][LAB_DIMS] = {
    {1, 1}, {1, 3}, {3, 5}, {2, 64}, {1, 4096}, {7, 252}, {5, 257}, {128, 256}, {33, 1023},
};

static bool make(struct lab *lab)
{
    uint32_t rows = lab_dim(lab, 0), cols = lab_dim(lab, 1);
    lab_tokens(lab, rows, rows);
    uint32_t a = lab_act(lab, "a", rows, cols, -4, 4), b = lab_act(lab, "b", rows, cols, -1, 1);
    uint32_t y = op_add(lab_plan(lab), a, b);
    struct lab_expect e = lab_expect(lab, y);
    if (e.value == NULL) {
        return false;
    }
    const float *av = lab_values(lab, a), *bv = lab_values(lab, b);
    for (size_t i = 0; i < (size_t)rows * cols; i++) {
        e.value[i] = (double)av[i] + bv[i];
        e.bound[i] = LAB_U * fabs(e.value[i]);
    }
    return true;
}

const struct lab_op lab_op_add = {
    .name = "add",
    .dims = {"tokens", "cols"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
