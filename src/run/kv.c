/* Per group a stack of free blocks and one table row per sequence. Blocks that left the window stay
 * with their sequence until somebody needs one, so that a short truncation can be undone. */
#include "run/kv.h"

#include "base/mem.h"
#include "shaders/common/step.h"

#include <string.h>

static bool group_init(struct kv_group *group, uint32_t n_blocks, uint32_t window, uint32_t n_seq,
                       uint32_t row)
{
    uint64_t cells;
    if (!size_mul(row, n_seq, &cells) || cells > SIZE_MAX / sizeof(uint32_t)) {
        return false;
    }
    group->free_list = mem_alloc(n_blocks, sizeof(uint32_t));
    group->table = mem_alloc((size_t)cells, sizeof(uint32_t));
    group->first = mem_alloc(n_seq, sizeof(uint32_t));
    if (group->free_list == NULL || group->table == NULL || group->first == NULL) {
        return false;
    }
    group->window = window;
    group->n_blocks = n_blocks;
    group->n_free = n_blocks;
    for (uint32_t i = 0; i < n_blocks; i++) {
        group->free_list[i] = n_blocks - 1 - i;
    }
    return true;
}

bool kv_init(struct kv *kv, const struct kv_params *params)
{
    memset(kv, 0, sizeof *kv);
    kv->n_seq = params->n_seq;
    kv->row = (uint32_t)size_div_up(params->n_ctx, STEP_BLOCK);
    kv->n_ctx = params->n_ctx;
    kv->length = mem_alloc(params->n_seq, sizeof(uint32_t));
    kv->settled = mem_alloc(params->n_seq, sizeof(uint32_t));
    bool ok = kv->length != NULL && kv->settled != NULL;
    for (uint32_t g = 0; g < KV_GROUPS && ok; g++) {
        ok = params->n_blocks[g] == 0 ||
             group_init(&kv->group[g], params->n_blocks[g], g == KV_LOCAL ? params->window : 0,
                        params->n_seq, kv->row);
    }
    if (!ok) {
        kv_finish(kv);
    }
    return ok;
}

void kv_finish(struct kv *kv)
{
    for (uint32_t g = 0; g < KV_GROUPS; g++) {
        mem_free(kv->group[g].free_list);
        mem_free(kv->group[g].table);
        mem_free(kv->group[g].first);
    }
    mem_free(kv->length);
    mem_free(kv->settled);
    memset(kv, 0, sizeof *kv);
}

/* A sequence with f tokens that are not settled needs window - 1 + f entries in a row, which touch
 * at most (window - 1 + f) / STEP_BLOCK + 2 blocks. */
uint64_t kv_local_blocks(uint32_t window, uint32_t n_seq, uint64_t in_flight)
{
    uint64_t one = size_div_up(window, STEP_BLOCK) + 2;
    return n_seq * one + size_div_up(in_flight, STEP_BLOCK);
}

void kv_settle(struct kv *kv, uint32_t seq, uint32_t entry)
{
    if (entry > kv->settled[seq]) {
        kv->settled[seq] = entry < kv->length[seq] ? entry : kv->length[seq];
    }
}

/* The first entry that the token at `entry` sees. */
static uint32_t first_seen(const struct kv_group *group, uint32_t entry)
{
    return group->window != 0 && entry >= group->window ? entry - group->window + 1 : 0;
}

/* Blocks of the sequence that no token to come will see. */
static uint32_t count_left(const struct kv *kv, const struct kv_group *group, uint32_t seq)
{
    uint32_t keep = first_seen(group, kv->settled[seq]) / STEP_BLOCK;
    return keep > group->first[seq] ? keep - group->first[seq] : 0;
}

/* A block that is not in use, or one that left its sequence's window, of any sequence. */
static bool take_block(const struct kv *kv, struct kv_group *group, uint32_t seq, uint32_t *block)
{
    for (uint32_t i = 0; i < kv->n_seq && group->n_free == 0; i++) {
        uint32_t s = (seq + i) % kv->n_seq;
        if (count_left(kv, group, s) != 0) {
            group->free_list[group->n_free++] =
                group->table[(size_t)s * kv->row + group->first[s]++];
        }
    }
    if (group->n_free == 0) {
        return false;
    }
    *block = group->free_list[--group->n_free];
    return true;
}

bool kv_append(struct kv *kv, uint32_t seq, uint32_t slot[KV_GROUPS])
{
    uint32_t entry = kv->length[seq], block[KV_GROUPS] = {0};
    if (entry >= kv->n_ctx) {
        return false;
    }
    for (uint32_t g = 0; g < KV_GROUPS && entry % STEP_BLOCK == 0; g++) {
        struct kv_group *group = &kv->group[g];
        if (group->n_blocks != 0 && !take_block(kv, group, seq, &block[g])) {
            if (g != 0 && kv->group[0].n_blocks != 0) {
                kv->group[0].free_list[kv->group[0].n_free++] = block[0];
            }
            return false;
        }
    }
    for (uint32_t g = 0; g < KV_GROUPS; g++) {
        struct kv_group *group = &kv->group[g];
        slot[g] = 0;
        if (group->n_blocks != 0) {
            uint32_t *cell = &group->table[(size_t)seq * kv->row + entry / STEP_BLOCK];
            *cell = entry % STEP_BLOCK == 0 ? block[g] : *cell;
            slot[g] = *cell * STEP_BLOCK + entry % STEP_BLOCK;
        }
    }
    kv->length[seq]++;
    return true;
}

uint32_t kv_group_room(const struct kv *kv, uint32_t g, uint32_t seq)
{
    const struct kv_group *group = &kv->group[g];
    uint32_t length = kv->length[seq], room = kv->n_ctx - length;
    if (group->n_blocks == 0) {
        return room;
    }
    uint64_t blocks = group->n_free;
    for (uint32_t s = 0; s < kv->n_seq; s++) {
        blocks += count_left(kv, group, s);
    }
    uint64_t entries = blocks * STEP_BLOCK + (STEP_BLOCK - length % STEP_BLOCK) % STEP_BLOCK;
    return entries < room ? (uint32_t)entries : room;
}

uint32_t kv_room(const struct kv *kv, uint32_t seq)
{
    uint32_t global = kv_group_room(kv, KV_GLOBAL, seq), local = kv_group_room(kv, KV_LOCAL, seq);
    return global < local ? global : local;
}

uint32_t kv_truncate(struct kv *kv, uint32_t seq, uint32_t length)
{
    if (length >= kv->length[seq]) {
        return kv->length[seq];
    }
    const struct kv_group *local = &kv->group[KV_LOCAL];
    if (local->n_blocks != 0 && first_seen(local, length) < local->first[seq] * STEP_BLOCK) {
        length = 0;
    }
    uint32_t have = (uint32_t)size_div_up(kv->length[seq], STEP_BLOCK);
    for (uint32_t g = 0; g < KV_GROUPS; g++) {
        struct kv_group *group = &kv->group[g];
        if (group->n_blocks == 0) {
            continue;
        }
        uint32_t keep = (uint32_t)size_div_up(length, STEP_BLOCK);
        keep = keep > group->first[seq] ? keep : group->first[seq];
        for (uint32_t b = have; b > keep; b--) {
            group->free_list[group->n_free++] = group->table[(size_t)seq * kv->row + b - 1];
        }
        group->first[seq] = length == 0 ? 0 : group->first[seq];
    }
    kv->length[seq] = length;
    kv->settled[seq] = length;
    return length;
}
