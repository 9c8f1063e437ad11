/* The bookkeeping of KV blocks against a naive model of the caches: who wrote which slot last. What
 * a token still to come, or in flight, sees is always there; room and truncation are what they say.
 */
#include "run/kv.h"

#include "base/hash.h"
#include "shaders/common/step.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_SEQ = 4, MAX_CTX = 700, MAX_BLOCKS = 100, NOBODY = -1 };

/* Who uses a physical block, and what each slot holds. */
struct naive {
    struct kv kv;
    struct kv_params params;
    uint64_t rng;
    int32_t owner[KV_GROUPS][MAX_BLOCKS]; /* sequence * MAX_CTX + logical block, or NOBODY */
    int32_t held[KV_GROUPS][MAX_BLOCKS * STEP_BLOCK]; /* sequence * MAX_CTX + entry */
    uint32_t length[MAX_SEQ], settled[MAX_SEQ];
};

static uint32_t pick(struct naive *naive, uint32_t n)
{
    return (uint32_t)(hash_next(&naive->rng) % n);
}

static bool has_group(const struct naive *naive, uint32_t g)
{
    return naive->params.n_blocks[g] != 0;
}

/* The first entry that the token at `entry` sees. */
static uint32_t seen_from(const struct naive *naive, uint32_t g, uint32_t entry)
{
    uint32_t window = naive->params.window;
    return g == KV_LOCAL && entry + 1 > window ? entry + 1 - window : 0;
}

static uint32_t slot_of(const struct naive *naive, uint32_t g, uint32_t seq, uint32_t entry)
{
    const uint32_t *row = naive->kv.group[g].table + (size_t)seq * naive->kv.row;
    return row[entry / STEP_BLOCK] * STEP_BLOCK + entry % STEP_BLOCK;
}

static void check(const struct naive *naive)
{
    for (uint32_t g = 0; g < KV_GROUPS; g++) {
        uint32_t used = 0;
        for (uint32_t b = 0; b < naive->params.n_blocks[g]; b++) {
            used += naive->owner[g][b] != NOBODY ? 1 : 0;
        }
        assert_int_equal(used + naive->kv.group[g].n_free, naive->params.n_blocks[g]);
        for (uint32_t s = 0; s < naive->params.n_seq && has_group(naive, g); s++) {
            assert_int_equal(naive->kv.length[s], naive->length[s]);
            uint32_t e = seen_from(naive, g, naive->settled[s]);
            for (; e < naive->length[s]; e++) {
                assert_int_equal(naive->held[g][slot_of(naive, g, s, e)], s * MAX_CTX + e);
            }
        }
    }
}

static bool append(struct naive *naive, uint32_t seq)
{
    uint32_t slot[KV_GROUPS], room = kv_room(&naive->kv, seq), e = naive->length[seq];
    bool ok = kv_append(&naive->kv, seq, slot);
    assert_true(ok == (room != 0));
    for (uint32_t g = 0; g < KV_GROUPS && ok; g++) {
        if (!has_group(naive, g)) {
            assert_int_equal(slot[g], 0);
            continue;
        }
        assert_int_equal(slot[g], slot_of(naive, g, seq, e));
        assert_true(slot[g] < naive->params.n_blocks[g] * STEP_BLOCK);
        naive->held[g][slot[g]] = (int32_t)(seq * MAX_CTX + e);
        naive->owner[g][slot[g] / STEP_BLOCK] = (int32_t)(seq * MAX_CTX + e / STEP_BLOCK);
    }
    naive->length[seq] += ok ? 1 : 0;
    return ok;
}

static void settle(struct naive *naive, uint32_t seq, uint32_t entry)
{
    kv_settle(&naive->kv, seq, entry);
    naive->settled[seq] = entry > naive->settled[seq] ? entry : naive->settled[seq];
}

/* Is the logical block of this entry still the sequence's? */
static bool owns(const struct naive *naive, uint32_t g, uint32_t seq, uint32_t entry)
{
    return naive->owner[g][slot_of(naive, g, seq, entry) / STEP_BLOCK] ==
           (int32_t)(seq * MAX_CTX + entry / STEP_BLOCK);
}

