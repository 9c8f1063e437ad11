/* Over the fake: features and limits become caps, masks take them away and what is enabled follows;
 * quirks; which subgroup size a kernel is made with. */
#include "fake.h"

#include "base/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void reads_caps(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 1);
    assert_true(fake_open_instance(&f));
    const struct dev_caps *caps = &dev_instance_info(f.inst, 0)->caps;
    assert_int_equal(caps->has, ((1u << 16) - 1) & ~(uint32_t)DEV_CAP_CPU);
    assert_int_equal(caps->subgroup_size, 32);
    assert_int_equal(caps->subgroup_min, 16);
    assert_int_equal(caps->subgroup_max, 64);
    assert_int_equal(caps->max_workgroup_subgroups, 16);
    assert_int_equal(caps->offset_align, 64);
    assert_int_equal(caps->import_align, 4096);
    assert_int_equal(caps->max_binding_bytes, 1u << 27);
    assert_int_equal(caps->max_buffer_bytes, 1u << 29);
    assert_int_equal(caps->max_texel_elements, 1u << 26);
    assert_int_equal(caps->coopmat_m, 16);
    assert_int_equal(caps->coopmat_k, 8);
    assert_int_equal(caps->coopmat_s8_m, 16);
    assert_int_equal(caps->coopmat_s8_n, 16);
    assert_int_equal(caps->coopmat_s8_k, 32);
    assert_int_equal(caps->coopmat2, DEV_COOPMAT2_FLEXIBLE | DEV_COOPMAT2_REDUCE |
                                         DEV_COOPMAT2_CONVERT | DEV_COOPMAT2_WORKGROUP |
                                         DEV_COOPMAT2_PER_ELEMENT);
    assert_int_equal(caps->timestamp_bits, 48);
    assert_true(caps->timestamp_ns == 2.0f);
    assert_true(caps->int_dot_fast);
    fake_finish(&f);
}

/* By whichever extension tells; none: 0. */
static void reads_the_number_of_cores(void **state)
{
    (void)state;
    for (uint32_t by = 0; by <= FAKE_CORES; by++) {
        struct fake_fixture f;
        fake_init(&f, 1);
        if (by < FAKE_CORES) {
            f.fake.gpus[0].cores[by] = 7 + by;
        }
        assert_true(fake_open_instance(&f));
        uint32_t cores = dev_instance_info(f.inst, 0)->caps.cores;
        assert_int_equal(cores, by < FAKE_CORES ? 7 + by : 0);
        fake_finish(&f);
    }
}

/* What SwiftShader is: nothing optional, four lanes, Vulkan 1.2 here. */
static void reads_a_poor_device(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 1);
    struct fake_gpu *g = &f.fake.gpus[0];
    g->type = VK_PHYSICAL_DEVICE_TYPE_CPU;
    g->api = VK_API_VERSION_1_2;
    g->caps = 0;
    g->subgroup_size = 4;
    g->storage_align = 256;
    g->no_timestamps = true;
    g->memory = FAKE_UNIFIED;
    assert_true(fake_open_instance(&f));
    const struct dev_caps *caps = &dev_instance_info(f.inst, 0)->caps;
    assert_int_equal(caps->has, DEV_CAP_CPU);
    assert_int_equal(caps->subgroup_min, 4);
    assert_int_equal(caps->subgroup_max, 4);
    assert_int_equal(caps->offset_align, 256);
    assert_int_equal(caps->max_texel_elements, 0);
    assert_int_equal(caps->import_align, 0);
    assert_int_equal(caps->timestamp_bits, 0);
    assert_false(caps->int_dot_fast);
    struct dev *dev = fake_open(&f, 0);
    assert_int_equal(f.fake.enabled_extensions, 0);
    assert_false(f.fake.enabled_fp16);
    struct dev_cmd *cmd = dev_cmd_create(dev);
    struct dev_buf *buf = fake_buf(dev, "buf", 64, DEV_MEM_DEVICE);
    assert_true(dev_cmd_timers(cmd, 2)); /* timers that are never read */
    dev_cmd_set_spans(cmd, true);
    assert_true(dev_cmd_begin(cmd));
    dev_cmd_timestamp(cmd, 0);
    assert_true(dev_cmd_fill(cmd, buf, 0, 64, 0));
    assert_int_equal(dev_cmd_spans(cmd), 0);
    assert_true(dev_cmd_end(cmd));
    uint64_t ns[2];
    assert_true(dev_wait(dev, dev_submit(dev, cmd)));
    assert_false(dev_cmd_read_timers(cmd, ns, 2));
    assert_false(dev_cmd_read_spans(cmd, ns));
    dev_buf_destroy(buf);
    dev_cmd_destroy(cmd);
    dev_close(dev);
    fake_finish(&f);
}

