/* From rows of a sweep (made up here: no device is needed) to the verdict that is kept. */
#include "lab/selftest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fix {
    struct log log;
    char dir[64];
    struct dev_info infos[3]; /* the first two share a file */
    struct lab_verdict verdicts[3];
    struct ops_prefs kept;
};

static int start(void **state)
{
    static struct fix f;
    memset(&f, 0, sizeof f);
    log_init(&f.log, NULL, NULL, LOG_DEBUG);
    for (uint32_t i = 0; i < 3; i++) {
        f.infos[i] = (struct dev_info){.index = i, .driver_version = 7};
        f.infos[i].uuid[0] = i == 2;
        f.verdicts[i] = (struct lab_verdict){
            .info = &f.infos[i], .test = {.date = "2026-11-24T12:24:04Z", .quick = true}};
    }
    snprintf(f.dir, sizeof f.dir, "test-selftest-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    *state = &f;
    return 0;
}

static int stop(void **state)
{
    struct fix *f = *state;
    for (uint32_t i = 0; i < 3; i++) {
        char path[256];
        assert_true(ops_profile_path(path, sizeof path, f->dir, &f->infos[i]));
        unlink(path);
        lab_verdict_finish(&f->verdicts[i]);
    }
    ops_prefs_finish(&f->kept);
    assert_int_equal(rmdir(f->dir), 0);
    log_finish(&f->log);
    return 0;
}

/* A row of an op and a variant. `case_` false: of all its cases at once. */
static void add(struct fix *f, uint32_t device, const char *op, const char *variant, bool case_,
                enum lab_status status, const char *why)
{
    struct lab_row row = {.op = lab_find(op), .status = status};
    assert_non_null(row.op);
    row.variant = ops_find_variant(ops_find(op), variant);
    assert_non_null(row.variant);
    row.c.dims = case_ ? row.op->shapes[0] : NULL;
    snprintf(row.why, sizeof row.why, "%s", why);
    assert_true(lab_verdict_add(&f->verdicts[device], &row));
}

/* Saves the verdicts up to this device and reads its profile. */
static void save(struct fix *f, uint32_t device)
{
    assert_true(lab_verdict_save(f->verdicts, device + 1, f->dir, &f->log));
    ops_prefs_finish(&f->kept);
    assert_true(ops_profile_load(&f->kept, f->dir, &f->infos[device], &f->log));
}

static bool is_off(const struct fix *f, const char *op, const char *variant)
{
    return ops_prefs_is_off(&f->kept, op, variant);
}

static void test_counts(void **state)
{
    struct fix *f = *state;
    add(f, 0, "matmul", "lanes", true, LAB_PASS, "");
    add(f, 0, "matmul", "lanes", true, LAB_FAIL, "first fault");
    add(f, 0, "matmul", "lanes", true, LAB_FAIL, "second fault");
    add(f, 0, "matmul", "subgroup", true, LAB_PASS, "");
    add(f, 0, "rmsnorm", "plain", true, LAB_SKIP, "the shape does not fit");
    add(f, 0, "attention", "lanes", false, LAB_SKIP, "shuffle");
    assert_int_equal(f->verdicts[0].n_cells, 2);
    assert_int_equal(f->verdicts[0].test.passed, 2);
    assert_int_equal(f->verdicts[0].test.failed, 2);
    assert_int_equal(lab_verdict_failures(&f->verdicts[0]), 1);
    save(f, 0);
    assert_int_equal(f->kept.n_off, 1);
    assert_true(is_off(f, "matmul", "lanes"));
    assert_string_equal(f->kept.off[0].why, "first fault");
    assert_int_equal(f->kept.selftest.passed, 2);
    assert_int_equal(f->kept.selftest.failed, 2);
}

/* A kernel that passes is used again, one that was not tried stays as it was, and so does what was
 * tuned. */
static void test_replaces(void **state)
{
    struct fix *f = *state;
    const struct ops_tuned tuned = {
        .op = "matmul", .variant = "lanes", .quant = QUANT_F16, .values = {4, 1, 1}};
    struct ops_prefs before = {0};
    assert_true(ops_prefs_add_failed(&before, "matmul", "lanes", "old"));
    assert_true(ops_prefs_add_failed(&before, "rmsnorm", "plain", "old"));
    assert_true(ops_prefs_add_failed(&before, "add", "plain", "old"));
    assert_true(ops_prefs_add_tuned(&before, &tuned));
    assert_true(ops_profile_save(&before, f->dir, &f->infos[0], &f->log));
    ops_prefs_finish(&before);
    add(f, 0, "matmul", "lanes", true, LAB_PASS, "");
    add(f, 0, "add", "plain", true, LAB_FAIL, "new");
    save(f, 0);
    assert_false(is_off(f, "matmul", "lanes"));
    assert_int_equal(f->kept.n_off, 2);
    assert_string_equal(f->kept.off[0].why, "new");
    assert_true(is_off(f, "rmsnorm", "plain"));
    assert_int_equal(f->kept.n_tuned, 1);
}

/* What failed for want of memory or of a device says nothing about the kernel. */
static void test_unjudged(void **state)
{
    struct fix *f = *state;
    add(f, 0, "matmul", "lanes", true, LAB_FAIL, "out of memory: 1 GiB");
    add(f, 0, "matmul", "subgroup", true, LAB_FAIL, "device lost: vkQueueSubmit");
    add(f, 0, "rmsnorm", "plain", false, LAB_FAIL, "device lost earlier, 3 times in a row");
    assert_int_equal(f->verdicts[0].test.failed, 3);
    assert_int_equal(lab_verdict_failures(&f->verdicts[0]), 1);
    save(f, 0);
    assert_int_equal(f->kept.n_off, 1);
    assert_true(is_off(f, "matmul", "subgroup"));
    /* a fault that is the kernel's own comes before what says nothing */
    add(f, 0, "matmul", "lanes", true, LAB_FAIL, "y[0,0] is wrong");
    save(f, 0);
    assert_true(is_off(f, "matmul", "lanes"));
    assert_string_equal(f->kept.off[0].why, "y[0,0] is wrong");
}

/* Devices with the same UUIDs share a file: what fails on one of them is off. */
static void test_shared(void **state)
{
    struct fix *f = *state;
    for (uint32_t i = 0; i < 3; i++) {
        add(f, i, "matmul", "lanes", true, i == 0 ? LAB_FAIL : LAB_PASS, "fault");
        add(f, i, "add", "plain", true, i == 1 ? LAB_FAIL : LAB_PASS, "fault");
        save(f, i);
        assert_int_equal(is_off(f, "matmul", "lanes"), i < 2);
        assert_int_equal(is_off(f, "add", "plain"), i == 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counts, start, stop),
        cmocka_unit_test_setup_teardown(test_replaces, start, stop),
        cmocka_unit_test_setup_teardown(test_unjudged, start, stop),
        cmocka_unit_test_setup_teardown(test_shared, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
