/* On the machine's driver: chains of dispatches, copies and fills whose result depends on every
 * barrier, recorded once and submitted many times; and that validation sees a barrier that a wrong
 * access set leaves out. */
#include "driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define N 5000u

struct chain {
    struct fixture f;
    struct dev *dev;
    struct dev_buf *bufs[4];
    struct dev_cmd *cmd;
};

static int setup(void **state)
{
    static struct chain c;
    fixture_init(&c.f);
    c.dev = fixture_open(&c.f, 0, 0);
    for (int i = 0; i < 4; i++) {
        c.bufs[i] = make_buf(c.dev, "chain", N * 4, DEV_MEM_DEVICE);
    }
    c.cmd = dev_cmd_create(c.dev);
    *state = &c;
    return c.cmd == NULL;
}

static int teardown(void **state)
{
    struct chain *c = *state;
    dev_cmd_destroy(c->cmd);
    for (int i = 0; i < 4; i++) {
        dev_buf_destroy(c->bufs[i]);
    }
    dev_close(c->dev);
    fixture_finish(&c->f);
    return 0;
}

static void expect_all(struct chain *c, int buf, uint32_t value)
{
    static uint32_t out[N];
    assert_true(dev_download(c->dev, c->bufs[buf], 0, out, sizeof out));
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(out[i], value);
    }
}

static void add(struct chain *c, int a, int b, int dst)
{
    uint32_t n = N;
    struct dev_dispatch d =
        add_dispatch(get_add(c->dev, 1), c->bufs[a], c->bufs[b], c->bufs[dst], &n);
    assert_true(dev_cmd_dispatch(c->cmd, &d));
}

static void chains_dispatches(void **state)
{
    struct chain *c = *state;
    assert_true(dev_cmd_begin(c->cmd));
    assert_true(dev_cmd_fill(c->cmd, c->bufs[0], 0, N * 4, 1));
    uint32_t x[3] = {1, 0, 0};
    for (int i = 0; i < 40; i++) { /* read after write, write after read */
        add(c, 0, 0, 1);
        add(c, 1, 0, 2);
        add(c, 2, 1, 0);
        x[1] = x[0] + x[0];
        x[2] = x[1] + x[0];
        x[0] = x[2] + x[1];
    }
    assert_true(dev_cmd_end(c->cmd));
    assert_int_equal(dev_cmd_count(c->cmd), 120);
    assert_int_equal(dev_cmd_barriers(c->cmd), 120);
    for (int round = 0; round < 3; round++) {
        run_cmd(c->dev, c->cmd);
        expect_all(c, 0, x[0]);
        expect_all(c, 1, x[1]);
        expect_all(c, 2, x[2]);
    }
}

static void mixes_copies(void **state)
{
    struct chain *c = *state;
    assert_true(dev_cmd_begin(c->cmd));
    assert_true(dev_cmd_fill(c->cmd, c->bufs[0], 0, N * 4, 5));
    assert_true(dev_cmd_fill(c->cmd, c->bufs[1], 0, N * 4, 6));
    add(c, 0, 1, 2);                                                        /* 11 */
    assert_true(dev_cmd_copy(c->cmd, c->bufs[3], 0, c->bufs[2], 0, N * 4)); /* 11 */
    assert_true(dev_cmd_fill(c->cmd, c->bufs[2], 0, N * 4, 2));             /* after the copy */
    add(c, 3, 2, 0);                                                        /* 13 */
    assert_true(dev_cmd_copy(c->cmd, c->bufs[1], 0, c->bufs[0], 0, N * 2)); /* two halves, no */
    assert_true(dev_cmd_copy(c->cmd, c->bufs[1], N * 2, c->bufs[0], N * 2, N * 2)); /* barrier */
    assert_true(dev_cmd_end(c->cmd));
    assert_int_equal(dev_cmd_barriers(c->cmd), 5);
    run_cmd(c->dev, c->cmd);
    expect_all(c, 0, 13);
    expect_all(c, 1, 13);
    expect_all(c, 2, 2);
    expect_all(c, 3, 11);
}

static void resubmits_while_pending(void **state)
{
    struct chain *c = *state;
    assert_true(dev_fill(c->dev, c->bufs[0], 0, N * 4, 1));
    assert_true(dev_fill(c->dev, c->bufs[1], 0, N * 4, 0));
    assert_true(dev_cmd_begin(c->cmd));
    add(c, 0, 1, 2); /* bufs[1] grows by one in each submission */
    assert_true(dev_cmd_copy(c->cmd, c->bufs[1], 0, c->bufs[2], 0, N * 4));
    assert_true(dev_cmd_end(c->cmd));
    uint64_t first = 0, last = 0;
    for (int i = 0; i < 50; i++) {
        last = dev_submit(c->dev, c->cmd);
        assert_true(last != 0);
        first = first != 0 ? first : last;
    }
    assert_int_equal(last, first + 49);
    assert_true(dev_wait(c->dev, last));
    expect_all(c, 1, 50);
}

/* The output of one dispatch is read by the next one as if nobody had written it. */
static void validation_sees_a_lie(void **state)
{
    struct chain *c = *state;
    const char *env = getenv("QUADRIGA_VALIDATE");
    if (env == NULL || strcmp(env, "1") != 0) {
        skip();
    }
    assert_int_equal(dev_instance_messages(c->f.inst), 0);
    uint32_t n = N;
    struct dev_dispatch d =
        add_dispatch(get_add(c->dev, 1), c->bufs[0], c->bufs[1], c->bufs[2], &n);
    d.binds[2].access = DEV_READ;
    assert_true(dev_cmd_begin(c->cmd));
    assert_true(dev_cmd_dispatch(c->cmd, &d));
    d.binds[0].buf = c->bufs[2];
    d.binds[2] = (struct dev_bind){c->bufs[3], 0, N * 4, DEV_WRITE};
    assert_true(dev_cmd_dispatch(c->cmd, &d));
    assert_true(dev_cmd_end(c->cmd));
    assert_int_equal(dev_cmd_barriers(c->cmd), 0);
    assert_true(dev_instance_messages(c->f.inst) > 0);
}

static int teardown_liar(void **state)
{
    struct chain *c = *state;
    dev_cmd_destroy(c->cmd);
    for (int i = 0; i < 4; i++) {
        dev_buf_destroy(c->bufs[i]);
    }
    dev_close(c->dev);
    dev_instance_destroy(c->f.inst);
    log_finish(&c->f.log);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_dispatches),
        cmocka_unit_test(mixes_copies),
        cmocka_unit_test(resubmits_while_pending),
    };
    const struct CMUnitTest liar[] = {
        cmocka_unit_test(validation_sees_a_lie),
    };
    int failed = cmocka_run_group_tests(tests, setup, teardown);
    return failed + cmocka_run_group_tests(liar, setup, teardown_liar);
}
