/* Over the fake: how long chunks of a prompt are, by kind of device, memory, and what was measured.
 */
#include "fake_vk.h"
#include "run/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

enum { TOKENS = 3000 };

struct rig {
    struct fake_vk fake;
    struct log log;
    struct dev_instance *inst;
    struct run_model model;
    struct run_session session;
};

static void prepare(struct rig *r, uint32_t n_devices)
{
    memset(r, 0, sizeof *r);
    for (uint32_t i = 0; i < n_devices; i++) {
        r->fake.gpus[i] = fake_vk_gpu(i);
        r->fake.gpus[i].no_timestamps = true; /* what was measured is said by the tests */
    }
    r->fake.n_gpus = n_devices;
}

static void open_model(struct rig *r, uint32_t n_batch)
{
    log_init(&r->log, NULL, NULL, LOG_ERROR);
    fake_vk_begin(&r->fake);
    r->inst = dev_instance_create(
        &(struct dev_instance_params){.log = &r->log, .get_proc = fake_vk_get_proc()});
    const struct run_params params = {
        .dummy = "layers=4,dim=1024,heads=8,kv_heads=4,ffn=4096,vocab=512,type=q8_0",
        .n_ctx = 4096,
        .n_batch = n_batch,
        .split = PLAN_SPLIT_LAYER,
        .no_cache = true};
    assert_int_equal(run_model_init(&r->model, r->inst, &params, &r->log), RUN_OK);
    assert_int_equal(run_session_init(&r->session, &r->model), RUN_OK);
}

static void close_model(struct rig *r)
{
    run_session_finish(&r->session);
    run_model_finish(&r->model);
    dev_instance_destroy(r->inst);
    assert_int_equal(fake_vk_end(), 0);
    log_finish(&r->log);
}

static uint64_t count_steps(struct rig *r)
{
    static const uint32_t tokens[TOKENS];
    kv_truncate(&r->session.kv, 0, 0);
    uint64_t steps = r->session.stats.steps;
    assert_int_equal(run_prefill(&r->session, 0, tokens, TOKENS, true), RUN_OK);
    assert_int_equal(r->session.kv.length[0], TOKENS);
    return r->session.stats.steps - steps;
}

static void set_speed(struct rig *r, double scale)
{
    for (uint32_t d = 0; d < r->model.n_devices; d++) {
        atomic_store(&r->model.devices[d].pace.scale[PACE_CHUNK], scale);
    }
}

/* Of the recording that was asked for last. */
static uint32_t last_tokens(const struct run_slot *slot)
{
    const struct run_recording *last = &slot->decode;
    for (uint32_t i = 0; i < RUN_OTHERS; i++) {
        last = slot->others[i].used > last->used ? &slot->others[i] : last;
    }
    return last->shape.n_tokens;
}

static void long_on_gpus(void **state)
{
    (void)state;
    static struct rig r;
    prepare(&r, 1);
    open_model(&r, 0);
    assert_int_equal(r.model.n_batch, 2048);
    assert_int_equal(run_batch_now(&r.model, TOKENS, TOKENS), 96); /* not measured yet */
    assert_int_equal(run_batch_now(&r.model, 512, 512), 128);
    assert_int_equal(count_steps(&r), 3);                             /* 96, 1536 and the rest */
    assert_true(pace_is_known(&r.model.devices[0].pace, PACE_CHUNK)); /* by the host's clock */
    set_speed(&r, 1e-3);
    assert_int_equal(count_steps(&r), 2);
    assert_int_equal(last_tokens(&r.session.slots[0]), 1536);
    assert_int_equal(last_tokens(&r.session.slots[1]), TOKENS - 1536);
    close_model(&r);
}

/* Commands are cut by the speed that was measured, chunks by that of the longest node; both anew
 * when it changes. */
static void short_where_slow(void **state)
{
    (void)state;
    static struct rig r;
    prepare(&r, 1);
    open_model(&r, 0);
    size_t few = 0;
    for (int slow = 0; slow < 2; slow++) {
        double scale = slow ? 50 : 0.01; /* 20 GFLOP/s, 100 TFLOP/s */
        set_speed(&r, scale);
        uint32_t most = run_batch_now(&r.model, TOKENS, TOKENS);
        double longest = scale * 1e-3 * most;
        longest *= r.model.chunk_flop > 4 * 4.0 * 1024 * TOKENS ? r.model.chunk_flop
                                                                : 4 * 4.0 * 1024 * TOKENS;
        assert_true(longest <= 100e6);
        assert_int_equal(most, slow ? 40 : 2048);
        struct run_recording *rec = run_record(&r.session, &r.session.slots[0],
                                               &(struct run_shape){.n_tokens = 1024, .n_out = 1});
        assert_non_null(rec);
        if (slow) {
            assert_true(rec->part[0].n_cmds > 10 * few);
        }
        few = rec->part[0].n_cmds;
    }
    close_model(&r);
}

