/* Blocks of the KV caches and the sequences they belong to. Host-side bookkeeping only. A sequence
 * is a length and, in each group of layers, a list of blocks of STEP_BLOCK slots: group 0 are the
 * global layers, whose caches hold every entry; group 1 the local ones, whose caches need hold only
 * what the window of a token still to come reaches. A group has `n_blocks` physical blocks in every
 * one of its layers; 0: the model has no such layers.
 *
 * Tokens that are appended are computed later, several steps at once. kv_settle says how far a
 * sequence has been computed: blocks of local layers are used again once they have left the window
 * of every token behind that point, and not before the room is needed.
 *
 * Sequences may share blocks (kv_fork), each of which counts who has it. Who appends to a block
 * that others have too gets a block of its own, and the entries before are noted as pairs of slots
 * to copy: once, after all tokens that were appended so far have their K and V in the caches, and
 * before anybody reads them. Until kv_copied no slot of a pair is given to anybody else, and no
 * pair's source is another one's destination: pairs can be copied in any order.
 * Thread rule: one thread at a time. */
#ifndef QUADRIGA_RUN_KV_H
#define QUADRIGA_RUN_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KV_GLOBAL, KV_LOCAL, KV_GROUPS };

struct kv_group {
    uint32_t window; /* a token sees itself and window - 1 before it; 0: all before it */
    uint32_t n_blocks, n_free;
    uint32_t *free_list; /* [n_blocks], a stack */
    uint32_t *refs;      /* [n_blocks] sequences that have it */
    uint32_t *table;     /* [n_seq][row] physical block of each logical block */
    uint32_t *first;     /* [n_seq] the first logical block that the sequence still has */
    /* pairs not copied yet */
    uint32_t n_copies;
    uint32_t *copy_from, *copy_to; /* slots */
    uint32_t *fixed;   /* [n_blocks] slots at its begin that pairs read or write; 0: none does */
    uint32_t *filled;  /* [n_blocks] the pair that fills its first slot; UINT32_MAX: none does */
    uint32_t *leaving; /* [n_blocks] scratch, zero between calls */
};

struct kv {
    uint32_t n_seq, n_ctx;
    uint32_t row;      /* logical blocks that a sequence can have: n_ctx, rounded up */
    uint32_t *length;  /* [n_seq] entries */
    uint32_t *settled; /* [n_seq] entries below are computed */
    struct kv_group group[KV_GROUPS];
    uint32_t *words, *saved; /* [n_words] all that changes but pairs; the same at kv_save */
    size_t n_words;
    uint32_t saved_free[KV_GROUPS];
    uint32_t most_copies; /* room for pairs, of each group */
};

struct kv_params {
    uint32_t n_seq, n_ctx; /* entries of a sequence are at most n_ctx */
    uint32_t n_blocks[KV_GROUPS];
    uint32_t window;      /* of local layers; above 0 where there are some */
    uint32_t most_copies; /* pairs of each group between two calls of kv_copied; may be 0 where
                             n_seq is 1 */
};

bool kv_init(struct kv *kv, const struct kv_params *params); /* false: out of memory */
void kv_finish(struct kv *kv);
/* Blocks that the local group needs so that n_seq sequences with `in_flight` tokens between them
 * that are not settled never run out. */
uint64_t kv_local_blocks(uint32_t window, uint32_t n_seq, uint64_t in_flight);
/* Every token of the sequence below entry `entry` has been computed. Never goes back. */
void kv_settle(struct kv *kv, uint32_t seq, uint32_t entry);
/* Adds one entry to the sequence; its slot in each group (0 in one without layers). False, with
 * nothing changed, when no block is free, the sequence is n_ctx long or there is no room for the
 * pairs it needs. */
bool kv_append(struct kv *kv, uint32_t seq, uint32_t slot[KV_GROUPS]);
/* Entries that can still be added to the sequence without settling more; and as far as one group is
 * concerned. */
uint32_t kv_room(const struct kv *kv, uint32_t seq);
uint32_t kv_group_room(const struct kv *kv, uint32_t g, uint32_t seq);
/* Forgets the entries from `length` on, gives their blocks back. Local layers may lack entries that
 * the next token would then see: in that case the sequence is emptied. Returns its new length. All
 * that is left must have been computed; nothing that is forgotten may be in flight. */
uint32_t kv_truncate(struct kv *kv, uint32_t seq, uint32_t length);
/* Makes `to` (another sequence) the first `length` entries of `from`, which has as many; what it
 * had is forgotten. No block is needed. False, with nothing changed: local layers lack an entry
 * that the next token would see. */
bool kv_fork(struct kv *kv, uint32_t from, uint32_t to, uint32_t length);
/* Forgets the pairs: they have been copied, or will be before anything that is planned from here.
 */
void kv_copied(struct kv *kv);
/* Keeps the state, without pairs not copied; goes back to it, any number of times. */
void kv_save(struct kv *kv);
void kv_restore(struct kv *kv);
uint32_t kv_saved_length(const struct kv *kv, uint32_t seq); /* at kv_save */

#endif
