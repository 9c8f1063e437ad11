#version 450
/* As copy16, read through a texel buffer. */
#include "peak/push.glsl"

layout(binding = 1) uniform usamplerBuffer data;
layout(binding = 0) writeonly buffer result_block { uvec4 v[]; } result;

void main()
{
    uint at = gl_GlobalInvocationID.x, all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = at; i < push.count; i += 4 * all) {
        uvec4 a = texelFetch(data, int(i)), b = texelFetch(data, int(i + all));
        uvec4 c = texelFetch(data, int(i + 2 * all));
        uvec4 d = texelFetch(data, int(i + 3 * all));
        result.v[i] = a;
        result.v[i + all] = b;
        result.v[i + 2 * all] = c;
        result.v[i + 3 * all] = d;
    }
}
