#version 450
#extension GL_GOOGLE_include_directive : require
// For CPU devices: four values an invocation, read through texel buffers.
#include "common/silu.glsl"
layout(local_size_x = 16) in;
layout(push_constant) uniform push_block
{
    uint count; // values, multiple of 4
} p;
layout(binding = 0) uniform samplerBuffer gate;
layout(binding = 1) uniform samplerBuffer up;
layout(binding = 2) writeonly buffer y_block { vec4 v[]; } y;

void main()
{
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint n = p.count / 4u;
    for (uint k = 0u; k < 4u; k++) {
        uint i = group * 64u + k * 16u + gl_LocalInvocationID.x;
        if (i < n) {
            y.v[i] = silu_gate(texelFetch(gate, int(i))) * texelFetch(up, int(i));
        }
    }
}
