/* The arithmetic of the microbenchmarks: shapes as text, the roofline, medians, names. */
#include "lab/bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void test_shapes(void **state)
{
    (void)state;
    struct bench_shape s;
    char text[64];
    assert_true(bench_shape_parse("4096x1x11008", &s));
    assert_true(s.m == 4096 && s.n == 1 && s.k == 11008 && s.kv == 0);
    bench_shape_text(&s, text, sizeof text);
    assert_string_equal(text, "4096x1x11008");
    assert_true(bench_shape_parse("64/8x1x4096", &s));
    assert_true(s.m == 64 && s.kv == 8);
    bench_shape_text(&s, text, sizeof text);
    assert_string_equal(text, "64/8x1x4096");
    assert_true(bench_shape_parse("16777216x16777216x16777216", &s));
    static const char *const bad[] = {"",
                                      "x",
                                      "1x2",
                                      "1x2x",
                                      "x2x3",
                                      "1xx3",
                                      "1x2x3x",
                                      "1x2x3x4",
                                      "0x2x3",
                                      "1x0x3",
                                      "1x2x0",
                                      "-1x2x3",
                                      "+1x2x3",
                                      " 1x2x3",
                                      "1x2x3 ",
                                      "1 x2x3",
                                      "1.0x2x3",
                                      "1e3x2x3",
                                      "0x10x2x3",
                                      "16777217x1x1",
                                      "1X2X3",
                                      "8/0x1x1",
                                      "8/9x1x1",
                                      "8/x1x1",
                                      "/8x1x1",
                                      "8x1/2x1",
                                      "99999999999x1x1",
                                      "18446744073709551617x1x1",
                                      "4294967297x1x1",
                                      "1x2x3\n"};
    for (uint32_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (bench_shape_parse(bad[i], &s)) {
            fail_msg("'%s' was taken for a shape", bad[i]);
        }
    }
}

static void test_roofline(void **state)
{
    (void)state;
    char name[24];
    struct bench_limits limits = {1e12, 1e11, "fma", "read"}; /* the ridge: 10 flop a byte */
    /* 1e6 bytes take 10 us at least; 20 us is half of what can be */
    assert_float_equal(bench_roofline(1e6, 1e6, 20, &limits, name, sizeof name), 0.5, 1e-12);
    assert_string_equal(name, "read");
    /* 1e9 operations take 1000 us */
    assert_float_equal(bench_roofline(1e9, 1e6, 1250, &limits, name, sizeof name), 0.8, 1e-12);
    assert_string_equal(name, "fma");
    limits.flops = 0;
    assert_float_equal(bench_roofline(1e9, 1e6, 1250, &limits, name, sizeof name), 0.008, 1e-12);
    assert_string_equal(name, "read");
    limits.bandwidth = 0;
    assert_true(bench_roofline(1e9, 1e6, 1250, &limits, name, sizeof name) < 0);
    assert_string_equal(name, "");
    limits.bandwidth = 1;
    assert_true(bench_roofline(1, 1, 0, &limits, name, sizeof name) < 0);
    assert_true(bench_roofline(0, 0, 1, &limits, name, sizeof name) < 0);
    char cut[4];
    assert_true(bench_roofline(0, 1, 1, &limits, cut, sizeof cut) > 0);
    assert_string_equal(cut, "rea");
}

static void test_median(void **state)
{
    (void)state;
    double one[] = {7}, odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2}, equal[] = {5, 5, 5, 5};
    assert_true(bench_median(one, 1) == 7);
    assert_true(bench_median(odd, 3) == 2);
    assert_true(odd[0] == 1 && odd[2] == 3); /* sorted: the first is the least */
    assert_true(bench_median(even, 4) == 2.5);
    assert_true(bench_median(equal, 4) == 5);
}

static void test_names(void **state)
{
    (void)state;
    uint32_t n = 0;
    for (; bench_type_name(n) != NULL; n++) {
        assert_true(bench_type_known(bench_type_name(n)));
    }
    assert_true(n >= QUANT_COUNT);
    for (uint32_t i = 0; i < n; i++) { /* each once */
        for (uint32_t k = i + 1; k < n; k++) {
            assert_string_not_equal(bench_type_name(i), bench_type_name(k));
        }
    }
    for (uint32_t i = 0; i < LAB_KV_TYPES; i++) {
        assert_true(bench_type_known(plan_elem_name(lab_kv_type(i))));
    }
    assert_true(bench_type_known("Q4_K") && bench_type_known("q4_k"));
    assert_false(bench_type_known("q4") || bench_type_known("q4_kk") || bench_type_known(""));
    assert_true(bench_variant_known(BENCH_GEMM, "plain_gemm"));
    assert_true(bench_variant_known(BENCH_ALL, "plain_gemm"));
    assert_true(bench_variant_known(BENCH_NORM, "all"));
    assert_false(bench_variant_known(BENCH_NORM, "plain_gemm"));
    assert_false(bench_variant_known(BENCH_ALL, "plain_gem"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_roofline),
        cmocka_unit_test(test_median),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
