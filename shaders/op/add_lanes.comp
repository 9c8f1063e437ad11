#version 450
// For CPU devices: four values an invocation, read through texel buffers.
layout(local_size_x = 16) in;
layout(push_constant) uniform push_block
{
    uint count; // values, multiple of 4
    uint cols;  // of b where it is one row for all of a's rows; 0: b is as large as a
} p;
layout(binding = 0) uniform samplerBuffer a;
layout(binding = 1) uniform samplerBuffer b;
layout(binding = 2) writeonly buffer y_block { vec4 v[]; } y;

void main()
{
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint n = p.count / 4u, quads = p.cols / 4u;
    for (uint j = 0u; j < 4u; j++) {
        uint i = group * 64u + j * 16u + gl_LocalInvocationID.x;
        if (i < n) {
            uint k = quads != 0u ? i % quads : i;
            y.v[i] = texelFetch(a, int(i)) + texelFetch(b, int(k));
        }
    }
}
