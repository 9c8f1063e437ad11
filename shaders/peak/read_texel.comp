#version 450
/* As read16, through a texel buffer. */
#include "peak/push.glsl"
#include "peak/walk.glsl"

layout(binding = 1) uniform usamplerBuffer data;
layout(binding = 0) writeonly buffer result_block { uint v[]; } result;

void main()
{
    uvec4 sum = uvec4(0);
    uint i = walk_first(), all = walk_step();
    for (uint k = 0, n = walk_count(); k < n; k++, i += 8 * all) {
        uvec4 a = texelFetch(data, int(i)) + texelFetch(data, int(i + all));
        uvec4 b = texelFetch(data, int(i + 2 * all)) + texelFetch(data, int(i + 3 * all));
        uvec4 c = texelFetch(data, int(i + 4 * all)) + texelFetch(data, int(i + 5 * all));
        uvec4 d = texelFetch(data, int(i + 6 * all)) + texelFetch(data, int(i + 7 * all));
        sum += (a + b) + (c + d);
    }
    result.v[gl_GlobalInvocationID.x] = sum.x + sum.y + sum.z + sum.w;
}
