/* Planes and layouts: what is packed comes back bit by bit, lies where quant.h says, does not
 * depend on how it was sliced; sizes that overflow are refused; dummies have plausible values. */
#include "quant/quant.h"

#include "base/hash.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <string.h>

#include <cmocka.h>

static const uint32_t LANES[] = {1, 4, 8, 16, 32, 3};
static const uint64_t ROWS[] = {1, 2, 31, 33, 64};

/* A tensor in the file's format, made by encode so that no value is NaN. */
static uint8_t *make_tensor(enum quant_id id, uint64_t rows, uint64_t cols, uint64_t seed)
{
    size_t n = (size_t)(rows * cols);
    float *x = mem_alloc(n * sizeof *x, 1);
    uint8_t *out = mem_alloc((size_t)(rows * quant_row_bytes(id, cols)), 1);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(hash_uniform(&seed) - 0.5);
    }
    quant_get(id)->encode(x, out, n);
    mem_free(x);
    return out;
}

/* The whole image, packed in slices of `slice` rows; bytes not written stay 0xa5. */
static uint8_t *pack_image(const struct quant_layout *layout, const uint8_t *src, uint64_t slice)
{
    uint8_t *image = mem_alloc((size_t)layout->bytes, 1);
    uint8_t *scratch = mem_alloc((size_t)quant_pack_scratch(layout), 1);
    memset(image, 0xa5, (size_t)layout->bytes);
    uint64_t row_bytes = quant_row_bytes(layout->id, layout->cols);
    for (uint64_t row0 = 0; row0 < layout->rows; row0 += slice) {
        uint64_t n = layout->rows - row0 < slice ? layout->rows - row0 : slice;
        uint64_t offset[QUANT_PLANES], bytes[QUANT_PLANES];
        uint8_t *planes[QUANT_PLANES];
        for (uint32_t p = 0; p < QUANT_PLANES; p++) {
            quant_pack_range(layout, row0, n, p, &offset[p], &bytes[p]);
            assert_true(offset[p] + bytes[p] <= layout->bytes);
            /* own allocation: the sanitizer sees a byte too many */
            planes[p] = mem_alloc((size_t)bytes[p] + 1, 1);
            memset(planes[p], 0x5a, (size_t)bytes[p] + 1);
        }
        quant_pack_rows(layout, row0, n, src + row0 * row_bytes, planes, scratch);
        for (uint32_t p = 0; p < QUANT_PLANES; p++) {
            assert_int_equal(planes[p][bytes[p]], 0x5a);
            memcpy(image + offset[p], planes[p], (size_t)bytes[p]);
            mem_free(planes[p]);
        }
    }
    mem_free(scratch);
    return image;
}

static void check_rows(const struct quant_layout *layout, const uint8_t *image, const uint8_t *src)
{
    size_t bytes = (size_t)layout->cols * sizeof(float);
    float *want = mem_alloc(bytes, 1), *got = mem_alloc(bytes, 1);
    for (uint64_t r = 0; r < layout->padded_rows; r++) {
        memset(want, 0, bytes);
        if (r < layout->rows) {
            quant_get(layout->id)
                ->decode(src + r * quant_row_bytes(layout->id, layout->cols), want,
                         (size_t)layout->cols);
        }
        quant_unpack_row(layout, image, r, got);
        for (uint64_t c = 0; c < layout->cols; c++) {
            if (r >= layout->rows ? got[c] != 0 : memcmp(&got[c], &want[c], 4) != 0) {
                fail_msg("%s lanes %u rows %d cols %d: row %d col %d is %g, not %g",
                         quant_get(layout->id)->name, layout->lanes, (int)layout->rows,
                         (int)layout->cols, (int)r, (int)c, (double)got[c], (double)want[c]);
            }
        }
    }
    mem_free(want);
    mem_free(got);
}

