/* The engine over a real driver: the demo model split over two devices, in which every 20th call of
 * Vulkan fails, with the four codes in turn. It ends in a status and a clear line, or it is lived
 * without and says the right tokens; so does a run after it in the same process. */
#include "engine.h"
#include "fault_vk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP 20u

static const char path[] = QD_SOURCE_DIR "/models/classics-13m-Q4_K_M.gguf";
static uint32_t right[ENGINE_TOKENS];

static void live(struct fault_vk *fault, struct engine_life *life)
{
    assert_true(fault_vk_begin(fault));
    engine_run(life, &(struct engine_params){
                         .get_proc = fault_vk_get_proc(), .path = path, .n_devices = 2});
    fault_vk_end();
}

static void check_tokens(const struct engine_life *life)
{
    assert_int_equal(life->n_tokens, ENGINE_TOKENS);
    assert_memory_equal(life->tokens, right, sizeof right);
}

static void live_whole(void)
{
    struct fault_vk fault = {.device = FAULT_VK_ANY};
    struct engine_life life;
    live(&fault, &life);
    if (life.status != RUN_OK || life.errors != 0) {
        fail_msg("a life without faults failed: %s", life.lines);
    }
    check_tokens(&life);
}

static void every_20th_call_fails(void **state)
{
    (void)state;
    uint32_t failures = 0, errors = 0, lost = 0;
    for (uint32_t k = STEP;; k += STEP) {
        uint32_t code = k / STEP % FAULT_CODES;
        struct fault_vk fault = {
            .device = FAULT_VK_ANY, .fail_at = k, .fail_with = fault_code(code)};
        struct engine_life life;
        live(&fault, &life);
        if (fault.failed_in == NULL) {
            check_tokens(&life);
            break;
        }
        failures++;
        errors += life.status != RUN_OK;
        lost += life.status == RUN_DEVICE_LOST;
        if (life.status == RUN_OK) {
            check_tokens(&life);
        }
        if (life.status == RUN_OK ? life.errors > 1 : life.errors != 1) {
            fail_msg("call %u, %s: %s: %s", k, fault.failed_in, fault_code_name(code), life.lines);
        }
        if (failures % 10 == 0) {
            live_whole();
        }
    }
    live_whole();
    printf("every %uth call of the demo model on two devices: %u failures, %u ended in an error, "
           "%u lost a device\n",
           STEP, failures, errors, lost);
    assert_true(failures >= 20 && errors > 0 && lost > 0);
}

/* What a test of anything above the engine wants: the second device is lost in the middle. */
static void one_device_of_two_is_lost(void **state)
{
    (void)state;
    struct fault_vk count = {.device = 1, .only = "vkQueueSubmit"};
    struct engine_life life;
    live(&count, &life);
    assert_int_equal(life.status, RUN_OK);
    assert_true(count.n_devices == 2 && count.calls >= ENGINE_TOKENS);
    assert_true(count.calls < count.calls_of[FAULT_QueueSubmit]);
    struct fault_vk fault = {.device = 1,
                             .only = "vkQueueSubmit",
                             .fail_at = count.calls - 1,
                             .fail_with = VK_ERROR_DEVICE_LOST};
    live(&fault, &life);
    assert_int_equal(life.status, RUN_DEVICE_LOST);
    assert_true(fault.lost[1] && !fault.lost[0] && life.lost);
    assert_int_equal(life.errors, 1);
    assert_true(life.n_tokens > 0 && life.n_tokens < ENGINE_TOKENS);
    assert_memory_equal(life.tokens, right, life.n_tokens * sizeof *right);
    live_whole();
}

int main(void)
{
    struct engine_life life; /* straight on the driver */
    if (setenv("LP_NUM_THREADS", "0", 0) != 0) {
        return 1;
    }
    engine_run(&life, &(struct engine_params){.path = path, .n_devices = 2});
    if (life.status == RUN_NO_DEVICE) {
        printf("skipped: %s", life.lines);
        return 77;
    }
    if (life.status != RUN_OK || life.n_tokens != ENGINE_TOKENS) {
        printf("failed: %s", life.lines);
        return 1;
    }
    memcpy(right, life.tokens, sizeof right);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_20th_call_fails),
        cmocka_unit_test(one_device_of_two_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
