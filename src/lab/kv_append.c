/* Oracle and shapes of kv_append. What is stored is exact: f32 as it is, the other types as
 * kv_block.c rounds them. */
#include "lab/internal.h"

#include "base/hash.h"
#include "ops/ops.h"
#include "shaders/common/step.h"

#include <math.h>
#include <string.h>

enum { TOKENS, KV_HEADS, HEAD_DIM, SEQUENCES, MODE };
enum {
    MIXED = 1,   /* V cache of the other element type */
    CORNERS = 2, /* ties, subnormals, infinities, NaN among the values */
    NO_SLOT = 4, /* the first token has no slot */
    GRID = 16,   /* not quantized: every exponent, with mantissas around the ties of f16 */
    LOCAL = 8,   /* the caches are those of local layers */
    CROSS = 64,  /* V cache of a type of the other kind: quantized or not */
};

static const uint32_t SHAPES[][LAB_DIMS] = {
    {1, 4, 32, 1, 0},
    {1, 1, 2, 1, MIXED},
    {7, 2, 64, 3, CORNERS},
    {3, 2, 80, 2, MIXED},
    {5, 3, 96, 1, CORNERS},
    {2, 1, 100, 2, MIXED | CORNERS},
    {33, 4, 128, 4, NO_SLOT},
    {4, 2, 256, 2, MIXED | NO_SLOT},
    {128, 4, 32, 1, CORNERS},
    {40, 2, 96, 1, CROSS | CORNERS},
    {9, 2, 128, 1, CROSS},
    {1, 2, 32, 1, LOCAL},
    {37, 2, 64, 3, LOCAL | NO_SLOT},
    {207, 2, 256, 1, GRID | CORNERS},
};

static void set_values(struct lab *lab, float *values, uint64_t n)
{
    static const float CORNER[] = {
        0.0f,         -0.0f,        65504.0f,     -65504.0f,      65519.996f,    65520.0f,
        -65536.0f,    1e30f,        INFINITY,     -INFINITY,      NAN,           0x1p-14f,
        0x1.ffcp-15f, 0x1.ffep-15f, 0x1.fffp-15f, 0x1p-24f,       0x1p-25f,      -0x1.000002p-25f,
        0x1.8p-24f,   0x1.4p-23f,   0x1p-26f,     0x1p-140f,      0x1.002p0f,    0x1.006p0f,
        0x1.0021p0f,  0x1.ffep0f,   0x1.fff8p10f, -0x1.ffdfffp3f, 0x1.001fffp1f, 0x1.002001p1f,
    };
    uint32_t count = sizeof CORNER / sizeof *CORNER;
    for (uint64_t i = 0; i < n && values != NULL; i++) {
        if (hash_next(lab_rng(lab)) % 3 == 0) {
            values[i] = CORNER[hash_next(lab_rng(lab)) % count];
        }
    }
}

static void set_grid(float *values, uint64_t n)
{
    for (uint32_t i = 0; i < n && values != NULL; i++) {
        uint32_t exponent = i / LAB_GRID % 256, sign = i / LAB_GRID / 256;
        uint32_t bits = sign << 31 | exponent << 23 | lab_grid_mantissa(i);
        memcpy(&values[i], &bits, sizeof bits);
    }
}

/* Blocks that are hard to quantize, of every kind. */
static void set_blocks(struct lab *lab, float *values, uint64_t n)
{
    static const float FIRST[] = {
        0.0f,           NAN,           INFINITY,     -INFINITY,      1e30f,
        65504.0f * 127, -65519e0f * 8, 65520e0f * 8, 127 * 0x1p-24f, 127 * 0x1p-25f};
    uint64_t *rng = lab_rng(lab);
    for (uint64_t b = 0; b < n / 32 && values != NULL; b++, values += 32) {
        uint32_t kind = (uint32_t)(hash_next(rng) % 6), at = (uint32_t)(hash_next(rng) % 32);
        float unit = ldexpf(1.0f, (int)(hash_next(rng) % 60) - 40);
        for (uint32_t i = 0; i < 32; i++) {
            float whole = (float)(int)(hash_next(rng) % 255) - 127.0f;
            if (kind == 0) { /* any exponent */
                values[i] *= unit;
            } else if (kind == 1) { /* halves between two quants of either format */
                values[i] = (i % 2 == 0 ? whole / 2 : (float)((int)whole / 16) + 0.5f) * unit;
            } else if (kind == 2) { /* one magnitude */
                values[i] = (hash_next(rng) & 1u) != 0 ? unit : -unit;
            }
        }
        if (kind == 1) {
            values[at] = (hash_next(rng) & 1u) != 0 ? 127 * unit : -8 * unit;
        } else if (kind > 2) { /* a corner among ordinary values */
            values[at] = FIRST[hash_next(rng) % (sizeof FIRST / sizeof *FIRST)];
        }
    }
}

