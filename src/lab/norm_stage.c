/* Oracle and shapes of norm_stage: the norm as in rmsnorm.c, then its staged form. */
#include "lab/internal.h"
#include "ops/ops.h"

#include <math.h>

enum { TOKENS, COLS };

static const uint32_t SHAPES[][LAB_DIMS] = {
    {1, 4},    {2, 36},   {3, 60},   {5, 1028}, {2, 2048},  {1, 4096},
    {130, 36}, {33, 256}, {3, 8192}, {2, 8196}, {1, 17920}, {65537, 4},
};

static const float EPS = 1e-5f;

static void make_norm(const float *x, const float *w, size_t cols, double *value, double *error)
{
    double sum = 0;
    for (size_t c = 0; c < cols; c++) {
        sum += (double)x[c] * x[c];
    }
    double scale = 1 / sqrt(sum / (double)cols + (double)EPS);
    for (size_t c = 0; c < cols; c++) {
        value[c] = x[c] * scale * w[c];
        error[c] = LAB_U * (16 + (double)cols / 32) * fabs(value[c]);
    }
}

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS);
    size_t cols = lab_dim(lab, COLS);
    lab_tokens(lab, tokens, 0);
    uint32_t x = lab_act(lab, "x", tokens, cols, -3, 3);
    uint32_t w = lab_weight(lab, "w", QUANT_F32, 1, cols, 0.5f, 1.5f);
    struct op_staged staged = op_norm_stage(lab_plan(lab), x, w, EPS);
    struct lab_expect out = lab_expect(lab, staged.x), scale = lab_expect(lab, staged.scale);
    double *value = mem_alloc(2 * cols, sizeof *value);
    bool ok = out.value != NULL && scale.value != NULL && value != NULL;
    for (uint32_t t = 0; ok && t < tokens; t++) {
        float *row = lab_values(lab, x) + t * cols;
        size_t at = 0;
        for (size_t c = 0; c < cols; c++) { /* rows where eps counts, rows of zeros */
            row[c] *= t % 4 == 3 ? 1e-4f : t % 7 == 6 ? 0.0f : 1.0f;
        }
        make_norm(row, lab_values(lab, w), cols, value, value + cols);
        while (lab_staged_unclear(value, cols, &at)) {
            row[at] *= 0.95f;
            make_norm(row, lab_values(lab, w), cols, value, value + cols);
        }
        lab_staged_expect(&(struct lab_staged_row){value, value + cols, cols}, out, scale, t);
    }
    mem_free(value);
    return ok;
}

const struct lab_op lab_op_norm_stage = {
    .name = "norm_stage",
    .dims = {"tokens", "cols"},
    .shapes = SHAPES,
    .n_shapes = sizeof SHAPES / sizeof *SHAPES,
    .make = make,
};
