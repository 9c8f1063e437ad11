/* Building, checking and printing a plan: what the builder refuses, what plan_check finds, and the
 * golden text of a small model on one and on two devices. */
#include "plan_fake.h"

#include "base/os.h"

static struct log test_log;

static int setup(void **state)
{
    (void)state;
    log_init(&test_log, NULL, NULL, LOG_ERROR);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    log_finish(&test_log);
    return 0;
}

static void expect_log(const char *part)
{
    char line[1024];
    log_get_last(&test_log, line, sizeof line);
    if (strstr(line, part) == NULL) {
        fail_msg("\"%s\" does not contain \"%s\"", line, part);
    }
}

static void place_all(struct plan *plan, uint32_t n_devices, const uint32_t *layers)
{
    struct plan_map map;
    fake_map(&map, n_devices, layers);
    assert_true(plan_place(plan, &map));
    assert_true(plan_memory(plan));
    assert_true(plan_memory_check(plan));
    plan_map_finish(&map);
}

/* The text of the plan, line by line against a file of tests/unit. */
static void golden(const char *file, uint32_t n_tokens, uint32_t n_devices, const uint32_t *layers)
{
    struct plan plan;
    struct str text;
    size_t bytes;
    char *want = os_read_text(file, 1 << 20, &bytes, &test_log);
    assert_non_null(want);
    str_init(&text);
    fake_llama(&plan, &test_log, n_tokens, 2);
    assert_false(plan.failed);
    assert_true(plan_check(&plan));
    place_all(&plan, n_devices, layers);
    plan_dump(&plan, &text);
    const char *a = str_get(&text), *b = want;
    for (uint32_t line = 1; *a != '\0' || *b != '\0'; line++) {
        size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        if (n != m || memcmp(a, b, n) != 0) {
            fail_msg("line %u is\n%.*s\nand should be\n%.*s", line, (int)n, a, (int)m, b);
        }
        a += n + (a[n] != '\0');
        b += m + (b[m] != '\0');
    }
    str_finish(&text);
    plan_finish(&plan);
    mem_free(want);
}

static void test_golden_one(void **state)
{
    (void)state;
    golden(QD_SOURCE_DIR "/tests/unit/plan_golden_1.txt", 1, 1, (const uint32_t[]){2});
}

static void test_golden_two(void **state)
{
    (void)state;
    golden(QD_SOURCE_DIR "/tests/unit/plan_golden_2.txt", 3, 2, (const uint32_t[]){1, 1});
}

static void test_dump_unplaced(void **state)
{
    (void)state;
    struct plan plan;
    struct str text;
    str_init(&text);
    fake_llama(&plan, &test_log, 1, 1);
    plan.nodes[1].dead = true;
    plan_dump(&plan, &text);
    assert_non_null(strstr(str_get(&text), "0 dev - layer in embed: embd F16[40,32], "));
    assert_null(strstr(str_get(&text), "\n1 dev"));
    assert_null(strstr(str_get(&text), "@"));
    str_finish(&text);
    plan_finish(&plan);
}

static void test_once(void **state)
{
    (void)state;
    struct plan plan;
    plan_init(&plan, &test_log, 1, 1, 1);
    uint32_t step = plan_get_step(&plan, 24);
    uint32_t w = plan_get_weight(&plan, 7, "w", QUANT_Q8_0, 4, 32);
    assert_int_equal(plan_get_step(&plan, 24), step);
    assert_int_equal(plan_get_weight(&plan, 7, "w", QUANT_Q8_0, 4, 32), w);
    assert_int_not_equal(plan_get_weight(&plan, 8, "w", QUANT_Q8_0, 4, 32), w);
    assert_int_equal(plan.n_tensors, 3);
    assert_int_equal(plan_tensor_bytes(plan_get_tensor(&plan, step)), 96);
    assert_int_equal(plan_tensor_bytes(plan_get_tensor(&plan, w)), 0);
    assert_int_equal(plan_get_tensor(&plan, 99)->rows, 0);
    plan_finish(&plan);
}

static void test_names(void **state)
{
    (void)state;
    struct plan plan;
    plan_init(&plan, &test_log, 1, 1, 4);
    assert_string_equal(plan_get_tensor(&plan, plan_add_act(&plan, "x", 1, 4))->name, "x");
    plan.layer = 3;
    assert_string_equal(plan_get_tensor(&plan, plan_add_act(&plan, "x", 1, 4))->name, "blk.3.x");
    plan.layer = 4;
    assert_string_equal(plan_get_tensor(&plan, plan_add_act(&plan, "x", 1, 4))->name, "x");
    plan_finish(&plan);
}