static void packed_rows_come_back(void **state)
{
    (void)state;
    for (uint32_t f = 0; f < QUANT_COUNT; f++) {
        enum quant_id id = (enum quant_id)f;
        uint32_t block = quant_get(id)->block_cols;
        uint64_t cols[] = {block, 3 * (uint64_t)block, 5 * (uint64_t)block};
        if (block == 1) {
            cols[0] = 4;
            cols[1] = 260;
            cols[2] = 524;
        }
        for (size_t l = 0; l < sizeof LANES / sizeof LANES[0]; l++) {
            for (size_t k = 0; k < 15; k++) {
                struct quant_layout layout;
                uint64_t rows = ROWS[k / 3];
                assert_true(quant_layout_init(&layout, id, rows, cols[k % 3], LANES[l]));
                assert_int_equal(layout.padded_rows % LANES[l], 0);
                assert_int_equal(layout.bytes % 256, 0);
                uint8_t *src = make_tensor(id, rows, cols[k % 3], 17 * f + k);
                uint8_t *whole = pack_image(&layout, src, rows);
                uint8_t *sliced = pack_image(&layout, src, LANES[l]);
                assert_memory_equal(whole, sliced, (size_t)layout.bytes);
                check_rows(&layout, whole, src);
                mem_free(sliced);
                mem_free(whole);
                mem_free(src);
            }
        }
    }
}

/* Units where the formula of quant.h says; spelled out for two formats. */
static void units_lie_where_stated(void **state)
{
    (void)state;
    enum { ROWS_N = 5, COLS_N = 96, R = 4 };
    struct quant_layout layout;
    assert_true(quant_layout_init(&layout, QUANT_Q8_0, ROWS_N, COLS_N, R));
    assert_int_equal(layout.padded_rows, 8);
    assert_int_equal(layout.units[0], 6);
    assert_int_equal(layout.units[1], 2);
    assert_int_equal(layout.base[0], 0);
    assert_int_equal(layout.base[1], 768);
    assert_int_equal(layout.bytes, 1024);
    uint8_t *src = make_tensor(QUANT_Q8_0, ROWS_N, COLS_N, 3);
    uint8_t *image = pack_image(&layout, src, ROWS_N);
    for (uint32_t r = 0; r < ROWS_N; r++) {
        const uint8_t *row = src + r * 3 * 34;
        for (uint32_t u = 0; u < 6; u++) {
            assert_memory_equal(image + ((r / R * 6 + u) * R + r % R) * 16,
                                row + u / 2 * 34 + 2 + u % 2 * 16, 16);
        }
        const uint8_t *scales = image + 768 + (r / R * 2 * R + r % R) * 4;
        assert_memory_equal(scales, row, 2);
        assert_memory_equal(scales + 2, row + 34, 2);
        assert_memory_equal(scales + R * 4, row + 68, 2);
        assert_int_equal(scales[R * 4 + 2] | scales[R * 4 + 3], 0);
    }
    mem_free(image);
    mem_free(src);
}

