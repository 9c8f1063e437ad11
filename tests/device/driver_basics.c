/* On the machine's driver: listing, opening, transfers, one kernel, texel views, masks, timers. */
#include "driver.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

static int setup(void **state)
{
    static struct fixture f;
    fixture_init(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_finish(*state);
    return 0;
}

static void lists_devices(void **state)
{
    struct fixture *f = *state;
    uint32_t n = dev_instance_count(f->inst), open[DEV_MAX_OPEN];
    assert_true(n > 0);
    for (uint32_t i = 0; i < n; i++) {
        const struct dev_info *info = dev_instance_info(f->inst, i);
        assert_int_equal(info->index, i);
        assert_true(info->name[0] != '\0');
        if (info->usable) {
            assert_true(info->free_bytes > 0 && info->heap_bytes > 0);
            assert_true(info->caps.max_binding_bytes >= 1u << 27);
            assert_true(info->caps.offset_align >= 16);
            assert_true(info->caps.subgroup_min <= info->caps.subgroup_size);
            assert_true(info->caps.subgroup_size <= info->caps.subgroup_max);
        }
    }
    assert_null(dev_instance_info(f->inst, n));
    uint32_t n_open = dev_instance_default(f->inst, open, DEV_MAX_OPEN);
    assert_true(n_open >= 1 && n_open <= DEV_MAX_OPEN);
}

static void moves_bytes(void **state)
{
    struct dev *dev = fixture_open(*state, 0, 0);
    static const enum dev_mem mems[] = {DEV_MEM_DEVICE, DEV_MEM_UPLOAD, DEV_MEM_READBACK};
    const size_t n = (9u << 20) + 12; /* more than a staging ring, not round */
    uint8_t *in = mem_alloc(n, 1), *out = mem_alloc(n, 1);
    uint64_t seed = 5;
    for (size_t i = 0; i + 8 <= n; i += 8) {
        uint64_t r = hash_next(&seed);
        memcpy(in + i, &r, 8);
    }
    for (size_t m = 0; m < 3; m++) {
        struct dev_buf *buf = make_buf(dev, "bytes", n + 64, mems[m]);
        assert_true(m == 0 || dev_buf_map(buf) != NULL);
        assert_true(dev_upload(dev, buf, 20, in, n));
        memset(out, 0, n);
        assert_true(dev_download(dev, buf, 20, out, n));
        assert_memory_equal(in, out, n);
        assert_true(dev_fill(dev, buf, 24, 1000, 0xa5b6c7d8));
        assert_true(dev_download(dev, buf, 0, out, 1100));
        uint32_t word = 0;
        for (size_t i = 24; i < 1024; i += 4) {
            memcpy(&word, out + i, 4);
            assert_int_equal(word, 0xa5b6c7d8);
        }
        assert_memory_equal(out + 20, in, 4);
        assert_memory_equal(out + 1024, in + 1004, 76);
        assert_false(dev_upload(dev, buf, n, in, n));
        dev_buf_destroy(buf);
    }
    mem_free(in);
    mem_free(out);
    assert_true(dev_get_peak(dev) >= n);
    assert_true(dev_get_used(dev) < dev_get_peak(dev));
    dev_close(dev);
}

/* Two stages of one device in turn, each round its slots several times, in parts that change
 * places; then a submission that reads what came. */
static void stages_bytes(void **state)
{
    enum { SLOT = 3000, HALF = SLOT / 2, ROUNDS = 9, BYTES = SLOT * ROUNDS };
    struct dev *dev = fixture_open(*state, 0, 0);
    struct dev_buf *buf = make_buf(dev, "staged", BYTES, DEV_MEM_DEVICE);
    struct dev_buf *copy = make_buf(dev, "copy", BYTES, DEV_MEM_DEVICE);
    struct dev_stage *stages[2] = {dev_stage_create(dev, SLOT), dev_stage_create(dev, SLOT)};
    uint8_t *want = mem_alloc(BYTES, 1), *got = mem_alloc(BYTES, 1);
    for (uint32_t r = 0; r < ROUNDS; r++) {
        struct dev_stage *stage = stages[r % 2];
        assert_non_null(stage);
        uint8_t *slot = dev_stage_take(stage);
        assert_non_null(slot);
        assert_ptr_equal(dev_stage_take(stage), slot); /* until it is sent */
        for (uint32_t i = 0; i < SLOT; i++) {
            slot[i] = (uint8_t)(i * 7 + r * 31);
            want[r * SLOT + (i + HALF) % SLOT] = slot[i];
        }
        const struct dev_stage_part parts[] = {{.from = 0, .to = r * SLOT + HALF, .bytes = HALF},
                                               {.from = HALF, .to = r * SLOT, .bytes = HALF}};
        assert_true(dev_stage_send(stage, buf, parts, 2));
        assert_ptr_not_equal(dev_stage_take(stage), slot);
    }
    struct dev_cmd *cmd = dev_cmd_create(dev);
    assert_true(dev_cmd_begin(cmd) && dev_cmd_copy(cmd, copy, 0, buf, 0, BYTES) &&
                dev_cmd_end(cmd) && dev_submit(dev, cmd) != 0);
    assert_true(dev_download(dev, copy, 0, got, BYTES));
    assert_memory_equal(got, want, BYTES);
    assert_true(dev_stage_finish(stages[0]) && dev_stage_finish(stages[1]));
    dev_stage_destroy(stages[0]);
    dev_stage_destroy(stages[1]);
    dev_cmd_destroy(cmd);
    dev_buf_destroy(copy);
    dev_buf_destroy(buf);
    mem_free(want);
    mem_free(got);
    dev_close(dev);
}

static void adds_buffers(void **state)
{
    struct dev *dev = fixture_open(*state, 0, 0);
    uint32_t n = 1000, a[1000], b[1000], out[1000];
    for (uint32_t i = 0; i < n; i++) {
        a[i] = i * 7;
        b[i] = 1000000 - i;
    }
    struct dev_buf *bufs[3];
    for (int i = 0; i < 3; i++) {
        bufs[i] = make_buf(dev, "abc", sizeof a, DEV_MEM_DEVICE);
    }
    assert_true(dev_upload(dev, bufs[0], 0, a, sizeof a));
    assert_true(dev_upload(dev, bufs[1], 0, b, sizeof b));
    assert_true(dev_fill(dev, bufs[2], 0, sizeof out, 9));
    struct dev_kernel *kernel = get_add(dev, 3);
    assert_ptr_equal(kernel, get_add(dev, 3));
    assert_ptr_not_equal(kernel, get_add(dev, 4));
    struct dev_cmd *cmd = dev_cmd_create(dev);
    assert_true(dev_cmd_begin(cmd));
    struct dev_dispatch d = add_dispatch(kernel, bufs[0], bufs[1], bufs[2], &n);
    assert_true(dev_cmd_dispatch(cmd, &d));
    assert_true(dev_cmd_end(cmd));
    run_cmd(dev, cmd);
    assert_true(dev_download(dev, bufs[2], 0, out, sizeof out));
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(out[i], a[i] * 3 + b[i]);
    }
    dev_cmd_destroy(cmd);
    for (int i = 0; i < 3; i++) {
        dev_buf_destroy(bufs[i]);
    }
    dev_close(dev);
}

