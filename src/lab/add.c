/* Oracle and shapes of add: one correctly rounded addition. b: 0 as large as a, 1 a row that is an
 * activation, 2 a row that is a weight. */
#include "lab/lab.h"
#include "ops/ops.h"

#include <math.h>

static const uint32_t shapes[][LAB_DIMS] = {
    {1, 1, 0},   {1, 3, 0},     {3, 5, 0},     {2, 64, 0},   {1, 4096, 0}, {7, 252, 0},
    {5, 257, 0}, {128, 256, 0}, {33, 1023, 0}, {3, 5, 1},    {65, 256, 1}, {1, 3, 2},
    {7, 252, 2}, {33, 1023, 2}, {1, 4096, 2},  {128, 96, 2},
};

static bool make(struct lab *lab)
{
    uint32_t rows = lab_dim(lab, 0), cols = lab_dim(lab, 1);
    lab_tokens(lab, rows, rows);
    uint32_t kind = lab_dim(lab, 2), a = lab_act(lab, "a", rows, cols, -4, 4);
    uint32_t b = kind == 2 ? lab_weight(lab, "b", QUANT_F32, 1, cols, -1, 1)
                           : lab_act(lab, "b", kind == 1 ? 1 : rows, cols, -1, 1);
    uint32_t y = op_add(lab_plan(lab), a, b);
    struct lab_expect e = lab_expect(lab, y);
    if (e.value == NULL) {
        return false;
    }
    const float *av = lab_values(lab, a), *bv = lab_values(lab, b);
    for (size_t i = 0; i < (size_t)rows * cols; i++) {
        e.value[i] = (double)av[i] + bv[kind != 0 ? i % cols : i];
        e.bound[i] = LAB_U * fabs(e.value[i]);
    }
    return true;
}

const struct lab_op lab_op_add = {
    .name = "add",
    .dims = {"tokens", "cols", "b"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
