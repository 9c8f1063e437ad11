/* The packer against a naive engine: sequences as lists of tokens, blocks counted as the KV cache
 * shares and copies them. Every row of every item is computed exactly once, in its sequence and in
 * order, behind the tokens that it needs; no limit is ever passed; steps are full. */
#include "eval/eval.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_ITEMS = 60, MOST_TOKENS = 400, MOST_SEQ = 64, MOST_BLOCKS = 4000 };

struct naive {
    uint64_t rng;
    struct eval_item items[MOST_ITEMS];
    size_t n;
    struct eval_limits limits;
    uint32_t tokens[MOST_SEQ][MOST_TOKENS], length[MOST_SEQ];
    uint32_t block[MOST_SEQ][MOST_TOKENS]; /* physical ones of a sequence */
    uint32_t users[MOST_BLOCKS], n_used, n_blocks;
    bool *seen[MOST_ITEMS][EVAL_ENDINGS + 1]; /* scored tokens of an item */
    uint32_t short_steps, n_steps;
    uint64_t n_rows;
};

static uint32_t pick(struct naive *naive, uint32_t n)
{
    return (uint32_t)(hash_next(&naive->rng) % n);
}

/* Items with a common beginning of 0 to `most` tokens, endings of 1 to 40, some without any token
 * of their own row. Tokens tell their place. */
static void make_items(struct naive *naive, uint32_t most, bool single)
{
    naive->n = 1 + pick(naive, MOST_ITEMS);
    for (size_t i = 0; i < naive->n; i++) {
        struct eval_item *item = &naive->items[i];
        uint32_t common = 1 + pick(naive, most), longest = 0;
        *item = (struct eval_item){.index = (uint32_t)i, .n_ways = single ? 1 : EVAL_ENDINGS};
        item->shared = single ? 0 : common - 1;
        item->from = single ? 1 + pick(naive, common) : common;
        bool whole = !single && common > 3 && pick(naive, 3) == 0;
        if (whole) { /* scored from within the shared part */
            item->from = common - 2;
        }
        for (uint32_t w = 0; w < item->n_ways; w++) {
            uint32_t own = (whole && pick(naive, 4) == 0 ? 0 : 1) + pick(naive, 40);
            item->n[w] = common + own;
            longest = item->n[w] > longest ? item->n[w] : longest;
            item->tokens[w] = mem_alloc(item->n[w], sizeof *item->tokens[w]);
            for (uint32_t t = 0; t < item->n[w]; t++) {
                item->tokens[w][t] = (uint32_t)(i << 16 | (t < common ? 0 : w + 1) << 12 | t);
            }
        }
        for (uint32_t w = 0; w <= EVAL_ENDINGS; w++) {
            naive->seen[i][w] = mem_alloc(longest + 1, sizeof(bool));
        }
    }
}

static uint32_t take_block(struct naive *naive)
{
    for (uint32_t b = 0; b < naive->n_blocks; b++) {
        if (naive->users[b] == 0) {
            naive->users[b] = 1;
            naive->n_used++;
            return b;
        }
    }
    fail_msg("no block is free");
    return 0;
}

static void release(struct naive *naive, uint32_t block)
{
    assert_true(naive->users[block] > 0);
    if (--naive->users[block] == 0) {
        naive->n_used--;
    }
}

static void drop(struct naive *naive, uint32_t seq)
{
    uint32_t blocks = (uint32_t)size_div_up(naive->length[seq], naive->limits.block);
    for (uint32_t b = 0; b < blocks; b++) {
        release(naive, naive->block[seq][b]);
    }
    naive->length[seq] = 0;
}

static void make_fork(struct naive *naive, const struct eval_fork *fork)
{
    assert_true(fork->from < naive->limits.n_seq && fork->to < naive->limits.n_seq);
    assert_true(fork->length <= naive->length[fork->from] && fork->from != fork->to);
    assert_int_equal(naive->length[fork->to], 0);
    memcpy(naive->tokens[fork->to], naive->tokens[fork->from],
           fork->length * sizeof naive->tokens[0][0]);
    for (uint32_t b = 0; b < size_div_up(fork->length, naive->limits.block); b++) {
        naive->block[fork->to][b] = naive->block[fork->from][b];
        naive->users[naive->block[fork->to][b]]++;
    }
    naive->length[fork->to] = fork->length;
}

