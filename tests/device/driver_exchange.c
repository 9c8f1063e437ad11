/* On the machine's driver: activations cross two opens of one device, and two copies of the
 * lavapipe driver, with imported memory and with staging. */
#include "driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 3000u

/* Device 0 doubles what the arena holds at 0 into offset `at`, device 1 doubles that. */
static void pass_on(struct dev_exchange *x, struct dev *const *devs, uint64_t at)
{
    uint32_t n = N, *host = (uint32_t *)(void *)dev_exchange_host(x);
    struct dev_cmd *cmds[2];
    struct dev_buf *work[2];
    for (uint32_t d = 0; d < 2; d++) {
        work[d] = make_buf(devs[d], "work", N * 4, DEV_MEM_DEVICE);
        cmds[d] = dev_cmd_create(devs[d]);
        struct dev_buf *shared = dev_exchange_buf(x, d);
        assert_true(dev_cmd_begin(cmds[d]));
        assert_true(dev_cmd_copy(cmds[d], work[d], 0, shared, d * at, N * 4));
        struct dev_dispatch add = add_dispatch(get_add(devs[d], 1), work[d], work[d], shared, &n);
        add.binds[2].offset = (d + 1) * at;
        assert_true(dev_cmd_dispatch(cmds[d], &add));
        assert_true(dev_cmd_end(cmds[d]));
    }
    for (uint32_t round = 1; round < 4; round++) {
        for (uint32_t i = 0; i < N; i++) {
            host[i] = i * round;
        }
        for (uint32_t d = 0; d < 2; d++) {
            dev_exchange_fetch(x, d, d * at, N * 4);
            run_cmd(devs[d], cmds[d]);
            dev_exchange_publish(x, d, (d + 1) * at, N * 4);
        }
        for (uint32_t i = 0; i < N; i++) {
            assert_int_equal(host[at / 4 + i], 2 * i * round);
            assert_int_equal(host[2 * at / 4 + i], 4 * i * round);
        }
    }
    for (uint32_t d = 0; d < 2; d++) {
        dev_cmd_destroy(cmds[d]);
        dev_buf_destroy(work[d]);
    }
}

static void exchange_with(struct fixture *f, const uint32_t index[2], const uint32_t off[2])
{
    struct dev *devs[2];
    for (int d = 0; d < 2; d++) {
        devs[d] = fixture_open(f, index[d], off[d]);
    }
    const uint64_t at = 16384;
    struct dev_exchange *x = dev_exchange_create(devs, 2, 3 * at, &f->log);
    assert_non_null(x);
    for (uint32_t d = 0; d < 2; d++) {
        bool can = (dev_get_caps(devs[d])->has & DEV_CAP_HOST_IMPORT) != 0;
        assert_true(can || !dev_exchange_imported(x, d));
        printf("device %u: %s\n", index[d], dev_exchange_imported(x, d) ? "imported" : "staging");
    }
    for (uint64_t i = 0; i < 3 * at; i++) {
        assert_int_equal(dev_exchange_host(x)[i], 0);
    }
    pass_on(x, devs, at);
    dev_exchange_destroy(x);
    dev_close(devs[1]);
    dev_close(devs[0]);
}

static void crosses(struct fixture *f, uint32_t second)
{
    const uint32_t index[2] = {0, second};
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t off[2] = {i & 1 ? DEV_CAP_HOST_IMPORT : 0, i & 2 ? DEV_CAP_HOST_IMPORT : 0};
        exchange_with(f, index, off);
    }
}

static void one_device_twice(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    crosses(&f, 0);
    fixture_finish(&f);
}

static bool copy_file(const char *from, const char *to)
{
    char text[4096];
    FILE *in = fopen(from, "r"), *out = in != NULL ? fopen(to, "w") : NULL;
    size_t n = in != NULL ? fread(text, 1, sizeof text, in) : 0;
    bool ok = out != NULL && fwrite(text, 1, n, out) == n;
    if (in != NULL) {
        fclose(in);
    }
    if (out != NULL) {
        ok = fclose(out) == 0 && ok;
    }
    return ok;
}

/* Copies of the driver's manifest are devices that run side by side; they have one UUID. */
static void copies_of_lavapipe(void **state)
{
    (void)state;
    char list[4096] = "", path[1024];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/device_test_icd%d.json", QD_BINARY_DIR, i);
        if (!copy_file("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json", path)) {
            skip();
        }
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i != 0 ? ":" : "", path);
    }
    setenv("VK_ICD_FILENAMES", list, 1);
    struct fixture f;
    fixture_init(&f);
    assert_int_equal(dev_instance_count(f.inst), 4);
    uint32_t open[4];
    assert_int_equal(dev_instance_default(f.inst, open, 4), 4);
    assert_memory_equal(dev_instance_info(f.inst, 0)->uuid, dev_instance_info(f.inst, 3)->uuid, 16);
    crosses(&f, 3);
    fixture_finish(&f);
    unsetenv("VK_ICD_FILENAMES");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_device_twice),
        cmocka_unit_test(copies_of_lavapipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
