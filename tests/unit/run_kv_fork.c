/* Sequences that share blocks, against a naive model of the devices: every entry has a value of its
 * own, a step writes what was appended and then copies the pairs, in any order, and what each token
 * sees must be the values of its sequence. */
#include "run/kv.h"

#include "base/hash.h"
#include "shaders/common/step.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { MAX_SEQ = 6, MAX_CTX = 200, MAX_BLOCKS = 64, MOST = 400 };

struct world {
    struct kv kv;
    struct kv_params params;
    uint64_t rng;
    uint32_t next;                    /* value of the next entry */
    uint32_t value[MAX_SEQ][MAX_CTX]; /* of each entry, as it should be */
    uint32_t length[MAX_SEQ];
    uint32_t held[KV_GROUPS][MAX_BLOCKS * STEP_BLOCK]; /* what the devices have */
    struct entry {
        uint32_t seq, at, value, slot[KV_GROUPS];
    } step[MOST]; /* appended, not run */
    uint32_t n_step;
};

static uint32_t pick(struct world *w, uint32_t n)
{
    return (uint32_t)(hash_next(&w->rng) % n);
}

static uint32_t slot_of(const struct world *w, uint32_t g, uint32_t seq, uint32_t entry)
{
    const uint32_t *row = w->kv.group[g].table + (size_t)seq * w->kv.row;
    return row[entry / STEP_BLOCK] * STEP_BLOCK + entry % STEP_BLOCK;
}

static uint32_t seen_from(const struct world *w, uint32_t g, uint32_t entry)
{
    uint32_t window = w->params.window;
    return g == KV_LOCAL && entry + 1 > window ? entry + 1 - window : 0;
}

static void start(struct world *w, const struct kv_params *params, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->params = *params;
    w->params.most_copies = MOST;
    w->rng = seed;
    assert_true(params->n_seq <= MAX_SEQ && params->n_ctx <= MAX_CTX);
    assert_true(params->n_blocks[0] <= MAX_BLOCKS && params->n_blocks[1] <= MAX_BLOCKS);
    assert_true(kv_init(&w->kv, &w->params));
}

/* Every block counts its sequences, and is free where there are none and no pair needs it. */
static void check_blocks(const struct world *w)
{
    for (uint32_t g = 0; g < KV_GROUPS; g++) {
        const struct kv_group *group = &w->kv.group[g];
        uint32_t refs[MAX_BLOCKS] = {0}, n_free = 0;
        for (uint32_t s = 0; s < w->params.n_seq && group->n_blocks != 0; s++) {
            for (uint32_t b = group->first[s] * STEP_BLOCK; b < w->length[s]; b += STEP_BLOCK) {
                refs[slot_of(w, g, s, b) / STEP_BLOCK]++;
            }
        }
        for (uint32_t b = 0; b < group->n_blocks; b++) {
            assert_int_equal(group->refs[b], refs[b]);
            n_free += refs[b] == 0 && group->fixed[b] == 0 ? 1 : 0;
        }
        assert_int_equal(group->n_free, n_free);
        for (uint32_t i = 0; i < n_free; i++) {
            assert_int_equal(refs[group->free_list[i]], 0);
        }
    }
}

/* What a token at `entry` sees in the caches is what its sequence holds. */
static void check_sight(const struct world *w, uint32_t seq, uint32_t entry, uint32_t end)
{
    for (uint32_t g = 0; g < KV_GROUPS; g++) {
        for (uint32_t e = seen_from(w, g, entry); e < end && w->params.n_blocks[g] != 0; e++) {
            assert_int_equal(w->held[g][slot_of(w, g, seq, e)], w->value[seq][e]);
        }
    }
}

