// Two weights of one shape and format through storage buffers: rows of the first and, where w_second
// is set, of the second. As weights_buffer.glsl else.
layout(binding = 0) readonly buffer weight_block
{
    uvec4 units[];
}
weights;
layout(binding = 3) readonly buffer second_block
{
    uvec4 units[];
}
second;

#define W_LANES_LOG2 p.lanes_log2
// A subgroup has as many rows of each.
#define W_OF_ROW(r) w_second = (r) >= ROWS / 2

bool w_second; // a constant wherever it is read

uvec4 w_fetch16(uint i)
{
    return w_second ? second.units[i] : weights.units[i];
}

uint w_fetch4(uint i)
{
    return w_second ? second.units[i >> 2][i & 3u] : weights.units[i >> 2][i & 3u];
}

#include "common/weights.glsl"
