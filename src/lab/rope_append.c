/* Oracle and shapes of rope_append: q as in rope.c, V as in kv_append.c, K both. What is stored of
 * k is turned with an error, which may move a value to its neighbour: by one step of f16, or of its
 * block. At position 0 nothing is turned, so that K is exact there too. */
#include "lab/internal.h"

#include "base/hash.h"
#include "ops/ops.h"
#include "shaders/common/step.h"

#include <math.h>
#include <string.h>

enum { TOKENS, HEADS, KV_HEADS, HEAD_DIM, DIMS, HALF, FACTORS, MODE, KBASE };
enum {
    MIXED = 1,   /* V cache of the other element type */
    CORNERS = 2, /* values of v that are hard to store */
    NO_SLOT = 4, /* the first token has no slot */
    LOCAL = 8,   /* the caches are those of local layers */
    FAR = 16,    /* positions up to 2^20 and above */
    CROSS = 64,  /* V cache of a type of the other kind: quantized or not */
};

/* Few sizes of heads and mixed caches: each asks for pipelines of its own. */
static const uint32_t SHAPES[][LAB_DIMS] = {
    {1, 4, 4, 64, 64, 0, 0, 0, 10},
    {1, 8, 2, 64, 64, 1, 0, 0, 10},
    {3, 2, 1, 2, 2, 0, 0, MIXED, 10},
    {5, 3, 3, 64, 64, 1, 0, CORNERS | FAR, 10},
    {7, 4, 2, 64, 24, 0, 1, CORNERS, 10},
    {4, 6, 2, 12, 6, 1, 0, MIXED, 10},
    {4, 2, 2, 96, 20, 1, 1, 0, 500},
    {9, 4, 2, 96, 64, 1, 0, FAR, 10},
    {33, 8, 4, 64, 64, 0, 0, FAR | CORNERS, 1000},
    {130, 8, 8, 64, 64, 0, 0, NO_SLOT, 10},
    {37, 6, 3, 64, 64, 0, 0, LOCAL | NO_SLOT, 10},
    {6, 5, 2, 64, 64, 1, 0, CROSS | CORNERS, 10},
};

struct made {
    struct op_rope_append_attr attr;
    const float *factors; /* or NULL */
    enum plan_elem k_elem, v_elem;
    uint32_t q, k, v, k_cache, v_cache, out; /* tensors */
};

/* How far what a cache holds may be from what it should: values off by `error`, a block's largest
 * `most`. */
static double store_error(enum plan_elem elem, double value, double error, double most)
{
    switch (elem) {
    case PLAN_F16:
        return error + 0x1p-11 * (fabs(value) + error) + 0x1p-24;
    case PLAN_Q8_0: /* a step, and one of the scale */
        return error + most / 127 * 1.01 + most * 0x1p-9;
    case PLAN_Q4_0: /* the same; the end that -8 is at may change too */
        return error + most / 8 * 2.02 + most * 0x1p-9;
    default:
        return error;
    }
}

static void expect_k(struct lab *lab, const struct made *m, uint32_t t, struct lab_expect out)
{
    uint32_t slot = lab_step_array(lab, STEP_SLOT)[t], pos = lab_step_array(lab, STEP_POS)[t];
    size_t dims = m->attr.append.head_dim, heads = m->attr.append.kv_heads;
    size_t block = plan_elem_block(m->k_elem);
    const struct lab_turn turn = {&m->attr.rope, m->factors, pos};
    double y[OP_MAX_HEAD_DIM], error[OP_MAX_HEAD_DIM];
    float stored[OP_MAX_HEAD_DIM];
    for (size_t h = 0; h < heads && slot < m->attr.append.slots; h++) {
        size_t to = (h * m->attr.append.slots + slot) * dims;
        memset(error, 0, sizeof error);
        lab_rope_turn(&turn, lab_values(lab, m->k) + (t * heads + h) * dims, y, error);
        for (size_t d = 0; d < dims; d++) {
            stored[d] = (float)y[d];
        }
        lab_kv_round(m->k_elem, stored, dims);
        for (size_t d = 0; d < dims; d++) {
            double most = 0;
            for (size_t i = d / block * block; i < d / block * block + block; i++) {
                most = fmax(most, fabs(y[i]) + error[i]);
            }
            bool exact = pos == 0 && m->attr.rope.magnitude == 1;
            out.value[to + d] = exact || block > 1 ? (double)stored[d] : y[d];
            out.bound[to + d] =
                exact ? 0 : store_error(m->k_elem, y[d], error[d] + LAB_U * fabs(y[d]), most);
        }
    }
}

static void expect(struct lab *lab, const struct made *m)
{
    size_t heads = m->attr.rope.heads, dims = m->attr.rope.head_dim;
    struct lab_expect q = lab_expect(lab, m->out), k = lab_expect(lab, m->k_cache);
    if (q.value == NULL || k.value == NULL) {
        return;
    }
    for (uint32_t t = 0; t < lab_dim(lab, TOKENS); t++) {
        const struct lab_turn turn = {&m->attr.rope, m->factors, lab_step_array(lab, STEP_POS)[t]};
        for (size_t h = 0; h < heads; h++) {
            size_t at = (t * heads + h) * dims;
            lab_rope_turn(&turn, lab_values(lab, m->q) + at, q.value + at, q.bound + at);
        }
        expect_k(lab, m, t, k);
    }
    lab_kv_expect(lab, m->v_cache, m->v, &m->attr.append);
    if (plan_elem_block(m->k_elem) > 1) {
        lab_set_nmse(lab, 1e-3); /* one value a step away */
    }
}

