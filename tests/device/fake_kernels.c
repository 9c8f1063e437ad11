/* Over the fake: kernels that are noted and then made together on several threads, dry recordings,
 * and what is left after a pipeline could not be made. */
#include "fake.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { N = 12, SPEC = 7 };

struct rig {
    struct fake_fixture f;
    struct dev *dev;
    struct dev_buf *buf;
    struct dev_cmd *cmd;
};

static void open_rig(struct rig *r)
{
    fake_init(&r->f, 1);
    assert_true(fake_open_instance(&r->f));
    r->dev = fake_open(&r->f, 0);
    r->buf = fake_buf(r->dev, "buf", 4096, DEV_MEM_DEVICE);
    r->cmd = dev_cmd_create(r->dev);
    assert_non_null(r->cmd);
}

static void close_rig(struct rig *r)
{
    dev_cmd_destroy(r->cmd);
    dev_buf_destroy(r->buf);
    dev_close(r->dev);
    fake_finish(&r->f);
}

static struct dev_kernel *get(struct dev *dev, uint32_t value)
{
    return dev_kernel_get(
        dev, &(struct dev_kernel_params){
                 .shader = &fake_shader, .n_specs = 1, .specs = {{.id = SPEC, .value = value}}});
}

static struct dev_dispatch dispatch_of(const struct rig *r, struct dev_kernel *kernel)
{
    return fake_dispatch(kernel, (struct dev_bind){r->buf, 0, 1024, DEV_READ},
                         (struct dev_bind){r->buf, 1024, 1024, DEV_READ},
                         (struct dev_bind){r->buf, 2048, 1024, DEV_WRITE});
}

static void end_makes_what_was_noted(void **state)
{
    (void)state;
    struct rig r;
    struct dev_kernel *kernels[N];
    open_rig(&r);
    struct dev_kernel *before = get(r.dev, 100);
    assert_int_equal(r.f.fake.pipelines, 1);
    r.f.fake.pipeline_us = 3000;
    dev_kernels_begin(r.dev);
    for (uint32_t i = 0; i < N; i++) {
        kernels[i] = get(r.dev, i);
        assert_non_null(kernels[i]);
        assert_ptr_equal(get(r.dev, i), kernels[i]);
    }
    assert_ptr_equal(get(r.dev, 100), before);
    assert_int_equal(r.f.fake.pipelines, 1);
    assert_true(dev_kernels_end(r.dev, 4));
    assert_int_equal(r.f.fake.pipelines, 1 + N);
    assert_in_range(r.f.fake.pipelines_at_once, 2, 4);
    assert_non_null(strstr(r.f.lines, "12 pipelines on 4 threads in"));
    for (uint32_t i = 0; i < N; i++) {
        assert_ptr_equal(get(r.dev, i), kernels[i]);
    }
    dev_kernels_begin(r.dev); /* nothing new */
    get(r.dev, 3);
    fake_forget(&r.f);
    assert_true(dev_kernels_end(r.dev, 4));
    assert_int_equal(r.f.fake.pipelines, 1 + N);
    assert_null(strstr(r.f.lines, "pipelines on"));
    dev_kernels_begin(r.dev); /* one thread, and no more threads than kernels */
    get(r.dev, 200);
    get(r.dev, 201);
    r.f.fake.pipelines_at_once = 0;
    assert_true(dev_kernels_end(r.dev, 1));
    assert_int_equal(r.f.fake.pipelines_at_once, 1);
    dev_kernels_begin(r.dev);
    get(r.dev, 202);
    assert_true(dev_kernels_end(r.dev, 64));
    assert_non_null(strstr(r.f.lines, "1 pipelines on 1 threads in"));
    assert_int_equal(r.f.errors, 0);
    close_rig(&r);
}

