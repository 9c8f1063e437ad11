/* Arithmetic kernels for the ceilings: what each loop counts and what it must give, exactly. */
#include "lab/bench_peak.h"

#include "gen/features.h"
#include "gen/peak.h"

#include <string.h>

/* Sum of the starting values of the chains: first, first + 1 .. */
static double sum_of_starts(uint32_t invocation, uint32_t chains)
{
    return (double)chains * (invocation % 64) + (double)chains * (chains - 1) / 2;
}

static double expect_f32(const struct bench_device *bd, const struct bench_peak *peak,
                         uint32_t invocation, uint32_t repeat)
{
    (void)bd;
    uint32_t more = peak->specs[0] != 0 ? 2 : 1; /* the second eight start like the first */
    return more * (sum_of_starts(invocation, 8) + 8.0 * 16 * repeat);
}

/* An odd number of steps: 16 values x became 1 - x. */
static double expect_f16(const struct bench_device *bd, const struct bench_peak *peak,
                         uint32_t invocation, uint32_t repeat)
{
    (void)bd, (void)peak;
    double starts = sum_of_starts(invocation, 16);
    return repeat % 2 != 0 ? 16 - starts : starts;
}

#define F32(more, use_fma, text)                                                                   \
    {                                                                                              \
        .name = "fma_f32", .variant = text, .kind = PEAK_MATH, .shader = &shader_peak_fma_f32,     \
        .n_specs = 2, .specs = {more, use_fma}, .flop = 2.0 * 16 * 8 * (1 + more), .a = 1, .b = 1, \
        .most_repeat = 1 << 15, .expect = expect_f32                                               \
    }

#if HAVE_SHADER_PEAK_INT_DOT
static double expect_dot(const struct bench_device *bd, const struct bench_peak *peak,
                         uint32_t invocation, uint32_t repeat)
{
    (void)bd, (void)peak;
    static const int32_t c[4] = {2, 3, -1, 1};
    uint32_t sum = 0;
    for (uint32_t chain = 0; chain < 8; chain++) {
        uint32_t x = invocation % 64 + chain;
        for (uint32_t i = 0; i < 16 * repeat; i++) {
            int32_t dot = 0;
            for (uint32_t k = 0; k < 4; k++) {
                dot += c[k] * (int8_t)(x >> 8 * k & 0xff);
            }
            x += (uint32_t)dot;
        }
        sum += x;
    }
    return (double)(int32_t)sum;
}
#endif

void bench_peak_matrix(const struct dev_caps *caps, const struct bench_peak *peak,
                       uint32_t shape[3])
{
    shape[0] = peak->is_int ? caps->coopmat_s8_m : caps->coopmat_m;
    shape[1] = peak->is_int ? caps->coopmat_s8_n : caps->coopmat_n;
    shape[2] = peak->is_int ? caps->coopmat_s8_k : caps->coopmat_k;
}

#if HAVE_SHADER_PEAK_MATRIX
/* Element 0 of the sum over the chains; elements as the shader makes them. */
static double expect_matrix(const struct bench_device *bd, const struct bench_peak *peak,
                            uint32_t invocation, uint32_t repeat)
{
    (void)invocation;
    uint32_t shape[3];
    bench_peak_matrix(dev_get_caps(bd->dev), peak, shape);
    uint32_t m = shape[0], n = shape[1], k = shape[2];
    int64_t sum = 0;
    for (uint32_t a = 0; a < 2; a++) {
        for (uint32_t b = 0; b < 4; b++) {
            for (uint32_t i = 0; i < k; i++) {
                uint32_t left = a * m * k + i, right = b * k * n + i * n;
                int32_t x = (int32_t)(left * 7 % 3) - 1;
                int32_t y = (int32_t)((right / n + right / (k * n)) % 3) - 1;
                sum += x * y;
            }
        }
    }
    return 28 + 4.0 * repeat * (double)sum;
}
#endif

static const struct bench_peak kernels[] = {
    F32(0, 0, "8 chains"),
    F32(0, 1, "8 chains, fma()"),
    F32(1, 0, "16 chains"),
    F32(1, 1, "16 chains, fma()"),
    {.name = "fma_f16",
     .variant = "8 chains of pairs",
     .kind = PEAK_MATH,
     .shader = &shader_peak_fma_f16,
     .needs = DEV_CAP_FP16,
     .flop = 2.0 * 2 * 15 * 8,
     .a = -1,
     .b = 1,
     .most_repeat = 1 << 18,
     .expect = expect_f16},
#if HAVE_SHADER_PEAK_INT_DOT
    {.name = "int_dot",
     .variant = "8 chains",
     .kind = PEAK_MATH,
     .shader = &shader_peak_int_dot,
     .needs = DEV_CAP_INT_DOT,
     .is_int = true,
     .flop = 8.0 * 16 * 8,
     .a = 0x1.fe0604p-124f, /* the bits 0x01ff0302 */
     .most_repeat = 1 << 15,
     .expect = expect_dot},
#endif
#if HAVE_SHADER_PEAK_MATRIX
    {.name = "matrix",
     .variant = "f16 to f32, 8 chains",
     .kind = PEAK_MATH,
     .shader = &shader_peak_matrix,
     .needs = DEV_CAP_COOPMAT | DEV_CAP_FP16,
     .is_matrix = true,
     .flop = 2.0 * 4 * 8, /* times M N K */
     .a = 1,
     .most_repeat = 1 << 13, /* sums of 8 stay below 2^24 for K up to 64 */
     .expect = expect_matrix},
    {.name = "matrix_s8",
     .variant = "s8 to s32, 8 chains",
     .kind = PEAK_MATH,
     .shader = &shader_peak_matrix_s8,
     .needs = DEV_CAP_COOPMAT | DEV_CAP_INT8,
     .is_matrix = true,
     .is_int = true,
     .flop = 2.0 * 4 * 8,
     .a = 0,
     .most_repeat = 1 << 13,
     .expect = expect_matrix},
#endif
};

const struct bench_peak *bench_peak_math(uint32_t *count)
{
    *count = sizeof kernels / sizeof *kernels;
    return kernels;
}
