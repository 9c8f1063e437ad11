/* Over the fake: the barriers a recording gets, what a recording refuses, waiting on GPUs and on
 * CPU devices, exchange with and without imports. */
#include "fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

struct site {
    struct fake_fixture f;
    struct dev *dev;
    struct dev_buf *a, *b, *c;
    struct dev_kernel *kernel;
    struct dev_cmd *cmd;
};

static int setup(void **state)
{
    static struct site s;
    fake_init(&s.f, 1);
    assert_true(fake_open_instance(&s.f));
    s.dev = fake_open(&s.f, 0);
    s.a = fake_buf(s.dev, "a", 4096, DEV_MEM_DEVICE);
    s.b = fake_buf(s.dev, "b", 4096, DEV_MEM_DEVICE);
    s.c = fake_buf(s.dev, "c", 4096, DEV_MEM_DEVICE);
    s.kernel = fake_kernel(s.dev, &fake_shader);
    s.cmd = dev_cmd_create(s.dev);
    assert_true(dev_cmd_begin(s.cmd));
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct site *s = *state;
    dev_cmd_destroy(s->cmd);
    dev_buf_destroy(s->a);
    dev_buf_destroy(s->b);
    dev_buf_destroy(s->c);
    dev_close(s->dev);
    fake_finish(&s->f);
    return 0;
}

static struct dev_bind bind(struct dev_buf *buf, uint64_t offset, uint64_t bytes,
                            enum dev_access access)
{
    return (struct dev_bind){buf, offset, bytes, access};
}

/* c[range] = a, b */
static void dispatch(struct site *s, struct dev_bind a, struct dev_bind b, struct dev_bind c)
{
    struct dev_dispatch d = fake_dispatch(s->kernel, a, b, c);
    assert_true(dev_cmd_dispatch(s->cmd, &d));
}

/* Ends, submits, and compares the trace with one letter per command: B barrier, D dispatch, C copy,
 * F fill, T timestamp. */
static void expect_trace(struct site *s, const char *want)
{
    char got[64] = "";
    static const char letters[] = {[FAKE_BARRIER] = 'B',
                                   [FAKE_DISPATCH] = 'D',
                                   [FAKE_COPY] = 'C',
                                   [FAKE_FILL] = 'F',
                                   [FAKE_TIMESTAMP] = 'T'};
    assert_true(dev_cmd_end(s->cmd));
    uint64_t value = dev_submit(s->dev, s->cmd);
    assert_true(value != 0 && dev_wait(s->dev, value));
    size_t n = 0;
    for (uint32_t i = 0; i < s->f.fake.n_trace && n < 63; i++) {
        if (s->f.fake.trace[i].what != FAKE_BIND_PIPELINE) {
            got[n++] = letters[s->f.fake.trace[i].what];
        }
    }
    assert_string_equal(got, want);
    uint32_t between = 0;
    for (const char *c = want + 1; c[1] != '\0'; c++) {
        between += *c == 'B' ? 1 : 0;
    }
    assert_int_equal(dev_cmd_barriers(s->cmd), between);
}

static void reads_need_no_barrier(void **state)
{
    struct site *s = *state;
    for (int i = 0; i < 3; i++) { /* disjoint outputs of shared inputs */
        dispatch(s, bind(s->a, 0, 4096, DEV_READ), bind(s->b, 0, 4096, DEV_READ),
                 bind(s->c, (uint64_t)i * 1024, 1024, DEV_WRITE));
    }
    expect_trace(s, "BDDDB");
    const struct fake_command *first = &s->f.fake.trace[0];
    const VkPipelineStageFlags work =
        VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    const VkAccessFlags writes = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    assert_int_equal(first->src_stages, work);
    assert_int_equal(first->dst_stages, work);
    assert_int_equal(first->src_access, writes);
    assert_int_equal(first->dst_access,
                     writes | VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT);
    const struct fake_command *last = &s->f.fake.trace[s->f.fake.n_trace - 1];
    assert_int_equal(last->src_stages, work);
    assert_int_equal(last->dst_stages, VK_PIPELINE_STAGE_HOST_BIT);
    assert_int_equal(last->src_access, writes);
    assert_int_equal(last->dst_access, VK_ACCESS_HOST_READ_BIT);
    assert_int_equal(dev_cmd_count(s->cmd), 3);
}

