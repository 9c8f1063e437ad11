/* The sampler: every filter against a naive reference over random logits, the odd inputs, and the
 * distribution of many draws. The file is compiled in, because its room needs Vulkan and this does
 * not. */
#include "run/sample.h"

#include "../../src/run/sample.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 300 };

static const struct sample_params NEUTRAL = {
    .temperature = 1, .top_p = 1, .repeat_penalty = 1, .repeat_last = 64};

static double normal(uint64_t *seed)
{
    double u = hash_uniform(seed), v = hash_uniform(seed);
    return sqrt(-2 * log(1 - u)) * cos(6.283185307179586 * v);
}

/* Rounded to eighths now and then, so that there are ties. */
static void random_logits(uint64_t *seed, float *logits, uint32_t n)
{
    bool coarse = hash_next(seed) % 2 == 0;
    for (uint32_t i = 0; i < n; i++) {
        double x = 3 * normal(seed);
        logits[i] = (float)(coarse ? floor(8 * x) / 8 : x);
    }
}

static struct sampler *make(const struct sample_params *params, uint32_t n)
{
    struct sampler *sampler = sampler_create(params, n);
    assert_non_null(sampler);
    return sampler;
}

static uint32_t pick(struct sampler *sampler, const float *logits)
{
    uint32_t token = UINT32_MAX;
    assert_true(sampler_pick(sampler, logits, &token));
    return token;
}

/* ---- the naive reference: sort everything, then the formulas as written down ---- */

struct naive {
    double logit, p;
    uint32_t id;
};

static int largest_first(const void *a, const void *b)
{
    const struct naive *x = a, *y = b;
    if (x->logit != y->logit) {
        return x->logit > y->logit ? -1 : 1;
    }
    return (x->id > y->id) - (x->id < y->id);
}

static void softmax(struct naive *list, uint32_t n, double temperature)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        list[i].p = exp((list[i].logit - list[0].logit) / temperature);
        sum += list[i].p;
    }
    for (uint32_t i = 0; i < n; i++) {
        list[i].p /= sum;
    }
}

/* Probability of every token. */
static void naive_probabilities(const struct sample_params *p, const float *logits,
                                const bool *repeated, double *out)
{
    struct naive list[N];
    uint32_t n = N, keep;
    for (uint32_t i = 0; i < N; i++) {
        double logit = logits[i];
        if (repeated != NULL && repeated[i]) {
            logit = logit > 0 ? logit / p->repeat_penalty : logit * p->repeat_penalty;
        }
        list[i] = (struct naive){.logit = logit, .id = i};
        out[i] = 0;
    }
    qsort(list, n, sizeof *list, largest_first);
    n = p->top_k > 0 && p->top_k < n ? p->top_k : n;
    softmax(list, n, 1);
    double sum = 0;
    for (keep = 0; keep < n && (keep == 0 || sum < p->top_p || p->top_p >= 1); keep++) {
        sum += list[keep].p;
    }
    n = keep;
    softmax(list, n, 1);
    for (keep = 1; keep < n && list[keep].p >= (double)p->min_p * list[0].p * (1 - 1e-12);) {
        keep++;
    }
    softmax(list, keep, p->temperature);
    for (uint32_t i = 0; i < keep; i++) {
        out[list[i].id] = list[i].p;
    }
}

/* What the sampler would draw with which probability, by looking at the candidates it keeps. */
static void kept_probabilities(struct sampler *sampler, const float *logits, double *out)
{
    const struct sample_params *p = &sampler->params;
    uint32_t n = collect(sampler, logits), kept = cut(sampler->list, n, p);
    const struct candidate *list = sampler->list + (n - kept);
    double sum = 0;
    memset(out, 0, N * sizeof *out);
    for (uint32_t i = 0; i < kept; i++) {
        sum += exp((list[i].logit - list[kept - 1].logit) / p->temperature);
        assert_true(i == 0 || is_better(&list[i], &list[i - 1]));
    }
    for (uint32_t i = 0; i < kept; i++) {
        out[list[i].id] = exp((list[i].logit - list[kept - 1].logit) / p->temperature) / sum;
    }
}

