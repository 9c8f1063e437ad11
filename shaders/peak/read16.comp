#version 450
/* Reads everything once, 16 bytes an invocation at a time; neighbours read neighbours. */
#include "peak/push.glsl"
#include "peak/walk.glsl"

layout(binding = 1) readonly buffer data_block { uvec4 v[]; } data;
layout(binding = 0) writeonly buffer result_block { uint v[]; } result;

void main()
{
    uvec4 sum = uvec4(0);
    uint i = walk_first(), all = walk_step();
    for (uint k = 0, n = walk_count(); k < n; k++, i += 8 * all) {
        uvec4 a = data.v[i] + data.v[i + all];
        uvec4 b = data.v[i + 2 * all] + data.v[i + 3 * all];
        uvec4 c = data.v[i + 4 * all] + data.v[i + 5 * all];
        uvec4 d = data.v[i + 6 * all] + data.v[i + 7 * all];
        sum += (a + b) + (c + d);
    }
    result.v[gl_GlobalInvocationID.x] = sum.x + sum.y + sum.z + sum.w;
}
