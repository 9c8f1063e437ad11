/* Oracle and shapes of kv_copy: exact. Sources and destinations are drawn from all slots of the
 * caches, a source perhaps several times. */
#include "lab/internal.h"

#include "base/hash.h"
#include "ops/ops.h"
#include "shaders/common/step.h"

enum { PAIRS, KV_HEADS, HEAD_DIM, BLOCKS, MODE };
enum {
    MIXED = 1,   /* V cache of the other element type */
    NO_SLOT = 2, /* pairs with a slot that the caches do not have */
    SPARE = 4,   /* more room for pairs than there are */
    LOCAL = 8,   /* the caches are those of local layers */
    CROSS = 64,  /* V cache of a type of the other kind: quantized or not */
};

static const uint32_t SHAPES[][LAB_DIMS] = {
    {1, 4, 32, 1, 0},
    {1, 1, 2, 1, MIXED},
    {7, 2, 64, 1, SPARE},
    {31, 2, 80, 3, MIXED},
    {5, 3, 96, 2, NO_SLOT},
    {40, 1, 100, 3, MIXED | SPARE},
    {33, 4, 128, 4, NO_SLOT | SPARE},
    {0, 2, 64, 1, SPARE},
    {20, 2, 256, 2, MIXED},
    {64, 4, 32, 4, 0},
    {300, 2, 32, 20, SPARE},
    {30, 2, 96, 2, CROSS},
    {9, 3, 128, 1, CROSS | SPARE},
    {13, 2, 32, 1, LOCAL},
    {37, 1, 64, 3, LOCAL | NO_SLOT | SPARE},
};

static void expect(struct lab *lab, uint32_t cache, uint32_t pairs, uint32_t cap, uint32_t slots)
{
    struct lab_expect out = lab_expect(lab, cache);
    const uint32_t *from = lab_step_copies(lab, pairs);
    if (out.value == NULL || from == NULL) {
        return;
    }
    const float *values = lab_values(lab, cache);
    size_t heads = lab_dim(lab, KV_HEADS), dims = lab_dim(lab, HEAD_DIM);
    for (size_t i = 0; i < pairs; i++) {
        size_t source = from[i], target = from[cap + i];
        for (size_t h = 0; h < heads && source < slots && target < slots; h++) {
            for (size_t d = 0; d < dims; d++) {
                out.value[(h * slots + target) * dims + d] =
                    (double)values[(h * slots + source) * dims + d];
            }
        }
    }
}

static void draw(struct lab *lab, uint32_t *from, uint32_t cap, uint32_t pairs, uint32_t slots)
{
    uint32_t *order = arena_alloc(&lab->arena, slots, sizeof *order);
    if (order == NULL) {
        lab->plan.failed = true;
        return;
    }
    for (uint32_t i = 0; i < slots; i++) {
        uint32_t at = (uint32_t)(hash_next(lab_rng(lab)) % (i + 1));
        order[i] = order[at];
        order[at] = i;
    }
    for (uint32_t i = 0; i < pairs; i++) { /* the last slots of the order are written */
        from[i] = order[hash_next(lab_rng(lab)) % (slots - pairs)];
        from[cap + i] = order[slots - 1 - i];
    }
    if ((lab_dim(lab, MODE) & NO_SLOT) != 0) {
        from[0] = slots;
        from[cap + pairs / 2] = UINT32_MAX;
    }
}

static bool make(struct lab *lab)
{
    uint32_t pairs = lab_dim(lab, PAIRS), heads = lab_dim(lab, KV_HEADS);
    uint32_t dims = lab_dim(lab, HEAD_DIM), mode = lab_dim(lab, MODE);
    uint32_t slots = 2 * lab_dim(lab, BLOCKS) * STEP_BLOCK;
    uint32_t cap = pairs + ((mode & SPARE) != 0 ? 17 : 0);
    enum plan_elem k_elem = lab_kv_elem(lab), v_elem = k_elem;
    if ((mode & (MIXED | CROSS)) != 0) {
        v_elem = lab_kv_other(lab, (mode & CROSS) != 0);
    }
    lab_tokens(lab, 3, 0);
    uint32_t k_cache = lab_kv(lab, "k_cache", k_elem, false, heads, slots, dims, -1.0f, 1.0f);
    uint32_t v_cache = lab_kv(lab, "v_cache", v_elem, true, heads, slots, dims, -1.0f, 1.0f);
    uint32_t step = lab_step_with_copies(lab, 1, 2 * lab_dim(lab, BLOCKS), cap);
    if ((mode & LOCAL) != 0) {
        lab_step_local(lab);
    }
    uint32_t *from = lab_step_copies(lab, pairs);
    if (from == NULL) {
        return false;
    }
    draw(lab, from, cap, pairs, slots);
    op_kv_copy(lab_plan(lab), k_cache, v_cache, step,
               &(struct op_kv_copy_attr){.kv_heads = heads,
                                         .head_dim = dims,
                                         .slots = slots,
                                         .group = (mode & LOCAL) != 0 ? 1 : 0,
                                         .copies = cap});
    expect(lab, k_cache, pairs, cap, slots);
    expect(lab, v_cache, pairs, cap, slots);
    return !lab_plan(lab)->failed;
}

static bool kv_fits(const uint32_t *dims, enum plan_elem elem)
{
    return dims[HEAD_DIM] % plan_elem_block(elem) == 0;
}

const struct lab_op lab_op_kv_copy = {
    .name = "kv_copy",
    .dims = {"pairs", "kv_heads", "head_dim", "blocks", "mode"},
    .shapes = SHAPES,
    .n_shapes = sizeof SHAPES / sizeof *SHAPES,
    .vary = LAB_BY_KV,
    .kv_fits = kv_fits,
    .make = make,
};