/* Exactly what the next token would see decides; anything else is 0. */
static void truncate_to(struct naive *naive, uint32_t seq, uint32_t length)
{
    uint32_t want = length < naive->length[seq] ? length : naive->length[seq];
    for (uint32_t e = seen_from(naive, KV_LOCAL, want);
         has_group(naive, KV_LOCAL) && e < want && want < naive->length[seq]; e++) {
        want = owns(naive, KV_LOCAL, seq, e) ? want : 0;
    }
    uint32_t before = naive->length[seq];
    assert_int_equal(kv_truncate(&naive->kv, seq, length), want);
    for (uint32_t g = 0; g < KV_GROUPS && want < before; g++) {
        for (uint32_t b = 0; b < naive->params.n_blocks[g]; b++) {
            int32_t id = naive->owner[g][b] - (int32_t)(seq * MAX_CTX);
            bool mine = naive->owner[g][b] != NOBODY && id >= 0 && id < MAX_CTX;
            if (mine && (uint32_t)id * STEP_BLOCK >= want) {
                naive->owner[g][b] = NOBODY;
            }
        }
    }
    naive->length[seq] = want;
    naive->settled[seq] = want < before ? want : naive->settled[seq];
}

static void start(struct naive *naive, const struct kv_params *params, uint64_t seed)
{
    memset(naive, 0, sizeof *naive);
    naive->params = *params;
    naive->rng = seed;
    memset(naive->owner, 0xff, sizeof naive->owner);
    assert_true(params->n_blocks[0] <= MAX_BLOCKS && params->n_blocks[1] <= MAX_BLOCKS);
    assert_true(kv_init(&naive->kv, params));
}

/* A step of up to n tokens, as src/run has them: at most in_flight tokens are not settled. */
static bool run_step(struct naive *naive, uint32_t seq, uint32_t n, uint32_t in_flight)
{
    for (uint32_t s = 0; s < naive->params.n_seq; s++) {
        if (s != seq) {
            settle(naive, s, naive->length[s]);
        }
    }
    uint32_t before = in_flight - n;
    settle(naive, seq, naive->length[seq] > before ? naive->length[seq] - before : 0);
    for (uint32_t i = 0; i < n; i++) {
        if (!append(naive, seq)) {
            return false;
        }
    }
    return true;
}

/* Anything in any order; out of blocks is an answer like any other. */
static void test_random(void **state)
{
    (void)state;
    static struct naive naive;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint64_t rng = seed;
        struct kv_params params = {.n_seq = 1 + (uint32_t)(hash_next(&rng) % MAX_SEQ),
                                   .n_ctx = 40 + (uint32_t)(hash_next(&rng) % 600),
                                   .window = 1 + (uint32_t)(hash_next(&rng) % 120)};
        uint32_t kind = (uint32_t)(seed % 3); /* 0 both groups, 1 local alone, 2 global alone */
        params.n_blocks[KV_GLOBAL] = kind == 1 ? 0 : 2 + (uint32_t)(hash_next(&rng) % 25);
        params.n_blocks[KV_LOCAL] = kind == 2 ? 0 : 2 + (uint32_t)(hash_next(&rng) % 12);
        start(&naive, &params, seed);
        for (uint32_t i = 0; i < 600; i++) {
            uint32_t seq = pick(&naive, params.n_seq), what = pick(&naive, 8);
            if (what == 0) {
                truncate_to(&naive, seq, pick(&naive, naive.length[seq] + 2));
            } else if (what == 1) {
                settle(&naive, seq, pick(&naive, naive.length[seq] + 1));
            } else if (what == 2) {
                uint32_t room = kv_room(&naive.kv, seq), n = 0;
                for (; n < 50 && append(&naive, seq); n++) {
                }
                assert_true(n == room || (n == 50 && room > 50));
            } else {
                settle(&naive, seq, naive.length[seq]);
                for (uint32_t n = pick(&naive, 40); n != 0 && append(&naive, seq); n--) {
                }
            }
            check(&naive);
        }
        kv_finish(&naive.kv);
    }
}

