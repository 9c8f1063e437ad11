// Weights through a storage buffer, in any interleave: W_LANES_LOG2 comes from the push block.
layout(binding = 0) readonly buffer weight_block
{
    uvec4 units[];
}
weights;

#define W_LANES_LOG2 p.lanes_log2

uvec4 w_fetch16(uint i)
{
    return weights.units[i];
}

uint w_fetch4(uint i)
{
    return weights.units[i >> 2][i & 3u];
}

#include "common/weights.glsl"
