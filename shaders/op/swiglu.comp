#version 450
// y = silu(gate) * up; each invocation writes what it alone reads, so y may be gate or up.
layout(local_size_x = 64) in;
layout(push_constant) uniform push_block
{
    uint count; // values
} p;
layout(binding = 0) readonly buffer g_block { float g[]; };
layout(binding = 1) readonly buffer u_block { float u[]; };
layout(binding = 2) buffer y_block { float y[]; };

void main()
{
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint first = group * 256u + gl_LocalInvocationID.x;
    for (uint k = 0u; k < 4u; k++) {
        uint i = first + k * 64u;
        if (i < p.count) {
            float v = g[i];
            y[i] = v / (1.0 + exp(-v)) * u[i];
        }
    }
}
