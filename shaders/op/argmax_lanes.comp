#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
// One subgroup per row, for CPU devices: four columns a lane, through a texel buffer, no barrier.
#include "common/argmax.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint S = 8; // subgroup size: 4, 8 or 16
layout(binding = 0) uniform usamplerBuffer x;
layout(binding = 1) writeonly buffer ids_block { uint v[]; } ids;

void main()
{
    uint lane = gl_SubgroupInvocationID;
    uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint n = p.cols / 4u, base = min(row, p.rows - 1u) * n;
    uint best = 0u, index = ARGMAX_NONE;
    [[dont_unroll]] for (uint i = lane; i < n; i += S) {
        uvec4 bits = texelFetch(x, int(base + i));
        [[unroll]] for (uint k = 0u; k < 4u; k++) {
            uint key = argmax_key(bits[k], 4u * i + k);
            index = key > best ? 4u * i + k : index;
            best = max(best, key);
        }
    }
    [[unroll]] for (uint step = 1u; step < S; step *= 2u) {
        uint key = subgroupShuffle(best, lane ^ step), at = subgroupShuffle(index, lane ^ step);
        if (key > best || (key == best && at < index)) {
            best = key;
            index = at;
        }
    }
    if (lane == 0u && row < p.rows) {
        ids.v[row] = index;
    }
}