/* One that was asked for orders what needed none, and is not put again for what comes behind it. */
static void barriers_on_request(void **state)
{
    struct site *s = *state;
    const enum dev_access r = DEV_READ, w = DEV_WRITE;
    dispatch(s, bind(s->a, 0, 64, r), bind(s->a, 64, 64, r), bind(s->b, 0, 64, w));
    assert_true(dev_cmd_barrier(s->cmd));
    dispatch(s, bind(s->a, 0, 64, r), bind(s->a, 64, 64, r), bind(s->b, 64, 64, w));
    assert_true(dev_cmd_barrier(s->cmd));
    dispatch(s, bind(s->b, 0, 64, r), bind(s->b, 64, 64, r), bind(s->c, 0, 64, w)); /* RAW */
    expect_trace(s, "BDBDBDB");
    assert_false(dev_cmd_barrier(s->cmd)); /* not recording */
}

static void hazards_get_one_barrier_each(void **state)
{
    struct site *s = *state;
    const enum dev_access r = DEV_READ, w = DEV_WRITE;
    dispatch(s, bind(s->a, 0, 64, r), bind(s->a, 64, 64, r), bind(s->b, 0, 64, w));
    dispatch(s, bind(s->b, 0, 64, r), bind(s->a, 0, 64, r), bind(s->c, 0, 64, w));     /* RAW */
    dispatch(s, bind(s->c, 64, 64, r), bind(s->c, 128, 64, r), bind(s->a, 0, 128, w)); /* WAR */
    dispatch(s, bind(s->b, 0, 64, r), bind(s->b, 0, 64, r), bind(s->a, 64, 128, w));   /* WAW */
    dispatch(s, bind(s->b, 0, 64, r), bind(s->b, 0, 64, r), bind(s->a, 192, 64, w));   /* beside */
    dispatch(s, bind(s->b, 64, 1, r), bind(s->b, 0, 64, r), bind(s->a, 256, 64, DEV_READ_WRITE));
    expect_trace(s, "BDBDBDBDDDB");
    const struct fake_command *between = NULL;
    for (uint32_t i = 1; i < s->f.fake.n_trace && between == NULL; i++) {
        between = s->f.fake.trace[i].what == FAKE_BARRIER ? &s->f.fake.trace[i] : NULL;
    }
    assert_int_equal(between->src_stages, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT);
    assert_int_equal(between->src_access, VK_ACCESS_SHADER_WRITE_BIT);
}

static void copies_and_fills_take_part(void **state)
{
    struct site *s = *state;
    assert_true(dev_cmd_fill(s->cmd, s->a, 0, 1024, 7));
    assert_true(dev_cmd_fill(s->cmd, s->a, 1024, 1024, 8));
    assert_true(dev_cmd_copy(s->cmd, s->b, 0, s->a, 512, 1024));   /* after both */
    assert_true(dev_cmd_copy(s->cmd, s->c, 0, s->a, 0, 16));       /* only reads a again */
    assert_true(dev_cmd_copy(s->cmd, s->b, 2048, s->a, 0, 16));    /* elsewhere */
    assert_true(dev_cmd_copy(s->cmd, s->a, 2048, s->b, 1000, 16)); /* reads the copied */
    expect_trace(s, "BFFBCCCBCB");
    uint32_t out[1024];
    assert_true(dev_download(s->dev, s->b, 0, out, 4096));
    assert_int_equal(out[127], 7);
    assert_int_equal(out[128], 8);
}

/* The chain over a barrier: what was ordered before it stays ordered after it. */
static void begins_anew(void **state)
{
    struct site *s = *state;
    const enum dev_access r = DEV_READ, w = DEV_WRITE;
    dispatch(s, bind(s->a, 0, 64, r), bind(s->a, 0, 64, r), bind(s->b, 0, 64, w));
    assert_true(dev_cmd_begin(s->cmd)); /* dropped */
    assert_int_equal(dev_cmd_count(s->cmd), 0);
    dispatch(s, bind(s->b, 0, 64, r), bind(s->a, 0, 64, r), bind(s->c, 0, 64, w));
    expect_trace(s, "BDB");
}

/* Enough sets for several descriptor pools; the fake counts what is in a pool. */
static void pools_grow(void **state)
{
    struct site *s = *state;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 1000; i++) {
            dispatch(s, bind(s->a, 0, 64, DEV_READ), bind(s->a, 64, 64, DEV_READ),
                     bind(s->b, i % 32 * 64, 64, DEV_WRITE));
        }
        assert_int_equal(dev_cmd_count(s->cmd), 1000);
        assert_true(dev_cmd_end(s->cmd));
        assert_true(dev_submit(s->dev, s->cmd) != 0);
        assert_true(dev_cmd_begin(s->cmd));
    }
}

