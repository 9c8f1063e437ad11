/* Over the fake: which devices are listed, in which order, which are opened by default, and what is
 * said when something is missing. */
#include "fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* The linker sends dlopen here (--wrap). */
void *__wrap_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags)
{
    (void)name;
    (void)flags;
    return NULL;
}

static void orders_by_type_and_uuid(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 6);
    static const VkPhysicalDeviceType types[] = {
        VK_PHYSICAL_DEVICE_TYPE_CPU,          VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU,
        VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU,
        VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, VK_PHYSICAL_DEVICE_TYPE_OTHER};
    for (int i = 0; i < 6; i++) {
        f.fake.gpus[i].type = types[i];
        f.fake.gpus[i].uuid[0] = (uint8_t)(10 - i);
    }
    assert_true(fake_open_instance(&f));
    assert_true(f.fake.portability);
    static const uint32_t want[] = {4, 2, 3, 1, 0, 5}; /* device_id of the fake */
    assert_int_equal(dev_instance_count(f.inst), 6);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(dev_instance_info(f.inst, i)->device_id, want[i]);
        assert_int_equal(dev_instance_info(f.inst, i)->index, i);
    }
    fake_finish(&f);
}

static void one_gpu_by_two_drivers(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 4);
    for (int i = 0; i < 4; i++) {
        memset(f.fake.gpus[i].uuid, i < 3 ? 5 : 6, 16);
    }
    f.fake.gpus[0].driver_id = VK_DRIVER_ID_AMD_PROPRIETARY;
    f.fake.gpus[1].driver_id = VK_DRIVER_ID_MESA_DOZEN;
    f.fake.gpus[1].api = VK_MAKE_API_VERSION(0, 1, 3, 250);
    f.fake.gpus[2].driver_id = VK_DRIVER_ID_MESA_RADV;
    assert_true(fake_open_instance(&f));
    assert_int_equal(dev_instance_count(f.inst), 2);
    assert_int_equal(dev_instance_info(f.inst, 0)->driver_id, VK_DRIVER_ID_MESA_RADV);
    assert_int_equal(dev_instance_info(f.inst, 1)->device_id, 3);
    fake_finish(&f);

    fake_init(&f, 2); /* a conformant driver is better than Mesa's */
    memcpy(f.fake.gpus[1].uuid, f.fake.gpus[0].uuid, 16);
    f.fake.gpus[0].conformant = false;
    f.fake.gpus[1].driver_id = VK_DRIVER_ID_AMD_PROPRIETARY;
    assert_true(fake_open_instance(&f));
    assert_int_equal(dev_instance_count(f.inst), 1);
    assert_int_equal(dev_instance_info(f.inst, 0)->driver_id, VK_DRIVER_ID_AMD_PROPRIETARY);
    fake_finish(&f);
}

static void copies_of_one_driver_stay(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 4);
    for (int i = 0; i < 4; i++) {
        f.fake.gpus[i].type = VK_PHYSICAL_DEVICE_TYPE_CPU;
        memset(f.fake.gpus[i].uuid, 5, 16);
    }
    assert_true(fake_open_instance(&f));
    assert_int_equal(dev_instance_count(f.inst), 4);
    for (uint32_t i = 0; i < 4; i++) { /* in the order of the drivers */
        assert_int_equal(dev_instance_info(f.inst, i)->device_id, i);
    }
    uint32_t out[4];
    assert_int_equal(dev_instance_default(f.inst, out, 4), 4);
    fake_finish(&f);
}

static void expect_default(const VkPhysicalDeviceType *types, uint32_t n, uint32_t cap,
                           uint32_t want)
{
    struct fake_fixture f;
    fake_init(&f, n);
    for (uint32_t i = 0; i < n; i++) {
        f.fake.gpus[i].type = types[i];
    }
    assert_true(fake_open_instance(&f));
    uint32_t out[8];
    assert_int_equal(dev_instance_default(f.inst, out, cap), want);
    for (uint32_t i = 0; i < want; i++) {
        assert_int_equal(out[i], i);
    }
    fake_finish(&f);
}