/* The bits of the planes of two K formats, from one block with recognisable fields. */
static void k_planes_hold_the_stated_bits(void **state)
{
    (void)state;
    float x[256];
    uint8_t block[256], planes_mem[QUANT_PLANES][256];
    uint8_t *planes[QUANT_PLANES];
    static const enum quant_id IDS[] = {QUANT_Q4_K, QUANT_Q6_K};
    for (size_t k = 0; k < sizeof IDS / sizeof IDS[0]; k++) {
        enum quant_id id = IDS[k];
        const struct quant_format *format = quant_get(id);
        uint64_t seed = 99;
        for (size_t i = 0; i < sizeof block; i++) {
            block[i] = (uint8_t)hash_next(&seed);
        }
        uint8_t *d = block + (id == QUANT_Q4_K ? 0 : 208);
        memcpy(d, "\x00\x3c\x00\x40", id == QUANT_Q4_K ? 4 : 2); /* d = 1, dmin = 2 */
        format->decode(block, x, 256);
        memset(planes_mem, 0, sizeof planes_mem);
        for (size_t p = 0; p < QUANT_PLANES; p++) {
            planes[p] = planes_mem[p];
        }
        format->pack(block, 256, planes);
        for (size_t c = 0; c < 256; c++) {
            /* byte and bit arithmetic straight from the words of quant/<format>.glsl */
            int low = planes[0][c / 8 * 4 + c % 2 * 2 + c % 8 / 4] >> c % 4 / 2 * 4 & 15;
            if (id == QUANT_Q4_K) {
                assert_true(x[c] == (float)(planes[1][c / 32] * low - 2 * planes[1][8 + c / 32]));
            } else {
                int high = planes[1][c / 16 * 4 + c % 2 * 2 + c % 16 / 8] >> c % 8 / 2 * 2 & 3;
                assert_true(x[c] == (float)((int8_t)planes[2][c / 16] * ((low | high << 4) - 32)));
            }
        }
        assert_memory_equal(planes[id == QUANT_Q4_K ? 2 : 3], d, id == QUANT_Q4_K ? 4 : 2);
    }
}

static void bad_sizes_are_refused(void **state)
{
    (void)state;
    struct quant_layout layout;
    for (uint32_t f = 0; f < QUANT_COUNT; f++) {
        enum quant_id id = (enum quant_id)f;
        uint64_t block = quant_get(id)->block_cols;
        assert_false(quant_layout_init(&layout, id, 0, block, 1));
        assert_false(quant_layout_init(&layout, id, 1, 0, 1));
        assert_false(quant_layout_init(&layout, id, 1, block, 0));
        assert_false(quant_layout_init(&layout, id, UINT64_MAX, block, 32));
        assert_false(quant_layout_init(&layout, id, UINT64_MAX / 8, 1024, 1));
        assert_false(quant_layout_init(&layout, id, 1, UINT64_MAX / block * block, 1));
        assert_false(quant_layout_init(&layout, id, 1ull << 40, 1ull << 32, 32));
        if (block > 1) {
            assert_false(quant_layout_init(&layout, id, 1, block + 1, 1));
        }
    }
    assert_true(quant_layout_init(&layout, QUANT_F16, 1ull << 20, 1ull << 20, 8));
    assert_int_equal(layout.bytes, 1ull << 41);
}

/* Words made as the device's generator makes them, decoded. */
static void dummies_have_plausible_values(void **state)
{
    (void)state;
    for (uint32_t f = 0; f < QUANT_COUNT; f++) {
        const struct quant_format *format = quant_get((enum quant_id)f);
        struct quant_layout layout;
        assert_true(quant_layout_init(&layout, (enum quant_id)f, 64, 2048, 8));
        uint32_t *image = mem_alloc((size_t)layout.bytes, 1);
        float *row = mem_alloc(2048 * sizeof *row, 1);
        uint64_t seed = 5;
        for (uint32_t p = 0; p < QUANT_PLANES; p++) {
            const struct quant_plane *plane = &format->planes[p];
            uint64_t offset, bytes;
            quant_pack_range(&layout, 0, 64, p, &offset, &bytes);
            for (uint64_t w = offset / 4; w < (offset + bytes) / 4; w++) {
                image[w] = ((uint32_t)hash_next(&seed) & plane->dummy_and) | plane->dummy_or;
            }
        }
        double sum = 0, squares = 0;
        for (uint64_t r = 0; r < 64; r++) {
            quant_unpack_row(&layout, (const uint8_t *)image, r, row);
            for (size_t c = 0; c < 2048; c++) {
                assert_true(isfinite(row[c]));
                sum += (double)row[c];
                squares += (double)row[c] * (double)row[c];
            }
        }
        double mean = sum / (64 * 2048), std = sqrt(squares / (64 * 2048) - mean * mean);
        print_message("%s dummies: mean %.5f, standard deviation %.5f\n", format->name, mean, std);
        assert_true(std > 0.018 && std < 0.028); /* a scale may be a power of two */
        assert_true(fabs(mean) < 0.001);
        mem_free(row);
        mem_free(image);
    }
}