static void texel_views_are_shared(void **state)
{
    struct site *s = *state;
    struct dev_kernel *k = fake_kernel(s->dev, &fake_texel_shader);
    int32_t before = s->f.fake.live;
    for (uint32_t i = 0; i < 100; i++) {
        struct dev_dispatch d =
            fake_dispatch(k, bind(s->a, i % 2 * 1024, 1024, DEV_READ),
                          bind(s->a, 0, 1024, DEV_READ), bind(s->b, i % 64 * 64, 64, DEV_WRITE));
        assert_true(dev_cmd_dispatch(s->cmd, &d));
    }
    /* two ranges as uint, one as float; two descriptor pools */
    assert_int_equal(s->f.fake.live - before, 3 + 2);
    assert_true(dev_cmd_begin(s->cmd));
    assert_int_equal(s->f.fake.live - before, 2);
}

static void refuse(struct site *s, struct dev_dispatch d, const char *why)
{
    fake_forget(&s->f);
    assert_true(dev_cmd_begin(s->cmd));
    assert_false(dev_cmd_dispatch(s->cmd, &d));
    if (strstr(s->f.lines, why) == NULL) {
        fail_msg("\"%s\" is not in: %s", why, s->f.lines);
    }
    assert_int_equal(s->f.errors, 1);
    assert_false(dev_cmd_dispatch(s->cmd, &d)); /* it has said why */
    assert_false(dev_cmd_end(s->cmd));
    assert_int_equal(s->f.errors, 1);
    assert_int_equal(dev_submit(s->dev, s->cmd), 0);
}

static void refuses_wrong_dispatches(void **state)
{
    struct site *s = *state;
    const struct dev_bind r = bind(s->a, 0, 64, DEV_READ), w = bind(s->b, 0, 64, DEV_WRITE);
    const struct dev_dispatch good = fake_dispatch(s->kernel, r, r, w);
    struct dev_dispatch d = good;
    d.n_binds = 2;
    refuse(s, d, "takes 3 bindings and 4 push bytes, it was given 2 and 4");
    d = good;
    d.push_bytes = 8;
    refuse(s, d, "was given 3 and 8");
    d = good;
    d.groups[1] = 0;
    refuse(s, d, "0 workgroups in dimension 1");
    d.groups[1] = 65536;
    refuse(s, d, "65536 workgroups in dimension 1, allowed are 1 to 65535");
    d = good;
    d.binds[1].buf = NULL;
    refuse(s, d, "binding 1 of kernel plain has no buffer");
    d.binds[1] = bind(s->a, 4032, 128, DEV_READ);
    refuse(s, d, "outside the buffer");
    d.binds[1] = bind(s->a, UINT64_MAX - 63, 64, DEV_READ);
    refuse(s, d, "outside the buffer");
    d.binds[1] = bind(s->a, 32, 64, DEV_READ);
    refuse(s, d, "not aligned");
    d.binds[1] = bind(s->a, 0, 0, DEV_READ);
    refuse(s, d, "empty");
    d.binds[1] = bind(s->a, 0, 64, (enum dev_access)0);
    refuse(s, d, "neither read nor write");
    d = fake_dispatch(fake_kernel(s->dev, &fake_texel_shader), r, r, w);
    d.binds[0].bytes = 60;
    refuse(s, d, "not whole 16 bytes");
    d.binds[0] = bind(s->a, 0, 64, DEV_WRITE);
    refuse(s, d, "read-only");
    struct dev_buf *big = fake_buf(s->dev, "big", (1u << 27) + 64, DEV_MEM_DEVICE);
    d = good;
    d.binds[0] = bind(big, 0, (1u << 27) + 64, DEV_READ);
    refuse(s, d,
           "buffer big of 134217792 bytes, range 0 + 134217792: the range is larger than the "
           "device's max_binding_bytes");
    dev_buf_destroy(big);
    struct dev *other = fake_open(&s->f, 0);
    struct dev_buf *foreign = fake_buf(other, "foreign", 64, DEV_MEM_DEVICE);
    d.binds[0] = bind(foreign, 0, 64, DEV_READ);
    refuse(s, d, "of another device");
    dev_buf_destroy(foreign);
    dev_close(other);
}