static void test_filters(void **state)
{
    (void)state;
    static const uint32_t KS[] = {0, 1, 2, 5, 40, N - 1, N, 10 * N};
    static const float PS[] = {1, 0.95f, 0.9f, 0.5f, 0.1f, 1e-6f, 2};
    static const float MINS[] = {0, 0.05f, 0.3f, 1e-9f, 1, 2};
    static const float TS[] = {1, 0.7f, 1.7f};
    uint64_t seed = 31337;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 1500; round++) {
        struct sample_params p = NEUTRAL;
        float logits[N];
        bool repeated[N] = {false};
        double want[N], got[N];
        p.top_k = KS[hash_next(&seed) % 8];
        p.top_p = PS[hash_next(&seed) % 7];
        p.min_p = MINS[hash_next(&seed) % 6];
        p.temperature = TS[hash_next(&seed) % 3];
        p.repeat_penalty = round % 3 == 0 ? 1.3f : 1;
        p.repeat_last = 10;
        random_logits(&seed, logits, N);
        struct sampler *sampler = make(&p, N);
        for (int i = 0; i < 30; i++) {
            uint32_t token = (uint32_t)(hash_next(&seed) % N);
            sampler_add(sampler, token);
            repeated[token] = repeated[token] || i >= 20; /* the last ten count */
        }
        naive_probabilities(&p, logits, p.repeat_penalty != 1 ? repeated : NULL, want);
        kept_probabilities(sampler, logits, got);
        for (uint32_t i = 0; i < N; i++) {
            if (fabs(want[i] - got[i]) > 1e-9) {
                fail_msg("round %d (top_k %u, top_p %g, min_p %g, t %g): token %u has %g, not %g",
                         round, p.top_k, (double)p.top_p, (double)p.min_p, (double)p.temperature, i,
                         got[i], want[i]);
            }
        }
        uint32_t token = pick(sampler, logits);
        assert_true(want[token] > 0);
        sampler_destroy(sampler);
    }
}

static void test_penalty(void **state)
{
    (void)state;
    /* a positive logit is divided, a negative one multiplied, once however often it was said */
    struct sample_params p = NEUTRAL;
    float logits[4] = {2, -1, 1.9f, -1.4f};
    p.temperature = 0;
    p.repeat_penalty = 1.5f;
    struct sampler *sampler = make(&p, 4);
    assert_false(sampler_is_greedy(sampler));
    assert_int_equal(pick(sampler, logits), 0);
    sampler_add(sampler, 0);
    sampler_add(sampler, 0);
    assert_int_equal(pick(sampler, logits), 2); /* 2 / 1.5 < 1.9 */
    sampler_add(sampler, 2);
    assert_int_equal(pick(sampler, logits), 0); /* 1.333 > 1.267 */
    assert_int_equal(collect(sampler, logits), 4);
    assert_true(fabs(sampler->list[0].logit - 2 / 1.5) < 1e-12);
    sampler_add(sampler, 1);
    collect(sampler, logits);
    assert_true(fabs(sampler->list[1].logit + 1.5) < 1e-12);
    assert_true(logits[0] == 2 && logits[1] == -1); /* not changed */
    sampler_add(sampler, 4);                        /* no token: ignored */
    sampler_add(sampler, UINT32_MAX);
    sampler_destroy(sampler);
    /* the window forgets */
    p.repeat_last = 2;
    sampler = make(&p, 4);
    sampler_add(sampler, 0);
    sampler_add(sampler, 1);
    assert_int_equal(pick(sampler, logits), 2);
    sampler_add(sampler, 1);
    assert_int_equal(pick(sampler, logits), 0);
    sampler_destroy(sampler);
}

static void test_greedy(void **state)
{
    (void)state;
    struct sample_params p = NEUTRAL;
    float logits[6] = {-3, 7, 7, 1, 7, -INFINITY};
    p.temperature = 0;
    struct sampler *sampler = make(&p, 6);
    assert_true(sampler_is_greedy(sampler));
    assert_int_equal(pick(sampler, logits), 1); /* lowest id on ties */
    logits[1] = NAN;
    assert_int_equal(pick(sampler, logits), 2);
    logits[3] = INFINITY; /* not a finite logit: never wins */
    assert_int_equal(pick(sampler, logits), 2);
    assert_true(sampler_ban(sampler, 2));
    assert_true(sampler_ban(sampler, 99));
    assert_true(sampler_is_greedy(sampler));
    assert_int_equal(pick(sampler, logits), 4);
    sampler_destroy(sampler);
    p.temperature = -1;
    sampler = make(&p, 6);
    assert_true(sampler_is_greedy(sampler));
    assert_int_equal(pick(sampler, logits), 2);
    sampler_destroy(sampler);
    p.temperature = 1;
    sampler = make(&p, 6);
    assert_false(sampler_is_greedy(sampler));
    sampler_destroy(sampler);
    p.top_k = 1;
    sampler = make(&p, 6);
    assert_true(sampler_is_greedy(sampler));
    assert_int_equal(pick(sampler, logits), 2);
    sampler_destroy(sampler);
}

