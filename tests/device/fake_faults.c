/* Over the fake: the whole life of a device, with every call of Vulkan and every call of the heap
 * failing once. Nothing crashes, nothing leaks, an error is said. And what a lost device answers.
 */
#include "fake.h"
#include "life.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint32_t heap_calls, heap_fail_at;

static bool heap_fails(void)
{
    heap_calls++;
    return heap_calls == heap_fail_at;
}

/* The linker sends the heap calls of device/ here (--wrap). */
void *__real_mem_alloc(size_t count, size_t size);
void *__wrap_mem_alloc(size_t count, size_t size);
bool __real_mem_grow(void **array, size_t *cap, size_t count, size_t size);
bool __wrap_mem_grow(void **array, size_t *cap, size_t count, size_t size);

void *__wrap_mem_alloc(size_t count, size_t size)
{
    return heap_fails() ? NULL : __real_mem_alloc(count, size);
}

bool __wrap_mem_grow(void **array, size_t *cap, size_t count, size_t size)
{
    return count < *cap || (!heap_fails() && __real_mem_grow(array, cap, count, size));
}

static const char cache_dir[] = QD_BINARY_DIR;

/* One life with call `at` failing. Returns false when there was no such call any more. */
static bool live_once(uint32_t at, VkResult with, uint32_t heap_at, bool *done)
{
    static struct fake_fixture f;
    struct life l = {0};
    fake_init(&f, 1);
    f.fake.fail_at = at;
    f.fake.fail_with = with;
    heap_calls = 0;
    heap_fail_at = heap_at;
    *done =
        fake_open_instance(&f) && life_run(&l, &(struct life_params){.inst = f.inst,
                                                                     .log = &f.log,
                                                                     .cache_dir = cache_dir,
                                                                     .plain = &fake_shader,
                                                                     .texel = &fake_texel_shader});
    uint32_t errors = f.errors;
    bool lost = l.devs[0] != NULL && dev_is_lost(l.devs[0]);
    life_end(&l);
    bool failed = f.fake.failed_in != NULL || (heap_at != 0 && heap_calls >= heap_at);
    heap_fail_at = 0;
    if (!*done && errors == 0) {
        fail_msg("call %u/%u (%s) failed without a word", at, heap_at, f.fake.failed_in);
    }
    if (!*done && !failed) {
        fail_msg("the life failed by itself: %s", f.lines);
    }
    if (errors > 2) {
        fail_msg("call %u/%u (%s) was told %u times: %s", at, heap_at, f.fake.failed_in, errors,
                 f.lines);
    }
    if (lost && strstr(f.lines, "is lost") == NULL) {
        fail_msg("call %u (%s): lost without a word", at, f.fake.failed_in);
    }
    fake_finish(&f);
    return failed;
}

static void fail_each(VkResult with, uint32_t at_least)
{
    bool done = false;
    uint32_t k = 1, survived = 0;
    while (live_once(k, with, 0, &done)) {
        survived += done ? 1 : 0;
        k++;
        assert_true(k < 2000);
    }
    assert_true(done);
    printf("%u calls, %u of them are lived without\n", k - 1, survived);
    assert_true(k - 1 >= at_least);
}

static void every_call_fails_for_host_memory(void **state)
{
    (void)state;
    fail_each(VK_ERROR_OUT_OF_HOST_MEMORY, 100);
}

static void every_call_fails_for_device_memory(void **state)
{
    (void)state;
    fail_each(VK_ERROR_OUT_OF_DEVICE_MEMORY, 100);
}

static void every_call_loses_the_device(void **state)
{
    (void)state;
    fail_each(VK_ERROR_DEVICE_LOST, 10);
}

static void every_heap_call_fails(void **state)
{
    (void)state;
    bool done = false;
    uint32_t k = 1;
    while (live_once(0, VK_SUCCESS, k, &done)) {
        k++;
        assert_true(k < 2000);
    }
    assert_true(done && k > 20);
    printf("%u heap calls\n", k - 1);
}

static void a_lost_device_answers_at_once(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 1);
    assert_true(fake_open_instance(&f));
    struct life l = {.devs = {fake_open(&f, 0)}};
    struct dev *dev = l.devs[0];
    for (int i = 0; i < 3; i++) {
        l.bufs[i] = fake_buf(dev, "b", 4096, DEV_MEM_DEVICE);
    }
    l.cmd = dev_cmd_create(dev);
    l.plain = &fake_shader;
    l.texel = &fake_texel_shader;
    assert_true(life_record(&l));
    uint64_t value = dev_submit(dev, l.cmd);
    assert_true(value != 0 && !dev_is_lost(dev));
    f.fake.lost = true;
    assert_int_equal(dev_submit(dev, l.cmd), 0);
    assert_true(dev_is_lost(dev));
    assert_int_equal(f.errors, 1);
    assert_non_null(strstr(f.lines, "device 0 (Fake GPU) is lost: vkQueueSubmit failed after "
                                    "submission 1"));
    uint32_t word = 0, polls = f.fake.polls, waits = f.fake.waits, submits = f.fake.submits;
    uint64_t ns[2];
    assert_int_equal(dev_submit(dev, l.cmd), 0);
    assert_false(dev_wait(dev, value));
    assert_false(dev_poll(dev, value));
    assert_false(dev_upload(dev, l.bufs[0], 0, &word, 4));
    assert_false(dev_download(dev, l.bufs[0], 0, &word, 4));
    assert_false(dev_fill(dev, l.bufs[0], 0, 4, 0));
    assert_null(dev_buf_create(dev, &(struct dev_buf_params){.name = "x", .bytes = 4}));
    assert_null(dev_kernel_get(dev, &(struct dev_kernel_params){.shader = &fake_shader}));
    assert_null(dev_cmd_create(dev));
    assert_false(dev_cmd_begin(l.cmd));
    assert_false(dev_cmd_end(l.cmd));
    assert_false(dev_cmd_read_timers(l.cmd, ns, 2));
    assert_null(dev_exchange_create(&dev, 1, 100, &f.log));
    assert_int_equal(f.fake.polls, polls);
    assert_int_equal(f.fake.waits, waits);
    assert_int_equal(f.fake.submits, submits);
    assert_int_equal(f.errors, 1); /* said once */
    life_end(&l);
    fake_finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_fails_for_host_memory),
        cmocka_unit_test(every_call_fails_for_device_memory),
        cmocka_unit_test(every_call_loses_the_device),
        cmocka_unit_test(every_heap_call_fails),
        cmocka_unit_test(a_lost_device_answers_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
