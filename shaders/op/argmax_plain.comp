#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// ids[i] = index of the largest value of row i; lowest index on ties, ARGMAX_NONE where nothing may
// win. One workgroup per row; a lane has several loads on their way, since one row's group is alone
// on the device.
#include "common/argmax.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint WG = 128; // size of the workgroup, a power of two
layout(binding = 0) readonly buffer x_block { uint v[]; } x;
layout(binding = 1) writeonly buffer ids_block { uint v[]; } ids;

const uint LOADS = 8u;
shared uint keys[WG];
shared uint indices[WG];

void main()
{
    uint lane = gl_LocalInvocationID.x;
    uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint base = min(row, p.rows - 1u) * p.cols;
    uint best = 0u, index = ARGMAX_NONE;
    for (uint i = lane; i < p.cols; i += LOADS * WG) {
        uint bits[LOADS];
        [[unroll]] for (uint k = 0u; k < LOADS; k++) {
            bits[k] = x.v[base + min(i + k * WG, p.cols - 1u)];
        }
        [[unroll]] for (uint k = 0u; k < LOADS; k++) {
            uint column = min(i + k * WG, p.cols - 1u), key = argmax_key(bits[k], column);
            index = key > best ? column : index;
            best = max(best, key);
        }
    }
    keys[lane] = best;
    indices[lane] = index;
    barrier();
    for (uint s = WG / 2u; s > 0u; s /= 2u) {
        if (lane < s) {
            uint key = keys[lane + s], at = indices[lane + s];
            if (key > keys[lane] || (key == keys[lane] && at < indices[lane])) {
                keys[lane] = key;
                indices[lane] = at;
            }
        }
        barrier();
    }
    if (lane == 0u && row < p.rows) {
        ids.v[row] = indices[0];
    }
}
