/* Microbenchmarks of kernels on a device: an op made of fills is measured, right and then wrong in
 * each way that the sample of its result must show; what tuning finds is what the ops then use. */
#include "lab/bench_internal.h"
#include "ops/profile.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { ROWS = 40, COLS = 300, ONE = 0x3f800000, TWO = 0x40000000, INF = 0x7f800000 };
enum fault { NO_FAULT, LAST_COLUMN, UNWRITTEN, NOT_FINITE, LAST_ROW, OTHER_COPY, FAULTS };

static struct dev_instance *inst;
static struct log log_lines;
static uint32_t device;
static char folder[] = "bench_kernels_XXXXXX";

/* y = 1. The first word of attr names the fault. */
static bool record(const struct op_site *site, const struct plan_node *node)
{
    uint32_t fault, bytes = ROWS * COLS * 4;
    memcpy(&fault, node->attr, sizeof fault);
    const struct op_segment *y = &site->places[node->dst[0]].segments[0];
    uint64_t last = y->offset + bytes - 4, middle = y->offset + 4 * (COLS / 2);
    switch (fault) {
    case LAST_COLUMN: /* of the first row */
        return dev_cmd_fill(site->cmd, y->buf, y->offset, bytes, ONE) &&
               dev_cmd_fill(site->cmd, y->buf, y->offset + 4 * (COLS - 1), 4, TWO);
    case UNWRITTEN: /* in a row that is sampled, in a column that need not be */
        return dev_cmd_fill(site->cmd, y->buf, y->offset, middle - y->offset, ONE) &&
               dev_cmd_fill(site->cmd, y->buf, middle + 4, last - middle, ONE);
    case NOT_FINITE:
        return dev_cmd_fill(site->cmd, y->buf, y->offset, bytes, ONE) &&
               dev_cmd_fill(site->cmd, y->buf, middle, 4, INF);
    case LAST_ROW:
        return dev_cmd_fill(site->cmd, y->buf, y->offset, bytes, ONE) &&
               dev_cmd_fill(site->cmd, y->buf, last, 4, TWO);
    case OTHER_COPY: /* right for the first buffers only */
        return dev_cmd_fill(site->cmd, y->buf, y->offset, bytes,
                            site->places[node->src[0]].segments[0].offset == 0 ? ONE : TWO);
    default:
        return dev_cmd_fill(site->cmd, y->buf, y->offset, bytes, ONE);
    }
}

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    *out = (struct op_cost){.flop = 7,
                            .bytes = (double)plan_tensor_bytes(&plan->tensors[node->dst[0]])};
}

static const struct op op_ones = {
    .name = "ones", .purpose = "ones", .cost = cost, .record = record};

static bool make(struct bench_case *c)
{
    plan_init(&c->plan, c->bd->log, ROWS, 0, 1);
    struct plan_node node = {
        .kind = PLAN_OP, .op = &op_ones, .n_src = 1, .n_dst = 1, .in_place = PLAN_NONE};
    node.src[0] = plan_add_act(&c->plan, "x", ROWS, 4);
    node.dst[0] = plan_add_act(&c->plan, "y", ROWS, COLS);
    memcpy(node.attr, &c->shape.m, sizeof c->shape.m);
    return plan_add_node(&c->plan, &node) != PLAN_NONE;
}

static bool expect(struct bench_case *c, const struct bench_picks *picks, double *value,
                   double *bound)
{
    (void)c;
    for (uint32_t i = 0; i < picks->n_rows * picks->n_cols; i++) {
        value[i] = 1;
        bound[i] = 0;
    }
    return true;
}

static const struct bench_kind kind = {.op = "ones",
                                       .make = make,
                                       .expect = expect,
                                       .most_rows = BENCH_ROWS,
                                       .tail_cols = 24,
                                       .random_cols = BENCH_COLS - 25};

static bool no_row(void *user, const struct bench_row *row)
{
    (void)user, (void)row;
    return true;
}

static struct bench_row measure(enum fault fault, bool warm)
{
    const struct bench_params params = {.seed = 3, .warm = warm, .row = no_row, .no_cache = true};
    struct bench_totals totals = {0};
    struct bench_device bd;
    assert_true(bench_device_open(&bd, inst, device, &params, &totals, &log_lines));
    struct bench_case c = {.bd = &bd,
                           .kind = &kind,
                           .shape = {(uint32_t)fault, 1, 1, 0},
                           .quant = QUANT_F32,
                           .prefs = &bd.prefs};
    struct bench_row row = bench_row_init(&bd, "test", "ones");
    bench_case_measure(&c, &row, 3);
    bench_case_finish(&c);
    bench_device_close(&bd);
    return row;
}

