/* with: ops fake */
/* The sweep over devices in host memory, on which nothing is computed: which rows there are, that a
 * quick sweep leaves no kernel out, and what becomes of devices that are lost or out of memory. */
#include "lab/compat.h"

#include "fake_vk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 20000 };

struct rig {
    struct fake_vk fake;
    struct log log;
    struct dev_instance *inst;
    uint32_t errors; /* lines that reached the sink */
    struct lab_row *rows;
    uint32_t n;
    uint32_t stop_at; /* rows; 0: never */
    const struct rig *known;
    /* Called after each row. */
    void (*after)(struct rig *rig, const struct lab_row *row);
};

static void sink(void *user, enum log_level level, const char *line)
{
    struct rig *rig = user;
    (void)line;
    rig->errors += level == LOG_ERROR ? 1 : 0;
}

static void rig_open(struct rig *rig, uint32_t n_gpus)
{
    memset(rig, 0, sizeof *rig);
    log_init(&rig->log, sink, rig, LOG_WARN);
    for (uint32_t i = 0; i < n_gpus; i++) {
        rig->fake.gpus[i] = fake_vk_gpu(i);
    }
    if (n_gpus == 1) { /* one on which every variant runs */
        rig->fake.gpus[0].type = VK_PHYSICAL_DEVICE_TYPE_CPU;
        rig->fake.gpus[0].subgroup_size = 8;
        rig->fake.gpus[0].subgroup_min = 8;
        rig->fake.gpus[0].subgroup_max = 8;
    }
    rig->fake.n_gpus = n_gpus;
    fake_vk_begin(&rig->fake);
    rig->inst = dev_instance_create(
        &(struct dev_instance_params){.log = &rig->log, .get_proc = fake_vk_get_proc()});
    assert_non_null(rig->inst);
    rig->rows = calloc(MAX_ROWS, sizeof *rig->rows);
    assert_non_null(rig->rows);
}

static void rig_close(struct rig *rig)
{
    dev_instance_destroy(rig->inst);
    assert_int_equal(fake_vk_end(), 0); /* nothing leaks */
    log_finish(&rig->log);
    free(rig->rows);
}

static bool same_case(const struct lab_row *a, const struct lab_row *b)
{
    return a->device == b->device && a->variant == b->variant && a->c.dims == b->c.dims &&
           a->c.quant == b->c.quant && a->c.kv_elem == b->c.kv_elem && a->in_place == b->in_place &&
           a->segments == b->segments && a->interleave == b->interleave;
}

static const struct lab_row *find(const struct rig *rig, const struct lab_row *row)
{
    for (uint32_t i = 0; i < rig->n; i++) {
        if (same_case(&rig->rows[i], row)) {
            return &rig->rows[i];
        }
    }
    return NULL;
}

static bool is_wanted(void *user, struct lab_row *row)
{
    struct rig *rig = user;
    const struct lab_row *known = rig->known != NULL ? find(rig->known, row) : NULL;
    row->status = known != NULL ? known->status : row->status;
    return known == NULL;
}

static bool on_row(void *user, const struct lab_row *row)
{
    struct rig *rig = user;
    assert_true(rig->n < MAX_ROWS);
    assert_null(find(rig, row)); /* each once */
    assert_true(row->status == LAB_PASS || row->why[0] != '\0');
    rig->rows[rig->n++] = *row;
    if (rig->after != NULL) {
        rig->after(rig, row);
    }
    return rig->stop_at == 0 || rig->n < rig->stop_at;
}

static bool sweep(struct rig *rig, bool quick, const char *op, const char *variant)
{
    static const uint32_t devices[] = {0, 1};
    return lab_sweep(&(struct lab_sweep_params){.inst = rig->inst,
                                                .log = &rig->log,
                                                .devices = devices,
                                                .n_devices = rig->fake.n_gpus,
                                                .op = op,
                                                .variant = variant,
                                                .quick = quick,
                                                .seed = 7,
                                                .wanted = is_wanted,
                                                .on_row = on_row,
                                                .user = rig});
}

static bool starts(const struct lab_row *row, const char *why)
{
    return strncmp(row->why, why, strlen(why)) == 0;
}

static uint32_t count_why(const struct rig *rig, uint32_t device, const char *why)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < rig->n; i++) {
        n += rig->rows[i].device == device && starts(&rig->rows[i], why) ? 1 : 0;
    }
    return n;
}

static uint32_t count_device(const struct rig *rig, uint32_t device)
{
    return count_why(rig, device, "");
}

static bool is_plain(const struct lab_row *row)
{
    return !row->in_place && !row->segments && !row->interleave;
}