void lab_kv_corners(struct lab *lab, uint32_t id, enum plan_elem elem)
{
    const struct plan_tensor *tensor = plan_get_tensor(lab_plan(lab), id);
    if (plan_elem_block(elem) > 1) {
        set_blocks(lab, lab_values(lab, id), tensor->rows * tensor->cols);
    } else {
        set_values(lab, lab_values(lab, id), tensor->rows * tensor->cols);
    }
}

void lab_kv_expect(struct lab *lab, uint32_t cache, uint32_t from,
                   const struct op_kv_append_attr *attr)
{
    struct lab_expect out = lab_expect(lab, cache);
    const float *rows = lab_values(lab, from);
    const uint32_t *slot = lab_step_array(lab, STEP_SLOT);
    if (out.value == NULL || rows == NULL || slot == NULL) {
        return;
    }
    size_t heads = attr->kv_heads, dims = attr->head_dim, slots = attr->slots;
    const struct plan_tensor *tensor = plan_get_tensor(lab_plan(lab), cache);
    float head[OP_MAX_HEAD_DIM];
    for (size_t t = 0; t < plan_get_tensor(lab_plan(lab), from)->rows; t++) {
        for (size_t h = 0; h < heads && slot[t] < slots; h++) {
            for (size_t d = 0; d < dims; d++) {
                head[d] = rows[(t * heads + h) * dims + d];
            }
            lab_kv_round(tensor->elem, head, dims);
            for (size_t d = 0; d < dims; d++) {
                out.value[(h * slots + slot[t]) * dims + d] = (double)head[d];
            }
        }
    }
}

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS), heads = lab_dim(lab, KV_HEADS);
    uint32_t dims = lab_dim(lab, HEAD_DIM), n_seq = lab_dim(lab, SEQUENCES);
    uint32_t mode = lab_dim(lab, MODE), blocks = tokens / STEP_BLOCK + 2;
    uint32_t slots = n_seq * blocks * STEP_BLOCK;
    enum plan_elem k_elem = lab_kv_elem(lab), v_elem = k_elem;
    if ((mode & (MIXED | CROSS)) != 0) {
        v_elem = lab_kv_other(lab, (mode & CROSS) != 0);
    }
    lab_tokens(lab, tokens, 0);
    uint32_t k = lab_act(lab, "k", tokens, (uint64_t)heads * dims, -4.0f, 4.0f);
    uint32_t v = lab_act(lab, "v", tokens, (uint64_t)heads * dims, -4.0f, 4.0f);
    uint32_t k_cache = lab_kv(lab, "k_cache", k_elem, false, heads, slots, dims, -1.0f, 1.0f);
    uint32_t v_cache = lab_kv(lab, "v_cache", v_elem, true, heads, slots, dims, -1.0f, 1.0f);
    uint32_t step = lab_step(lab, n_seq, blocks);
    if ((mode & LOCAL) != 0) {
        lab_step_local(lab);
    }
    uint32_t *seq = lab_step_array(lab, STEP_SEQ), *slot = lab_step_array(lab, STEP_SLOT);
    if (seq == NULL || slot == NULL) {
        return false;
    }
    if ((mode & CORNERS) != 0) {
        lab_kv_corners(lab, k, k_elem);
        lab_kv_corners(lab, v, v_elem);
    }
    if ((mode & GRID) != 0 && plan_elem_block(k_elem) == 1) { /* both caches are of one type */
        set_grid(lab_values(lab, k), (uint64_t)tokens * heads * dims);
        set_grid(lab_values(lab, v), (uint64_t)tokens * heads * dims);
    }
    for (uint32_t t = 0; t < tokens; t++) {
        seq[t] = t % n_seq;
        slot[t] = lab_step_slot(lab, seq[t], t / n_seq + STEP_BLOCK - 2);
    }
    if ((mode & NO_SLOT) != 0) {
        slot[0] = slots;
    }
    const struct op_kv_append_attr attr = {
        .kv_heads = heads, .head_dim = dims, .slots = slots, .group = (mode & LOCAL) != 0 ? 1 : 0};
    op_kv_append(lab_plan(lab), k, v, k_cache, v_cache, step, &attr);
    lab_kv_expect(lab, k_cache, k, &attr);
    lab_kv_expect(lab, v_cache, v, &attr);
    return !lab_plan(lab)->failed;
}

static bool kv_fits(const uint32_t *dims, enum plan_elem elem)
{
    return dims[HEAD_DIM] % plan_elem_block(elem) == 0;
}

const struct lab_op lab_op_kv_append = {
    .name = "kv_append",
    .dims = {"tokens", "kv_heads", "head_dim", "sequences", "mode"},
    .shapes = SHAPES,
    .n_shapes = sizeof SHAPES / sizeof *SHAPES,
    .vary = LAB_BY_KV,
    .kv_fits = kv_fits,
    .make = make,
};
