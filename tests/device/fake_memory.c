/* The range allocator by itself and, over the fake, slabs, budget, memory types, transfers. Random
 * runs print their seed. */
#include "fake.h"

#include "base/hash.h"
#include "base/mem.h"
#include "device/ranges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t new_seed(void)
{
    const char *env = getenv("QUADRIGA_SEED");
    uint64_t seed = env != NULL ? strtoull(env, NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu (QUADRIGA_SEED repeats it)\n", (unsigned long long)seed);
    return seed;
}

#define LIVE  200
#define SPACE 100000u

struct piece {
    uint64_t offset, bytes;
};

/* Every byte is either in one piece or in one free range. */
static void check_ranges(const struct ranges *r, const struct piece *live, size_t n)
{
    static uint8_t owner[SPACE];
    memset(owner, 0, sizeof owner);
    for (size_t i = 0; i < n; i++) {
        for (uint64_t b = 0; b < live[i].bytes; b++) {
            owner[live[i].offset + b]++;
        }
    }
    for (size_t i = 0; i < r->n; i++) {
        assert_true(r->free[i].begin < r->free[i].end);
        assert_true(i == 0 || r->free[i - 1].end < r->free[i].begin);
        for (uint64_t b = r->free[i].begin; b < r->free[i].end; b++) {
            owner[b]++;
        }
    }
    for (size_t b = 0; b < SPACE; b++) {
        assert_int_equal(owner[b], 1);
    }
}

static void ranges_never_overlap(void **state)
{
    (void)state;
    uint64_t seed = new_seed();
    struct ranges r;
    assert_true(ranges_init(&r, SPACE));
    struct piece live[LIVE];
    size_t n = 0;
    for (int step = 0; step < 3000; step++) {
        uint64_t random = hash_next(&seed);
        if (n < LIVE && random % 5 < 3) {
            struct piece p = {0, 1 + (random >> 8) % 2000};
            uint64_t align = 1ull << (random >> 32) % 9;
            if (ranges_take(&r, p.bytes, align, &p.offset)) {
                assert_int_equal(p.offset % align, 0);
                live[n++] = p;
            }
        } else if (n > 0) {
            size_t i = (random >> 8) % n;
            ranges_give(&r, live[i].offset, live[i].bytes);
            live[i] = live[--n];
        }
        if (step % 50 == 0) {
            check_ranges(&r, live, n);
        }
    }
    check_ranges(&r, live, n);
    while (n > 0) {
        n--;
        ranges_give(&r, live[n].offset, live[n].bytes);
    }
    assert_int_equal(r.n, 1);
    assert_int_equal(r.free[0].end, SPACE);
    ranges_finish(&r);
}

/* The fake counts overlaps and wrong alignments as wrong use. */
static void buffers_never_overlap(void **state)
{
    (void)state;
    uint64_t seed = new_seed();
    for (int kind = 0; kind < 3; kind++) {
        struct fake_fixture f;
        fake_init(&f, 1);
        f.fake.gpus[0].memory = (enum fake_memory)kind;
        assert_true(fake_open_instance(&f));
        struct dev *dev = dev_open(f.inst, &(struct dev_open_params){.budget = 40u << 20});
        struct dev_buf *live[LIVE];
        size_t n = 0;
        for (int step = 0; step < 1500; step++) {
            uint64_t random = hash_next(&seed);
            if (n < LIVE && random % 5 < 3) {
                uint64_t bytes = 1 + (random >> 8) % (1u << (4 + (random >> 40) % 17));
                live[n] = dev_buf_create(
                    dev, &(struct dev_buf_params){.name = "random",
                                                  .bytes = bytes,
                                                  .mem = (enum dev_mem)((random >> 60) % 3)});
                n += live[n] != NULL ? 1 : 0;
            } else if (n > 0) {
                size_t i = (random >> 8) % n;
                dev_buf_destroy(live[i]);
                live[i] = live[--n];
            }
            assert_true(dev_get_used(dev) <= dev_get_budget(dev));
        }
        assert_true(n > 20 && dev_get_peak(dev) >= dev_get_used(dev));
        while (n > 0) {
            dev_buf_destroy(live[--n]);
        }
        assert_int_equal(dev_get_used(dev), 0);
        dev_close(dev);
        fake_finish(&f);
    }
}

static void budget_is_kept(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 1);
    assert_true(fake_open_instance(&f));
    struct dev *dev = dev_open(f.inst, &(struct dev_open_params){.budget = 10u << 20});
    assert_int_equal(dev_get_budget(dev), 10u << 20);
    struct dev_buf *a = fake_buf(dev, "first", 6u << 20, DEV_MEM_DEVICE);
    struct dev_buf_params p = {.name = "second.weight", .bytes = 5u << 20};
    assert_null(dev_buf_create(dev, &p));
    assert_int_equal(f.errors, 1);
    assert_non_null(strstr(f.lines, "device 0 (Fake GPU): buffer second.weight wants 5.0 MiB, 4.0 "
                                    "MiB are left of the budget of 10.0 MiB"));
    p.bytes = 4u << 20; /* to the last byte */
    struct dev_buf *b = dev_buf_create(dev, &p);
    assert_non_null(b);
    assert_int_equal(dev_get_used(dev), 10u << 20);
    p.bytes = 1;
    assert_null(dev_buf_create(dev, &p));
    p.mem = DEV_MEM_UPLOAD; /* on another heap */
    struct dev_buf *c = dev_buf_create(dev, &p);
    assert_non_null(c);
    dev_buf_destroy(a);
    assert_int_equal(dev_get_used(dev), 4u << 20);
    assert_int_equal(dev_get_peak(dev), 10u << 20);
    dev_buf_destroy(b);
    dev_buf_destroy(c);
    fake_forget(&f);
    p.bytes = (1ull << 29) + 1;
    assert_null(dev_buf_create(dev, &p));
    assert_non_null(strstr(f.lines, "allowed are 1 to 536870912"));
    p.bytes = 0;
    assert_null(dev_buf_create(dev, &p));
    dev_close(dev);
    fake_finish(&f);
}

