#version 450
// y = silu(gate) * up; each invocation writes what it alone reads, so y may be gate or up.
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
            float g = gate.v[i];
            y.v[i] = g / (1.0 + exp(-g)) * up.v[i];
        }
    }
}