static struct run_recording *record(struct rig *r, uint32_t n_tokens, uint32_t copies, bool scores)
{
    struct run_shape shape = {.n_tokens = n_tokens, .n_out = 1, .copies = copies, .scores = scores};
    struct run_recording *rec = run_record(&r->session, &r->session.slots[0], &shape);
    assert_non_null(rec);
    assert_true(rec->ready && rec->shape.n_tokens == n_tokens && rec->shape.copies == copies &&
                rec->shape.scores == scores);
    return rec;
}

/* A slot keeps the recordings of some shapes; the one that was asked for longest ago goes. */
static void shapes_are_kept(void **state)
{
    (void)state;
    static struct rig r;
    prepare(&r, 1);
    open_model(&r, 0);
    assert_true(run_session_reserve_scores(&r.session, 1));
    struct run_recording *first = record(&r, 64, 0, false), *rec[3];
    rec[0] = record(&r, 64, 0, true);
    rec[1] = record(&r, 64, 256, true);
    rec[2] = record(&r, 64, 512, true);
    assert_true(first != rec[0] && rec[0] != rec[1] && rec[1] != rec[2]);
    const struct dev_cmd *cmd = first->part[0].cmds[0];
    assert_ptr_equal(record(&r, 64, 0, false), first);
    assert_ptr_equal(first->part[0].cmds[0], cmd); /* not recorded again */
    for (uint32_t i = 0; i + 1 < RUN_OTHERS; i++) {
        assert_ptr_not_equal(record(&r, 65 + i, 0, false), first);
    }
    assert_ptr_equal(record(&r, 64, 0, false), first);
    assert_ptr_equal(first->part[0].cmds[0], cmd);
    assert_ptr_equal(record(&r, 1, 0, false), &r.session.slots[0].decode);
    assert_ptr_not_equal(record(&r, 1, 0, true), &r.session.slots[0].decode);
    assert_ptr_not_equal(record(&r, 99, 0, true), first);
    close_model(&r);
}

static void as_asked(void **state)
{
    (void)state;
    static struct rig r;
    prepare(&r, 2);
    open_model(&r, 1000);
    assert_int_equal(r.model.n_batch, 1000);
    set_speed(&r, 1e-3);
    assert_int_equal(run_batch_now(&r.model, TOKENS, TOKENS), 896);
    close_model(&r);
    prepare(&r, 2); /* by default each of two devices has some chunks to work on at once */
    open_model(&r, 0);
    assert_int_equal(r.model.n_batch, 2048);
    set_speed(&r, 1e-3);
    assert_int_equal(run_batch_now(&r.model, 2048, 2048), 512);
    assert_int_equal(run_batch_now(&r.model, 16384, 4096), 2048);
    close_model(&r);
}

static void short_on_cpus(void **state)
{
    (void)state;
    static struct rig r;
    prepare(&r, 1);
    r.fake.gpus[0].type = VK_PHYSICAL_DEVICE_TYPE_CPU;
    open_model(&r, 0);
    assert_int_equal(r.model.n_batch, 64);
    assert_int_equal(run_batch_now(&r.model, TOKENS, TOKENS), 64);
    close_model(&r);
}

/* Scratch for 2,048 tokens beside the weights, or for fewer; and bindings that hold it. */
static void as_memory_allows(void **state)
{
    (void)state;
    static struct rig r;
    prepare(&r, 1);
    open_model(&r, 0);
    const struct run_device *device = &r.model.devices[0];
    uint64_t all = device->weight_bytes + device->kv_bytes + device->work_bytes;
    uint64_t scratch = device->scratch_bytes;
    close_model(&r);
    assert_true(scratch > 60u << 20); /* gate, up and their product of 2,048 x 4,096 */
    prepare(&r, 1);
    r.fake.gpus[0].heap_bytes = r.fake.gpus[0].heap_budget = (all - scratch / 4) * 10 / 9;
    r.fake.gpus[0].heap_usage = 0;
    open_model(&r, 0);
    assert_int_equal(r.model.n_batch, 1024);
    assert_int_equal(count_steps(&r) > 3, 1);
    close_model(&r);
    prepare(&r, 1);
    r.fake.gpus[0].max_storage_range = 2048 * 4096 * 4 / 2;
    open_model(&r, 0);
    assert_int_equal(r.model.n_batch, 1024);
    close_model(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_on_gpus),     cmocka_unit_test(short_where_slow),
        cmocka_unit_test(as_asked),         cmocka_unit_test(short_on_cpus),
        cmocka_unit_test(as_memory_allows), cmocka_unit_test(shapes_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