static void refuses_wrong_copies(void **state)
{
    struct site *s = *state;
    assert_false(dev_cmd_copy(s->cmd, s->b, 4090, s->a, 0, 16));
    assert_true(dev_cmd_begin(s->cmd));
    assert_false(dev_cmd_copy(s->cmd, s->b, 0, s->a, UINT64_MAX, 16));
    assert_true(dev_cmd_begin(s->cmd));
    assert_false(dev_cmd_copy(s->cmd, s->a, 8, s->a, 0, 16));
    assert_true(dev_cmd_begin(s->cmd));
    assert_true(dev_cmd_copy(s->cmd, s->a, 16, s->a, 0, 16));
    assert_false(dev_cmd_fill(s->cmd, s->a, 2, 16, 0));
    assert_false(dev_cmd_end(s->cmd));
    assert_int_equal(s->f.errors, 4);
    assert_true(dev_cmd_begin(s->cmd));
    assert_true(dev_cmd_end(s->cmd));
    assert_false(dev_cmd_copy(s->cmd, s->a, 16, s->a, 0, 16)); /* not recording */
    assert_int_equal(s->f.errors, 5);
}

static void refuses_copies_between_devices(void **state)
{
    struct site *s = *state;
    struct dev *other = fake_open(&s->f, 0);
    struct dev_buf *foreign = fake_buf(other, "foreign", 4096, DEV_MEM_DEVICE);
    uint32_t word = 0;
    assert_false(dev_cmd_copy(s->cmd, foreign, 0, s->a, 0, 16));
    assert_true(dev_cmd_begin(s->cmd));
    assert_false(dev_cmd_copy(s->cmd, s->a, 0, foreign, 0, 16));
    assert_true(dev_cmd_begin(s->cmd));
    assert_false(dev_cmd_fill(s->cmd, foreign, 0, 16, 0));
    assert_false(dev_upload(s->dev, foreign, 0, &word, 4));
    assert_non_null(strstr(s->f.lines, "upload: buffer foreign is of another device"));
    assert_int_equal(s->f.errors, 4);
    assert_false(dev_upload(s->dev, s->a, 4096, &word, 4));
    assert_false(dev_fill(s->dev, s->a, 2, 4, 0));
    assert_int_equal(s->f.errors, 6);
    struct dev_stage *stage = dev_stage_create(s->dev, 1000);
    assert_non_null(stage);
    assert_non_null(dev_stage_take(stage));
    const struct dev_stage_part bad[] = {{0, 0, 16}, {1000, 0, 100}, {0, 4090, 16}};
    assert_false(dev_stage_send(stage, foreign, bad, 1));
    assert_false(dev_stage_send(stage, s->a, bad, 0));
    assert_false(dev_stage_send(stage, s->a, bad + 1, 1)); /* a slot has 1024 */
    assert_false(dev_stage_send(stage, s->a, bad + 2, 1));
    assert_int_equal(s->f.errors, 10);
    assert_true(dev_stage_send(stage, s->a, bad, 1));
    dev_stage_destroy(stage);
    s->f.errors = 6;
    assert_true(dev_cmd_begin(s->cmd)); /* nothing to do is no error */
    assert_true(dev_cmd_copy(s->cmd, s->a, 0, s->b, 0, 0) && dev_cmd_fill(s->cmd, s->a, 0, 0, 0));
    assert_true(dev_upload(s->dev, s->a, 0, &word, 0) && dev_fill(s->dev, s->a, 0, 0, 0));
    assert_true(dev_download(s->dev, s->a, 0, &word, 0));
    assert_int_equal(s->f.errors, 6);
    dev_buf_destroy(foreign);
    dev_close(other);
}

static void timers_change_between_recordings(void **state)
{
    struct site *s = *state;
    uint64_t ns[4];
    assert_false(dev_cmd_timers(s->cmd, 2));
    assert_non_null(strstr(s->f.lines, "timers cannot be changed within a recording"));
    assert_true(dev_cmd_end(s->cmd));
    assert_true(dev_cmd_timers(s->cmd, 2) && dev_cmd_timers(s->cmd, 4));
    assert_true(dev_cmd_begin(s->cmd) && dev_cmd_end(s->cmd));
    uint64_t value = dev_submit(s->dev, s->cmd);
    assert_true(value != 0 && dev_wait(s->dev, value));
    assert_true(dev_cmd_read_timers(s->cmd, ns, 4));
    assert_true(dev_cmd_timers(s->cmd, 0));
    assert_false(dev_cmd_read_timers(s->cmd, ns, 1));
    assert_int_equal(s->f.errors, 1);
}

