/* The engine over the fake: the life of a tiny model on one and on two devices, in which every call
 * of Vulkan fails once with every code. It ends in a status and one clear line or is lived without;
 * nothing leaks; the next life in the same process is a whole one. */
#include "engine.h"
#include "fake_vk.h"
#include "gguf_make.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = QD_BINARY_DIR "/fake_faults_XXXXXX";
static char path[512];

static void live(struct fake_vk *fake, struct engine_life *life, uint32_t n_devices, bool cpu)
{
    for (uint32_t i = 0; i < n_devices; i++) {
        fake->gpus[i] = fake_vk_gpu(i);
        if (cpu) {
            fake->gpus[i].type = VK_PHYSICAL_DEVICE_TYPE_CPU;
            fake->gpus[i].memory = FAKE_UNIFIED;
            fake->gpus[i].caps &= ~(uint32_t)DEV_CAP_HOST_IMPORT; /* borders through copies */
        }
    }
    fake->n_gpus = n_devices;
    fake_vk_begin(fake);
    engine_run(life, &(struct engine_params){.get_proc = fake_vk_get_proc(),
                                             .path = path,
                                             .n_devices = n_devices,
                                             .n_batch = 4,
                                             .fork = true});
    int32_t left = fake_vk_end();
    if (left != 0) {
        fail_msg("call %u (%s): %d objects are left or were used wrongly: %s", fake->fail_at,
                 fake->failed_in, left, life->lines);
    }
}

static void live_whole(uint32_t n_devices, bool cpu)
{
    static struct fake_vk fake;
    struct engine_life life;
    memset(&fake, 0, sizeof fake);
    live(&fake, &life, n_devices, cpu);
    assert_int_equal(fake.calls_of[FAULT_CreateDevice], n_devices);
    if (life.status != RUN_OK || life.errors != 0 || life.n_tokens != ENGINE_TOKENS) {
        fail_msg("a life without faults failed: %s", life.lines);
    }
}

struct counts {
    uint32_t calls, errors, survived, of_status[RUN_CANCELLED + 1];
};

/* False: there is no such call any more. */
static bool live_once(uint32_t k, VkResult code, uint32_t n_devices, bool cpu,
                      struct counts *counts)
{
    static struct fake_vk fake;
    struct engine_life life;
    memset(&fake, 0, sizeof fake);
    fake.fail_at = k;
    fake.fail_with = code;
    live(&fake, &life, n_devices, cpu);
    const char *name = fake.failed_in;
    bool ok = life.status == RUN_OK;
    if (name == NULL) {
        assert_true(ok);
        return false;
    }
    if (ok ? life.errors > 1 || life.n_tokens != ENGINE_TOKENS : life.errors != 1) {
        fail_msg("call %u (%s, %d) on %u devices: status %d, %u error lines: %s", k, name, code,
                 n_devices, life.status, life.errors, life.lines);
    }
    if (life.torn) {
        fail_msg("call %u (%s): a failed step left half of it: %s", k, name, life.lines);
    }
    if (life.lost && life.status != RUN_OK && life.status != RUN_DEVICE_LOST) {
        fail_msg("call %u (%s): lost, but status %d: %s", k, name, life.status, life.lines);
    }
    counts->errors += !ok;
    counts->survived += ok;
    counts->of_status[life.status]++;
    return true;
}

static void fail_each(uint32_t n_devices, bool cpu)
{
    for (uint32_t c = 0; c < FAULT_CODES; c++) {
        struct counts counts = {0};
        uint32_t k = 1;
        while (live_once(k, fault_code(c), n_devices, cpu, &counts)) {
            if (k % 10 == 0) {
                live_whole(n_devices, cpu);
            }
            k++;
            assert_true(k < 100000);
        }
        live_whole(n_devices, cpu);
        printf(
            "%u %s, %s: %u calls: %u ended in an error (%u out of memory, %u lost, %u no device, "
            "%u other), %u were lived without\n",
            n_devices, cpu ? "CPUs" : "GPUs", fault_code_name(c), k - 1, counts.errors,
            counts.of_status[RUN_OUT_OF_MEMORY], counts.of_status[RUN_DEVICE_LOST],
            counts.of_status[RUN_NO_DEVICE], counts.of_status[RUN_ERROR], counts.survived);
        assert_true(counts.errors > 10);
    }
}

static void one_gpu(void **state)
{
    (void)state;
    fail_each(1, false);
}

static void two_gpus(void **state)
{
    (void)state;
    fail_each(2, false);
}

static void two_cpus(void **state)
{
    (void)state;
    fail_each(2, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_gpu),
        cmocka_unit_test(two_gpus),
        cmocka_unit_test(two_cpus),
    };
    if (mkdtemp(folder) == NULL || setenv("QUADRIGA_CACHE", folder, 1) != 0) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/tiny.gguf", folder);
    struct log log;
    log_init(&log, NULL, NULL, LOG_ERROR);
    struct gguf_make_params make = gguf_make_defaults();
    bool ok = gguf_make_file(&make, path, &log);
    log_finish(&log);
    int failed = ok ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
    char command[512];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command) == 0 ? failed : 1;
}
