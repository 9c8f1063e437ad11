// The staged form of a row of activations, which kernels on matrix units read: f16 values and one
// f32 scale, x = value * scale. The scale is a power of two, so that scaling is exact, and such that
// the largest finite |value| lies in [2^13, 2^14); but 1 for a row of zeros, and at least 2^-126.
// Infinity and NaN stay what they are. Rounded as in half.glsl, so that every device makes the same.
#include "common/half.glsl"

// The largest finite |x| as a number to take the maximum of: 2^24 more than twice its bits. Infinity
// and NaN wrap and are less than this 2^24, which zeros have; so is 0, for none at all.
uint staged_key(vec4 x)
{
    uvec4 key = (floatBitsToUint(x) << 1) + (1u << 24);
    return max(max(key.x, key.y), max(key.z, key.w));
}

// Biased exponent of the scale of a row with this key.
uint staged_exponent(uint key)
{
    return key <= 1u << 24 ? 127u : max(key >> 24, 15u) - 14u;
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

uint staged_rounded(uint scaled)
{
    return half_rounded(half_within(scaled, HALF_INFINITE));
}

// Four values, the first in the low half of the first word.
uvec2 staged_pack(vec4 x, float factor)
{
    uvec4 bits = floatBitsToUint(x), scaled = floatBitsToUint(x * factor);
    return uvec2(half_pair(staged_rounded(scaled.x), staged_rounded(scaled.y), bits.xy),
                 half_pair(staged_rounded(scaled.z), staged_rounded(scaled.w), bits.zw));
}
