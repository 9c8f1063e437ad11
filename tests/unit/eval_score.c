/* Choices, intervals, perplexity and divergences against values worked out by hand; files of
 * log-probabilities, whole and damaged. */
#include "eval/eval.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define FILE_NAME QD_BINARY_DIR "/eval_score_test.bin"

static void near(double value, double wanted, double bound)
{
    if (!(fabs(value - wanted) <= bound)) {
        fail_msg("%.12g is not %.12g", value, wanted);
    }
}

static void choices(void **state)
{
    (void)state;
    struct eval_result result = {.label = 2,
                                 .sum = {-8, -9, -10, -12},
                                 .n_tokens = {2, 3, 4, 4},
                                 .n_chars = {8, 10, 9, 10},
                                 .n_bytes = {8, 10, 9, 30}};
    assert_int_equal(eval_choose(&result, EVAL_ACC), 0);
    assert_int_equal(eval_choose(&result, EVAL_ACC_NORM), 1);  /* -1, -0.9, -1.11, -1.2 */
    assert_int_equal(eval_choose(&result, EVAL_ACC_BYTES), 3); /* ..., -0.4 */
    assert_int_equal(eval_choose(&result, EVAL_ACC_TOK), 2);   /* -4, -3, -2.5, -3 */
    struct eval_tally tally = {0};
    eval_tally_add(&tally, &result);
    result.label = 0;
    eval_tally_add(&tally, &result);
    assert_int_equal(tally.n, 2);
    assert_int_equal(tally.right[EVAL_ACC], 1);
    assert_int_equal(tally.right[EVAL_ACC_NORM], 0);
    assert_int_equal(tally.right[EVAL_ACC_TOK], 1);
    result.sum[3] = result.sum[0] = result.sum[1] = result.sum[2]; /* ties: the first */
    assert_int_equal(eval_choose(&result, EVAL_ACC), 0);
    assert_string_equal(eval_metric_name(EVAL_ACC_BYTES), "acc_bytes");
}

/* 263 of 400: 0.6575; bounds from the formula, in Python. */
static void intervals(void **state)
{
    (void)state;
    double low, high;
    eval_wilson(263, 400, &low, &high);
    near(low, 0.609695, 1e-6);
    near(high, 0.702309, 1e-6);
    eval_wilson(0, 10, &low, &high);
    near(low, 0, 0);
    near(high, 0.277533, 1e-6);
    eval_wilson(10, 10, &low, &high);
    near(low, 0.722467, 1e-6);
    near(high, 1, 0);
}

static void collect(void **state)
{
    (void)state;
    uint32_t tokens[6] = {0};
    struct eval_item item = {.index = 7,
                             .label = 3,
                             .n_ways = 4,
                             .tokens = {tokens, tokens, tokens, tokens},
                             .n = {5, 4, 4, 6},
                             .shared = 2,
                             .from = 2,
                             .n_chars = {1, 2, 3, 4},
                             .n_bytes = {5, 6, 7, 8}};
    struct eval_collect c;
    struct eval_result result;
    assert_true(eval_collect_init(&c, &item, 1));
    assert_int_equal(c.left[0], 1 + 2 + 1 + 1 + 3);
    assert_false(eval_collect_add(&c, &(struct eval_row){0, EVAL_ENDINGS, 2}, -1));
    for (uint32_t w = 0; w < 4; w++) {
        for (uint32_t at = 3; at < item.n[w]; at++) {
            bool last = eval_collect_add(&c, &(struct eval_row){0, w, at}, -0.5 * (w + 1));
            assert_int_equal(last, w == 3 && at == 5);
        }
    }
    eval_collect_result(&c, 0, &result);
    assert_int_equal(result.index, 7);
    assert_int_equal(result.label, 3);
    near(result.sum[0], -2, 0);
    near(result.sum[1], -2, 0);
    near(result.sum[2], -2.5, 0);
    near(result.sum[3], -7, 0);
    assert_int_equal(result.n_tokens[3], 4);
    assert_int_equal(result.n_chars[1], 2);
    assert_int_equal(result.n_bytes[2], 7);
    eval_collect_finish(&c);
}

/* nll 1, 2, 3: mean 2, variance 2/3, error of the mean sqrt(2/3 / 2). */
static void perplexity(void **state)
{
    (void)state;
    struct eval_ppl ppl = {0};
    double value, error;
    for (int i = 1; i <= 3; i++) {
        eval_ppl_add(&ppl, i);
    }
    eval_ppl_get(&ppl, &value, &error);
    near(value, exp(2), 1e-12);
    near(error, exp(2) * sqrt(1.0 / 3), 1e-12);
    float logits[3] = {1, 2, 3};
    near(eval_nll(logits, 3, 0), 2.4076059644443806, 1e-7);
    near(eval_nll(logits, 3, 2), 0.4076059644443804, 1e-7);
    float large[2] = {3e38f, 2e38f};
    near(eval_nll(large, 2, 0), 0, 1e-12);
}

static void open_log(struct log *to)
{
    log_init(to, NULL, NULL, LOG_WARN);
}

/* Two chunks of four tokens, a row each, five words. */
static const uint32_t tokens[8] = {0, 1, 2, 4, 3, 3, 2, 1};
static const float rows[2][5] = {{0, 1, 2, 3, -30}, {2, 2, 2, 2, 2}};

