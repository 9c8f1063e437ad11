/* Blocks of the KV cache and the sequences they belong to. Host-side bookkeeping only: a cache has
 * `n_blocks` physical blocks of STEP_BLOCK slots; a sequence is a list of blocks and a length.
 * Thread rule: one thread at a time. */
#ifndef QUADRIGA_RUN_KV_H
#define QUADRIGA_RUN_KV_H

#include <stdbool.h>
#include <stdint.h>

struct kv {
    uint32_t n_blocks, n_seq;
    uint32_t n_free;
    uint32_t *free_list; /* [n_blocks], a stack */
    uint32_t *table;     /* [n_seq][n_blocks] physical block of each logical block */
    uint32_t *length;    /* [n_seq] entries */
};

bool kv_init(struct kv *kv, uint32_t n_blocks, uint32_t n_seq); /* false: out of memory */
void kv_finish(struct kv *kv);
/* Adds one entry to the sequence; its slot. False when no block is free. */
bool kv_append(struct kv *kv, uint32_t seq, uint32_t *slot);
/* Entries that can still be added to the sequence. */
uint32_t kv_room(const struct kv *kv, uint32_t seq);
/* Forgets the entries from `length` on, gives their blocks back. */
void kv_truncate(struct kv *kv, uint32_t seq, uint32_t length);

#endif
