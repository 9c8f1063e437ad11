/* Oracle and shapes of attn_merge. */
#include "lab/lab.h"

#include "base/hash.h"
#include "ops/ops.h"
#include "shaders/common/kv_types.h"
#include "shaders/common/step.h"

#include <math.h>

enum { TOKENS, HEADS, HEAD_DIM, SPLITS, LEN, WINDOW, EMPTY };

/* Token t sees len - 100 t entries or, before those end, one. */
static const uint32_t SHAPES[][LAB_DIMS] = {
    {1, 8, 32, 2, 4096, 0, 0},     {1, 3, 100, 5, 500, 0, 1},   {4, 2, 64, 8, 700, 0, 1},
    {2, 52, 128, 8, 100000, 0, 0}, {1, 1, 2, 64, 8192, 0, 1},   {1, 4, 64, 16, 128, 0, 0},
    {3, 2, 64, 16, 129, 0, 0},     {3, 2, 32, 16, 999, 300, 0},
};

#define RANGE 20.0 /* of the maxima of the splits */

/* Bound: exp2 is good to (3 + 2 |x|) ulp = 2 u (3 + 2 |x|) (Vulkan, precision of SPIR-V
 * instructions), |x| <= RANGE; then a product and a sum of `splits` terms, above and below the
 * line of the quotient. */
static void expect_row(const float *part, uint32_t splits, uint32_t dims, double *value,
                       double *bound)
{
    double top = -INFINITY, sum = 0;
    for (uint32_t j = 0; j < splits; j++) {
        top = fmax(top, (double)part[(size_t)j * (dims + 2)]);
    }
    for (uint32_t j = 0; j < splits; j++) {
        const float *p = part + (size_t)j * (dims + 2);
        sum += exp2((double)p[0] - top) * (double)p[1];
    }
    for (uint32_t d = 0; d < dims && sum > 0; d++) {
        double size = 0;
        for (uint32_t j = 0; j < splits; j++) {
            const float *p = part + (size_t)j * (dims + 2);
            double term = exp2((double)p[0] - top) * (double)p[2 + d];
            value[d] += term / sum;
            size += fabs(term) / sum;
        }
        bound[d] = 2 * LAB_U * (6 + 4 * RANGE + RANGE + splits + 3) * size + 1e-30;
    }
}

static void make_empty(float *part, uint32_t dims)
{
    part[0] = -1e30f;
    for (uint32_t i = 1; i < dims + 2; i++) {
        part[i] = 0.0f;
    }
}

/* Splits of which a token's row has partials, by counting: a split that begins at or behind the
 * end has no entries. */
static uint32_t count_used(uint32_t len, uint32_t window, uint32_t splits)
{
    uint32_t first = window != 0 && len > window ? len - window : 0;
    uint32_t part = KV_PART, begin = first - first % STEP_BLOCK, used = 0;
    while ((uint64_t)part * splits < len - begin) {
        part += STEP_BLOCK;
    }
    for (; used == 0 || begin < len; begin += part) {
        used++;
    }
    return used;
}

static void set_lengths(struct lab *lab)
{
    uint32_t *len = lab_step_array(lab, STEP_LEN);
    for (uint32_t t = 0; t < lab_dim(lab, TOKENS) && len != NULL; t++) {
        len[t] = lab_dim(lab, LEN) > 100 * t ? lab_dim(lab, LEN) - 100 * t : 1;
    }
}

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS), heads = lab_dim(lab, HEADS);
    uint32_t dims = lab_dim(lab, HEAD_DIM), splits = lab_dim(lab, SPLITS);
    uint32_t rows = tokens * heads;
    lab_tokens(lab, tokens, 0);
    uint32_t partial =
        lab_act(lab, "partial", (uint64_t)rows * splits, (uint64_t)dims + 2, -1.0f, 1.0f);
    struct op_attention_attr attr = {
        .heads = heads, .kv_heads = heads, .head_dim = dims, .splits = splits, .scale = 1.0f};
    attr.window = lab_dim(lab, WINDOW);
    uint32_t step = lab_step(lab, 1, 1);
    set_lengths(lab);
    uint32_t result = op_attn_merge(lab_plan(lab), partial, step, &attr);
    struct lab_expect out = lab_expect(lab, result);
    float *part = lab_values(lab, partial);
    const uint32_t *len = lab_step_array(lab, STEP_LEN);
    if (out.value == NULL || part == NULL || len == NULL) {
        return false;
    }
    for (size_t r = 0; r < rows; r++) {
        float *row = part + r * splits * (dims + 2);
        uint32_t used = count_used(len[r / heads], attr.window, splits);
        for (uint32_t j = 0; j < splits; j++) {
            float *p = row + (size_t)j * (dims + 2);
            p[0] *= (float)(RANGE / 2);
            p[1] = 1.5f + p[1];
            /* the last splits are those without entries; some rows have none at all */
            if (lab_dim(lab, EMPTY) != 0 && (r % 5 == 4 || j >= splits - r % splits)) {
                make_empty(p, dims);
            }
            for (uint32_t i = 0; i < dims + 2 && j >= used; i++) {
                p[i] = NAN;
            }
        }
        expect_row(row, used, dims, out.value + r * dims, out.bound + r * dims);
    }
    return !lab_plan(lab)->failed;
}

const struct lab_op lab_op_attn_merge = {
    .name = "attn_merge",
    .dims = {"tokens", "heads", "head_dim", "splits", "len", "window", "empty"},
    .shapes = SHAPES,
    .n_shapes = sizeof SHAPES / sizeof *SHAPES,
    .make = make,
};
