#version 450
/* Reads everything once, 4 bytes an invocation at a time; neighbours read neighbours. */
#include "peak/push.glsl"
#include "peak/walk.glsl"

layout(binding = 1) readonly buffer data_block { uint v[]; } data;
layout(binding = 0) writeonly buffer result_block { uint v[]; } result;

void main()
{
    uint sum = uint(0);
    uint i = walk_first(), all = walk_step();
    for (uint k = 0, n = walk_count(); k < n; k++, i += 8 * all) {
        uint a = data.v[i] + data.v[i + all];
        uint b = data.v[i + 2 * all] + data.v[i + 3 * all];
        uint c = data.v[i + 4 * all] + data.v[i + 5 * all];
        uint d = data.v[i + 6 * all] + data.v[i + 7 * all];
        sum += (a + b) + (c + d);
    }
    result.v[gl_GlobalInvocationID.x] = sum;
}
