/* Per group a stack of free blocks and one table row per sequence. Blocks that left the window stay
 * with their sequence until somebody needs one, so that a short truncation can be undone. */
#include "run/kv.h"

#include "base/mem.h"
#include "shaders/common/step.h"

#include <string.h>

/* Words of one group that kv_save keeps. */
static bool count_group(const struct kv_params *params, uint32_t g, uint32_t row, size_t *words)
{
    uint64_t cells, sum;
    if (params->n_blocks[g] == 0) {
        return true;
    }
    if (!size_mul((uint64_t)row + 1, params->n_seq, &cells) ||
        !size_add(cells, 2 * (uint64_t)params->n_blocks[g], &sum) || !size_add(sum, *words, &sum) ||
        sum > SIZE_MAX / sizeof(uint32_t)) {
        return false;
    }
    *words = (size_t)sum;
    return true;
}

static uint32_t *take_words(uint32_t **at, size_t n)
{
    uint32_t *mine = *at;
    *at += n;
    return mine;
}

static bool group_init(struct kv *kv, const struct kv_params *params, uint32_t g, uint32_t **at)
{
    struct kv_group *group = &kv->group[g];
    uint32_t n = params->n_blocks[g];
    group->copy_from = mem_alloc((size_t)params->most_copies + 1, sizeof(uint32_t));
    group->copy_to = mem_alloc((size_t)params->most_copies + 1, sizeof(uint32_t));
    group->fixed = mem_alloc(n, sizeof(uint32_t));
    group->filled = mem_alloc(n, sizeof(uint32_t));
    group->leaving = mem_alloc(n, sizeof(uint32_t));
    if (group->copy_from == NULL || group->copy_to == NULL || group->fixed == NULL ||
        group->filled == NULL || group->leaving == NULL) {
        return false;
    }
    group->free_list = take_words(at, n);
    group->refs = take_words(at, n);
    group->table = take_words(at, (size_t)kv->row * kv->n_seq);
    group->first = take_words(at, kv->n_seq);
    group->window = g == KV_LOCAL ? params->window : 0;
    group->n_blocks = n;
    group->n_free = n;
    for (uint32_t i = 0; i < n; i++) {
        group->free_list[i] = n - 1 - i;
        group->filled[i] = UINT32_MAX;
    }
    return true;
}

bool kv_init(struct kv *kv, const struct kv_params *params)
{
    memset(kv, 0, sizeof *kv);
    kv->n_seq = params->n_seq;
    kv->row = (uint32_t)size_div_up(params->n_ctx, STEP_BLOCK);
    kv->n_ctx = params->n_ctx;
    kv->most_copies = params->most_copies;
    kv->n_words = 2 * (size_t)params->n_seq;
    bool ok = count_group(params, KV_GLOBAL, kv->row, &kv->n_words) &&
              count_group(params, KV_LOCAL, kv->row, &kv->n_words);
    kv->words = ok ? mem_alloc(kv->n_words, sizeof(uint32_t)) : NULL;
    kv->saved = ok ? mem_alloc(kv->n_words, sizeof(uint32_t)) : NULL;
    ok = kv->words != NULL && kv->saved != NULL;
    uint32_t *at = kv->words;
    if (ok) {
        kv->length = take_words(&at, kv->n_seq);
        kv->settled = take_words(&at, kv->n_seq);
    }
    for (uint32_t g = 0; g < KV_GROUPS && ok; g++) {
        ok = params->n_blocks[g] == 0 || group_init(kv, params, g, &at);
    }
    if (!ok) {
        kv_finish(kv);
        return false;
    }
    kv_save(kv);
    return true;
}