static void make_step(struct lab *lab, uint32_t n_seq, uint32_t slots)
{
    uint32_t *seq = lab_step_array(lab, STEP_SEQ), *slot = lab_step_array(lab, STEP_SLOT);
    uint32_t *pos = lab_step_array(lab, STEP_POS), far = (lab_dim(lab, MODE) & FAR) != 0 ? 2 : 1;
    for (uint32_t t = 0; t < lab_dim(lab, TOKENS); t++) {
        seq[t] = t % n_seq;
        slot[t] = lab_step_slot(lab, seq[t], t / n_seq + STEP_BLOCK - 2);
        pos[t] = t % 3 == 2 ? 0 : lab_rope_position(lab_rng(lab), far, t);
    }
    if ((lab_dim(lab, MODE) & NO_SLOT) != 0) {
        slot[0] = slots;
    }
}

static void make_tensors(struct lab *lab, struct made *m)
{
    uint32_t tokens = lab_dim(lab, TOKENS), mode = lab_dim(lab, MODE), dim = lab_dim(lab, HEAD_DIM);
    uint32_t kv_heads = lab_dim(lab, KV_HEADS);
    uint64_t kv_cols = (uint64_t)kv_heads * dim;
    m->k_elem = m->v_elem = lab_kv_elem(lab);
    if ((mode & (MIXED | CROSS)) != 0) {
        m->v_elem = lab_kv_other(lab, (mode & CROSS) != 0);
    }
    m->q = lab_act(lab, "q", tokens, (uint64_t)lab_dim(lab, HEADS) * dim, -2.0f, 2.0f);
    m->k = lab_act(lab, "k", tokens, kv_cols, -4.0f, 4.0f);
    m->v = lab_act(lab, "v", tokens, kv_cols, -4.0f, 4.0f);
    uint32_t slots = m->attr.append.slots;
    m->k_cache = lab_kv(lab, "k_cache", m->k_elem, false, kv_heads, slots, dim, -1.0f, 1.0f);
    m->v_cache = lab_kv(lab, "v_cache", m->v_elem, true, kv_heads, slots, dim, -1.0f, 1.0f);
    if ((mode & CORNERS) != 0 && !lab_plan(lab)->failed) {
        lab_kv_corners(lab, m->v, m->v_elem);
    }
}

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS), mode = lab_dim(lab, MODE), n_seq = tokens > 2 ? 2 : 1;
    uint32_t blocks = tokens / STEP_BLOCK + 2, factors = PLAN_NONE;
    struct made m = {.attr = {.rope = {.heads = lab_dim(lab, HEADS),
                                       .head_dim = lab_dim(lab, HEAD_DIM),
                                       .dims = lab_dim(lab, DIMS),
                                       .half_split = lab_dim(lab, HALF),
                                       .base = 1000.0f * (float)lab_dim(lab, KBASE),
                                       .scale = tokens % 2 == 0 ? 0.25f : 1.0f,
                                       .magnitude = lab_dim(lab, FACTORS) != 0 ? 1.19f : 1.0f},
                              .append = {.kv_heads = lab_dim(lab, KV_HEADS),
                                         .head_dim = lab_dim(lab, HEAD_DIM),
                                         .slots = n_seq * blocks * STEP_BLOCK,
                                         .group = (mode & LOCAL) != 0 ? 1 : 0}}};
    lab_tokens(lab, tokens, 0);
    make_tensors(lab, &m);
    uint32_t step = lab_step(lab, n_seq, blocks);
    if (lab_dim(lab, FACTORS) != 0) {
        factors = lab_weight(lab, "factors", QUANT_F32, 1, m.attr.rope.dims / 2, 1, 8);
    }
    if (lab_plan(lab)->failed) {
        return false;
    }
    if ((mode & LOCAL) != 0) {
        lab_step_local(lab);
    }
    m.factors = factors != PLAN_NONE ? lab_values(lab, factors) : NULL;
    make_step(lab, n_seq, m.attr.append.slots);
    m.out = op_rope_append(lab_plan(lab), (const uint32_t[]){m.q, m.k, m.v},
                           (const uint32_t[]){m.k_cache, m.v_cache}, step, factors, &m.attr);
    expect(lab, &m);
    return !lab_plan(lab)->failed;
}

static bool kv_fits(const uint32_t *dims, enum plan_elem elem)
{
    return dims[HEAD_DIM] % plan_elem_block(elem) == 0;
}

const struct lab_op lab_op_rope_append = {
    .name = "rope_append",
    .dims = {"tokens", "heads", "kv_heads", "head_dim", "dims", "half", "factors", "mode", "kbase"},
    .shapes = SHAPES,
    .n_shapes = sizeof SHAPES / sizeof *SHAPES,
    .vary = LAB_BY_KV,
    .kv_fits = kv_fits,
    .make = make,
};