static void write_base(void)
{
    struct eval_base base;
    struct log log;
    open_log(&log);
    assert_true(eval_base_create(&base, FILE_NAME, 4, 5, 2, tokens, &log));
    assert_true(eval_base_write_row(&base, rows[0], &log));
    assert_true(eval_base_write_row(&base, rows[1], &log));
    assert_true(eval_base_close(&base, &log));
    log_finish(&log);
}

static void base_file(void **state)
{
    (void)state;
    struct eval_base base;
    struct log log;
    open_log(&log);
    write_base();
    assert_true(eval_base_open(&base, FILE_NAME, &log));
    assert_int_equal(base.n_ctx, 4);
    assert_int_equal(base.n_vocab, 5);
    assert_int_equal(base.n_chunk, 2);
    assert_memory_equal(base.tokens, tokens, sizeof tokens);
    assert_int_equal(base.row_words, 10);
    assert_true(eval_base_read_row(&base, &log));
    float head[2];
    memcpy(head, base.row, sizeof head);
    /* range 16 below the largest; log of the sum is 3.4401896985 */
    near(head[0], 16.0 / 65535, 1e-9);
    near(head[1], -13 - 3.4401896985, 1e-5);
    for (uint32_t i = 0; i < 4; i++) {
        near(head[0] * base.row[4 + i] + head[1], rows[0][i] - 3.4401896985, 2e-4);
    }
    assert_int_equal(base.row[8], 0);
    assert_true(eval_base_read_row(&base, &log));
    memcpy(head, base.row, sizeof head);
    near(head[0], 0, 0);
    near(head[1], -1.6094379, 1e-6);
    assert_false(eval_base_read_row(&base, &log));
    assert_non_null(strstr(log.last, "ends within a row"));
    assert_true(eval_base_close(&base, &log));
    log_finish(&log);
}

/* The base's own logits: no divergence. Others: by the definition, in Python. */
static void divergence(void **state)
{
    (void)state;
    static const float other[2][5] = {{1, 1, 2, 2, 0}, {0, 1, 2, 1, 0}};
    struct eval_base base;
    struct eval_kld kld = {0};
    struct log log;
    double mean, error;
    open_log(&log);
    write_base();
    for (int same = 1; same >= 0; same--) {
        assert_true(eval_base_open(&base, FILE_NAME, &log));
        for (int i = 0; i < 2; i++) {
            assert_true(eval_base_read_row(&base, &log));
            assert_true(
                eval_kld_add(&kld, &base, same ? rows[i] : other[i], tokens[4 * i + 3] % 4));
        }
        assert_true(eval_base_close(&base, &log));
        eval_kld_sort(&kld);
        if (same) {
            near(kld.sum, 0, 1e-3);
            assert_int_equal(kld.n_same_top, 2);
            eval_kld_finish(&kld);
        }
    }
    /* sum p (ln p - ln q) with p of base row, q of `other` */
    near(kld.values[0], 0.226359, 1e-3);
    near(kld.values[1], 0.286919, 1e-3);
    near(eval_kld_quantile(&kld, 0), kld.values[0], 0);
    near(eval_kld_quantile(&kld, 0.25), 0.75 * (double)kld.values[0] + 0.25 * (double)kld.values[1],
         1e-7);
    near(eval_kld_quantile(&kld, 1), kld.values[1], 0);
    assert_int_equal(kld.n_same_top, 0);
    eval_kld_ln_ratio(&kld, &mean, &error);
    near(mean, (kld.here.sum - kld.there.sum) / 2, 1e-12);
    assert_true(error > 0);
    eval_kld_finish(&kld);
    log_finish(&log);
}

static void damage(size_t at, const void *bytes, size_t n, size_t keep, const char *why)
{
    static char all[256];
    struct eval_base base;
    struct log log;
    open_log(&log);
    write_base();
    FILE *file = fopen(FILE_NAME, "rb");
    size_t length = fread(all, 1, sizeof all, file);
    fclose(file);
    memcpy(all + at, bytes, n);
    file = fopen(FILE_NAME, "wb");
    fwrite(all, 1, keep < length ? keep : length, file);
    fclose(file);
    assert_false(eval_base_open(&base, FILE_NAME, &log));
    if (strstr(log.last, why) == NULL) {
        fail_msg("'%s' does not say '%s'", log.last, why);
    }
    eval_base_close(&base, &log);
    log_finish(&log);
}

static void damaged(void **state)
{
    (void)state;
    const uint32_t zero = 0, huge = 0xffffffffu, million = 1000000, five = 5;
    damage(0, "L", 1, 999, "no file of log-probabilities");
    damage(0, "", 0, 5, "no file of log-probabilities");
    damage(0, "", 0, 19, "ends within its header");
    damage(8, &zero, 4, 999, "n_ctx is 0");
    damage(8, &huge, 4, 999, "n_ctx is 4294967295");
    damage(12, &huge, 4, 999, "n_vocab is 4294967295");
    damage(16, &zero, 4, 999, "n_chunk is 0");
    damage(16, &million, 4, 999, "need");
    damage(12, &million, 4, 999, "need");
    damage(20, &five, 4, 999, "token 0 is 5, the vocabulary has 5");
    damage(0, "", 0, 91, "is 91 bytes long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choices),    cmocka_unit_test(intervals), cmocka_unit_test(collect),
        cmocka_unit_test(perplexity), cmocka_unit_test(base_file), cmocka_unit_test(divergence),
        cmocka_unit_test(damaged),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove(FILE_NAME);
    return failed;
}
