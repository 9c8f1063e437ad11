/* Over the fake: the life of two devices, in which for every function of fault.h, every one of its
 * calls and every code that call fails. It ends in an error or is lived without, nothing leaks, and
 * the next life in the same process is a whole one. Failing heap calls are fake_faults.c's. */
#include "fake.h"
#include "life.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char cache_dir[] = QD_BINARY_DIR "/fake_kinds_XXXXXX";

enum end { END_NOT_REACHED, END_ERROR, END_SURVIVED };

/* A GPU with memory of its own, or a CPU, which blocks where a GPU polls. */
static void init(struct fake_fixture *f, bool cpu)
{
    fake_init(f, 1);
    f->fake.validation = true;
    if (cpu) {
        f->fake.gpus[0].type = VK_PHYSICAL_DEVICE_TYPE_CPU;
        f->fake.gpus[0].memory = FAKE_UNIFIED;
    }
}

static bool live(struct fake_fixture *f, struct life *l)
{
    f->inst = dev_instance_create(&(struct dev_instance_params){
        .log = &f->log, .validate = true, .get_proc = fake_vk_get_proc()});
    return f->inst != NULL && life_run(l, &(struct life_params){.inst = f->inst,
                                                                .log = &f->log,
                                                                .cache_dir = cache_dir,
                                                                .plain = &fake_shader,
                                                                .texel = &fake_texel_shader});
}

/* Where a lost device must be known as lost: those that can say so and whose answer is heard. */
static bool must_be_lost(uint32_t function, VkResult code)
{
    return code == VK_ERROR_DEVICE_LOST && (fault_legal(function) & FAULT_LOST) != 0 &&
           function != FAULT_CreateDevice && function != FAULT_DeviceWaitIdle;
}

/* The error names the call, its result, or the state it leaves. Two calls have a better text. */
static bool is_clear(const char *lines, uint32_t function, uint32_t code)
{
    char result[64];
    snprintf(result, sizeof result, "VK_ERROR_%s", fault_code_name(code));
    return strstr(lines, fault_name(function)) != NULL || strstr(lines, result) != NULL ||
           strstr(lines, "is lost: ") != NULL ||
           (function == FAULT_EnumeratePhysicalDevices && strstr(lines, "install") != NULL) ||
           (function == FAULT_EnumerateInstanceLayerProperties &&
            strstr(lines, "VK_LAYER_KHRONOS_validation was not found") != NULL);
}

/* One life in which call `at` of a function fails; then, when it did, a whole one. */
static enum end live_once(bool cpu, uint32_t function, uint32_t at, uint32_t c)
{
    static struct fake_fixture f;
    struct life l = {0};
    const char *name = fault_name(function);
    VkResult code = fault_code(c);
    init(&f, cpu);
    f.fake.fail_at = at;
    f.fake.fail_with = code;
    f.fake.only = name;
    bool done = live(&f, &l), early = f.fake.failed_in != NULL;
    life_end(&l);
    bool failed = f.fake.failed_in != NULL;
    if (!done && !failed) {
        fail_msg("call %u of %s was not made, but the life failed: %s", at, name, f.lines);
    }
    if (!done && (f.errors != 1 || !is_clear(f.lines, function, c))) {
        fail_msg("call %u of %s (%d): %u error lines: %s", at, name, code, f.errors, f.lines);
    }
    /* said and lived without: a probe of imported memory that fails */
    if (done && (f.errors > 1 || l.damaged)) {
        fail_msg("call %u of %s (%d): survived, but: %s", at, name, code, f.lines);
    }
    if (early && must_be_lost(function, code) && (done || !l.lost)) {
        fail_msg("call %u of %s: the device is not known as lost", at, name);
    }
    if (l.lost && strstr(f.lines, "is lost: ") == NULL) {
        fail_msg("call %u of %s: lost without a word: %s", at, name, f.lines);
    }
    fake_finish(&f);
    if (!failed) {
        return END_NOT_REACHED;
    }
    return done ? END_SURVIVED : END_ERROR;
}

static void live_whole(bool cpu, const char *after)
{
    static struct fake_fixture f;
    struct life l = {0};
    init(&f, cpu);
    bool done = live(&f, &l);
    life_end(&l);
    if (!done || f.errors != 0 || l.damaged) {
        fail_msg("the life after %s failed: %s", after, f.lines);
    }
    fake_finish(&f);
}

struct counts {
    uint32_t calls, failures, errors, legal;
};

/* Every call of a function, on one kind of device. */
static void fail_each(bool cpu, uint32_t fn, struct counts *counts)
{
    uint32_t most = 0;
    for (uint32_t c = 0; c < FAULT_CODES; c++) {
        enum end end;
        uint32_t k = 1;
        while ((end = live_once(cpu, fn, k, c)) != END_NOT_REACHED) {
            live_whole(cpu, fault_name(fn));
            counts->failures++;
            counts->errors += end == END_ERROR;
            counts->legal += (fault_legal(fn) & 1u << c) != 0;
            k++;
            assert_true(k < 2000);
        }
        most = k - 1 > most ? k - 1 : most;
    }
    counts->calls += most;
}

static void every_call_of_every_kind_fails(void **state)
{
    (void)state;
    struct counts all = {0};
    printf("%-50s calls  failed  ended in an error\n", "function");
    for (uint32_t fn = 0; fn < FAULT_COUNT; fn++) {
        struct counts mine = {0};
        fail_each(false, fn, &mine);
        fail_each(true, fn, &mine);
        if (mine.calls == 0) {
            fail_msg("%s is never called in this life", fault_name(fn));
        }
        printf("%-50s %5u  %6u  %6u\n", fault_name(fn), mine.calls, mine.failures, mine.errors);
        all.calls += mine.calls;
        all.failures += mine.failures;
        all.errors += mine.errors;
        all.legal += mine.legal;
    }
    printf("%u functions, %u calls, %u failures (%u of them with a code that the specification "
           "lists): %u ended in an error, %u were lived without\n",
           (uint32_t)FAULT_COUNT, all.calls, all.failures, all.legal, all.errors,
           all.failures - all.errors);
    assert_true(all.errors > 500);
}

static void every_function_is_in_the_table(void **state)
{
    (void)state;
    if (fault_unknown() != NULL) {
        fail_msg("%s is neither in fault.h nor known to return nothing", fault_unknown());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_function_is_in_the_table),
        cmocka_unit_test(every_call_of_every_kind_fails),
    };
    if (mkdtemp(cache_dir) == NULL) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[512];
    snprintf(command, sizeof command, "rm -r '%s'", cache_dir);
    return system(command) == 0 ? failed : 1;
}
