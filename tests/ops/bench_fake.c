/* Dispatch, submission and exchange over the fake: every mixture of devices that can and cannot
 * import or be mapped, and runs that must not pass. The fake copies and fills, but runs no kernel,
 * so that whatever counts dispatches has to notice. */
#include "bench_rows.h"
#include "fake_vk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static struct fake_vk fake;
static struct rows rows;
static struct log log_lines;
static const uint32_t devices[] = {0, 1};

static void ignore(void *user, enum log_level level, const char *line)
{
    (void)user;
    printf("%d %s\n", (int)level, line);
}

static struct bench_device_params begin(uint32_t n)
{
    memset(&fake, 0, sizeof fake);
    memset(&rows, 0, sizeof rows);
    log_init(&log_lines, ignore, NULL, LOG_ERROR);
    for (uint32_t i = 0; i < n; i++) {
        fake.gpus[i] = fake_vk_gpu(i);
    }
    fake.n_gpus = n;
    fake_vk_begin(&fake);
    return (struct bench_device_params){.devices = devices,
                                        .n_devices = n,
                                        .samples = 5,
                                        .max_bytes = 16384,
                                        .log = &log_lines,
                                        .row = rows_keep,
                                        .user = &rows};
}

static void open_fake(struct bench_device_params *p)
{
    p->inst = dev_instance_create(
        &(struct dev_instance_params){.log = &log_lines, .get_proc = fake_vk_get_proc()});
    assert_non_null(p->inst);
}

static void end(struct bench_device_params *p)
{
    dev_instance_destroy(p->inst);
    assert_int_equal(fake_vk_end(), 0);
    log_finish(&log_lines);
}

static void all_paths(void **state)
{
    (void)state;
    struct bench_device_params p = begin(2);
    fake.gpus[0].memory = FAKE_REBAR;
    fake.gpus[1].import_broken = true;
    open_fake(&p);
    assert_true(bench_exchange(&p));
    rows_check(&rows, "exchange", 5);
    static const struct {
        uint32_t a, b;
        const char *path, *why; /* NULL: two sizes; "": not there at all */
    } wanted[] = {
        {0, 0, "imported", NULL},
        {0, 0, "staging", NULL},
        {0, 0, "rebar", NULL},
        {0, 0, "imported to staging", ""},
        {0, 1, "imported", "device 1 does not import host memory"},
        {0, 1, "imported to staging", NULL},
        {0, 1, "staging to imported", ""},
        {0, 1, "staging", NULL},
        {0, 1, "rebar", "the memory of device 1 is not mapped by the host"},
        {1, 0, "imported", "device 1 does not import host memory"},
        {1, 0, "imported to staging", ""},
        {1, 0, "staging to imported", NULL},
        {1, 0, "staging", NULL},
        {1, 0, "rebar", NULL},
        {1, 1, "imported", "device 1 does not import host memory"},
        {1, 1, "staging to imported", ""},
        {1, 1, "staging", NULL},
        {1, 1, "rebar", "the memory of device 1 is not mapped by the host"},
    };
    uint32_t n = rows_count(&rows, "host memcpy", "memcpy", 0, BENCH_NONE);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        uint32_t a = wanted[i].a, b = wanted[i].b, here;
        const char *why = wanted[i].why;
        here = why == NULL ? 2 : why[0] != '\0' ? 1 : 0;
        assert_int_equal(rows_count(&rows, "hop", wanted[i].path, a, b), here);
        if (here == 1) {
            assert_string_equal(rows_find(&rows, "hop", wanted[i].path, a, b)->why, why);
        }
        n += here;
    }
    assert_int_equal(n, rows.n);
    end(&p);
}

/* What the sizes above are that a small device has no room for. */
static void small_device(void **state)
{
    (void)state;
    struct bench_device_params p = begin(1);
    fake.gpus[0].heap_budget = 4 << 20;
    p.max_bytes = 0;
    open_fake(&p);
    assert_true(bench_exchange(&p));
    rows_check(&rows, "exchange", 5);
    assert_int_equal(rows_count(&rows, "host memcpy", "memcpy", 0, BENCH_NONE), 8);
    /* 4, 16, 64, 256 KiB, and the row that says so */
    assert_int_equal(rows_count(&rows, "hop", "staging", 0, 0), 5);
    const struct bench_row *last = &rows.row[rows.n - 1];
    assert_string_equal(last->variant, "rebar");
    end(&p);
}

