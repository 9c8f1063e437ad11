// f32 bits -> f16 bits as KV caches store them (half.glsl): what is beyond the largest f16 becomes
// that, NaN stays NaN.
#include "common/half.glsl"

uint kv_rounded(uint bits)
{
    return half_rounded(half_within(bits, HALF_LARGEST));
}

uint kv_half(uint bits)
{
    return (kv_rounded(bits) & 0xffffu) | (bits >> 16 & 0x8000u);
}

uint kv_pack(uvec2 pair)
{
    return half_pair(kv_rounded(pair.x), kv_rounded(pair.y), pair);
}
