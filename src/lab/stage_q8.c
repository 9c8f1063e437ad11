/* Oracle and shapes of stage_q8. Expected is x / scale as it is: the nearest whole number is within
 * a half of it, and a little more, since a device's division may be off by 2.5 units in the last
 * place. */
#include "lab/lab.h"

#include "base/hash.h"
#include "ops/ops.h"

#include <float.h>
#include <math.h>

enum { TOKENS, COLS, VALUES };
enum {
    ORDINARY,
    WIDE,    /* of very different size in a row */
    EXTREME, /* blocks of zeros, of the largest and the smallest floats */
    SPECIAL, /* infinities and NaN */
};

#define LEAST      0x1p-113
#define HALF_BOUND (0.5 + 0x1p-13)

static const uint32_t SHAPES[][LAB_DIMS] = {
    {1, 32, ORDINARY},  {3, 96, ORDINARY}, {2, 2048, ORDINARY}, {130, 64, ORDINARY},
    {7, 1024, WIDE},    {5, 4128, WIDE},   {8, 64, EXTREME},    {9, 512, EXTREME},
    {12, 224, SPECIAL}, {300, 128, WIDE},
};

static void set_extreme(float *block, size_t i)
{
    static const float factors[] = {0.0f, FLT_MAX, 0x1p-120f, 0x1p-112f, 65504.0f, 1e30f};
    for (size_t k = 0; k < OP_Q8_BLOCK; k++) {
        block[k] *= factors[i % 6] * 0.5f;                   /* of up to 2 */
        block[k] = fabsf(block[k]) < FLT_MIN ? 0 : block[k]; /* subnormals may count as zeros */
    }
}

static void set_special(struct lab *lab, float *block, size_t i)
{
    static const float specials[] = {INFINITY, -INFINITY, NAN};
    if (i % 3 != 1) { /* beside blocks that must stay as they are */
        block[hash_next(lab_rng(lab)) % OP_Q8_BLOCK] = specials[hash_next(lab_rng(lab)) % 3];
    }
}

static void set_block(struct lab *lab, float *block, size_t i)
{
    switch (lab_dim(lab, VALUES)) {
    case WIDE:
        for (size_t k = 0; k < OP_Q8_BLOCK; k++) {
            block[k] = ldexpf(block[k], (int)(hash_next(lab_rng(lab)) % 80) - 40);
        }
        break;
    case EXTREME:
        set_extreme(block, i);
        break;
    case SPECIAL:
        set_special(lab, block, i);
        break;
    default:
        break;
    }
}

/* NaN where one of the block is not finite. */
static double largest(const float *block)
{
    double most = 0;
    for (size_t k = 0; k < OP_Q8_BLOCK; k++) {
        if (!isfinite(block[k])) {
            return NAN;
        }
        most = fmax(most, fabs((double)block[k]));
    }
    return most;
}

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS);
    size_t cols = lab_dim(lab, COLS);
    lab_tokens(lab, tokens, 0);
    uint32_t x = lab_act(lab, "x", tokens, cols, -2.0f, 2.0f);
    struct op_staged staged = op_stage_q8(lab_plan(lab), x);
    struct lab_expect out = lab_expect(lab, staged.x), scales = lab_expect(lab, staged.scale);
    if (lab_plan(lab)->failed || out.value == NULL || scales.value == NULL) {
        return false;
    }
    lab_set_nmse(lab, 1e-4); /* quants of rounded values; the bounds are what counts */
    for (size_t i = 0; i < tokens * cols / OP_Q8_BLOCK; i++) {
        float *block = lab_values(lab, x) + i * OP_Q8_BLOCK;
        set_block(lab, block, i);
        double most = largest(block);
        most = most < LEAST ? 0 : most;
        scales.value[i] = most / 127;
        scales.bound[i] = 2 * LAB_U * scales.value[i];
        for (size_t k = 0; k < OP_Q8_BLOCK && most > 0; k++) {
            out.value[i * OP_Q8_BLOCK + k] = block[k] * 127.0 / most;
            out.bound[i * OP_Q8_BLOCK + k] = HALF_BOUND;
        }
    }
    return true;
}

const struct lab_op lab_op_stage_q8 = {
    .name = "stage_q8",
    .dims = {"tokens", "cols", "values"},
    .shapes = SHAPES,
    .n_shapes = sizeof SHAPES / sizeof *SHAPES,
    .make = make,
};