static void reads_texels(void **state)
{
    struct dev *dev = fixture_open(*state, 0, 0);
    if ((dev_get_caps(dev)->has & DEV_CAP_TEXEL) == 0) {
        dev_close(dev);
        skip();
    }
    uint32_t n = 300, align = dev_get_caps(dev)->offset_align, words = n * 4;
    uint64_t offset = (uint64_t)align * 3;
    struct dev_buf *u = make_buf(dev, "u", offset + words * 4, DEV_MEM_DEVICE);
    struct dev_buf *f = make_buf(dev, "f", words * 4, DEV_MEM_DEVICE);
    struct dev_buf *dst = make_buf(dev, "dst", words * 4, DEV_MEM_DEVICE);
    uint32_t *in = mem_alloc(words, 4), *out = mem_alloc(words, 4);
    float *floats = mem_alloc(words, 4);
    for (uint32_t i = 0; i < words; i++) {
        in[i] = i * 2654435761u;
        floats[i] = (float)(i % 977);
    }
    assert_true(dev_upload(dev, u, offset, in, words * 4));
    assert_true(dev_upload(dev, f, 0, floats, words * 4));
    struct dev_kernel *kernel =
        dev_kernel_get(dev, &(struct dev_kernel_params){.shader = &driver_texel});
    assert_non_null(kernel);
    struct dev_cmd *cmd = dev_cmd_create(dev);
    assert_true(dev_cmd_begin(cmd));
    struct dev_dispatch d = {.kernel = kernel,
                             .n_binds = 3,
                             .binds = {{u, offset, words * 4, DEV_READ},
                                       {f, 0, words * 4, DEV_READ},
                                       {dst, 0, words * 4, DEV_WRITE}},
                             .push = &n,
                             .push_bytes = 4,
                             .groups = {(n + 63) / 64, 1, 1},
                             .label = "texel"};
    assert_true(dev_cmd_dispatch(cmd, &d));
    assert_true(dev_cmd_end(cmd));
    for (int round = 0; round < 2; round++) {
        run_cmd(dev, cmd);
        assert_true(dev_download(dev, dst, 0, out, words * 4));
        for (uint32_t i = 0; i < words; i++) {
            assert_int_equal(out[i], in[i] + (uint32_t)floats[i]);
        }
        assert_true(dev_fill(dev, dst, 0, words * 4, 0));
    }
    d.binds[0].bytes -= 4;
    assert_true(dev_cmd_begin(cmd));
    assert_false(dev_cmd_dispatch(cmd, &d));
    assert_false(dev_cmd_end(cmd));
    assert_int_equal(dev_submit(dev, cmd), 0);
    dev_cmd_destroy(cmd);
    dev_buf_destroy(u);
    dev_buf_destroy(f);
    dev_buf_destroy(dst);
    mem_free(in);
    mem_free(out);
    mem_free(floats);
    dev_close(dev);
}

