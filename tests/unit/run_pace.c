/* Devices of any speed, simulated: no submission of a prompt takes longer than 250 ms, the first
 * one included, and chunks become as long as they may. */
#include "run/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { LAYERS = 32, DIM = 4096, FFN = 11008, N_BATCH = 2048 };
static const double largest = 2.0 * DIM * FFN; /* flop of a token */

struct gpu {
    double flop_ns, byte_ns; /* real time of an operation, of a byte */
    double uneven;           /* every other matrix takes so many times longer than that */
};

struct run {
    double longest_ns, all_ns;
    uint32_t submissions, chunks;
};

/* A layer of LLaMA 7B in F16 for n tokens: matrices alone. */
static struct op_cost cost_of(uint32_t node, uint32_t n)
{
    double rows = node < 4 ? DIM : FFN;
    return (struct op_cost){.flop = 2.0 * rows * DIM * n, .bytes = 2.0 * rows * DIM};
}

/* What record.c and step.c do with one chunk. */
static void run_chunk(struct run_pace *pace, const struct gpu *gpu, uint32_t n, struct run *run)
{
    enum pace_kind kind = pace_kind_of(n);
    double scale = pace_scale(pace, kind), open = 0, real = 0, assumed_all = 0, real_all = 0;
    for (uint32_t i = 0; i < LAYERS * 7; i++) {
        struct op_cost cost = cost_of(i % 7, n);
        double assumed = pace_assumed_ns(pace, &cost), flop = cost.flop * gpu->flop_ns;
        double takes = flop > cost.bytes * gpu->byte_ns ? flop : cost.bytes * gpu->byte_ns;
        takes *= i % 2 != 0 ? gpu->uneven : 1;
        if (i == 0 || pace_splits(pace, open, assumed * scale)) {
            run->submissions++;
            open = real = 0;
        }
        open += assumed * scale;
        real += takes;
        assumed_all += assumed;
        real_all += takes;
        run->longest_ns = real > run->longest_ns ? real : run->longest_ns;
    }
    run->all_ns += real_all;
    run->chunks++;
    pace_add(pace, kind, assumed_all, real_all);
}

/* A prompt as run_prefill cuts it. */
static struct run run_prompt(struct run_pace *pace, const struct gpu *gpu, uint32_t n)
{
    struct run run = {0};
    for (uint32_t done = 0; done < n;) {
        bool known = pace->cpu || pace_is_known(pace, PACE_CHUNK);
        uint32_t most = pace_tokens(pace, largest);
        most = pace_full_tiles(most < N_BATCH ? most : N_BATCH);
        uint32_t left = n - done, size = pace_chunk_size(left, most);
        do {
            uint32_t take = size < n - done ? size : n - done;
            run_chunk(pace, gpu, take, &run);
            done += take;
        } while (known && done < n);
    }
    return run;
}

static void no_submission_is_too_long(void **state)
{
    (void)state;
    static const double tflops[] = {0.05, 0.1, 0.5, 1, 5, 20, 100, 600};
    for (size_t i = 0; i < sizeof tflops / sizeof *tflops; i++) {
        for (int uneven = 1; uneven <= 2; uneven++) {
            const struct gpu gpu = {1e-3 / tflops[i], 1.0 / (10 + 8 * tflops[i]), uneven};
            struct run_pace pace;
            pace_init(&pace, false);
            assert_false(pace_is_known(&pace, PACE_CHUNK));
            struct run first = run_prompt(&pace, &gpu, 2048);
            assert_true(pace_is_known(&pace, PACE_CHUNK));
            struct run second = run_prompt(&pace, &gpu, 2048), third = second;
            for (int k = 0; k < 8; k++) {
                third = run_prompt(&pace, &gpu, 2048);
            }
            printf("%6.2f TFLOP/s, uneven %d: first %3u submissions in %2u chunks, longest %5.1f "
                   "ms; then %3u in %2u, %5.1f ms; %3u in %2u, %5.1f ms\n",
                   tflops[i], uneven, first.submissions, first.chunks, first.longest_ns / 1e6,
                   second.submissions, second.chunks, second.longest_ns / 1e6, third.submissions,
                   third.chunks, third.longest_ns / 1e6);
            assert_true(first.longest_ns <= RUN_SUBMIT_NS);
            assert_true(second.longest_ns <= RUN_SUBMIT_NS);
            assert_true(third.longest_ns <= RUN_SUBMIT_NS);
            if (tflops[i] >= 5) { /* the whole prompt at once, in few submissions */
                assert_int_equal(third.chunks, 1);
                assert_true(third.submissions <= 1 + third.all_ns / 50e6);
            }
        }
    }
}

/* A device that becomes slower, as laptops do, is believed at once. */
static void slower_counts_at_once(void **state)
{
    (void)state;
    struct run_pace pace;
    pace_init(&pace, false);
    pace_add(&pace, PACE_CHUNK, 1e9, 1e7);
    assert_true(pace_scale(&pace, PACE_CHUNK) == 0.01);
    assert_true(pace_scale(&pace, PACE_STEP) == 20); /* that one was not measured */
    pace_add(&pace, PACE_CHUNK, 1e9, 8e7);
    assert_true(pace_scale(&pace, PACE_CHUNK) == 0.08);
    pace_add(&pace, PACE_CHUNK, 1e9, 1e7);
    assert_true(pace_scale(&pace, PACE_CHUNK) < 0.0451);
    pace_add(&pace, PACE_CHUNK, 0, 1e7); /* nothing ran: nothing is learned */
    pace_add(&pace, PACE_CHUNK, 1e9, 0);
    assert_true(pace_scale(&pace, PACE_CHUNK) > 0.0449);
}

/* Software devices share the machine with everybody: a measure moves them a quarter of the way. */
static void cpus_are_as_assumed(void **state)
{
    (void)state;
    struct run_pace pace;
    pace_init(&pace, true);
    assert_true(pace_scale(&pace, PACE_CHUNK) == 1 && pace.cut_ns == RUN_SUBMIT_NS);
    assert_int_equal(pace_tokens(&pace, 1e6), 2000);
    pace_add(&pace, PACE_CHUNK, 1e9, 5e9);
    assert_true(pace_scale(&pace, PACE_CHUNK) == 2);
}

static void chunks_are_full_tiles(void **state)
{
    (void)state;
    static const uint32_t cases[][3] = {/* n, most: size */
                                        {2048, 2048, 2048}, {2047, 2048, 2047}, {2049, 2048, 1152},
                                        {512, 2048, 512},   {5000, 2048, 1792}, {2048, 512, 512},
                                        {600, 512, 384},    {128, 128, 128},    {129, 128, 128},
                                        {70, 64, 35},       {128, 64, 64},      {130, 64, 44},
                                        {1, 64, 1},         {7, 1, 1},          {100, 48, 34}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t n = cases[i][0], most = cases[i][1], size = pace_chunk_size(n, most);
        assert_int_equal(size, cases[i][2]);
    }
    for (uint32_t n = 1; n < 5000; n += 7) {
        for (uint32_t most = 1; most <= 2048; most += most < 200 ? 1 : 61) {
            uint32_t full = pace_full_tiles(most), size = pace_chunk_size(n, full);
            assert_true(full != 0 && full <= most && size != 0 && size <= full);
            /* no more chunks than needed */
            assert_int_equal((n + size - 1) / size, (n + full - 1) / full);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_submission_is_too_long),
        cmocka_unit_test(slower_counts_at_once),
        cmocka_unit_test(cpus_are_as_assumed),
        cmocka_unit_test(chunks_are_full_tiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
