/* Over the fake: steps in flight over four devices, of which one fails. It ends in one clear line
 * and a status, nothing hangs or leaks, and sequences are empty afterwards. Events of a trace
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

#define SHAPE "layers=4,dim=256,heads=8,kv_heads=4,ffn=512,vocab=512,type=q8_0"

enum { STEPS = 9, TOKENS = 5 };

struct rig {
    struct fake_vk fake;
    struct log log;
    struct dev_instance *inst;
    struct run_model model;
    struct run_session session;
    uint32_t errors, n, n_done;
    char lines[2048];
};

static void see(void *user, enum log_level level, const char *line)
{
    struct rig *r = user;
    r->errors += level == LOG_ERROR ? 1 : 0;
    size_t used = strlen(r->lines);
    snprintf(r->lines + used, sizeof r->lines - used, "%s\n", line);
}

static void open_rig(struct rig *r, bool no_timestamps)
{
    memset(r, 0, sizeof *r);
    log_init(&r->log, see, r, LOG_WARN);
    for (uint32_t i = 0; i < 4; i++) {
        r->fake.gpus[i] = fake_vk_gpu(i);
        r->fake.gpus[i].no_timestamps = no_timestamps;
    }
    r->fake.n_gpus = 4;
    fake_vk_begin(&r->fake);
    r->inst = dev_instance_create(
        &(struct dev_instance_params){.log = &r->log, .get_proc = fake_vk_get_proc()});
    assert_non_null(r->inst);
    const struct run_params params = {
        .dummy = SHAPE, .n_ctx = 128, .n_batch = 16, .split = PLAN_SPLIT_LAYER, .no_cache = true};
    assert_int_equal(run_model_init(&r->model, r->inst, &params, &r->log), RUN_OK);
    assert_int_equal(r->model.n_devices, 4);
    assert_int_equal(run_session_init(&r->session, &r->model), RUN_OK);
}

static void close_rig(struct rig *r)
{
    run_session_finish(&r->session);
    run_model_finish(&r->model);
    dev_instance_destroy(r->inst);
    assert_int_equal(fake_vk_end(), 0);
    log_finish(&r->log);
}

static bool next(void *user, struct run_tokens *tokens)
{
    static const uint32_t ids[TOKENS] = {5, 4, 3, 2, 1};
    struct rig *r = user;
    *tokens = (struct run_tokens){.n = TOKENS, .token = ids};
    return r->n++ < STEPS;
}

static bool done(void *user, uint64_t index, struct run_slot *slot, uint32_t n, bool scores)
{
    struct rig *r = user;
    assert_int_equal(index, r->n_done++);
    assert_int_equal(n, 1);
    assert_false(scores);
    assert_non_null(dev_buf_map(slot->logits_host));
    return true;
}

static enum run_status run(struct rig *r)
{
    return run_pipeline(&r->session, &(struct run_source){.next = next, .done = done, .user = r});
}

/* Every call of a run fails once, with a device that is lost and with memory that is out. */
static void a_device_fails(void **state)
{
    (void)state;
    static struct rig r;
    static const VkResult codes[] = {VK_ERROR_DEVICE_LOST, VK_ERROR_OUT_OF_DEVICE_MEMORY};
    for (size_t c = 0; c < 2; c++) {
        uint32_t failed = 0;
        for (uint32_t k = 1;; k += 3) {
            open_rig(&r, false);
            r.fake.fail_with = codes[c];
            r.fake.fail_at = r.fake.calls + k;
            enum run_status status = run(&r);
            const char *name = r.fake.failed_in;
            r.fake.fail_at = 0;
            if (status == RUN_OK ? r.errors > 1 || r.n_done != STEPS : r.errors != 1) {
                fail_msg("call %u (%s): status %d, %u errors, %u steps: %s", k, name, status,
                         r.errors, r.n_done, r.lines);
            }
            if (status != RUN_OK) {
                failed++;
                assert_int_equal(status, c == 0 ? RUN_DEVICE_LOST : RUN_ERROR);
                assert_true(r.n_done < STEPS);
            }
            close_rig(&r);
            if (name == NULL) {
                break;
            }
        }
        printf("%u failures\n", failed);
        assert_true(failed > 5);
    }
}

/* Without timestamps a trace has what the host saw. */
static void traced_by_the_host(void **state)
{
    (void)state;
    static struct rig r;
    static struct run_trace_event events[1000];
    open_rig(&r, true);
    assert_true(run_trace_start(&r.session));
    assert_int_equal(run(&r), RUN_OK);
    size_t n;
    assert_true(run_trace_get(&r.session, events, 1000, &n));
    assert_true(n < 1000);
    uint64_t first = UINT64_MAX;
    uint32_t work[4] = {0};
    for (size_t i = 0; i < n; i++) {
        assert_true(events[i].begin_ns <= events[i].end_ns);
        if (events[i].kind == RUN_TRACE_WORK) {
            first = first == UINT64_MAX ? events[i].step : first;
            assert_int_equal(events[i].step, first + work[events[i].device]++);
            assert_int_equal(events[i].n_tokens, TOKENS);
        }
    }
    for (uint32_t d = 0; d < 4; d++) {
        struct run_trace_clock clock;
        run_trace_get_clock(&r.session, d, &clock);
        assert_false(clock.has_timestamps);
        assert_int_equal(work[d], STEPS);
    }
    close_rig(&r);
}

/* With them, what the device's clock says on the host's: the fake's reads 1000 when the host's
 * reads 7000, and its timestamps are 2000 and 2020. */
static void traced_on_one_clock(void **state)
{
    (void)state;
    static struct rig r;
    static struct run_trace_event events[1000];
    open_rig(&r, false);
    assert_true(run_trace_start(&r.session));
    assert_int_equal(run(&r), RUN_OK);
    size_t n, work = 0;
    assert_true(run_trace_get(&r.session, events, 1000, &n));
    for (size_t i = 0; i < n && i < 1000; i++) {
        if (events[i].kind == RUN_TRACE_WORK) {
            assert_int_equal(events[i].begin_ns, 8000);
            assert_int_equal(events[i].end_ns, 8020);
            work++;
        }
    }
    assert_in_range(work, 4 * STEPS, n); /* the fake may have them in several parts */
    struct run_trace_clock clock;
    run_trace_get_clock(&r.session, 3, &clock);
    assert_true(clock.has_timestamps && clock.calibrated);
    assert_int_equal(clock.error_ns, 30);
    assert_true(run_trace_start(&r.session)); /* which forgets what was */
    assert_true(run_trace_get(&r.session, events, 1000, &n));
    assert_int_equal(n, 0);
    run_trace_stop(&r.session);
    run_trace_stop(&r.session);
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_fails),
        cmocka_unit_test(traced_by_the_host),
        cmocka_unit_test(traced_on_one_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
