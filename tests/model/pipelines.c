/* Over the fake: which pipelines a session has made. As many as its recordings bind, and no more;
 * and what happens when one cannot be made. */
#include "fake_vk.h"
#include "run/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHAPE "layers=4,dim=256,heads=8,kv_heads=4,ffn=512,vocab=512,type=q4_k_m"

struct rig {
    struct fake_vk fake;
    struct log log;
    struct dev_instance *inst;
    struct run_model model;
    struct run_session session;
    uint32_t errors, made_lines, made;
};

static void see(void *user, enum log_level level, const char *line)
{
    struct rig *r = user;
    r->errors += level == LOG_ERROR ? 1 : 0;
    const char *at = strstr(line, "): ");
    unsigned n, threads;
    if (at != NULL && sscanf(at, "): %u pipelines on %u threads in", &n, &threads) == 2) {
        assert_in_range(threads, 1, 16);
        r->made_lines++;
        r->made += n;
    }
}

static void open_model(struct rig *r, uint32_t n_devices)
{
    memset(r, 0, sizeof *r);
    log_init(&r->log, see, r, LOG_INFO);
    for (uint32_t i = 0; i < n_devices; i++) {
        r->fake.gpus[i] = fake_vk_gpu(i);
    }
    r->fake.n_gpus = n_devices;
    fake_vk_begin(&r->fake);
    r->inst = dev_instance_create(
        &(struct dev_instance_params){.log = &r->log, .get_proc = fake_vk_get_proc()});
    assert_non_null(r->inst);
    const struct run_params params = {
        .dummy = SHAPE, .n_ctx = 128, .split = PLAN_SPLIT_LAYER, .no_cache = true};
    assert_int_equal(run_model_init(&r->model, r->inst, &params, &r->log), RUN_OK);
    assert_int_equal(r->model.n_devices, n_devices);
}

static void close_model(struct rig *r)
{
    run_model_finish(&r->model);
    dev_instance_destroy(r->inst);
    assert_int_equal(fake_vk_end(), 0);
    log_finish(&r->log);
}

static void submit_all(struct rig *r, const struct run_recording *rec)
{
    assert_true(rec->ready);
    for (uint32_t d = 0; d < r->model.n_devices; d++) {
        for (size_t i = 0; i < rec->part[d].n_cmds; i++) {
            struct dev *dev = r->model.devices[d].dev;
            assert_true(dev_wait(dev, dev_submit(dev, rec->part[d].cmds[i])));
        }
    }
}

static uint32_t count_bound(const struct fake_vk *fake)
{
    uint32_t n = 0;
    assert_true(fake->n_trace < FAKE_TRACE);
    for (uint32_t i = 0; i < fake->n_trace; i++) {
        bool first = fake->trace[i].what == FAKE_BIND_PIPELINE;
        for (uint32_t k = 0; k < i && first; k++) {
            first = fake->trace[k].what != FAKE_BIND_PIPELINE ||
                    fake->trace[k].dst != fake->trace[i].dst;
        }
        n += first ? 1 : 0;
    }
    return n;
}

static void only_those_of_the_plan(void **state)
{
    (void)state;
    static struct rig r;
    for (uint32_t n = 1; n <= 4; n++) {
        open_model(&r, n);
        uint32_t before = r.fake.pipelines; /* they filled the weights */
        assert_int_equal(run_session_init(&r.session, &r.model), RUN_OK);
        uint32_t made = r.fake.pipelines - before;
        r.fake.n_trace = 0;
        submit_all(&r, &r.session.slots[0].decode);
        uint32_t decode = count_bound(&r.fake);
        submit_all(&r, &r.session.slots[0].others[0]);
        uint32_t both = count_bound(&r.fake);
        const struct run_shape few = {.n_tokens = 16, .n_out = 1};
        const struct run_recording *rec = run_record(&r.session, &r.session.slots[0], &few);
        assert_non_null(rec);
        submit_all(&r, rec);
        const struct run_shape next[] = {{.n_tokens = 1, .n_out = 1, .ids = true},
                                         {.n_tokens = 1, .n_out = 1, .top = 105}};
        for (uint32_t i = 0; i < 2; i++) {
            rec = run_record(&r.session, &r.session.slots[0], &next[i]);
            assert_non_null(rec);
            submit_all(&r, rec);
        }
        uint32_t all = count_bound(&r.fake);
        printf("%u devices: %u pipelines, decode binds %u, with a chunk %u, with a short one %u\n",
               n, made, decode, both, all);
        assert_true(decode >= 5 * n && both > decode && all > both);
        assert_int_equal(made, all);
        assert_int_equal(r.fake.pipelines - before, made); /* a short prompt makes none */
        assert_int_equal(r.made, made); /* all of them in a bracket of each device */
        assert_int_equal(r.made_lines, n);
        run_session_finish(&r.session);
        assert_int_equal(run_session_init(&r.session, &r.model), RUN_OK);
        assert_int_equal(r.fake.pipelines - before, made); /* they are kept */
        run_session_finish(&r.session);
        assert_int_equal(r.errors, 0);
        close_model(&r);
    }
}

/* Every 7th call of the making of a session fails: one error, nothing stays, the next one works. */
static void a_failure_is_said_once(void **state)
{
    (void)state;
    static struct rig r;
    uint32_t failed = 0;
    for (uint32_t k = 1;; k += 7) {
        open_model(&r, 2);
        r.fake.fail_with = VK_ERROR_OUT_OF_DEVICE_MEMORY;
        r.fake.fail_at = r.fake.calls + k;
        enum run_status status = run_session_init(&r.session, &r.model);
        r.fake.fail_at = 0;
        if (r.fake.failed_in == NULL) {
            assert_int_equal(status, RUN_OK);
            run_session_finish(&r.session);
            close_model(&r);
            break;
        }
        failed++;
        if (strstr(r.fake.failed_in, "Pipeline") != NULL) {
            assert_int_equal(status, RUN_OUT_OF_MEMORY);
            assert_int_equal(r.errors, 1);
        }
        if (status == RUN_OK) {
            run_session_finish(&r.session);
        }
        assert_int_equal(run_session_init(&r.session, &r.model), RUN_OK);
        run_session_finish(&r.session);
        close_model(&r);
    }
    printf("%u failures\n", failed);
    assert_true(failed > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_those_of_the_plan),
        cmocka_unit_test(a_failure_is_said_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
