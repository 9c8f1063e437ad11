/* Oracle and shapes of gate_stage: the gates of swiglu.c and geglu.c, then their staged form. */
#include "lab/internal.h"
#include "ops/ops.h"

#include <math.h>

enum { TOKENS, COLS, GELU };

static const uint32_t SHAPES[][LAB_DIMS] = {
    {1, 4, 0},    {1, 4, 1},    {3, 36, 0},   {3, 60, 1},    {2, 1024, 0},  {7, 252, 1},
    {5, 2052, 0}, {130, 64, 0}, {33, 260, 1}, {1, 11008, 0}, {1, 16388, 0}, {2, 17920, 1},
};

static void make_gate(const float *gate, const float *up, size_t cols,
                      double (*of)(double x, double *bound), double *value, double *error)
{
    for (size_t c = 0; c < cols; c++) {
        double bound;
        value[c] = of(gate[c], &bound) * up[c];
        error[c] = LAB_U * bound * fabs(value[c]) + 1e-35;
    }
}

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS);
    size_t cols = lab_dim(lab, COLS);
    double (*of)(double x, double *bound) = lab_dim(lab, GELU) != 0 ? lab_gelu : lab_silu;
    lab_tokens(lab, tokens, 0);
    uint32_t gate = lab_act(lab, "gate", tokens, cols, -12, 12);
    uint32_t up = lab_act(lab, "up", tokens, cols, -2, 2);
    struct op_staged staged = op_gate_stage(lab_plan(lab), gate, up, lab_dim(lab, GELU) != 0);
    struct lab_expect out = lab_expect(lab, staged.x), scale = lab_expect(lab, staged.scale);
    double *value = mem_alloc(2 * cols, sizeof *value);
    bool ok = out.value != NULL && scale.value != NULL && value != NULL;
    for (uint32_t t = 0; ok && t < tokens; t++) {
        float *g = lab_values(lab, gate) + t * cols, *u = lab_values(lab, up) + t * cols;
        size_t at = 0;
        for (size_t c = 0; c < cols; c++) {
            g[c] *= c % 97 == 2 ? 40.0f : 1.0f; /* where exp overflows, and where it vanishes */
            u[c] *= t % 7 == 6 ? 0.0f : 1.0f;
        }
        make_gate(g, u, cols, of, value, value + cols);
        while (lab_staged_unclear(value, cols, &at)) {
            u[at] *= 0.95f;
            make_gate(g, u, cols, of, value, value + cols);
        }
        lab_staged_expect(&(struct lab_staged_row){value, value + cols, cols}, out, scale, t);
    }
    mem_free(value);
    return ok;
}

const struct lab_op lab_op_gate_stage = {
    .name = "gate_stage",
    .dims = {"tokens", "cols", "gelu"},
    .shapes = SHAPES,
    .n_shapes = sizeof SHAPES / sizeof *SHAPES,
    .make = make,
};