static void test_right(void **state)
{
    (void)state;
    for (uint32_t warm = 0; warm < 2; warm++) {
        struct bench_row row = measure(NO_FAULT, warm != 0);
        assert_string_equal(row.why, "");
        assert_true(row.passed && !row.skipped);
        assert_int_equal(row.samples, 3);
        assert_true(row.us > 0 && row.us_min > 0 && row.us_min <= row.us);
        assert_true(row.flop == 7 && row.bytes == ROWS * COLS * 4);
        assert_true(row.rotated > ROWS * COLS * 4);
    }
}

static void test_wrong(void **state)
{
    (void)state;
    static const char *const reasons[FAULTS] = {
        [LAST_COLUMN] = "[0][299] is 2, expected 1",
        [UNWRITTEN] = "was not written",
        [NOT_FINITE] = "is not finite",
        [LAST_ROW] = "[39][299] is 2, expected 1",
        [OTHER_COPY] = "is 2, expected 1",
    };
    for (uint32_t fault = LAST_COLUMN; fault < FAULTS; fault++) {
        struct bench_row row = measure((enum fault)fault, false);
        assert_false(row.passed);
        assert_false(row.skipped);
        if (strstr(row.why, reasons[fault]) == NULL) {
            fail_msg("fault %u: '%s' does not say '%s'", fault, row.why, reasons[fault]);
        }
    }
}

/* ---- tuning ---- */

struct found {
    struct bench_tuned rows[16];
    uint32_t n;
};

static bool keep_tuned(void *user, const struct bench_tuned *tuned)
{
    struct found *found = user;
    found->rows[found->n++] = *tuned;
    return found->n < 16;
}

/* The norm without the lanes kernel has one parameter, "local", with four candidates. */
static struct found tune(double least_gain)
{
    struct found found = {.n = 0};
    const struct bench_params params = {.groups = BENCH_NORM,
                                        .devices = {device},
                                        .n_devices = 1,
                                        .disable = "rmsnorm/lanes",
                                        .least_gain = least_gain,
                                        .row = no_row,
                                        .user = &found};
    struct bench_totals totals;
    char why[256] = "";
    if (!bench_tune(&params, keep_tuned, &totals, why, sizeof why)) {
        fail_msg("%s", why);
    }
    assert_int_equal(totals.failed, 0);
    return found;
}

static void test_tune(void **state)
{
    (void)state;
    const struct dev_info *info = dev_instance_info(inst, device);
    struct ops_prefs prefs = {0};
    struct found found = tune(-1000); /* the best is kept, whatever it gains */
    uint32_t n = OPS_TOKEN_CLASSES - ((info->caps.has & DEV_CAP_CPU) != 0);
    assert_int_equal(found.n, n);
    assert_true(ops_profile_load(&prefs, folder, info, &log_lines));
    assert_int_equal(prefs.n_tuned, n);
    const struct op *op = ops_find("rmsnorm");
    const struct ops_variant *plain = ops_find_variant(op, "plain");
    for (uint32_t i = 0; i < found.n; i++) {
        static const uint32_t tokens[OPS_TOKEN_CLASSES] = {1, 5, 60, 400, 700};
        const struct ops_need need = {.op = op, .tokens = tokens[i], .quant = QUANT_COUNT};
        uint32_t values[OPS_MAX_TUNABLES] = {0};
        char text[32];
        assert_true(found.rows[i].kept);
        assert_int_equal(found.rows[i].tried, 4);
        assert_true(found.rows[i].best_us > 0 && found.rows[i].default_us > 0);
        /* what the op asks for when it is recorded */
        assert_true(ops_tuned_get(&prefs, &need, plain, values));
        snprintf(text, sizeof text, "local=%u", values[0]);
        assert_string_equal(text, found.rows[i].values);
    }
    ops_prefs_finish(&prefs);
    prefs = (struct ops_prefs){0};
    found = tune(0.99999); /* nothing is so much better: what was kept goes */
    assert_int_equal(found.n, n);
    assert_true(ops_profile_load(&prefs, folder, info, &log_lines));
    assert_int_equal(prefs.n_tuned, 0);
    ops_prefs_finish(&prefs);
}

static void remove_folder(void)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_tune),
    };
    log_init(&log_lines, NULL, NULL, LOG_ERROR);
    if (mkdtemp(folder) == NULL || setenv("QUADRIGA_CACHE", folder, 1) != 0) {
        perror("a temporary folder");
        return 1;
    }
    inst = dev_instance_create(&(struct dev_instance_params){.log = &log_lines});
    if (inst == NULL) {
        fprintf(stderr, "skipped: %s\n", log_lines.last);
        remove_folder();
        return 77;
    }
    dev_instance_default(inst, &device, 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    failed += dev_instance_messages(inst) != 0 ? 1 : 0;
    dev_instance_destroy(inst);
    log_finish(&log_lines);
    remove_folder();
    return failed;
}