static void budget_is_shared(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 1);
    f.fake.gpus[0].heap_budget = 800u << 20;
    f.fake.gpus[0].heap_usage = 300u << 20;
    assert_true(fake_open_instance(&f));
    assert_int_equal(dev_instance_info(f.inst, 0)->free_bytes, 500u << 20);
    struct dev *dev = dev_open(f.inst, &(struct dev_open_params){.sharers = 3});
    assert_int_equal(dev_get_budget(dev), (450u << 20) / 3);
    dev_close(dev);
    dev = dev_open(f.inst, &(struct dev_open_params){.caps_off = DEV_CAP_BUDGET});
    assert_int_equal(dev_get_budget(dev), (1ull << 30) - (1ull << 30) / 10);
    dev_close(dev);
    f.fake.gpus[0].heap_usage = 900u << 20; /* more than the budget: nothing is left, not 2^64 */
    assert_int_equal(dev_instance_info(f.inst, 0)->free_bytes, 0);
    fake_finish(&f);
}

static void falls_back_when_refused(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 1);
    f.fake.gpus[0].memory_left = 3u << 20; /* less than the first slab */
    assert_true(fake_open_instance(&f));
    struct dev *dev = fake_open(&f, 0);
    struct dev_buf *a = fake_buf(dev, "a", 1u << 20, DEV_MEM_DEVICE);
    assert_int_equal(dev_get_used(dev), 1u << 20);
    assert_null(dev_buf_create(dev, &(struct dev_buf_params){.name = "b", .bytes = 3u << 20}));
    assert_int_equal(f.errors, 1);
    assert_non_null(strstr(f.lines, "memory for buffer b of 3.0 MiB: VK_ERROR_OUT_OF_DEVICE"));
    dev_buf_destroy(a);
    dev_close(dev);
    fake_finish(&f);
}