/* Runs of the same variant and format in the same kind of way. */
static uint32_t count_like(const struct rig *rig, const struct lab_row *like, bool any_format)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < rig->n; i++) {
        const struct lab_row *row = &rig->rows[i];
        bool format =
            any_format || (row->c.quant == like->c.quant && row->c.kv_elem == like->c.kv_elem);
        n += row->variant == like->variant && format && row->status != LAB_SKIP &&
                     row->in_place == like->in_place && row->segments == like->segments &&
                     row->interleave == like->interleave
                 ? 1
                 : 0;
    }
    return n;
}

static void quick_leaves_nothing_out(void **state)
{
    (void)state;
    struct rig full, quick;
    rig_open(&full, 1);
    assert_true(sweep(&full, false, NULL, NULL));
    struct lab_row *rows = full.rows;
    full.rows = NULL;
    rig_close(&full);
    full.rows = rows;
    rig_open(&quick, 1);
    assert_true(sweep(&quick, true, NULL, NULL));
    printf("%u rows, quick %u\n", full.n, quick.n);
    assert_true(quick.n < full.n * 2 / 5);
    for (uint32_t i = 0; i < full.n; i++) {
        const struct lab_row *row = &full.rows[i];
        uint32_t all = count_like(&full, row, false), some = count_like(&quick, row, false);
        if (row->status == LAB_SKIP) {
            continue;
        }
        if (is_plain(row) ? some < (all < 2 ? all : 2) : count_like(&quick, row, true) == 0) {
            fail_msg("%s/%s format %d kv %d: %u runs of %u", row->op->name, row->variant->name,
                     (int)row->c.quant, (int)row->c.kv_elem, some, all);
        }
    }
    /* Every variant that the device supports ran. */
    uint32_t n_ops;
    const struct lab_op *const *ops = lab_list(&n_ops);
    const struct dev_caps *caps = &dev_instance_info(quick.inst, 0)->caps;
    for (uint32_t i = 0; i < n_ops; i++) {
        const struct op *def = ops_find(ops[i]->name);
        for (uint32_t v = 0; v < def->n_variants; v++) {
            uint32_t n = 0;
            char why[128];
            if (!ops_variant_supported(&def->variants[v], caps, why, sizeof why)) {
                continue;
            }
            for (uint32_t r = 0; r < quick.n; r++) {
                n += quick.rows[r].variant == &def->variants[v] ? 1 : 0;
            }
            assert_true(n != 0);
        }
    }
    assert_int_equal(quick.errors, 0);
    rig_close(&quick);
    free(rows);
}

static void missing_capabilities_are_named(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    dev_instance_destroy(rig.inst);
    rig.fake.gpus[0].caps &= ~(uint32_t)(DEV_CAP_SUBGROUP | DEV_CAP_SHUFFLE);
    rig.inst = dev_instance_create(
        &(struct dev_instance_params){.log = &rig.log, .get_proc = fake_vk_get_proc()});
    assert_non_null(rig.inst);
    assert_true(sweep(&rig, true, "matmul", "subgroup"));
    assert_int_equal(rig.n, 1);
    assert_int_equal(rig.rows[0].status, LAB_SKIP);
    assert_null(rig.rows[0].c.dims);
    assert_string_equal(rig.rows[0].why, "needs subgroup");
    rig_close(&rig);
}

static void lose_once(struct rig *rig, const struct lab_row *row)
{
    (void)row;
    if (rig->n == 7) { /* of an op that takes all its cases: a lost one ends no search */
        rig->fake.fail_with = VK_ERROR_DEVICE_LOST;
        rig->fake.fail_at = rig->fake.calls + 4;
    }
}

static void lost_device_comes_back(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 2);
    rig.after = lose_once;
    assert_true(sweep(&rig, true, NULL, NULL));
    assert_int_equal(count_why(&rig, 0, "device lost: "), 1);
    assert_int_equal(count_why(&rig, 0, "device lost earlier"), 0);
    assert_int_equal(count_why(&rig, 1, "device lost"), 0);
    /* the lost row stands for one that may have been unfit */
    assert_true(count_device(&rig, 0) + 1 >= count_device(&rig, 1));
    assert_int_equal(rig.errors, 0); /* the reason is in the row, not on the screen */
    rig_close(&rig);
}

static bool is_last(const struct lab_row *row)
{
    uint32_t n;
    const struct lab_op *op = lab_list(&n)[n - 1];
    const struct op *def = ops_find(op->name);
    return row->op == op && row->variant == &def->variants[def->n_variants - 1];
}

/* For good; the other one is well. */
static void lose_for_good(struct rig *rig, const struct lab_row *row)
{
    if (rig->n == 20) {
        rig->fake.lost = true;
    } else if (row->device == 0 && is_last(row)) {
        rig->fake.lost = false;
    }
}