static void chooses_defaults(void **state)
{
    (void)state;
    const VkPhysicalDeviceType d = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
                               i = VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU,
                               c = VK_PHYSICAL_DEVICE_TYPE_CPU,
                               v = VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU;
    expect_default((VkPhysicalDeviceType[]){d, i, c}, 3, 4, 1);
    expect_default((VkPhysicalDeviceType[]){i, c}, 2, 4, 1);
    expect_default((VkPhysicalDeviceType[]){c}, 1, 4, 1);
    expect_default((VkPhysicalDeviceType[]){v, c}, 2, 4, 1);
    expect_default((VkPhysicalDeviceType[]){d, d, d, d, d}, 5, 4, 4);
}

static void unusable_devices_say_why(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 4);
    f.fake.gpus[0].no_timeline = true;
    f.fake.gpus[1].api = VK_API_VERSION_1_1;
    f.fake.gpus[2].no_compute = true;
    assert_true(fake_open_instance(&f));
    uint32_t bad = 0, out[4];
    for (uint32_t i = 0; i < 4; i++) {
        const struct dev_info *info = dev_instance_info(f.inst, i);
        bad += info->usable ? 0 : 1;
        assert_true(info->usable == (info->why_not[0] == '\0'));
        assert_true(info->usable ||
                    dev_open(f.inst, &(struct dev_open_params){.index = i}) == NULL);
    }
    assert_int_equal(bad, 3);
    assert_int_equal(dev_instance_default(f.inst, out, 4), 1);
    assert_int_equal(dev_instance_info(f.inst, out[0])->device_id, 3);
    assert_null(dev_open(f.inst, &(struct dev_open_params){.index = 4}));
    fake_finish(&f);

    fake_init(&f, 2);
    f.fake.gpus[0].no_timeline = true;
    f.fake.gpus[1].name = "Old One";
    f.fake.gpus[1].api = VK_API_VERSION_1_1;
    assert_false(fake_open_instance(&f));
    assert_int_equal(f.errors, 1);
    assert_non_null(strstr(f.lines, "no usable Vulkan device"));
    assert_non_null(strstr(f.lines, "timeline semaphores"));
    assert_non_null(strstr(f.lines, "Old One: it has Vulkan 1.1, 1.2 is needed"));
    fake_finish(&f);
}

static void expect_line(struct fake_fixture *f, const char *text)
{
    assert_false(fake_open_instance(f));
    assert_int_equal(f->errors, 1);
    assert_non_null(strstr(f->lines, text));
    fake_finish(f);
}

static void missing_things_are_named(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 0);
    expect_line(&f, "install mesa-vulkan-drivers");
    fake_init(&f, 1);
    f.fake.no_driver = true;
    expect_line(&f, "install mesa-vulkan-drivers");
    fake_init(&f, 1);
    f.fake.fail_with = VK_ERROR_INITIALIZATION_FAILED;
    f.fake.fail_at = 5;
    assert_false(fake_open_instance(&f));
    assert_string_equal(f.fake.failed_in, "vkEnumeratePhysicalDevices");
    assert_int_equal(f.errors, 1);
    assert_non_null(strstr(f.lines, "no Vulkan driver has a device: install mesa-vulkan-drivers"));
    fake_finish(&f);
    fake_init(&f, 1);
    f.fake.loader_version = VK_API_VERSION_1_1;
    expect_line(&f, "the Vulkan loader is version 1.1");
    fake_init(&f, 1);
    f.inst = dev_instance_create(&(struct dev_instance_params){.log = &f.log});
    assert_null(f.inst);
    assert_int_equal(f.errors, 1);
    assert_non_null(strstr(f.lines, "libvulkan.so.1 was not found: install libvulkan1"));
    fake_finish(&f);
    fake_init(&f, 1);
    f.inst = dev_instance_create(&(struct dev_instance_params){
        .log = &f.log, .get_proc = fake_vk_get_proc(), .validate = true});
    assert_null(f.inst);
    assert_non_null(strstr(f.lines, "install vulkan-validationlayers"));
    fake_finish(&f);
}

