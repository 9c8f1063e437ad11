/* Pair of tokens -> merge: open addressing. The hash has a key of its own in every process, so that
 * a file cannot choose pairs that collide. The key never influences what is found. */
#include "text/internal.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"

bool text_pairs_init(struct text_pairs *pairs, uint32_t count)
{
    uint64_t size = 16;
    while (size < 2 * (uint64_t)count) {
        size *= 2;
    }
    pairs->slots = mem_alloc((size_t)size, sizeof *pairs->slots);
    if (pairs->slots == NULL) {
        return false;
    }
    for (uint64_t i = 0; i < size; i++) {
        pairs->slots[i].join = TEXT_NO_TOKEN;
    }
    pairs->mask = size - 1;
    uint64_t state = os_clock_ns() ^ (uint64_t)(uintptr_t)pairs->slots << 16;
    pairs->seed[0] = hash_next(&state);
    pairs->seed[1] = hash_next(&state) | 1;
    return true;
}

void text_pairs_finish(struct text_pairs *pairs)
{
    mem_free(pairs->slots);
    *pairs = (struct text_pairs){0};
}

static uint64_t probe(const struct text_pairs *pairs, uint64_t key)
{
    uint64_t hash = (key ^ pairs->seed[0]) * pairs->seed[1];
    hash = (hash ^ hash >> 32) * pairs->seed[1];
    uint64_t i = (hash >> 32) & pairs->mask;
    while (pairs->slots[i].join != TEXT_NO_TOKEN && pairs->slots[i].key != key) {
        i = (i + 1) & pairs->mask;
    }
    return i;
}

bool text_pairs_add(struct text_pairs *pairs, const struct text_pair *pair, uint32_t *old)
{
    struct text_pair *slot = &pairs->slots[probe(pairs, pair->key)];
    if (slot->join != TEXT_NO_TOKEN) {
        *old = slot->rank;
        return false;
    }
    *slot = *pair;
    return true;
}

const struct text_pair *text_pairs_find(const struct text_pairs *pairs, uint32_t left,
                                        uint32_t right)
{
    const struct text_pair *slot = &pairs->slots[probe(pairs, (uint64_t)left << 32 | right)];
    return slot->join != TEXT_NO_TOKEN ? slot : NULL;
}
