/* Blocks of the KV caches and the sequences they belong to. Host-side bookkeeping only. A sequence
 * is a length and, in each group of layers, a list of blocks of STEP_BLOCK slots: group 0 are the
 * global layers, whose caches hold every entry; group 1 the local ones, whose caches need hold only
 * what the window of a token still to come reaches. A group has `n_blocks` physical blocks in every
 * one of its layers; 0: the model has no such layers.
 *
 * Tokens that are appended are computed later, several steps at once. kv_settle says how far a
 * sequence has been computed: blocks of local layers are used again once they have left the window
 * of every token behind that point, and not before the room is needed.
 * Thread rule: one thread at a time. */
#ifndef QUADRIGA_RUN_KV_H
#define QUADRIGA_RUN_KV_H

#include <stdbool.h>
#include <stdint.h>

enum { KV_GLOBAL, KV_LOCAL, KV_GROUPS };

struct kv_group {
    uint32_t window; /* a token sees itself and window - 1 before it; 0: all before it */
    uint32_t n_blocks, n_free;
    uint32_t *free_list; /* [n_blocks], a stack */
    uint32_t *table;     /* [n_seq][row] physical block of each logical block */
    uint32_t *first;     /* [n_seq] the first logical block that the sequence still has */
};

struct kv {
    uint32_t n_seq, n_ctx;
    uint32_t row;      /* logical blocks that a sequence can have: n_ctx, rounded up */
    uint32_t *length;  /* [n_seq] entries */
    uint32_t *settled; /* [n_seq] entries below are computed */
    struct kv_group group[KV_GROUPS];
};

struct kv_params {
    uint32_t n_seq, n_ctx; /* entries of a sequence are at most n_ctx */
    uint32_t n_blocks[KV_GROUPS];
    uint32_t window; /* of local layers; above 0 where there are some */
};

bool kv_init(struct kv *kv, const struct kv_params *params); /* false: out of memory */
void kv_finish(struct kv *kv);
/* Blocks that the local group needs so that n_seq sequences with `in_flight` tokens between them
 * that are not settled never run out. */
uint64_t kv_local_blocks(uint32_t window, uint32_t n_seq, uint64_t in_flight);
/* Every token of the sequence below entry `entry` has been computed. Never goes back. */
void kv_settle(struct kv *kv, uint32_t seq, uint32_t entry);
/* Adds one entry to the sequence; its slot in each group (0 in one without layers). False, with
 * nothing changed, when no block is free or the sequence is n_ctx long. */
bool kv_append(struct kv *kv, uint32_t seq, uint32_t slot[KV_GROUPS]);
/* Entries that can still be added to the sequence without settling more; and as far as one group is
 * concerned. */
uint32_t kv_room(const struct kv *kv, uint32_t seq);
uint32_t kv_group_room(const struct kv *kv, uint32_t g, uint32_t seq);
/* Forgets the entries from `length` on, gives their blocks back. Local layers may lack entries that
 * the next token would then see: in that case the sequence is emptied. Returns its new length. All
 * that is left must have been computed; nothing that is forgotten may be in flight. */
uint32_t kv_truncate(struct kv *kv, uint32_t seq, uint32_t length);

#endif