/* The second extension counts for nothing without the first, or without flexible dimensions. */
static void check_flexible(const struct dev_flexible *found, uint32_t m, uint32_t n, uint32_t local)
{
    assert_int_equal(found->m, m);
    assert_int_equal(found->n, n);
    assert_int_equal(found->k, 16);
    assert_int_equal(found->local, local);
}

/* Those with float32 sums, of the widest scope there is, no wider than its workgroups may be. */
static void reads_flexible_matrices(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 3);
    f.fake.gpus[1].coopmat2_narrow = true;
    f.fake.gpus[2].api = VK_API_VERSION_1_2;
    assert_true(fake_open_instance(&f));
    const struct dev_caps *wide = &dev_instance_info(f.inst, 0)->caps;
    const struct dev_caps *narrow = &dev_instance_info(f.inst, 1)->caps;
    assert_int_equal(wide->n_flexible, 2);
    check_flexible(&wide->flexible[0], 64, 32, 256);
    check_flexible(&wide->flexible[1], 32, 32, 128);
    assert_int_equal(wide->flexible_most, 256);
    assert_int_equal(wide->flexible_shared, 1024);
    assert_int_equal(narrow->n_flexible, 1);
    check_flexible(&narrow->flexible[0], 16, 8, 0);
    assert_int_equal(narrow->flexible_shared, 0);
    /* its shaders are of Vulkan 1.3 */
    assert_int_equal(dev_instance_info(f.inst, 2)->caps.has & (DEV_CAP_COOPMAT | DEV_CAP_COOPMAT2),
                     DEV_CAP_COOPMAT);
    struct dev *dev = fake_open(&f, 0);
    assert_true(f.fake.enabled_coopmat2);
    dev_close(dev);
    dev = dev_open(f.inst, &(struct dev_open_params){.caps_off = DEV_CAP_COOPMAT});
    struct dev_caps masked = *dev_get_caps(dev);
    assert_int_equal(masked.n_flexible + masked.flexible_most + masked.flexible_shared, 0);
    dev_close(dev);
    fake_finish(&f);
}

static void reads_matrices_in_part(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 3);
    f.fake.gpus[0].caps &= ~(uint32_t)DEV_CAP_COOPMAT;
    f.fake.gpus[1].caps &= ~(uint32_t)DEV_CAP_COOPMAT2;
    f.fake.gpus[2].coopmat2_rigid = true;
    assert_true(fake_open_instance(&f));
    for (uint32_t i = 0; i < 3; i++) {
        const struct dev_caps *caps = &dev_instance_info(f.inst, i)->caps;
        uint32_t has = caps->has & (DEV_CAP_COOPMAT | DEV_CAP_COOPMAT2);
        assert_int_equal(has, i == 0 ? 0 : DEV_CAP_COOPMAT);
        assert_int_equal(caps->coopmat2, 0);
        struct dev *dev = fake_open(&f, i);
        assert_int_equal(f.fake.enabled_coopmat, i != 0);
        assert_false(f.fake.enabled_coopmat2);
        dev_close(dev);
    }
    fake_finish(&f);
}

