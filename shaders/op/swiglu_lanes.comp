#version 450
// For CPU devices: four values an invocation, read through texel buffers.
layout(local_size_x = 16) in;
layout(push_constant) uniform push_block
{
    uint count; // values, multiple of 4
} p;
layout(binding = 0) uniform samplerBuffer g;
layout(binding = 1) uniform samplerBuffer u;
layout(binding = 2) writeonly buffer y_block { vec4 y[]; };

void main()
{
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint n = p.count / 4u;
    for (uint k = 0u; k < 4u; k++) {
        uint i = group * 64u + k * 16u + gl_LocalInvocationID.x;
        if (i < n) {
            vec4 v = texelFetch(g, int(i));
            y[i] = v / (1.0 + exp(-v)) * texelFetch(u, int(i));
        }
    }
}
