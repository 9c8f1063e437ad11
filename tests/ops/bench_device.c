/* Dispatch, submission and exchange on the machine's driver and on two copies of lavapipe: every
 * row and every path is there, checked and timed. The figures are only printed. */
#include "bench_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES 7u
#define SIZES   3u /* 4, 16 and 64 KiB */

struct site {
    struct log log;
    struct dev_instance *inst;
    uint32_t devices[DEV_MAX_OPEN], n;
    struct rows rows;
    struct bench_device_params params;
    uint32_t errors;
};

static void print(void *user, enum log_level level, const char *line)
{
    struct site *s = user;
    s->errors += level == LOG_ERROR ? 1 : 0;
    fprintf(stderr, "%s\n", line);
}

/* False, with the reason printed, where there is no driver. */
static bool site_init(struct site *s, uint32_t n)
{
    memset(s, 0, sizeof *s);
    log_init(&s->log, print, s, LOG_INFO);
    s->inst = dev_instance_create(&(struct dev_instance_params){.log = &s->log});
    if (s->inst == NULL) {
        return false;
    }
    s->n = dev_instance_default(s->inst, s->devices, n);
    s->params = (struct bench_device_params){.inst = s->inst,
                                             .devices = s->devices,
                                             .n_devices = s->n,
                                             .samples = SAMPLES,
                                             .max_bytes = 100000,
                                             .log = &s->log,
                                             .row = rows_keep,
                                             .user = &s->rows};
    return true;
}

static void site_finish(struct site *s)
{
    assert_int_equal(dev_instance_messages(s->inst), 0);
    assert_int_equal(s->errors, 0);
    dev_instance_destroy(s->inst);
    log_finish(&s->log);
}

static bool imports(const struct site *s, uint32_t device)
{
    return (dev_instance_info(s->inst, device)->caps.has & DEV_CAP_HOST_IMPORT) != 0;
}

static void check_dispatch(struct site *s)
{
    static const char *const names[][2] = {
        {"dispatch", "pre-recorded"},
        {"dispatch with barrier", "pre-recorded"},
        {"record a dispatch", "recorded each time"},
        {"record a dispatch with barrier", "recorded each time"},
        {"one dispatch to its end", "pre-recorded"},
        {"one dispatch to its end", "recorded each time"},
    };
    s->rows.n = 0;
    assert_true(bench_dispatch(&s->params));
    rows_check(&s->rows, "dispatch", SAMPLES);
    assert_int_equal(s->rows.n, 6 * s->n);
    for (uint32_t d = 0; d < s->n; d++) {
        for (int i = 0; i < 6; i++) {
            rows_find(&s->rows, names[i][0], names[i][1], s->devices[d], BENCH_NONE);
        }
    }
}

static void check_submit(struct site *s)
{
    static const char *const ways[] = {"fence wait", "fence poll", "timeline wait", "timeline poll",
                                       "engine"};
    s->rows.n = 0;
    assert_true(bench_submit(&s->params));
    rows_check(&s->rows, "submit", SAMPLES);
    uint32_t pairs = 0;
    for (uint32_t d = 0; d < s->n; d++) {
        for (int i = 0; i < 5; i++) {
            rows_find(&s->rows, "one fill", ways[i], s->devices[d], BENCH_NONE);
        }
        for (uint32_t e = d; e < s->n; e++) {
            uint32_t a = s->devices[d], b = s->devices[e];
            bool both = imports(s, a) && imports(s, b);
            assert_int_equal(rows_find(&s->rows, "hand-over", "imported", a, b)->skipped, !both);
            assert_false(rows_find(&s->rows, "hand-over", "staging", a, b)->skipped);
            pairs += imports(s, a) != imports(s, b) ? 3 : 2;
        }
    }
    assert_int_equal(s->rows.n, 5 * s->n + pairs);
}

static void check_exchange(struct site *s)
{
    s->rows.n = 0;
    assert_true(bench_exchange(&s->params));
    rows_check(&s->rows, "exchange", SAMPLES);
    uint32_t n = rows_count(&s->rows, "host memcpy", "memcpy", s->devices[0], BENCH_NONE);
    assert_int_equal(n, SIZES);
    for (uint32_t d = 0; d < s->n; d++) {
        for (uint32_t e = 0; e < s->n; e++) {
            uint32_t a = s->devices[d], b = s->devices[e];
            static const char *const paths[] = {"imported", "staging", "rebar"};
            for (int i = 0; i < 3; i++) {
                bool skipped = rows_find(&s->rows, "hop", paths[i], a, b)->skipped;
                assert_int_equal(rows_count(&s->rows, "hop", paths[i], a, b), skipped ? 1 : SIZES);
                assert_true(i == 2 || skipped == (i == 0 && !(imports(s, a) && imports(s, b))));
            }
            n += rows_count(&s->rows, "hop", NULL, a, b);
        }
    }
    assert_int_equal(s->rows.n, n);
    assert_string_equal(s->rows.row[1].shape, "16 KiB");
}

static struct site site;

static void one_device(void **state)
{
    (void)state;
    assert_true(site_init(&site, 1));
    check_dispatch(&site);
    check_submit(&site);
    check_exchange(&site);
    site_finish(&site);
}

/* Without imports, without timestamps: staging only, the host's clock. */
static void without_imports(void **state)
{
    (void)state;
    assert_true(site_init(&site, 1));
    uint32_t a = site.devices[0];
    site.params.caps_off = DEV_CAP_HOST_IMPORT;
    assert_true(bench_exchange(&site.params));
    rows_check(&site.rows, "exchange", SAMPLES);
    assert_true(rows_find(&site.rows, "hop", "imported", a, a)->skipped);
    assert_int_equal(rows_count(&site.rows, "hop", "staging", a, a), SIZES);
    site_finish(&site);
}

static void stops_when_told(void **state)
{
    (void)state;
    assert_true(site_init(&site, 1));
    bool (*const run[])(const struct bench_device_params *) = {bench_dispatch, bench_submit,
                                                               bench_exchange};
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t at = 1; at < 7; at += 2) {
            site.rows.n = 0;
            site.rows.stop_at = at;
            assert_false(run[i](&site.params));
            assert_int_equal(site.rows.n, at);
        }
    }
    site_finish(&site);
}

static void two_copies(void **state)
{
    (void)state;
    const char *before = getenv("VK_ICD_FILENAMES");
    char list[2400] = "", path[1100], text[4096];
    for (int i = 0; i < 2; i++) {
        FILE *in = fopen("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json", "r");
        if (in == NULL || before != NULL) {
            skip();
        }
        snprintf(path, sizeof path, "%s/bench_test_icd%d.json", QD_BINARY_DIR, i);
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        size_t n = fread(text, 1, sizeof text, in);
        assert_int_equal(fwrite(text, 1, n, out), n);
        assert_int_equal(fclose(out) + fclose(in), 0);
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i != 0 ? ":" : "", path);
    }
    setenv("VK_ICD_FILENAMES", list, 1);
    assert_true(site_init(&site, 2));
    assert_int_equal(site.n, 2);
    check_dispatch(&site);
    check_submit(&site);
    check_exchange(&site);
    site_finish(&site);
    unsetenv("VK_ICD_FILENAMES");
}

int main(void)
{
    if (!site_init(&site, 1)) {
        bool absent = strstr(site.log.last, "found") != NULL;
        return absent ? 77 : 1;
    }
    site_finish(&site);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_device),
        cmocka_unit_test(without_imports),
        cmocka_unit_test(stops_when_told),
        cmocka_unit_test(two_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