static void append(struct naive *naive, uint32_t seq, uint32_t token)
{
    uint32_t at = naive->length[seq]++, b = at / naive->limits.block;
    assert_true(at < MOST_TOKENS);
    if (at % naive->limits.block == 0) {
        naive->block[seq][b] = take_block(naive);
    } else if (naive->users[naive->block[seq][b]] > 1) { /* copy on write */
        release(naive, naive->block[seq][b]);
        naive->block[seq][b] = take_block(naive);
    }
    naive->tokens[seq][at] = token;
}

static void check_row(struct naive *naive, const struct eval_step *step, uint32_t t,
                      const struct eval_row *row)
{
    const struct eval_item *item = &naive->items[row->item];
    uint32_t seq = step->seq[t], way = row->way == EVAL_ENDINGS ? 0 : row->way;
    assert_true(row->item < naive->n && row->way <= EVAL_ENDINGS && row->at >= item->from);
    assert_true(row->at < item->n[way] && row->at == naive->length[seq]);
    assert_int_equal(row->way == EVAL_ENDINGS, row->at <= item->shared);
    assert_memory_equal(naive->tokens[seq], item->tokens[way], row->at * sizeof(uint32_t));
    assert_int_equal(step->target[t], item->tokens[way][row->at]);
    assert_false(naive->seen[row->item][row->way][row->at]);
    naive->seen[row->item][row->way][row->at] = true;
}

static void run_step(struct naive *naive, const struct eval_step *step)
{
    uint32_t n_out = 0;
    uint32_t before[MOST_SEQ];
    for (uint32_t i = 0; i < step->n_drop; i++) {
        drop(naive, step->drop[i]);
    }
    memcpy(before, naive->length, sizeof before);
    for (uint32_t i = 0; i < step->n_fork; i++) {
        make_fork(naive, &step->fork[i]);
    }
    assert_true(step->n_tokens > 0 && step->n_tokens <= naive->limits.n_batch);
    for (uint32_t t = 0; t < step->n_tokens; t++) {
        uint32_t seq = step->seq[t];
        assert_true(seq < naive->limits.n_seq);
        assert_int_equal(step->pos[t], naive->length[seq]);
        append(naive, seq, step->token[t]);
        if (step->want[t]) {
            check_row(naive, step, t, &step->row[n_out++]);
        }
    }
    assert_int_equal(n_out, step->n_out);
    assert_true(n_out <= naive->limits.n_out);
    naive->n_rows += step->n_tokens;
    naive->n_steps++;
    naive->short_steps += step->n_tokens < naive->limits.n_batch;
}

static void check_all_seen(struct naive *naive)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < naive->n; i++) {
        const struct eval_item *item = &naive->items[i];
        rows += eval_item_rows(item);
        for (uint32_t w = 0; w < item->n_ways; w++) {
            for (uint32_t t = item->from; t < item->n[w]; t++) {
                assert_true(naive->seen[i][t <= item->shared ? EVAL_ENDINGS : w][t]);
            }
        }
    }
    assert_int_equal(rows, naive->n_rows);
}

static void finish(struct naive *naive)
{
    for (size_t i = 0; i < naive->n; i++) {
        eval_item_finish(&naive->items[i]);
        for (uint32_t w = 0; w <= EVAL_ENDINGS; w++) {
            mem_free(naive->seen[i][w]);
        }
    }
}

static void run(struct naive *naive)
{
    struct log log;
    log_init(&log, NULL, NULL, LOG_WARN);
    naive->n_blocks = naive->limits.n_kv / naive->limits.block;
    assert_true(naive->n_blocks <= MOST_BLOCKS);
    struct eval_pack *pack = eval_pack_create(naive->items, naive->n, &naive->limits, &log);
    assert_string_equal(log.last, "");
    assert_non_null(pack);
    for (const struct eval_step *step; (step = eval_pack_next(pack)) != NULL;) {
        run_step(naive, step);
    }
    assert_null(eval_pack_next(pack));
    check_all_seen(naive);
    eval_pack_destroy(pack);
    log_finish(&log);
}

