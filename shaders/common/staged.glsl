// The staged form of a row of activations, which kernels on matrix units read: f16 values and one
// f32 scale, x = value * scale. The scale is a power of two, so that scaling is exact, and such that
// the largest finite |value| lies in [2^13, 2^14); but 1 for a row of zeros, and at least 2^-126.
// Infinity and NaN stay what they are. All by bits, so that every device makes the same.
#include "common/kv_half.glsl"

// The largest finite |x| as a number to take the maximum of, 0 where there is none.
uint staged_key(vec4 x)
{
    uvec4 bits = floatBitsToUint(x) & 0x7fffffffu;
    uvec4 key = mix(bits, uvec4(0u), greaterThanEqual(bits, uvec4(0x7f800000u)));
    return max(max(key.x, key.y), max(key.z, key.w));
}

// Biased exponent of the scale of a row with this key.
uint staged_exponent(uint key)
{
    return key == 0u ? 127u : max(key >> 23, 14u) - 13u;
}

float staged_scale(uint exponent)
{
    return uintBitsToFloat(exponent << 23);
}

// 1 / scale.
float staged_factor(uint exponent)
{
    return uintBitsToFloat(254u - exponent << 23);
}

uint staged_half(float x, float factor)
{
    uint bits = floatBitsToUint(x);
    bits = (bits & 0x7f800000u) == 0x7f800000u ? bits : floatBitsToUint(x * factor);
    return (bits & 0x7fffffffu) == 0x7f800000u ? bits >> 16 & 0x8000u | 0x7c00u : kv_half(bits);
}

// Four values, the first in the low half of the first word.
uvec2 staged_pack(vec4 x, float factor)
{
    return uvec2(staged_half(x.x, factor) | staged_half(x.y, factor) << 16,
                 staged_half(x.z, factor) | staged_half(x.w, factor) << 16);
}
