/* On the machine's driver: each way to see the end of a submission sees it after the work, not
 * before. */
#include "driver.h"

#include "base/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define N      (1u << 20)
#define ROUNDS 5u

static void sees_the_end(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct dev *dev = fixture_open(&f, 0, 0);
    struct dev_buf *buf = make_buf(dev, "buf", N * 4, DEV_MEM_READBACK);
    struct dev_cmd *cmd = dev_cmd_create(dev);
    const uint32_t *words = dev_buf_map(buf);
    for (int mode = 0; mode <= DEV_TIMELINE_POLL; mode++) {
        struct dev_waiter *w = dev_waiter_create(dev, (enum dev_wait_mode)mode);
        assert_non_null(w);
        for (uint32_t i = 0; i < ROUNDS; i++) {
            uint32_t word = 100 * (uint32_t)mode + i + 1;
            assert_true(dev_cmd_begin(cmd));
            assert_true(dev_cmd_fill(cmd, buf, 0, N * 4, word));
            assert_true(dev_cmd_end(cmd));
            uint64_t ns = 0, begin = os_clock_ns();
            assert_true(dev_waiter_run(w, cmd, &ns));
            assert_true(ns > 0 && ns <= os_clock_ns() - begin);
            assert_true(words[0] == word && words[N / 2] == word && words[N - 1] == word);
        }
        dev_waiter_destroy(w);
    }
    dev_cmd_destroy(cmd);
    dev_buf_destroy(buf);
    dev_close(dev);
    fixture_finish(&f);
    assert_int_equal(f.errors, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sees_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