static void a_dry_recording_only_checks(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    dev_kernels_begin(r.dev);
    struct dev_kernel *kernel = get(r.dev, 1);
    struct dev_dispatch d = dispatch_of(&r, kernel);
    uint32_t calls = r.f.fake.calls;
    assert_true(dev_cmd_timers(r.cmd, 0) && dev_cmd_begin_dry(r.cmd));
    assert_true(dev_cmd_dispatch(r.cmd, &d) && dev_cmd_dispatch(r.cmd, &d));
    assert_true(dev_cmd_copy(r.cmd, r.buf, 0, r.buf, 2048, 64));
    assert_true(dev_cmd_fill(r.cmd, r.buf, 0, 64, 1));
    assert_int_equal(dev_cmd_count(r.cmd), 2);
    assert_true(dev_cmd_end(r.cmd));
    assert_int_equal(r.f.fake.calls, calls); /* Vulkan was not called */
    assert_int_equal(dev_submit(r.dev, r.cmd), 0);
    assert_int_equal(r.f.errors, 1);
    fake_forget(&r.f);
    assert_true(dev_cmd_begin_dry(r.cmd)); /* what is wrong is said, and ends the recording */
    d.binds[1].bytes = 5000;
    assert_false(dev_cmd_dispatch(r.cmd, &d));
    assert_false(dev_cmd_end(r.cmd));
    assert_false(dev_cmd_begin_dry(r.cmd) && dev_cmd_copy(r.cmd, r.buf, 0, r.buf, 4096, 64));
    assert_false(dev_cmd_begin_dry(r.cmd) && dev_cmd_fill(r.cmd, r.buf, 2, 64, 1));
    assert_int_equal(r.f.errors, 3);
    fake_forget(&r.f);
    assert_true(dev_kernels_end(r.dev, 2));
    assert_int_equal(r.f.fake.pipelines, 1);
    d = dispatch_of(&r, kernel);
    assert_true(dev_cmd_begin(r.cmd) && dev_cmd_dispatch(r.cmd, &d) && dev_cmd_end(r.cmd));
    assert_int_equal(dev_cmd_count(r.cmd), 1);
    r.f.fake.n_trace = 0;
    assert_true(dev_wait(r.dev, dev_submit(r.dev, r.cmd)));
    uint32_t dispatches = 0;
    for (uint32_t i = 0; i < r.f.fake.n_trace; i++) {
        dispatches += r.f.fake.trace[i].what == FAKE_DISPATCH ? 1 : 0;
    }
    assert_int_equal(dispatches, 1);
    assert_int_equal(r.f.errors, 0);
    close_rig(&r);
}

static void a_real_dispatch_makes_its_kernel(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    dev_kernels_begin(r.dev);
    struct dev_kernel *a = get(r.dev, 1), *b = get(r.dev, 2), *c = get(r.dev, 3);
    struct dev_dispatch d = dispatch_of(&r, a);
    assert_true(dev_cmd_begin(r.cmd) && dev_cmd_dispatch(r.cmd, &d) && dev_cmd_end(r.cmd));
    assert_int_equal(r.f.fake.pipelines, 1);
    assert_true(dev_kernels_end(r.dev, 0)); /* given up: nothing is made */
    assert_int_equal(r.f.fake.pipelines, 1);
    dev_kernels_begin(r.dev); /* and nothing of it is left for the next one */
    get(r.dev, 4);
    assert_true(dev_kernels_end(r.dev, 2));
    assert_int_equal(r.f.fake.pipelines, 2);
    assert_ptr_equal(get(r.dev, 2), b); /* outside: made at once */
    assert_int_equal(r.f.fake.pipelines, 3);
    d = dispatch_of(&r, c);
    assert_true(dev_cmd_begin(r.cmd) && dev_cmd_dispatch(r.cmd, &d) && dev_cmd_end(r.cmd));
    assert_int_equal(r.f.fake.pipelines, 4);
    close_rig(&r);
}

