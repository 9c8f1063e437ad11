/* A stack of free blocks and one table row per sequence. */
#include "run/kv.h"

#include "base/mem.h"
#include "shaders/common/step.h"

#include <string.h>

bool kv_init(struct kv *kv, uint32_t n_blocks, uint32_t n_seq)
{
    memset(kv, 0, sizeof *kv);
    uint64_t cells;
    if (!size_mul(n_blocks, n_seq, &cells) || cells > SIZE_MAX / sizeof(uint32_t)) {
        return false;
    }
    kv->free_list = mem_alloc(n_blocks, sizeof(uint32_t));
    kv->table = mem_alloc((size_t)cells, sizeof(uint32_t));
    kv->length = mem_alloc(n_seq, sizeof(uint32_t));
    if (kv->free_list == NULL || kv->table == NULL || kv->length == NULL) {
        kv_finish(kv);
        return false;
    }
    kv->n_blocks = n_blocks;
    kv->n_seq = n_seq;
    kv->n_free = n_blocks;
    for (uint32_t i = 0; i < n_blocks; i++) {
        kv->free_list[i] = n_blocks - 1 - i;
    }
    return true;
}

void kv_finish(struct kv *kv)
{
    mem_free(kv->free_list);
    mem_free(kv->table);
    mem_free(kv->length);
    memset(kv, 0, sizeof *kv);
}

bool kv_append(struct kv *kv, uint32_t seq, uint32_t *slot)
{
    uint32_t entry = kv->length[seq];
    uint32_t *row = kv->table + (size_t)seq * kv->n_blocks;
    if (entry % STEP_BLOCK == 0) {
        if (kv->n_free == 0) {
            return false;
        }
        row[entry / STEP_BLOCK] = kv->free_list[--kv->n_free];
    }
    *slot = row[entry / STEP_BLOCK] * STEP_BLOCK + entry % STEP_BLOCK;
    kv->length[seq]++;
    return true;
}

uint32_t kv_room(const struct kv *kv, uint32_t seq)
{
    uint32_t tail = kv->length[seq] % STEP_BLOCK;
    return kv->n_free * STEP_BLOCK + (tail != 0 ? STEP_BLOCK - tail : 0);
}

void kv_truncate(struct kv *kv, uint32_t seq, uint32_t length)
{
    if (length >= kv->length[seq]) {
        return;
    }
    uint32_t *row = kv->table + (size_t)seq * kv->n_blocks;
    uint32_t have = (uint32_t)size_div_up(kv->length[seq], STEP_BLOCK);
    uint32_t keep = (uint32_t)size_div_up(length, STEP_BLOCK);
    while (have > keep) {
        kv->free_list[kv->n_free++] = row[--have];
    }
    kv->length[seq] = length;
}