static bool append(struct world *w, uint32_t seq)
{
    struct entry *entry = &w->step[w->n_step];
    uint32_t room = kv_room(&w->kv, seq), at = w->length[seq];
    uint32_t words[KV_GROUPS] = {w->kv.group[0].n_free, w->kv.group[1].n_free};
    assert_true(w->n_step < MOST);
    memcpy(w->kv.saved, w->kv.words, w->kv.n_words * sizeof *w->kv.words);
    bool ok = kv_append(&w->kv, seq, entry->slot);
    assert_true(ok == (room != 0));
    if (!ok) {
        assert_memory_equal(w->kv.saved, w->kv.words, w->kv.n_words * sizeof *w->kv.words);
        assert_int_equal(w->kv.group[0].n_free, words[0]);
        assert_int_equal(w->kv.group[1].n_free, words[1]);
        return false;
    }
    entry->seq = seq;
    entry->at = at;
    entry->value = w->value[seq][at] = ++w->next;
    for (uint32_t g = 0; g < KV_GROUPS && w->params.n_blocks[g] != 0; g++) {
        assert_int_equal(entry->slot[g], slot_of(w, g, seq, at));
    }
    w->length[seq]++;
    w->n_step++;
    return true;
}

static void forked(struct world *w, uint32_t from, uint32_t to, uint32_t length)
{
    memcpy(w->value[to], w->value[from], length * sizeof w->value[0][0]);
    w->length[to] = length;
}

/* Writes, then copies from the last pair to the first or the other way round. */
static void run(struct world *w)
{
    for (uint32_t i = 0; i < w->n_step; i++) {
        for (uint32_t g = 0; g < KV_GROUPS; g++) {
            w->held[g][w->step[i].slot[g]] =
                w->params.n_blocks[g] != 0 ? w->step[i].value : w->held[g][w->step[i].slot[g]];
        }
    }
    bool back = pick(w, 2) == 0;
    for (uint32_t g = 0; g < KV_GROUPS; g++) {
        const struct kv_group *group = &w->kv.group[g];
        for (uint32_t i = 0; i < group->n_copies; i++) {
            uint32_t pair = back ? group->n_copies - 1 - i : i;
            w->held[g][group->copy_to[pair]] = w->held[g][group->copy_from[pair]];
        }
    }
    for (uint32_t i = 0; i < w->n_step; i++) {
        check_sight(w, w->step[i].seq, w->step[i].at, w->step[i].at + 1);
    }
    kv_copied(&w->kv);
    w->n_step = 0;
    for (uint32_t s = 0; s < w->params.n_seq; s++) {
        kv_settle(&w->kv, s, w->length[s]);
        check_sight(w, s, w->length[s], w->length[s]);
        assert_int_equal(w->kv.length[s], w->length[s]);
    }
    check_blocks(w);
}

static void truncate_to(struct world *w, uint32_t seq, uint32_t length)
{
    uint32_t first = w->kv.group[KV_LOCAL].n_blocks != 0 ? w->kv.group[KV_LOCAL].first[seq] : 0;
    bool lacks = seen_from(w, KV_LOCAL, length) < first * STEP_BLOCK;
    uint32_t want = length >= w->length[seq] ? w->length[seq] : lacks ? 0 : length;
    assert_int_equal(kv_truncate(&w->kv, seq, length), want);
    w->length[seq] = want;
}

static bool fork_to(struct world *w, uint32_t from, uint32_t to, uint32_t length)
{
    uint32_t first = w->kv.group[KV_LOCAL].n_blocks != 0 ? w->kv.group[KV_LOCAL].first[from] : 0;
    bool can = length == 0 || seen_from(w, KV_LOCAL, length) >= first * STEP_BLOCK;
    assert_true(kv_fork(&w->kv, from, to, length) == can);
    if (can) {
        forked(w, from, to, length);
    }
    return can;
}

/* One step: appends, and forks onto sequences that have no token in it. */
static void random_step(struct world *w)
{
    bool used[MAX_SEQ] = {false};
    uint32_t n = 1 + pick(w, 120);
    uint32_t seq = pick(w, w->params.n_seq);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t what = pick(w, 24), to = pick(w, w->params.n_seq);
        if (what == 0 && to != seq && !used[to]) {
            uint32_t length = pick(w, 3) == 0 ? pick(w, w->length[seq] + 1) : w->length[seq];
            fork_to(w, seq, to, length);
        }
        seq = what < 4 ? pick(w, w->params.n_seq) : seq;
        bool pairs = w->kv.group[0].n_copies + w->kv.group[1].n_copies + STEP_BLOCK < MOST;
        used[seq] = (pairs && append(w, seq)) || used[seq];
    }
}