void kv_finish(struct kv *kv)
{
    for (uint32_t g = 0; g < KV_GROUPS; g++) {
        struct kv_group *group = &kv->group[g];
        mem_free(group->copy_from);
        mem_free(group->copy_to);
        mem_free(group->fixed);
        mem_free(group->filled);
        mem_free(group->leaving);
    }
    mem_free(kv->words);
    mem_free(kv->saved);
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

static uint32_t *row_of(const struct kv *kv, const struct kv_group *group, uint32_t seq)
{
    return group->table + (size_t)seq * kv->row;
}

/* One sequence less has the block. */
static void release(struct kv_group *group, uint32_t block)
{
    if (--group->refs[block] == 0 && group->fixed[block] == 0) {
        group->free_list[group->n_free++] = block;
    }
}

/* Counts in group->leaving, for each block, the sequences that it has left; with `sign` 1 returns
 * how many blocks nobody else has. With -1 the counts are taken back. */
static uint32_t count_leaving(const struct kv *kv, const struct kv_group *group, int sign)
{
    uint32_t gone = 0;
    for (uint32_t s = 0; s < kv->n_seq && group->window != 0; s++) {
        const uint32_t *row = row_of(kv, group, s) + group->first[s];
        for (uint32_t i = count_left(kv, group, s); i > 0; i--) {
            uint32_t block = row[i - 1];
            group->leaving[block] += (uint32_t)sign;
            gone += group->leaving[block] == group->refs[block] && group->fixed[block] == 0;
        }
    }
    return gone;
}

/* Gives up what left the windows of sequences until a block is free, or nobody else has `block`
 * (UINT32_MAX: no such wish). False, with nothing changed: neither can be. */
static bool give_up(const struct kv *kv, struct kv_group *group, uint32_t seq, uint32_t block)
{
    bool some = count_leaving(kv, group, 1) != 0, wish = block != UINT32_MAX;
    some = some || (wish && group->refs[block] - group->leaving[block] == 1);
    count_leaving(kv, group, -1);
    for (uint32_t i = 0; i < kv->n_seq && some; i++) {
        uint32_t s = (seq + i) % kv->n_seq;
        while (group->n_free == 0 && !(wish && group->refs[block] == 1) &&
               count_left(kv, group, s) != 0) {
            release(group, row_of(kv, group, s)[group->first[s]++]);
        }
    }
    return some;
}

/* May the sequence that has this block not write its slot at `offset`? */
static bool is_shared(const struct kv_group *group, uint32_t block, uint32_t offset)
{
    return group->refs[block] > 1 || offset < group->fixed[block];
}

/* Whether the sequence's next entry needs a block; then one is free. False: there is none, or no
 * room for pairs. */
static bool prepare(const struct kv *kv, struct kv_group *group, uint32_t seq, bool *needs)
{
    uint32_t entry = kv->length[seq], offset = entry % STEP_BLOCK;
    *needs = false;
    if (group->n_blocks == 0) {
        return true;
    }
    uint32_t block = row_of(kv, group, seq)[entry / STEP_BLOCK];
    *needs = offset == 0 || is_shared(group, block, offset);
    if (!*needs) {
        return true;
    }
    if (offset != 0 && group->n_copies + offset > kv->most_copies) {
        return false;
    }
    bool wish = offset != 0 && offset >= group->fixed[block];
    if (group->n_free == 0 && !give_up(kv, group, seq, wish ? block : UINT32_MAX)) {
        return false;
    }
    *needs = offset == 0 || is_shared(group, block, offset);
    return true;
}

/* Where the pairs noted so far will copy a slot from; the slot itself where they do not. */
static uint32_t origin(const struct kv_group *group, uint32_t slot)
{
    uint32_t pair = group->filled[slot / STEP_BLOCK];
    bool copied = pair != UINT32_MAX && pair + slot % STEP_BLOCK < group->n_copies &&
                  group->copy_to[pair + slot % STEP_BLOCK] == slot;
    return copied ? group->copy_from[pair + slot % STEP_BLOCK] : slot;
}

/* Notes the pairs that fill the first n slots of a block, n at least 1. */
static void note_copies(struct kv_group *group, uint32_t from, uint32_t to, uint32_t n)
{
    group->filled[to] = group->n_copies;
    group->fixed[to] = n;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t source = origin(group, from * STEP_BLOCK + i);
        group->copy_from[group->n_copies] = source;
        group->copy_to[group->n_copies++] = to * STEP_BLOCK + i;
        uint32_t *fixed = &group->fixed[source / STEP_BLOCK];
        *fixed = *fixed > i ? *fixed : i + 1;
    }
}

static void place_entry(const struct kv *kv, struct kv_group *group, uint32_t seq, bool needs)
{
    uint32_t entry = kv->length[seq], offset = entry % STEP_BLOCK;
    uint32_t *cell = row_of(kv, group, seq) + entry / STEP_BLOCK;
    if (!needs) {
        return;
    }
    uint32_t block = group->free_list[--group->n_free], old = *cell;
    group->refs[block] = 1;
    *cell = block;
    if (offset != 0) {
        note_copies(group, old, block, offset);
        release(group, old);
    }
}

bool kv_append(struct kv *kv, uint32_t seq, uint32_t slot[KV_GROUPS])
{
    uint32_t entry = kv->length[seq];
    bool needs[KV_GROUPS];
    if (entry >= kv->n_ctx || !prepare(kv, &kv->group[KV_GLOBAL], seq, &needs[KV_GLOBAL]) ||
        !prepare(kv, &kv->group[KV_LOCAL], seq, &needs[KV_LOCAL])) {
        return false;
    }
    for (uint32_t g = 0; g < KV_GROUPS; g++) {
        struct kv_group *group = &kv->group[g];
        slot[g] = 0;
        if (group->n_blocks != 0) {
            place_entry(kv, group, seq, needs[g]);
            slot[g] = row_of(kv, group, seq)[entry / STEP_BLOCK] * STEP_BLOCK + entry % STEP_BLOCK;
        }
    }
    kv->length[seq]++;
    return true;
}

