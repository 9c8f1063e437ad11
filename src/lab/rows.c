/* Oracle and shapes of rows: an exact copy, rows in any order and more than once. */
#include "base/hash.h"
#include "lab/lab.h"
#include "ops/ops.h"
#include "shaders/common/step.h"

static const uint32_t shapes[][LAB_DIMS] = {
    {1, 1, 1},     {3, 1, 5},       {4, 4, 64},   {64, 1, 256},
    {64, 17, 255}, {128, 128, 256}, {9, 2, 4097}, {65537, 65537, 3},
};

static bool make(struct lab *lab)
{
    uint32_t rows = lab_dim(lab, 0), n_out = lab_dim(lab, 1), cols = lab_dim(lab, 2);
    lab_tokens(lab, rows, n_out);
    uint32_t x = lab_act(lab, "x", rows, cols, -1, 1), step = lab_step(lab, 1, 1);
    uint32_t y = op_rows(lab_plan(lab), x, step);
    struct lab_expect e = lab_expect(lab, y);
    if (e.value == NULL) {
        return false;
    }
    const float *xv = lab_values(lab, x);
    uint32_t *out = lab_step_array(lab, STEP_OUT);
    for (uint32_t i = 0; i < n_out; i++) {
        out[i] = i == 0 ? rows - 1 : (uint32_t)(hash_next(lab_rng(lab)) % rows);
        for (uint32_t c = 0; c < cols; c++) {
            e.value[(size_t)i * cols + c] = xv[(size_t)out[i] * cols + c];
        }
    }
    return true;
}

const struct lab_op lab_op_rows = {
    .name = "rows",
    .dims = {"tokens", "n_out", "cols"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
