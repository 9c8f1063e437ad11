/* Over the fake: which devices are listed, in which order, which are opened by default, and what is
 * said when something is missing. */
#include "fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_by_type_and_uuid),   cmocka_unit_test(one_gpu_by_two_drivers),
        cmocka_unit_test(copies_of_one_driver_stay), cmocka_unit_test(chooses_defaults),
        cmocka_unit_test(unusable_devices_say_why),  cmocka_unit_test(missing_things_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