static void lost_device_is_left_alone(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 2);
    rig.after = lose_for_good;
    assert_true(sweep(&rig, true, NULL, NULL));
    assert_int_equal(count_why(&rig, 0, "device lost: "), 1);
    uint32_t left = 0;
    for (uint32_t i = 21; i < rig.n && rig.rows[i].device == 0; i++) {
        const struct lab_row *row = &rig.rows[i];
        assert_null(row->c.dims);
        assert_true(row->status == LAB_SKIP || starts(row, "device lost earlier"));
        left += row->status == LAB_FAIL ? 1 : 0;
    }
    assert_true(left > 10);
    assert_true(count_device(&rig, 1) > 100);
    assert_int_equal(count_why(&rig, 1, "device lost"), 0);
    assert_int_equal(rig.errors, 0);
    rig_close(&rig);
}

static void lose_again(struct rig *rig, const struct lab_row *row)
{
    bool again = row->device == 0 && !starts(row, "device lost earlier");
    rig->fake.fail_with = VK_ERROR_DEVICE_LOST;
    /* behind the calls that open it */
    rig->fake.fail_at = again ? rig->fake.calls + 10 : 0;
}

static void lost_three_times_is_enough(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 2);
    rig.after = lose_again;
    assert_true(sweep(&rig, true, NULL, NULL));
    assert_int_equal(count_why(&rig, 0, "device lost: "), 3);
    assert_true(count_why(&rig, 0, "device lost earlier, 3 times in a row") > 10);
    assert_int_equal(count_why(&rig, 1, "device lost"), 0);
    assert_true(count_device(&rig, 1) > 100);
    rig_close(&rig);
}

/* In every second row, so that the device can be opened again. */
static void run_out(struct rig *rig, const struct lab_row *row)
{
    bool again = row->device == 0 && rig->n < 60 && !starts(row, "out of memory");
    rig->fake.fail_with = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    rig->fake.fail_at = again ? rig->fake.calls + 1 + rig->n % 3 : 0;
}

static void out_of_memory_is_a_result(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 2);
    assert_true(sweep(&rig, true, "attention", NULL));
    uint32_t n = count_device(&rig, 1);
    rig_close(&rig);
    rig_open(&rig, 2);
    rig.after = run_out;
    assert_true(sweep(&rig, true, "attention", NULL));
    uint32_t failed = count_why(&rig, 0, "out of memory: ");
    printf("%u rows out of memory\n", failed);
    assert_true(failed > 10 && failed < 60);
    assert_int_equal(count_why(&rig, 0, "device lost"), 0);
    assert_int_equal(count_why(&rig, 1, "out of memory"), 0);
    assert_int_equal(count_device(&rig, 1), n);
    assert_int_equal(rig.errors, 0);
    rig_close(&rig);
}

static void parts_make_the_whole(void **state)
{
    (void)state;
    static const uint32_t stops[] = {1, 17, 100, 151};
    static const char op[] = "attention"; /* of which there are so many */
    struct rig whole;
    rig_open(&whole, 1);
    assert_true(sweep(&whole, true, op, NULL));
    struct lab_row *rows = whole.rows;
    whole.rows = NULL;
    rig_close(&whole);
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        struct rig first, rest;
        rig_open(&first, 1);
        first.stop_at = stops[i];
        assert_false(sweep(&first, true, op, NULL));
        assert_int_equal(first.n, stops[i]);
        struct lab_row *kept = first.rows;
        first.rows = NULL;
        rig_close(&first);
        first.rows = kept;
        rig_open(&rest, 1);
        rest.known = &first;
        assert_true(sweep(&rest, true, op, NULL));
        assert_int_equal(first.n + rest.n, whole.n);
        for (uint32_t k = 0; k < whole.n; k++) {
            assert_true(
                same_case(&rows[k], k < first.n ? &first.rows[k] : &rest.rows[k - first.n]));
        }
        rig_close(&rest);
        free(kept);
    }
    free(rows);
}

static void filters(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1);
    assert_true(sweep(&rig, true, "matmul", "plain_gemv"));
    for (uint32_t i = 0; i < rig.n; i++) {
        assert_string_equal(rig.rows[i].op->name, "matmul");
        assert_string_equal(rig.rows[i].variant->name, "plain_gemv");
    }
    assert_true(rig.n >= 10);
    assert_false(sweep(&rig, true, "matmul", "nonsense"));
    assert_int_equal(rig.errors, 1);
    assert_false(sweep(&rig, true, "nonsense", NULL));
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quick_leaves_nothing_out),
        cmocka_unit_test(missing_capabilities_are_named),
        cmocka_unit_test(lost_device_comes_back),
        cmocka_unit_test(lost_device_is_left_alone),
        cmocka_unit_test(lost_three_times_is_enough),
        cmocka_unit_test(out_of_memory_is_a_result),
        cmocka_unit_test(parts_make_the_whole),
        cmocka_unit_test(filters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