static void reads_timers(void **state)
{
    struct site *s = *state;
    assert_true(dev_cmd_end(s->cmd));
    assert_true(dev_cmd_timers(s->cmd, 3));
    assert_true(dev_cmd_begin(s->cmd));
    for (uint32_t i = 0; i < 4; i++) {
        dev_cmd_timestamp(s->cmd, i); /* the last is not there: ignored */
    }
    uint64_t ns[3];
    assert_false(dev_cmd_read_timers(s->cmd, ns, 3)); /* not submitted: never reset */
    expect_trace(s, "BB");
    assert_true(dev_cmd_read_timers(s->cmd, ns, 3)); /* 1000, 1010, 1020 ticks of 2 ns */
    assert_int_equal(ns[0], 2000);
    assert_int_equal(ns[2], 2040);
    assert_true(dev_cmd_begin(s->cmd) && dev_cmd_end(s->cmd));
    assert_false(dev_cmd_read_timers(s->cmd, ns, 3));
}

/* Both timestamps are behind the barrier that the command waited for. */
static void spans_are_behind_barriers(void **state)
{
    struct site *s = *state;
    s->f.fake.trace_timestamps = true;
    dev_cmd_set_spans(s->cmd, true); /* not of this recording */
    dispatch(s, bind(s->a, 0, 64, DEV_READ), bind(s->a, 64, 64, DEV_READ),
             bind(s->b, 0, 64, DEV_WRITE));
    assert_int_equal(dev_cmd_spans(s->cmd), 0);
    assert_true(dev_cmd_begin(s->cmd));
    for (int i = 0; i < 2; i++) { /* the second waits for nothing */
        dispatch(s, bind(s->a, 0, 64, DEV_READ), bind(s->a, 64, 64, DEV_READ),
                 bind(s->b, 64 * (uint64_t)i, 64, DEV_WRITE));
    }
    assert_true(dev_cmd_copy(s->cmd, s->c, 0, s->b, 0, 64));
    assert_true(dev_cmd_fill(s->cmd, s->b, 0, 64, 0));
    assert_int_equal(dev_cmd_spans(s->cmd), 4);
    uint64_t ns[8];
    assert_false(dev_cmd_read_spans(s->cmd, ns)); /* not submitted */
    expect_trace(s, "BTDTTDTBTCTBTFTB");
    assert_true(dev_cmd_read_spans(s->cmd, ns)); /* 1000, 1010 ... ticks of 2 ns */
    assert_int_equal(ns[0], 2000);
    assert_int_equal(ns[7], 2140);
    dev_cmd_set_spans(s->cmd, false);
    assert_true(dev_cmd_begin(s->cmd) && dev_cmd_fill(s->cmd, s->b, 0, 64, 0));
    assert_int_equal(dev_cmd_spans(s->cmd), 0);
}

static void spans_have_pools_as_needed(void **state)
{
    struct site *s = *state;
    assert_true(dev_cmd_end(s->cmd));
    dev_cmd_set_spans(s->cmd, true);
    for (uint32_t n = 257; n < 1000; n += 700) {
        static uint64_t ns[2 * 1000];
        memset(ns, 0, sizeof ns);
        assert_true(dev_cmd_begin(s->cmd));
        for (uint32_t i = 0; i < n; i++) {
            assert_true(dev_cmd_fill(s->cmd, s->b, 0, 64, i));
        }
        assert_int_equal(dev_cmd_spans(s->cmd), n);
        assert_true(dev_cmd_end(s->cmd));
        assert_true(dev_wait(s->dev, dev_submit(s->dev, s->cmd)));
        assert_true(dev_cmd_read_spans(s->cmd, ns));
        assert_true(ns[2 * n - 1] != 0 && ns[2 * n] == 0);
    }
    assert_int_equal(s->f.fake.calls_of[FAULT_CreateQueryPool], 4);
}

