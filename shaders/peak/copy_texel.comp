#version 450
/* As copy16, read through a texel buffer. */
#include "peak/push.glsl"
#include "peak/walk.glsl"

layout(binding = 1) uniform usamplerBuffer data;
layout(binding = 0) writeonly buffer result_block { uvec4 v[]; } result;

void main()
{
    uint i = walk_first(), all = walk_step();
    for (uint k = 0, n = walk_count(); k < n; k++, i += 8 * all) {
        uvec4 v[8];
        for (uint j = 0; j < 8; j++) {
            v[j] = texelFetch(data, int(i + j * all));
        }
        for (uint j = 0; j < 8; j++) {
            result.v[i + j * all] = v[j];
        }
    }
}