static void test_bad_tensors(void **state)
{
    (void)state;
    struct plan plan;
    plan_init(&plan, &test_log, 1, 1, 1);
    assert_int_equal(plan_add_act(&plan, "empty", 0, 4), PLAN_NONE);
    expect_log("tensor empty: size 0 x 4 is empty");
    assert_true(plan.failed);
    assert_int_equal(plan_add_act(&plan, "later", 1, 4), PLAN_NONE);
    assert_false(plan_check(&plan));
    plan_finish(&plan);
    plan_init(&plan, &test_log, 1, 1, 1);
    assert_int_equal(plan_add_act(&plan, "big", UINT64_C(1) << 32, UINT64_C(1) << 31), PLAN_NONE);
    expect_log("does not fit 64 bits");
    plan_finish(&plan);
}

static void test_bad_nodes(void **state)
{
    (void)state;
    const struct plan_node bad[] = {
        {.op = &FAKE_ADD, .n_src = 1, .src = {9}, .n_dst = 1, .in_place = PLAN_NONE},
        {.op = &FAKE_ADD, .n_src = 1, .n_dst = 1, .dst = {PLAN_NONE}, .in_place = PLAN_NONE},
        {.op = &FAKE_ADD, .n_src = 1, .n_dst = 1, .in_place = 1},
        {.op = &FAKE_ADD, .n_src = PLAN_MAX_SRC + 1, .n_dst = 1, .in_place = PLAN_NONE},
        {.op = &FAKE_ADD, .n_src = 1, .n_dst = PLAN_MAX_DST + 1, .in_place = PLAN_NONE},
        {.op = NULL, .n_src = 1, .n_dst = 1, .in_place = PLAN_NONE},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct plan plan;
        plan_init(&plan, &test_log, 1, 1, 1);
        plan_add_act(&plan, "x", 1, 4);
        assert_int_equal(plan_add_node(&plan, &bad[i]), PLAN_NONE);
        assert_true(plan.failed);
        plan_finish(&plan);
    }
}

static void test_check_order(void **state)
{
    (void)state;
    struct plan plan;
    fake_llama(&plan, &test_log, 1, 1);
    assert_true(plan_check(&plan));
    struct plan_node first = plan.nodes[1];
    plan.nodes[1] = plan.nodes[2];
    plan.nodes[2] = first;
    assert_false(plan_check(&plan));
    expect_log("node 1 matmul reads blk.0.h1 before it is written");
    plan_finish(&plan);
}

static void test_check_twice(void **state)
{
    (void)state;
    struct plan plan;
    fake_llama(&plan, &test_log, 1, 1);
    plan.nodes[3].dst[0] = plan.nodes[2].dst[0];
    assert_false(plan_check(&plan));
    expect_log("node 3 matmul writes blk.0.q, which is written already");
    plan.nodes[3].dst[0] = plan.nodes[3].src[0];
    assert_false(plan_check(&plan));
    expect_log("which is only read");
    plan_finish(&plan);
}

static void test_check_devices(void **state)
{
    (void)state;
    struct plan plan;
    fake_llama(&plan, &test_log, 1, 2);
    place_all(&plan, 2, (const uint32_t[]){1, 1});
    plan.tensors[plan.nodes[1].src[0]].device = 1;
    assert_false(plan_check(&plan));
    plan_finish(&plan);

    fake_llama(&plan, &test_log, 1, 2);
    place_all(&plan, 2, (const uint32_t[]){1, 1});
    for (size_t n = 0; n < plan.n_nodes; n++) { /* a copy to where it is already */
        if (plan.nodes[n].kind == PLAN_BORDER) {
            plan.nodes[n].device = 0;
            plan.tensors[plan.nodes[n].dst[0]].device = 0;
            break;
        }
    }
    assert_false(plan_check(&plan));
    expect_log("goes from device 0 to 0: not neighbours");
    plan_finish(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_one),    cmocka_unit_test(test_golden_two),
        cmocka_unit_test(test_dump_unplaced), cmocka_unit_test(test_once),
        cmocka_unit_test(test_names),         cmocka_unit_test(test_bad_tensors),
        cmocka_unit_test(test_bad_nodes),     cmocka_unit_test(test_check_order),
        cmocka_unit_test(test_check_twice),   cmocka_unit_test(test_check_devices),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