/* quant_unpack_row takes runs of 256 columns: every unit must divide that. */
static void units_divide_runs(void **state)
{
    (void)state;
    for (uint32_t f = 0; f < QUANT_COUNT; f++) {
        for (uint32_t p = 0; p < QUANT_PLANES; p++) {
            const struct quant_plane *plane = &quant_get((enum quant_id)f)->planes[p];
            assert_true(plane->unit_bytes == 0 || plane->unit_bytes == 4 ||
                        plane->unit_bytes == 16);
            assert_true(plane->unit_bytes == 0 ||
                        (plane->unit_cols >= 4 && 256 % plane->unit_cols == 0));
        }
    }
}

static void top_exponents(void **state)
{
    (void)state;
    static const struct {
        float values[4];
        uint32_t top;
    } cases[] = {{{0, 0, 0, 0}, 1},
                 {{1, -0.5F, 0.25F, 0}, 127},
                 {{1, -3e5F, 2, 0}, 127 + 18},
                 {{INFINITY, -NAN, 0x1p-140F, 4}, 129},
                 {{0x1.8p127F, 0, 0, 0}, 254}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t blocks[16];
        memcpy(blocks, cases[i].values, sizeof blocks);
        assert_int_equal(quant_top_exponent(QUANT_F32, blocks, 16), cases[i].top);
        for (size_t k = 0; k < 4; k++) { /* the upper half of each, which ends in zeros here */
            memmove(blocks + 2 * k, blocks + 4 * k + 2, 2);
        }
        assert_int_equal(quant_top_exponent(QUANT_BF16, blocks, 8), cases[i].top);
        assert_int_equal(quant_top_exponent(QUANT_F16, blocks, 8), 0);
    }
}

/* Of formats with factors: no value is beyond the bound, which is not far from the largest. */
static void factors_bound_values(void **state)
{
    (void)state;
    enum { N = 512 };
    uint32_t seed = 20261130, n_formats = 0;
    for (uint32_t id = 0; id < QUANT_COUNT; id++) {
        const struct quant_format *format = quant_get((enum quant_id)id);
        for (int scale = -12; format->factors[0].times != 0 && scale <= 12; scale += 6) {
            float values[N], most = 0;
            uint8_t blocks[4 * N];
            for (size_t i = 0; i < N; i++) {
                seed = seed * 1664525u + 1013904223u;
                values[i] = ldexpf((float)(seed >> 8) / 0x1p24F - 0.5F, scale);
            }
            format->encode(values, blocks, N);
            format->decode(blocks, values, N);
            for (size_t i = 0; i < N; i++) {
                most = fmaxf(most, fabsf(values[i]));
            }
            uint64_t bytes = N / format->block_cols * format->block_bytes;
            int exponent, top = (int)quant_top_exponent((enum quant_id)id, blocks, bytes);
            frexpf(most, &exponent);
            assert_in_range(top - (exponent + 126), 0, 2);
            memset(blocks, 0, sizeof blocks);
            assert_int_equal(quant_top_exponent((enum quant_id)id, blocks, bytes), 1);
            n_formats += scale == 0;
        }
    }
    assert_int_equal(n_formats, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_rows_come_back),
        cmocka_unit_test(units_lie_where_stated),
        cmocka_unit_test(k_planes_hold_the_stated_bits),
        cmocka_unit_test(bad_sizes_are_refused),
        cmocka_unit_test(dummies_have_plausible_values),
        cmocka_unit_test(units_divide_runs),
        cmocka_unit_test(top_exponents),
        cmocka_unit_test(factors_bound_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
