/* Oracle and shapes of matmul_gate: two products, each with its bound (staged.c), one through silu
 * or gelu, whose slope is at most 1.13, times the other; with and without the norm of x. */
#include "lab/internal.h"
#include "ops/ops.h"

#include <math.h>
#include <string.h>

enum { TOKENS, ROWS, COLS, GELU, NORM };

#define SLOPE 1.13

static const uint32_t SHAPES[][LAB_DIMS] = {
    {1, 128, 256, 0, 0}, {1, 70, 512, 0, 1},   {3, 33, 256, 1, 0}, {4, 257, 768, 0, 1},
    {2, 9, 36, 1, 1},    {1, 24, 17920, 0, 1}, {3, 5, 1024, 1, 1},
};

static double gate_of(const struct lab *lab, double x, double *error)
{
    double bound, value = lab->c.dims[GELU] != 0 ? lab_gelu(x, &bound) : lab_silu(x, &bound);
    *error = SLOPE * *error + LAB_U * bound * fabs(value) + 1e-35;
    return value;
}

/* With the products' errors: what act(g) * u is off by at most. */
static double off(double act, double act_error, const struct lab_product *up, double up_error)
{
    return fabs(act) * up_error + act_error * (fabs(up->value) + up_error) +
           4 * LAB_U * fabs(act * up->value);
}

static void expect(struct lab *lab, uint32_t y, const uint32_t w[2], const float *x)
{
    struct lab_expect out = lab_expect(lab, y);
    double *rounded = lab_expect_half(lab, y);
    size_t rows = lab_dim(lab, ROWS), cols = lab_dim(lab, COLS);
    double more = lab_dim(lab, NORM) != 0 ? 2 : 1; /* of a norm: its root and its products */
    for (size_t t = 0; t < lab_dim(lab, TOKENS) && out.value != NULL && rounded != NULL; t++) {
        for (size_t r = 0; r < rows; r++) {
            struct lab_product p[2];
            double error[2], coarse[2];
            for (int k = 0; k < 2; k++) {
                const struct lab_factors f = {.w = lab_values(lab, w[k]) + r * cols,
                                              .x = x + t * cols,
                                              .cols = cols,
                                              .quant = lab_quant(lab)};
                p[k] = lab_product(&f, 0);
                error[k] = more * p[k].bound;
                coarse[k] = error[k] + lab_rounding_bound(&f);
            }
            double act = gate_of(lab, p[0].value, &error[0]);
            gate_of(lab, p[0].value, &coarse[0]);
            out.value[t * rows + r] = act * p[1].value;
            out.bound[t * rows + r] = off(act, error[0], &p[1], error[1]);
            rounded[t * rows + r] = off(act, coarse[0], &p[1], coarse[1]);
        }
    }
}

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS), rows = lab_dim(lab, ROWS), cols = lab_dim(lab, COLS);
    lab_tokens(lab, tokens, 0);
    uint32_t w[2];
    w[0] = lab_weight(lab, "gate", lab_quant(lab), rows, cols, -0.5f, 0.5f);
    w[1] = lab_weight(lab, "up", lab_quant(lab), rows, cols, -0.5f, 0.5f);
    uint32_t x = lab_act(lab, "x", tokens, cols, -2.0f, 2.0f);
    struct plan *plan = lab_plan(lab);
    uint32_t y = op_matmul_gate(plan, "y", w[0], w[1], x, lab_dim(lab, GELU) != 0);
    const float *read = plan->failed ? NULL : lab_values(lab, x);
    if (lab_dim(lab, NORM) != 0 && !plan->failed) {
        read = lab_add_norm(lab, x);
    }
    if (read == NULL) {
        return false;
    }
    lab_set_nmse_half(lab, 10 * LAB_ROUNDING_NMSE); /* results of products of two */
    expect(lab, y, w, read);
    return !plan->failed;
}

const struct lab_op lab_op_matmul_gate = {
    .name = "matmul_gate",
    .dims = {"tokens", "rows", "cols", "gelu", "norm"},
    .shapes = SHAPES,
    .n_shapes = sizeof SHAPES / sizeof *SHAPES,
    .vary = LAB_BY_QUANT,
    .quant_dim = COLS,
    .make = make,
};