uint32_t kv_group_room(const struct kv *kv, uint32_t g, uint32_t seq)
{
    const struct kv_group *group = &kv->group[g];
    uint32_t length = kv->length[seq], room = kv->n_ctx - length, offset = length % STEP_BLOCK;
    if (group->n_blocks == 0) {
        return room;
    }
    uint64_t blocks = (uint64_t)group->n_free + count_leaving(kv, group, 1);
    uint64_t entries = blocks * STEP_BLOCK;
    if (offset != 0) {
        uint32_t block = row_of(kv, group, seq)[length / STEP_BLOCK];
        bool shared =
            is_shared(group, block, offset) &&
            (offset < group->fixed[block] || group->refs[block] - group->leaving[block] > 1);
        entries = shared && blocks == 0 ? 0 : entries + STEP_BLOCK - offset;
        entries -= shared && blocks != 0 ? STEP_BLOCK : 0;
    }
    count_leaving(kv, group, -1);
    return entries < room ? (uint32_t)entries : room;
}

uint32_t kv_room(const struct kv *kv, uint32_t seq)
{
    uint32_t global = kv_group_room(kv, KV_GLOBAL, seq), local = kv_group_room(kv, KV_LOCAL, seq);
    return global < local ? global : local;
}

/* Does the group lack an entry that a token at `length` would see? */
static bool lacks(const struct kv_group *group, uint32_t seq, uint32_t length)
{
    return group->n_blocks != 0 && length != 0 &&
           first_seen(group, length) < group->first[seq] * STEP_BLOCK;
}

uint32_t kv_truncate(struct kv *kv, uint32_t seq, uint32_t length)
{
    if (length >= kv->length[seq]) {
        return kv->length[seq];
    }
    if (lacks(&kv->group[KV_LOCAL], seq, length)) {
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
            release(group, row_of(kv, group, seq)[b - 1]);
        }
        group->first[seq] = length == 0 ? 0 : group->first[seq];
    }
    kv->length[seq] = length;
    kv->settled[seq] = length;
    return length;
}

bool kv_fork(struct kv *kv, uint32_t from, uint32_t to, uint32_t length)
{
    if (lacks(&kv->group[KV_LOCAL], from, length)) {
        return false;
    }
    kv_truncate(kv, to, 0);
    uint32_t n = (uint32_t)size_div_up(length, STEP_BLOCK);
    for (uint32_t g = 0; g < KV_GROUPS; g++) {
        struct kv_group *group = &kv->group[g];
        if (group->n_blocks == 0 || length == 0) {
            continue;
        }
        const uint32_t *mine = row_of(kv, group, from);
        group->first[to] = group->first[from];
        for (uint32_t b = group->first[from]; b < n; b++) {
            row_of(kv, group, to)[b] = mine[b];
            group->refs[mine[b]]++;
        }
    }
    kv->length[to] = length;
    kv->settled[to] = length;
    return true;
}

/* The block is in no pair any more. */
static void unfix(struct kv_group *group, uint32_t block)
{
    if (group->fixed[block] != 0) {
        group->fixed[block] = 0;
        group->filled[block] = UINT32_MAX;
        if (group->refs[block] == 0) {
            group->free_list[group->n_free++] = block;
        }
    }
}

void kv_copied(struct kv *kv)
{
    for (uint32_t g = 0; g < KV_GROUPS; g++) {
        struct kv_group *group = &kv->group[g];
        for (uint32_t i = 0; i < group->n_copies; i++) {
            unfix(group, group->copy_from[i] / STEP_BLOCK);
            unfix(group, group->copy_to[i] / STEP_BLOCK);
        }
        group->n_copies = 0;
    }
}

void kv_save(struct kv *kv)
{
    memcpy(kv->saved, kv->words, kv->n_words * sizeof *kv->words);
    for (uint32_t g = 0; g < KV_GROUPS; g++) {
        kv->saved_free[g] = kv->group[g].n_free;
    }
}

void kv_restore(struct kv *kv)
{
    kv_copied(kv);
    memcpy(kv->words, kv->saved, kv->n_words * sizeof *kv->words);
    for (uint32_t g = 0; g < KV_GROUPS; g++) {
        kv->group[g].n_free = kv->saved_free[g];
    }
}

uint32_t kv_saved_length(const struct kv *kv, uint32_t seq)
{
    return kv->saved[kv->length - kv->words + seq];
}
