// Weights through a uniform texel buffer; the interleave is the subgroup size S, so that the lanes
// of a subgroup read neighbouring texels. S is a specialization constant of the including shader.
layout(binding = 0) uniform usamplerBuffer weights;

#define W_LANES_LOG2 (S == 4u ? 2u : S == 8u ? 3u : 4u)

uvec4 w_fetch16(uint i)
{
    return texelFetch(weights, int(i));
}

uint w_fetch4(uint i)
{
    uvec4 v = texelFetch(weights, int(i >> 2));
    uvec2 pair = (i & 2u) == 0u ? v.xy : v.zw;
    return (i & 1u) == 0u ? pair.x : pair.y;
}

// Every lane of a subgroup of S takes part in all loads and values: shuffles may serve as tables.
#define W_SHUFFLE 1

// A fetch of 4 bytes costs more than one of 16: heads are as wide as a format can make them.
#define W_WIDE 1

#include "common/weights.glsl"

// A table of 16 over the lanes of a subgroup of 8 or more, entry l and l + 8 in every lane l below 8;
// indices in the low bits of the bytes of w. A shuffle is one instruction.
vec4 w_lookup16(vec2 table, uint w)
{
    vec4 v;
    [[unroll]] for (int k = 0; k < 4; k++) {
        uint q = w >> (8 * k);
        float low = subgroupShuffle(table.x, q & 7u), high = subgroupShuffle(table.y, q & 7u);
        v[k] = (q & 8u) == 0u ? low : high;
    }
    return v;
}