/* What of its memory the host can map. */
static void reads_mapped_memory(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 3);
    f.fake.gpus[0].memory = FAKE_UNIFIED;
    f.fake.gpus[1].memory = FAKE_DISCRETE;
    f.fake.gpus[2].memory = FAKE_REBAR;
    assert_true(fake_open_instance(&f));
    for (uint32_t i = 0; i < 3; i++) {
        const struct dev_info *info = dev_instance_info(f.inst, i);
        assert_int_equal(info->host_visible_bytes, i == 1 ? 0 : info->heap_bytes);
    }
    fake_finish(&f);
}

static void masks_imply(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 1);
    assert_true(fake_open_instance(&f));
    const uint32_t matrices = DEV_CAP_COOPMAT | DEV_CAP_COOPMAT2;
    const struct {
        uint32_t off, gone;
    } cases[] = {
        {DEV_CAP_SUBGROUP, DEV_CAP_SUBGROUP | DEV_CAP_SHUFFLE | matrices},
        {DEV_CAP_FP16, DEV_CAP_FP16 | matrices},
        {DEV_CAP_COOPMAT, matrices},
        {DEV_CAP_COOPMAT2, DEV_CAP_COOPMAT2},
        {DEV_CAP_INT8, DEV_CAP_INT8},
        {DEV_CAP_TEXEL, DEV_CAP_TEXEL},
        {DEV_CAP_INT_DOT | DEV_CAP_STORAGE16, DEV_CAP_INT_DOT | DEV_CAP_STORAGE16},
    };
    uint32_t all = dev_instance_info(f.inst, 0)->caps.has;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dev *dev =
            dev_open(f.inst, &(struct dev_open_params){.index = 0, .caps_off = cases[i].off});
        assert_non_null(dev);
        assert_int_equal(dev_get_caps(dev)->has, all & ~cases[i].gone);
        assert_int_equal(f.fake.enabled_fp16, (cases[i].gone & DEV_CAP_FP16) == 0);
        assert_int_equal(f.fake.enabled_int8, (cases[i].gone & DEV_CAP_INT8) == 0);
        assert_int_equal(f.fake.enabled_storage16, (cases[i].gone & DEV_CAP_STORAGE16) == 0);
        assert_int_equal(f.fake.enabled_coopmat, (cases[i].gone & DEV_CAP_COOPMAT) == 0);
        assert_int_equal(f.fake.enabled_coopmat2, (cases[i].gone & DEV_CAP_COOPMAT2) == 0);
        assert_int_equal(dev_get_caps(dev)->coopmat_m != 0, f.fake.enabled_coopmat);
        assert_int_equal(dev_get_caps(dev)->coopmat_s8_m != 0, f.fake.enabled_coopmat);
        assert_int_equal(dev_get_caps(dev)->coopmat2 != 0, f.fake.enabled_coopmat2);
        dev_close(dev);
    }
    /* the list itself is not masked */
    assert_int_equal(dev_instance_info(f.inst, 0)->caps.has, all);
    fake_finish(&f);
}

static void applies_quirks(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 3);
    f.fake.gpus[0].driver_id = VK_DRIVER_ID_MOLTENVK;
    f.fake.gpus[0].vendor_id = 0x1002;
    f.fake.gpus[1].driver_id = VK_DRIVER_ID_AMD_OPEN_SOURCE;
    f.fake.gpus[2].driver_id = VK_DRIVER_ID_MESA_TURNIP;
    assert_true(fake_open_instance(&f));
    const struct dev_info *info = dev_instance_info(f.inst, 0);
    assert_string_equal(info->quirks, "moltenvk-amd-subgroup,moltenvk-host-import");
    assert_int_equal(info->caps.has & (DEV_CAP_SUBGROUP | DEV_CAP_SHUFFLE | DEV_CAP_HOST_IMPORT),
                     0);
    info = dev_instance_info(f.inst, 1);
    assert_string_equal(info->quirks, "amdvlk-coopmat");
    assert_int_equal(info->caps.has & (DEV_CAP_COOPMAT | DEV_CAP_COOPMAT2 | DEV_CAP_FP16),
                     DEV_CAP_FP16);
    struct dev *dev = fake_open(&f, 2);
    assert_non_null(dev_kernel_get(
        dev, &(struct dev_kernel_params){.shader = &fake_subgroup_shader, .subgroup_size = 16}));
    assert_false(f.fake.full_subgroups);
    assert_false(dev_get_caps(dev)->joint_barriers);
    dev_close(dev);
    fake_finish(&f);
}

