/* Oracle and shapes of matmul, without and with residual, in every weight format. The sum is taken
 * in double over what the blocks decode to. Bound of an element: c * u * sum |w * x|, residual
 * included, with c = LAB_DOT(cols): kernels add up to cols products in one float32, whose rounding
 * errors add up to the square root of that number, seldom more than a few times; where a format
 * has an offset, its part and that of the quants are summed apart, and larger than the result. */
#include "lab/lab.h"

#include "base/hash.h"
#include "ops/ops.h"

#include <math.h>

enum { TOKENS, ROWS, COLS, RESIDUAL };

/* Tails of every tile: rows of 4 * 4 .. 4 * 16 and 64, tokens of 1, 2, 4, 8, 16 and 64, columns
 * that end inside a unit, a fetch, a chunk of 32 and a block of 64. Like ones in threes: see
 * takes() in lab.c. */
static const uint32_t SHAPES[][LAB_DIMS] = {
    {1, 1024, 256, 0}, {1, 256, 1024, 1},  {1, 130, 512, 1}, /* one token, long */
    {2, 65, 256, 0},   {3, 33, 256, 1},    {3, 1, 256, 0},   /* few, odd rows */
    {9, 77, 352, 1},   {2, 9, 32, 0},      {1, 40, 416, 1},  /* no whole block of 256 */
    {64, 96, 256, 0},  {70, 200, 512, 1},  {17, 31, 768, 1}, /* tiles of tokens */
    {7, 128, 512, 0},  {8, 64, 256, 1},    {9, 100, 256, 0}, /* between */
    {1, 37, 100, 1},   {5, 70, 36, 0},     {70, 67, 4, 1},   /* no whole block of 32 */
    {9, 3, 60, 0},     {128, 256, 256, 0},
};

static void expect(struct lab *lab, uint32_t y, uint32_t w, uint32_t x, uint32_t residual)
{
    struct lab_expect out = lab_expect(lab, y);
    const float *weights = lab_values(lab, w), *in = lab_values(lab, x);
    const float *add = residual != PLAN_NONE ? lab_values(lab, residual) : NULL;
    size_t tokens = lab_dim(lab, TOKENS), rows = lab_dim(lab, ROWS), cols = lab_dim(lab, COLS);
    if (out.value == NULL || weights == NULL || in == NULL) {
        return;
    }
    double c = LAB_DOT(cols);
    for (size_t t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r++) {
            double sum = add != NULL ? (double)add[t * rows + r] : 0, size = fabs(sum);
            for (size_t k = 0; k < cols; k++) {
                double product = (double)weights[r * cols + k] * (double)in[t * cols + k];
                sum += product;
                size += fabs(product);
            }
            out.value[t * rows + r] = sum;
            out.bound[t * rows + r] = c * LAB_U * size;
        }
    }
}

/* What fuse makes of an add after the matmul. */
static void add_residual(struct lab *lab, uint32_t residual)
{
    struct plan *plan = lab_plan(lab);
    if (!plan->failed) {
        struct plan_node *node = &plan->nodes[plan->n_nodes - 1];
        node->src[2] = residual;
        node->n_src = 3;
        node->in_place = 2;
    }
}

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS), rows = lab_dim(lab, ROWS), cols = lab_dim(lab, COLS);
    lab_tokens(lab, tokens, 0);
    uint32_t w = lab_weight(lab, "w", lab_quant(lab), rows, cols, -0.5f, 0.5f);
    uint32_t x = lab_act(lab, "x", tokens, cols, -2.0f, 2.0f), residual = PLAN_NONE;
    if (lab_dim(lab, RESIDUAL) != 0) {
        residual = lab_act(lab, "residual", tokens, rows, -4.0f, 4.0f);
    }
    uint32_t y = op_matmul(lab_plan(lab), "y", w, x);
    if (residual != PLAN_NONE) {
        add_residual(lab, residual);
    }
    expect(lab, y, w, x, residual);
    return !lab_plan(lab)->failed;
}

const struct lab_op lab_op_matmul = {
    .name = "matmul",
    .dims = {"tokens", "rows", "cols", "residual"},
    .shapes = SHAPES,
    .n_shapes = sizeof SHAPES / sizeof *SHAPES,
    .vary = LAB_BY_QUANT,
    .quant_dim = COLS,
    .make = make,
};
