/* Oracle and shapes of expert_lists: exact. */
#include "base/hash.h"
#include "lab/lab.h"
#include "ops/ops.h"

enum { TOKENS, USED, EXPERTS };

static const uint32_t shapes[][LAB_DIMS] = {
    {2, 2, 8},    {1, 1, 1},   {3, 1, 4},     {32, 2, 8},   {33, 2, 3},   {64, 1, 16},
    {65, 3, 128}, {512, 2, 8}, {512, 8, 128}, {7, 10, 512}, {1000, 4, 5}, {9, 1, 2},
};

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS), used = lab_dim(lab, USED), n = 0;
    uint32_t experts = lab_dim(lab, EXPERTS), pairs = tokens * used;
    lab_tokens(lab, tokens, 0);
    uint32_t ids_id = lab_ids_in(lab, pairs);
    if (lab_plan(lab)->failed) {
        return false;
    }
    lab_plan(lab)->tensors[ids_id].rows = tokens;
    lab_plan(lab)->tensors[ids_id].cols = used;
    uint32_t lists = op_expert_lists(lab_plan(lab), ids_id, experts);
    struct lab_expect e = lab_expect(lab, lists);
    uint32_t *ids = lab_words(lab, ids_id);
    if (e.value == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < pairs; i++) { /* few to the last ones, none to some */
        uint64_t r = hash_next(lab_rng(lab));
        ids[i] = (uint32_t)(i % 7 == 0 ? 0 : r % experts * (r >> 32 & 1));
    }
    ids[pairs - 1] = experts - 1;
    for (uint32_t x = 0; x < experts; x++) {
        e.value[x] = n;
        for (uint32_t i = 0; i < pairs; i++) {
            if (ids[i] == x) {
                e.value[experts + 1 + n++] = i;
            }
        }
    }
    e.value[experts] = n;
    return n == pairs;
}

const struct lab_op lab_op_expert_lists = {
    .name = "expert_lists",
    .dims = {"tokens", "used", "experts"},
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .make = make,
};
