#version 450
// For CPU devices: four values an invocation, read through texel buffers.
layout(local_size_x = 16) in;
layout(push_constant) uniform push_block
{
    uint cols; // a multiple of 4
    uint tokens;
    uint used;
} p;
layout(binding = 0) uniform samplerBuffer x;
layout(binding = 1) readonly buffer weights_block { float v[]; } weights;
layout(binding = 2) writeonly buffer y_block { vec4 v[]; } y;

void main()
{
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint quads = p.cols / 4u;
    for (uint k = 0u; k < 4u; k++) {
        uint i = group * 64u + k * 16u + gl_LocalInvocationID.x;
        uint token = i / quads, quad = i % quads;
        if (token < p.tokens) {
            vec4 sum = vec4(0.0);
            for (uint j = 0u; j < p.used; j++) {
                uint pair = token * p.used + j;
                sum += weights.v[pair] * texelFetch(x, int(pair * quads + quad));
            }
            y.v[i] = sum;
        }
    }
}
