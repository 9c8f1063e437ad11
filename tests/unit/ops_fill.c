/* Dummy weights: the generator does not see interleave or segments, its values are plausible, and
 * devices make the same bits as the host. */
#include "ops/fill.h"

#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEED 0x123456789abcdef0ull

enum { ROWS = 37 };

static const uint32_t COLS[QUANT_COUNT] = {[QUANT_F32] = 100,
                                           [QUANT_F16] = 100,
                                           [QUANT_Q8_0] = 96,
                                           [QUANT_Q4_K] = 512,
                                           [QUANT_Q6_K] = 512};

static uint32_t cols_of(enum quant_id id)
{
    return COLS[id] != 0 ? COLS[id] : 512; /* formats added later */
}

static uint8_t *make_image(struct quant_layout *layout, enum quant_id id, uint64_t rows,
                           uint32_t lanes, uint64_t row0)
{
    assert_true(quant_layout_init(layout, id, rows, cols_of(id), lanes));
    uint8_t *image = mem_alloc((size_t)layout->bytes, 1);
    assert_non_null(image);
    ops_fill_host(layout, row0, SEED, image);
    return image;
}

static void test_same_values(void **state)
{
    (void)state;
    for (uint32_t q = 0; q < QUANT_COUNT; q++) {
        enum quant_id id = (enum quant_id)q;
        size_t cols = cols_of(id);
        float whole[1024], part[1024];
        struct quant_layout a, b;
        uint8_t *plain = make_image(&a, id, ROWS, 1, 0);
        uint8_t *segment = make_image(&b, id, ROWS - 16, 8, 16);
        for (uint64_t r = 16; r < ROWS; r++) {
            quant_unpack_row(&a, plain, r, whole);
            quant_unpack_row(&b, segment, r - 16, part);
            assert_memory_equal(whole, part, cols * sizeof *whole);
        }
        quant_unpack_row(&b, segment, b.padded_rows - 1, part);
        for (size_t c = 0; c < cols; c++) {
            assert_true(part[c] == 0.0f);
        }
        mem_free(plain);
        mem_free(segment);
    }
}

static void test_plausible(void **state)
{
    (void)state;
    for (uint32_t q = 0; q < QUANT_COUNT; q++) {
        struct quant_layout layout;
        uint8_t *image = make_image(&layout, (enum quant_id)q, ROWS, 1, 0);
        double sum = 0, squares = 0;
        float row[1024], first[1024];
        for (uint64_t r = 0; r < ROWS; r++) {
            quant_unpack_row(&layout, image, r, row);
            assert_true(r == 0 || memcmp(row, first, sizeof *row * layout.cols) != 0);
            memcpy(first, row, sizeof row);
            for (uint64_t c = 0; c < layout.cols; c++) {
                assert_true(isfinite(row[c]));
                sum += (double)row[c];
                squares += (double)row[c] * (double)row[c];
            }
        }
        double n = (double)(ROWS * layout.cols), deviation = sqrt(squares / n);
        assert_true(deviation > 0.01 && deviation < 0.04);
        assert_true(fabs(sum / n) < 0.15 * deviation);
        mem_free(image);
    }
}

static void check_device(struct dev *dev, enum quant_id id, uint32_t lanes, struct log *log)
{
    struct quant_layout layout;
    uint8_t *image = make_image(&layout, id, ROWS, lanes, 5);
    uint8_t *found = mem_alloc((size_t)layout.bytes, 1);
    struct dev_buf *buf =
        dev_buf_create(dev, &(struct dev_buf_params){.name = "fill", .bytes = layout.bytes + 256});
    struct dev_cmd *cmd = dev_cmd_create(dev);
    assert_true(found != NULL && buf != NULL && cmd != NULL);
    assert_true(dev_fill(dev, buf, 0, layout.bytes + 256, 0));
    assert_true(dev_cmd_begin(cmd));
    assert_true(ops_fill_weight(dev, cmd, buf, 256, &layout, 5, SEED, log));
    assert_true(dev_cmd_end(cmd));
    assert_true(dev_wait(dev, dev_submit(dev, cmd)));
    assert_true(dev_download(dev, buf, 256, found, layout.bytes));
    assert_memory_equal(found, image, (size_t)layout.bytes);
    dev_cmd_destroy(cmd);
    dev_buf_destroy(buf);
    mem_free(found);
    mem_free(image);
}

static void test_devices(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, NULL, NULL, LOG_ERROR);
    struct dev_instance *inst = dev_instance_create(&(struct dev_instance_params){.log = &log});
    uint32_t opened = 0;
    for (uint32_t d = 0; inst != NULL && d < dev_instance_count(inst); d++) {
        if (!dev_instance_info(inst, d)->usable) {
            continue;
        }
        struct dev *dev = dev_open(inst, &(struct dev_open_params){.index = d});
        assert_non_null(dev);
        opened++;
        for (uint32_t q = 0; q < QUANT_COUNT; q++) {
            check_device(dev, (enum quant_id)q, 1, &log);
            check_device(dev, (enum quant_id)q, 8, &log);
        }
        dev_close(dev);
    }
    assert_int_equal(inst != NULL ? dev_instance_messages(inst) : 0, 0);
    dev_instance_destroy(inst);
    log_finish(&log);
    if (opened == 0) {
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_values),
        cmocka_unit_test(test_plausible),
        cmocka_unit_test(test_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