static void joins_barriers(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 2);
    f.fake.gpus[0].driver_id = f.fake.gpus[1].driver_id = VK_DRIVER_ID_MESA_LLVMPIPE;
    f.fake.gpus[0].driver_version = 1;
    f.fake.gpus[1].driver_version = 26u << 22;
    assert_true(fake_open_instance(&f));
    assert_false(dev_instance_info(f.inst, 0)->caps.joint_barriers);
    assert_true(dev_instance_info(f.inst, 1)->caps.joint_barriers);
    assert_string_equal(dev_instance_info(f.inst, 1)->quirks, "llvmpipe-joint-barriers");
    fake_finish(&f);
}

static void chooses_subgroup_sizes(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 1);
    assert_true(fake_open_instance(&f));
    struct dev *dev = fake_open(&f, 0);
    struct dev_kernel_params plain = {.shader = &fake_shader};
    struct dev_kernel_params sub = {.shader = &fake_subgroup_shader};
    assert_non_null(dev_kernel_get(dev, &plain));
    assert_int_equal(f.fake.required_size, 0);
    assert_non_null(dev_kernel_get(dev, &sub));
    assert_int_equal(f.fake.required_size, 32);
    assert_false(f.fake.full_subgroups);
    sub.subgroup_size = 16;
    struct dev_kernel *k16 = dev_kernel_get(dev, &sub);
    assert_non_null(k16);
    assert_int_equal(f.fake.required_size, 16);
    assert_true(f.fake.full_subgroups);
    assert_int_equal(f.fake.pipelines, 3);
    assert_ptr_equal(dev_kernel_get(dev, &sub), k16);
    assert_int_equal(f.fake.pipelines, 3);
    static const uint32_t wrong[] = {8, 24, 128};
    for (size_t i = 0; i < 3; i++) {
        fake_forget(&f);
        sub.subgroup_size = wrong[i];
        assert_null(dev_kernel_get(dev, &sub));
        assert_int_equal(f.errors, 1);
        assert_non_null(strstr(f.lines, "subgroup size"));
    }
    dev_close(dev);
    dev = dev_open(f.inst, &(struct dev_open_params){.caps_off = DEV_CAP_SUBGROUP_CONTROL});
    assert_int_equal(dev_get_caps(dev)->max_workgroup_subgroups, 0);
    sub.subgroup_size = 0;
    assert_non_null(dev_kernel_get(dev, &sub));
    assert_int_equal(f.fake.required_size, 0);
    sub.subgroup_size = 32; /* what it has anyway */
    assert_non_null(dev_kernel_get(dev, &sub));
    sub.subgroup_size = 16;
    assert_null(dev_kernel_get(dev, &sub));
    dev_close(dev);
    dev = dev_open(f.inst, &(struct dev_open_params){.caps_off = DEV_CAP_SUBGROUP});
    sub.subgroup_size = 0;
    assert_null(dev_kernel_get(dev, &sub));
    dev_close(dev);
    fake_finish(&f);
}

static void rejects_wrong_shaders(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 1);
    assert_true(fake_open_instance(&f));
    struct dev *dev = fake_open(&f, 0);
    struct dev_shader s = fake_shader;
    struct dev_kernel_params p = {.shader = &s, .n_specs = 1, .specs = {{.id = 3, .value = 1}}};
    assert_null(dev_kernel_get(dev, &p));
    assert_non_null(strstr(f.lines, "no spec constant 3"));
    p.n_specs = 0;
    s.n_words = 4;
    assert_null(dev_kernel_get(dev, &p));
    assert_non_null(strstr(f.lines, "not SPIR-V"));
    s = fake_shader;
    s.push_bytes = 132;
    assert_null(dev_kernel_get(dev, &p));
    static const uint8_t nine[9] = {0};
    s = fake_shader;
    s.n_bindings = 9; /* the fake has 8 storage buffers per stage */
    s.bind_kinds = nine;
    assert_null(dev_kernel_get(dev, &p));
    assert_non_null(strstr(f.lines, "more storage buffers"));
    static const uint32_t far[1] = {DEV_MAX_SPECS}, one[1] = {1};
    s = fake_shader;
    s.n_specs = 1;
    s.spec_ids = far;
    s.spec_defaults = one;
    assert_null(dev_kernel_get(dev, &p));
    assert_non_null(strstr(f.lines, "id of a spec constant"));
    dev_close(dev);
    fake_finish(&f);
}