/* At least one candidate is always left; nothing finite is the one refusal. */
static void test_odd(void **state)
{
    (void)state;
    const struct {
        float temperature, top_p, min_p, penalty;
        uint32_t top_k;
    } ODD[] = {{1, 0, 0, 1, 0},           {1, -1, 0, 1, 3},        {1, 1, 2, 1, 0},
               {1, 0.5f, 9, 1, 2},        {1, NAN, NAN, NAN, 0},   {NAN, 1, 0, 1, 0},
               {1, 1, 0, 0, 0},           {1, 1, 0, -2, 0},        {1e-30f, 1, 0, 1, 0},
               {INFINITY, 0.1f, 0, 1, 0}, {1, 1, 0, 1, UINT32_MAX}};
    float logits[5] = {NAN, -INFINITY, 3, 50, INFINITY};
    float extreme[5] = {3.4e38f, -3.4e38f, 3.4e38f, 0, -3.4e38f};
    float nothing[3] = {NAN, -INFINITY, INFINITY};
    uint32_t token;
    for (size_t i = 0; i < sizeof ODD / sizeof *ODD; i++) {
        struct sample_params p = {.temperature = ODD[i].temperature,
                                  .top_k = ODD[i].top_k,
                                  .top_p = ODD[i].top_p,
                                  .min_p = ODD[i].min_p,
                                  .repeat_penalty = ODD[i].penalty,
                                  .repeat_last = 8};
        struct sampler *sampler = make(&p, 5);
        sampler_add(sampler, 3);
        for (int k = 0; k < 20; k++) {
            token = pick(sampler, logits);
            assert_true(token == 2 || token == 3);
            assert_true(token == 3 || i == 9); /* 47 apart: else e^-47 */
            token = pick(sampler, extreme);
            assert_true(token == 0 || token == 2 || i == 9);
        }
        assert_true(sampler_ban(sampler, 2) && sampler_ban(sampler, 3));
        assert_false(sampler_pick(sampler, logits, &token));
        sampler_destroy(sampler);
        sampler = make(&p, 3);
        assert_false(sampler_pick(sampler, nothing, &token));
        sampler_destroy(sampler);
        sampler = make(&p, 0);
        assert_false(sampler_pick(sampler, NULL, &token));
        sampler_destroy(sampler);
    }
    sampler_destroy(NULL);
}

/* What op_topk makes of logits: one after the other, the best that is left. */
static void find_top(const float *logits, uint32_t k, uint32_t *top)
{
    bool taken[N] = {false};
    for (uint32_t i = 0; i < k; i++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t id = 0; id < N; id++) {
            if (isfinite(logits[id]) && !taken[id] &&
                (best == UINT32_MAX || logits[id] > logits[best])) {
                best = id;
            }
        }
        float value = best != UINT32_MAX ? logits[best] : -INFINITY;
        memcpy(&top[i], &value, sizeof value);
        top[k + i] = best;
        if (best != UINT32_MAX) {
            taken[best] = true;
        }
    }
}

/* Ties, and at `kind` 1 and 2 numbers that do not count: some, all but a few. */
static void top_logits(uint64_t *seed, float *logits, uint32_t kind)
{
    random_logits(seed, logits, N);
    for (uint32_t id = 0; id < N; id++) {
        bool odd = kind == 2 ? id % 23 != 0 : kind == 1 && id % 3 == 0;
        logits[id] = odd ? (id % 2 != 0 ? NAN : INFINITY) : roundf(logits[id] * 4) / 4;
    }
}

/* The largest logits give the same tokens as all of them. */
static void test_top(void **state)
{
    (void)state;
    static const uint32_t KS[] = {1, 2, 12, 13, 14, 40, 200};
    static const float PS[] = {1, 0.9f, 0}, MINS[] = {0, 0.1f}, PENALTIES[] = {1, 1.3f};
    uint64_t seed = 4;
    for (uint32_t i = 0; i < 7 * 3 * 2 * 2 * 3; i++) {
        struct sample_params p = {.temperature = i % 5 != 0 ? 0.9f : 0,
                                  .top_k = KS[i % 7],
                                  .top_p = PS[i / 7 % 3],
                                  .min_p = MINS[i / 21 % 2],
                                  .repeat_penalty = PENALTIES[i / 42 % 2],
                                  .repeat_last = 16,
                                  .seed = i};
        struct sampler *all = make(&p, N), *few = make(&p, N);
        for (uint32_t id = 0; id < i % 4; id++) {
            assert_true(sampler_ban(all, id * 23) && sampler_ban(few, id * 23));
            assert_true(sampler_ban(few, id * 23)); /* counts once */
        }
        bool largest = p.temperature == 0 || p.top_k == 1 || p.top_p == 0;
        uint32_t k = sampler_top(few), most = (largest ? 1 : p.top_k + 1) + i % 4;
        assert_int_equal(k, most + (p.repeat_penalty != 1 ? 16 : 0));
        for (uint32_t n = 0; n < 30; n++) {
            float logits[N];
            uint32_t top[2 * N], token = UINT32_MAX;
            top_logits(&seed, logits, i / 84);
            find_top(logits, k, top);
            assert_true(sampler_pick_top(few, top, k, &token));
            assert_int_equal(token, pick(all, logits));
            sampler_add(all, token);
            sampler_add(few, token);
        }
        sampler_destroy(all);
        sampler_destroy(few);
    }
}

