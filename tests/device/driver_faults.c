/* Over a real driver: the life of two devices, in which every 5th call fails. It ends in an error
 * or is lived without, and the next life in the same process is a whole one. */
#include "driver.h"
#include "fault_vk.h"
#include "life.h"

#include "base/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define STEP 5u

struct heard {
    struct log log;
    uint32_t errors;
    char lines[4096];
};

static void hear(void *user, enum log_level level, const char *line)
{
    struct heard *h = user;
    h->errors += level == LOG_ERROR;
    size_t used = strlen(h->lines);
    snprintf(h->lines + used, sizeof h->lines - used, "%s\n", line);
}

/* Returns whether the life was a whole one. */
static bool live(struct fault_vk *fault, struct heard *h, struct life *l)
{
    *h = (struct heard){0};
    *l = (struct life){0};
    log_init(&h->log, hear, h, LOG_WARN);
    assert_true(fault_vk_begin(fault));
    struct dev_instance *inst = dev_instance_create(
        &(struct dev_instance_params){.log = &h->log, .get_proc = fault_vk_get_proc()});
    bool done = inst != NULL && life_run(l, &(struct life_params){.inst = inst,
                                                                  .no_polls = true,
                                                                  .log = &h->log,
                                                                  .plain = &driver_add,
                                                                  .texel = &driver_texel});
    life_end(l);
    dev_instance_destroy(inst);
    fault_vk_end();
    log_finish(&h->log);
    return done;
}

static void live_whole(void)
{
    struct fault_vk fault = {.device = FAULT_VK_ANY};
    struct heard h;
    struct life l;
    if (!live(&fault, &h, &l) || h.errors != 0 || l.damaged) {
        fail_msg("a life without faults failed: %s", h.lines);
    }
}

static void every_5th_call_fails(void **state)
{
    (void)state;
    uint32_t k = STEP, failures = 0, errors = 0, lost = 0;
    for (uint32_t round = 0;; round++, k += STEP) {
        uint32_t code = round % FAULT_CODES;
        struct fault_vk fault = {
            .device = FAULT_VK_ANY, .fail_at = k, .fail_with = fault_code(code)};
        struct heard h;
        struct life l;
        bool done = live(&fault, &h, &l);
        if (fault.failed_in == NULL) {
            assert_true(done);
            break;
        }
        failures++;
        errors += !done;
        lost += l.lost;
        if ((!done && h.errors != 1) || (done && h.errors > 1) || l.damaged) {
            fail_msg("call %u, %s: %s: %s", k, fault.failed_in, fault_code_name(code), h.lines);
        }
        live_whole();
    }
    printf("every %uth call of a life on this driver: %u failures, %u ended in an error, %u lost "
           "the device\n",
           STEP, failures, errors, lost);
    assert_true(failures >= 5 && errors > 0 && lost > 0);
}

int main(void)
{
    struct fixture f;
    fixture_init(&f); /* ends the program where there is no driver */
    fixture_finish(&f);
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_5th_call_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
