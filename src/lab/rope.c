/* Oracle and shapes of RoPE, with the angle in double: at position 10^6 its error is 1e-10. The
 * bound of an element is (|a| + |b|) times 4 u and the magnitude (one more rounding where that is
 * not 1), for positions up to 2^21. */
#include "base/hash.h"
#include "lab/internal.h"
#include "ops/ops.h"
#include "shaders/common/step.h"

#include <math.h>

/* far: see lab_rope_position. base is in thousands. */
static const uint32_t shapes[][LAB_DIMS] = {
    /* tokens heads head_dim dims half factors far base */
    {1, 1, 2, 2, 0, 0, 0, 10},       {3, 2, 32, 32, 0, 0, 0, 10},     {5, 3, 64, 64, 1, 0, 1, 10},
    {7, 4, 96, 64, 1, 0, 1, 10},     {4, 2, 80, 20, 0, 1, 1, 10},     {33, 8, 32, 32, 0, 0, 2, 10},
    {16, 2, 128, 128, 1, 1, 2, 500}, {2, 1, 256, 256, 0, 0, 2, 1000}, {128, 8, 32, 32, 0, 0, 1, 10},
};

static const float scales[] = {1.0f, 0.25f, 1.0f / 3.0f};
static const float magnitudes[] = {1.0f, 1.1902381f}; /* of all; of those with factors */

uint32_t lab_rope_position(uint64_t *rng, uint32_t far, uint32_t t)
{
    static const uint32_t special[] = {0, 1, 65535, 65536, 1000000, 1048575, 2097151};
    if (far == 2 && t < sizeof special / sizeof *special) {
        return special[t];
    }
    uint32_t most = far == 0 ? 64 : far == 1 ? 4096 : 1u << 21;
    return (uint32_t)(hash_next(rng) % most);
}

void lab_rope_turn(const struct lab_turn *turn, const float *x, double *y, double *bound)
{
    const struct op_rope_attr *a = turn->attr;
    for (uint32_t i = 0; i < a->dims / 2; i++) {
        double m = a->magnitude, u = a->magnitude == 1 ? 4 * LAB_U : 5 * LAB_U;
        double angle = (double)turn->pos * a->scale * pow(a->base, -2.0 * i / a->dims) /
                       (turn->factors != NULL ? turn->factors[i] : 1.0);
        uint32_t p = a->half_split != 0 ? i : 2 * i;
        uint32_t q = a->half_split != 0 ? i + a->dims / 2 : 2 * i + 1;
        y[p] = m * (x[p] * cos(angle) - x[q] * sin(angle));
        y[q] = m * (x[p] * sin(angle) + x[q] * cos(angle));
        bound[p] = bound[q] = u * m * (fabs(x[p]) + fabs(x[q]));
    }
    for (uint32_t i = a->dims; i < a->head_dim; i++) {
        y[i] = x[i];
    }
}

static bool make(struct lab *lab)
{
    const struct op_rope_attr attr = {.heads = lab_dim(lab, 1),
                                      .head_dim = lab_dim(lab, 2),
                                      .dims = lab_dim(lab, 3),
                                      .half_split = lab_dim(lab, 4),
                                      .base = 1000.0f * (float)lab_dim(lab, 7),
                                      .scale = scales[lab_dim(lab, 0) % 3],
                                      .magnitude = magnitudes[lab_dim(lab, 5)]};
    uint32_t n = lab_dim(lab, 0), cols = attr.heads * attr.head_dim;
    lab_tokens(lab, n, n);
    uint32_t x = lab_act(lab, "x", n, cols, -2, 2), step = lab_step(lab, 1, 1);
    uint32_t factors = PLAN_NONE;
    if (lab_dim(lab, 5) != 0) {
        factors = lab_weight(lab, "factors", QUANT_F32, 1, attr.dims / 2, 1, 8);
    }
    uint32_t y = op_rope(lab_plan(lab), x, step, factors, &attr);
    struct lab_expect e = lab_expect(lab, y);
    if (e.value == NULL) {
        return false;
    }
    uint32_t *pos = lab_step_array(lab, STEP_POS);
    for (uint32_t t = 0; t < n; t++) {
        pos[t] = lab_rope_position(lab_rng(lab), lab_dim(lab, 6), t);
        const struct lab_turn turn = {&attr, factors != PLAN_NONE ? lab_values(lab, factors) : NULL,
                                      pos[t]};
        for (uint32_t h = 0; h < attr.heads; h++) {
            size_t at = (size_t)t * cols + h * attr.head_dim;
            lab_rope_turn(&turn, lab_values(lab, x) + at, e.value + at, e.bound + at);
        }
    }
    return true;
}

const struct lab_op lab_op_rope = {
    .name = "rope",
    .dims = {"tokens", "heads", "head_dim", "dims", "half", "factors", "far", "kbase"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
