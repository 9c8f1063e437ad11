#version 450
/* Reads everything once, 4 bytes an invocation at a time; neighbours read neighbours. */
#include "peak/push.glsl"

layout(binding = 1) readonly buffer data_block { uint v[]; } data;
layout(binding = 0) writeonly buffer result_block { uint v[]; } result;

void main()
{
    uint at = gl_GlobalInvocationID.x, all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    uint sum = uint(0);
    for (uint i = at; i < push.count; i += 4 * all) {
        uint a = data.v[i], b = data.v[i + all], c = data.v[i + 2 * all], d = data.v[i + 3 * all];
        sum += (a + b) + (c + d);
    }
    result.v[at] = sum;
}
