#version 450
#extension GL_GOOGLE_include_directive : require
// y = silu(gate) * up; each invocation writes what it alone reads, so y may be gate or up.
#include "common/silu.glsl"
layout(local_size_x = 64) in;
layout(push_constant) uniform push_block
{
    uint count; // values
} p;
layout(binding = 0) readonly buffer gate_block { float v[]; } gate;
layout(binding = 1) readonly buffer up_block { float v[]; } up;
layout(binding = 2) writeonly buffer y_block { float v[]; } y;

void main()
{
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint first = group * 256u + gl_LocalInvocationID.x;
    for (uint k = 0u; k < 4u; k++) {
        uint i = first + k * 64u;
#ifndef PLANT_BOUNDS
        if (i < p.count)
#endif
        {
            y.v[i] = silu_gate(vec4(gate.v[i])).x * up.v[i];
        }
    }
}