static void test_random(void **state)
{
    (void)state;
    static struct world w, before;
    const char *given = getenv("QUADRIGA_SEED");
    uint64_t base = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    uint64_t copies = 0;
    printf("seed %llu (QUADRIGA_SEED)\n", (unsigned long long)base);
    for (uint64_t round = 0; round < 150; round++) {
        uint64_t rng = base + round;
        struct kv_params params = {.n_seq = 2 + (uint32_t)(hash_next(&rng) % (MAX_SEQ - 1)),
                                   .n_ctx = 40 + (uint32_t)(hash_next(&rng) % 150),
                                   .window = 1 + (uint32_t)(hash_next(&rng) % 90)};
        uint32_t kind = (uint32_t)(round % 3); /* 0 both groups, 1 local alone, 2 global alone */
        params.n_blocks[KV_GLOBAL] = kind == 1 ? 0 : 2 + (uint32_t)(hash_next(&rng) % 20);
        params.n_blocks[KV_LOCAL] = kind == 2 ? 0 : 2 + (uint32_t)(hash_next(&rng) % 20);
        start(&w, &params, base + round);
        for (uint32_t i = 0; i < 60; i++) {
            uint32_t seq = pick(&w, params.n_seq), to = pick(&w, params.n_seq);
            if (pick(&w, 3) == 0) {
                truncate_to(&w, seq, pick(&w, w.length[seq] + 2));
            } else if (pick(&w, 2) == 0 && to != seq) {
                fork_to(&w, seq, to, pick(&w, w.length[seq] + 1));
            }
            check_blocks(&w);
            before = w;
            kv_save(&w.kv);
            static uint32_t words[4096];
            assert_true(w.kv.n_words <= 4096);
            memcpy(words, w.kv.words, w.kv.n_words * sizeof *words);
            random_step(&w);
            copies += w.kv.group[0].n_copies + w.kv.group[1].n_copies;
            if (pick(&w, 8) == 0) { /* not run after all */
                memcpy(w.kv.saved, words, w.kv.n_words * sizeof *words);
                kv_restore(&w.kv);
                assert_memory_equal(w.kv.words, words, w.kv.n_words * sizeof *words);
                memcpy(w.length, before.length, sizeof w.length);
                memcpy(w.value, before.value, sizeof w.value);
                w.n_step = 0;
            }
            run(&w);
        }
        kv_finish(&w.kv);
    }
    assert_true(copies > 1000);
}

static void append_n(struct world *w, uint32_t seq, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        assert_true(append(w, seq));
    }
}

static void test_borders(void **state)
{
    (void)state;
    static struct world w;
    struct kv_params params = {.n_seq = 3, .n_ctx = 160, .n_blocks = {8, 0}};
    const struct kv_group *group = &w.kv.group[KV_GLOBAL];
    start(&w, &params, 1);
    append_n(&w, 0, 64);
    run(&w);
    assert_true(fork_to(&w, 0, 1, 64)); /* at the end of a block: nothing to copy */
    assert_true(fork_to(&w, 0, 2, 33)); /* one entry of the second block */
    assert_int_equal(group->n_free, 6);
    append_n(&w, 0, 1);
    append_n(&w, 1, 1);
    assert_int_equal(group->n_copies, 0);
    assert_int_equal(group->n_free, 4);
    append_n(&w, 2, 2);
    assert_int_equal(group->n_copies, 1);
    assert_int_equal(group->copy_from[0], slot_of(&w, 0, 0, 32));
    assert_int_equal(group->copy_to[0], slot_of(&w, 0, 2, 32));
    run(&w);
    truncate_to(&w, 0, 0); /* in any order: the others keep theirs */
    run(&w);
    truncate_to(&w, 2, 0);
    run(&w);
    assert_int_equal(group->n_free, 5);
    truncate_to(&w, 1, 0);
    assert_int_equal(group->n_free, 8);
    kv_finish(&w.kv);
}

