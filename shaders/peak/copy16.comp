#version 450
/* Copies everything once, 16 bytes an invocation at a time. */
#include "peak/push.glsl"
#include "peak/walk.glsl"

layout(binding = 1) readonly buffer data_block { uvec4 v[]; } data;
layout(binding = 0) writeonly buffer result_block { uvec4 v[]; } result;

void main()
{
    uint i = walk_first(), all = walk_step();
    for (uint k = 0, n = walk_count(); k < n; k++, i += 8 * all) {
        uvec4 v[8];
        for (uint j = 0; j < 8; j++) {
            v[j] = data.v[i + j * all];
        }
        for (uint j = 0; j < 8; j++) {
            result.v[i + j * all] = v[j];
        }
    }
}
