/* Sums of overlapping times by reason, and offsets between two clocks. */
#include "run/idle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

static void nothing_sums_to_nothing(void **state)
{
    (void)state;
    uint64_t ns[IDLE_REASONS];
    assert_true(idle_sum(NULL, 0, ns));
    const struct idle_span backward = {20, 10, IDLE_WAIT};
    assert_true(idle_sum(&backward, 1, ns));
    for (int i = 0; i < IDLE_REASONS; i++) {
        assert_int_equal(ns[i], 0);
    }
}

/* A step: prepared, submitted, begun late, done, seen late; meanwhile the next one is recorded. */
static void the_first_reason_counts(void **state)
{
    (void)state;
    const struct idle_span spans[] = {{0, 10, IDLE_PREPARE},  {10, 30, IDLE_SUBMIT},
                                      {30, 45, IDLE_START},   {45, 100, IDLE_BUSY},
                                      {35, 120, IDLE_RECORD}, {100, 130, IDLE_WAIT},
                                      {110, 140, IDLE_READ},  {150, 160, IDLE_SAMPLE}};
    uint64_t ns[IDLE_REASONS];
    assert_true(idle_sum(spans, sizeof spans / sizeof *spans, ns));
    assert_int_equal(ns[IDLE_PREPARE], 10);
    assert_int_equal(ns[IDLE_SUBMIT], 20);
    assert_int_equal(ns[IDLE_START], 15);
    assert_int_equal(ns[IDLE_BUSY], 55);
    assert_int_equal(ns[IDLE_WAIT], 30); /* it hides the recording from 100 on */
    assert_int_equal(ns[IDLE_RECORD], 0);
    assert_int_equal(ns[IDLE_READ], 10);
    assert_int_equal(ns[IDLE_SAMPLE], 10);
}

/* Against a sum over every nanosecond. */
static void random_spans_as_by_counting(void **state)
{
    (void)state;
    srand(5);
    for (int round = 0; round < 200; round++) {
        struct idle_span spans[40];
        uint64_t ns[IDLE_REASONS], want[IDLE_REASONS] = {0};
        for (int i = 0; i < 40; i++) {
            uint64_t begin = (uint64_t)(rand() % 300);
            spans[i] = (struct idle_span){begin, begin + (uint64_t)(rand() % 20),
                                          (enum idle_why)(rand() % IDLE_REASONS)};
        }
        for (uint64_t t = 0; t < 320; t++) {
            int best = IDLE_REASONS;
            for (int i = 0; i < 40; i++) {
                int why = (int)spans[i].why;
                best = spans[i].begin <= t && t < spans[i].end && why < best ? why : best;
            }
            if (best != IDLE_REASONS) {
                want[best]++;
            }
        }
        assert_true(idle_sum(spans, 40, ns));
        assert_memory_equal(ns, want, sizeof ns);
    }
}

/* A device whose clock began a billion later and runs 40 ppm fast; work begins 2 to 9 us after its
 * submission and its end is seen 3 to 10 us late. */
static void clocks_are_joined(void **state)
{
    (void)state;
    enum { N = 500 };
    static struct idle_seen seen[N];
    static int64_t offset[N];
    srand(7);
    uint64_t now = 5000000;
    for (int i = 0; i < N; i++) {
        uint64_t begin = now + 2000 + (uint64_t)(rand() % 7000), end = begin + 3000000;
        seen[i] = (struct idle_seen){.submitted = now,
                                     .seen = end + 3000 + (uint64_t)(rand() % 7000),
                                     .begin = 1000000000 + begin + begin / 25000,
                                     .end = 1000000000 + end + end / 25000};
        now = seen[i].seen + 20000;
    }
    idle_fit_clock(seen, N, offset);
    for (int i = 0; i < N; i++) {
        int64_t begin = (int64_t)seen[i].begin + offset[i];
        assert_true(begin >= (int64_t)seen[i].submitted - 3000);
        assert_true((int64_t)seen[i].end + offset[i] <= (int64_t)seen[i].seen + 3000);
    }
    idle_fit_clock(seen, 1, offset); /* one alone: the middle of its own bounds */
    int64_t low = (int64_t)(seen[0].submitted - seen[0].begin);
    int64_t high = (int64_t)(seen[0].seen - seen[0].end);
    assert_int_equal(offset[0], low + (high - low) / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_sums_to_nothing),
        cmocka_unit_test(the_first_reason_counts),
        cmocka_unit_test(random_spans_as_by_counting),
        cmocka_unit_test(clocks_are_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
