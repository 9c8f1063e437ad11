/* Over the fake: each way to wait uses its own calls and no other, and every call of it failing. */
#include "fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define MODES (DEV_TIMELINE_POLL + 1)

struct site {
    struct fake_fixture f;
    struct dev *dev;
    struct dev_buf *buf;
    struct dev_cmd *cmd;
};

static void begin(struct site *s)
{
    fake_init(&s->f, 1);
    assert_true(fake_open_instance(&s->f));
    s->dev = fake_open(&s->f, 0);
    s->buf = fake_buf(s->dev, "b", 64, DEV_MEM_READBACK);
    s->cmd = dev_cmd_create(s->dev);
    assert_true(dev_cmd_begin(s->cmd));
    assert_true(dev_cmd_fill(s->cmd, s->buf, 0, 64, 7));
    assert_true(dev_cmd_end(s->cmd));
}

static void end(struct site *s)
{
    dev_cmd_destroy(s->cmd);
    dev_buf_destroy(s->buf);
    dev_close(s->dev);
    fake_finish(&s->f);
}

static void runs_in_each_mode(void **state)
{
    (void)state;
    static struct site s;
    begin(&s);
    for (int mode = 0; mode < MODES; mode++) {
        uint32_t polls = s.f.fake.polls, waits = s.f.fake.waits, submits = s.f.fake.submits;
        struct dev_waiter *w = dev_waiter_create(s.dev, (enum dev_wait_mode)mode);
        assert_non_null(w);
        for (int i = 0; i < 3; i++) {
            uint64_t ns = UINT64_MAX;
            memset(dev_buf_map(s.buf), 0, 64);
            assert_true(dev_waiter_run(w, s.cmd, i == 2 ? NULL : &ns));
            assert_int_equal(((uint8_t *)dev_buf_map(s.buf))[4], 7);
            assert_true(i == 2 || ns < UINT64_MAX);
        }
        assert_int_equal(s.f.fake.submits - submits, 3);
        assert_int_equal(s.f.fake.polls - polls, mode == DEV_TIMELINE_POLL ? 3 : 0);
        assert_int_equal(s.f.fake.waits - waits, mode == DEV_TIMELINE_WAIT ? 3 : 0);
        dev_waiter_destroy(w);
    }
    /* fence submissions leave the timeline where it was */
    uint64_t value = dev_submit(s.dev, s.cmd);
    assert_int_equal(value, 7);
    assert_true(dev_wait(s.dev, value));
    dev_waiter_destroy(NULL);
    end(&s);
}

static void refuses(void **state)
{
    (void)state;
    static struct site s;
    begin(&s);
    struct dev_cmd *open = dev_cmd_create(s.dev);
    assert_true(dev_cmd_begin(open));
    for (int mode = 0; mode < MODES; mode++) {
        struct dev_waiter *w = dev_waiter_create(s.dev, (enum dev_wait_mode)mode);
        fake_forget(&s.f);
        assert_false(dev_waiter_run(w, open, NULL));
        assert_int_equal(s.f.errors, 1);
        assert_non_null(strstr(s.f.lines, "not ready"));
        assert_true(dev_waiter_run(w, s.cmd, NULL));
        dev_waiter_destroy(w);
    }
    dev_cmd_destroy(open);
    end(&s);
}

/* A submission that never ends: the blocking calls give up, and the waiter is of no more use. */
static void hangs(void **state)
{
    (void)state;
    static struct site s;
    begin(&s);
    static const enum dev_wait_mode modes[] = {DEV_FENCE_WAIT, DEV_TIMELINE_WAIT};
    for (int i = 0; i < 2; i++) {
        struct dev_waiter *w = dev_waiter_create(s.dev, modes[i]);
        s.f.fake.stalled = true;
        fake_forget(&s.f);
        assert_false(dev_waiter_run(w, s.cmd, NULL));
        assert_int_equal(s.f.errors, 1);
        assert_non_null(strstr(s.f.lines, "did not finish within 60 s"));
        s.f.fake.stalled = false;
        assert_false(dev_waiter_run(w, s.cmd, NULL));
        assert_int_equal(s.f.errors, 2);
        dev_waiter_destroy(w);
    }
    end(&s);
}

/* Returns false when the k-th call from now on did not come. */
static bool fails(enum dev_wait_mode mode, uint32_t k, VkResult result)
{
    static struct site s;
    begin(&s);
    fake_forget(&s.f);
    s.f.fake.calls = 0;
    s.f.fake.fail_at = k;
    s.f.fake.fail_with = result;
    struct dev_waiter *w = dev_waiter_create(s.dev, mode);
    uint64_t ns = 0;
    bool ok = w != NULL && dev_waiter_run(w, s.cmd, &ns);
    bool came = s.f.fake.failed_in != NULL;
    assert_int_equal(ok, !came);
    assert_int_equal(s.f.errors, came ? 1 : 0);
    assert_true(!came || strstr(s.f.lines, s.f.fake.failed_in) != NULL);
    if (came) {
        assert_int_equal(dev_is_lost(s.dev), result == VK_ERROR_DEVICE_LOST);
        assert_true(w == NULL || result != VK_ERROR_DEVICE_LOST || !dev_waiter_run(w, s.cmd, NULL));
        assert_true(result != VK_ERROR_DEVICE_LOST || dev_waiter_create(s.dev, mode) == NULL);
    }
    s.f.fake.fail_at = 0;
    dev_waiter_destroy(w);
    end(&s);
    return came;
}

static void every_call_fails(void **state)
{
    (void)state;
    static const VkResult results[] = {VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY,
                                       VK_ERROR_DEVICE_LOST};
    for (int mode = 0; mode < MODES; mode++) {
        bool fence = mode == DEV_FENCE_WAIT || mode == DEV_FENCE_POLL;
        for (int r = 0; r < 3; r++) {
            uint32_t k = 1;
            while (fails((enum dev_wait_mode)mode, k, results[r])) {
                k++;
            }
            /* create, submit, look, reset; the first and the last cannot lose a device */
            assert_int_equal(k - 1, fence && results[r] != VK_ERROR_DEVICE_LOST ? 4 : 2);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_in_each_mode),
        cmocka_unit_test(refuses),
        cmocka_unit_test(hangs),
        cmocka_unit_test(every_call_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
