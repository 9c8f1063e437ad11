#version 450
#extension GL_GOOGLE_include_directive : require
// y = scale * x, or softcap * tanh(scale * x / softcap); y may be x.
#include "common/tanh.glsl"
layout(local_size_x = 64) in;
layout(push_constant) uniform push_block
{
    uint count; // values
    float scale;
    float softcap; // 0: none
} p;
layout(binding = 0) readonly buffer x_block { float v[]; } x;
layout(binding = 1) writeonly buffer y_block { float v[]; } y;

void main()
{
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint first = group * 256u + gl_LocalInvocationID.x;
    for (uint k = 0u; k < 4u; k++) {
        uint i = first + k * 64u;
        if (i < p.count) {
            float v = x.v[i] * p.scale;
            y.v[i] = p.softcap != 0.0 ? p.softcap * soft_tanh(vec4(v / p.softcap)).x : v;
        }
    }
}