/* Limits from generous to as tight as they may be. */
static void random_packs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct naive *naive = mem_alloc(1, sizeof *naive);
        assert_non_null(naive);
        naive->rng = seed;
        make_items(naive, seed % 3 == 0 ? 4 : 150, seed % 7 == 0);
        uint32_t block = seed % 2 == 0 ? 32 : 1 + pick(naive, 40);
        struct eval_need need = eval_pack_need(naive->items, naive->n, 64, block);
        naive->limits = (struct eval_limits){.n_batch = 1 + pick(naive, 300),
                                             .n_out = 1 + pick(naive, 200),
                                             .n_seq = 2 + pick(naive, MOST_SEQ - 2),
                                             .n_kv = (uint32_t)need.n_kv,
                                             .block = block};
        if (seed % 4 == 0) { /* no more than the longest item */
            uint64_t trunk = 0, way = 0;
            for (size_t i = 0; i < naive->n; i++) {
                const struct eval_item *item = &naive->items[i];
                uint64_t t = size_div_up(item->shared, block);
                trunk = t > trunk ? t : trunk;
                for (uint32_t w = 0; w < item->n_ways; w++) {
                    uint64_t own = size_div_up(item->n[w] - 1, block) - item->shared / block;
                    way = own > way ? own : way;
                }
            }
            naive->limits.n_kv = (uint32_t)(trunk + way) * block;
            naive->limits.n_seq = 2;
        }
        run(naive);
        finish(naive);
        mem_free(naive);
    }
}

/* With what eval_pack_need asks for, all steps but the last few are full. */
static void full_steps(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct naive *naive = mem_alloc(1, sizeof *naive);
        assert_non_null(naive);
        naive->rng = seed;
        make_items(naive, 80, false);
        struct eval_need need = eval_pack_need(naive->items, naive->n, 64, 32);
        assert_true(need.n_seq >= 2 && need.n_seq <= MOST_SEQ);
        naive->limits = (struct eval_limits){64, 64, need.n_seq, (uint32_t)need.n_kv, 32};
        run(naive);
        assert_true(naive->short_steps <= 4 && naive->n_steps >= 9);
        finish(naive);
        mem_free(naive);
    }
}

/* Rows of items without a shared part come in the order of the items and of their tokens. */
static void in_order(void **state)
{
    (void)state;
    struct naive *naive = mem_alloc(1, sizeof *naive);
    struct log log;
    assert_non_null(naive);
    log_init(&log, NULL, NULL, LOG_WARN);
    naive->rng = 5;
    make_items(naive, 100, true);
    naive->limits = (struct eval_limits){33, 20, 8, 1024, 32};
    struct eval_pack *pack = eval_pack_create(naive->items, naive->n, &naive->limits, &log);
    uint64_t last = 0;
    assert_non_null(pack);
    for (const struct eval_step *step; (step = eval_pack_next(pack)) != NULL;) {
        for (uint32_t i = 0; i < step->n_out; i++) {
            uint64_t place = (uint64_t)step->row[i].item << 32 | step->row[i].at;
            assert_true(place > last);
            last = place;
        }
    }
    eval_pack_destroy(pack);
    finish(naive);
    mem_free(naive);
    log_finish(&log);
}

static void refused(void **state)
{
    (void)state;
    uint32_t tokens[100] = {0};
    struct eval_item item = {.n_ways = 1, .tokens = {tokens}, .n = {100}, .from = 1};
    struct log log;
    log_init(&log, NULL, NULL, LOG_WARN);
    assert_null(eval_pack_create(&item, 1, &(struct eval_limits){8, 8, 2, 96, 32}, &log));
    assert_string_equal(log.last,
                        "the longest task needs 128 entries of the KV cache, which has 96");
    assert_null(eval_pack_create(&item, 1, &(struct eval_limits){8, 8, 1, 128, 32}, &log));
    assert_non_null(strstr(log.last, "too few"));
    log_finish(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_packs),
        cmocka_unit_test(full_steps),
        cmocka_unit_test(in_order),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
