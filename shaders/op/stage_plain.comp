#version 450
#extension GL_GOOGLE_include_directive : require
// The staged form of each row, one workgroup per row; needs nothing optional.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint WG = 128; // size of the workgroup, a power of two

layout(push_constant) uniform push_block
{
    uint quads; // of 4 columns, of a row
    uint rows;
}
p;

layout(binding = 0) readonly buffer x_block
{
    vec4 at[];
}
x;
layout(binding = 1) writeonly buffer y_block
{
    uvec2 at[]; // four f16 values
}
y;
layout(binding = 2) writeonly buffer scale_block
{
    float at[];
}
scale;

#include "common/staged_row.glsl"

void main()
{
    uint lane = gl_LocalInvocationID.x;
    // Workgroups are folded into y; a spare one reads the last row and writes nothing.
    uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint base = min(row, p.rows - 1u) * p.quads, key = 0u;
    for (uint i = lane; i < p.quads; i += WG) {
        key = max(key, staged_key(x.at[base + i]));
    }
    uint exponent = row_exponent(lane, key);
    float factor = staged_factor(exponent);
    if (row < p.rows) {
        for (uint i = lane; i < p.quads; i += WG) {
            y.at[base + i] = staged_pack(x.at[base + i], factor);
        }
        if (lane == 0u) {
            scale.at[row] = staged_scale(exponent);
        }
    }
}