/* Where some logits are not enough, and where there are none. */
static void test_no_top(void **state)
{
    (void)state;
    static const struct sample_params ALL[] = {
        {.temperature = 1, .top_p = 0.9f},
        {.temperature = 1, .top_p = 1, .top_k = N - 1},
        {.temperature = 1, .top_p = 1, .top_k = UINT32_MAX},
        {.temperature = 1, .top_p = 1, .top_k = 5, .repeat_penalty = 0.9f, .repeat_last = 4},
        {.temperature = 1,
         .top_p = 1,
         .top_k = 5,
         .repeat_penalty = 2,
         .repeat_last = UINT32_MAX >> 4},
    };
    uint32_t nothing[] = {0xff800000u, 0xff800000u, UINT32_MAX, UINT32_MAX}, token;
    for (size_t i = 0; i < sizeof ALL / sizeof *ALL; i++) {
        struct sampler *sampler = make(&ALL[i], N);
        assert_int_equal(sampler_top(sampler), 0);
        assert_false(sampler_pick_top(sampler, nothing, 2, &token));
        sampler_destroy(sampler);
    }
}

static void test_determinism(void **state)
{
    (void)state;
    struct sample_params p = NEUTRAL;
    uint64_t seed = 9;
    uint32_t first[200], differ = 0;
    p.top_k = 40;
    p.top_p = 0.95f;
    for (int run = 0; run < 3; run++) {
        p.seed = run < 2 ? 1 : 2;
        struct sampler *sampler = make(&p, N);
        seed = 9;
        for (int i = 0; i < 200; i++) {
            float logits[N];
            random_logits(&seed, logits, N);
            uint32_t token = pick(sampler, logits);
            if (run == 0) {
                first[i] = token;
            } else if (run == 1) {
                assert_int_equal(token, first[i]);
            } else {
                differ += token != first[i];
            }
        }
        sampler_destroy(sampler);
    }
    assert_true(differ > 50);
}

/* Chi-square of 200,000 draws: with 7 and 4 degrees of freedom, 29.9 and 23.5 are passed once in
 * ten thousand; the seed is fixed. */
static void test_distribution(void **state)
{
    (void)state;
    enum { DRAWS = 200000, M = 8 };
    const float logits[M] = {0, 1, -1, 2, 0.5f, -2, 1.5f, -0.5f};
    for (int cut_five = 0; cut_five < 2; cut_five++) {
        struct sample_params p = NEUTRAL;
        uint32_t counts[M] = {0};
        double sum = 0, chi = 0;
        p.temperature = 0.8f;
        p.top_k = cut_five ? 5 : 0;
        p.seed = 1234;
        struct sampler *sampler = make(&p, M);
        for (int i = 0; i < DRAWS; i++) {
            counts[pick(sampler, logits)]++;
        }
        sampler_destroy(sampler);
        for (int i = 0; i < M; i++) { /* the five largest are those of 0 and above */
            sum += !cut_five || logits[i] >= 0 ? exp(logits[i] / 0.8) : 0;
        }
        for (int i = 0; i < M; i++) {
            double want = DRAWS * exp(logits[i] / 0.8) / sum;
            if (cut_five && logits[i] < 0) {
                assert_int_equal(counts[i], 0);
            } else {
                chi += (counts[i] - want) * (counts[i] - want) / want;
            }
        }
        print_message("seed 1234, chi-square %.2f\n", chi);
        assert_true(chi < (cut_five ? 23.5 : 29.9));
        assert_true(chi > 0.1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters),     cmocka_unit_test(test_penalty),
        cmocka_unit_test(test_greedy),      cmocka_unit_test(test_odd),
        cmocka_unit_test(test_top),         cmocka_unit_test(test_no_top),
        cmocka_unit_test(test_determinism), cmocka_unit_test(test_distribution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