static void masks_caps(void **state)
{
    struct fixture *f = *state;
    uint32_t all = (1u << 16) - 1;
    struct dev *dev = fixture_open(f, 0, all);
    const struct dev_caps *caps = dev_get_caps(dev);
    assert_int_equal(caps->has, 0);
    assert_int_equal(caps->max_texel_elements, 0);
    assert_int_equal(caps->import_align, 0);
    assert_null(dev_kernel_get(dev, &(struct dev_kernel_params){.shader = &driver_texel}));
    assert_non_null(get_add(dev, 1));
    dev_close(dev);
    dev = fixture_open(f, 0, DEV_CAP_SUBGROUP);
    assert_int_equal(dev_get_caps(dev)->has & (DEV_CAP_SHUFFLE | DEV_CAP_COOPMAT), 0);
    dev_close(dev);
}

static void measures_time(void **state)
{
    struct dev *dev = fixture_open(*state, 0, 0);
    uint32_t n = 4096;
    struct dev_buf *a = make_buf(dev, "a", n * 4, DEV_MEM_DEVICE);
    struct dev_buf *b = make_buf(dev, "b", n * 4, DEV_MEM_DEVICE);
    struct dev_cmd *cmd = dev_cmd_create(dev);
    assert_true(dev_cmd_timers(cmd, 3));
    assert_true(dev_cmd_begin(cmd));
    dev_cmd_timestamp(cmd, 0);
    struct dev_dispatch d = add_dispatch(get_add(dev, 1), a, a, b, &n);
    assert_true(dev_cmd_dispatch(cmd, &d));
    dev_cmd_timestamp(cmd, 1);
    assert_true(dev_cmd_copy(cmd, a, 0, b, 0, n * 4));
    dev_cmd_timestamp(cmd, 2);
    assert_true(dev_cmd_end(cmd));
    run_cmd(dev, cmd);
    uint64_t ns[3] = {0};
    bool has = dev_get_caps(dev)->timestamp_ns > 0;
    assert_int_equal(dev_cmd_read_timers(cmd, ns, 3), has);
    if (has) {
        assert_true(ns[0] <= ns[1] && ns[1] <= ns[2] && ns[2] > ns[0]);
    }
    assert_false(dev_cmd_read_timers(cmd, ns, 4));
    dev_cmd_destroy(cmd);
    dev_buf_destroy(a);
    dev_buf_destroy(b);
    dev_close(dev);
}

/* Both ways to join the clocks, where there are two, say the same. */
static void joins_clocks(void **state)
{
    struct dev_moment moments[2];
    for (int i = 0; i < 2; i++) {
        struct dev *dev = fixture_open(*state, 0, i == 1 ? DEV_CAP_CALIBRATED : 0);
        bool has = dev_get_caps(dev)->timestamp_ns > 0;
        uint64_t begin = os_clock_ns();
        assert_int_equal(dev_calibrate(dev, &moments[i]), has);
        uint64_t end = os_clock_ns();
        dev_close(dev);
        if (!has) {
            return;
        }
        assert_in_range(moments[i].host_ns, begin, end);
        assert_true(moments[i].error_ns <= end - begin);
    }
    int64_t host = (int64_t)(moments[1].host_ns - moments[0].host_ns);
    int64_t device = (int64_t)(moments[1].device_ns - moments[0].device_ns);
    int64_t error = (int64_t)(moments[0].error_ns + moments[1].error_ns) + host / 1000 + 1000;
    assert_true(llabs(host - device) <= error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_devices), cmocka_unit_test(moves_bytes),
        cmocka_unit_test(adds_buffers),  cmocka_unit_test(reads_texels),
        cmocka_unit_test(masks_caps),    cmocka_unit_test(measures_time),
        cmocka_unit_test(joins_clocks),  cmocka_unit_test(stages_bytes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