/* Each Vulkan call of an end fails once: said once, and what was not made can be made later. */
static uint32_t fail_each(uint32_t n_threads)
{
    for (uint32_t k = 1;; k++) {
        struct rig r;
        open_rig(&r);
        dev_kernels_begin(r.dev);
        for (uint32_t i = 0; i < N; i++) {
            assert_non_null(get(r.dev, i));
        }
        uint32_t before = r.f.fake.calls;
        r.f.fake.fail_with = VK_ERROR_OUT_OF_DEVICE_MEMORY;
        r.f.fake.fail_at = before + k;
        bool ok = dev_kernels_end(r.dev, n_threads);
        bool failed = r.f.fake.failed_in != NULL;
        r.f.fake.fail_at = 0;
        assert_int_equal(ok, !failed);
        assert_int_equal(r.f.errors, failed ? 1 : 0);
        if (failed) {
            assert_non_null(strstr(r.f.lines, "VK_ERROR_OUT_OF_DEVICE_MEMORY"));
            assert_true(r.f.fake.pipelines < N);
        }
        dev_kernels_begin(r.dev);
        get(r.dev, 1000);
        uint32_t made = r.f.fake.pipelines;
        assert_true(dev_kernels_end(r.dev, n_threads)); /* only that one */
        assert_int_equal(r.f.fake.pipelines, made + 1);
        for (uint32_t i = 0; i < N; i++) {
            assert_non_null(get(r.dev, i));
        }
        assert_int_equal(r.f.fake.pipelines, N + 1);
        close_rig(&r); /* nothing is alive */
        if (!failed) {
            return k - 1;
        }
    }
}

static void a_failure_in_the_middle(void **state)
{
    (void)state;
    for (uint32_t threads = 1; threads <= 4; threads += 3) {
        uint32_t calls = fail_each(threads);
        printf("%u threads: each of %u calls failed once\n", threads, calls);
        assert_int_equal(calls, 4 * N); /* two layouts, module, pipeline */
    }
}

static void a_lost_device_makes_nothing(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    dev_kernels_begin(r.dev);
    get(r.dev, 1);
    r.f.fake.lost = true;
    assert_int_equal(dev_submit(r.dev, r.cmd), 0); /* not ready; loss is noticed below */
    assert_true(dev_cmd_begin(r.cmd) && dev_cmd_end(r.cmd));
    assert_int_equal(dev_submit(r.dev, r.cmd), 0);
    assert_true(dev_is_lost(r.dev));
    assert_null(get(r.dev, 2));
    assert_false(dev_kernels_end(r.dev, 2));
    assert_int_equal(r.f.fake.pipelines, 0);
    close_rig(&r);
}

struct shared {
    struct rig *rig;
    atomic_uint wrong;
};

/* No asserts here: cmocka's jump out of the test may only be made by its own thread. */
static void *use_brackets(void *arg)
{
    struct shared *s = arg;
    struct dev *dev = s->rig->dev;
    struct dev_cmd *cmd = dev_cmd_create(dev);
    bool ok = cmd != NULL;
    for (uint32_t round = 0; round < 20 && ok; round++) {
        struct dev_kernel *kernels[N];
        dev_kernels_begin(dev);
        ok = dev_cmd_begin_dry(cmd);
        for (uint32_t i = 0; i < N && ok; i++) {
            kernels[i] = get(dev, round * 5 + i);
            struct dev_dispatch d = dispatch_of(s->rig, kernels[i]);
            ok = kernels[i] != NULL && dev_cmd_dispatch(cmd, &d);
        }
        ok = dev_cmd_end(cmd) && ok;
        /* given up in every other round: dispatches make them, in several threads at once */
        ok = dev_kernels_end(dev, round % 2 * 2) && ok && dev_cmd_begin(cmd);
        for (uint32_t i = 0; i < N && ok; i++) {
            struct dev_dispatch d = dispatch_of(s->rig, kernels[i]);
            ok = dev_cmd_dispatch(cmd, &d);
        }
        ok = ok && dev_cmd_end(cmd);
        ok = ok && dev_wait(dev, dev_submit(dev, cmd));
    }
    dev_cmd_destroy(cmd);
    atomic_fetch_add(&s->wrong, ok ? 0 : 1);
    return NULL;
}

static void brackets_of_threads_overlap(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    struct shared s = {.rig = &r};
    atomic_init(&s.wrong, 0);
    pthread_t threads[4];
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use_brackets, &s), 0);
    }
    for (uint32_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&s.wrong), 0);
    assert_int_equal(r.f.fake.pipelines, 19 * 5 + N); /* each kernel once */
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(end_makes_what_was_noted),
        cmocka_unit_test(a_dry_recording_only_checks),
        cmocka_unit_test(a_real_dispatch_makes_its_kernel),
        cmocka_unit_test(a_failure_in_the_middle),
        cmocka_unit_test(a_lost_device_makes_nothing),
        cmocka_unit_test(brackets_of_threads_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
