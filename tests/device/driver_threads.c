/* On the machine's driver: waits that begin before the submission they wait for, submissions and
 * transfers from several threads at once, kernels made on several threads. */
#include "driver.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define THREADS 4
#define ROUNDS  25
#define N       2048u

struct shared {
    struct dev *dev;
    uint64_t value;
    atomic_int waiting, wrong;
};

static void *wait_for(void *arg)
{
    struct shared *s = arg;
    atomic_fetch_add(&s->waiting, 1);
    if (!dev_wait(s->dev, s->value) || !dev_poll(s->dev, s->value)) {
        atomic_fetch_add(&s->wrong, 1);
    }
    return NULL;
}

static void waits_before_submission(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct shared s = {.dev = fixture_open(&f, 0, 0)};
    struct dev_buf *buf = make_buf(s.dev, "buf", N * 4, DEV_MEM_DEVICE);
    struct dev_cmd *cmd = dev_cmd_create(s.dev);
    assert_true(dev_cmd_begin(cmd));
    assert_true(dev_cmd_fill(cmd, buf, 0, N * 4, 7));
    assert_true(dev_cmd_end(cmd));
    uint64_t first = dev_submit(s.dev, cmd);
    assert_true(dev_wait(s.dev, first));
    assert_false(dev_poll(s.dev, first + 2));
    s.value = first + 2;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for, &s), 0);
    }
    while (atomic_load(&s.waiting) < THREADS) {
    }
    assert_int_equal(dev_submit(s.dev, cmd), first + 1);
    assert_int_equal(dev_submit(s.dev, cmd), first + 2);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&s.wrong), 0);
    dev_cmd_destroy(cmd);
    dev_buf_destroy(buf);
    dev_close(s.dev);
    fixture_finish(&f);
}

/* No asserts here: cmocka's jump out of the test may only be made by its own thread. */
static void *work(void *arg)
{
    struct shared *s = arg;
    uint32_t in[N], out[N], n = N;
    struct dev_buf *bufs[3];
    bool ok = true;
    for (int i = 0; i < 3; i++) {
        bufs[i] = dev_buf_create(s->dev, &(struct dev_buf_params){.name = "t", .bytes = sizeof in});
        ok = ok && bufs[i] != NULL;
    }
    struct dev_kernel *kernel =
        dev_kernel_get(s->dev, &(struct dev_kernel_params){.shader = &driver_add});
    struct dev_cmd *cmd = dev_cmd_create(s->dev);
    ok = ok && kernel != NULL && cmd != NULL;
    for (uint32_t round = 0; round < ROUNDS && ok; round++) {
        for (uint32_t i = 0; i < N; i++) {
            in[i] = i + round;
        }
        struct dev_dispatch d = add_dispatch(kernel, bufs[0], bufs[1], bufs[2], &n);
        ok = dev_upload(s->dev, bufs[0], 0, in, sizeof in) &&
             dev_fill(s->dev, bufs[1], 0, sizeof in, round) && dev_cmd_begin(cmd) &&
             dev_cmd_dispatch(cmd, &d) && dev_cmd_end(cmd);
        uint64_t value = ok ? dev_submit(s->dev, cmd) : 0;
        ok = value != 0 && dev_wait(s->dev, value) &&
             dev_download(s->dev, bufs[2], 0, out, sizeof out);
        for (uint32_t i = 0; i < N && ok; i++) {
            ok = out[i] == in[i] + round;
        }
    }
    dev_cmd_destroy(cmd);
    for (int i = 0; i < 3; i++) {
        dev_buf_destroy(bufs[i]);
    }
    if (!ok) {
        atomic_fetch_add(&s->wrong, 1);
    }
    return NULL;
}

static void works_from_threads(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct shared s = {.dev = fixture_open(&f, 0, 0)};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, &s), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&s.wrong), 0);
    assert_int_equal(dev_get_used(s.dev), 0);
    dev_close(s.dev);
    fixture_finish(&f);
}

#define KERNELS 8

/* Kernels made together on several threads compute what those made one by one do. */
static void kernels_made_together(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    for (uint32_t n_threads = 0; n_threads <= 4; n_threads += 2) { /* 0: one by one */
        struct dev *dev = fixture_open(&f, 0, 0);
        struct dev_kernel *kernels[KERNELS];
        struct dev_buf *bufs[3];
        uint32_t in[N], out[N], n = N;
        for (uint32_t i = 0; i < N; i++) {
            in[i] = i * 3 + 1;
        }
        for (int i = 0; i < 3; i++) {
            bufs[i] = make_buf(dev, "buf", sizeof in, DEV_MEM_DEVICE);
        }
        assert_true(dev_upload(dev, bufs[0], 0, in, sizeof in));
        assert_true(dev_fill(dev, bufs[1], 0, sizeof in, 5));
        struct dev_cmd *cmd = dev_cmd_create(dev);
        if (n_threads != 0) {
            dev_kernels_begin(dev);
            assert_true(dev_cmd_begin_dry(cmd));
        }
        for (uint32_t k = 0; k < KERNELS; k++) {
            kernels[k] = get_add(dev, k + 1);
            struct dev_dispatch d = add_dispatch(kernels[k], bufs[0], bufs[1], bufs[2], &n);
            assert_true(n_threads == 0 || dev_cmd_dispatch(cmd, &d));
        }
        if (n_threads != 0) {
            assert_int_equal(dev_cmd_count(cmd), KERNELS);
            assert_true(dev_cmd_end(cmd));
            assert_true(dev_kernels_end(dev, n_threads));
        }
        for (uint32_t k = 0; k < KERNELS; k++) {
            struct dev_dispatch d = add_dispatch(kernels[k], bufs[0], bufs[1], bufs[2], &n);
            assert_ptr_equal(get_add(dev, k + 1), kernels[k]);
            assert_true(dev_cmd_begin(cmd) && dev_cmd_dispatch(cmd, &d) && dev_cmd_end(cmd));
            run_cmd(dev, cmd);
            assert_true(dev_download(dev, bufs[2], 0, out, sizeof out));
            for (uint32_t i = 0; i < N; i++) {
                assert_int_equal(out[i], in[i] * (k + 1) + 5);
            }
        }
        dev_cmd_destroy(cmd);
        for (int i = 0; i < 3; i++) {
            dev_buf_destroy(bufs[i]);
        }
        dev_close(dev);
    }
    assert_int_equal(f.errors, 0);
    fixture_finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_before_submission),
        cmocka_unit_test(works_from_threads),
        cmocka_unit_test(kernels_made_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