/* With kv_local_blocks blocks the local group is never what is full. */
static void test_enough(void **state)
{
    (void)state;
    static struct naive naive;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint64_t rng = seed;
        uint32_t batch = 1 + (uint32_t)(hash_next(&rng) % 70);
        uint32_t flight = 2 + (uint32_t)(hash_next(&rng) % 3);
        struct kv_params params = {.n_seq = 1 + (uint32_t)(hash_next(&rng) % MAX_SEQ),
                                   .n_ctx = MAX_CTX,
                                   .window = 1 + (uint32_t)(hash_next(&rng) % 100)};
        params.n_blocks[KV_LOCAL] =
            (uint32_t)kv_local_blocks(params.window, params.n_seq, (uint64_t)batch * flight);
        uint32_t longest = 0;
        start(&naive, &params, seed);
        for (uint32_t i = 0; i < 200; i++) {
            uint32_t seq = pick(&naive, params.n_seq);
            uint32_t n = 1 + pick(&naive, batch);
            bool fits = naive.length[seq] + n <= params.n_ctx;
            assert_true(run_step(&naive, seq, n, batch * flight) == fits);
            check(&naive);
            uint32_t back = pick(&naive, batch + 1);
            longest = naive.length[0] > longest ? naive.length[0] : longest;
            uint32_t length = longest > back ? longest - back : 0;
            if (params.n_seq == 1 && length <= naive.length[0]) { /* always possible */
                settle(&naive, seq, naive.length[seq]);
                truncate_to(&naive, seq, length);
                assert_int_equal(naive.length[seq], length);
            } else if (!fits) {
                truncate_to(&naive, seq, pick(&naive, MAX_CTX));
            }
            check(&naive);
        }
        kv_finish(&naive.kv);
    }
}

/* Never more blocks than the global layers have: then nothing is given up while those have room. */
static void test_no_more_than_global(void **state)
{
    (void)state;
    static struct naive naive;
    struct kv_params params = {.n_seq = 3, .n_ctx = 320, .n_blocks = {10, 10}, .window = 200};
    start(&naive, &params, 5);
    for (uint32_t i = 0; i < 3000; i++) {
        uint32_t seq = pick(&naive, 3);
        bool room = kv_group_room(&naive.kv, KV_GLOBAL, seq) != 0;
        assert_true(append(&naive, seq) == room);
        if (!room) {
            truncate_to(&naive, seq, 0);
        }
        check(&naive);
    }
    kv_finish(&naive.kv);
}

/* What is needed is what is said in numbers: a window of 48, chunks of 16, two in flight. */
static void test_numbers(void **state)
{
    (void)state;
    assert_int_equal(kv_local_blocks(48, 1, 32), 2 + 2 + 1);
    assert_int_equal(kv_local_blocks(4096, 1, 2048), 128 + 2 + 64);
    assert_int_equal(kv_local_blocks(1, 4, 1), 4 * 3 + 1);
    static struct naive naive;
    struct kv_params params = {.n_seq = 1, .n_ctx = 300, .n_blocks = {0, 5}, .window = 48};
    start(&naive, &params, 1);
    for (uint32_t i = 0; i < 300; i++) {
        settle(&naive, 0, i);
        assert_true(append(&naive, 0));
    }
    assert_int_equal(kv_room(&naive.kv, 0), 0);
    assert_int_equal(naive.kv.group[KV_LOCAL].first[0], 10 - 5);
    truncate_to(&naive, 0, 160 + 47); /* sees entries 160 to 206 */
    assert_int_equal(naive.length[0], 207);
    truncate_to(&naive, 0, 206);
    assert_int_equal(naive.length[0], 0);
    assert_int_equal(naive.kv.group[KV_LOCAL].n_free, 5);
    kv_finish(&naive.kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_enough),
        cmocka_unit_test(test_no_more_than_global),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