static void chooses_memory_types(void **state)
{
    (void)state;
    static const struct {
        enum fake_memory memory;
        bool device_mapped;
        uint32_t upload_submits, download_submits;
    } cases[] = {
        {FAKE_UNIFIED, true, 0, 0}, {FAKE_DISCRETE, false, 1, 1}, {FAKE_REBAR, true, 0, 1}};
    for (size_t i = 0; i < 3; i++) {
        struct fake_fixture f;
        fake_init(&f, 1);
        f.fake.gpus[0].memory = cases[i].memory;
        assert_true(fake_open_instance(&f));
        struct dev *dev = fake_open(&f, 0);
        struct dev_buf *d = fake_buf(dev, "d", 1000, DEV_MEM_DEVICE);
        struct dev_buf *u = fake_buf(dev, "u", 1000, DEV_MEM_UPLOAD);
        struct dev_buf *r = fake_buf(dev, "r", 1000, DEV_MEM_READBACK);
        assert_int_equal(dev_buf_map(d) != NULL, cases[i].device_mapped);
        assert_non_null(dev_buf_map(u));
        assert_non_null(dev_buf_map(r));
        uint8_t in[1000], out[1000] = {0};
        for (size_t b = 0; b < sizeof in; b++) {
            in[b] = (uint8_t)(b * 7);
        }
        assert_true(dev_upload(dev, d, 0, in, sizeof in));
        assert_int_equal(f.fake.submits, cases[i].upload_submits);
        f.fake.submits = 0;
        assert_true(dev_download(dev, d, 0, out, sizeof out));
        assert_int_equal(f.fake.submits, cases[i].download_submits);
        assert_memory_equal(in, out, sizeof in);
        assert_true(dev_download(dev, r, 0, out, sizeof out));
        assert_int_equal(f.fake.submits, cases[i].download_submits);
        dev_buf_destroy(d);
        dev_buf_destroy(u);
        dev_buf_destroy(r);
        dev_close(dev);
        fake_finish(&f);
    }
}

static void big_transfers_go_round_the_ring(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 1);
    assert_true(fake_open_instance(&f));
    struct dev *dev = dev_open(f.inst, &(struct dev_open_params){.budget = 8u << 20});
    const size_t n = 5000001;
    struct dev_buf *buf = fake_buf(dev, "buf", n + 3, DEV_MEM_DEVICE);
    uint8_t *in = mem_alloc(n, 1), *out = mem_alloc(n, 1);
    uint64_t seed = new_seed();
    for (size_t i = 0; i < n; i++) {
        in[i] = (uint8_t)(i % 8 == 0 ? hash_next(&seed) : in[i - 1] * 5u + 1u);
    }
    assert_true(dev_upload(dev, buf, 3, in, n));
    assert_true(dev_download(dev, buf, 3, out, n));
    assert_memory_equal(in, out, n);
    assert_true(f.fake.submits > 20);
    assert_true(dev_fill(dev, buf, 4, 1 << 20, 0x01010101));
    assert_true(dev_download(dev, buf, 0, out, (1 << 20) + 5));
    assert_int_equal(out[3], in[0]);
    assert_int_equal(out[4], 1);
    assert_int_equal(out[(1 << 20) + 3], 1);
    assert_int_equal(out[(1 << 20) + 4], in[(1 << 20) + 1]);
    assert_false(dev_fill(dev, buf, 2, 4, 0));
    assert_false(dev_fill(dev, buf, 0, UINT64_MAX - 3, 0));
    assert_false(dev_download(dev, buf, n + 4, out, 0));
    mem_free(in);
    mem_free(out);
    dev_buf_destroy(buf);
    dev_close(dev);
    fake_finish(&f);
}

static void count_line(void *user, enum log_level level, const char *line)
{
    (void)level;
    uint32_t *lines = user;
    lines[0]++;
    lines[1] += strstr(line, "model.embd") != NULL && strstr(line, "2.000 MiB") != NULL ? 1 : 0;
    lines[2] += strstr(line, "peak") != NULL ? 1 : 0;
}

static void dumps_names(void **state)
{
    (void)state;
    struct fake_fixture f;
    fake_init(&f, 1);
    assert_true(fake_open_instance(&f));
    struct dev *dev = fake_open(&f, 0);
    struct dev_buf *a = fake_buf(dev, "model.embd", 2u << 20, DEV_MEM_DEVICE);
    struct dev_buf *b = fake_buf(dev, "step", 100, DEV_MEM_UPLOAD);
    uint32_t lines[3] = {0};
    dev_memory_dump(dev, count_line, lines);
    assert_int_equal(lines[0], 3);
    assert_int_equal(lines[1], 1);
    assert_int_equal(lines[2], 1);
    dev_buf_destroy(a);
    dev_buf_destroy(b);
    dev_buf_destroy(NULL);
    dev_close(dev);
    fake_finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_never_overlap),
        cmocka_unit_test(buffers_never_overlap),
        cmocka_unit_test(budget_is_kept),
        cmocka_unit_test(budget_is_shared),
        cmocka_unit_test(falls_back_when_refused),
        cmocka_unit_test(chooses_memory_types),
        cmocka_unit_test(big_transfers_go_round_the_ring),
        cmocka_unit_test(dumps_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