static void missing_functions_are_named(void **state)
{
    (void)state;
    static const char *const names[] = {"vkCreateInstance", "vkCreateDevice", "vkQueueSubmit"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct fake_fixture f;
        char text[80];
        snprintf(text, sizeof text, "Vulkan function %s is missing: update", names[i]);
        fake_init(&f, 1);
        f.fake.missing = names[i];
        if (i < 2) {
            expect_line(&f, text);
            continue;
        }
        assert_true(fake_open_instance(&f));
        assert_null(dev_open(f.inst, &(struct dev_open_params){0}));
        assert_non_null(strstr(f.lines, text));
        fake_finish(&f);
    }
    struct fake_fixture f;
    fake_init(&f, 1);
    f.fake.validation = true;
    f.fake.missing = "vkCreateDebugUtilsMessengerEXT";
    f.inst = dev_instance_create(&(struct dev_instance_params){
        .log = &f.log, .get_proc = fake_vk_get_proc(), .validate = true});
    assert_null(f.inst);
    assert_non_null(strstr(f.lines, "has no VK_EXT_debug_utils"));
    fake_finish(&f);
}

static void every_result_has_a_name(void **state)
{
    (void)state;
#define ROW(code)                                                                                  \
    {                                                                                              \
        code, "vkCreateInstance: " #code                                                           \
    }
    static const struct {
        VkResult code;
        const char *line;
    } rows[] = {ROW(VK_NOT_READY),
                ROW(VK_TIMEOUT),
                ROW(VK_INCOMPLETE),
                ROW(VK_ERROR_OUT_OF_HOST_MEMORY),
                ROW(VK_ERROR_OUT_OF_DEVICE_MEMORY),
                ROW(VK_ERROR_INITIALIZATION_FAILED),
                ROW(VK_ERROR_DEVICE_LOST),
                ROW(VK_ERROR_MEMORY_MAP_FAILED),
                ROW(VK_ERROR_LAYER_NOT_PRESENT),
                ROW(VK_ERROR_EXTENSION_NOT_PRESENT),
                ROW(VK_ERROR_FEATURE_NOT_PRESENT),
                ROW(VK_ERROR_TOO_MANY_OBJECTS),
                ROW(VK_ERROR_FRAGMENTED_POOL),
                ROW(VK_ERROR_OUT_OF_POOL_MEMORY),
                ROW(VK_ERROR_INVALID_EXTERNAL_HANDLE),
                ROW(VK_ERROR_INVALID_SHADER_NV),
                {(VkResult)-77, "vkCreateInstance: an unknown VkResult"}};
#undef ROW
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_fixture f;
        fake_init(&f, 1);
        f.fake.only = "vkCreateInstance";
        f.fake.fail_at = 1;
        f.fake.fail_with = rows[i].code;
        expect_line(&f, rows[i].line);
    }
}

static void validation_messages_are_counted(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 1);
    f.fake.validation = true;
    f.inst = dev_instance_create(&(struct dev_instance_params){
        .log = &f.log, .get_proc = fake_vk_get_proc(), .validate = true});
    assert_non_null(f.inst);
    VkDebugUtilsMessengerCallbackDataEXT data = {.pMessageIdName = "VUID-some-00001",
                                                 .pMessage = "a buffer is too small"};
    for (uint32_t i = 1; i <= 2; i++) {
        f.fake.messenger.pfnUserCallback(VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
                                         VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT, &data,
                                         f.fake.messenger.pUserData);
        assert_int_equal(dev_instance_messages(f.inst), i);
        assert_int_equal(f.errors, i);
        data = (VkDebugUtilsMessengerCallbackDataEXT){0};
    }
    assert_non_null(strstr(f.lines, "validation: a buffer is too small\n"));
    fake_finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_by_type_and_uuid),
        cmocka_unit_test(one_gpu_by_two_drivers),
        cmocka_unit_test(copies_of_one_driver_stay),
        cmocka_unit_test(chooses_defaults),
        cmocka_unit_test(unusable_devices_say_why),
        cmocka_unit_test(missing_things_are_named),
        cmocka_unit_test(missing_functions_are_named),
        cmocka_unit_test(every_result_has_a_name),
        cmocka_unit_test(validation_messages_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