static void every_capability_has_a_name(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < 16; bit++) {
        assert_int_equal(dev_cap_find(dev_cap_name(1u << bit)), 1u << bit);
    }
    assert_int_equal(DEV_CAP_CALIBRATED, 1 << 15); /* the last one */
    assert_string_equal(dev_cap_name(1u << 16), "?");
    assert_int_equal(dev_cap_find("turbo"), 0);
}

/* Asked of the driver, or bracketed: then within the submission, and the fake's timestamp is 2 us.
 */
static void clocks_are_joined(void **state)
{
    (void)state;
    struct fake_fixture f;
    struct dev_moment moment;
    fake_init(&f, 1);
    assert_true(fake_open_instance(&f));
    struct dev *dev = fake_open(&f, 0);
    assert_true(dev_calibrate(dev, &moment));
    assert_int_equal(moment.device_ns, 1000);
    assert_int_equal(moment.host_ns, 7000);
    assert_int_equal(moment.error_ns, 30);
    dev_close(dev);
    dev = dev_open(f.inst, &(struct dev_open_params){.caps_off = DEV_CAP_CALIBRATED});
    assert_non_null(dev);
    uint64_t begin = os_clock_ns();
    assert_true(dev_calibrate(dev, &moment));
    assert_in_range(moment.host_ns, begin, os_clock_ns());
    assert_int_equal(moment.device_ns, 2000);
    dev_close(dev);
    fake_finish(&f);
}

/* What 1.3 has by itself is an extension of 1.2. */
static void old_devices_have_extensions(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 1);
    f.fake.gpus[0].api = VK_API_VERSION_1_2;
    assert_true(fake_open_instance(&f));
    struct dev *dev = fake_open(&f, 0);
    uint32_t all = f.fake.enabled_extensions;
    assert_true((dev_get_caps(dev)->has & DEV_CAP_INT_DOT) != 0);
    dev_close(dev);
    dev = dev_open(f.inst, &(struct dev_open_params){.caps_off = DEV_CAP_INT_DOT});
    assert_int_equal(f.fake.enabled_extensions, all - 1);
    dev_close(dev);
    dev = dev_open(f.inst, &(struct dev_open_params){.caps_off = DEV_CAP_SUBGROUP_CONTROL});
    assert_int_equal(f.fake.enabled_extensions, all - 1);
    dev_close(dev);
    fake_finish(&f);
    fake_init(&f, 1);
    assert_true(fake_open_instance(&f));
    dev = fake_open(&f, 0);
    assert_int_equal(f.fake.enabled_extensions, all - 2 + 1); /* that for matrices asks for 1.3 */
    dev_close(dev);
    fake_finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_caps),
        cmocka_unit_test(reads_the_number_of_cores),
        cmocka_unit_test(reads_a_poor_device),
        cmocka_unit_test(reads_flexible_matrices),
        cmocka_unit_test(reads_matrices_in_part),
        cmocka_unit_test(reads_mapped_memory),
        cmocka_unit_test(masks_imply),
        cmocka_unit_test(applies_quirks),
        cmocka_unit_test(joins_barriers),
        cmocka_unit_test(chooses_subgroup_sizes),
        cmocka_unit_test(rejects_wrong_shaders),
        cmocka_unit_test(every_capability_has_a_name),
        cmocka_unit_test(clocks_are_joined),
        cmocka_unit_test(old_devices_have_extensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
