/* Over the fake, where every dispatch takes 20 ns: what a profile of steps says, and of a device
 * without timestamps. */
#include "fake_vk.h"
#include "run/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 128, TOKENS = 4 };

struct rig {
    struct fake_vk fake;
    struct log log;
    struct dev_instance *inst;
    struct run_model model;
    struct run_session session;
    struct run_profile_row rows[ROWS];
    size_t n_rows;
    uint32_t errors;
    char line[256];
};

static void see(void *user, enum log_level level, const char *line)
{
    struct rig *r = user;
    if (level == LOG_ERROR) {
        r->errors++;
        snprintf(r->line, sizeof r->line, "%s", line);
    }
}

static void open_session(struct rig *r, uint32_t n_devices, bool last_has_timestamps)
{
    memset(r, 0, sizeof *r);
    log_init(&r->log, see, r, LOG_ERROR);
    for (uint32_t i = 0; i < n_devices; i++) {
        r->fake.gpus[i] = fake_vk_gpu(i);
    }
    r->fake.gpus[n_devices - 1].no_timestamps = !last_has_timestamps;
    r->fake.n_gpus = n_devices;
    fake_vk_begin(&r->fake);
    r->inst = dev_instance_create(
        &(struct dev_instance_params){.log = &r->log, .get_proc = fake_vk_get_proc()});
    assert_non_null(r->inst);
    const struct run_params params = {
        .dummy = "layers=3,dim=256,heads=8,kv_heads=4,ffn=512,vocab=512,type=q4_k",
        .n_ctx = 128,
        .split = PLAN_SPLIT_LAYER,
        .no_cache = true};
    assert_int_equal(run_model_init(&r->model, r->inst, &params, &r->log), RUN_OK);
    assert_int_equal(run_session_init(&r->session, &r->model), RUN_OK);
}

static void close_session(struct rig *r)
{
    run_session_finish(&r->session);
    run_model_finish(&r->model);
    dev_instance_destroy(r->inst);
    assert_int_equal(fake_vk_end(), 0);
    log_finish(&r->log);
}

static enum run_status run_tokens(struct rig *r)
{
    static const uint32_t tokens[TOKENS] = {1, 2, 3, 4};
    return run_prefill(&r->session, 0, tokens, TOKENS, true);
}

static uint64_t count_dispatches(const struct fake_vk *fake)
{
    uint64_t n = 0;
    assert_true(fake->n_trace < FAKE_TRACE);
    for (uint32_t i = 0; i < fake->n_trace; i++) {
        n += fake->trace[i].what == FAKE_DISPATCH;
    }
    return n;
}

/* Every dispatch is in a row, once; returns them. */
static uint64_t check_rows(const struct rig *r)
{
    uint64_t dispatches = 0, gaps = 0, matmuls = 0;
    for (size_t i = 0; i < r->n_rows; i++) {
        const struct run_profile_row *row = &r->rows[i];
        assert_true(row->device < r->model.n_devices && row->op[0] != '\0');
        if (row->kind == RUN_PROFILE_KERNEL) {
            assert_int_equal(row->ns, 20 * row->dispatches);
            assert_true(row->calls != 0 && row->what[0] != '\0');
            dispatches += row->dispatches;
        }
        if (strcmp(row->op, "matmul_gate") == 0) {
            assert_string_equal(row->what, "ffn_gate");
            assert_string_equal(row->shape, "512x4x256");
            assert_string_equal(row->format, "Q4_K");
            assert_true(row->flop == (double)row->calls * 4 * 512 * 4 * 256);
            matmuls += row->calls;
        }
        gaps += row->kind == RUN_PROFILE_GAP;
    }
    assert_int_equal(gaps, r->model.n_devices);
    assert_int_equal(matmuls, 3);
    return dispatches;
}

static void every_dispatch_is_in_a_row(void **state)
{
    (void)state;
    static struct rig r;
    for (uint32_t n = 1; n <= 2; n++) {
        open_session(&r, n, true);
        assert_true(run_profile_get(&r.session, r.rows, ROWS, &r.n_rows) && r.n_rows == 0);
        assert_true(run_profile_start(&r.session));
        assert_int_equal(run_tokens(&r), RUN_OK); /* records */
        run_profile_reset(&r.session);
        r.fake.n_trace = 0;
        assert_int_equal(run_tokens(&r), RUN_OK);
        assert_true(run_profile_get(&r.session, r.rows, ROWS, &r.n_rows));
        assert_true(r.n_rows > 8 * n && r.n_rows <= ROWS);
        assert_int_equal(check_rows(&r), count_dispatches(&r.fake));
        size_t count;
        assert_true(run_profile_get(&r.session, r.rows, 3, &count) && count == r.n_rows);
        run_profile_reset(&r.session);
        assert_true(run_profile_get(&r.session, r.rows, ROWS, &count) && count == n);
        run_profile_stop(&r.session);
        assert_false(r.session.slots[0].others[0].ready); /* it had timestamps */
        r.fake.trace_timestamps = true;
        r.fake.n_trace = 0;
        assert_int_equal(run_tokens(&r), RUN_OK);
        uint32_t stamps = 0;
        for (uint32_t i = 0; i < r.fake.n_trace; i++) {
            stamps += r.fake.trace[i].what == FAKE_TIMESTAMP;
        }
        assert_int_equal(stamps, 2 * n); /* of the commands as a whole */
        assert_int_equal(r.errors, 0);
        close_session(&r);
    }
}

static void none_without_timestamps(void **state)
{
    (void)state;
    static struct rig r;
    open_session(&r, 2, false);
    assert_false(run_profile_start(&r.session));
    assert_int_equal(r.errors, 1);
    assert_non_null(strstr(r.line, "device 1 ("));
    assert_non_null(strstr(r.line, "has no timestamps"));
    assert_int_equal(run_tokens(&r), RUN_OK);
    assert_true(run_profile_get(&r.session, r.rows, ROWS, &r.n_rows) && r.n_rows == 0);
    close_session(&r);
}

/* Each call of a profiled step fails once: one error, nothing stays, the next step works. */
static void a_failure_is_said_once(void **state)
{
    (void)state;
    static struct rig r;
    uint32_t failed = 0;
    for (uint32_t k = 1;; k++) {
        open_session(&r, 1, true);
        assert_true(run_profile_start(&r.session));
        r.fake.fail_with = VK_ERROR_OUT_OF_HOST_MEMORY;
        r.fake.fail_at = r.fake.calls + k;
        enum run_status status = run_tokens(&r);
        r.fake.fail_at = 0;
        bool done = r.fake.failed_in == NULL;
        assert_true(status == RUN_OK ? r.errors <= 1 : r.errors == 1);
        assert_int_equal(run_tokens(&r), RUN_OK);
        close_session(&r);
        if (done) {
            break;
        }
        failed++;
    }
    printf("%u failures\n", failed);
    assert_true(failed > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dispatch_is_in_a_row),
        cmocka_unit_test(none_without_timestamps),
        cmocka_unit_test(a_failure_is_said_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
