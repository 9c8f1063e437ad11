/* Oracle and shapes of embed, in every weight format, with tokens from the step and tokens that the
 * device wrote. A value is the product or difference of numbers with few bits, so only the last
 * rounding may differ: bound 2 * u * |value|. */
#include "lab/lab.h"

#include "base/hash.h"
#include "ops/ops.h"
#include "shaders/common/step.h"

#include <math.h>

enum { TOKENS, VOCAB, COLS };

static const uint32_t SHAPES[][LAB_DIMS] = {
    {1, 300, 256}, {2, 33, 256}, {5, 700, 512}, {64, 1024, 256}, {70, 65, 768},  {3, 1, 256},
    {9, 260, 96},  {4, 40, 32},  {7, 130, 100}, {33, 19, 4},     {2, 500, 2048},
};

static void expect(struct lab *lab, uint32_t y, uint32_t w, const uint32_t *rows)
{
    struct lab_expect out = lab_expect(lab, y);
    const float *values = lab_values(lab, w);
    size_t cols = lab_dim(lab, COLS), tokens = lab_dim(lab, TOKENS);
    if (out.value == NULL || values == NULL) {
        return;
    }
    for (size_t t = 0; t < tokens; t++) {
        for (size_t c = 0; c < cols; c++) {
            double value = (double)values[rows[t] * cols + c];
            out.value[t * cols + c] = value;
            out.bound[t * cols + c] = 2 * LAB_U * fabs(value);
        }
    }
}

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS), vocab = lab_dim(lab, VOCAB), cols = lab_dim(lab, COLS);
    lab_tokens(lab, tokens, 0);
    uint32_t w = lab_weight(lab, "w", lab_quant(lab), vocab, cols, -1.0f, 1.0f);
    uint32_t ids_in = lab_ids_in(lab, tokens), step = lab_step(lab, 1, 1);
    uint32_t *token = lab_step_array(lab, STEP_TOKEN), *ids = lab_words(lab, ids_in);
    uint32_t *rows = mem_alloc(tokens, sizeof *rows);
    if (token == NULL || ids == NULL || rows == NULL) {
        log_error(lab_log(lab), "embed: no inputs");
        mem_free(rows);
        return false;
    }
    for (uint32_t t = 0; t < tokens; t++) { /* the other source names another row */
        uint32_t row = (uint32_t)(hash_next(lab_rng(lab)) % vocab), other = (row + 1) % vocab;
        bool chained = hash_next(lab_rng(lab)) % 2 != 0;
        rows[t] = t == 0 ? vocab - 1 : row;
        token[t] = chained ? STEP_TOKEN_CHAINED : rows[t];
        ids[t] = chained ? rows[t] : other;
    }
    uint32_t y = op_embed(lab_plan(lab), w, step, ids_in);
    expect(lab, y, w, rows);
    mem_free(rows);
    return !lab_plan(lab)->failed;
}

const struct lab_op lab_op_embed = {
    .name = "embed",
    .dims = {"tokens", "vocab", "cols"},
    .shapes = SHAPES,
    .n_shapes = sizeof SHAPES / sizeof *SHAPES,
    .vary = LAB_BY_QUANT,
    .quant_dim = COLS,
    .make = make,
};
