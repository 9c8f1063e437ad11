/* The sweep on a real driver whose calls fail: a device that is lost, or out of memory, is one
 * failed row; the device is opened again and everything else passes. Exit 77 without a driver. */
#include "lab/compat.h"

#include "fault_vk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seen {
    uint32_t pass, skip, fail, lost, memory;
};

static bool on_row(void *user, const struct lab_row *row)
{
    struct seen *seen = user;
    seen->pass += row->status == LAB_PASS ? 1 : 0;
    seen->skip += row->status == LAB_SKIP ? 1 : 0;
    seen->fail += row->status == LAB_FAIL ? 1 : 0;
    seen->lost += strncmp(row->why, "device lost: ", 13) == 0 ? 1 : 0;
    seen->memory += strncmp(row->why, "out of memory: ", 15) == 0 ? 1 : 0;
    if (row->status == LAB_FAIL) {
        printf("%s/%s: %s\n", row->op->name, row->variant->name, row->why);
    }
    return true;
}

static struct seen sweep(struct fault_vk *fault)
{
    struct seen seen = {0};
    struct log log;
    const uint32_t device = 0;
    log_init(&log, NULL, NULL, LOG_WARN);
    assert_true(fault_vk_begin(fault));
    struct dev_instance *inst = dev_instance_create(
        &(struct dev_instance_params){.log = &log, .get_proc = fault_vk_get_proc()});
    assert_non_null(inst);
    assert_true(lab_sweep(&(struct lab_sweep_params){.inst = inst,
                                                     .log = &log,
                                                     .devices = &device,
                                                     .n_devices = 1,
                                                     .op = "rmsnorm",
                                                     .seed = 3,
                                                     .on_row = on_row,
                                                     .user = &seen}));
    assert_int_equal(dev_instance_messages(inst), 0);
    dev_instance_destroy(inst);
    fault_vk_end();
    log_finish(&log);
    return seen;
}

static struct seen whole(void)
{
    struct seen seen = sweep(&(struct fault_vk){.device = FAULT_VK_ANY});
    assert_int_equal(seen.fail, 0);
    assert_true(seen.pass > 10);
    return seen;
}

static void lost_at_a_submission(void **state)
{
    (void)state;
    struct seen good = whole();
    for (uint32_t k = 1; k < 16; k += 7) {
        struct fault_vk fault = {.only = "vkQueueSubmit",
                                 .fail_at = k,
                                 .fail_with = VK_ERROR_DEVICE_LOST,
                                 .device = FAULT_VK_ANY};
        struct seen seen = sweep(&fault);
        assert_non_null(fault.failed_in);
        assert_int_equal(seen.lost, 1);
        assert_int_equal(seen.fail, 1);
        assert_int_equal(seen.pass + seen.skip + 1, good.pass + good.skip);
        assert_int_equal(fault.n_devices, 2); /* opened again, once */
    }
}

static void out_of_memory_at_a_buffer(void **state)
{
    (void)state;
    struct seen good = whole();
    struct fault_vk fault = {.only = "vkCreateBuffer",
                             .fail_at = 9,
                             .fail_with = VK_ERROR_OUT_OF_DEVICE_MEMORY,
                             .device = FAULT_VK_ANY};
    struct seen seen = sweep(&fault);
    assert_int_equal(seen.memory, 1);
    assert_int_equal(seen.fail, 1);
    assert_int_equal(seen.pass + seen.skip + 1, good.pass + good.skip);
    assert_int_equal(fault.n_devices, 2);
}

int main(void)
{
    struct log log;
    log_init(&log, NULL, NULL, LOG_WARN);
    struct dev_instance *inst = dev_instance_create(&(struct dev_instance_params){.log = &log});
    if (inst == NULL) {
        fprintf(stderr, "skipped: %s\n", log.last);
        return 77;
    }
    dev_instance_destroy(inst);
    log_finish(&log);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_at_a_submission),
        cmocka_unit_test(out_of_memory_at_a_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