static void waits_by_kind_of_device(void **state)
{
    (void)state;
    for (int cpu = 0; cpu < 2; cpu++) {
        struct fake_fixture f;
        fake_init(&f, 1);
        f.fake.gpus[0].type =
            cpu ? VK_PHYSICAL_DEVICE_TYPE_CPU : VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
        assert_true(fake_open_instance(&f));
        /* masked or not: being a CPU for kernels is not how one waits */
        struct dev *dev = dev_open(f.inst, &(struct dev_open_params){.caps_off = DEV_CAP_CPU});
        struct dev_cmd *cmd = dev_cmd_create(dev);
        assert_true(dev_cmd_begin(cmd) && dev_cmd_end(cmd));
        uint64_t value = dev_submit(dev, cmd);
        f.fake.polls = f.fake.waits = 0;
        assert_true(dev_wait(dev, value));
        assert_int_equal(f.fake.polls, cpu ? 0 : 1);
        assert_int_equal(f.fake.waits, cpu ? 1 : 0);
        assert_true(dev_wait(dev, value) && dev_poll(dev, value)); /* known by now */
        assert_int_equal(f.fake.polls + f.fake.waits, 1);
        /* in about a millisecond: a GPU is waited for first, and seen to be done by a poll */
        for (uint64_t ns = 1; ns <= 1000000; ns *= 1000000) {
            value = dev_submit(dev, cmd);
            f.fake.polls = f.fake.waits = 0;
            assert_true(dev_wait_about(dev, value, ns) && dev_wait_about(dev, value, ns));
            assert_int_equal(f.fake.polls, cpu ? 0 : 1);
            assert_int_equal(f.fake.waits, cpu || ns != 1 ? 1 : 0);
        }
        f.fake.stalled = true;
        value = dev_submit(dev, cmd);
        assert_false(dev_poll(dev, value));
        assert_false(dev_wait_about(dev, value, 1000000));
        assert_non_null(strstr(f.lines, "submission 4 did not finish within 60 s"));
        assert_false(dev_is_lost(dev));
        dev_cmd_destroy(cmd);
        dev_close(dev);
        fake_finish(&f);
    }
}

static void exchange_probes_imports(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 3);
    f.fake.gpus[1].import_broken = true;
    f.fake.gpus[2].caps &= ~(uint32_t)DEV_CAP_HOST_IMPORT;
    assert_true(fake_open_instance(&f));
    struct dev *devs[3];
    for (uint32_t i = 0; i < 3; i++) {
        devs[i] = fake_open(&f, i);
    }
    struct dev_exchange *x = dev_exchange_create(devs, 3, 10000, &f.log);
    assert_non_null(x);
    uint8_t *host = dev_exchange_host(x);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(dev_exchange_imported(x, i), i == 0);
        assert_true(dev_buf_bytes(dev_exchange_buf(x, i)) >= 10000);
    }
    for (uint32_t i = 0; i < 10000; i++) {
        assert_int_equal(host[i], 0);
    }
    for (uint32_t from = 0; from < 3; from++) { /* device `from` writes, the next one reads */
        uint32_t to = (from + 1) % 3, value = 0x11111111u * (from + 1), out = 0;
        struct dev_cmd *cmd = dev_cmd_create(devs[from]);
        assert_true(dev_cmd_begin(cmd));
        assert_true(dev_cmd_fill(cmd, dev_exchange_buf(x, from), 8000, 4, value));
        assert_true(dev_cmd_end(cmd));
        assert_true(dev_wait(devs[from], dev_submit(devs[from], cmd)));
        dev_exchange_publish(x, from, 8000, 4);
        assert_int_equal(host[8003], 0x11 * (from + 1));
        dev_exchange_fetch(x, to, 8000, 4);
        assert_true(dev_download(devs[to], dev_exchange_buf(x, to), 8000, &out, 4));
        assert_int_equal(out, value);
        dev_cmd_destroy(cmd);
    }
    dev_exchange_destroy(x);
    assert_null(dev_exchange_create(devs, 5, 10, &f.log));
    assert_null(dev_exchange_create(devs, 3, 0, &f.log));
    assert_null(dev_exchange_create(devs, 3, UINT64_MAX - 5, &f.log));
    for (uint32_t i = 0; i < 3; i++) {
        dev_close(devs[i]);
    }
    fake_finish(&f);
}

int main(void)
{
#define SITE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        SITE(reads_need_no_barrier),
        SITE(barriers_on_request),
        SITE(hazards_get_one_barrier_each),
        SITE(copies_and_fills_take_part),
        SITE(begins_anew),
        SITE(pools_grow),
        SITE(texel_views_are_shared),
        SITE(refuses_wrong_dispatches),
        SITE(refuses_wrong_copies),
        SITE(refuses_copies_between_devices),
        SITE(timers_change_between_recordings),
        SITE(reads_timers),
        SITE(spans_are_behind_barriers),
        SITE(spans_have_pools_as_needed),
        cmocka_unit_test(waits_by_kind_of_device),
        cmocka_unit_test(exchange_probes_imports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
