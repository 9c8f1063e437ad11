/* The judge of the lab: every kind of wrong result is noticed, right ones pass. */
#include "lab/internal.h"

#include "base/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

enum { N = 6 };

struct sample {
    struct plan_tensor tensor;
    struct lab_data data;
    double value[N], bound[N];
    uint32_t words[N];
};

static void set(struct sample *s, uint32_t i, float found)
{
    memcpy(&s->words[i], &found, sizeof found);
}

/* Two rows of three right f32 results 1, 2, .. within 0.001. */
static void init(struct sample *s)
{
    *s = (struct sample){.tensor = {.name = "y", .elem = PLAN_F32, .rows = 2, .cols = 3}};
    for (uint32_t i = 0; i < N; i++) {
        s->value[i] = i + 1;
        s->bound[i] = 1e-3;
        set(s, i, (float)(i + 1));
    }
    s->data.value = s->value;
    s->data.bound = s->bound;
}

static struct lab_result judge(struct sample *s, double limit)
{
    struct lab_result result = {0};
    struct lab_sums sums = {0, 0};
    lab_compare(&s->tensor, &s->data, s->words, &result, &sums);
    lab_judge(&result, &sums, limit);
    return result;
}

static void test_right(void **state)
{
    (void)state;
    struct sample s;
    init(&s);
    set(&s, 4, 5.0009f);
    struct lab_result r = judge(&s, 1e-6);
    assert_true(r.passed);
    assert_int_equal(r.elements, N);
    assert_true(r.worst_ratio > 0.8 && r.worst_ratio < 1);
    assert_string_equal(r.first, "");
}

static void test_beyond(void **state)
{
    (void)state;
    struct sample s;
    init(&s);
    set(&s, 4, 5.0011f);
    struct lab_result r = judge(&s, 1);
    assert_false(r.passed);
    assert_int_equal(r.beyond, 1);
    assert_non_null(strstr(r.first, "y[1][1] is beyond its bound"));
}

static void test_nmse(void **state)
{
    (void)state;
    struct sample s;
    init(&s);
    set(&s, 0, 1.0009f);
    struct lab_result r = judge(&s, 1e-10);
    assert_false(r.passed);
    assert_int_equal(r.beyond, 0);
    assert_non_null(strstr(r.first, "NMSE"));
}

static void test_not_finite(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (uint32_t i = 0; i < 3; i++) {
        struct sample s;
        init(&s);
        set(&s, i, bad[i]);
        struct lab_result r = judge(&s, 1);
        assert_false(r.passed);
        assert_int_equal(r.not_finite, 1);
    }
}

static void test_class(void **state)
{
    (void)state;
    struct sample s;
    init(&s);
    s.value[0] = INFINITY;
    s.value[1] = NAN;
    set(&s, 0, INFINITY);
    set(&s, 1, -NAN);
    assert_true(judge(&s, 1e-10).passed);
    set(&s, 0, -INFINITY);
    set(&s, 1, 2.0f);
    struct lab_result r = judge(&s, 1);
    assert_false(r.passed);
    assert_int_equal(r.beyond, 2);
}

static void test_unwritten(void **state)
{
    (void)state;
    struct sample s;
    init(&s);
    s.words[5] = LAB_POISON;
    struct lab_result r = judge(&s, 1);
    assert_false(r.passed);
    assert_int_equal(r.unwritten, 1);
    assert_non_null(strstr(r.first, "y[1][2] was not written"));
}

static void test_halves(void **state)
{
    (void)state;
    struct sample s;
    init(&s);
    s.tensor.elem = PLAN_F16;
    for (uint32_t i = 0; i < 3; i++) {
        s.words[i] = half_from_float((float)(2 * i + 1)) |
                     (uint32_t)half_from_float((float)(2 * i + 2)) << 16;
    }
    assert_true(judge(&s, 1e-10).passed);
    s.words[1] = (s.words[1] & 0xffffu) | (LAB_POISON & 0xffff0000u);
    struct lab_result r = judge(&s, 1);
    assert_int_equal(r.unwritten, 1);
    float given = 0;
    s.data.values = &given; /* a cache that was filled before: no poison, but not a number */
    r = judge(&s, 1);
    assert_int_equal(r.unwritten, 0);
    assert_int_equal(r.not_finite, 1);
}

static void test_indices(void **state)
{
    (void)state;
    struct sample s;
    init(&s);
    s.tensor.elem = PLAN_U32;
    memset(s.bound, 0, sizeof s.bound);
    for (uint32_t i = 0; i < N; i++) {
        s.words[i] = i + 1;
    }
    assert_true(judge(&s, 1e-10).passed);
    s.words[2] = 4;
    assert_int_equal(judge(&s, 1).beyond, 1);
}

static void test_nothing(void **state)
{
    (void)state;
    struct lab_result result = {0};
    const struct lab_sums sums = {0, 0};
    lab_judge(&result, &sums, 1);
    assert_false(result.passed);
}

static void test_cases(void **state)
{
    (void)state;
    uint32_t n;
    const struct lab_op *const *ops = lab_list(&n);
    assert_true(n >= 6);
    for (uint32_t i = 0; i < n; i++) {
        assert_ptr_equal(lab_find(ops[i]->name), ops[i]);
        uint32_t count = lab_case_count(ops[i]);
        assert_true(count >= ops[i]->n_shapes);
        struct lab_case first = lab_case_get(ops[i], 0, 7);
        struct lab_case last = lab_case_get(ops[i], count - 1, 7);
        assert_ptr_equal(first.dims, ops[i]->shapes[0]);
        assert_ptr_equal(last.dims, ops[i]->shapes[ops[i]->n_shapes - 1]);
        assert_true(count == 1 || first.seed != last.seed);
    }
    assert_null(lab_find("no such op"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),   cmocka_unit_test(test_beyond),
        cmocka_unit_test(test_nmse),    cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_class),   cmocka_unit_test(test_unwritten),
        cmocka_unit_test(test_halves),  cmocka_unit_test(test_indices),
        cmocka_unit_test(test_nothing), cmocka_unit_test(test_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