static void submits(void **state)
{
    (void)state;
    struct bench_device_params p = begin(1);
    open_fake(&p);
    assert_true(bench_submit(&p));
    assert_int_equal(rows_count(&rows, "one fill", NULL, 0, BENCH_NONE), 5);
    for (uint32_t i = 0; i < rows.n; i++) {
        /* no kernel adds one: what comes back is wrong */
        bool hops = strcmp(rows.row[i].name, "hand-over") == 0;
        assert_int_equal(rows.row[i].passed, !hops);
        assert_int_equal(strncmp(rows.row[i].why, "float 0 is 0 after", 18) == 0, hops);
    }
    end(&p);
}

static void dispatches_that_do_nothing(void **state)
{
    (void)state;
    struct bench_device_params p = begin(1);
    open_fake(&p);
    assert_true(bench_dispatch(&p));
    assert_int_equal(rows.n, 6);
    for (uint32_t i = 0; i < rows.n; i++) {
        assert_false(rows.row[i].passed);
        assert_int_equal(strncmp(rows.row[i].why, "counter 0 holds 0 at 0, not ", 28), 0);
    }
    end(&p);
}

/* The k-th call fails, for more and more k until it does not come. Returns rows that say so. */
static uint32_t count_failures(bool (*run)(const struct bench_device_params *), VkResult result)
{
    const char *word = result == VK_ERROR_DEVICE_LOST ? "is lost" : "OUT_OF_DEVICE_MEMORY";
    uint32_t failures = 0;
    bool came = true;
    for (uint32_t k = 1; came; k += 1 + k / 8) {
        struct bench_device_params p = begin(1);
        open_fake(&p);
        fake.calls = 0;
        fake.fail_at = k;
        fake.fail_with = result;
        assert_true(run(&p));
        assert_true(rows.n > 0);
        came = fake.failed_in != NULL;
        for (uint32_t i = 0; i < rows.n; i++) {
            const struct bench_row *r = &rows.row[i];
            assert_true(r->passed == (r->why[0] == '\0'));
            failures += strstr(r->why, word) != NULL;
        }
        end(&p);
    }
    return failures;
}

/* A call that fails is a row that did not pass, with the reason; the run goes on, also after the
 * device is lost. */
static void failing_calls(void **state)
{
    (void)state;
    bool (*const run[])(const struct bench_device_params *) = {bench_dispatch, bench_submit,
                                                               bench_exchange};
    for (uint32_t what = 0; what < 3; what++) {
        uint32_t memory = count_failures(run[what], VK_ERROR_OUT_OF_DEVICE_MEMORY);
        uint32_t lost = count_failures(run[what], VK_ERROR_DEVICE_LOST);
        printf("%u: %u rows for want of memory, %u for a lost device\n", what, memory, lost);
        assert_true(memory > 10 && lost > 10);
    }
}

static void bad_params(void **state)
{
    (void)state;
    struct bench_device_params good = begin(1);
    open_fake(&good);
    static const uint32_t absent[] = {7};
    struct bench_device_params bad[4] = {good, good, good, good};
    static const char *const why[] = {
        "microbench: 0 devices, allowed are 1 to 4",
        "microbench: there is no device 7, there are 1",
        "microbench: 10001 samples, allowed are 1 to 10000",
        "microbench: hops of 4095 bytes, allowed are 4096 to 67108864"};
    bad[0].n_devices = 0;
    bad[1].devices = absent;
    bad[2].samples = 10001;
    bad[3].max_bytes = 4095;
    for (int i = 0; i < 4; i++) {
        assert_false(bench_exchange(&bad[i]));
        assert_string_equal(log_lines.last, why[i]);
        assert_true(i == 3 || (!bench_submit(&bad[i]) && !bench_dispatch(&bad[i])));
    }
    assert_int_equal(rows.n, 0);
    end(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_paths),     cmocka_unit_test(small_device),
        cmocka_unit_test(submits),       cmocka_unit_test(dispatches_that_do_nothing),
        cmocka_unit_test(failing_calls), cmocka_unit_test(bad_params),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