/* The four endings of a question in one step, one of them in the context's own sequence; and a fork
 * of a fork, whose pairs lead to where the entries are, not to where they will be. */
static void test_one_step(void **state)
{
    (void)state;
    static struct world w;
    struct kv_params params = {.n_seq = 5, .n_ctx = 160, .n_blocks = {12, 0}};
    const struct kv_group *group = &w.kv.group[KV_GLOBAL];
    start(&w, &params, 1);
    append_n(&w, 0, 40);
    for (uint32_t s = 1; s < 4; s++) {
        assert_true(fork_to(&w, 0, s, 40));
    }
    for (uint32_t s = 0; s < 4; s++) {
        append_n(&w, s, 3);
    }
    assert_int_equal(group->n_copies, 3 * 8); /* the last one stays where the context is */
    assert_true(fork_to(&w, 1, 4, 42));
    append_n(&w, 4, 1);
    assert_int_equal(group->n_copies, 3 * 8 + 10);
    uint32_t context = slot_of(&w, 0, 3, 32), ending = slot_of(&w, 0, 1, 40);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(group->copy_from[24 + i], i < 8 ? context + i : ending + i - 8);
    }
    run(&w);
    assert_int_equal(group->n_free, 12 - 1 - 5);
    kv_finish(&w.kv);
}

/* A source is not written by others of the step, and not freed, although nobody has it any more. */
static void test_sources_stay(void **state)
{
    (void)state;
    static struct world w;
    struct kv_params params = {.n_seq = 3, .n_ctx = 96, .n_blocks = {3, 0}};
    const struct kv_group *group = &w.kv.group[KV_GLOBAL];
    start(&w, &params, 1);
    append_n(&w, 0, 20);
    run(&w);
    assert_true(fork_to(&w, 0, 1, 20));
    truncate_to(&w, 0, 10);
    append_n(&w, 1, 1); /* copies 20 entries, of which sequence 0 would now write number 10 */
    append_n(&w, 0, 1);
    assert_int_equal(group->n_copies, 20 + 10);
    assert_int_equal(group->n_free, 0);
    assert_false(append(&w, 2));
    run(&w);
    assert_int_equal(group->n_free, 1);
    append_n(&w, 2, 32);
    assert_false(append(&w, 2));
    assert_true(fork_to(&w, 0, 2, 11));
    append_n(&w, 2, 1);
    assert_int_equal(group->n_copies, 11);
    append_n(&w, 0, 1); /* behind what is copied: in its place */
    assert_int_equal(group->n_copies, 11);
    assert_int_equal(group->n_free, 0);
    run(&w);
    assert_true(fork_to(&w, 0, 2, 12));
    assert_int_equal(group->n_free, 1);
    append_n(&w, 1, 11);
    append_n(&w, 1, 1);          /* takes it */
    assert_false(append(&w, 0)); /* no block for a copy */
    run(&w);
    kv_finish(&w.kv);
}

/* No more pairs than there is room for. */
static void test_most_copies(void **state)
{
    (void)state;
    struct kv kv;
    uint32_t slot[KV_GROUPS];
    assert_true(kv_init(
        &kv, &(struct kv_params){.n_seq = 3, .n_ctx = 64, .n_blocks = {8, 0}, .most_copies = 15}));
    for (uint32_t i = 0; i < 10; i++) {
        assert_true(kv_append(&kv, 0, slot));
    }
    assert_true(kv_fork(&kv, 0, 1, 10) && kv_fork(&kv, 0, 2, 6));
    assert_true(kv_append(&kv, 1, slot));
    assert_false(kv_append(&kv, 2, slot));
    assert_int_equal(kv.length[2], 6);
    kv_copied(&kv);
    assert_true(kv_append(&kv, 2, slot));
    kv_finish(&kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),      cmocka_unit_test(test_borders),
        cmocka_unit_test(test_one_step),    cmocka_unit_test(test_sources_stay),
        cmocka_unit_test(test_most_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
