/* What a KV cache of any type holds, in C: rounding, and the planes of quantized ones. The blocks
 * are those of llama.cpp's quantize_row_q8_0_ref and quantize_row_q4_0_ref; beyond them, scales
 * that no f16 holds become the largest one, and a NaN makes its block NaN. */
#include "lab/internal.h"

#include "base/half.h"
#include "shaders/common/kv_types.h"

#include <math.h>
#include <string.h>

#define LARGEST 65504.0f /* f16 */

struct block {
    uint16_t scale;
    int8_t q[KV_BLOCK];
};

static uint16_t half_within(float value)
{
    uint16_t half = half_from_float(value);
    return (half & 0x7fffu) == 0x7c00u ? (uint16_t)(half - 1) : half;
}

/* The value of largest magnitude, the first one where there are several; or NaN. */
static float extreme(const float *x)
{
    float top = 0;
    for (uint32_t i = 0; i < KV_BLOCK; i++) {
        if (isnan(x[i])) {
            return x[i];
        }
        top = fabsf(x[i]) > fabsf(top) ? x[i] : top;
    }
    return top;
}

static struct block encode(enum plan_elem elem, const float *x)
{
    struct block block = {0};
    float top = extreme(x), d = elem == PLAN_Q8_0 ? fabsf(top) / 127 : top / -8;
    if (isnan(top)) {
        block.scale = 0x7e00u;
        return block;
    }
    block.scale = half_within(d);
    if (fabsf(d) >= 65520.0f) { /* rounds to infinity */
        d = copysignf(LARGEST, d);
    }
    float inverse = (block.scale & 0x7fffu) != 0 ? 1 / d : 0;
    for (uint32_t i = 0; i < KV_BLOCK; i++) {
        float scaled = x[i] * inverse;
        if (inverse == 0) { /* an infinite value has a scale; here all are next to nothing */
            scaled = 0;
        }
        if (elem == PLAN_Q8_0) {
            block.q[i] = (int8_t)roundf(fminf(fmaxf(scaled, -127), 127));
        } else {
            float from_zero = fminf(fmaxf(scaled, -8), 8) + 8.5f;
            block.q[i] = (int8_t)((from_zero < 15 ? (int)from_zero : 15) - 8);
        }
    }
    return block;
}

void lab_kv_round(enum plan_elem elem, float *x, uint64_t n)
{
    for (uint64_t i = 0; elem == PLAN_F16 && i < n; i++) {
        x[i] = half_to_float(half_within(x[i]));
    }
    for (uint64_t b = 0; plan_elem_block(elem) == KV_BLOCK && b < n / KV_BLOCK; b++) {
        struct block block = encode(elem, x + b * KV_BLOCK);
        for (uint32_t i = 0; i < KV_BLOCK; i++) {
            x[b * KV_BLOCK + i] = (float)block.q[i] * half_to_float(block.scale);
        }
    }
}

void lab_kv_pack(enum plan_elem elem, const float *x, uint64_t n, uint8_t *out)
{
    uint64_t quants = elem == PLAN_Q8_0 ? n : n / 2;
    for (uint64_t b = 0; b < n / KV_BLOCK; b++) {
        struct block block = encode(elem, x + b * KV_BLOCK);
        memcpy(out + quants + b * 2, &block.scale, 2);
        for (uint32_t i = 0; i < KV_BLOCK; i++) {
            uint64_t at = b * KV_BLOCK + i;
            if (elem == PLAN_Q8_0) {
                out[at] = (uint8_t)block.q[i];
            } else {
                uint32_t low = i % 2 == 0 ? 0u : out[at / 2];
                out[at / 2] = (uint8_t)(low | (uint32_t)(block.q[i] + 8) << (i % 2 * 4));
            }
        }
    }
}

void lab_kv_unpack(enum plan_elem elem, const uint8_t *in, uint64_t n, float *out)
{
    uint64_t quants = elem == PLAN_Q8_0 ? n : n / 2;
    for (uint64_t i = 0; i < n; i++) {
        uint16_t scale;
        memcpy(&scale, in + quants + i / KV_BLOCK * 2, 2);
        int q = elem == PLAN_Q8_0 ? (int8_t)in[i] : (in[i / 2] >> (i % 2 * 4) & 15) - 8;
        out[i] = (float)q * half_to_float(scale);
    }
}
