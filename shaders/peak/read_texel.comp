#version 450
/* As read16, through a texel buffer. */
#include "peak/push.glsl"

layout(binding = 1) uniform usamplerBuffer data;
layout(binding = 0) writeonly buffer result_block { uint v[]; } result;

void main()
{
    uint at = gl_GlobalInvocationID.x, all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    uvec4 sum = uvec4(0);
    for (uint i = at; i < push.count; i += 4 * all) {
        uvec4 a = texelFetch(data, int(i)), b = texelFetch(data, int(i + all));
        uvec4 c = texelFetch(data, int(i + 2 * all));
        uvec4 d = texelFetch(data, int(i + 3 * all));
        sum += (a + b) + (c + d);
    }
    result.v[at] = sum.x + sum.y + sum.z + sum.w;
}
