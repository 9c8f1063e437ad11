/* Blocks of quantized KV caches in C: what python gguf's quantizers make of the same values (by a
 * hash, see test_reference), what lies beyond f16, and that packing what was rounded is exact. */
#include "lab/internal.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = 32 * 200 };

static const enum plan_elem BLOCKS[] = {PLAN_Q8_0, PLAN_Q4_0};

/* Multiples of 2^-12 in [-8, 8), so that any language makes the same. */
static void fill(float *x)
{
    uint64_t state = 7;
    for (uint32_t i = 0; i < N; i++) {
        x[i] = (float)((int)(hash_next(&state) >> 48) - 32768) / 4096;
    }
}

/* The hashes are those of gguf.quants.dequantize(gguf.quants.quantize(x, type), type) as f32. */
static void test_reference(void **state)
{
    (void)state;
    static const uint64_t hashes[] = {0x9818f036547bd097ull, 0x438def016413467bull};
    for (uint32_t b = 0; b < 2; b++) {
        float x[N];
        fill(x);
        lab_kv_round(BLOCKS[b], x, N);
        uint64_t hash = hash_bytes(HASH_SEED, x, sizeof x);
        if (hash != hashes[b]) {
            fail_msg("%s: hash %#llx", plan_elem_name(BLOCKS[b]), (unsigned long long)hash);
        }
    }
}

static void test_planes(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < 2; b++) {
        float x[N], y[N];
        uint8_t image[N * 2];
        uint64_t bytes;
        assert_true(plan_elem_bytes(BLOCKS[b], N, &bytes));
        assert_int_equal(bytes, N / 32 * (BLOCKS[b] == PLAN_Q8_0 ? 34 : 18));
        fill(x);
        for (uint32_t i = 0; i < N; i++) { /* of every size, some blocks beyond f16 */
            x[i] = ldexpf(x[i], (int)(i / 32 % 60) - 30);
        }
        lab_kv_round(BLOCKS[b], x, N);
        memset(image, 0xa5, sizeof image);
        lab_kv_pack(BLOCKS[b], x, N, image);
        assert_int_equal(image[bytes], 0xa5);
        lab_kv_unpack(BLOCKS[b], image, N, y);
        for (uint32_t i = 0; i < N; i++) {
            assert_true(isfinite(x[i]) && x[i] == y[i]);
        }
    }
}

static void test_beyond(void **state)
{
    (void)state;
    static const float tops[] = {1e6f, 1e30f, INFINITY, -INFINITY, NAN, 70000.0f};
    float largest[] = {65504.0f * 127, 65504.0f * 8};
    for (uint32_t i = 0; i < sizeof tops / sizeof *tops; i++) {
        for (uint32_t b = 0; b < 2; b++) {
            float x[32] = {1, -2, [5] = tops[i]};
            lab_kv_round(BLOCKS[b], x, 32);
            float want = fminf(fabsf(tops[i]), largest[b]);
            if (isnan(tops[i])) {
                assert_true(isnan(x[0]) && isnan(x[5]) && isnan(x[31]));
            } else {
                assert_true(fabsf(fabsf(x[5]) - want) <= want * 1e-3f);
                assert_true(signbit(x[5]) == signbit(tops[i]) && isfinite(x[0]));
            }
        }
        float half = tops[i];
        lab_kv_round(PLAN_F16, &half, 1);
        assert_true(isnan(tops[i]) ? isnan(half) : fabsf(half) == 65504.0f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_planes),
        cmocka_unit_test(test_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
